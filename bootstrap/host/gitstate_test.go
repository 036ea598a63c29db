package host

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/go-git/go-git/v5/plumbing/format/index"
)

func TestRepoState(t *testing.T) {
	u := newUpstream(t)
	first := u.commit(t, someFiles)
	for _, c := range []struct {
		name      string
		do        func(dir string)
		dirty     []string
		untracked []string
		check     func(r Repo) bool
	}{
		{name: "clean", do: func(string) {}},
		{name: "changed", do: func(d string) { write(t, d, map[string]string{"flake.nix": "{x}\n"}) }, dirty: []string{"flake.nix"}},
		{name: "changed in the same moment, same size", do: func(d string) {
			file := filepath.Join(d, "flake.nix")
			run(t, d, "update-index", "--refresh")
			fi, _ := os.Stat(filepath.Join(d, ".git/index"))
			must(t, os.WriteFile(file, []byte("{x}\n"), 0o644))
			must(t, os.Chtimes(file, fi.ModTime(), fi.ModTime()))
			run(t, d, "add", "flake.nix")
			must(t, os.WriteFile(file, []byte("{y}\n"), 0o644))
			must(t, os.Chtimes(file, fi.ModTime(), fi.ModTime()))
			must(t, os.Chtimes(filepath.Join(d, ".git/index"), fi.ModTime(), fi.ModTime()))
		}, dirty: []string{"flake.nix"}},
		{name: "a byte changed, mtime restored", do: func(d string) {
			file := filepath.Join(d, "flake.nix")
			must(t, os.Chtimes(filepath.Join(d, ".git/index"), time.Now(), time.Now().Add(time.Hour))) // not racy
			fi, err := os.Stat(file)
			must(t, err)
			must(t, os.WriteFile(file, []byte("{x}\n"), 0o644))
			must(t, os.Chtimes(file, time.Now(), fi.ModTime()))
		}, dirty: []string{"flake.nix"}},
		{name: "new in a directory that is as it was", do: func(d string) { write(t, d, map[string]string{"a/b/c/new": "x"}) }, untracked: []string{"a/b/c/new"}},
		{name: "a rule less", do: func(d string) {
			write(t, d, map[string]string{".gitignore": "*.log\n", "a/b/x.log": "x"})
			run(t, d, "add", ".gitignore")
			run(t, d, "commit", "-qm", "x")
			write(t, d, map[string]string{".gitignore": "*.tmp\n"})
		}, dirty: []string{".gitignore"}, untracked: []string{"a/b/x.log"}},
		{name: "HEAD moved, index and files not", do: func(d string) {
			write(t, d, map[string]string{"a/b/c/d": "x\n"})
			run(t, d, "commit", "-qam", "x")
			run(t, d, "reset", "-q", "--soft", "HEAD~1")
		}, dirty: []string{"a/b/c/d"}},
		{name: "touched", do: func(d string) { must(t, os.Chtimes(filepath.Join(d, "flake.nix"), time.Now(), time.Unix(1e9, 0))) }},
		{name: "deleted", do: func(d string) { write(t, d, map[string]string{"a/b/c/d": ""}) }, dirty: []string{"a/b/c/d"}},
		{name: "exec bit", do: func(d string) { must(t, os.Chmod(filepath.Join(d, "flake.nix"), 0o755)) }, dirty: []string{"flake.nix"}},
		{name: "exec bits ignored", do: func(d string) {
			run(t, d, "config", "core.fileMode", "false")
			must(t, os.Chmod(filepath.Join(d, "flake.nix"), 0o755))
		}},
		{name: "link changed", do: func(d string) { write(t, d, map[string]string{"link": "-> bin/ran"}) }, dirty: []string{"link"}},
		{name: "file to link", do: func(d string) { write(t, d, map[string]string{"flake.nix": "-> x"}) }, dirty: []string{"flake.nix"}},
		{name: "file to directory", do: func(d string) { write(t, d, map[string]string{"flake.nix": "", "flake.nix/x": "x"}) },
			dirty: []string{"flake.nix"}, untracked: []string{"flake.nix/x"}},
		{name: "directory to link", do: func(d string) {
			must(t, os.Rename(filepath.Join(d, "a"), filepath.Join(d, "z")))
			write(t, d, map[string]string{"a": "-> z"})
		}, dirty: []string{"a/b/c/d"}, untracked: []string{"a", "z/b/c/d"}},
		{name: "staged", do: func(d string) {
			write(t, d, map[string]string{"flake.nix": "{x}\n", "new": "n"})
			run(t, d, "add", "-A")
		}, dirty: []string{"flake.nix", "new"}},
		{name: "staged and put back", do: func(d string) {
			write(t, d, map[string]string{"flake.nix": "{x}\n"})
			run(t, d, "add", "-A")
			write(t, d, map[string]string{"flake.nix": "{ }\n"})
		}, dirty: []string{"flake.nix"}},
		{name: "staged deletion", do: func(d string) { run(t, d, "rm", "-q", "--cached", "link") }, dirty: []string{"link"}, untracked: []string{"link"}},
		{name: "intent to add", do: func(d string) {
			write(t, d, map[string]string{"new": "n"})
			run(t, d, "add", "-N", "new")
		}, dirty: []string{"new"}},
		{name: "sparse", do: func(d string) { run(t, d, "sparse-checkout", "set", "--no-cone", "/a/") }},
		{name: "conflict", do: func(d string) {
			write(t, d, map[string]string{"flake.nix": "1\n"})
			run(t, d, "commit", "-qam", "1")
			run(t, d, "checkout", "-q", "-b", "other", first)
			write(t, d, map[string]string{"flake.nix": "2\n"})
			run(t, d, "commit", "-qam", "2")
			merge := exec.Command("git", "merge", "-q", "main")
			merge.Dir = d
			if merge.Run() == nil {
				t.Fatal("no conflict")
			}
		}, dirty: []string{"flake.nix"}},
		{name: "untracked and ignored", do: func(d string) {
			write(t, d, map[string]string{
				".gitignore": "*.log\n/result\n!keep.log\nbuild/\n[!a]x\nq/**\n!q/keep\r\n", "x.log": "x", "keep.log": "x", "result": "-> /nix/store/x",
				"sub/result": "x", "build/deep/x": "x", "sub/build": "x", "bx": "x", "ax": "x", "q/no": "x", "q/keep": "x",
				".git/info/exclude": "excluded\n", "sub/excluded": "x",
				"sub/.gitignore": "!y.log\n*.tmp\n", "sub/y.log": "x", "sub/z.log": "x", "sub/a.tmp": "x", "b.tmp": "x",
				"sub/deep/.gitignore": "*\n", "sub/deep/x": "x",
			})
			write(t, os.Getenv("HOME"), map[string]string{".config/git/ignore": "global\n"})
			write(t, d, map[string]string{"global": "x"})
		}, untracked: []string{".gitignore", "ax", "b.tmp", "keep.log", "q/keep", "sub/.gitignore", "sub/build", "sub/result", "sub/y.log"}},
		{name: "core.excludesFile", do: func(d string) {
			write(t, os.Getenv("HOME"), map[string]string{
				".config/git/config": "[include]\n\tpath = more\n", ".config/git/more": "[core]\n\texcludesFile = ~/ignored\n", "ignored": "personal\n",
			})
			write(t, d, map[string]string{"personal": "x", "global": "x"})
		}, untracked: []string{"global"}},
		{name: "repository inside", do: func(d string) {
			run(t, d, "init", "-q", "nested")
			write(t, d, map[string]string{"nested/x": "x"})
		}, untracked: []string{"nested/"}},
		{name: "ahead", do: func(d string) { run(t, d, "commit", "-q", "--allow-empty", "-m", "x") }, check: func(r Repo) bool { return r.Ahead }},
		{name: "behind", do: func(d string) {
			run(t, d, "commit", "-q", "--allow-empty", "-m", "x")
			run(t, d, "update-ref", "refs/remotes/origin/main", "HEAD")
			run(t, d, "reset", "-q", "--hard", first)
		}, check: func(r Repo) bool { return !r.Ahead }},
		{name: "detached", do: func(d string) {
			run(t, d, "checkout", "-q", "--detach")
			run(t, d, "branch", "behind")
			run(t, d, "branch", "ahead", run(t, d, "commit-tree", "-p", "HEAD", "-m", "x", "HEAD^{tree}"))
			run(t, d, "branch", "elsewhere", run(t, d, "commit-tree", "-m", "x", "HEAD^{tree}"))
		}, check: func(r Repo) bool { return r.Branch == "" && fmt.Sprint(r.Branches) == "[ahead behind main]" }},
		{name: "packed refs and gc", do: func(d string) { run(t, d, "gc", "-q") }},
		{name: "index version 4", do: func(d string) { run(t, d, "update-index", "--index-version=4") }},
		{name: "no index", do: func(d string) {
			must(t, os.Remove(filepath.Join(d, ".git/index")))
			must(t, os.RemoveAll(filepath.Join(d, "a")))
		}, dirty: []string{"a/b/c/d", "bin/run", "empty/.keep", "flake.nix", "link", "out"},
			untracked: []string{"bin/run", "empty/.keep", "flake.nix", "link", "out"}},
		{name: "converted line ends", do: func(d string) {
			run(t, d, "config", "core.autocrlf", "true")
			write(t, d, map[string]string{"flake.nix": "{ }\r\n"})
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("HOME", t.TempDir())
			dir := u.clone(t)
			c.do(dir)
			r, err := RepoState(t.Context(), dir)
			must(t, err)
			if !reflect.DeepEqual(r.Dirty, c.dirty) || !reflect.DeepEqual(r.Untracked, c.untracked) {
				t.Errorf("dirty %q, want %q\nuntracked %q, want %q\ngit says:\n%s", r.Dirty, c.dirty, r.Untracked, c.untracked,
					run(t, dir, "status", "--porcelain", "-uall"))
			}
			if c.check != nil && !c.check(r) {
				t.Errorf("%+v", r)
			}
		})
	}
}

