package secret

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"movein/bootstrap/host"
	"movein/bootstrap/host/kdbx"
)

const canary = "canary-Qm7-ä x"

// get is the password that s brings.
func get(t *testing.T, s Sources) (string, error) {
	t.Helper()
	ctx, done := context.WithTimeout(t.Context(), 10*time.Second)
	defer done()
	got, calls := "", 0
	err := s.Unlock(ctx, func(pw kdbx.Secret) error { calls++; got = pw.Reveal(); return nil })
	if calls > 1 {
		t.Errorf("the vault was opened %d times", calls)
	}
	if err != nil && strings.Contains(err.Error(), canary) {
		t.Errorf("the error has the password in it: %v", err)
	}
	return got, err
}

// file writes a file of a test.
func file(t *testing.T, content string, mode os.FileMode) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "pw")
	if err := errors.Join(os.WriteFile(name, []byte(content), 0o600), os.Chmod(name, mode)); err != nil {
		t.Fatal(err)
	}
	return name
}

// piped is the number of a file from which content can be read.
func piped(t *testing.T, content string, end bool) string {
	t.Helper()
	var p [2]int
	if err := unix.Pipe(p[:]); err != nil {
		t.Fatal(err)
	}
	w := os.NewFile(uintptr(p[1]), "w")
	if _, err := io.WriteString(w, content); err != nil {
		t.Fatal(err)
	}
	if end {
		w.Close()
	} else {
		t.Cleanup(func() { w.Close() })
	}
	return strconv.Itoa(p[0])
}

// plain is a host whose commands have the usual programs.
var plain = &host.Real{Env: []string{"PATH=/usr/bin:/bin"}}

func TestFirstLine(t *testing.T) {
	for _, c := range []struct{ content, want, wrong string }{
		{canary, canary, ""},
		{canary + "\n", canary, ""},
		{canary + "\r\nsecond line\n", canary, ""},
		{" a \t\n", " a \t", ""},
		{"", "", "is empty"},
		{"\nsecond\n", "", "is empty"},
		{"\r\n", "", "is empty"},
		{strings.Repeat("x", longest) + "\n", strings.Repeat("x", longest), ""},
		{strings.Repeat("x", longest+1), "", "longer than 65536 bytes"},
	} {
		name := file(t, c.content, 0o600)
		given := map[string]Sources{
			"file":    {File: name},
			"command": {Command: "cat '" + name + "'", Host: plain},
		}
		if len(c.content) < longest { // more than a pipe takes
			given["fd"] = Sources{FD: piped(t, c.content, true)}
		}
		for from, s := range given {
			got, err := get(t, s)
			if got != c.want || (err == nil) != (c.wrong == "") || err != nil && (!strings.Contains(err.Error(), c.wrong) || !errors.Is(err, ErrSource)) {
				t.Errorf("%s with %.20q: %.20q, %v", from, c.content, got, err)
			}
		}
	}
}

