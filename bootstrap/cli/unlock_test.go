package cli

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"movein/bootstrap"
	"movein/bootstrap/host/kdbx"
	"movein/bootstrap/host/keyring"
	"movein/bootstrap/host/secret"
)

// owned is a session of apply, in a home of its own with a vault in it.
func owned(t *testing.T, args ...string) (s *session, io *IO, out *bytes.Buffer) {
	t.Helper()
	home := t.TempDir()
	data, err := os.ReadFile("../host/secret/testdata/my.kdbx")
	if err := errors.Join(err, os.Mkdir(home+"/MyVault", 0o700), os.Mkdir(home+"/run", 0o700), os.WriteFile(home+"/MyVault/my.kdbx", data, 0o600),
		os.WriteFile(home+"/pw", []byte("open sesame\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	out = new(bytes.Buffer)
	io = &IO{In: strings.NewReader(""), Out: out, Err: out, Dir: home, EUID: os.Geteuid(),
		Environ: []string{"HOME=" + home, "XDG_RUNTIME_DIR=" + home + "/run", "PATH=/usr/bin:/bin", "DBUS_SESSION_BUS_ADDRESS=unix:path=" + home + "/nobus"}}
	cmd := newApply(io)
	s = &session{io: io}
	cmd.ResetFlags()
	s.addFlags(cmd.Flags())
	if err := cmd.ParseFlags(append([]string{"--dotfiles", home + "/dotfiles", "--yes"}, args...)); err != nil {
		t.Fatal(err)
	}
	if err := s.load(cmd, []string{home + "/repo"}, true); err != nil {
		t.Fatal(err)
	}
	return s, io, out
}

// TestOpenVault: in a run the vault is open for chezmoi and for secret get, and nobody is asked again.
func TestOpenVault(t *testing.T) {
	s, io, out := owned(t)
	s.secrets.file = filepath.Join(s.config.Home, "pw")
	s.flags.Set("password-file", s.secrets.file)
	secrets, lock, err := s.openVault(t.Context(), func(bootstrap.Event) {})
	if secrets != "ok" || err != nil {
		t.Fatalf("%q, %v", secrets, err)
	}
	if info, err := os.Stat(filepath.Join(s.config.Shims, secret.Shim)); err != nil || info.IsDir() {
		t.Errorf("no %s: %v", secret.Shim, err)
	}
	if code := Main([]string{"secret", "get", "rclone", "config-password", "--yes"}, io); code != 0 || out.String() != "canary-rclone-\"1\" ü" {
		t.Errorf("%d, %q", code, out)
	}
	if got := s.known.String("it is canary-rclone-\"1\" ü"); strings.Contains(got, "canary") {
		t.Errorf("what was handed out would be told: %s", got)
	}
	out.Reset()
	if code := Main([]string{"secret", "get", "rclone", "nothing", "--yes"}, io); code != 1 || !strings.Contains(out.String(), "not in the vault") {
		t.Errorf("%d, %q", code, out)
	}
	out.Reset()
	io.Name = secret.Shim
	vault := s.config.Home + "/MyVault/my.kdbx"
	if code := Main([]string{"show", vault, "--quiet", "--show-protected", "top"}, io); code != 0 || !strings.Contains(out.String(), "Password: canary-top\n") {
		t.Errorf("%d, %q", code, out)
	}
	lock()
	out.Reset()
	if code := Main([]string{"show", vault, "--quiet", "--show-protected", "top"}, io); code != 1 || strings.Contains(out.String(), "canary") {
		t.Errorf("after the run: %d, %q", code, out)
	}
}

// TestVaultInRun: locked is not failed, and what was said and is wrong is.
func TestVaultInRun(t *testing.T) {
	for name, c := range map[string]struct {
		args    []string
		secrets string
		code    int
	}{
		"nobody to ask":        {nil, "missing", 0},
		"none":                 {[]string{"--vault", "none"}, "none", 0},
		"no dotfiles":          {[]string{"--dotfiles", "none"}, "", 0},
		"without":              {[]string{"--without-secrets"}, "missing", 0},
		"a vault is named":     {[]string{"--vault", "~/MyVault"}, "missing", 77},
		"no such vault":        {[]string{"--vault", "/nowhere"}, "missing", 78},
		"a wrong password":     {[]string{"--password-command", "echo wrong"}, "missing", 77},
		"no such file":         {[]string{"--password-file", "/nowhere"}, "missing", 77},
		"a good one":           {[]string{"--password-command", "echo open sesame"}, "ok", 0},
		"a key file not there": {[]string{"--key-file", "/nowhere"}, "missing", 78},
	} {
		s, _, _ := owned(t, c.args...)
		told := ""
		secrets, lock, err := s.openVault(t.Context(), func(e bootstrap.Event) { told += e.Reason })
		if secrets != c.secrets || bootstrap.ExitCode(err) != c.code || err != nil && bootstrap.HintOf(err) == "" {
			t.Errorf("%s: %q, %v (%d, %s)", name, secrets, err, bootstrap.ExitCode(err), bootstrap.HintOf(err))
		}
		if (name == "nobody to ask") != strings.Contains(told, "--without-secrets") {
			t.Errorf("%s: told %q", name, told)
		}
		if s.config.Refresh != (c.secrets == "ok") {
			t.Errorf("%s: chezmoi is to be asked again: %v", name, s.config.Refresh)
		}
		if (c.secrets == "ok") != (s.config.Shims != "") {
			t.Errorf("%s: chezmoi's path has %q", name, s.config.Shims)
		}
		lock()
	}
	s, _, _ := owned(t)
	os.Remove(s.config.Home + "/MyVault/my.kdbx")
	if secrets, _, err := s.openVault(t.Context(), func(bootstrap.Event) {}); secrets != "none" || err != nil {
		t.Errorf("no vault anywhere: %q, %v", secrets, err)
	}
	s.opt.dryRun = true
	if secrets, _, err := s.openVault(t.Context(), func(bootstrap.Event) {}); secrets != "" || err != nil {
		t.Errorf("a plan: %q, %v", secrets, err)
	}
}

// What could not be handed on is remembered by the user's half, which is to open the vault for it.
func TestRootHasTheVaultOpenedForWhatTheUserLacks(t *testing.T) {
	for unhanded, want := range map[string]bool{"": false, "forge": true} {
		s, _, _ := owned(t, "--dotfiles", "none")
		s.view.Remember("unhanded", []byte(unhanded))
		s.io.EUID++
		s.lookAround()
		if _, _, err := s.openVault(t.Context(), func(bootstrap.Event) {}); err != nil || (s.vaultFor != nil) != want {
			t.Errorf("%q: %v, %v", unhanded, s.vaultFor, err)
		}
	}
}

// TestExplainSecret: each error has its exit code and says what to do.
func TestExplainSecret(t *testing.T) {
	for err, code := range map[error]int{
		secret.ErrNoPassword: 77, secret.ErrLater: 77, secret.ErrSource: 77, kdbx.ErrWrongKey: 77, keyring.ErrLocked: 77, keyring.ErrSilent: 77,
		keyring.ErrNoBus: 77, secret.ErrNoVault: 78, &secret.SeveralError{Names: []string{"a"}}: 78, &secret.UnconfirmedError{}: 78,
		kdbx.ErrNotVault: 1, kdbx.ErrTruncated: 1, kdbx.ErrNotFound: 1, keyring.ErrWrongItem: 1, os.ErrNotExist: 78,
	} {
		got := explainSecret(err)
		if bootstrap.ExitCode(got) != code || bootstrap.HintOf(got) == "" || !errors.Is(got, err) {
			t.Errorf("%v: %d, %q", err, bootstrap.ExitCode(got), bootstrap.HintOf(got))
		}
	}
	if explainSecret(nil) != nil {
		t.Error("no error is one")
	}
}
