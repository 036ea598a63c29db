package home_test

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// tempDir is a directory that is quickly written to.
func tempDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp(fast(), "movein-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { wipe(t, dir) })
	return dir
}

// fast is where temporary directories are: memory, if it has extended attributes there.
func fast() string {
	if os.Getenv("TMPDIR") != "" {
		return ""
	}
	f, err := os.CreateTemp("/dev/shm", "movein-")
	if err != nil {
		return ""
	}
	defer f.Close()
	defer os.Remove(f.Name())
	if unix.Fsetxattr(int(f.Fd()), "user.movein", []byte("x"), 0) != nil {
		return ""
	}
	return "/dev/shm"
}

func wipe(t testing.TB, dir string) {
	t.Helper()
	filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			os.Chmod(name, 0o700)
		}
		return nil
	})
	if err := os.RemoveAll(dir); err != nil {
		t.Error(err)
	}
}

// snapshot is all there is to know of what is below dir, by name.
func snapshot(t testing.TB, dir string) map[string]string {
	t.Helper()
	all, same := map[string]string{}, map[uint64][]string{}
	var walk func(rel string)
	walk = func(rel string) {
		name := filepath.Join(dir, rel)
		var st unix.Stat_t
		if err := unix.Lstat(name, &st); err != nil {
			t.Fatalf("looking at %q: %v", name, err)
		}
		closed := st.Mode&0o500 != 0o500 && (st.Mode&unix.S_IFMT == unix.S_IFREG || st.Mode&unix.S_IFMT == unix.S_IFDIR) && os.Geteuid() != 0
		if closed {
			check(t, unix.Chmod(name, st.Mode&0o7777|0o500))
		}
		line := fmt.Sprintf("mode %o owner %d:%d time %d.%09d", st.Mode, st.Uid, st.Gid, st.Mtim.Sec, st.Mtim.Nsec)
		list := make([]byte, 4096)
		n, _ := unix.Llistxattr(name, list)
		names := strings.FieldsFunc(string(list[:max(n, 0)]), func(r rune) bool { return r == 0 })
		slices.Sort(names)
		for _, x := range names {
			value := make([]byte, 4096)
			n, err := unix.Lgetxattr(name, x, value)
			check(t, err)
			line += fmt.Sprintf(" %s=%x", x, value[:n])
		}
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFREG:
			data, err := os.ReadFile(name)
			check(t, err)
			line += fmt.Sprintf(" %x", sha256.Sum256(data))
			same[st.Ino] = append(same[st.Ino], rel)
		case unix.S_IFLNK:
			target, err := os.Readlink(name)
			check(t, err)
			line += fmt.Sprintf(" -> %q", target)
		case unix.S_IFDIR:
			entries, err := os.ReadDir(name)
			check(t, err)
			for _, e := range entries {
				walk(filepath.Join(rel, e.Name()))
			}
		default:
			line += fmt.Sprintf(" device %x", st.Rdev)
		}
		if closed {
			check(t, unix.Chmod(name, st.Mode&0o7777))
		}
		all[rel] = line
	}
	walk(".")
	for _, names := range same {
		slices.Sort(names)
		for _, name := range names {
			all[name] += fmt.Sprintf(" names %q", names)
		}
	}
	return all
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// differ says where two snapshots differ.
func differ(before, after map[string]string) string {
	var b strings.Builder
	names := slices.Collect(maps.Keys(before))
	for name := range after {
		if _, ok := before[name]; !ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		if before[name] != after[name] {
			fmt.Fprintf(&b, "%q\n  was %s\n  is  %s\n", name, before[name], after[name])
		}
	}
	return b.String()
}

// forest makes random trees.
type forest struct {
	t    testing.TB
	rnd  *rand.Rand
	home string
	root bool
	all  []string        // made, relative to home
	dirs map[string]bool // those of them that were directories
}

var words = []string{"a", "b c", "d\ne", "f\xff\xfe", ".g", "ü", "h'\"$`", "�"}

