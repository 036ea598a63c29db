package host

import (
	"context"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestRunLeavesNothingBehind interrupts a shell that has put a command into the
// background, which does not hear SIGINT.
func TestRunLeavesNothingBehind(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	r := Real{Env: []string{"PATH=" + os.Getenv("PATH")}}
	var child int
	_, err := r.Run(ctx, Cmd{
		Args: []string{"sh", "-c", `(trap "" INT; sh -c 'echo $$ >&2; exec sleep 300 >/dev/null 2>&1') & wait`},
		Lines: func(line string) {
			fmt.Sscan(line, &child) //nolint:errcheck // looked at below
			cancel()
		},
	})
	if err == nil || child == 0 {
		t.Fatalf("child %d, error %v", child, err)
	}
	for deadline := time.Now().Add(5 * time.Second); alive(child); {
		if time.Now().After(deadline) {
			syscall.Kill(child, syscall.SIGKILL) //nolint:errcheck // the test has failed
			t.Fatal("the command in the background is still there")
		}
	}
}

// alive reports whether a process runs; one that only waits for its parent does not.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

// TestPipeToAnotherUser sees that a process of another user's is in a session of
// its own, without the caller's terminal.
func TestPipeToAnotherUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	const nobody = 65534
	p, err := Real{Env: []string{"PATH=" + os.Getenv("PATH")}}.Pipe(
		[]string{"sh", "-c", "read stat </proc/$$/stat; set -- $$ $stat; echo $1 $7"}, &syscall.Credential{Uid: nobody, Gid: nobody})
	if err != nil {
		t.Fatal(err)
	}
	var pid, session int
	if _, err := fmt.Fscan(p.Out, &pid, &session); err != nil {
		t.Fatal(err)
	}
	if err := p.Wait(); err != nil {
		t.Fatal(err)
	}
	if pid != session {
		t.Errorf("process %d is in session %d", pid, session)
	}
}
