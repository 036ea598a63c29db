package home_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"movein/bootstrap"
	"movein/bootstrap/host"
	"movein/steps/home"
)

// cut is a host that stops before the nth change, as if it were killed.
type cut struct {
	host.Host
	left int
}

var errCut = errors.New("killed")

func (c *cut) next() error {
	if c.left--; c.left < 0 {
		return errCut
	}
	return nil
}

func (c *cut) WriteFile(name string, data []byte, perm fs.FileMode) error {
	if err := c.next(); err != nil {
		return err
	}
	return c.Host.WriteFile(name, data, perm)
}

func (c *cut) MkdirAll(name string, perm fs.FileMode) error {
	if err := c.next(); err != nil {
		return err
	}
	return c.Host.MkdirAll(name, perm)
}

func (c *cut) Rename(from, to string) error {
	if err := c.next(); err != nil {
		return err
	}
	return c.Host.Rename(from, to)
}

func (c *cut) Remove(name string) error {
	if err := c.next(); err != nil {
		return err
	}
	return c.Host.Remove(name)
}

func (c *cut) Keep(ctx context.Context, at host.Place, dir string) (host.Kept, error) {
	if err := c.next(); err != nil {
		return host.Kept{}, err
	}
	return c.Host.Keep(ctx, at, dir)
}

func (c *cut) PutBack(ctx context.Context, k host.Kept, dir string, at host.Place, twin string) ([]string, error) {
	if err := c.next(); err != nil {
		return nil, err
	}
	return c.Host.PutBack(ctx, k, dir, at, twin)
}

func (c *cut) TakeAway(ctx context.Context, at host.Place, tree bool) error {
	if err := c.next(); err != nil {
		return err
	}
	return c.Host.TakeAway(ctx, at, tree)
}

// contents are the digests of all files below the directories, but for unfinished backups.
func contents(t testing.TB, dirs ...string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, dir := range dirs {
		filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
			if err != nil || strings.HasPrefix(d.Name(), ".new-") {
				return filepath.SkipDir
			}
			if d.Type().IsRegular() {
				data, err := os.ReadFile(name)
				check(t, err)
				all[fmt.Sprintf("%x", sha256.Sum256(data))] = name
			}
			return nil
		})
	}
	return all
}

func TestKilledRestoreIsFinishedByTheNextAndLosesNothing(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("looks into everything")
	}
	for seed := range uint64(12) {
		for n := 0; ; n++ {
			s := newScene(t, seed)
			before := snapshot(t, s.home)
			r := s.save()
			s.havoc()
			had := contents(t, s.home)
			c := &cut{Host: s.h, left: n}
			_, err := s.b.Restore(context.Background(), c, r, home.About{})
			if err != nil && !errors.Is(err, errCut) {
				t.Fatal(err)
			}
			has := contents(t, s.home, s.b.Dir)
			for sum, name := range had {
				if has[sum] == "" {
					t.Fatalf("case %d, killed before change %d: the content of %q is lost", seed, n, name)
				}
			}
			s.restore(r)
			if d := differ(before, snapshot(t, s.home)); d != "" {
				t.Fatalf("case %d, killed before change %d, and run again:\n%s", seed, n, d)
			}
			wipe(t, filepath.Dir(s.home))
			if err == nil {
				break
			}
		}
	}
}

func TestKilledBackupChangesNothingAndIsRemovedByTheNext(t *testing.T) {
	for n := 0; ; n++ {
		s := newScene(t, 7)
		before := snapshot(t, s.home)
		c := &cut{Host: s.h, left: n}
		_, err := s.trySave(c)
		runs, broken, lerr := s.b.List(s.h)
		if lerr != nil || len(broken) > 0 || (err == nil) != (len(runs) == 1) {
			t.Fatalf("killed before change %d: %v; runs %v, %v, %v", n, err, runs, broken, lerr)
		}
		if d := differ(before, snapshot(t, s.home)); d != "" {
			t.Fatalf("killed before change %d:\n%s", n, d)
		}
		s.save()
		left, _ := filepath.Glob(s.b.Dir + "/.*")
		if len(left) > 0 {
			t.Fatalf("killed before change %d: %v is left", n, left)
		}
		if err == nil {
			break
		}
	}
}

// plain is a home with these files, by name.
func plain(t *testing.T, files map[string]string) (home.Backups, host.Host) {
	dir := tempDir(t)
	b := home.Backups{Dir: dir + "/state/backups", Home: dir + "/home"}
	check(t, os.Mkdir(b.Home, 0o755))
	for name, text := range files {
		check(t, os.MkdirAll(filepath.Dir(filepath.Join(b.Home, name)), 0o755))
		check(t, os.WriteFile(filepath.Join(b.Home, name), []byte(text), 0o644))
	}
	return b, &host.Real{}
}