func (f *forest) one(n int) bool { return f.rnd.IntN(n) == 0 }

func (f *forest) content() []byte {
	return []byte(strings.Repeat(string(rune('a'+f.rnd.IntN(4))), f.rnd.IntN(3)*f.rnd.IntN(3000)))
}

// tree makes a random object at rel, and more below it if it is a directory.
func (f *forest) tree(rel string, depth int) {
	f.thing(rel)
	if info, err := os.Lstat(filepath.Join(f.home, rel)); depth > 0 && err == nil && info.IsDir() {
		for i := range f.rnd.IntN(4) {
			f.tree(filepath.Join(rel, words[(i*3+f.rnd.IntN(3))%len(words)]), depth-1)
		}
	}
}

// dress gives everything made random metadata, from the leaves up.
func (f *forest) dress(names []string) {
	names = slices.Clone(names)
	slices.Sort(names)
	for _, rel := range slices.Backward(names) {
		f.meta(rel)
	}
}

func (f *forest) thing(rel string) {
	name := filepath.Join(f.home, rel)
	if _, err := os.Lstat(name); err == nil {
		return
	}
	if !slices.Contains(f.all, rel) {
		defer func() { f.all = append(f.all, rel) }()
	}
	switch k := f.rnd.IntN(16); {
	case k < 5:
		check(f.t, os.Mkdir(name, 0o700))
		check(f.t, os.Chmod(name, 0o700)) // also where new files get an ACL
	case k == 5:
		check(f.t, os.Symlink([]string{"nowhere", "/etc/passwd", "..", "a", "x\xffy"}[f.rnd.IntN(5)], name))
	case k == 6:
		check(f.t, unix.Mkfifo(name, 0o640))
	case k == 7:
		check(f.t, unix.Mknod(name, unix.S_IFSOCK|0o600, 0))
	case k == 8 && f.root:
		check(f.t, unix.Mknod(name, unix.S_IFCHR|0o600, int(unix.Mkdev(1, 3))))
	case k < 11 && f.link(name):
	case k == 11:
		file, err := os.Create(name)
		check(f.t, err)
		check(f.t, file.Truncate(int64(8192+f.rnd.IntN(100000))))
		file.WriteAt(f.content(), 5000)
		file.Close()
	default:
		check(f.t, os.WriteFile(name, f.content(), 0o600))
	}
}

// link makes name another name of a file.
func (f *forest) link(name string) bool {
	for _, rel := range f.all {
		other := filepath.Join(f.home, rel)
		if info, err := os.Lstat(other); err == nil && info.Mode().IsRegular() && f.one(2) {
			return os.Link(other, name) == nil
		}
	}
	return false
}

// acl is a POSIX ACL for the owner, user 4712, the group, and others. See linux/posix_acl_xattr.h.
var acl = "\x02\x00\x00\x00" + "\x01\x00\x06\x00\xff\xff\xff\xff" + "\x02\x00\x04\x00\x68\x12\x00\x00" +
	"\x04\x00\x04\x00\xff\xff\xff\xff" + "\x10\x00\x04\x00\xff\xff\xff\xff" + "\x20\x00\x00\x00\xff\xff\xff\xff"

// capability is cap_net_raw+ep. See linux/capability.h, struct vfs_cap_data.
const capability = "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"

