package host

import (
	"bytes"
	"crypto/sha1"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"
)

func readIndex(t *testing.T, dir string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, ".git/index"))
	must(t, err)
	return b
}

// Every kind of entry and each version, as git lists them.
func TestIndexIsReadAsGitReadsIt(t *testing.T) {
	u := newUpstream(t)
	u.commit(t, someFiles)
	for name, do := range map[string]func(d string){
		"version 2": func(string) {},
		"version 3": func(d string) { write(t, d, map[string]string{"new": "n"}); run(t, d, "add", "-N", "new") },
		"version 4": func(d string) { run(t, d, "update-index", "--index-version=4") },
		"conflict": func(d string) {
			blob := run(t, d, "rev-parse", "HEAD:flake.nix")
			write(t, d, map[string]string{"../stages": fmt.Sprintf("100644 %s 1\tbin/run\n100755 %s 2\tbin/run\n", blob, blob)})
			run(t, d, "rm", "-q", "--cached", "bin/run")
			stages, err := os.ReadFile(filepath.Join(d, "../stages"))
			must(t, err)
			runIn(t, d, stages, "update-index", "--index-info")
		},
		"no checksum": func(d string) { run(t, d, "-c", "index.skipHash=true", "update-index", "--force-write-index") },
		"empty":       func(d string) { run(t, d, "rm", "-rq", "--cached", ".") },
	} {
		dir := u.clone(t)
		do(dir)
		entries, _, err := parseIndex(readIndex(t, dir))
		must(t, err)
		var got []string
		for _, e := range entries {
			got = append(got, fmt.Sprintf("%06o %s %d\t%s", uint32(e.mode), e.hash, e.stage, e.name))
		}
		if want := run(t, dir, "ls-files", "--stage"); strings.Join(got, "\n") != want {
			t.Errorf("%s:\n%s\ngit says:\n%s", name, strings.Join(got, "\n"), want)
		}
	}
}

// What the index says of trees is what git would say, also for one that was changed since.
func TestIndexNotesTheTreesThatItHas(t *testing.T) {
	u := newUpstream(t)
	u.step(t, before)
	dir := u.clone(t)
	noted := func() {
		t.Helper()
		_, tree, err := parseIndex(readIndex(t, dir))
		must(t, err)
		if want := run(t, dir, "rev-parse", "HEAD^{tree}"); tree.String() != want {
			t.Errorf("the index notes %s, HEAD has %s", tree, want)
		}
		sound(t, dir)
		run(t, dir, "update-index", "--force-write-index") // git keeps what it could read
		if _, kept, err := parseIndex(readIndex(t, dir)); err != nil || kept != tree {
			t.Errorf("git keeps %s, %v", kept, err)
		}
	}
	noted()
	must(t, FastForward(t.Context(), dir, u.remote(), u.step(t, after)))
	noted()
	write(t, dir, map[string]string{"deep/new/new": "x\n"})
	run(t, dir, "add", "-A")
	if _, tree, err := parseIndex(readIndex(t, dir)); err != nil || !tree.IsZero() {
		t.Errorf("with something staged it notes %s, %v", tree, err)
	}
	got := run(t, dir, "write-tree") // by what the index notes of the other directories
	must(t, os.Remove(filepath.Join(dir, ".git/index")))
	run(t, dir, "add", "-A")
	if want := run(t, dir, "write-tree"); got != want {
		t.Errorf("git writes the tree %s, and %s without what the index noted", got, want)
	}
}

func TestDamagedIndexIsRefused(t *testing.T) {
	u := newUpstream(t)
	u.commit(t, someFiles)
	dir := u.clone(t)
	whole := readIndex(t, dir)
	signed := func(b []byte) []byte { sum := sha1.Sum(b); return append(bytes.Clone(b), sum[:]...) }
	for n := range whole {
		if _, _, err := parseIndex(whole[:n]); err == nil {
			t.Errorf("cut after %d bytes of %d it is read", n, len(whole))
		}
		if n <= len(whole)-2*indexSum { // what is left is no extension
			parseIndex(signed(whole[:n])) //nolint:errcheck // it must not panic
		}
	}
	flipped := bytes.Clone(whole)
	flipped[indexHead+40] ^= 1
	if _, _, err := parseIndex(flipped); err == nil {
		t.Error("with a bit flipped it is read")
	}
	body := whole[:len(whole)-indexSum]
	for ext, want := range map[string]error{"link\x00\x00\x00\x00": ErrNeedsGit, "LINK\x00\x00\x00\x00": nil, "LINK\x00\x00\x00\x01": errIndexCut} {
		if _, _, err := parseIndex(signed(append(bytes.Clone(body), ext...))); !errors.Is(err, want) {
			t.Errorf("extension %q: %v", ext, err)
		}
	}
}

// Wherever a commit is kept, its tree is found.
func TestTreeOfACommit(t *testing.T) {
	u := newUpstream(t)
	var commits []string
	for i := range 30 { // so many alike that some become deltas
		write(t, u.dir, map[string]string{"f": fmt.Sprint(i)})
		run(t, u.dir, "add", "-A")
		run(t, u.dir, "commit", "-qm", strings.Repeat("the same text\n", 40))
		commits = append(commits, run(t, u.dir, "rev-parse", "HEAD"))
	}
	for _, state := range []string{"loose", "packed", "borrowed"} {
		dir := u.dir
		switch state {
		case "packed":
			run(t, u.dir, "gc", "-q", "--aggressive", "--prune=now")
			packs, err := filepath.Glob(filepath.Join(dir, ".git/objects/pack/*.idx"))
			if err != nil || !strings.Contains(run(t, dir, append([]string{"verify-pack", "-v"}, packs...)...), "chain length") {
				t.Error("there are no deltas")
			}
		case "borrowed":
			dir = filepath.Join(t.TempDir(), "borrower")
			run(t, u.dir, "clone", "-q", "--shared", u.dir, dir)
		}
		r, err := openGit(dir)
		must(t, err)
		for _, c := range commits {
			if tree, err := r.treeOf(plumbing.NewHash(c)); err != nil || tree.String() != run(t, dir, "rev-parse", c+"^{tree}") {
				t.Errorf("%s: the tree of %s is %s, %v", state, c, tree, err)
			}
		}
		if tree, err := r.treeOf(plumbing.NewHash(strings.Repeat("12", 20))); err == nil {
			t.Errorf("%s: a commit that is not there has the tree %s", state, tree)
		}
		r.close()
	}
}
