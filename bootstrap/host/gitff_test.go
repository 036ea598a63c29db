package host

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// before and after differ in all the ways a commit can.
var (
	before = map[string]string{
		"same": "same\n", "changed": "1\n", "exec": "x\n", "noexec": "+x x\n", "gone": "gone\n", "deep/er/gone": "gone\n",
		"file": "was a file\n", "dir/a": "a\n", "dir/b/c": "c\n", "link": "-> same", "tolink": "a file\n", "fromlink": "-> same",
		"dirtolink/x": "x\n", "linktodir": "-> deep",
	}
	after = map[string]string{
		"same": "same\n", "changed": "2\n", "exec": "+x x\n", "noexec": "x\n", "new": "new\n", "deep/new/new": "new\n",
		"file/in/dir": "was a file\n", "dir": "is a file\n", "link": "-> new", "tolink": "-> same", "fromlink": "a file\n",
		"dirtolink": "-> deep/new", "linktodir/y": "y\n",
	}
)

// step makes the files of the work tree exactly those.
func (u *upstream) step(t *testing.T, files map[string]string) string {
	t.Helper()
	all := map[string]string{}
	for name := range read(t, u.dir) {
		all[name] = ""
	}
	write(t, u.dir, all)
	run(t, u.dir, "clean", "-fdq")
	return u.commit(t, files)
}

func (u *upstream) remote() Remote { return Remote{URL: u.url, Branch: "main"} }

func TestFastForward(t *testing.T) {
	u := newUpstream(t)
	first := u.step(t, before)
	shallow, full := u.clone(t), filepath.Join(t.TempDir(), "full")
	linked := filepath.Join(t.TempDir(), "linked")
	run(t, filepath.Dir(u.dir), "clone", "-q", u.url, full)
	run(t, full, "worktree", "add", "-q", "-b", "side", linked, first)
	u.step(t, map[string]string{"between": "x\n"})
	last := u.step(t, after)
	u.step(t, before)
	tip := u.step(t, after) // the same files as at last; the old blobs come back
	for _, dir := range []string{shallow, full, linked} {
		write(t, dir, map[string]string{"untracked": "mine\n", "deep/mine": "mine\n"})
		for _, commit := range []string{last, tip, tip} {
			must(t, FastForward(t.Context(), dir, u.remote(), commit))
			if got := run(t, dir, "rev-parse", "HEAD"); got != commit {
				t.Errorf("HEAD is %s", got)
			}
			want := maps.Clone(after)
			want["untracked"], want["deep/mine"] = "mine\n", "mine\n"
			same(t, read(t, dir), want)
			absent(t, filepath.Join(dir, "deep/er"))
			vouched(t, dir)
		}
		hits := u.hits.Load()
		must(t, FastForward(t.Context(), dir, u.remote(), tip))
		if u.hits.Load() != hits {
			t.Error("asked the server for nothing")
		}
		r, err := RepoState(t.Context(), dir)
		if err != nil || fmt.Sprint(r.Dirty, r.Untracked, r.Ahead) != "[] [deep/mine untracked] false" {
			t.Errorf("%+v, %v", r, err)
		}
		write(t, dir, map[string]string{"untracked": "", "deep/mine": ""})
		if dir != linked {
			sound(t, dir)
		}
	}
	if n := run(t, shallow, "rev-list", "--count", "HEAD"); n != "5" {
		t.Errorf("shallow clone has %s commits, not those since it was made", n)
	}
}

func TestFastForwardByFile(t *testing.T) {
	u := newUpstream(t)
	u.step(t, before)
	shallow := u.clone(t) // over HTTP; the server in this process knows no shallow clones
	dir := filepath.Join(t.TempDir(), "home")
	_, err := CloneRepo(t.Context(), Remote{URL: u.dir}, dir, nil)
	must(t, err)
	tip := u.step(t, after)
	for _, d := range []string{dir, shallow} {
		must(t, FastForward(t.Context(), d, Remote{URL: "file://" + u.dir}, tip))
		same(t, read(t, d), after)
		sound(t, d)
	}
}

