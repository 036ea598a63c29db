package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func damaged(err error) bool { e := (*DamagedRepoError)(nil); return errors.As(err, &e) }

// one is the only file of a pattern below a repository.
func one(t *testing.T, dir, pattern string) string {
	t.Helper()
	names, _ := filepath.Glob(filepath.Join(dir, pattern))
	if len(names) != 1 {
		t.Fatalf("%s: %v", pattern, names)
	}
	must(t, os.Chmod(names[0], 0o644))
	return names[0]
}

func TestBundleDamaged(t *testing.T) {
	whole := newRepo(t)
	for i := range 3 {
		commit(t, whole, map[string]string{"a/poem": strings.Repeat("a line of the poem\n", 50) + fmt.Sprint(i)})
	}
	run(t, whole, "repack", "-q", "-a", "-d")
	commit(t, whole, map[string]string{"loose": "loose\n"})
	const pack, index = ".git/objects/pack/*.pack", ".git/objects/pack/*.idx"
	object := func(dir, rev string) string {
		oid := run(t, dir, "rev-parse", rev)
		return one(t, dir, ".git/objects/"+oid[:2]+"/"+oid[2:])
	}
	edit := func(file string, f func([]byte) []byte) {
		b, err := os.ReadFile(file)
		must(t, err)
		must(t, os.WriteFile(file, f(b), 0o644))
	}
	for name, harm := range map[string]func(dir string){
		"blob in a pack":   func(dir string) { edit(one(t, dir, pack), flip(t, dir, "HEAD~1:a/poem")) },
		"commit in a pack": func(dir string) { edit(one(t, dir, pack), flip(t, dir, "HEAD~2")) },
		"cut pack":         func(dir string) { edit(one(t, dir, pack), func(b []byte) []byte { return b[:len(b)-1] }) },
		"head of a pack":   func(dir string) { edit(one(t, dir, pack), func(b []byte) []byte { b[11] ^= 1; return b }) },
		"empty pack":       func(dir string) { edit(one(t, dir, pack), func([]byte) []byte { return nil }) },
		"other index":      func(dir string) { edit(one(t, dir, index), func(b []byte) []byte { b[len(b)-1] ^= 1; return b }) },
		"no pack":          func(dir string) { must(t, os.Remove(one(t, dir, pack))) },
		"no blob":          func(dir string) { must(t, os.Remove(object(dir, "HEAD:loose"))) },
		"empty commit":     func(dir string) { must(t, os.Truncate(object(dir, "HEAD"), 0)) },
		"cut blob":         func(dir string) { edit(object(dir, "HEAD:loose"), func(b []byte) []byte { return b[:len(b)-6] }) },
		"other blob": func(dir string) {
			write(t, dir, map[string]string{"other": "other\n"})
			other := run(t, dir, "hash-object", "-w", "other")
			b, err := os.ReadFile(one(t, dir, ".git/objects/"+other[:2]+"/"+other[2:]))
			must(t, err)
			must(t, os.WriteFile(object(dir, "HEAD:loose"), b, 0o644))
		},
		"empty branch": func(dir string) { must(t, os.Truncate(one(t, dir, ".git/refs/heads/main"), 0)) },
		"other branch": func(dir string) {
			must(t, os.WriteFile(filepath.Join(dir, ".git/refs/heads/side"), []byte(strings.Repeat("5", 40)+"\n"), 0o644))
		},
		"no branch": func(dir string) {
			must(t, os.WriteFile(filepath.Join(dir, ".git/refs/heads/side"), []byte("nonsense\n"), 0o644))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "mine")
			must(t, os.CopyFS(dir, os.DirFS(whole)))
			harm(dir)
			refused(t, dir, damaged)
		})
	}
}

// flip changes a byte in the middle of an object in the only pack.
func flip(t *testing.T, dir, rev string) func([]byte) []byte {
	t.Helper()
	oid := run(t, dir, "rev-parse", rev)
	for line := range strings.Lines(run(t, dir, "verify-pack", "-v", one(t, dir, ".git/objects/pack/*.idx"))) {
		if words := strings.Fields(line); words[0] == oid {
			var size, length, at int
			fmt.Sscan(strings.Join(words[2:5], " "), &size, &length, &at)
			return func(b []byte) []byte { b[at+length/2] ^= 0x10; return b }
		}
	}
	t.Fatalf("%s is not in the pack", oid)
	return nil
}

