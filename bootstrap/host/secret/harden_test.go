package secret

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestHarden runs in a process of its own, as a user who is not root: it says what it
// finds of itself, and then what another process of that user may read of it.
func TestHarden(t *testing.T) {
	if os.Getenv("HARDEN") != "" {
		hardened(t)
		return
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, how := range []string{"yes", "undone"} {
		cmd := exec.Command(exe, "-test.run=^TestHarden$", "-test.v")
		cmd.Env = []string{"HARDEN=" + how, "PATH=/usr/bin:/bin", "TMPDIR=/tmp"}
		if os.Getuid() == 0 {
			bin := t.TempDir() + "/test" // where the user may run it
			for dir := bin; dir != "/" && dir != os.TempDir(); dir = dir[:max(1, strings.LastIndex(dir, "/"))] {
				os.Chmod(dir, 0o755)
			}
			data, err := os.ReadFile(exe)
			if err := errors.Join(err, os.WriteFile(bin, data, 0o755)); err != nil {
				t.Fatal(err)
			}
			cmd.Path, cmd.Dir = bin, "/"
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 1000, Gid: 1000}}
		}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s", how, err, out)
		}
	}
}

func hardened(t *testing.T) {
	undo, err := Harden()
	if err != nil {
		t.Fatal(err)
	}
	if os.Getenv("HARDEN") == "undone" {
		undo()
		if read(t) != nil {
			t.Error("it is hidden still:", read(t))
		}
		return
	}
	if err := read(t); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("another process reads the environment: %v", err)
	}
	var core unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_CORE, &core); err != nil || core.Cur != 0 {
		t.Errorf("core dumps of %d bytes, %v", core.Cur, err)
	}
	// What the program needs of itself works as ever.
	for _, name := range []string{"mountinfo", "status", "cgroup"} {
		if _, err := os.ReadFile("/proc/self/" + name); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Executable(); err != nil {
		t.Error(err)
	}
	if target, err := os.Readlink("/proc/self/exe"); err != nil || target == "" {
		t.Error(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	w.WriteString("through")
	w.Close()
	if b, err := os.ReadFile("/dev/fd/" + strconv.Itoa(int(r.Fd()))); string(b) != "through" {
		t.Errorf("reading a file by its number: %v", err)
	}
	// A child is as any other.
	out, err := exec.Command("sh", "-c", "cat /proc/$$/environ >/dev/null && grep -c . /proc/self/status && (cat /proc/$$/environ) | wc -c").CombinedOutput()
	if err != nil || bytes.Contains(out, []byte("denied")) {
		t.Errorf("a child: %v: %s", err, out)
	}
}

// read has another process of this user read this one's environment.
func read(t *testing.T) error {
	t.Helper()
	out, err := exec.Command("cat", "/proc/"+strconv.Itoa(os.Getpid())+"/environ").CombinedOutput()
	if err != nil && bytes.Contains(out, []byte("Permission denied")) {
		return fs.ErrPermission
	}
	return err
}