func TestFastForwardRefused(t *testing.T) {
	u := newUpstream(t)
	first := u.step(t, before)
	second := u.step(t, before)
	for _, c := range []struct {
		name  string
		do    func(dir string)
		is    error
		files string // of the CollisionError
		err   string
	}{
		{name: "diverged", is: ErrDiverged, do: func(d string) { run(t, d, "commit", "-q", "--allow-empty", "-m", "mine") }},
		{name: "diverged after a whole fetch", is: ErrDiverged, do: func(d string) {
			run(t, d, "fetch", "-q", "--unshallow")
			run(t, d, "commit", "-q", "--allow-empty", "-m", "mine")
		}},
		{name: "unrelated", is: ErrDiverged, do: func(d string) {
			run(t, d, "update-ref", "HEAD", run(t, d, "commit-tree", "-m", "x", "HEAD^{tree}"))
		}},
		{name: "dirty", err: "changed, same", do: func(d string) { write(t, d, map[string]string{"changed": "mine\n", "same": "mine\n"}) }},
		{name: "dirty with the new content", err: "changed", do: func(d string) { write(t, d, map[string]string{"changed": "2\n"}) }},
		{name: "deleted", err: "gone", do: func(d string) { write(t, d, map[string]string{"gone": ""}) }},
		{name: "staged", err: "changed", do: func(d string) {
			write(t, d, map[string]string{"changed": "mine\n"})
			run(t, d, "add", "-A")
			write(t, d, map[string]string{"changed": "1\n"})
		}},
		{name: "untracked", files: "deep/new/new, new", do: func(d string) { write(t, d, map[string]string{"new": "mine\n", "deep/new/new": "mine\n"}) }},
		{name: "untracked with the same content", files: "new", do: func(d string) { write(t, d, map[string]string{"new": "new\n"}) }},
		{name: "ignored", files: "new", do: func(d string) { write(t, d, map[string]string{".git/info/exclude": "new\n", "new": "mine\n"}) }},
		{name: "untracked dangling link", files: "new", do: func(d string) { write(t, d, map[string]string{"new": "-> nowhere"}) }},
		{name: "file where a directory goes", files: "deep/new", do: func(d string) { write(t, d, map[string]string{"deep/new": "mine\n"}) }},
		{name: "link where a directory goes", files: "deep/new", do: func(d string) { write(t, d, map[string]string{"deep/new": "-> /tmp"}) }},
		{name: "directory where a file goes", files: "new/mine", do: func(d string) { write(t, d, map[string]string{"new/mine": "mine\n"}) }},
		{name: "untracked in a directory that becomes a file", files: "dir/b/mine", do: func(d string) { write(t, d, map[string]string{"dir/b/mine": "mine\n"}) }},
		{name: "repository in a directory that becomes a file", files: "dir/.git", do: func(d string) { write(t, d, map[string]string{"dir/.git": "gitdir: x\n"}) }},
		{name: "parent became a link", files: "deep", do: func(d string) {
			must(t, os.Rename(filepath.Join(d, "deep"), filepath.Join(filepath.Dir(d), "outside")))
			write(t, d, map[string]string{"deep": "-> ../outside"})
		}},
		{name: "socket", files: "new", do: func(d string) { must(t, syscall.Mkfifo(filepath.Join(d, "new"), 0o600)) }},
		{name: "detached", err: "detached", do: func(d string) { run(t, d, "checkout", "-q", "--detach") }},
		{name: "another git", err: "index.lock", do: func(d string) { write(t, d, map[string]string{".git/index.lock": "x"}) }},
		{name: "sparse", err: "sparse", do: func(d string) { run(t, d, "sparse-checkout", "set", "--no-cone", "/same") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			// The upstream is at the second commit while it is cloned and goes on from there.
			run(t, u.dir, "reset", "-q", "--hard", second)
			dir := u.clone(t)
			tip := u.step(t, after)
			c.do(dir)
			files, head := read(t, dir), run(t, dir, "rev-parse", "HEAD")
			index, err := os.ReadFile(filepath.Join(dir, ".git/index"))
			must(t, err)
			err = FastForward(t.Context(), dir, u.remote(), tip)
			var collision *CollisionError
			switch {
			case err == nil:
				t.Error("no error")
			case c.is != nil && !errors.Is(err, c.is), !strings.Contains(err.Error(), c.err):
				t.Errorf("error %v", err)
			case c.files != "" && (!errors.As(err, &collision) || strings.Join(collision.Files, ", ") != c.files):
				t.Errorf("error %v, want a collision of %s", err, c.files)
			}
			same(t, read(t, dir), files)
			if got := run(t, dir, "rev-parse", "HEAD"); got != head {
				t.Errorf("HEAD moved to %s", got)
			}
			if now, _ := os.ReadFile(filepath.Join(dir, ".git/index")); string(now) != string(index) {
				t.Error("index changed")
			}
			absent(t, filepath.Join(dir, ".git", markName))
		})
	}
	run(t, u.dir, "reset", "-q", "--hard", second)
	dir := u.clone(t)
	for _, commit := range []string{"main", strings.Repeat("1", 40)} {
		if err := FastForward(t.Context(), dir, u.remote(), commit); err == nil {
			t.Errorf("went to %s", commit)
		}
	}
	run(t, dir, "fetch", "-q", "--unshallow")
	if err := FastForward(t.Context(), dir, u.remote(), first); !errors.Is(err, ErrDiverged) {
		t.Errorf("backwards: %v", err)
	}
}