func (f *forest) meta(rel string) {
	name := filepath.Join(f.home, rel)
	info, err := os.Lstat(name)
	if err != nil {
		return
	}
	if f.root && f.one(4) {
		check(f.t, os.Lchown(name, 4711, 4711+f.rnd.IntN(2)))
	}
	if info.Mode().IsRegular() || info.IsDir() {
		check(f.t, unix.Chmod(name, uint32(info.Mode().Perm())|0o600))
		if f.one(4) {
			check(f.t, unix.Setxattr(name, "user.k", f.content()[:0], 0))
			check(f.t, unix.Setxattr(name, "user.v", []byte{0, 255, byte(f.rnd.IntN(3))}, 0))
		}
		if f.one(6) {
			check(f.t, unix.Setxattr(name, "system.posix_acl_access", []byte(acl), 0))
		}
		if info.IsDir() && f.one(6) {
			check(f.t, unix.Setxattr(name, "system.posix_acl_default", []byte(acl), 0))
		}
	}
	if info.Mode().IsRegular() {
		modes := []uint32{0o644, 0o600, 0o444, 0o400, 0o4755, 0o2755, 0o1644}
		if f.root { // others cannot see whether the content of such a file is still the same
			modes = append(modes, 0o200)
		}
		check(f.t, unix.Chmod(name, modes[f.rnd.IntN(len(modes))]))
		if f.root && f.one(8) {
			check(f.t, unix.Setxattr(name, "security.capability", []byte(capability), 0))
		}
	} else if info.IsDir() {
		check(f.t, unix.Chmod(name, []uint32{0o755, 0o700, 0o555, 0o500, 0o1777, 0o2755}[f.rnd.IntN(6)]))
	}
	f.touch(rel)
}

func (f *forest) touch(rel string) {
	ts := []unix.Timespec{{Nsec: unix.UTIME_OMIT}, {Sec: 1500000000 + int64(f.rnd.IntN(1000)), Nsec: int64(f.rnd.IntN(int(time.Second)))}}
	check(f.t, unix.UtimesNanoAt(unix.AT_FDCWD, filepath.Join(f.home, rel), ts, unix.AT_SYMLINK_NOFOLLOW))
}

// open opens a directory, and those on the way, for its owner.
func (f *forest) open(rel string) {
	for dir := filepath.Join(f.home, rel); len(dir) >= len(f.home); dir = filepath.Dir(dir) {
		if info, err := os.Lstat(dir); err == nil && info.IsDir() && info.Mode()&0o700 != 0o700 {
			os.Chmod(dir, info.Mode()|0o700)
		}
	}
}

// wreck does something bad to one of the names.
func (f *forest) wreck(rel string) {
	for dir := rel; dir != "."; {
		dir = filepath.Dir(dir)
		if info, err := os.Lstat(filepath.Join(f.home, dir)); err != nil || !info.IsDir() {
			return // it is gone already, or is somewhere else now
		}
	}
	name := filepath.Join(f.home, rel)
	f.open(filepath.Dir(rel))
	info, err := os.Lstat(name)
	gone := func() {
		filepath.WalkDir(name, func(dir string, d fs.DirEntry, err error) error {
			if d != nil && d.IsDir() {
				os.Chmod(dir, 0o700)
			}
			return nil
		})
		check(f.t, os.RemoveAll(name))
	}
	switch k := f.rnd.IntN(9); {
	case err != nil || k == 0: // whatever it was, it is something else
		gone()
		if f.dirs[rel] { // what is new in a directory is not taken away
			f.tree(rel, 0)
		} else {
			f.tree(rel, 2)
		}
		f.meta(rel)
	case k == 1:
		gone()
	case k == 2 && info.Mode().IsRegular(): // in place, for all its names
		os.Chmod(name, 0o600)
		check(f.t, os.WriteFile(name, f.content(), 0o600))
	case k == 3 && info.Mode()&fs.ModeSymlink == 0:
		mode := uint32(f.rnd.IntN(0o10000))
		if info.IsDir() && !f.dirs[rel] {
			mode |= 0o500 // what nobody may look into cannot be saved
		}
		check(f.t, unix.Chmod(name, mode))
	case k == 4:
		f.touch(rel)
	case k == 5 && !info.IsDir(): // other names of others
		os.Remove(name)
		if !f.link(name) {
			check(f.t, os.WriteFile(name, []byte("!"), 0o600))
		}
	case k == 6 && info.Mode().IsRegular(): // as editors save: the same content in another file
		os.Chmod(name, info.Mode()|0o400)
		data, err := os.ReadFile(name)
		check(f.t, err)
		os.Remove(name)
		check(f.t, os.WriteFile(name, data, 0o600))
	case k == 7:
		f.meta(rel)
	}
}
