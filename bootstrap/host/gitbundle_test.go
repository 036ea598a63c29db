package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// try runs git in dir and returns what it prints, also if it fails.
func try(dir string, args ...string) (string, error) {
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// bundled bundles a repository and checks the file's name, mode and directory.
func bundled(t *testing.T, dir string, reuse ...string) string {
	t.Helper()
	into := t.TempDir()
	file, err := Bundle(t.Context(), dir, into, reuse)
	must(t, err)
	info, err := os.Lstat(file)
	must(t, err)
	left, _ := os.ReadDir(into)
	if len(left) != 1 || filepath.Dir(file) != into || info.Mode() != 0o600 {
		t.Errorf("%s %v, and in its directory %v", file, info.Mode(), left)
	}
	base := filepath.Base(file)
	digest, ok := strings.CutSuffix(strings.TrimPrefix(base, filepath.Base(dir)+"-"), ".bundle")
	if !ok || len(digest) != 12 || strings.Trim(digest, "0123456789abcdef") != "" {
		t.Errorf("its name is %s", base)
	}
	return file
}

// everything is HEAD, all references as a bundle is to have them, and all objects.
func everything(t *testing.T, dir string, from ...string) string {
	t.Helper()
	refs := run(t, dir, "for-each-ref", "--format=%(objectname) %(refname)")
	if len(from) > 0 { // the clone of a bundle has those of the repository already
		older, _ := try(from[0], "rev-list", "--walk-reflogs", "refs/stash")
		for i, oid := range strings.Fields(older) {
			if i > 0 && strings.Contains(refs, " refs/stash") {
				refs += fmt.Sprintf("\n%s refs/movein/stash/%d", oid, i)
			}
		}
	}
	all := map[string]bool{"HEAD " + run(t, dir, "rev-parse", "HEAD"): true}
	args := []string{"rev-list", "--objects", "--no-object-names", "HEAD"}
	for line := range strings.SplitSeq(refs, "\n") {
		all[line] = true
		oid, _, _ := strings.Cut(line, " ")
		args = append(args, oid)
	}
	for line := range strings.SplitSeq(run(t, dir, args...), "\n") {
		all[line] = true
	}
	return strings.Join(slices.Sorted(maps.Keys(all)), "\n")
}

// restored checks that a clone of the bundle has what the repository has.
func restored(t *testing.T, dir, file string) {
	t.Helper()
	clone := filepath.Join(t.TempDir(), "clone")
	run(t, "/", "clone", "-q", "--mirror", file, clone)
	run(t, clone, "bundle", "verify", "-q", file)
	run(t, clone, "fsck", "--full", "--strict")
	run(t, clone, "index-pack", "--strict", "-o", filepath.Join(t.TempDir(), "x.idx"), packIn(t, file))
	if got, want := everything(t, clone), everything(t, dir, dir); got != want {
		t.Errorf("the clone of %s has\n%s\nand not\n%s", file, got, want)
	}
}

// packIn writes the pack in a bundle to a file.
func packIn(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	must(t, err)
	_, pack, _ := bytes.Cut(b, []byte("\n\n"))
	name := filepath.Join(t.TempDir(), "x.pack")
	must(t, os.WriteFile(name, pack, 0o600))
	return name
}

// newRepo makes an empty repository; more are options of git init.
func newRepo(t *testing.T, more ...string) string {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("needs git to compare with")
	}
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("XDG_CONFIG_HOME", "")
	t.Setenv("GIT_CONFIG_NOSYSTEM", "1")
	for _, who := range []string{"AUTHOR", "COMMITTER"} {
		t.Setenv("GIT_"+who+"_NAME", "t")
		t.Setenv("GIT_"+who+"_EMAIL", "t@example.org")
	}
	run(t, home, append([]string{"init", "-q", "-b", "main", "mine"}, more...)...)
	run(t, home, "config", "--global", "gc.auto", "0")
	return filepath.Join(home, "mine")
}

// commit records files, and returns the commit.
func commit(t *testing.T, dir string, files map[string]string) string {
	t.Helper()
	write(t, dir, files)
	run(t, dir, "add", "-A")
	run(t, dir, "commit", "-q", "--allow-empty", "-m", "change")
	return run(t, dir, "rev-parse", "HEAD")
}