func save(t *testing.T, b home.Backups, h host.Host, paths ...string) home.Run {
	t.Helper()
	k, err := b.Begin(h, home.About{Reason: "before apply"})
	check(t, err)
	check(t, k.Save(context.Background(), paths...))
	check(t, k.Seal())
	r, err := b.Open(h, k.Run())
	check(t, err)
	return r
}

func refused(t *testing.T, err error, words ...string) {
	t.Helper()
	if bootstrap.ExitCode(err) != bootstrap.ExitRefused || bootstrap.HintOf(err) == "" {
		t.Errorf("error %v, exit code %d, hint %q", err, bootstrap.ExitCode(err), bootstrap.HintOf(err))
	}
	for _, word := range words {
		if !strings.Contains(fmt.Sprint(err, bootstrap.HintOf(err)), word) {
			t.Errorf("%q is not in: %v %s", word, err, bootstrap.HintOf(err))
		}
	}
}

// small is a host with little space.
type small struct{ host.Host }

func (small) Free(string) (int64, error) { return 1<<20 + 1000, nil }

func TestTooLittleSpaceIsSeenBeforeAnythingIsCopied(t *testing.T) {
	b, h := plain(t, map[string]string{"a": "text"})
	k, err := b.Begin(small{h}, home.About{})
	check(t, err)
	refused(t, k.Save(context.Background(), "a"), "1.1 MB", "1.0 MB", "movein backups prune", "nothing was changed")
	if _, err := os.Lstat(k.Dir()); err == nil || k.Seal() == nil {
		t.Error("there is a backup all the same")
	}
}

func TestFullDiskIsARefusal(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounts a small file system")
	}
	b, h := plain(t, map[string]string{"a": strings.Repeat("text", 1<<20)})
	check(t, os.MkdirAll(b.Dir, 0o700))
	if err := syscall.Mount("none", b.Dir, "tmpfs", 0, "size=2m"); err != nil {
		t.Skip(err)
	}
	defer syscall.Unmount(b.Dir, 0)
	k, err := b.Begin(roomy{h}, home.About{})
	check(t, err)
	err = k.Save(context.Background(), "a")
	refused(t, err, "no space left on device", "nothing was changed")
	if left, _ := filepath.Glob(b.Dir + "/.new*"); len(left) > 0 {
		t.Error("left:", left)
	}
}

// roomy is a host that does not know how little space it has.
type roomy struct{ host.Host }

func (roomy) Free(string) (int64, error) { return 1 << 40, nil }

func TestUnreadableFileIsARefusalThatNamesIt(t *testing.T) {
	if os.Geteuid() == 0 {
		unprivileged(t)
		return
	}
	b, h := plain(t, nil)
	b.Home = "/etc" // has a file of root's that is closed to others
	k, err := b.Begin(h, home.About{})
	check(t, err)
	refused(t, k.Save(context.Background(), "shadow"), "/etc/shadow", "permission denied", "nothing was changed")
}

func TestWhatCouldNotBeKeptIsSeenBeforehand(t *testing.T) {
	if os.Geteuid() == 0 {
		unprivileged(t)
		return
	}
	b, h := plain(t, map[string]string{"d/closed/a": "text", "own": "text"})
	check(t, os.Chmod(b.Home+"/d/closed", 0o600))
	check(t, os.Chmod(b.Home+"/own", 0o000))
	see := func(top, path string) error {
		c := &home.Changer{Backups: home.Backups{Dir: b.Dir, Home: top}, Record: b.Dir + "/change.json"}
		return c.Refused(t.Context(), h, []home.Item{{Path: path, Verb: home.Replace}})
	}
	refused(t, see(b.Home, "d"), b.Home+"/d/closed/a", "permission denied", "nothing was changed")
	refused(t, see("/etc", "shadow"), "/etc/shadow", "permission denied", "nothing was changed")
	check(t, see(b.Home, "own"))
	check(t, os.Chmod(b.Home+"/d/closed", 0o700))
}

func TestOwnFileThatIsClosedIsKept(t *testing.T) {
	unprivileged(t)
	b, h := plain(t, map[string]string{"a": "text"})
	check(t, os.Chmod(b.Home+"/a", 0o200))
	before := snapshot(t, b.Home)
	r := save(t, b, h, "a")
	check(t, os.Remove(b.Home+"/a"))
	_, err := b.Restore(context.Background(), h, r, home.About{})
	check(t, err)
	if d := differ(before, snapshot(t, b.Home)); d != "" {
		t.Error(d)
	}
}