// A HEAD below the place where the history was cut again is found by fetching the whole history.
func TestFastForwardAcrossGap(t *testing.T) {
	u := newUpstream(t)
	u.step(t, before)
	dir := u.clone(t)
	u.step(t, before)
	u.step(t, map[string]string{"x": "x\n"})
	tip := u.step(t, after)
	run(t, dir, "fetch", "-q", "--depth=1", "origin", "main")
	must(t, FastForward(t.Context(), dir, u.remote(), tip))
	same(t, read(t, dir), after)
	sound(t, dir)
	tip = u.step(t, before)
	must(t, FastForward(t.Context(), dir, u.remote(), tip))
	sound(t, dir)
}

func TestFastForwardUnborn(t *testing.T) {
	u := newUpstream(t)
	tip := u.step(t, after)
	dir := t.TempDir()
	run(t, dir, "init", "-q", "-b", "main")
	write(t, dir, map[string]string{"new": "mine\n"})
	if err := FastForward(t.Context(), dir, u.remote(), tip); err == nil {
		t.Error("overwrote a file")
	}
	same(t, read(t, dir), map[string]string{"new": "mine\n"})
	write(t, dir, map[string]string{"new": ""})
	must(t, FastForward(t.Context(), dir, u.remote(), tip))
	same(t, read(t, dir), after)
	sound(t, dir)
}

func TestAttach(t *testing.T) {
	u := newUpstream(t)
	first := u.step(t, before)
	tip := u.step(t, after)
	dir := filepath.Join(t.TempDir(), "full")
	run(t, filepath.Dir(u.dir), "clone", "-q", u.url, dir)
	must(t, Attach(t.Context(), dir, "main"))
	run(t, dir, "checkout", "-q", "--detach")
	write(t, dir, map[string]string{"same": "dirty\n"})
	must(t, Attach(t.Context(), dir, "main"))
	if got := run(t, dir, "symbolic-ref", "HEAD"); got != "refs/heads/main" {
		t.Error(got)
	}
	run(t, dir, "checkout", "-q", "same")
	run(t, dir, "checkout", "-q", first)
	write(t, dir, map[string]string{"same": "dirty\n"})
	if err := Attach(t.Context(), dir, "main"); err == nil || !strings.Contains(err.Error(), "same") {
		t.Errorf("dirty: %v", err)
	}
	write(t, dir, map[string]string{"same": "same\n", "new": "mine\n"})
	if e := (*CollisionError)(nil); !errors.As(Attach(t.Context(), dir, "main"), &e) {
		t.Error("overwrote a file")
	}
	write(t, dir, map[string]string{"new": ""})
	must(t, Attach(t.Context(), dir, "main"))
	if got := run(t, dir, "rev-parse", "main", "HEAD"); got != tip+"\n"+tip {
		t.Error(got)
	}
	same(t, read(t, dir), after)
	sound(t, dir)
	run(t, dir, "branch", "side", run(t, dir, "commit-tree", "-m", "x", "HEAD^{tree}"))
	if err := Attach(t.Context(), dir, "side"); err == nil {
		t.Error("left a branch for another")
	}
	run(t, dir, "checkout", "-q", "--detach")
	if err := Attach(t.Context(), dir, "side"); !errors.Is(err, ErrDiverged) {
		t.Errorf("another branch: %v", err)
	}
	if err := Attach(t.Context(), dir, "none"); err == nil {
		t.Error("attached to nothing")
	}
}

