// Package hosttest is a host for tests of steps. Its files are real ones below a
// temporary directory, written by the real code, so that links, modes and atomic
// writes are what they are on a machine. Everything else is scripted: commands,
// the network, git, the Nix daemon, space, owners and the clock. What is not
// scripted and asked for all the same fails the test, and so does a command's
// answer that nothing asked for.
package hosttest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"movein/bootstrap/host"
	"movein/bootstrap/host/bundle"
)

// Answer is what a scripted command does and says.
type Answer func(host.Cmd) (host.Result, error)

// Host implements host.Host. Its fields may be set at any time before they are needed.
type Host struct {
	Path   []string       // where LookPath looks; "/usr/bin" and the like unless set
	Owners map[string]int // user id by name, for it and all below; 0 for what is not in it. Own puts in what it sets
	Space  int64          // what Free says
	Boot   string         // what BootID says
	Clock  func() time.Time
	Lax    bool // answers that nothing asks for are no failure

	Secrets map[string]string // values by entry, or key
	Locked  bool              // they can only be had by asking
	Held    map[string]string // what was handed on, by "KIND NAME"

	// Fail is asked before each operation on files and each command, with the
	// operation ("readfile", "readhead", "lstat", "readlink", "readdir", "write", "mkdir",
	// "symlink", "rename", "own", "remove", "look", "keep", "putback", "takeaway", "run") and the name; an error stands
	// for the operation. For denials, full disks and power cuts.
	Fail func(op, name string) error

	OnTip          func(host.Remote) (host.Tip, error)
	OnServerTime   func(url string) (time.Time, error)
	OnRepo         func(dir string) (host.Repo, error)
	OnDaemon       func(socket string, paths []string) (host.Daemon, error)
	OnFetch        func(url, sha256, file string) error
	OnClone        func(r host.Remote, dir string) error
	OnFastForward  func(dir string, r host.Remote, commit string) error
	OnAttach       func(dir, branch string) error
	OnBundle       func(dir, into string, reuse []string) (string, error)
	OnBundleBranch func(dir, file string) error
	OnUnbundle     func(b bundle.File, name, to string) error
	OnUnpack       func(archive, sha256, dir string) error
	OnExtract      func(archive, sha256, name, file string) error
	OnSpawn        func(cmd host.Cmd, log string) error

	t    testing.TB
	real *host.Real
	root string

	mu       sync.Mutex
	now      time.Time
	answers  map[string]*answer
	memory   map[string][]byte
	log      []string
	warnings []string
}

type answer struct {
	f    Answer
	read bool // may answer Query
	used bool
}

var _ host.Host = (*Host)(nil)

// New makes a host with these files, by absolute name. A value is a file's text;
// "!0755 text" is one with that mode, "-> target" a symlink, and a name that ends
// in "/" a directory. Parents are made.
func New(t testing.TB, files map[string]string) *Host {
	t.Helper()
	root := t.TempDir()
	h := &Host{
		Path:   []string{"/nix/var/nix/profiles/default/bin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"},
		Owners: map[string]int{}, Space: 100 << 30, Boot: "boot-1",
		t: t, real: &host.Real{Root: root}, root: root,
		now:     time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		answers: map[string]*answer{}, memory: map[string][]byte{},
	}
	t.Cleanup(h.finish)
	for name, text := range files {
		h.Put(name, text)
	}
	return h
}

// finish looks for answers that were not used, and makes everything removable.
func (h *Host) finish() {
	for prefix, a := range h.answers {
		if !a.used && !h.Lax {
			h.t.Errorf("no command began with %q", prefix)
		}
	}
	filepath.WalkDir(h.root, func(name string, d fs.DirEntry, err error) error { //nolint:errcheck // TempDir complains
		if err == nil && d.IsDir() {
			err = os.Chmod(name, 0o700)
		}
		return err
	})
}

// Put makes a file, link or directory as New does, in place of what is there.
func (h *Host) Put(name, text string) {
	h.t.Helper()
	err := h.real.MkdirAll(filepath.Dir(strings.TrimSuffix(name, "/")), 0o755)
	mode := fs.FileMode(0o644)
	if rest, ok := strings.CutPrefix(text, "!"); ok {
		digits, after, _ := strings.Cut(rest, " ")
		if n, perr := strconv.ParseUint(digits, 8, 12); perr == nil {
			mode, text = fs.FileMode(n), after
		}
	}
	target, link := strings.CutPrefix(text, "-> ")
	switch {
	case err != nil:
	case strings.HasSuffix(name, "/"):
		err = h.real.MkdirAll(name, 0o755)
	case link:
		err = errors.Join(h.real.Remove(name), h.real.Symlink(target, name))
	default:
		err = h.real.WriteFile(name, []byte(text), mode)
	}
	if err != nil {
		h.t.Fatalf("making %s: %v", name, err)
	}
}

