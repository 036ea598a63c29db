package host

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// added is a commit of files, at a time that is always the same.
func added(message string, files ...string) Commit {
	c := Commit{Files: map[string][]byte{}, Name: "Mitsio", Email: "m@example.org", When: time.Unix(1700000000, 0).UTC(), Message: message}
	for i := 0; i < len(files); i += 2 {
		c.Files[files[i]] = []byte(files[i+1])
	}
	return c
}

func TestInitRepoIsAsGitMakesIt(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "home")
	must(t, InitRepo(t.Context(), dir, added("First", "b.txt", "b\n", "b/c/deep", "deep\n", "a", "", "b-d", "x")))
	if got := run(t, dir, "fsck", "--strict"); got != "" {
		t.Errorf("git fsck says %q", got)
	}
	if got := run(t, dir, "status", "--porcelain=v2", "--branch"); !strings.Contains(got, "# branch.head main") || strings.Contains(got, "\n1") || strings.Contains(got, "\n?") {
		t.Errorf("git status says %q", got)
	}
	tree := run(t, dir, "rev-parse", "HEAD^{tree}")
	run(t, dir, "add", "--all")
	if got := run(t, dir, "write-tree"); got != tree {
		t.Errorf("git makes tree %s of the files, and the commit has %s", got, tree)
	}
	if got := run(t, dir, "log", "--format=%an <%ae> %at %s"); got != "Mitsio <m@example.org> 1700000000 First" {
		t.Errorf("git log says %q", got)
	}
	if state, err := RepoState(t.Context(), dir); err != nil || len(state.Dirty)+len(state.Untracked) > 0 || state.Branch != "main" || state.URL != "" {
		t.Errorf("the state is %+v, %v", state, err)
	}
}

func TestInitRepoTakesNoDirectoryWithFilesInIt(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{"mine": "mine\n"})
	if err := InitRepo(t.Context(), dir, added("First", "mine", "theirs")); err == nil {
		t.Error("no error")
	}
	if got := read(t, dir); len(got) != 1 || got["mine"] != "mine\n" {
		t.Errorf("there is %v", got)
	}
	if beside, err := os.ReadDir(filepath.Dir(dir)); err != nil || len(beside) != 1 {
		t.Errorf("beside it is %v, %v", beside, err)
	}
}

func TestCommitFilesWritesOnlyThose(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "home")
	must(t, InitRepo(t.Context(), dir, added("First", "flake", "1\n", "hosts/a", "a\n")))
	must(t, os.Chmod(filepath.Join(dir, "hosts/a"), 0o755))
	run(t, dir, "commit", "-qam", "Executable")
	write(t, dir, map[string]string{"mine": "mine\n"})
	was, err := os.Stat(filepath.Join(dir, "hosts/a"))
	must(t, err)
	must(t, CommitFiles(t.Context(), dir, added("Second", "flake", "2\n", "hosts/b", "b\n")))
	if got := run(t, dir, "status", "--porcelain"); got != "?? mine" {
		t.Errorf("git status says %q", got)
	}
	if got := run(t, dir, "diff", "--stat=80", "--summary", "HEAD^"); !strings.Contains(got, "2 files changed") || !strings.Contains(got, "create mode 100644 hosts/b") {
		t.Errorf("the commit is %q", got)
	}
	if is, err := os.Stat(filepath.Join(dir, "hosts/a")); err != nil || !is.ModTime().Equal(was.ModTime()) {
		t.Errorf("hosts/a was written: %v", err)
	}
	run(t, dir, "fsck", "--strict")
}

func TestCommitFilesRefusesWhatWouldBeLost(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "home")
	must(t, InitRepo(t.Context(), dir, added("First", "flake", "1\n")))
	head := run(t, dir, "rev-parse", "HEAD")
	write(t, dir, map[string]string{"hosts/b": "mine\n"})
	_, collided := errors.AsType[*CollisionError](CommitFiles(t.Context(), dir, added("Second", "hosts/b", "b\n")))
	write(t, dir, map[string]string{"hosts/b": "", "flake": "edited\n"})
	dirty := CommitFiles(t.Context(), dir, added("Second", "hosts/c", "c\n"))
	write(t, dir, map[string]string{"flake": "1\n"})
	run(t, dir, "checkout", "-q", "--detach")
	detached := CommitFiles(t.Context(), dir, added("Second", "hosts/c", "c\n"))
	if !collided || dirty == nil || !strings.Contains(dirty.Error(), "flake") || !errors.Is(detached, ErrDetached) {
		t.Errorf("untracked: %v, dirty: %v, detached: %v", collided, dirty, detached)
	}
	if _, err := os.Stat(filepath.Join(dir, "hosts/c")); run(t, dir, "rev-parse", "HEAD") != head || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("something was changed: %v", err)
	}
}