// TestKilled is no test: it is the process that TestFastForwardKilled kills.
func TestKilled(t *testing.T) {
	spec := os.Getenv("MOVEIN_TEST_KILL")
	if spec == "" {
		t.Skip("only for TestFastForwardKilled")
	}
	var at int
	var dir, url, commit string
	if _, err := fmt.Sscan(spec, &at, &dir, &url, &commit); err != nil {
		t.Fatal(err)
	}
	n := 0
	must(t, fastForward(t.Context(), dir, Remote{URL: url, Branch: "main"}, commit, func(point string) {
		if n++; n == at {
			fmt.Println("killed after", point)
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}))
}

// A run killed between any two changes is finished by the next, for the same
// commit or a later one, or undone if upstream took the commit back; and what the
// user wrote in between is kept.
func TestFastForwardKilled(t *testing.T) {
	u := newUpstream(t)
	u.step(t, before)
	pristine := u.clone(t)
	tip := u.step(t, after)
	last := maps.Clone(before)
	last["new"], last["changed"] = "newer\n", "3\n"
	later := u.step(t, last)
	work := filepath.Join(t.TempDir(), "work")
	begin := func(t *testing.T, at int) (finished bool) {
		must(t, os.RemoveAll(work))
		if out, err := exec.Command("cp", "-a", pristine, work).CombinedOutput(); err != nil {
			t.Fatal(string(out))
		}
		cmd := exec.Command(os.Args[0], "-test.run=^TestKilled$")
		cmd.Env = append(os.Environ(), fmt.Sprintf("MOVEIN_TEST_KILL=%d %s %s %s", at, work, u.url, tip))
		out, err := cmd.CombinedOutput()
		if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			return false
		}
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return true
	}
	points := 0
	for at := 1; ; at++ {
		if begin(t, at) {
			break
		}
		points++
		state, err := RepoState(t.Context(), work)
		if state.Commit == tip { // nobody has a reason to call FastForward again
			sound(t, work)
		}
		if err != nil || state.Dirty != nil || state.Untracked != nil {
			t.Fatalf("killed at %d: %+v, %v", at, state, err)
		}
		switch at % 4 {
		case 0: // the same commit
			must(t, FastForward(t.Context(), work, u.remote(), tip))
			same(t, read(t, work), after)
		case 1: // a later one
			must(t, FastForward(t.Context(), work, u.remote(), later))
			same(t, read(t, work), last)
		case 2: // the commit it began at
			if state.Commit != tip {
				must(t, FastForward(t.Context(), work, u.remote(), state.Commit))
				same(t, read(t, work), before)
			}
		case 3: // the user was faster
			if state.Commit == tip {
				break
			}
			was := read(t, work)["changed"]
			write(t, work, map[string]string{"changed": "mine\n", "brand": "mine\n"})
			if err := FastForward(t.Context(), work, u.remote(), tip); err == nil || !strings.Contains(err.Error(), "changed") {
				t.Errorf("killed at %d: %v", at, err)
			}
			if got := read(t, work); got["changed"] != "mine\n" || got["brand"] != "mine\n" {
				t.Errorf("killed at %d: lost %q", at, got)
			}
			write(t, work, map[string]string{"changed": was, "brand": ""})
			must(t, FastForward(t.Context(), work, u.remote(), tip))
			same(t, read(t, work), after)
		}
		if at%4 != 2 || state.Commit != tip {
			sound(t, work)
		}
		if t.Failed() {
			t.Fatalf("killed at point %d", at)
		}
	}
	if points < 30 {
		t.Errorf("only %d points", points)
	}
	t.Logf("killed at %d points", points)
}

// What the user writes while a checkout runs is kept.
func TestFastForwardEditedMeanwhile(t *testing.T) {
	u := newUpstream(t)
	u.step(t, before)
	pristine := u.clone(t)
	tip := u.step(t, after)
	for name, content := range map[string]string{"changed": "mine\n", "new": "mine\n", "gone": "mine\n", "dir/mine": "mine\n", "deep/new": "-> /tmp"} {
		dir := filepath.Join(t.TempDir(), "home")
		if out, err := exec.Command("cp", "-a", pristine, dir).CombinedOutput(); err != nil {
			t.Fatal(string(out))
		}
		err := fastForward(t.Context(), dir, u.remote(), tip, func(point string) {
			if point == "mark" {
				write(t, dir, map[string]string{name: content})
			}
		})
		if err == nil {
			t.Errorf("%s: no error", name)
		}
		if got := read(t, dir)[name]; got != content {
			t.Errorf("%s: %q", name, got)
		}
		if old, tracked := before[name]; tracked {
			content = old
		} else {
			content = ""
		}
		write(t, dir, map[string]string{name: content})
		must(t, FastForward(t.Context(), dir, u.remote(), tip))
		same(t, read(t, dir), after)
		sound(t, dir)
	}
}