func TestBundleDamagedByGit(t *testing.T) {
	dir := newRepo(t, "--object-format=sha256")
	refused(t, dir, is(ErrNoCommits))
	commit(t, dir, someFiles)
	oid := run(t, dir, "rev-parse", "HEAD:link")
	must(t, os.Remove(one(t, dir, ".git/objects/"+oid[:2]+"/"+oid[2:])))
	refused(t, dir, damaged)
	must(t, os.Truncate(one(t, dir, ".git/refs/heads/main"), 0))
	refused(t, dir, damaged)
	home := filepath.Dir(dir)
	run(t, home, "init", "-q", "--bare", "--object-format=sha256", "bare")
	refused(t, filepath.Join(home, "bare"), is(ErrNotRepo))
}

// TestBundleByGit: the program git is used where go-git cannot read, and runs nothing.
func TestBundleByGit(t *testing.T) {
	dir := newRepo(t, "--object-format=sha256")
	run(t, dir, "config", "core.bigFileThreshold", "1m")
	commit(t, dir, someFiles)
	for i := range 3 {
		write(t, dir, map[string]string{"bin/run": fmt.Sprint(i)})
		run(t, dir, "stash", "push", "-q")
	}
	run(t, dir, "tag", "-a", "-m", "x", "v1")
	run(t, dir, "checkout", "-q", "--detach")
	commit(t, dir, map[string]string{"detached": "x\n"})
	ran := filepath.Join(t.TempDir(), "ran")
	program := "touch " + ran + "; false"
	for _, key := range []string{"core.fsmonitor", "core.pager", "core.sshCommand", "uploadpack.packObjectsHook", "core.alternateRefsCommand", "log.showSignature"} {
		run(t, dir, "config", key, program)
	}
	file := bundled(t, dir)
	absent(t, ran)
	run(t, dir, "config", "--unset", "log.showSignature")
	restored(t, dir, file)
	again := bundled(t, dir, file)
	if a, b := stat(t, file), stat(t, again); !os.SameFile(a, b) {
		t.Error("written again")
	}
	t.Setenv("PATH", t.TempDir())
	refused(t, dir, is(ErrNeedsGit))
}

// TestBundleOldIndex: go-git reads no pack index of version 1.
func TestBundleOldIndex(t *testing.T) {
	dir := newRepo(t)
	commit(t, dir, someFiles)
	run(t, dir, "-c", "pack.indexVersion=1", "repack", "-q", "-a", "-d")
	restored(t, dir, bundled(t, dir))
}

func stat(t *testing.T, name string) fs.FileInfo {
	t.Helper()
	info, err := os.Stat(name)
	must(t, err)
	return info
}

// TestBundlePartial: what is not here is not fetched.
func TestBundlePartial(t *testing.T) {
	u := newUpstream(t)
	u.commit(t, someFiles)
	u.commit(t, map[string]string{"bin/run": "new\n"})
	run(t, u.dir, "config", "uploadpack.allowFilter", "true")
	dir := filepath.Join(t.TempDir(), "mine")
	run(t, "/", "clone", "-q", "--filter=blob:none", u.url, dir)
	hits := u.hits.Load()
	refused(t, dir, damaged)
	if _, err := bundleRepo(t.Context(), dir, t.TempDir(), nil, openBundleByGit); err == nil {
		t.Error("git made a bundle of a partial clone")
	}
	if u.hits.Load() != hits {
		t.Error("asked the server")
	}
}

func TestBundleReuse(t *testing.T) {
	dir := newRepo(t)
	commit(t, dir, someFiles)
	file := bundled(t, dir)
	whole, err := os.ReadFile(file)
	must(t, err)
	for name, harm := range map[string]func(string){
		"cut":     func(f string) { must(t, os.Truncate(f, int64(len(whole)-1))) },
		"longer":  func(f string) { must(t, os.WriteFile(f, append(bytes.Clone(whole), 'x'), 0o600)) },
		"empty":   func(f string) { must(t, os.Truncate(f, 0)) },
		"changed": func(f string) { b := bytes.Clone(whole); b[len(b)/2] ^= 1; must(t, os.WriteFile(f, b, 0o600)) },
		"refs": func(f string) {
			must(t, os.WriteFile(f, bytes.Replace(whole, []byte("heads/main"), []byte("heads/niam"), 1), 0o600))
		},
		"open": func(f string) { must(t, os.Chmod(f, 0o640)) },
		"link": func(f string) { must(t, os.Remove(f)); must(t, os.Symlink(file, f)) },
		"gone": func(f string) { must(t, os.Remove(f)) },
	} {
		old := filepath.Join(t.TempDir(), filepath.Base(file))
		must(t, os.WriteFile(old, whole, 0o600))
		harm(old)
		got := bundled(t, dir, old)
		if b, err := os.ReadFile(got); err != nil || !bytes.Equal(b, whole) {
			t.Errorf("%s: %d bytes, %v", name, len(b), err)
		}
		if info, err := os.Stat(old); err == nil && os.SameFile(info, stat(t, got)) {
			t.Errorf("%s: linked", name)
		}
		into := filepath.Dir(old) // and in place of one that a crash spoilt
		again, err := Bundle(t.Context(), dir, into, nil)
		if b, _ := os.ReadFile(old); err != nil || again != old || !bytes.Equal(b, whole) {
			t.Errorf("%s: %v, %v", name, again, err)
		}
	}
	before := stat(t, file)
	if same, err := Bundle(t.Context(), dir, filepath.Dir(file), nil); err != nil || same != file || !os.SameFile(before, stat(t, file)) {
		t.Errorf("in its own directory: %s, %v", same, err)
	}
}

