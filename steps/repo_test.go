package steps

import (
	"errors"
	"io/fs"
	"strings"
	"testing"

	"movein/bootstrap"
	"movein/bootstrap/host"
	"movein/bootstrap/host/hosttest"
)

const (
	testRepo = "/home/ann/.config/home-manager"
	oldTip   = "1111111111111111111111111111111111111111"
	newTip   = "2222222222222222222222222222222222222222"
)

// cleanRepo is a clone that is where its remote is, at oldTip.
func cleanRepo() host.Repo {
	return host.Repo{URL: "https://example.org/ann/home.git", Branch: "main", Commit: oldTip}
}

// repoHost has a clone in this state, of a remote at tip ("": not asked).
func repoHost(t *testing.T, state host.Repo, tip string) *hosttest.Host {
	h := hosttest.New(t, files{testRepo + "/flake.nix": "{ }"})
	h.OnRepo = func(dir string) (host.Repo, error) {
		if dir != testRepo {
			t.Errorf("reading the repository %s", dir)
		}
		return state, nil
	}
	if tip != "" {
		h.OnTip = func(host.Remote) (host.Tip, error) { return host.Tip{Branch: "main", Commit: tip}, nil }
	}
	return h
}

func repoStep(change func(*Config)) homeRepo {
	c := testConfig()
	if change != nil {
		change(c)
	}
	return homeRepo{testFacts(), c}
}

func stop(c *Config) { c.OnDiverged = "stop" }

func TestARepoThatIsNotThereIsCloned(t *testing.T) {
	for name, state := range map[string]error{"nothing there": fs.ErrNotExist, "an empty directory": host.ErrNotRepo} {
		t.Run(name, func(t *testing.T) {
			h := hosttest.New(t, nil)
			if state == host.ErrNotRepo {
				h.Put(testRepo+"/", "")
			}
			h.OnRepo = func(string) (host.Repo, error) { return host.Repo{}, state }
			h.OnClone = func(r host.Remote, dir string) error {
				if r.URL != "https://example.org/ann/home.git" || r.Branch != "v2" || r.Needs != "flake.nix" || dir != testRepo {
					t.Errorf("cloning %+v into %s", r, dir)
				}
				h.Put(dir+"/flake.nix", "{ }")
				now := cleanRepo()
				now.Branch = "v2"
				h.OnRepo = func(string) (host.Repo, error) { return now, nil }
				h.OnTip = func(host.Remote) (host.Tip, error) { return host.Tip{Commit: oldTip}, nil }
				return nil
			}
			converges(t, h, repoStep(func(c *Config) { c.Branch = "v2" }))
		})
	}
}

func TestARepoThatIsUpToDateIsNotTouched(t *testing.T) {
	nothingToDo(t, repoHost(t, cleanRepo(), oldTip), repoStep(nil))
	nothingToDo(t, repoHost(t, cleanRepo(), oldTip), repoStep(stop))
	nothingToDo(t, repoHost(t, cleanRepo(), ""), repoStep(func(c *Config) { c.Offline = true }))
}

func TestAnUpdateThatWasCutShortIsFinishedWithoutTheNetwork(t *testing.T) {
	state := cleanRepo()
	state.Interrupted = newTip
	h := repoHost(t, state, "")
	h.OnFastForward = func(_ string, _ host.Remote, commit string) error {
		state.Commit, state.Interrupted = commit, ""
		h.OnRepo = func(string) (host.Repo, error) { return state, nil }
		return nil
	}
	converges(t, h, repoStep(func(c *Config) { c.Offline = true }))
	if state.Commit != newTip {
		t.Errorf("at %s", state.Commit)
	}
}

func TestARepoIsMovedForward(t *testing.T) {
	state := cleanRepo()
	h := repoHost(t, state, newTip)
	h.OnRepo = func(string) (host.Repo, error) { return state, nil }
	h.OnFastForward = func(dir string, r host.Remote, commit string) error {
		if dir != testRepo || r.Branch != "main" || commit != newTip {
			t.Errorf("fast-forwarding %s, %+v, to %s", dir, r, commit)
		}
		state.Commit = commit
		return nil
	}
	converges(t, h, repoStep(nil))
}

