package host

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// kept is a directory with a file in it and one to keep things in.
func kept(t *testing.T, text string) (base, dir string) {
	t.Helper()
	dir = t.TempDir()
	base = filepath.Join(dir, "base")
	if err := errors.Join(os.Mkdir(base, 0o755), os.WriteFile(filepath.Join(base, "a"), []byte(text), 0o644)); err != nil {
		t.Fatal(err)
	}
	return base, filepath.Join(dir, "kept")
}

func TestFileThatChangesWhileItIsCopiedIsCopiedAgain(t *testing.T) {
	for _, change := range []struct {
		name string
		do   func(a string, n int) error
	}{
		{"written", func(a string, n int) error { return os.WriteFile(a, []byte(strings.Repeat("x", n+1)), 0o644) }},
		{"written with the same size and time", func(a string, n int) error {
			info, err := os.Stat(a)
			if err != nil {
				return err
			}
			err = os.WriteFile(a, []byte{'a', byte('0' + n), 'b'}, 0o644)
			return errors.Join(err, os.Chtimes(a, time.Time{}, info.ModTime()))
		}},
		{"replaced", func(a string, n int) error {
			return errors.Join(os.WriteFile(a+".new", []byte{'n', byte('0' + n)}, 0o644), os.Rename(a+".new", a))
		}},
	} {
		base, dir := kept(t, "one")
		calls := 0
		k := keeper{dir: dir, copied: func() {
			if calls++; calls < 3 {
				if err := change.do(filepath.Join(base, "a"), calls); err != nil {
					t.Error(err)
				}
			}
		}}
		got, err := k.keep(context.Background(), base, "a")
		want, _ := os.ReadFile(filepath.Join(base, "a"))
		if err != nil {
			t.Fatalf("%s: %v", change.name, err)
		}
		object, err := os.ReadFile(filepath.Join(dir, ObjectName(got.SHA256)))
		if err != nil || string(object) != string(want) || calls != 3 || got.Size != int64(len(want)) {
			t.Errorf("%s: kept %q of %d bytes after %d copies, want %q; %v", change.name, object, got.Size, calls, want, err)
		}
	}
}

func TestFileThatNeverStopsChangingIsAnError(t *testing.T) {
	base, dir := kept(t, "one")
	n := 0
	k := keeper{dir: dir, copied: func() {
		n++
		os.WriteFile(filepath.Join(base, "a"), []byte(strings.Repeat("x", n)), 0o644)
	}}
	if _, err := k.keep(context.Background(), base, "a"); err == nil || !strings.Contains(err.Error(), base+"/a: it changes while it is copied") {
		t.Error(err)
	}
}

