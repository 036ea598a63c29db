package host

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
)

// run runs git in dir and returns what it prints.
func run(t *testing.T, dir string, args ...string) string {
	t.Helper()
	return runIn(t, dir, nil, args...)
}

// runIn is run with something on standard input.
func runIn(t *testing.T, dir string, in []byte, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir, cmd.Stdin = dir, bytes.NewReader(in)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// tree makes files: name to content; "-> x" is a symlink, "+x …" an executable, "" removes.
func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for _, name := range slices.Sorted(keysOf(files)) {
		content, file := files[name], filepath.Join(dir, name)
		must(t, os.RemoveAll(file))
		if content == "" {
			continue
		}
		must(t, os.MkdirAll(filepath.Dir(file), 0o755))
		if to, ok := strings.CutPrefix(content, "-> "); ok {
			must(t, os.Symlink(to, file))
		} else if rest, ok := strings.CutPrefix(content, "+x "); ok {
			must(t, os.WriteFile(file, []byte(rest), 0o755))
		} else {
			must(t, os.WriteFile(file, []byte(content), 0o644))
		}
	}
}

// read returns what write would have made, without the repository.
func read(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	must(t, filepath.WalkDir(dir, func(file string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(dir, file)
		if name == ".git" {
			if e.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		fi, err := e.Info()
		if err != nil {
			return err
		}
		switch {
		case e.IsDir():
		case fi.Mode()&fs.ModeSymlink != 0:
			to, _ := os.Readlink(file)
			files[name] = "-> " + to
		case !fi.Mode().IsRegular():
			files[name] = fi.Mode().String()
		default:
			b, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			files[name] = string(b)
			if fi.Mode()&0o100 != 0 {
				files[name] = "+x " + files[name]
			}
		}
		return nil
	}))
	return files
}

func same(t *testing.T, got, want map[string]string) {
	t.Helper()
	for _, name := range slices.Sorted(keysOf(got, want)) {
		if got[name] != want[name] {
			t.Errorf("%s: %q, want %q", name, got[name], want[name])
		}
	}
}

func keysOf(ms ...map[string]string) func(func(string) bool) {
	all := map[string]bool{}
	for _, m := range ms {
		for k := range m {
			all[k] = true
		}
	}
	return func(yield func(string) bool) {
		for k := range all {
			if !yield(k) {
				return
			}
		}
	}
}

// upstream is a repository that people push to, and its server.
type upstream struct {
	dir  string // a work tree; what is committed there is served
	url  string
	hits atomic.Int64
}

// commit records the files on top of what is there and returns the commit.
func (u *upstream) commit(t *testing.T, files map[string]string) string {
	t.Helper()
	write(t, u.dir, files)
	run(t, u.dir, "add", "-A")
	run(t, u.dir, "commit", "-q", "--allow-empty", "-m", "change")
	return run(t, u.dir, "rev-parse", "HEAD")
}

func newUpstream(t *testing.T) *upstream {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("needs git for the server")
	}
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("XDG_CONFIG_HOME", "")
	t.Setenv("GIT_CONFIG_NOSYSTEM", "1")
	for _, who := range []string{"AUTHOR", "COMMITTER"} {
		t.Setenv("GIT_"+who+"_NAME", "t")
		t.Setenv("GIT_"+who+"_EMAIL", "t@example.org")
	}
	u := &upstream{dir: filepath.Join(home, "up")}
	run(t, home, "init", "-q", "-b", "main", "up")
	backend := &cgi.Handler{
		Path: filepath.Join(run(t, home, "--exec-path"), "git-http-backend"),
		Env:  []string{"GIT_PROJECT_ROOT=" + home, "GIT_HTTP_EXPORT_ALL=1", "HOME=" + home},
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u.hits.Add(1)
		backend.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	u.url = srv.URL + "/up/.git"
	return u
}

// clone makes a clone of the upstream by our own code.
func (u *upstream) clone(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "home")
	note, err := CloneRepo(t.Context(), Remote{URL: u.url, Branch: "main"}, dir, nil)
	must(t, err)
	if note != "" {
		t.Errorf("note: %s", note)
	}
	return dir
}