func TestTheUsersFilesAreRefusedToBeClonedOver(t *testing.T) {
	h := hosttest.New(t, files{testRepo + "/home.nix": "mine"})
	h.OnRepo = func(string) (host.Repo, error) { return host.Repo{}, host.ErrNotRepo }
	_, err := plan(t, h, repoStep(nil))
	refuses(t, err, bootstrap.ExitRefused, testRepo, "no clone of https://example.org/ann/home.git", "mv "+testRepo)
}

func TestACloneOfSomethingElseIsRefused(t *testing.T) {
	state := cleanRepo()
	state.URL = "https://example.org/bob/home.git"
	_, err := plan(t, repoHost(t, state, ""), repoStep(nil))
	refuses(t, err, bootstrap.ExitRefused, state.URL, "https://example.org/ann/home.git", "mv "+testRepo)
}

func TestARepositoryWithoutARemoteIsRefused(t *testing.T) {
	state := cleanRepo()
	state.URL = ""
	_, err := plan(t, repoHost(t, state, ""), repoStep(nil))
	refuses(t, err, bootstrap.ExitRefused, testRepo, "origin", "remote add origin https://example.org/ann/home.git")
}

func TestABrokenRepositoryIsAnErrorWithANextCommand(t *testing.T) {
	h := repoHost(t, cleanRepo(), "")
	h.OnRepo = func(string) (host.Repo, error) {
		return host.Repo{}, errors.New("reading the repository in " + testRepo + ": object not found")
	}
	_, err := plan(t, h, repoStep(nil))
	refuses(t, err, bootstrap.ExitFailed, testRepo, "object not found", "mv "+testRepo)
}

func TestWhatTheUserMadeIsKeptOrStopsTheRun(t *testing.T) {
	for _, test := range []struct {
		name   string
		tip    string
		branch string
		change func(*host.Repo)
		why    string
	}{
		{"uncommitted changes", newTip, "", func(r *host.Repo) { r.Dirty = []string{"home.nix"} }, "uncommitted changes"},
		{"another branch", newTip, "v2", func(r *host.Repo) {}, "on branch main, not v2"},
		{"detached at a commit of no branch", "", "", func(r *host.Repo) { r.Branch = "" }, "detached"},
		{"detached at a commit of another branch", "", "v2", func(r *host.Repo) { r.Branch, r.Branches = "", []string{"main"} }, "detached"},
		{"detached with changes", "", "", func(r *host.Repo) { r.Branch, r.Branches, r.Dirty = "", []string{"main"}, []string{"x"} }, "detached"},
	} {
		t.Run(test.name, func(t *testing.T) {
			state := cleanRepo()
			test.change(&state)
			h := repoHost(t, state, test.tip)
			nothingToDo(t, h, repoStep(func(c *Config) { c.Branch = test.branch }))
			if w := strings.Join(h.Warnings(), "\n"); !strings.Contains(w, test.why) || !strings.Contains(w, testRepo) {
				t.Errorf("warned: %q, want %q", w, test.why)
			}
			_, err := plan(t, h, repoStep(func(c *Config) { c.Branch, c.OnDiverged = test.branch, "stop" }))
			refuses(t, err, bootstrap.ExitRefused, testRepo, test.why, "--on-diverged keep")
		})
	}
}

func TestADetachedHeadIsPutOnItsBranch(t *testing.T) {
	state := cleanRepo()
	state.Branch, state.Branches = "", []string{"main", "old"}
	h := repoHost(t, state, oldTip)
	h.OnRepo = func(string) (host.Repo, error) { return state, nil }
	h.OnAttach = func(dir, branch string) error {
		state.Branch, state.Branches = branch, nil
		return nil
	}
	converges(t, h, repoStep(nil))
	if state.Branch != "main" {
		t.Errorf("on %q", state.Branch)
	}
}