// A file whose metadata are those in the index is trusted if it is older than the index, and only then.
func TestRepoStateRacy(t *testing.T) {
	u := newUpstream(t)
	u.commit(t, someFiles)
	dir := u.clone(t)
	file, indexFile := filepath.Join(dir, "flake.nix"), filepath.Join(dir, ".git/index")
	dirty := func(indexTime time.Time) string {
		must(t, os.Chtimes(indexFile, indexTime, indexTime))
		r, err := RepoState(t.Context(), dir)
		must(t, err)
		return fmt.Sprint(r.Dirty)
	}
	must(t, os.WriteFile(file, []byte("{x}\n"), 0o644)) // in place and of the same size
	fi, err := os.Lstat(file)
	must(t, err)
	if got := dirty(fi.ModTime().Add(time.Second)); got != "[flake.nix]" {
		t.Errorf("changed since the index was written: %s", got)
	}
	b, err := os.ReadFile(indexFile)
	must(t, err)
	var idx index.Index
	must(t, index.NewDecoder(bytes.NewReader(b)).Decode(&idx))
	e, err := idx.Entry("flake.nix")
	must(t, err)
	vouch(e, fi) // as if the change had come in the moment in which the index was written
	var out bytes.Buffer
	must(t, index.NewEncoder(&out).Encode(&idx))
	must(t, os.WriteFile(indexFile, out.Bytes(), 0o644))
	for after, want := range map[time.Duration]string{-time.Second: "[flake.nix]", 0: "[flake.nix]", time.Second: "[]"} {
		if got := dirty(fi.ModTime().Add(after)); got != want {
			t.Errorf("index written %v after the file: %s, want %s", after, got, want)
		}
	}
}

