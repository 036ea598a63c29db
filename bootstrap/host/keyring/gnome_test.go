package keyring

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"movein/bootstrap/host/kdbx"
)

// gnome starts the real gnome-keyring on a bus of its own, without a display.
func gnome(t *testing.T, unlock bool) (u User, env []string) {
	t.Helper()
	for _, program := range []string{"gnome-keyring-daemon", "secret-tool"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip(program + " is not installed (Debian: gnome-keyring, libsecret-tools)")
		}
	}
	u, _ = startBus(t, nil)
	home := t.TempDir()
	env = []string{"HOME=" + home, "XDG_RUNTIME_DIR=" + home, "PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8", "DBUS_SESSION_BUS_ADDRESS=" + u.Bus}
	start := func(unlock bool) *exec.Cmd {
		args := []string{"--foreground", "--components=secrets", "--control-directory=" + home}
		if unlock {
			args = append(args, "--unlock")
		}
		cmd := exec.Command("gnome-keyring-daemon", args...)
		cmd.Env, cmd.Stdin = env, strings.NewReader("login password")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			cmd.Process.Kill()
			cmd.Wait()
		})
		for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
			s, err := Open(t.Context(), u)
			if err == nil {
				_, statErr := os.Stat(filepath.Join(home, ".local/share/keyrings/login.keyring"))
				s.Close()
				if statErr == nil {
					return cmd
				}
			}
			if time.Now().After(deadline) {
				t.Fatalf("gnome-keyring does not come: %v", err)
			}
		}
	}
	first := start(true) // makes the keyring
	if !unlock {
		first.Process.Kill()
		first.Wait()
		for ; ; time.Sleep(20 * time.Millisecond) {
			if _, err := Open(t.Context(), u); errors.Is(err, ErrNoService) {
				break
			}
		}
		start(false)
	}
	return u, env
}

// tool runs secret-tool.
func tool(t *testing.T, env []string, stdin string, args ...string) string {
	t.Helper()
	cmd := exec.Command("secret-tool", args...)
	cmd.Env, cmd.Stdin = env, strings.NewReader(stdin)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("secret-tool %q: %v", args, err)
	}
	return string(out)
}

// TestGnomeKeyring: what secret-tool stores is found, and what is remembered secret-tool finds.
func TestGnomeKeyring(t *testing.T) {
	u, env := gnome(t, true)
	tool(t, env, canary, "store", "--label=rclone", "service", "rclone", "key", "config-password")
	tool(t, env, "another", "store", "--label=other", "service", "rclone", "key", "other")
	got, err := Lookup(t.Context(), u, map[string]string{"service": "rclone", "key": "config-password"})
	if err != nil || got.Reveal() != canary {
		t.Errorf("%q, %v", got.Reveal(), err)
	}
	if _, err := Lookup(t.Context(), u, map[string]string{"service": "rclone"}); !errors.Is(err, ErrAmbiguous) {
		t.Error(err)
	}
	if _, err := Lookup(t.Context(), u, map[string]string{"service": "restic", "key": "x"}); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
	s, err := Open(t.Context(), u)
	if err != nil || !strings.HasPrefix(s.Provider.Program, "gnome-keyring") || s.Provider.PID == 0 {
		t.Fatalf("%v, %v", s.Provider, err)
	}
	s.Close()

	t.Setenv("DBUS_SESSION_BUS_ADDRESS", u.Bus) // go-keyring's
	const vault = "/home/mitsio/MyVault/my.kdbx"
	for range 2 { // the second replaces the first
		if err := Remember(t.Context(), u, vault, kdbx.NewSecret(canary)); err != nil {
			t.Fatal(err)
		}
	}
	if got := tool(t, env, "", "lookup", "service", "movein", "username", vault); got != canary {
		t.Errorf("secret-tool finds %q", got)
	}
	if got, err := Password(t.Context(), u, vault); err != nil || got.Reveal() != canary {
		t.Errorf("%q, %v", got.Reveal(), err)
	}
	for range 2 {
		if err := Forget(t.Context(), u, vault); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Password(t.Context(), u, vault); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
}

// TestGnomeKeyringLocked: a locked keyring is said to be locked, at once.
func TestGnomeKeyringLocked(t *testing.T) {
	u, _ := gnome(t, false)
	start := time.Now()
	_, err := Lookup(t.Context(), u, map[string]string{"service": "rclone", "key": "x"})
	if !errors.Is(err, ErrLocked) || time.Since(start) > time.Second {
		t.Errorf("%v after %s", err, time.Since(start))
	}
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", u.Bus)
	if err := Remember(t.Context(), u, "/v.kdbx", kdbx.NewSecret(canary)); !errors.Is(err, ErrLocked) {
		t.Error(err)
	}
}