func TestDamagedCopyIsSeenBeforeAnythingIsChanged(t *testing.T) {
	b, h := plain(t, map[string]string{"a": "one", "b": "two"})
	r := save(t, b, h, "a", "b")
	for _, name := range []string{"a", "b"} {
		check(t, os.Remove(filepath.Join(b.Home, name)))
	}
	object := filepath.Join(r.Dir, host.ObjectName(fmt.Sprintf("%x", sha256.Sum256([]byte("two")))))
	check(t, os.WriteFile(object, []byte("tw0"), 0o600))
	_, err := b.Restore(context.Background(), h, r, home.About{})
	if err == nil || !strings.Contains(err.Error(), "restoring b: the copy in backup "+r.Run+" is damaged") {
		t.Error(err)
	}
	if _, err := os.Lstat(b.Home + "/a"); err == nil {
		t.Error("a was restored")
	}
	if names, _ := filepath.Glob(b.Dir + "/*"); len(names) != 1 {
		t.Error("there are more backups:", names)
	}
	check(t, os.Remove(object))
	if _, err = b.Restore(context.Background(), h, r, home.About{}); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	_, err = b.Restore(context.Background(), h, r, home.About{}, "a")
	check(t, err)
}

func TestDirectorySwappedForALinkIsRefused(t *testing.T) {
	b, h := plain(t, map[string]string{"dir/a": "one", "other/a": "theirs"})
	r := save(t, b, h, "dir/a")
	check(t, os.Rename(b.Home+"/dir", b.Home+"/moved"))
	check(t, os.Symlink("other", b.Home+"/dir"))
	_, err := b.Restore(context.Background(), h, r, home.About{})
	refused(t, err, b.Home+"/dir", "was a directory, and is a link")
	k, err := b.Begin(h, home.About{})
	check(t, err)
	refused(t, k.Save(context.Background(), "dir/a"), "dir/a is reached through", "which is a symlink")
	_, err = h.PutBack(context.Background(), r.Entries[2].Kept, r.Dir, host.Place{Base: b.Home, Name: "dir/a"}, "")
	if _, ok := errors.AsType[*host.ThroughLinkError](err); !ok {
		t.Error(err)
	}
	if data, _ := os.ReadFile(b.Home + "/other/a"); string(data) != "theirs" {
		t.Error("written through the link")
	}
}

func TestOtherNamesOutsideTheBackupAreNamesOfTheSameFileAgain(t *testing.T) {
	b, h := plain(t, map[string]string{"a": "one"})
	check(t, os.Link(b.Home+"/a", b.Home+"/outside"))
	before := snapshot(t, b.Home)
	r := save(t, b, h, "a")
	check(t, os.Remove(b.Home+"/a"))
	check(t, os.Symlink("/nowhere", b.Home+"/a"))
	_, err := b.Restore(context.Background(), h, r, home.About{})
	check(t, err)
	if d := differ(before, snapshot(t, b.Home)); d != "" {
		t.Error(d)
	}
}