// poem is a text that differs from others in a few lines, so that git makes deltas.
func poem(rnd *rand.Rand) string {
	lines := make([]string, 200)
	for i := range lines {
		lines[i] = fmt.Sprintf("line %d of the same text", i)
		if rnd.IntN(20) == 0 {
			lines[i] += fmt.Sprint(rnd.Uint64())
		}
	}
	return strings.Join(lines, "\n")
}

// live does random things that people do to a repository.
func live(t *testing.T, dir string, rnd *rand.Rand) {
	t.Helper()
	commit(t, dir, map[string]string{"a/b/poem": poem(rnd), "link": "-> a", "run": "+x 1"})
	for i := range 30 {
		name := fmt.Sprintf("n%d", i)
		text := fmt.Sprintf("d%d/%d", rnd.IntN(3), rnd.IntN(6))
		switch rnd.IntN(16) {
		case 0:
			run(t, dir, "checkout", "-q", "-b", "side/"+name)
		case 1:
			run(t, dir, "checkout", "-q", "--detach")
		case 2:
			run(t, dir, "checkout", "-q", "main")
		case 3:
			if _, err := try(dir, "merge", "-q", "-X", "ours", "-m", "merge", "main"); err != nil {
				run(t, dir, "reset", "-q", "--hard")
			}
		case 4:
			run(t, dir, "tag", name)
		case 5:
			run(t, dir, "tag", "-a", "-m", "annotated", name)
			run(t, dir, "tag", "-a", "-m", "of a tag", "t"+name, name)
		case 6:
			write(t, dir, map[string]string{text: poem(rnd), "untracked": name})
			run(t, dir, "add", text)
			run(t, dir, "stash", "push", "-q", "-u")
		case 7:
			run(t, dir, "repack", "-q", "-d") // one more pack
		case 8:
			run(t, dir, "-c", fmt.Sprintf("repack.useDeltaBaseOffset=%v", rnd.IntN(2) == 0), "repack", "-q", "-a", "-d", "-k")
			run(t, dir, "pack-refs", "--all")
		case 12: // a pack with what others have too, as other deltas
			cmd := exec.Command("git", "pack-objects", "-q", "--revs", "--no-reuse-delta", fmt.Sprint("--window=", rnd.IntN(20)), ".git/objects/pack/pack")
			cmd.Dir, cmd.Stdin = dir, strings.NewReader("HEAD\n")
			must(t, cmd.Run())
		case 9: // what only a deleted branch had may be what others are deltas of
			run(t, dir, "checkout", "-q", "-b", "gone")
			commit(t, dir, map[string]string{text: poem(rnd)})
			run(t, dir, "repack", "-q", "-a", "-d")
			run(t, dir, "checkout", "-q", "main")
			run(t, dir, "branch", "-q", "-D", "gone")
		case 10:
			run(t, dir, "update-index", "--add", "--cacheinfo", "160000,"+strings.Repeat("5", 40)+",sub")
			run(t, dir, "commit", "-q", "--allow-empty", "-m", "a submodule")
		case 11:
			run(t, dir, "update-ref", "refs/remotes/origin/main", "HEAD")
			run(t, dir, "symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/main")
			run(t, dir, "symbolic-ref", "refs/remotes/none/HEAD", "refs/remotes/none/main")
		default:
			commit(t, dir, map[string]string{text: poem(rnd)})
		}
	}
}

func TestBundle(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			dir := newRepo(t)
			live(t, dir, rand.New(rand.NewPCG(seed, 1)))
			file := bundled(t, dir)
			restored(t, dir, file)
			ours, err := os.Stat(file)
			must(t, err)
			run(t, dir, "gc", "-q") // the same commits, stored otherwise
			again := bundled(t, dir, filepath.Join(t.TempDir(), "none.bundle"), file)
			linked, err := os.Stat(again)
			must(t, err)
			if filepath.Base(again) != filepath.Base(file) || !os.SameFile(ours, linked) {
				t.Errorf("%s is not %s", again, file)
			}
			fresh := bundled(t, dir)
			if filepath.Base(fresh) != filepath.Base(file) {
				t.Errorf("%s is not called %s", fresh, file)
			}
			restored(t, dir, fresh)
			commit(t, dir, nil)
			if newer := bundled(t, dir, file); filepath.Base(newer) == filepath.Base(file) {
				t.Errorf("another commit, and again %s", newer)
			}
		})
	}
}

