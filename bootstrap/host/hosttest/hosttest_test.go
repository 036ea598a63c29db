package hosttest_test

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"testing"

	"movein/bootstrap/host"
	"movein/bootstrap/host/bundle"
	"movein/bootstrap/host/hosttest"
)

// record takes what a test would say, so that a test can be seen to fail.
type record struct {
	testing.TB
	said     []string
	cleanups []func()
}

func (r *record) Error(a ...any)                 { r.said = append(r.said, a[0].(error).Error()) }
func (r *record) Errorf(format string, a ...any) { r.said = append(r.said, format) }
func (r *record) Cleanup(f func())               { r.cleanups = append(r.cleanups, f) }

func TestFilesAreMadeAsTheyAreWritten(t *testing.T) {
	h := hosttest.New(t, map[string]string{
		"/etc/nix/nix.conf": "a = b\n", "/bin/nix": "!0755 #!/bin/sh\n", "/etc/link": "-> /etc/nix", "/empty/": "",
	})
	const want = `-rw-r--r-- /etc/nix/nix.conf "a = b\n" <nil>`
	if !strings.Contains(h.Tree(), want) {
		t.Errorf("tree lacks %s:\n%s", want, h.Tree())
	}
	if data, err := h.ReadFile("/etc/link/nix.conf"); err != nil || string(data) != "a = b\n" {
		t.Errorf("read through an absolute link: %q, %v", data, err)
	}
	if info, err := h.Lstat("/bin/nix"); err != nil || info.Mode() != 0o755 {
		t.Errorf("mode: %v, %v", info, err)
	}
	if info, err := h.Lstat("/empty"); err != nil || !info.IsDir() {
		t.Errorf("directory: %v, %v", info, err)
	}
}

func TestUnscriptedCallsFailTheTest(t *testing.T) {
	ctx := context.Background()
	for name, call := range map[string]func(h *hosttest.Host) error{
		"run":                func(h *hosttest.Host) error { _, err := h.Run(ctx, &host.Cmd{Args: []string{"rm"}}); return err },
		"query":              func(h *hosttest.Host) error { _, err := h.Query(ctx, &host.Cmd{Args: []string{"ls"}}); return err },
		"tip":                func(h *hosttest.Host) error { _, err := h.Tip(ctx, host.Remote{}); return err },
		"server time":        func(h *hosttest.Host) error { _, err := h.ServerTime(ctx, ""); return err },
		"repo":               func(h *hosttest.Host) error { _, err := h.Repo(ctx, "/r"); return err },
		"daemon":             func(h *hosttest.Host) error { _, err := h.Daemon(ctx, "/s"); return err },
		"fetch":              func(h *hosttest.Host) error { return h.Fetch(ctx, "", "", "") },
		"clone":              func(h *hosttest.Host) error { return h.Clone(ctx, host.Remote{}, "") },
		"fast-forward":       func(h *hosttest.Host) error { return h.FastForward(ctx, "", host.Remote{}, "") },
		"attach":             func(h *hosttest.Host) error { return h.Attach(ctx, "", "") },
		"bundle":             func(h *hosttest.Host) error { _, err := h.Bundle(ctx, "", "", nil); return err },
		"bundle of a branch": func(h *hosttest.Host) error { return h.BundleBranch(ctx, "", "") },
		"unbundle":           func(h *hosttest.Host) error { return h.Unbundle(ctx, bundle.File{}, "", "") },
		"unpack":             func(h *hosttest.Host) error { return h.Unpack(ctx, "", "", "") },
		"extract":            func(h *hosttest.Host) error { return h.Extract(ctx, "", "", "", "") },
		"spawn":              func(h *hosttest.Host) error { return h.Spawn(&host.Cmd{Args: []string{"d"}}, "") },
	} {
		r := &record{TB: t}
		if err := call(hosttest.New(r, nil)); err == nil || len(r.said) != 1 {
			t.Errorf("%s: error %v, test was told %q", name, err, r.said)
		}
	}
}

func TestUnusedAnswersFailTheTest(t *testing.T) {
	r := &record{TB: t}
	h := hosttest.New(r, nil)
	h.On("systemctl start", hosttest.Says(""))
	h.On("systemctl", hosttest.Says(""))
	if _, err := h.Run(context.Background(), &host.Cmd{Args: []string{"systemctl", "start", "x"}}); err != nil {
		t.Fatal(err)
	}
	for _, f := range r.cleanups {
		f()
	}
	if len(r.said) != 1 {
		t.Errorf("the longest prefix answers and the other is unused; the test was told %q", r.said)
	}
}

func TestAViewChangesNothing(t *testing.T) {
	r := &record{TB: t}
	h := hosttest.New(r, nil)
	h.On("nix build", hosttest.Says(""))
	h.OnQuery("nix eval", hosttest.Says("1"))
	v := h.View()
	if _, ok := v.(host.Runner); ok {
		t.Error("a View can be made a Runner")
	}
	if _, ok := v.(host.Writer); ok {
		t.Error("a View can be made a Writer")
	}
	if _, err := v.Query(context.Background(), &host.Cmd{Args: []string{"nix", "build"}}); err == nil || len(r.said) != 1 {
		t.Errorf("a query of a command that changes: error %v, test was told %q", err, r.said)
	}
	if res, err := v.Query(context.Background(), &host.Cmd{Args: []string{"nix", "eval"}}); err != nil || string(res.Stdout) != "1" {
		t.Errorf("a query: %q, %v", res.Stdout, err)
	}
}

func TestFailStandsForTheOperation(t *testing.T) {
	h := hosttest.New(t, map[string]string{"/a": "1"})
	h.Fail = func(op, name string) error {
		if op == "write" || op == "readfile" && name == "/a" {
			return fs.ErrPermission
		}
		return nil
	}
	if _, err := h.ReadFile("/a"); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("reading: %v", err)
	}
	if err := h.WriteFile("/b", nil, 0o644); !errors.Is(err, fs.ErrPermission) || len(h.Log()) != 0 {
		t.Errorf("writing: %v, log %q", err, h.Log())
	}
}