func TestDivergedCommitsAreKeptAndNotTriedAgain(t *testing.T) {
	h := repoHost(t, cleanRepo(), newTip)
	tries := 0
	h.OnFastForward = func(string, host.Remote, string) error { tries++; return host.ErrDiverged }
	converges(t, h, repoStep(nil))
	nothingToDo(t, h, repoStep(nil))
	if w := strings.Join(h.Warnings(), "\n"); tries != 1 || !strings.Contains(w, "commits that") {
		t.Errorf("tried %d times, warned %q", tries, w)
	}
	_, err := plan(t, h, repoStep(stop))
	refuses(t, err, bootstrap.ExitRefused, testRepo, "--on-diverged keep")
}

func TestAFileInTheWayOfAFastForwardIsNamed(t *testing.T) {
	h := repoHost(t, cleanRepo(), newTip)
	h.OnFastForward = func(dir string, _ host.Remote, _ string) error {
		return &host.CollisionError{Dir: dir, Files: []string{"a.nix", "b.nix"}}
	}
	refuses(t, apply(t, h, repoStep(nil)), bootstrap.ExitRefused, "a.nix, b.nix", testRepo, "run the same command again")
}

func TestAnUnreachableRemoteStopsOnlyAClone(t *testing.T) {
	away := &host.UnreachableError{URL: "https://example.org/ann/home.git", Err: errors.New("no route to host")}
	h := repoHost(t, cleanRepo(), "")
	h.OnTip = func(host.Remote) (host.Tip, error) { return host.Tip{}, away }
	nothingToDo(t, h, repoStep(nil))
	if w := strings.Join(h.Warnings(), "\n"); !strings.Contains(w, "no route to host") {
		t.Errorf("warned %q", w)
	}
	h.OnTip = func(host.Remote) (host.Tip, error) { return host.Tip{}, host.ErrLogin }
	h.Forget()
	nothingToDo(t, h, repoStep(nil))
	if w := strings.Join(h.Warnings(), "\n"); !strings.Contains(w, "--vault") {
		t.Errorf("how to log in is not said: %q", w)
	}
	h = hosttest.New(t, nil)
	h.OnRepo = func(string) (host.Repo, error) { return host.Repo{}, fs.ErrNotExist }
	h.OnClone = func(host.Remote, string) error { return away }
	refuses(t, apply(t, h, repoStep(nil)), bootstrap.ExitUnreachable, "https://example.org/ann/home.git", "no route to host", "check the address")
}

func TestARepoThatCannotBeAHomeIsNotCloned(t *testing.T) {
	for err, says := range map[error]string{host.ErrLacks: "movein apply starter", host.ErrNoCommits: "movein init"} {
		h := hosttest.New(t, nil)
		h.OnRepo = func(string) (host.Repo, error) { return host.Repo{}, fs.ErrNotExist }
		h.OnClone = func(host.Remote, string) error { return err }
		refuses(t, apply(t, h, repoStep(nil)), bootstrap.ExitConfig, err.Error(), says)
	}
}

func TestARepoWithoutAFlakeIsRefused(t *testing.T) {
	h := repoHost(t, cleanRepo(), oldTip)
	if err := h.Remove(testRepo + "/flake.nix"); err != nil {
		t.Fatal(err)
	}
	_, err := plan(t, h, repoStep(nil))
	refuses(t, err, bootstrap.ExitConfig, testRepo, "flake.nix", "movein apply starter")
}

func TestADirectoryOfTheUsersIsUsedAsItIs(t *testing.T) {
	own := func(c *Config) { c.HomeRepo = "~/home" }
	h := hosttest.New(t, files{"/home/ann/home/flake.nix": "{ }"})
	h.OnRepo = func(string) (host.Repo, error) { return host.Repo{}, host.ErrNotRepo }
	nothingToDo(t, h, repoStep(own))
	h = hosttest.New(t, nil)
	_, err := plan(t, h, repoStep(own))
	refuses(t, err, bootstrap.ExitConfig, "/home/ann/home", "movein apply")
}