// TestBundleOnePack: what is one pack already is copied byte for byte.
func TestBundleOnePack(t *testing.T) {
	dir := newRepo(t)
	rnd := rand.New(rand.NewPCG(1, 1))
	for range 20 {
		commit(t, dir, map[string]string{"poem": poem(rnd)})
	}
	run(t, dir, "repack", "-q", "-a", "-d")
	packs, _ := filepath.Glob(filepath.Join(dir, ".git/objects/pack/*.pack"))
	want, err := os.ReadFile(packs[0])
	must(t, err)
	got, err := os.ReadFile(packIn(t, bundled(t, dir)))
	if must(t, err); !bytes.Equal(got, want) {
		t.Errorf("%d bytes are not the pack's %d", len(got), len(want))
	}
}

func TestBundleManyFiles(t *testing.T) {
	dir := newRepo(t)
	stream := "commit refs/heads/main\ncommitter t <t@example.org> 1 +0000\ndata 0\n"
	for i := range 10_000 {
		stream += fmt.Sprintf("M 644 inline d%d/f%d\ndata 5\n%05d\n", i%100, i, i)
	}
	cmd := exec.Command("git", "-c", "fastimport.unpackLimit=20000", "fast-import", "--quiet")
	cmd.Dir, cmd.Stdin = dir, strings.NewReader(stream)
	must(t, cmd.Run())
	write(t, dir, map[string]string{"large": strings.Repeat("0123456789abcdef", 1<<17)})
	run(t, dir, "tag", "blob", run(t, dir, "hash-object", "-w", "large"))
	run(t, dir, "tag", "tree", "HEAD^{tree}")
	restored(t, dir, bundled(t, dir))
}

func TestBundleAlternates(t *testing.T) {
	first := newRepo(t)
	live(t, first, rand.New(rand.NewPCG(9, 9)))
	home := filepath.Dir(first)
	second, third := filepath.Join(home, "second"), filepath.Join(home, "third")
	run(t, home, "clone", "-q", "--shared", first, second)
	commit(t, second, map[string]string{"second": "2"})
	run(t, home, "clone", "-q", "--shared", second, third)
	commit(t, third, map[string]string{"third": "3"})
	alternates := filepath.Join(third, ".git/objects/info/alternates")
	for _, line := range []string{"", "../../../second/.git/objects\n", "# one\n\"" + second + "/.git/objec\\164s\"\n"} {
		if line != "" {
			must(t, os.WriteFile(alternates, []byte(line), 0o644))
		}
		restored(t, third, bundled(t, third))
	}
	linked := filepath.Join(home, "linked")
	run(t, second, "worktree", "add", "-q", "-b", "linked", linked)
	commit(t, linked, map[string]string{"linked": "4"})
	restored(t, linked, bundled(t, linked))
	must(t, os.Rename(first, first+".gone"))
	refused(t, third, func(err error) bool { e := (*DamagedRepoError)(nil); return errors.As(err, &e) })
}

// refused checks that a bundle is not made, the error, and that nothing is left.
func refused(t *testing.T, dir string, ok func(error) bool) {
	t.Helper()
	into := t.TempDir()
	file, err := Bundle(t.Context(), dir, into, nil)
	left, _ := os.ReadDir(into)
	if err == nil || file != "" || !ok(err) || len(left) > 0 {
		t.Errorf("%q, %v, left %v", file, err, left)
	}
}

func is(target error) func(error) bool { return func(err error) bool { return errors.Is(err, target) } }

func TestBundleNothing(t *testing.T) {
	dir := newRepo(t)
	home := filepath.Dir(dir)
	refused(t, filepath.Join(home, "none"), is(fs.ErrNotExist))
	refused(t, home, is(ErrNotRepo))
	refused(t, dir, is(ErrNoCommits))
	run(t, home, "init", "-q", "--bare", "bare")
	refused(t, filepath.Join(home, "bare"), is(ErrNotRepo))
	commit(t, dir, someFiles)
	if file, err := Bundle(t.Context(), dir, filepath.Join(home, "none"), nil); file != "" || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%q, %v", file, err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("stopped"))
	if file, err := Bundle(ctx, dir, home, nil); file != "" || err == nil || !strings.Contains(err.Error(), "stopped") {
		t.Errorf("%q, %v", file, err)
	}
}