func TestWhatIsNewInADirectoryStays(t *testing.T) {
	b, h := plain(t, map[string]string{"dir/a": "one"})
	r := save(t, b, h, "dir/a", "made/b")
	for _, name := range []string{"dir/own", "made/b", "made/own"} {
		check(t, os.MkdirAll(filepath.Dir(filepath.Join(b.Home, name)), 0o755))
		check(t, os.WriteFile(filepath.Join(b.Home, name), nil, 0o644))
	}
	res, err := b.Restore(context.Background(), h, r, home.About{})
	check(t, err)
	for _, name := range []string{"dir/own", "made/own"} {
		if _, err := os.Lstat(filepath.Join(b.Home, name)); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Lstat(b.Home + "/made/b"); err == nil || len(res.Stays) != 1 || res.Stays[0] != b.Home+"/made" {
		t.Errorf("%v, stays %v", err, res.Stays)
	}
}

func TestRestoreToGivesTheHomeBeforeThatRun(t *testing.T) {
	b, h := plain(t, map[string]string{"a": "one", "b": "one", "d/x": "one"})
	before := snapshot(t, b.Home)
	r := save(t, b, h, "a", "new/c")
	write := func(name, text string) {
		check(t, os.MkdirAll(filepath.Dir(filepath.Join(b.Home, name)), 0o755))
		check(t, os.WriteFile(filepath.Join(b.Home, name), []byte(text), 0o644))
	}
	write("a", "two")
	write("new/c", "two")
	save(t, b, h, "a", "b", "d", "d/x", "new/c", "new/e")
	check(t, os.Remove(b.Home+"/new/c"))
	check(t, os.RemoveAll(b.Home+"/d"))
	write("a", "three")
	write("b", "three")
	write("new/e", "three")
	write("d", "three")
	_, err := b.RestoreTo(context.Background(), h, r, home.About{})
	check(t, err)
	if d := differ(before, snapshot(t, b.Home)); d != "" {
		t.Error(d)
	}
}

func TestManifestsSurviveAnyName(t *testing.T) {
	b, h := plain(t, map[string]string{"\xff\xfe": "", "new\nline": "", "�": "", "\\u00ff\"": ""})
	check(t, os.Symlink("\xf0target\n", b.Home+"/link"))
	r := save(t, b, h, "\xff\xfe", "new\nline", "�", "\\u00ff\"", "link", "absent\xff")
	got := map[string]string{}
	for _, e := range r.Entries {
		got[e.Name] = e.Target
	}
	for _, name := range []string{"\xff\xfe", "new\nline", "�", "\\u00ff\"", "absent\xff"} {
		if _, ok := got[name]; !ok {
			t.Errorf("there is no %q", name)
		}
	}
	if got["link"] != "\xf0target\n" {
		t.Errorf("the link leads to %q", got["link"])
	}
	data, err := os.ReadFile(r.Dir + "/manifest.json")
	check(t, err)
	if !bytes.Contains(data, []byte(`"base64": "//4="`)) {
		t.Error("it is not as base64")
	}
}

func TestWhatCannotBeGivenBackIsTold(t *testing.T) {
	if os.Geteuid() == 0 {
		unprivileged(t)
		return
	}
	b, h := plain(t, nil)
	b.Home = os.Getenv("TMPDIR")
	if b.Home == "" {
		t.Skip("needs a file of another's")
	}
	r := save(t, b, h, "roots")
	check(t, os.Remove(b.Home+"/roots"))
	res, err := b.Restore(context.Background(), h, r, home.About{})
	check(t, err)
	if want := b.Home + "/roots: owner 0:0"; len(res.Lacks) != 1 || res.Lacks[0] != want {
		t.Errorf("%q, want %q", res.Lacks, want)
	}
	if data, err := os.ReadFile(b.Home + "/roots"); string(data) != "root's" {
		t.Errorf("%q, %v", data, err)
	}
}

// Else who may run what was root's could act for the one who got it back.
func TestAFileThatIsNotItsOwnersAgainDoesNotActForAnother(t *testing.T) {
	if os.Geteuid() == 0 {
		unprivileged(t)
		return
	}
	b, h := plain(t, map[string]string{"a": "text"})
	at, ctx := host.Place{Base: b.Home, Name: "a"}, context.Background()
	check(t, os.Chmod(at.String(), 0o755|fs.ModeSetuid|fs.ModeSetgid))
	k, err := h.Keep(ctx, at, t.TempDir())
	check(t, err)
	for _, was := range []struct {
		uid, gid int
		mode     fs.FileMode
	}{{k.UID, k.GID, fs.ModeSetuid | fs.ModeSetgid}, {0, k.GID, fs.ModeSetgid}, {k.UID, 0, fs.ModeSetuid}, {0, 0, 0}} {
		k.UID, k.GID = was.uid, was.gid
		lacks, err := h.PutBack(ctx, k, "", at, "")
		check(t, err)
		info, err := os.Lstat(at.String())
		check(t, err)
		if got := info.Mode() &^ 0o777; got != was.mode || (len(lacks) > 0) != (was.mode != k.Mode&^0o777) {
			t.Errorf("%d:%d: %v, lacks %q", was.uid, was.gid, got, lacks)
		}
	}
}

func TestFileThatWasAloneIsAFileOfItsOwnAgain(t *testing.T) {
	b, h := plain(t, map[string]string{"a": "one"})
	r := save(t, b, h, "a")
	check(t, os.Link(b.Home+"/a", b.Home+"/other"))
	_, err := b.Restore(context.Background(), h, r, home.About{})
	check(t, err)
	a, err := os.Stat(b.Home + "/a")
	check(t, err)
	other, err := os.Stat(b.Home + "/other")
	check(t, err)
	if os.SameFile(a, other) {
		t.Error("they are still one file")
	}
}
