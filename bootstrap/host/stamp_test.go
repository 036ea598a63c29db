package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// stampTree makes a small tree.
func stampTree(t testing.TB, dirs, files int) string {
	t.Helper()
	top := filepath.Join(t.TempDir(), "top")
	for d := range dirs {
		dir := filepath.Join(top, fmt.Sprintf("dir%d", d), "sub")
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		for f := range files {
			if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("file%d", f)), []byte("text"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := os.Symlink("target", filepath.Join(top, "link")); err != nil {
		t.Fatal(err)
	}
	return top
}

// tick waits until the kernel's clock for file times has moved on, which it does every few ms.
func tick(t *testing.T, dir string) {
	t.Helper()
	probe := filepath.Join(dir, "probe")
	var first time.Time
	for {
		if err := os.WriteFile(probe, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(probe, 0o600); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(probe)
		if err != nil {
			t.Fatal(err)
		}
		if first.IsZero() {
			first = info.ModTime()
		}
		if info.ModTime().After(first) {
			return
		}
	}
}

func TestStampChanges(t *testing.T) {
	top := stampTree(t, 3, 4)
	stamp := func() string {
		t.Helper()
		s, err := Stamp(t.Context(), top)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	file := filepath.Join(top, "dir1/sub/file2")
	for _, c := range []struct {
		name string
		same bool
		do   func() error
	}{
		{name: "nothing", same: true, do: func() error { return nil }},
		{name: "read", same: true, do: func() error { _, err := os.ReadFile(file); return err }},
		{name: "content", do: func() error { return os.WriteFile(file, []byte("TEXT"), 0o644) }},
		{name: "content with the old mtime", do: func() error {
			info, err := os.Stat(file)
			return errors.Join(err, os.WriteFile(file, []byte("text"), 0o644), os.Chtimes(file, time.Time{}, info.ModTime()))
		}},
		{name: "mode", do: func() error { return os.Chmod(file, 0o600) }},
		{name: "new file", do: func() error { return os.WriteFile(file+"x", nil, 0o644) }},
		{name: "new directory", do: func() error { return os.Mkdir(filepath.Join(top, "dir2/empty"), 0o755) }},
		{name: "removed", do: func() error { return os.Remove(file + "x") }},
		{name: "renamed", do: func() error { return os.Rename(file, file+"y") }},
		{name: "link", do: func() error {
			return errors.Join(os.Remove(filepath.Join(top, "link")), os.Symlink("TARGET", filepath.Join(top, "link")))
		}},
		{name: "mode of a directory", do: func() error { return os.Chmod(filepath.Join(top, "dir0/sub"), 0o700) }},
		{name: "mode of the top", do: func() error { return os.Chmod(top, 0o700) }},
	} {
		before := stamp()
		tick(t, filepath.Dir(top))
		if err := c.do(); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if same := stamp() == before; same != c.same {
			t.Errorf("%s: same stamp %v, want %v", c.name, same, c.same)
		}
	}
}

// Each part of a record counts, also where the kernel never changes one alone.
func TestStampRecord(t *testing.T) {
	record := func(name string, change func(*unix.Stat_t)) string {
		st := unix.Stat_t{Mode: unix.S_IFREG | 0o444, Size: 1, Ino: 2, Nlink: 1}
		change(&st)
		rec, err := appendRecord(nil, 99, name, &st)
		if err != nil {
			t.Fatal(err)
		}
		return string(rec)
	}
	base := record("name", func(*unix.Stat_t) {})
	for i, change := range []func(*unix.Stat_t){
		func(s *unix.Stat_t) { s.Mode++ },
		func(s *unix.Stat_t) { s.Size++ },
		func(s *unix.Stat_t) { s.Ino++ },
		func(s *unix.Stat_t) { s.Mtim.Sec++ },
		func(s *unix.Stat_t) { s.Mtim.Nsec++ },
		func(s *unix.Stat_t) { s.Ctim.Sec++ },
		func(s *unix.Stat_t) { s.Ctim.Nsec++ },
	} {
		if record("name", change) == base {
			t.Errorf("change %d is not seen", i)
		}
	}
	if record("other", func(*unix.Stat_t) {}) == base {
		t.Error("the name is not seen")
	}
	if record("name", func(s *unix.Stat_t) { s.Nlink++; s.Atim.Sec++ }) != base {
		t.Error("link count or access time is seen")
	}
}

func TestStampOther(t *testing.T) {
	top := stampTree(t, 1, 1)
	for _, name := range []string{"link", "dir0/sub/file0"} {
		if s, err := Stamp(t.Context(), filepath.Join(top, name)); err != nil || len(s) != 64 {
			t.Errorf("%s: %q, %v", name, s, err)
		}
	}
	if _, err := Stamp(t.Context(), filepath.Join(top, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing path: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Stamp(ctx, top); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func BenchmarkStamp(b *testing.B) {
	top := stampTree(b, 100, 40)
	for b.Loop() {
		if _, err := Stamp(b.Context(), top); err != nil {
			b.Fatal(err)
		}
	}
}
