package host

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestRunLeavesNothingBehind interrupts a shell that has put a command into the
// background, which does not hear SIGINT.
func TestRunLeavesNothingBehind(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	r := &Real{Env: []string{"PATH=" + os.Getenv("PATH")}}
	var child int
	_, err := r.Run(ctx, &Cmd{
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
	p, err := (&Real{Env: []string{"PATH=" + os.Getenv("PATH")}}).Pipe(
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

// TestWindowsIsNotInTheEnvironment starts from what WSL gives a shell.
func TestWindowsIsNotInTheEnvironment(t *testing.T) {
	windows := []string{"PATH=/usr/bin:/mnt/c/Windows/system32:/usr/lib/wsl/lib", "WSL_INTEROP=/run/WSL/1_interop", "WSL_DISTRO_NAME=Debian", "WSLENV=USERPROFILE/p", "USERPROFILE=/mnt/c/Users/ann", "LANG=C.UTF-8"}
	for _, own := range []bool{true, false} {
		env := Environ(Account{Name: "ann", UID: 4242, Home: "/home/ann"}, windows, own)
		if text := strings.Join(env, "\n"); strings.Contains(text, "/mnt/c") || strings.Contains(text, "WSL") || !strings.Contains(text, "LANG=C.UTF-8") {
			t.Errorf("own %v:\n%s", own, text)
		}
	}
}

func TestABootIsThatOfKernelAndFirstProcess(t *testing.T) {
	root := t.TempDir()
	r := &Real{Root: root}
	if r.BootID() != "" {
		t.Error("a boot of nothing")
	}
	put := func(name, text string) {
		if err := os.MkdirAll(filepath.Dir(root+name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(root+name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	put("/proc/sys/kernel/random/boot_id", "b\n")
	if got := r.BootID(); got != "b" {
		t.Errorf("%q", got)
	}
	put("/proc/1/stat", "1 (in it) ) S 0 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 42 100\n")
	if got := r.BootID(); got != "b.42" {
		t.Errorf("%q", got)
	}
}