// Real is where a file is for real.
func (h *Host) Real(name string) string { return filepath.Join(h.root, name) }

// Text is the text of a file, links followed; "" and a failed test if it cannot be read.
func (h *Host) Text(name string) string {
	h.t.Helper()
	data, err := h.real.ReadFile(name)
	if err != nil {
		h.t.Errorf("reading: %v", err)
	}
	return string(data)
}

// On answers the commands that begin with prefix, words joined by single
// spaces, when they are run to change something. The longest prefix wins.
func (h *Host) On(prefix string, f Answer) { h.answers[prefix] = &answer{f: f} }

// OnQuery answers like On, commands that only read: Query takes no others.
func (h *Host) OnQuery(prefix string, f Answer) { h.answers[prefix] = &answer{f: f, read: true} }

// Says is an answer that ends well with this on standard output.
func Says(stdout string) Answer {
	return func(host.Cmd) (host.Result, error) { return host.Result{Stdout: []byte(stdout)}, nil }
}

// Fails is an answer that ends with this code and this on standard error.
func Fails(code int, stderr string) Answer {
	return func(c host.Cmd) (host.Result, error) {
		return host.Result{Stderr: []byte(stderr), Code: code},
			&host.CommandError{Args: c.Args, Code: code, Stderr: stderr, Err: fmt.Errorf("exit status %d", code)}
	}
}

// View is the host without its methods that change something, also not by a type assertion.
func (h *Host) View() host.View { return struct{ host.View }{h} }

// Log is everything that was done so far, in order: "write NAME", "mkdir NAME",
// "symlink NAME -> TARGET", "rename FROM -> TO", "own NAME", "remove NAME", "keep NAME", "putback NAME", "takeaway NAME", "run ARGS", "query ARGS",
// "spawn ARGS", "fetch URL", "unpack ARCHIVE", "extract ARCHIVE", "clone DIR", "fast-forward DIR", "attach DIR",
// "bundle DIR".
func (h *Host) Log() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.log)
}

// Calls are the commands in Log, and what was spawned.
func (h *Host) Calls() []string {
	return slices.DeleteFunc(h.Log(), func(line string) bool {
		verb, _, _ := strings.Cut(line, " ")
		return verb != "run" && verb != "query" && verb != "spawn"
	})
}

// Warnings is what was told by Warn.
func (h *Host) Warnings() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.warnings)
}

// Forget empties Log and Warnings.
func (h *Host) Forget() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.log, h.warnings = nil, nil
}

func (h *Host) note(format string, a ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.log = append(h.log, fmt.Sprintf(format, a...))
}

// unexpected fails the test; the step gets an error besides.
func (h *Host) unexpected(format string, a ...any) error {
	err := fmt.Errorf("unexpected: "+format, a...)
	h.t.Error(err)
	return err
}

// LookPath implements host.Commands: it looks in the directories of Path.
func (h *Host) LookPath(name string) (string, error) {
	if strings.Contains(name, "/") {
		return name, nil
	}
	for _, dir := range h.Path {
		file := filepath.Join(dir, name)
		if _, err := h.real.ReadHead(file, 0); err == nil {
			return file, nil
		}
	}
	return "", &exec.Error{Name: name, Err: exec.ErrNotFound}
}

// Query implements host.Commands.
func (h *Host) Query(ctx context.Context, c *host.Cmd) (host.Result, error) {
	return h.command(ctx, c, "query")
}

// Run implements host.Runner.
func (h *Host) Run(ctx context.Context, c *host.Cmd) (host.Result, error) {
	return h.command(ctx, c, "run")
}

func (h *Host) command(ctx context.Context, c *host.Cmd, verb string) (host.Result, error) {
	line := strings.Join(c.Args, " ")
	if len(c.Args) == 0 {
		return host.Result{Code: 127}, h.unexpected("%s of a command without arguments", verb)
	}
	h.note("%s %s", verb, line)
	if ctx.Err() != nil {
		return host.Result{Code: -1}, &host.CommandError{Args: c.Args, Code: -1, Err: context.Cause(ctx)}
	}
	if err := h.fail("run", line); err != nil {
		return host.Result{Code: 1}, &host.CommandError{Args: c.Args, Code: 1, Err: err}
	}
	best, a := "", (*answer)(nil)
	for prefix, candidate := range h.answers {
		if strings.HasPrefix(line, prefix) && (a == nil || len(prefix) > len(best)) {
			best, a = prefix, candidate
		}
	}
	if a == nil {
		return host.Result{Code: 127}, &host.CommandError{Args: c.Args, Code: 127, Err: h.unexpected("%s %s", verb, line)}
	}
	a.used = true
	if verb == "query" && !a.read {
		return host.Result{Code: 127}, h.unexpected("query of a command that changes the host: %s", line)
	}
	return a.f(*c)
}
