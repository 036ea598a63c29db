package steps

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"movein/bootstrap"
	"movein/bootstrap/host"
)

// gitHere runs git in dir, as nobody in particular.
func gitHere(t *testing.T, dir string, args ...string) {
	t.Helper()
	cmd := exec.Command("git", append([]string{"-c", "user.name=a", "-c", "user.email=a@example.org", "-C", dir}, args...)...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "GIT_CONFIG_NOSYSTEM=1"}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("git %q: %v\n%s", args, err, out)
	}
}

func TestAPurgeLeavesWorkThatIsNowhereElse(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip(err)
	}
	edit := func(name, text string) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	commit := func(t *testing.T, dir string) {
		edit("flake.nix", "mine")(t, dir)
		gitHere(t, dir, "commit", "-qam", "mine")
	}
	for what, test := range map[string]struct {
		work func(t *testing.T, dir string)
		says string // "": it goes
	}{
		"nothing":   {func(*testing.T, string) {}, ""},
		"an edit":   {edit("flake.nix", "mine"), "flake.nix"},
		"untracked": {edit("new", "mine"), "new"},
		"ignored":   {edit("x.secret", "mine"), "x.secret"},
		"hidden": {func(t *testing.T, dir string) {
			gitHere(t, dir, "update-index", "--assume-unchanged", "flake.nix")
			edit("flake.nix", "mine")(t, dir)
		}, "flake.nix"},
		"a stash": {func(t *testing.T, dir string) {
			edit("flake.nix", "mine")(t, dir)
			gitHere(t, dir, "stash", "-q")
		}, "stash"},
		"a commit": {commit, "main"},
		"another branch": {func(t *testing.T, dir string) {
			gitHere(t, dir, "checkout", "-qb", "topic")
			commit(t, dir)
			gitHere(t, dir, "checkout", "-q", "main")
		}, "topic"},
		"a detached HEAD": {func(t *testing.T, dir string) {
			gitHere(t, dir, "checkout", "-q", "--detach")
			commit(t, dir)
		}, "HEAD"},
		"a work tree": {func(t *testing.T, dir string) {
			gitHere(t, dir, "worktree", "add", "-q", t.TempDir()+"/w")
		}, "work trees"},
	} {
		top := t.TempDir()
		c := testConfig()
		c.Home, c.ConfigHome, c.StateHome, c.DataHome, c.CacheHome = top, top+"/config", top+"/state", top+"/data", top+"/cache"
		dir := top + "/config/home-manager"
		for _, d := range []string{top + "/origin", top + "/config", top + "/state/movein"} {
			if err := os.MkdirAll(d, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		gitHere(t, top+"/origin", "init", "-q", "-b", "main")
		edit("flake.nix", "{ }")(t, top+"/origin")
		edit(".gitignore", "*.secret\n")(t, top+"/origin")
		gitHere(t, top+"/origin", "add", ".")
		gitHere(t, top+"/origin", "commit", "-qm", "one")
		gitHere(t, top, "clone", "-q", top+"/origin", dir)
		test.work(t, dir)
		h := &host.Real{Env: []string{"PATH=" + os.Getenv("PATH"), "HOME=" + top}}
		u, err := PlanUninstall(context.Background(), h, testFacts(), c, true)
		if err != nil || !slices.Contains(u.Stays, dir) || len(u.gone) > 0 {
			t.Errorf("%s, in a clone that is not movein's: %+v, %v", what, u, err)
		}
		if err := os.WriteFile(filepath.Join(dir, host.CloneMark), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		u, err = PlanUninstall(context.Background(), h, testFacts(), c, true)
		if test.says != "" {
			if bootstrap.ExitCode(err) != bootstrap.ExitRefused || !strings.Contains(err.Error(), test.says) {
				t.Errorf("%s: %v", what, err)
			}
			continue
		}
		if err == nil {
			_, err = u.Apply(context.Background(), h)
		}
		if err != nil || exists(h, dir) {
			t.Errorf("%s: %v, and it is there still: %v", what, err, exists(h, dir))
		}
	}
}

func TestAPurgeLeavesAStarterThatWasEdited(t *testing.T) {
	for _, test := range []string{"", "home.nix", "lib/mine.nix"} {
		h := buildHost(t, nil)
		c := testConfig()
		c.HomeRepo = Starter
		if err := (homeRepo{testFacts(), c}).writeStarter(h); err != nil {
			t.Fatal(err)
		}
		dir, _ := c.HomeDir()
		if test != "" {
			h.Put(filepath.Join(dir, test), "mine")
		}
		u, err := PlanUninstall(context.Background(), h, testFacts(), c, true)
		if test != "" {
			refuses(t, err, bootstrap.ExitRefused, test, "--purge")
			continue
		}
		if err == nil {
			_, err = u.Apply(context.Background(), h)
		}
		if err != nil || exists(h, dir) {
			t.Error(err)
		}
	}
}
