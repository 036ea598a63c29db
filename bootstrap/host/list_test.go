package host

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"syscall"
	"testing"
)

// manyKinds makes files of all kinds in a directory, and returns their names in order.
func manyKinds(t *testing.T) (dir string, names []string) {
	t.Helper()
	dir = t.TempDir()
	write(t, dir, map[string]string{"file": "x", "run": "+x x", "link": "-> nowhere", "sub/deep/file": "x", "sub/file": "x", "tosub": "-> sub"})
	must(t, syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o640))
	must(t, os.Chmod(filepath.Join(dir, "run"), 0o755|fs.ModeSetuid))
	must(t, os.Chmod(filepath.Join(dir, "sub"), 0o770|fs.ModeSticky))
	return dir, []string{"fifo", "file", "link", "run", "sub", "tosub"}
}

// alike reports whether what is known of a file is what Lstat says.
func alike(got fs.FileInfo, name string) bool {
	want, err := os.Lstat(name)
	if err != nil || got == nil {
		return err != nil && got == nil
	}
	return got.Name() == want.Name() && got.Size() == want.Size() && got.Mode() == want.Mode() && got.IsDir() == want.IsDir() &&
		got.ModTime().Equal(want.ModTime()) && reflect.DeepEqual(got.Sys(), want.Sys())
}

func TestListIsWhatLstatSays(t *testing.T) {
	dir, names := manyKinds(t)
	list, err := (&Real{}).List(dir)
	must(t, err)
	var got []string
	for _, e := range list {
		got = append(got, e.Name())
		if !alike(e, filepath.Join(dir, e.Name())) {
			t.Errorf("%s is listed as %+v", e.Name(), e)
		}
	}
	if !slices.Equal(got, names) {
		t.Errorf("it has %q, want %q", got, names)
	}
	if _, err := (&Real{}).List(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if _, err := (&Real{}).List(filepath.Join(dir, "file")); !errors.Is(err, syscall.ENOTDIR) {
		t.Error(err)
	}
}

func TestLstatsIsWhatLstatSays(t *testing.T) {
	dir, _ := manyKinds(t)
	names := []string{"sub/deep/file", "sub", "file", "", "sub/file", "none", "none/x", "sub/deep", "sub/none", "file/x", "tosub/file", "sub/deep/file", "fifo", "link", "run"}
	n := 0
	(&Real{}).Lstats(dir, names, func(i int, info fs.FileInfo) {
		if i != n {
			t.Fatalf("after %d names it tells of the %dth", n, i)
		}
		n++
		if name := names[i]; name != "" && !alike(info, filepath.Join(dir, name)) {
			t.Errorf("%s is %+v", name, info)
		}
	})
	if n != len(names) {
		t.Errorf("it told of %d names, not of %d", n, len(names))
	}
}

func TestLstatsStayInTheRoot(t *testing.T) {
	root := t.TempDir()
	write(t, root, map[string]string{"real/file": "in the root", "home/dir": "-> /real"})
	(&Real{Root: root}).Lstats("/home", []string{"dir/file"}, func(_ int, info fs.FileInfo) {
		if !alike(info, filepath.Join(root, "real/file")) {
			t.Errorf("it is %+v", info)
		}
	})
}

// What two steps look at is looked at once, until a program ran: it may have changed it.
func TestListIsKeptUntilAProgramRan(t *testing.T) {
	dir := t.TempDir()
	r := &Real{Sight: new(Sight)}
	has := func(want int) {
		t.Helper()
		if list, err := r.List(dir); err != nil || len(list) != want {
			t.Errorf("%d files, want %d (%v)", len(list), want, err)
		}
	}
	has(0)
	write(t, dir, map[string]string{"a": "x"})
	has(0)
	_, err := r.Run(t.Context(), &Cmd{Args: []string{"/bin/sh", "-c", "echo >b"}, Dir: dir})
	must(t, err)
	has(2)
	write(t, dir, map[string]string{"c": "x"})
	r.Sight.Over()
	has(3)
}

func TestOnceUntilItIsOver(t *testing.T) {
	r, n := &Real{Sight: new(Sight)}, 0
	ask := func(want any, fail error) {
		t.Helper()
		if got, err := r.Once("key", func() (any, error) { n++; return n, fail }); got != want || !errors.Is(err, fail) {
			t.Errorf("%v, %v; want %v, %v", got, err, want, fail)
		}
	}
	ask(1, fs.ErrInvalid)
	ask(2, nil)
	ask(2, nil)
	r.Sight.Over()
	ask(3, nil)
	ask(4, nil)
}