func TestNixFilesThatGitDoesNotTrackAreNamed(t *testing.T) {
	state := cleanRepo()
	state.Untracked = []string{"notes.txt", "new.nix"}
	h := repoHost(t, state, oldTip)
	nothingToDo(t, h, repoStep(nil))
	if w := strings.Join(h.Warnings(), "\n"); !strings.Contains(w, "git -C "+testRepo+" add new.nix") || strings.Contains(w, "notes.txt") {
		t.Errorf("warned %q", w)
	}
}

func TestTheStarterKeepsWhatTheUserChanged(t *testing.T) {
	s := repoStep(func(c *Config) { c.HomeRepo = Starter })
	h := hosttest.New(t, nil)
	converges(t, h, s)
	dir, _ := s.c.HomeDir()
	h.Put(dir+"/home.nix", "mine")
	h.Put(dir+"/host.json", "{}")
	nothingLost := h.Text(dir + "/home.nix")
	converges(t, h, s) // host.json follows the host
	if got := h.Text(dir + "/home.nix"); got != nothingLost {
		t.Errorf("home.nix became %q", got)
	}
	h.Forget()
	nothingToDo(t, h, s)
}

func TestTheStarterIsWholeAfterAPowerCutAnywhere(t *testing.T) {
	survivesPowerCuts(t, func() *hosttest.Host { return hosttest.New(t, nil) }, repoStep(func(c *Config) { c.HomeRepo = Starter }), nil)
}

func TestDotfilesComeFromTheFlagOrTheHomeRepoOrNotAtAll(t *testing.T) {
	skips(t, hosttest.New(t, nil), dotfilesRepo{testConfig()})
	h := hosttest.New(t, files{testRepo + "/movein.toml": "dotfiles = \"https://example.org/ann/dotfiles.git\"\n"})
	h.OnRepo = func(string) (host.Repo, error) { return host.Repo{}, fs.ErrNotExist }
	c := testConfig()
	if got, want := planned(t, h, dotfilesRepo{c}), "clone https://example.org/ann/dotfiles.git"; got != want {
		t.Errorf("planned %q, want %q", got, want)
	}
	c.Dotfiles, c.Given = "none", []string{"dotfiles"}
	skips(t, h, dotfilesRepo{c})
	c.Dotfiles = "/srv/dotfiles"
	_, err := plan(t, h, dotfilesRepo{c})
	refuses(t, err, bootstrap.ExitConfig, "/srv/dotfiles", "--dotfiles")
}

func TestNobodyReadsWhoLogsIn(t *testing.T) {
	for url, want := range map[string]string{
		"https://ann:hunter2@example.org/ann/home.git": "https://example.org/ann/home.git",
		"https://token@example.org/ann/home.git":       "https://example.org/ann/home.git",
		"https://example.org/ann/home.git":             "https://example.org/ann/home.git",
		"ssh://git@example.org/ann/home.git":           "ssh://git@example.org/ann/home.git",
		"git@example.org:ann/home.git":                 "git@example.org:ann/home.git",
	} {
		if got := (repo{url: url}).change(repoPlan{verb: "clone"})[0].Target; got != want {
			t.Errorf("%s is shown as %s", url, got)
		}
	}
}

func TestWhoLogsInAtAServerIsNotShown(t *testing.T) {
	for _, url := range []string{"https://ann:hush@example.org/x", "https://hush@example.org/x", "ssh://git:hush@example.org/x", "https://ann:hush#@example.org/x"} {
		if shown := (repo{url: url}).shown(); strings.Contains(shown, "hush") || !strings.HasSuffix(shown, "example.org/x") {
			t.Error(shown)
		}
	}
}