// sound checks that git itself finds nothing to complain about.
func sound(t *testing.T, dir string) {
	t.Helper()
	run(t, dir, "fsck", "--full", "--strict")
	if s := run(t, dir, "status", "--porcelain"); s != "" {
		t.Errorf("git status in %s:\n%s", dir, s)
	}
	for _, name := range []string{"index.lock", "movein-temp", "movein-index", "movein-checkout.d"} {
		absent(t, filepath.Join(dir, ".git", name))
	}
}

// vouched checks that git need not read any file to find it unchanged. To be called before sound.
func vouched(t *testing.T, dir string) {
	t.Helper()
	if s := run(t, dir, "diff-files", "--name-only"); s != "" {
		t.Errorf("the index of %s does not vouch for:\n%s", dir, s)
	}
}

var someFiles = map[string]string{
	"flake.nix": "{ }\n", "bin/run": "+x #!/bin/sh\n", "link": "-> bin/run", "out": "-> /etc/passwd", "a/b/c/d": "deep\n", "empty/.keep": "\n",
}

func TestSameRemote(t *testing.T) {
	groups := [][]string{
		{"https://h/x/y", "https://h/x/y.git", "https://h/x/y/", "https://h/x/y.git/", "http://H/x/y", "https://H:443/x/y", "http://h:80/x/y",
			"https://user:secret@h/x/y", "ssh://git@h/x/y", "ssh://git@h:22/x/y.git", "git@h:x/y.git", "git@h:/x/y", "h:x/y", "git://h/x/y", "https://h//x/./y"},
		{"https://h/x/Y"}, {"https://h/x/z"}, {"https://other/x/y"}, {"https://h:8443/x/y"}, {"ssh://git@h:2222/x/y"},
		{"file:///p/q", "/p/q", "/p/./q/", "file:///p/q/", "file://localhost/p/q"}, {"/p/q.git"}, {"/x/y"}, {"./a:b"},
	}
	for i, g := range groups {
		for _, a := range g {
			for j, h := range groups {
				for _, b := range h {
					if got := SameRemote(a, b); got != (i == j) {
						t.Errorf("SameRemote(%q, %q) = %v", a, b, got)
					}
				}
			}
		}
	}
}