func TestRepoStateOdd(t *testing.T) {
	u := newUpstream(t)
	dir := t.TempDir()
	if _, err := RepoState(t.Context(), filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if _, err := RepoState(t.Context(), dir); !errors.Is(err, ErrNotRepo) {
		t.Error(err)
	}
	write(t, dir, map[string]string{"file": "x"})
	if _, err := RepoState(t.Context(), filepath.Join(dir, "file")); !errors.Is(err, ErrNotRepo) {
		t.Error(err)
	}
	run(t, dir, "init", "-q", "--bare", "bare")
	if _, err := RepoState(t.Context(), filepath.Join(dir, "bare")); !errors.Is(err, ErrNotRepo) {
		t.Error(err)
	}
	unborn := filepath.Join(dir, "unborn")
	run(t, dir, "init", "-q", "-b", "main", "unborn")
	write(t, unborn, map[string]string{"x": "x", "y": "y"})
	run(t, unborn, "add", "y")
	r, err := RepoState(t.Context(), unborn)
	if err != nil || r.Branch != "main" || r.Commit != "" || fmt.Sprint(r.Dirty, r.Untracked) != "[y] [x]" {
		t.Errorf("unborn: %+v, %v", r, err)
	}
	commit := u.commit(t, someFiles)
	linked := filepath.Join(dir, "linked")
	run(t, u.dir, "worktree", "add", "-q", "-b", "side", linked)
	write(t, linked, map[string]string{"flake.nix": "{x}\n"})
	r, err = RepoState(t.Context(), linked)
	if err != nil || r.Branch != "side" || r.Commit != commit || fmt.Sprint(r.Dirty, r.Untracked) != "[flake.nix] []" {
		t.Errorf("linked: %+v, %v", r, err)
	}
	for name, damage := range map[string]func(git string){
		"empty HEAD": func(git string) { must(t, os.Truncate(filepath.Join(git, "HEAD"), 0)) },
		"no HEAD":    func(git string) { must(t, os.Remove(filepath.Join(git, "HEAD"))) },
		"empty":      func(git string) { must(t, os.RemoveAll(git)); must(t, os.Mkdir(git, 0o755)) },
		"no objects": func(git string) {
			must(t, os.RemoveAll(filepath.Join(git, "objects")))
			must(t, os.Remove(filepath.Join(git, "index")))
		},
		"index":        func(git string) { must(t, os.WriteFile(filepath.Join(git, "index"), []byte("DIRC????"), 0o644)) },
		"config":       func(git string) { must(t, os.WriteFile(filepath.Join(git, "config"), []byte("[core\n"), 0o644)) },
		"empty branch": func(git string) { must(t, os.Truncate(filepath.Join(git, "refs/heads/main"), 0)) },
		"gitdir astray": func(git string) {
			must(t, os.RemoveAll(git))
			must(t, os.WriteFile(git, []byte("gitdir: /nowhere\n"), 0o644))
		},
	} {
		dir := u.clone(t)
		damage(filepath.Join(dir, ".git"))
		r, err := RepoState(t.Context(), dir)
		if err == nil || errors.Is(err, ErrNotRepo) || !strings.Contains(err.Error(), dir) && !strings.Contains(err.Error(), "/nowhere") {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
		t.Logf("%s: %v", name, err)
	}
}

func BenchmarkRepoState(b *testing.B) {
	for _, n := range []int{50, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			dir := b.TempDir()
			for i := range n {
				file := filepath.Join(dir, fmt.Sprint("d", i%10), fmt.Sprint("f", i))
				os.MkdirAll(filepath.Dir(file), 0o755)
				os.WriteFile(file, fmt.Appendln(nil, i), 0o644)
			}
			for _, args := range [][]string{{"init", "-q"}, {"add", "-A"}, {"-c", "user.name=x", "-c", "user.email=x", "commit", "-qm", "x"}} {
				if err := runGit(b.Context(), dir, args...); err != nil {
					b.Fatal(err)
				}
			}
			for b.Loop() {
				if r, err := RepoState(b.Context(), dir); err != nil || r.Dirty != nil {
					b.Fatal(r, err)
				}
			}
		})
	}
}