// TestLineNotEnd: who writes the line need not close the pipe.
func TestLineNotEnd(t *testing.T) {
	if got, err := get(t, Sources{FD: piped(t, canary+"\nmore", false)}); got != canary || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

func TestFileMode(t *testing.T) {
	for mode, ok := range map[os.FileMode]bool{0o600: true, 0o400: true, 0o640: false, 0o604: false, 0o660: false, 0o644: false, 0o601: false} {
		name := file(t, canary, mode)
		_, err := get(t, Sources{File: name})
		if (err == nil) != ok {
			t.Errorf("mode %o: %v", mode, err)
		}
		if err != nil && !strings.Contains(err.Error(), "chmod 600 "+name) {
			t.Errorf("mode %o: it is not said what to do: %v", mode, err)
		}
	}
	if os.Getuid() == 0 {
		name := file(t, canary, 0o600)
		if err := os.Chown(name, 4242, 4242); err != nil {
			t.Fatal(err)
		}
		if _, err := get(t, Sources{File: name}); err == nil || !strings.Contains(err.Error(), "belongs to user 4242") {
			t.Errorf("the file of another user: %v", err)
		}
		if got, err := get(t, Sources{File: name, Owners: []int{4242}}); got != canary || err != nil {
			t.Errorf("the file of the user whose home it is: %v", err)
		}
	}
}

// TestLinks: links are followed, as those that a shell's <(…) makes.
func TestLinks(t *testing.T) {
	name := file(t, canary, 0o600)
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(name, link); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{link, "/dev/fd/" + piped(t, canary+"\n", true)} {
		if got, err := get(t, Sources{File: name}); got != canary || err != nil {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

// TestGiven: the first source that is given is the one, also if it fails.
func TestGiven(t *testing.T) {
	good := file(t, canary, 0o600)
	other := func(context.Context) (kdbx.Secret, error) { return kdbx.NewSecret("of the keyring"), nil }
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, credential), []byte("of systemd"), 0o440); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		s    Sources
		want string
	}{
		"fd before file":            {Sources{FD: piped(t, "of the fd", true), File: good}, "of the fd"},
		"file before command":       {Sources{File: good, Command: "echo of the command", Host: plain}, canary},
		"command before credential": {Sources{Command: "echo of the command", CredentialsDir: dir, Host: plain}, "of the command"},
		"credential before keyring": {Sources{CredentialsDir: dir, Keyring: other}, "of systemd"},
		"no credential there":       {Sources{CredentialsDir: t.TempDir(), Keyring: other}, "of the keyring"},
		"keyring":                   {Sources{Keyring: other}, "of the keyring"},
		"bad fd":                    {Sources{FD: "997", File: good}, ""},
		"fd that is no number":      {Sources{FD: "x", File: good}, ""},
		"standard output":           {Sources{FD: "1", File: good}, ""},
		"no such file":              {Sources{File: "/nonexistent", Command: "echo x", Host: plain, Keyring: other}, ""},
		"a directory":               {Sources{File: dir, Keyring: other}, ""},
		"a command that fails":      {Sources{Command: "sh -c 'echo " + canary + "; exit 3'", Host: plain, Keyring: other}, ""},
		"a command that is not":     {Sources{Command: "no-such-command", Host: plain, Keyring: other}, ""},
		"nothing of the shell":      {Sources{Command: "echo $HOME; ls", Host: plain}, "$HOME; ls"},
	} {
		got, err := get(t, c.s)
		if got != c.want || (err == nil) != (c.want != "") || err != nil && !errors.Is(err, ErrSource) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

// TestGivenWrong: a wrong password from a source that is given is an error, and nothing else is tried.
func TestGivenWrong(t *testing.T) {
	n := 0
	s := Sources{File: file(t, "wrong", 0o600), Ask: true, tty: "/dev/null",
		Keyring: func(context.Context) (kdbx.Secret, error) {
			t.Error("the keyring was asked")
			return kdbx.Secret{}, nil
		}}
	err := s.Unlock(t.Context(), func(kdbx.Secret) error { n++; return fmt.Errorf("opening: %w", kdbx.ErrWrongKey) })
	if n != 1 || !errors.Is(err, kdbx.ErrWrongKey) {
		t.Errorf("%d tries, %v", n, err)
	}
}

func TestNobody(t *testing.T) {
	locked := errors.New("the keyring is locked")
	for name, c := range map[string]struct {
		s    Sources
		want error
	}{
		"nothing":           {Sources{}, ErrNoPassword},
		"asking is not on":  {Sources{Askpass: "/bin/echo"}, ErrNoPassword},
		"no terminal":       {Sources{Ask: true, tty: "/nonexistent"}, ErrNoPassword},
		"a locked keyring":  {Sources{Keyring: func(context.Context) (kdbx.Secret, error) { return kdbx.Secret{}, locked }}, locked},
		"an outdated entry": {Sources{Keyring: func(context.Context) (kdbx.Secret, error) { return kdbx.NewSecret("old"), nil }}, kdbx.ErrWrongKey},
	} {
		err := c.s.Unlock(t.Context(), func(kdbx.Secret) error { return kdbx.ErrWrongKey })
		if !errors.Is(err, ErrNoPassword) || !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestBroken: a vault that is damaged is not one whose password is asked for again.
func TestBroken(t *testing.T) {
	n := 0
	s := Sources{Ask: true, Keyring: func(context.Context) (kdbx.Secret, error) { return kdbx.NewSecret("x"), nil }}
	err := s.Unlock(t.Context(), func(kdbx.Secret) error { n++; return kdbx.ErrCorrupt })
	if n != 1 || !errors.Is(err, kdbx.ErrCorrupt) || errors.Is(err, ErrNoPassword) {
		t.Errorf("%d, %v", n, err)
	}
}

// TestCancel: a source that never says anything is not waited for when the run is interrupted.
func TestCancel(t *testing.T) {
	stop := errors.New("interrupted")
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]Sources{
		"fd":      {FD: piped(t, "no end", false)},
		"fifo":    {File: fifo},
		"command": {Command: "sleep 100", Host: plain},
	} {
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(50*time.Millisecond, func() { cancel(stop) })
		if err := s.Unlock(ctx, func(kdbx.Secret) error { return nil }); !errors.Is(err, stop) {
			t.Errorf("%s: %v", name, err)
		}
	}
	w, err := os.OpenFile(fifo, os.O_RDWR, 0) // lets the reader go
	if err == nil {
		w.Close()
	}
}

func TestAskpass(t *testing.T) {
	prog := filepath.Join(t.TempDir(), "askpass")
	for _, c := range []struct {
		script, want string
		err          error
	}{
		{"echo \"$1\"", "Master password of my.kdbx (empty: later): ", nil},
		{"exit 1", "", ErrLater},
		{"echo", "", ErrLater},
		{"echo " + canary + "; exit 5", "", ErrSource},
	} {
		if err := os.WriteFile(prog, []byte("#!/bin/sh\n"+c.script+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		got, err := get(t, Sources{Ask: true, tty: "/nonexistent", Askpass: prog, Host: plain, Vault: "/x/my.kdbx"})
		if got != c.want || !errors.Is(err, c.err) {
			t.Errorf("%s: %q, %v", c.script, got, err)
		}
	}
}

// terminal is a terminal: what is typed at it, and its name.
func terminal(t *testing.T) (*os.File, string) {
	t.Helper()
	m, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { m.Close() })
	n, err := unix.IoctlGetInt(int(m.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(m.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	name := "/dev/pts/" + strconv.Itoa(n)
	keep, err := os.OpenFile(name, os.O_RDWR|unix.O_NOCTTY, 0) // else it hangs up between questions
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { keep.Close() })
	return m, name
}

// await reads from a terminal until it has shown text.
func await(t *testing.T, m *os.File, text string) string {
	t.Helper()
	var shown strings.Builder
	buf := make([]byte, 256)
	for !strings.Contains(shown.String(), text) {
		n, err := m.Read(buf)
		if err != nil {
			t.Fatalf("%v after %q", err, shown.String())
		}
		shown.Write(buf[:n])
	}
	return shown.String()
}

// echo reports whether what is typed is shown.
func echo(t *testing.T, name string) bool {
	t.Helper()
	f, err := os.OpenFile(name, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return s.Lflag&unix.ECHO != 0
}

// TestTerminal: a wrong password is asked for again, three times in all, and nothing typed is shown.
func TestTerminal(t *testing.T) {
	m, name := terminal(t)
	for _, c := range []struct {
		typed []string
		err   error
	}{
		{[]string{"wrong", canary}, nil},
		{[]string{"wrong", "worse", canary}, nil},
		{[]string{"wrong", "worse", "bad"}, kdbx.ErrWrongKey},
		{[]string{"wrong", ""}, ErrLater},
		{[]string{""}, ErrLater},
	} {
		asked, end := 0, make(chan error, 1)
		s := Sources{Ask: true, tty: name, Vault: "my.kdbx", Asking: func() { asked++ }}
		go func() {
			end <- s.Unlock(t.Context(), func(pw kdbx.Secret) error {
				if pw.Reveal() != canary {
					return kdbx.ErrWrongKey
				}
				return nil
			})
		}()
		for i, typed := range c.typed {
			want := "Master password of my.kdbx (empty: later): "
			if i > 0 {
				want = fmt.Sprintf("Master password (%d of 3): ", i+1)
			}
			shown := await(t, m, want)
			if i > 0 && c.typed[i-1] != "" && strings.Contains(shown, c.typed[i-1]) {
				t.Errorf("the password was shown: %q", shown)
			}
			for echo(t, name) { // the prompt comes first
				time.Sleep(time.Millisecond)
			}
			m.WriteString(typed + "\n")
		}
		if err := <-end; !errors.Is(err, c.err) {
			t.Errorf("%q: %v, want %v", c.typed, err, c.err)
		}
		if asked != 1 {
			t.Errorf("%q: told %d times that somebody is asked", c.typed, asked)
		}
		if !echo(t, name) {
			t.Errorf("%q: the terminal is left without echo", c.typed)
		}
	}
}

// TestInterruptedPrompt: an interrupted prompt leaves the terminal as it was.
func TestInterruptedPrompt(t *testing.T) {
	m, name := terminal(t)
	stop := errors.New("interrupted")
	ctx, cancel := context.WithCancelCause(t.Context())
	end := make(chan error, 1)
	go func() {
		end <- Sources{Ask: true, tty: name}.Unlock(ctx, func(kdbx.Secret) error { return nil })
	}()
	await(t, m, "later): ")
	for echo(t, name) {
		time.Sleep(time.Millisecond)
	}
	cancel(stop)
	if err := <-end; !errors.Is(err, stop) {
		t.Error(err)
	}
	if !echo(t, name) {
		t.Error("the terminal is left without echo")
	}
	m.WriteString("\n") // lets the reader go
}

func TestSplit(t *testing.T) {
	for command, want := range map[string]string{
		"pass show vault":          "pass|show|vault",
		"  a\tb\n c ":              "a|b|c",
		`sh -c 'a "b" \ $c'`:       `sh|-c|a "b" \ $c`,
		`a "b c" d\ e "\"\\\x" ''`: `a|b c|d e|"\\x|`,
		`x'y'"z"`:                  "xyz",
		`'open`:                    "error",
		`"open`:                    "error",
		`end\`:                     "error",
		"":                         "error",
		"''":                       "error",
	} {
		got, err := Split(command)
		if text := strings.Join(got, "|"); err == nil && text != want || (err != nil) != (want == "error") {
			t.Errorf("%s: %q, %v", command, text, err)
		}
	}
}
