package host

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// recipe is the commands of Bundle's comment for a machine that has nothing but the file.
const recipe = `git init -q DIR && cd DIR
sed -n '/^$/q; s/^-[0-9a-f]* //p' FILE | tr ' ' '\n' | sort -u >.git/shallow
sed '1,/^$/{/^-/d;}' FILE >../whole.bundle
git fetch -q ../whole.bundle '+refs/*:refs/rescued/*'
git checkout -q -B main refs/rescued/heads/main`

func TestBundleShallow(t *testing.T) {
	u := newUpstream(t)
	for _, format := range []string{"sha1", "sha256"} {
		run(t, filepath.Dir(u.dir), "init", "-q", "-b", "main", "--object-format="+format, format)
		u := &upstream{dir: filepath.Join(filepath.Dir(u.dir), format)}
		u.commit(t, nil)
		u.commit(t, map[string]string{"old": "old\n"})
		run(t, u.dir, "branch", "side")
		run(t, u.dir, "branch", "other")
		u.commit(t, someFiles)
		for _, branch := range []string{"side", "other"} {
			run(t, u.dir, "checkout", "-q", branch)
			u.commit(t, map[string]string{branch: "x\n"})
		}
		run(t, u.dir, "checkout", "-q", "main")
		run(t, u.dir, "merge", "-q", "-m", "merge", "side", "other")
		for depth, lacking := range map[int]int{1: 2, 2: 1, 3: 0} {
			home := t.TempDir()
			dir := filepath.Join(home, "mine")
			run(t, home, "clone", "-q", "--no-single-branch", "--branch=main", fmt.Sprint("--depth=", depth), "file://"+u.dir, dir)
			write(t, dir, map[string]string{"stashed": "x\n"})
			run(t, dir, "stash", "push", "-q", "-u")
			mine := commit(t, dir, map[string]string{"mine": "mine\n"})
			file := bundled(t, dir)
			n := run(t, home, "bundle", "list-heads", file)
			for _, ref := range []string{"HEAD", "refs/heads/main", "refs/stash", "refs/remotes/origin/side", "refs/remotes/origin/HEAD"} {
				if !strings.Contains(n+"\n", " "+ref+"\n") {
					t.Errorf("%s is not in\n%s", ref, n)
				}
			}
			header, err := os.ReadFile(file)
			must(t, err)
			header, _, _ = bytes.Cut(header, []byte("\n\n"))
			if got := strings.Count(string(header), "\n-"); got != lacking {
				t.Errorf("%s, depth %d: %d prerequisites\n%s", format, depth, got, header)
			}
			inFull(t, u.dir, file, mine)
			byRecipe(t, dir, file)
		}
	}
}

// inFull takes a bundle into a clone with all history.
func inFull(t *testing.T, upstream, file, mine string) {
	t.Helper()
	full := filepath.Join(t.TempDir(), "full")
	run(t, "/", "clone", "-q", "file://"+upstream, full)
	run(t, full, "bundle", "verify", "-q", file)
	run(t, full, "-c", "fetch.fsckObjects=true", "fetch", "-q", file, "+refs/*:refs/rescued/*")
	run(t, full, "fsck", "--full", "--strict")
	if got := run(t, full, "rev-parse", "refs/rescued/heads/main"); got != mine {
		t.Errorf("main is %s", got)
	}
	run(t, full, "checkout", "-q", "refs/rescued/heads/main")
	run(t, full, "stash", "apply", "-q", "refs/rescued/stash")
	if _, err := os.Stat(filepath.Join(full, "stashed")); err != nil {
		t.Error(err)
	}
}

// byRecipe takes a bundle where there is nothing else.
func byRecipe(t *testing.T, dir, file string) {
	t.Helper()
	alone := filepath.Join(t.TempDir(), "alone")
	cmd := exec.Command("sh", "-e", "-c", strings.NewReplacer("DIR", alone, "FILE", file).Replace(recipe))
	if format := run(t, dir, "rev-parse", "--show-object-format"); format != "sha1" {
		cmd.Env = append(os.Environ(), "GIT_DEFAULT_HASH="+format)
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
		return
	}
	run(t, alone, "fsck", "--full", "--strict")
	same(t, read(t, alone), read(t, dir))
	if got, want := run(t, alone, "rev-list", "--all"), run(t, dir, "rev-list", "--all"); len(got) != len(want) {
		t.Errorf("commits\n%s\nand not\n%s", got, want)
	}
	run(t, alone, "stash", "apply", "-q", "refs/rescued/stash")
}

// TestBundleDeepened: with more history the same references are another bundle.
func TestBundleDeepened(t *testing.T) {
	up := newRepo(t)
	commit(t, up, map[string]string{"old": "old\n"})
	commit(t, up, someFiles)
	dir := filepath.Join(t.TempDir(), "mine")
	run(t, "/", "clone", "-q", "--depth=1", "file://"+up, dir)
	shallow := bundled(t, dir)
	run(t, dir, "fetch", "-q", "--unshallow")
	deep := bundled(t, dir, shallow)
	if filepath.Base(deep) == filepath.Base(shallow) {
		t.Errorf("%s is %s", deep, shallow)
	}
	restored(t, dir, deep)
}

// TestBundleNames: what is a reference to git is one, and what is none is none.
func TestBundleNames(t *testing.T) {
	dir := filepath.Join(filepath.Dir(newRepo(t)), ".mine")
	must(t, os.Rename(filepath.Join(filepath.Dir(dir), "mine"), dir))
	head := commit(t, dir, someFiles)
	for _, ref := range []string{"refs/heads/-x", "refs/heads/ä/ö", "refs/notes/commits", "refs/any", "refs/bisect/bad"} {
		run(t, dir, "update-ref", ref, head)
	}
	for _, name := range []string{"side.lock", "a..b", "sp ace"} {
		must(t, os.WriteFile(filepath.Join(dir, ".git/refs/heads", name), []byte(head+"\n"), 0o644))
	}
	run(t, dir, "checkout", "-q", "--orphan", "unborn")
	file, err := Bundle(t.Context(), dir, t.TempDir(), nil)
	must(t, err)
	if !strings.HasPrefix(filepath.Base(file), "mine-") {
		t.Errorf("its name is %s", file)
	}
	got := strings.ReplaceAll(run(t, "/", "bundle", "list-heads", file), head+" ", "")
	if want := "refs/any\nrefs/bisect/bad\nrefs/heads/-x\nrefs/heads/main\nrefs/heads/ä/ö\nrefs/notes/commits"; got != want {
		t.Errorf("it has\n%s\nand not\n%s", got, want)
	}
}

// TestBundleOfRoot: names are of the host's files, also where its root is another.
func TestBundleOfRoot(t *testing.T) {
	dir := newRepo(t)
	commit(t, dir, someFiles)
	h := &Real{Root: filepath.Dir(dir)}
	must(t, h.MkdirAll("/first", 0o755))
	must(t, h.MkdirAll("/second", 0o755))
	first, err := h.Bundle(t.Context(), "/mine", "/first", nil)
	must(t, err)
	second, err := h.Bundle(t.Context(), "/mine", "/second", []string{first})
	must(t, err)
	if filepath.Dir(first) != "/first" || filepath.Dir(second) != "/second" || !os.SameFile(stat(t, h.path(first)), stat(t, h.path(second))) {
		t.Errorf("%s and %s", first, second)
	}
}