// Killing the second run as well, at a later commit, leaves three generations of files.
func TestFastForwardKilledTwice(t *testing.T) {
	u := newUpstream(t)
	u.step(t, before)
	dir := u.clone(t)
	middle := map[string]string{"changed": "middle\n", "new": "middle\n", "dir/a": "middle\n", "file": "was a file\n"}
	second := u.step(t, middle)
	stop := errors.New("stop")
	interrupt := func(commit, at string) {
		defer func() {
			if r := recover(); r != stop {
				t.Fatalf("was not stopped at %s: %v", at, r)
			}
		}()
		err := fastForward(t.Context(), dir, u.remote(), commit, func(point string) {
			if point == at {
				panic(stop)
			}
		})
		t.Fatalf("went on: %v", err)
	}
	interrupt(second, "write dir/a")
	third := u.step(t, after)
	interrupt(third, "write dir")
	r, err := RepoState(t.Context(), dir)
	if err != nil || r.Dirty != nil || r.Untracked != nil {
		t.Fatalf("%+v, %v", r, err)
	}
	must(t, FastForward(t.Context(), dir, u.remote(), third))
	same(t, read(t, dir), after)
	sound(t, dir)
}

// The three ways in which go-git's own Pull and PlainClone lose data.
func TestNothingIsLost(t *testing.T) {
	u := newUpstream(t)
	first := u.step(t, before)
	dir := u.clone(t)
	tip := u.step(t, after)
	t.Run("update of a dirty tree moves nothing", func(t *testing.T) {
		write(t, dir, map[string]string{"same": "mine\n"})
		err := FastForward(t.Context(), dir, u.remote(), tip)
		if err == nil || run(t, dir, "rev-parse", "HEAD") != first || run(t, dir, "status", "--porcelain") != "M same" {
			t.Errorf("%v\n%s", err, run(t, dir, "status"))
		}
		write(t, dir, map[string]string{"same": "same\n"})
	})
	t.Run("update keeps an untracked file", func(t *testing.T) {
		write(t, dir, map[string]string{"new": "mine\n"})
		if err := FastForward(t.Context(), dir, u.remote(), tip); err == nil {
			t.Error("no error")
		}
		if got := read(t, dir)["new"]; got != "mine\n" {
			t.Errorf("file is %q", got)
		}
	})
	t.Run("clone keeps a full directory", func(t *testing.T) {
		full := t.TempDir()
		write(t, full, map[string]string{"new": "mine\n", ".bashrc": "mine\n"})
		if _, err := CloneRepo(t.Context(), u.remote(), full, nil); err == nil {
			t.Error("no error")
		}
		same(t, read(t, full), map[string]string{"new": "mine\n", ".bashrc": "mine\n"})
	})
}

// Names that git forbids in a work tree are refused, however they came into a repository.
func TestCheckoutEvilNames(t *testing.T) {
	for _, name := range []string{"", ".", "..", ".git", ".GIT", "git~1", "a/b", "a\x00"} {
		if safeName(name) {
			t.Errorf("%q passes", name)
		}
	}
	u := newUpstream(t)
	u.step(t, before)
	dir := u.clone(t)
	blob := run(t, u.dir, "rev-parse", "HEAD:same")
	cmd := exec.Command("git", "mktree")
	cmd.Dir, cmd.Stdin = u.dir, strings.NewReader("100644 blob "+blob+"\t.GiT\n")
	out, err := cmd.Output()
	must(t, err)
	inner := strings.TrimSpace(string(out))
	evil := run(t, u.dir, "commit-tree", "-p", "HEAD", "-m", "x", inner)
	run(t, u.dir, "update-ref", "refs/heads/main", evil)
	err = FastForward(t.Context(), dir, u.remote(), evil)
	if err == nil || !strings.Contains(err.Error(), ".GiT") {
		t.Errorf("error %v", err)
	}
	same(t, read(t, dir), before)
	if _, err := CloneRepo(t.Context(), u.remote(), filepath.Join(t.TempDir(), "x"), nil); err == nil {
		t.Error("cloned it")
	}
}
