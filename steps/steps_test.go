package steps

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"unicode"

	"movein/bootstrap"
	"movein/bootstrap/host"
	"movein/bootstrap/host/hosttest"
	"movein/distro"
)

// files is what a host has, as hosttest.New takes it.
type files = map[string]string

// with puts maps of files together; a later one wins.
func with(all ...files) files {
	out := files{}
	for _, f := range all {
		maps.Copy(out, f)
	}
	return out
}

// storePath is a store path with a made-up hash.
func storePath(c byte, name string) string {
	return nixStore + "/" + strings.Repeat(string(c), 32) + "-" + name
}

var (
	theNix  = storePath('a', "nix-2.34.7")
	theEnv  = storePath('b', "user-environment")
	theCert = storePath('c', "nss-cacert-3.98")
)

// testFacts are those of a plain host with systemd.
func testFacts() *distro.Facts {
	return &distro.Facts{
		ID: "debian", PrettyName: "Debian", Platform: distro.Generic, Init: "systemd", Systemd: true, Packages: "apt",
		System: "x86_64-linux", Arch: "amd64", RAM: 8 << 30, Hostname: "desk.example.org", FQDN: "desk.example.org", Short: "desk",
	}
}

// testConfig is what ann wants.
func testConfig() *Config {
	return &Config{
		User: "ann", UID: 1000, GID: 1000, Home: "/home/ann", Host: "desk.example.org",
		ConfigHome: "/home/ann/.config", DataHome: "/home/ann/.local/share", StateHome: "/home/ann/.local/state", CacheHome: "/home/ann/.cache",
		HomeRepo: "https://example.org/ann/home.git", OnDiverged: "keep", NixSource: "auto",
	}
}

const buildPasswd = "root:x:0:0::/root:/bin/sh\nnixbld1:x:30001:30000::/var/empty:/bin/false\nnixbld2:x:30002:30000::/var/empty:/bin/false\n"

// nixFiles are a healthy Nix of the official installer.
func nixFiles() files {
	return files{
		theNix + "/bin/nix":        "!0755 nix",
		theNix + "/bin/nix-daemon": "!0755 nix-daemon",
		theEnv + "/bin/nix":        "-> " + theNix + "/bin/nix",
		theEnv + "/manifest.nix":   "[]",
		defaultProfile:             "-> default-1-link",
		defaultProfile + "-1-link": "-> " + theEnv,
		nixDB + "/db.sqlite":       "SQLite format 3\x00",
		nixDB + "/schema":          "10",
		"/etc/group":               "root:x:0:\nnixbld:x:30000:nixbld1,nixbld2\n",
		"/etc/passwd":              buildPasswd,
	}
}

// answering is a daemon that knows every path.
func answering(string, []string) (host.Daemon, error) {
	return host.Daemon{Protocol: "1.38", Version: "2.34.7"}, nil
}