// TestBundleElsewhere: there are no links from one file system to another.
func TestBundleElsewhere(t *testing.T) {
	dir := newRepo(t)
	commit(t, dir, someFiles)
	file := bundled(t, dir)
	into, err := os.MkdirTemp("/dev/shm", "movein-")
	if err != nil {
		t.Skip(err)
	}
	defer os.RemoveAll(into)
	if os.Link(file, filepath.Join(into, "x")) == nil {
		t.Skip("it is the same file system")
	}
	got, err := Bundle(t.Context(), dir, into, []string{file})
	must(t, err)
	restored(t, dir, got)
	if left, _ := os.ReadDir(into); len(left) != 1 {
		t.Errorf("left: %v", left)
	}
}

func TestBundleNoSpace(t *testing.T) {
	into := t.TempDir()
	if err := unix.Mount("movein", into, "tmpfs", 0, "size=64k"); err != nil {
		t.Skip("needs root: ", err)
	}
	defer unix.Unmount(into, unix.MNT_DETACH)
	noise := make([]byte, 200_000)
	rand.NewChaCha8([32]byte{}).Read(noise)
	for _, format := range []string{"sha1", "sha256"} {
		dir := newRepo(t, "--object-format="+format)
		must(t, os.WriteFile(filepath.Join(dir, "noise"), noise, 0o644))
		commit(t, dir, nil)
		for range 2 {
			file, err := Bundle(t.Context(), dir, into, nil)
			left, _ := os.ReadDir(into)
			if file != "" || !errors.Is(err, unix.ENOSPC) || damaged(err) || len(left) > 0 {
				t.Errorf("%s: %q, %v, left %v", format, file, err, left)
			}
			run(t, dir, "repack", "-q", "-a", "-d")
		}
	}
}

// moment is a context that does something when it is asked the nth time, and then always.
type moment struct {
	context.Context
	n  *int
	do func() error
}

func (m moment) Err() error {
	if *m.n--; *m.n <= 0 {
		return m.do()
	}
	return nil
}
func (moment) Done() <-chan struct{}           { return nil }
func (moment) Deadline() (d time.Time, _ bool) { return d, false }

func TestBundleStopped(t *testing.T) {
	dir := newRepo(t)
	commit(t, dir, someFiles)
	run(t, dir, "repack", "-q", "-a", "-d")
	commit(t, dir, map[string]string{"loose": "loose\n"})
	stop := errors.New("stopped")
	for n := 1; ; n++ {
		into, left := t.TempDir(), n
		file, err := Bundle(moment{t.Context(), &left, func() error { return stop }}, dir, into, nil)
		if left > 0 {
			if must(t, err); n < 20 {
				t.Errorf("it asked its context %d times", n)
			}
			restored(t, dir, file)
			break
		}
		names, _ := os.ReadDir(into)
		if !errors.Is(err, stop) || damaged(err) || len(names) > 0 {
			t.Fatalf("at moment %d: %s, %v, left %v", n, file, err, names)
		}
	}
}

// TestBundleMeanwhile: git packs loose objects and removes packs at any moment.
func TestBundleMeanwhile(t *testing.T) {
	first := newRepo(t)
	for _, more := range []string{"1", "2"} {
		commit(t, first, map[string]string{"file": more, "dir/" + more: more})
		run(t, first, "repack", "-q", "-d")
	}
	commit(t, first, map[string]string{"loose": "loose\n"})
	for n := 1; ; n++ {
		dir := filepath.Join(t.TempDir(), "mine")
		must(t, os.CopyFS(dir, os.DirFS(first)))
		left, once := n, sync.OnceValue(exec.Command("git", "-C", dir, "gc", "-q", "--prune=now").Run)
		file, err := Bundle(moment{t.Context(), &left, once}, dir, t.TempDir(), nil)
		if err != nil {
			t.Fatalf("at moment %d: %v", n, err)
		}
		if left > 0 {
			break
		}
		if n%8 == 0 {
			restored(t, dir, file)
		}
	}
}