func TestHolesStayHoles(t *testing.T) {
	base, dir := kept(t, "")
	const size = 300 << 20
	f, err := os.OpenFile(base+"/a", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	f.Truncate(size)
	f.WriteAt([]byte("here"), 200<<20)
	f.Close()
	ctx, r := context.Background(), &Real{}
	k, err := r.Keep(ctx, Place{base, "a"}, dir)
	if err != nil {
		t.Fatal(err)
	}
	os.Remove(base + "/a")
	if _, err := r.PutBack(ctx, k, dir, Place{base, "a"}, ""); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{base + "/a", filepath.Join(dir, ObjectName(k.SHA256))} {
		var st unix.Stat_t
		if err := unix.Stat(name, &st); err != nil || st.Size != size || st.Blocks*512 > 1<<20 {
			t.Errorf("%s has %d bytes and takes %d; %v", name, st.Size, st.Blocks*512, err)
		}
	}
	now, err := r.Look(ctx, Place{base, "a"}, true)
	if err != nil || !now.Same(k) {
		t.Errorf("was %+v, is %+v; %v", k, now, err)
	}
}

func TestNoLinkIsFollowedOnTheWay(t *testing.T) {
	base, dir := kept(t, "one")
	other := t.TempDir()
	if err := errors.Join(os.WriteFile(other+"/x", []byte("theirs"), 0o600), os.Symlink(other, base+"/link")); err != nil {
		t.Fatal(err)
	}
	ctx, r, at := context.Background(), &Real{}, Place{base, "link/x"}
	k, err := r.Keep(ctx, Place{base, "a"}, dir)
	if err != nil {
		t.Fatal(err)
	}
	_, lerr := r.Look(ctx, at, false)
	_, kerr := r.Keep(ctx, at, dir)
	_, perr := r.PutBack(ctx, k, dir, at, "")
	for what, err := range map[string]error{"look": lerr, "keep": kerr, "put back": perr, "take away": r.TakeAway(ctx, at, true)} {
		if e, ok := errors.AsType[*ThroughLinkError](err); !ok || e.Link != base+"/link" {
			t.Errorf("%s: %v", what, err)
		}
	}
	for _, name := range []string{"../x", "/x", "a/", "./a", ""} {
		if _, err := r.PutBack(ctx, k, dir, Place{base, name}, ""); err == nil {
			t.Errorf("put back to %q", name)
		}
	}
	if data, _ := os.ReadFile(other + "/x"); string(data) != "theirs" {
		t.Error("the link was followed")
	}
}

func TestPuttingBackLeavesWhatIsRight(t *testing.T) {
	base, dir := kept(t, "one")
	ctx, r, at := context.Background(), &Real{}, Place{base, "a"}
	k, err := r.Keep(ctx, at, dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.PutBack(ctx, k, dir, at, ""); err != nil {
		t.Fatal(err)
	}
	if now, err := r.Look(ctx, at, true); err != nil || now.Inode != k.Inode || !now.Same(k) {
		t.Errorf("%+v, %v", now, err)
	}
	// What a killed run left under the temporary name is no hindrance.
	s := putter{spot: &spot{base: "a"}}
	if err := errors.Join(os.WriteFile(filepath.Join(base, s.temp()), nil, 0o400), os.Remove(base+"/a")); err != nil {
		t.Fatal(err)
	}
	if _, err := r.PutBack(ctx, k, dir, at, ""); err != nil {
		t.Fatal(err)
	}
	if names, _ := os.ReadDir(base); len(names) != 1 {
		t.Errorf("there is %v", names)
	}
}

func TestDamagedCopyIsNotPutBack(t *testing.T) {
	base, dir := kept(t, "one")
	ctx, r, at := context.Background(), &Real{}, Place{base, "a"}
	k, err := r.Keep(ctx, at, dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.WriteFile(filepath.Join(dir, ObjectName(k.SHA256)), []byte("bad"), 0o600), os.WriteFile(base+"/a", []byte("two"), 0o644)); err != nil {
		t.Fatal(err)
	}
	_, err = r.PutBack(ctx, k, dir, at, "")
	if _, ok := errors.AsType[*DigestError](err); !ok {
		t.Error(err)
	}
	if data, _ := os.ReadFile(base + "/a"); string(data) != "two" {
		t.Errorf("there is %q", data)
	}
}

func TestOnlyEmptyDirectoriesAreTakenAwayUnlessTheWholeTreeIs(t *testing.T) {
	base, _ := kept(t, "one")
	if err := errors.Join(os.MkdirAll(base+"/d/e", 0o755), os.WriteFile(base+"/d/e/f", nil, 0o400), os.Chmod(base+"/d/e", 0o500)); err != nil {
		t.Fatal(err)
	}
	ctx, r, at := context.Background(), &Real{}, Place{base, "d"}
	if err := r.TakeAway(ctx, at, false); !errors.Is(err, unix.ENOTEMPTY) {
		t.Error(err)
	}
	if err := errors.Join(r.TakeAway(ctx, at, true), r.TakeAway(ctx, at, true)); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(base + "/d"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if err := r.TakeAway(ctx, Place{base, "."}, true); err == nil {
		t.Error("the base is gone")
	}
}