func silent(socket string, _ []string) (host.Daemon, error) {
	return host.Daemon{}, &net.OpError{Op: "dial", Net: "unix", Addr: &net.UnixAddr{Name: socket, Net: "unix"}, Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
}

// plan plans, and fails the test if that changes a file.
func plan(t *testing.T, h *hosttest.Host, s bootstrap.Step) (bootstrap.Change, error) {
	t.Helper()
	before, done := h.Tree(), len(h.Log())
	c, err := s.Plan(context.Background(), h.View())
	if h.Tree() != before {
		t.Errorf("Plan changed files: %q", h.Log()[done:])
	}
	return c, err
}

// planned is the plan as text: verb and target of each action.
func planned(t *testing.T, h *hosttest.Host, s bootstrap.Step) string {
	t.Helper()
	c, err := plan(t, h, s)
	if err != nil {
		t.Fatalf("Plan: %v", err)
	}
	var out []string
	for _, a := range c {
		out = append(out, a.Verb+" "+a.Target)
	}
	return strings.Join(out, "; ")
}

// nothingToDo fails the test unless Plan is empty and ran no command.
func nothingToDo(t *testing.T, h *hosttest.Host, s bootstrap.Step) {
	t.Helper()
	before := len(h.Calls())
	if c, err := plan(t, h, s); err != nil || len(c) > 0 {
		t.Errorf("Plan of what is present: %v, %v", c, err)
	}
	if calls := h.Calls()[before:]; len(calls) > 0 {
		t.Errorf("Plan of what is present ran %q", calls)
	}
}

// apply applies what is planned.
func apply(t *testing.T, h *hosttest.Host, s bootstrap.Step) error {
	t.Helper()
	c, err := plan(t, h, s)
	if err != nil {
		return err
	}
	return s.Apply(context.Background(), h, c)
}

// converges fails the test unless there is something to do and afterwards nothing.
func converges(t *testing.T, h *hosttest.Host, s bootstrap.Step) {
	t.Helper()
	if planned(t, h, s) == "" {
		t.Error("Plan finds nothing to do")
	}
	if err := apply(t, h, s); err != nil {
		t.Fatalf("Apply: %v", err)
	}
	if left := planned(t, h, s); left != "" {
		t.Errorf("left after Apply: %s", left)
	}
}

// survivesPowerCuts applies the step again and again, each time cut off after one change
// more, on a fresh host each; check looks at what the cut left, and a second
// run must end well. With -short, after every third change only.
func survivesPowerCuts(t *testing.T, fresh func() *hosttest.Host, s bootstrap.Step, check func(h *hosttest.Host)) {
	t.Helper()
	cut := errors.New("power cut")
	stride := 1
	if testing.Short() {
		stride = 3
	}
	for n := 0; ; n += stride {
		h, left, done := fresh(), n, true
		h.Lax = true // what the first run did, the second need not
		h.Fail = func(op, _ string) error {
			if strings.HasPrefix(op, "read") || op == "lstat" {
				if !done {
					return cut
				}
				return nil
			}
			if left--; left < 0 {
				done = false
				return cut
			}
			return nil
		}
		err := s.Apply(context.Background(), h, nil)
		h.Fail = nil
		if check != nil {
			check(h)
		}
		if done {
			if err != nil {
				t.Errorf("Apply without a cut: %v", err)
			}
			return
		}
		if err := apply(t, h, s); err != nil {
			t.Errorf("the run after a cut at change %d: %v", n, err)
		}
		if left := planned(t, h, s); left != "" {
			t.Errorf("left by the run after a cut at change %d: %s", n, left)
		}
	}
}

// refuses fails the test unless err has the exit code, a hint, the style of our
// errors, and all the words.
func refuses(t *testing.T, err error, code int, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	if got := bootstrap.ExitCode(err); got != code {
		t.Errorf("exit code %d, want %d: %v", got, code, err)
	}
	if bootstrap.HintOf(err) == "" {
		t.Errorf("no hint: %v", err)
	}
	text := err.Error()
	if first := []rune(text)[0]; unicode.IsUpper(first) || strings.HasSuffix(text, ".") || strings.HasPrefix(text, "failed") {
		t.Errorf("not in the style of our errors: %s", text)
	}
	for _, w := range words {
		if !strings.Contains(text+" "+bootstrap.HintOf(err), w) {
			t.Errorf("%q is in neither the error nor its hint: %s (%s)", w, text, bootstrap.HintOf(err))
		}
	}
}

// skips fails the test unless Plan says Skip.
func skips(t *testing.T, h *hosttest.Host, s bootstrap.Step) {
	t.Helper()
	_, err := plan(t, h, s)
	if _, ok := errors.AsType[bootstrap.Skip](err); !ok {
		t.Errorf("want a Skip, got %v", err)
	}
}

// inOrder fails the test unless the log has these lines, by their beginnings, in this order.
func inOrder(t *testing.T, log []string, prefixes ...string) {
	t.Helper()
	rest := log
	for _, p := range prefixes {
		i := slices.IndexFunc(rest, func(line string) bool { return strings.HasPrefix(line, p) })
		if i < 0 {
			t.Fatalf("%q is not there, or not in the order %q:\n%s", p, prefixes, strings.Join(log, "\n"))
		}
		rest = rest[i+1:]
	}
}

// denied makes a Fail that denies one operation on one name.
func denied(op, name string, err error) func(string, string) error {
	return func(o, n string) error {
		if o == op && n == name {
			return &fs.PathError{Op: o, Path: n, Err: err}
		}
		return nil
	}
}

func TestStepsComeAfterTheirNeedsAndNamesAreUnique(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range All(testFacts(), testConfig()) {
		info := s.Info()
		if seen[info.Name] || info.Name == "" || info.Title == "" {
			t.Errorf("%+v is there twice, or has no name or title", info)
		}
		for _, need := range info.Needs {
			if !seen[need] {
				t.Errorf("%s comes before %s, which it needs", info.Name, need)
			}
		}
		seen[info.Name] = true
	}
}