func TestBareURL(t *testing.T) {
	for in, want := range map[string]string{
		"https://u:p@h/x": "https://h/x", "https://token@h/x": "https://h/x", "ssh://git:p@h/x": "ssh://git@h/x",
		"git@h:x": "git@h:x", "/p@q": "/p@q", "https://h/x": "https://h/x",
		"https://u:p#@h/x": "https://h/x", "https://u:%p@h/x": "https://h/x", "https://h:x/y": "https://h:x/y", // are no URLs
	} {
		if got := BareURL(in); got != want {
			t.Errorf("BareURL(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestRemoteTip(t *testing.T) {
	u := newUpstream(t)
	commit := u.commit(t, someFiles)
	for i := range 12 {
		run(t, u.dir, "branch", fmt.Sprintf("b%02d", i))
	}
	for _, r := range []Remote{{URL: u.url}, {URL: u.url, Branch: "main"}, {URL: u.dir}, {URL: "file://" + u.dir}} {
		got, err := RemoteTip(t.Context(), r)
		if err != nil || got != (Tip{"main", commit}) {
			t.Errorf("%v: %v, %v", r, got, err)
		}
	}
	_, err := RemoteTip(t.Context(), Remote{URL: u.url, Branch: "nope"})
	if err == nil || !strings.Contains(err.Error(), "b00, b01") || !strings.Contains(err.Error(), "b09 and 3 more") {
		t.Errorf("missing branch: %v", err)
	}
	for _, url := range []string{strings.Replace(u.url, "/up/", "/gone/", 1), u.dir + "x"} {
		if _, err = RemoteTip(t.Context(), Remote{URL: url}); !errors.Is(err, ErrNoRemote) && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", url, err)
		}
	}
	for code, want := range map[int]error{401: ErrLogin, 403: ErrLogin, 404: ErrNoRemote} {
		srv := httptest.NewServer(status(code))
		if _, err = RemoteTip(t.Context(), Remote{URL: srv.URL}); !errors.Is(err, want) {
			t.Errorf("%d: %v", code, err)
		}
		srv.Close()
	}
	down := httptest.NewServer(status(503))
	defer down.Close()
	gone := httptest.NewServer(nil)
	gone.Close()
	for _, url := range []string{down.URL, gone.URL, "https://nowhere.invalid/x"} {
		_, err = RemoteTip(t.Context(), Remote{URL: url})
		if e := (*UnreachableError)(nil); !errors.As(err, &e) {
			t.Errorf("%s: %T %v", url, err, err)
		}
	}
	empty := filepath.Join(filepath.Dir(u.dir), "empty")
	run(t, filepath.Dir(u.dir), "init", "-q", "empty")
	for _, url := range []string{empty, strings.Replace(u.url, "/up/", "/empty/", 1)} {
		if _, err = RemoteTip(t.Context(), Remote{URL: url}); !errors.Is(err, ErrNoCommits) {
			t.Errorf("empty repository: %v", err)
		}
		dir := filepath.Join(t.TempDir(), "home")
		if _, err = CloneRepo(t.Context(), Remote{URL: url}, dir, nil); !errors.Is(err, ErrNoCommits) || exists(dir) {
			t.Errorf("empty repository: %v, and there is %s: %v", err, dir, exists(dir))
		}
	}
}

func TestWhatLacksTheFileThatItIsForIsNotCloned(t *testing.T) {
	u := newUpstream(t)
	u.commit(t, someFiles)
	parent := t.TempDir()
	if _, err := CloneRepo(t.Context(), Remote{URL: u.url, Needs: "no.nix"}, filepath.Join(parent, "home"), nil); !errors.Is(err, ErrLacks) || !strings.Contains(err.Error(), u.url+": there is no no.nix") {
		t.Error(err)
	}
	if left, err := os.ReadDir(parent); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
	_, err := CloneRepo(t.Context(), Remote{URL: u.url, Needs: "flake.nix"}, filepath.Join(parent, "home"), nil)
	must(t, err)
}

func TestCloneRepo(t *testing.T) {
	u := newUpstream(t)
	u.commit(t, map[string]string{"old": "old\n"})
	u.commit(t, map[string]string{"old": ""})
	commit := u.commit(t, someFiles)
	for _, url := range []string{u.url, strings.Replace(u.url, "http://", "http://me:secret@", 1), u.dir, "file://" + u.dir} {
		for _, branch := range []string{"", "main"} {
			parent := t.TempDir()
			dir := filepath.Join(parent, "home")
			must(t, os.MkdirAll(filepath.Join(parent, ".home.movein-killed/.git"), 0o755))
			must(t, os.Mkdir(filepath.Join(parent, ".homes.movein-x"), 0o755))
			lines := 0
			_, err := CloneRepo(t.Context(), Remote{URL: url, Branch: branch}, dir, func(string) { lines++ })
			must(t, err)
			same(t, read(t, dir), someFiles)
			vouched(t, dir)
			sound(t, dir)
			left, _ := os.ReadDir(parent)
			if len(left) != 2 {
				t.Errorf("left beside the clone: %v", left)
			}
			got, err := RepoState(t.Context(), dir)
			must(t, err)
			want := Repo{URL: BareURL(url), Branch: "main", Commit: commit}
			if !SameRemote(got.URL, url) || strings.Contains(got.URL, "secret") || got.Branch != want.Branch || got.Commit != want.Commit || got.Dirty != nil || got.Untracked != nil || got.Ahead {
				t.Errorf("%s: %+v", url, got)
			}
			if b, _ := os.ReadFile(filepath.Join(dir, ".git/config")); strings.Contains(string(b), "secret") {
				t.Errorf("stored a password: %s", b)
			}
			if _, err := os.Stat(filepath.Join(dir, CloneMark)); err != nil {
				t.Errorf("nobody can tell that movein made it: %v", err)
			}
			n := run(t, dir, "rev-list", "--count", "HEAD")
			if http := strings.HasPrefix(url, "http"); http != (n == "1") || http != (lines > 0) {
				t.Errorf("%s: %s commits, %d lines of progress", url, n, lines)
			}
			if got := run(t, dir, "rev-parse", "@{u}"); got != commit {
				t.Errorf("upstream is %s", got)
			}
		}
	}
}

func TestCloneInto(t *testing.T) {
	u := newUpstream(t)
	u.commit(t, someFiles)
	parent := t.TempDir()
	full, empty, link := filepath.Join(parent, "full"), filepath.Join(parent, "empty"), filepath.Join(parent, "link")
	write(t, parent, map[string]string{"full/flake.nix": "mine\n"})
	must(t, os.Mkdir(empty, 0o700))
	must(t, os.Symlink("empty", link))
	if _, err := CloneRepo(t.Context(), Remote{URL: u.url}, full, nil); err == nil || u.hits.Load() > 0 {
		t.Errorf("into a full directory: %v, after %d requests", err, u.hits.Load())
	}
	same(t, read(t, full), map[string]string{"flake.nix": "mine\n"})
	_, err := CloneRepo(t.Context(), Remote{URL: u.url}, link, nil)
	must(t, err)
	same(t, read(t, empty), someFiles)
	if fi, _ := os.Stat(empty); fi.Mode().Perm() != 0o700 {
		t.Errorf("mode %v", fi.Mode())
	}
	if fi, _ := os.Lstat(link); fi.Mode()&fs.ModeSymlink == 0 {
		t.Error("symlink was replaced")
	}
	if _, err := CloneRepo(t.Context(), Remote{URL: u.url, Branch: "nope"}, filepath.Join(parent, "new"), nil); err == nil {
		t.Error("cloned a branch that is not there")
	}
	left, _ := os.ReadDir(parent)
	if len(left) != 3 {
		t.Errorf("left: %v", left)
	}
}

func TestCloneWithoutGit(t *testing.T) {
	u := newUpstream(t)
	u.commit(t, someFiles)
	parent := filepath.Dir(u.dir)
	run(t, parent, "init", "-q", "--object-format=sha256", "-b", "main", "new")
	write(t, filepath.Join(parent, "new"), someFiles)
	run(t, filepath.Join(parent, "new"), "add", "-A")
	run(t, filepath.Join(parent, "new"), "commit", "-q", "-m", "x")
	sha256 := []string{filepath.Join(parent, "new"), strings.Replace(u.url, "/up/", "/new/", 1)}
	for i, url := range sha256 {
		dir := filepath.Join(t.TempDir(), "home")
		_, err := CloneRepo(t.Context(), Remote{URL: url}, dir, nil)
		if err != nil {
			t.Errorf("%d: %v", i, err)
			continue
		}
		same(t, read(t, dir), someFiles)
		if _, err := RepoState(t.Context(), dir); err == nil || !strings.Contains(err.Error(), "SHA-256") {
			t.Errorf("%d: %v", i, err)
		}
	}
	old := os.Getenv("PATH")
	t.Setenv("PATH", t.TempDir())
	for i, url := range sha256 {
		_, err := CloneRepo(t.Context(), Remote{URL: url}, filepath.Join(t.TempDir(), "home"), nil)
		if err == nil || !strings.Contains(err.Error(), "SHA-256") {
			t.Errorf("%d: %v", i, err)
		}
	}
	dir := filepath.Join(t.TempDir(), "home")
	_, err := CloneRepo(t.Context(), Remote{URL: u.dir}, dir, nil)
	must(t, err)
	t.Setenv("PATH", old)
	sound(t, dir)
	same(t, read(t, dir), someFiles)
}

func TestCloneSubmodules(t *testing.T) {
	u := newUpstream(t)
	u.commit(t, someFiles)
	run(t, filepath.Dir(u.dir), "clone", "-q", "up", "sub")
	t.Setenv("GIT_CONFIG_COUNT", "1")
	t.Setenv("GIT_CONFIG_KEY_0", "protocol.file.allow")
	t.Setenv("GIT_CONFIG_VALUE_0", "always")
	run(t, u.dir, "submodule", "--quiet", "add", filepath.Join(filepath.Dir(u.dir), "sub"), "sub")
	u.commit(t, nil)
	dir := u.clone(t)
	if _, err := os.Stat(filepath.Join(dir, "sub/flake.nix")); err != nil {
		t.Error(err)
	}
	sound(t, dir)
	r, err := RepoState(t.Context(), dir)
	if err != nil || !r.Submodules || r.Dirty != nil || r.Untracked != nil {
		t.Errorf("%+v, %v", r, err)
	}
	old := os.Getenv("PATH")
	t.Setenv("PATH", t.TempDir())
	note, err := CloneRepo(t.Context(), Remote{URL: u.url}, filepath.Join(t.TempDir(), "home"), nil)
	t.Setenv("PATH", old)
	if err != nil || !strings.Contains(note, "submodule") {
		t.Errorf("%q, %v", note, err)
	}
}
