package host

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestSightLooksOnceUntilItIsOver(t *testing.T) {
	dir := t.TempDir()
	sight := new(Sight)
	r := &Real{Sight: sight}
	stamp := func() string {
		t.Helper()
		s, err := r.Stamp(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	first := stamp()
	if err := os.WriteFile(filepath.Join(dir, "new"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if stamp() != first {
		t.Error("looked twice")
	}
	sight.Over()
	if stamp() == first {
		t.Error("what was seen before a change is remembered after it")
	}
}

func TestSightForgetsErrors(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "dir")
	r := &Real{Sight: new(Sight)}
	if _, err := r.Stamp(t.Context(), dir); err == nil {
		t.Fatal("no error")
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Stamp(t.Context(), dir); err != nil {
		t.Error(err)
	}
}

// One connection is all that serveDaemon accepts.
func TestSightAsksADaemonOverOneConnection(t *testing.T) {
	s := append(daemonHello(38, "2.34.8", 2, stderrLast), daemonAnswer(stderrLast, 0)...)
	s = append(s, daemonAnswer(stderrLast, 1)...)
	socket, _ := serveDaemon(t, s)
	r := &Real{Sight: new(Sight)}
	for _, want := range [][]string{{unknownPath}, nil} {
		d, err := r.Daemon(t.Context(), socket, unknownPath)
		if err != nil || d.Version != "2.34.8" || !slices.Equal(d.Unknown, want) {
			t.Errorf("got %+v, %v; want %q unknown", d, err, want)
		}
	}
	r.Sight.Over()
	if r.Sight.line(socket) != nil {
		t.Error("the connection is kept after a change")
	}
}

// The daemon goes after its first answer, and nobody listens any longer.
func TestSightNoticesADaemonThatIsGone(t *testing.T) {
	s := append(daemonHello(38, "2.34.8", 2, stderrLast), daemonAnswer(stderrLast, 0)...)
	socket, gone := serveDaemon(t, s)
	r := &Real{Sight: new(Sight)}
	if _, err := r.Daemon(t.Context(), socket, unknownPath); err != nil {
		t.Fatal(err)
	}
	gone()
	for range 2 {
		if d, err := r.Daemon(t.Context(), socket, unknownPath); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("got %+v, %v", d, err)
		}
	}
}
