package secret

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"movein/bootstrap/host"
	"movein/bootstrap/host/kdbx"
)

// kept keeps a copy of the test's vault open. ended is closed when it is not any more.
func kept(t *testing.T, idle time.Duration, starter io.Reader) (dir, file string, ended <-chan error) {
	t.Helper()
	dir, file = filepath.Join(t.TempDir(), "movein"), filepath.Join(t.TempDir(), "my.kdbx")
	data, err := os.ReadFile(testVault)
	if err := errors.Join(err, os.WriteFile(file, data, 0o600)); err != nil {
		t.Fatal(err)
	}
	k, err := NewKeeper(&host.Real{}, dir, file, idle)
	if err != nil {
		t.Fatal(err)
	}
	f, err := Read(&host.Real{}, file, "")
	if err != nil {
		t.Fatal(err)
	}
	pw := kdbx.NewSecret("open sesame")
	v, err := f.Open(t.Context(), &pw)
	if err != nil {
		t.Fatal(err)
	}
	end, ready := make(chan error, 1), make(chan bool)
	go func() { end <- k.Keep(t.Context(), v, starter, func() { close(ready) }) }()
	select {
	case <-ready:
	case err := <-end:
		t.Fatal(err)
	}
	return dir, file, end
}

func within(t *testing.T, ended <-chan error) {
	t.Helper()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("it does not end")
	}
}

var top = Question{Ref: &Ref{Entry: "top"}}

// TestKeptUntilIdle: a kept vault is there for who started it and for who holds it, however
// long that takes, and gone when nobody asks.
func TestKeptUntilIdle(t *testing.T) {
	starter, done := io.Pipe()
	dir, _, ended := kept(t, time.Millisecond, starter)
	a, release, err := Hold(t.Context(), dir)
	if err != nil || filepath.Base(a.Vault) != "my.kdbx" {
		t.Fatal(a, err)
	}
	done.Close()
	for range 20 { // each takes longer than it may be idle
		if a, err := Ask(t.Context(), []string{dir}, top); err != nil || string(a.Value) != "canary-top" {
			t.Fatalf("%q, %v", a.Value, err)
		}
	}
	release()
	within(t, ended)
	if _, err := Ask(t.Context(), []string{dir}, top); !errors.Is(err, ErrNoAgent) {
		t.Error(err)
	}
	if _, err := os.Stat(dir + "/agent"); err == nil {
		t.Error("its socket is left")
	}
}

// TestKeptVaultChanges: of a vault that was changed since nothing is told.
func TestKeptVaultChanges(t *testing.T) {
	dir, file, ended := kept(t, time.Hour, strings.NewReader(""))
	if err := os.Chtimes(file, time.Time{}, time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if a, err := Ask(t.Context(), []string{dir}, top); !errors.Is(err, ErrNoAgent) || len(a.Value) > 0 {
		t.Errorf("%q, %v", a.Value, err)
	}
	within(t, ended)
}

// TestKeptVaultIsClosed: somebody tells the agent to go.
func TestKeptVaultIsClosed(t *testing.T) {
	dir, _, ended := kept(t, time.Hour, strings.NewReader(""))
	if _, err := Ask(t.Context(), []string{dir}, Question{Go: true}); err != nil {
		t.Error(err)
	}
	within(t, ended)
	_, dir, _ = agent(t)
	if _, err := Ask(t.Context(), []string{dir}, Question{Go: true}); err == nil || !strings.Contains(err.Error(), "a run has the vault open") {
		t.Error(err)
	}
}

// TestKeptInLockedMemory: what is kept is not swapped.
func TestKeptInLockedMemory(t *testing.T) {
	before := locked(t)
	_, _, ended := kept(t, time.Hour, strings.NewReader(""))
	if locked(t) == before {
		t.Error("no memory is locked")
	}
	select {
	case err := <-ended:
		t.Error(err)
	default:
	}
}

// locked is the line of /proc/self/status.
func locked(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(data), "VmLck:")
	line, _, _ := strings.Cut(after, "\n")
	return line
}

// TestMemoryThatCannotBeLocked: then nothing is kept.
func TestMemoryThatCannotBeLocked(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may lock all memory")
	}
	if err := unix.Setrlimit(unix.RLIMIT_MEMLOCK, &unix.Rlimit{}); err != nil {
		t.Fatal(err)
	}
	k := &Keeper{dir: t.TempDir()}
	if err := k.Keep(context.Background(), &kdbx.Vault{}, strings.NewReader(""), nil); err == nil || !strings.Contains(err.Error(), "locking 4096 bytes of memory") {
		t.Error(err)
	}
}

// TestAgentOfAnAgent: a run answers from the vault that is kept open, and its errors are those of the vault.
func TestAgentOfAnAgent(t *testing.T) {
	dir, _, _ := kept(t, time.Hour, strings.NewReader(""))
	var handed []string
	run := filepath.Join(dir, "run")
	a, err := Serve(run, OfAgent(dir), func(s kdbx.Secret) { handed = append(handed, s.Reveal()) })
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if got, err := Ask(t.Context(), []string{"/nowhere", run}, top); err != nil || string(got.Value) != "canary-top" || len(handed) != 1 {
		t.Errorf("%q, %v, %q", got.Value, err, handed)
	}
	_, want := Ask(t.Context(), []string{dir}, Question{Entry: "none"})
	if _, err := Ask(t.Context(), []string{run}, Question{Entry: "none"}); !errors.Is(err, kdbx.ErrNotFound) || err.Error() != want.Error() {
		t.Errorf("%v, not %v", err, want)
	}
}
