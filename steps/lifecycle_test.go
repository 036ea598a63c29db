package steps

import (
	"context"
	"reflect"
	"slices"
	"strings"
	"testing"

	"movein/bootstrap"
	"movein/bootstrap/host"
	"movein/bootstrap/host/hosttest"
)

// switcher is nix-env --switch-generation.
func switcher(h *hosttest.Host) {
	h.On(defaultProfile+"/bin/nix-env --profile "+profiles+"/home-manager --switch-generation ", func(c host.Cmd) (host.Result, error) {
		h.Put(profiles+"/home-manager", "-> home-manager-"+c.Args[len(c.Args)-1]+"-link")
		return host.Result{}, nil
	})
}

// changedHost has a home that was changed from the old generation, number 7, to the new one.
func changedHost(t *testing.T) *hosttest.Host {
	t.Helper()
	h := activateHost(t, nil)
	hadOld(t, h)
	converges(t, h, activateStep())
	h.Forget()
	return h
}

func planRollback(t *testing.T, h *hosttest.Host, number int) (Rollback, error) {
	t.Helper()
	return PlanRollback(context.Background(), h.View(), testFacts(), testConfig(), number)
}

func TestARollbackGivesGenerationAndFilesBack(t *testing.T) {
	h := changedHost(t)
	activation(t, h, oldGen, oldFiles, ".bashrc")
	switcher(h)
	all, err := Generations(h.View(), testConfig())
	if err != nil || len(all) != 2 || all[0].Number != 7 || !all[1].Current || all[0].Backup == "" {
		t.Fatalf("generations %+v, %v", all, err)
	}
	r, err := planRollback(t, h, 0)
	if err != nil {
		t.Fatal(err)
	}
	if calls := h.Calls(); len(calls) > 0 {
		t.Errorf("a plan changes: %q", calls)
	}
	if r.Number != 7 || r.Path != oldGen || r.From != theGen || r.Change[0].Target != oldGen {
		t.Errorf("%+v", r)
	}
	res, err := r.Apply(context.Background(), h)
	if err != nil || res.Undo == "" {
		t.Fatal(res, err)
	}
	if exists(h, "/home/ann/.config/a") || h.Text("/home/ann/.bashrc") != "old bashrc\n" || testConfig().activeGeneration(h) != oldGen {
		t.Errorf("home:\n%s", h.Tree("/home/ann"))
	}
	inOrder(t, h.Calls(), "run "+oldGen+"/activate", "run "+defaultProfile+"/bin/nix-env --profile "+profiles+"/home-manager --switch-generation 7", "run "+oldGen+"/activate")
	_, err = planRollback(t, h, 0)
	refuses(t, err, bootstrap.ExitFailed, "movein generations")
	if got := planned(t, h, activateStep()); !strings.Contains(got, "activate "+theGen) {
		t.Errorf("the next apply would do: %s", got)
	}
}

func TestARollbackThatFailsChangesNothing(t *testing.T) {
	h := changedHost(t)
	h.On(oldGen+"/activate --driver-version 1", func(c host.Cmd) (host.Result, error) {
		if len(c.Env) > 0 { // the trial
			return host.Result{}, nil
		}
		return hosttest.Fails(1, "no")(c)
	})
	switcher(h)
	before := h.Tree("/home/ann/.bashrc", "/home/ann/.config", profiles)
	r, err := planRollback(t, h, 7)
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.Apply(context.Background(), h)
	refuses(t, err, bootstrap.ExitFailed, "no")
	if after := h.Tree("/home/ann/.bashrc", "/home/ann/.config", profiles); after != before {
		t.Errorf("before\n%s\nafter\n%s", before, after)
	}
	if _, cut, err := activateStep().changer().CutShort(h); testConfig().activeGeneration(h) != theGen || cut || err != nil {
		t.Error("it is not as it was")
	}
	nothingToDo(t, h, activateStep())
}

func TestWhatCannotBeRolledBackIsSaid(t *testing.T) {
	h := changedHost(t)
	_, err := planRollback(t, h, 9)
	refuses(t, err, bootstrap.ExitUsage, "movein generations")
	_, err = planRollback(t, h, 1)
	refuses(t, err, bootstrap.ExitUsage, "is the active one", "movein rollback")
	h.Put(activateStep().changer().Record, `{"version":1,"runs":["x"]}`)
	_, err = planRollback(t, h, 0)
	refuses(t, err, bootstrap.ExitRefused, "cut short", "movein apply")
	_, err = planRollback(t, h, 7)
	refuses(t, err, bootstrap.ExitRefused, "cut short", "movein apply")
	_ = h.Remove(activateStep().changer().Record)
	_ = h.Remove(oldGen)
	_, err = planRollback(t, h, 0)
	refuses(t, err, bootstrap.ExitFailed, "no longer in the store")
	runs, _, err := activateStep().backups().List(h)
	if err != nil {
		t.Fatal(err)
	}
	if err := activateStep().changer().Prune(h, runs); err != nil {
		t.Fatal(err)
	}
	_, err = planRollback(t, h, 0)
	refuses(t, err, bootstrap.ExitFailed, "was removed by: movein backups prune")
	_, err = planRollback(t, h, 7)
	refuses(t, err, bootstrap.ExitFailed, "generation 7", "movein generations")
}

func TestPackagesAreThoseOfTheGeneration(t *testing.T) {
	h := changedHost(t)
	h.OnQuery(defaultProfile+"/bin/nix-store --query --references "+thePath, hosttest.Says(strings.Join([]string{
		thePath, storePath('r', "ripgrep-14.1.0"), storePath('m', "man-db-2.12"), storePath('s', "hm-session-vars.sh"),
	}, "\n")))
	all, err := Packages(context.Background(), h.View(), testFacts(), testConfig())
	var got []string
	for _, p := range all {
		got = append(got, p.Name+" "+p.Version)
	}
	if want := []string{"hm-session-vars.sh ", "man-db 2.12", "ripgrep 14.1.0"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v", got, err)
	}
}

func TestClosureDifferencesAreRead(t *testing.T) {
	got := parseDiff("firefox: 1.0, 1.0-lib → 1.1, \x1b[31;1m+12.5 MiB\x1b[0m\nold: 2 → ∅, -1.0 KiB\nnew: ∅ → 3\nx: ε → 4\nsource: +16.0 KiB\n\n")
	want := []ClosureDiff{
		{"firefox", "1.0, 1.0-lib", "1.1", "+12.5 MiB", 13107200}, {"old", "2", "", "-1.0 KiB", -1024},
		{"new", "", "3", "", 0}, {"x", "ε", "4", "", 0}, {"source", "", "", "+16.0 KiB", 16384},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
}

func TestUpdatesAreMadeWithTheFormThatNixKnows(t *testing.T) {
	const lock = `{"root":"root","nodes":{"root":{"inputs":{"nixpkgs":"nixpkgs_2","x":["nixpkgs"]}},"nixpkgs_2":{"locked":{"rev":"1"}}}}`
	nix := defaultProfile + "/bin/nix flake "
	for _, test := range []struct {
		inputs []string
		old    bool
		want   string
	}{
		{nil, false, nix + "update --flake " + buildFlake},
		{[]string{"nixpkgs"}, false, nix + "update nixpkgs --flake " + buildFlake},
		{nil, true, nix + "update " + buildFlake},
		{[]string{"nixpkgs", "x"}, true, nix + "lock " + buildFlake + " --update-input nixpkgs --update-input x"},
	} {
		h := buildHost(t, files{"/home/ann/.config/home-manager/flake.lock": lock})
		done := ""
		answer := func(c host.Cmd) (host.Result, error) {
			if line := strings.Join(c.Args, " "); test.old && strings.Contains(line, "--flake") {
				return hosttest.Fails(1, "error: unrecognised flag '--flake'")(c)
			} else if done = line; true {
				h.Put("/home/ann/.config/home-manager/flake.lock", strings.Replace(lock, `"1"`, `"2"`, 1))
			}
			return host.Result{}, nil
		}
		h.On(nix+"update ", answer)
		if strings.HasPrefix(test.want, nix+"lock ") {
			h.On(nix+"lock ", answer)
		}
		u, err := NewUpdate(context.Background(), h, testFacts(), testConfig(), test.inputs)
		if err != nil {
			t.Fatal(err)
		}
		if err := u.Lock(context.Background(), h); err != nil || done != test.want {
			t.Errorf("%v: ran %q\nnot %q", err, done, test.want)
		}
		if in := u.Inputs(h); len(in) != 1 || in[0] != (UpdatedInput{"nixpkgs", "1", "2"}) || !u.Changed(h) {
			t.Errorf("updated %+v", in)
		}
		if got := planned(t, h, homeRepo{testFacts(), testConfig()}); got != "restore /home/ann/.config/home-manager/flake.lock" {
			t.Errorf("planned meanwhile: %q", got)
		}
		if err := RestoreLock(context.Background(), h, testConfig()); err != nil || h.Text("/home/ann/.config/home-manager/flake.lock") != lock {
			t.Errorf("it is not restored: %v", err)
		}
	}
}

func TestAFlakeLockOfTheUsersOwnIsNotUpdated(t *testing.T) {
	h := buildHost(t, files{"/home/ann/.config/home-manager/flake.lock": "{}"})
	h.OnRepo = func(string) (host.Repo, error) {
		r := cleanRepo()
		r.Dirty = []string{"flake.lock"}
		return r, nil
	}
	_, err := NewUpdate(context.Background(), h, testFacts(), testConfig(), nil)
	refuses(t, err, bootstrap.ExitRefused, "flake.lock", "git -C")
}

func TestAnInputThatIsNotThereIsNotUpdated(t *testing.T) {
	for lock, want := range map[string]string{
		`{}`: `has no inputs, so there is no "nixpkgs"`,
		`{"root":"root","nodes":{"root":{"inputs":{"dep":"dep"}},"dep":{}}}`: `has no input "nixpkgs"`,
	} {
		h := buildHost(t, files{"/home/ann/.config/home-manager/flake.lock": lock})
		_, err := NewUpdate(context.Background(), h, testFacts(), testConfig(), []string{"nixpkgs"})
		refuses(t, err, bootstrap.ExitUsage, want)
	}
}

func TestUninstallTakesPackagesUnitsAndGenerationsAway(t *testing.T) {
	h := activateHost(t, files{"/home/ann/.bashrc": "!0600 mine\n", theFiles + "/.config/systemd/user/sync.timer": "[Timer]", theFiles + "/.config/systemd/user/at@.service": "[Service]"})
	activation(t, h, theGen, theFiles, ".bashrc", ".config/a/b", ".config/systemd/user/sync.timer", ".config/systemd/user/at@.service")
	before := h.Tree("/home/ann/.bashrc", "/home/ann/.config")
	h.Put(profiles+"/home-manager-5-link", "-> "+storePath('o', "home-manager-generation"))
	converges(t, h, activateStep())
	h.Put("/home/ann/.nix-defexpr/channels_root", "-> /nix/var/nix/profiles/per-user/root/channels") // as nix-env does
	h.Put("/home/ann/.cache/nix/eval-cache", "")
	h.Forget()
	h.OnQuery("systemctl --user is-system-running", hosttest.Says("running\n"))
	h.On("systemctl --user stop sync.timer", hosttest.Says(""))
	h.On("systemctl --user daemon-reload", hosttest.Says(""))
	h.On(defaultProfile+"/bin/nix-env --uninstall home-manager-path", func(host.Cmd) (host.Result, error) {
		h.Put(homeProfile+"/manifest.nix", "[ ]")
		return host.Result{}, nil
	})
	u, err := PlanUninstall(context.Background(), h.View(), testFacts(), testConfig(), false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := u.Apply(context.Background(), h); err != nil {
		t.Fatal(err)
	}
	if after := h.Tree("/home/ann/.bashrc", "/home/ann/.config"); after != before {
		t.Errorf("before\n%s\nafter\n%s", before, after)
	}
	if !slices.Contains(u.Stays, "/home/ann/.cache/nix") {
		t.Errorf("stays: %q", u.Stays)
	}
	for _, name := range []string{profiles + "/home-manager", profiles + "/home-manager-1-link", currentHome, testConfig().State() + "/home.json", "/home/ann/.nix-defexpr"} {
		if exists(h, name) {
			t.Errorf("%s is there still", name)
		}
	}
	if !exists(h, profiles+"/home-manager-5-link") {
		t.Error("a generation that is not movein's is gone")
	}
	inOrder(t, h.Calls(), "run systemctl --user stop sync.timer", "run systemctl --user daemon-reload", "run "+defaultProfile+"/bin/nix-env --uninstall")
	again, err := PlanUninstall(context.Background(), h.View(), testFacts(), testConfig(), false)
	if err != nil || len(again.Change) > 0 {
		t.Errorf("again: %v, %v", again.Change, err)
	}
}

func TestAUnitThatWasNeverStartedIsNoWarning(t *testing.T) {
	h := hosttest.New(t, with(genFiles(), files{theFiles + "/.config/systemd/user/sync.timer": "[Timer]"}))
	h.OnQuery("systemctl --user is-system-running", hosttest.Says("running\n"))
	h.On("systemctl --user daemon-reload", hosttest.Says(""))
	for code, warnings := range map[int]int{5: 0, 1: 1} {
		h.On("systemctl --user stop sync.timer", hosttest.Fails(code, "Failed to stop sync.timer"))
		before := len(h.Warnings())
		(&Uninstall{s: activateStep()}).stopUnits(t.Context(), h, theGen)
		if got := h.Warnings()[before:]; len(got) != warnings {
			t.Errorf("code %d: %q", code, got)
		}
	}
}

func TestUninstallGivesTheGenerationOfBeforeBack(t *testing.T) {
	h := changedHost(t)
	activation(t, h, oldGen, oldFiles, ".bashrc")
	switcher(h)
	u, err := PlanUninstall(context.Background(), h.View(), testFacts(), testConfig(), true)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := u.Apply(context.Background(), h); err != nil {
		t.Fatal(err)
	}
	if testConfig().activeGeneration(h) != oldGen || exists(h, profiles+"/home-manager-1-link") || exists(h, activateStep().backups().Dir) || h.Text("/home/ann/.bashrc") != "old bashrc\n" {
		t.Errorf("home:\n%s", h.Tree("/home/ann"))
	}
}

func TestAPurgeLeavesWhatIsMadeInTheRepoMeanwhile(t *testing.T) {
	h := changedHost(t)
	activation(t, h, oldGen, oldFiles, ".bashrc")
	c := testConfig()
	c.HomeRepo = Starter
	if err := (homeRepo{testFacts(), c}).writeStarter(h); err != nil {
		t.Fatal(err)
	}
	dir, _ := c.HomeDir()
	h.On(defaultProfile+"/bin/nix-env --profile "+profiles+"/home-manager --switch-generation ", func(a host.Cmd) (host.Result, error) {
		h.Put(profiles+"/home-manager", "-> home-manager-"+a.Args[len(a.Args)-1]+"-link")
		h.Put(dir+"/mine.nix", "mine")
		return host.Result{}, nil
	})
	u, err := PlanUninstall(context.Background(), h.View(), testFacts(), c, true)
	if err != nil {
		t.Fatal(err)
	}
	res, err := u.Apply(context.Background(), h)
	if err != nil || !slices.Contains(res.Stays, dir) || c.activeGeneration(h) != oldGen || !exists(h, dir+"/mine.nix") {
		t.Errorf("%v, stays %q, home:\n%s", err, res.Stays, h.Tree("/home/ann"))
	}
}

// What the user made of the files since the first apply is in the backups alone, and so is what could not be given back.
func TestAPurgeKeepsTheBackupsThatAloneHaveSomething(t *testing.T) {
	for _, test := range []string{"edited", "lacks"} {
		h := activateHost(t, files{"/home/ann/.bashrc": "mine\n"})
		converges(t, h, activateStep())
		h.Forget()
		h.Lax = true
		h.On(defaultProfile+"/bin/nix-env --uninstall home-manager-path", func(host.Cmd) (host.Result, error) {
			h.Put(homeProfile+"/manifest.nix", "[ ]")
			return host.Result{}, nil
		})
		_ = h.Remove("/home/ann/.bashrc")
		if test == "edited" {
			h.Put("/home/ann/.bashrc", "edited\n")
		}
		u, err := PlanUninstall(context.Background(), h.View(), testFacts(), testConfig(), true)
		if err != nil {
			t.Fatal(err)
		}
		var on host.Host = h
		if test == "lacks" {
			on = lacking{h}
		}
		res, err := u.Apply(context.Background(), on)
		dir := activateStep().backups().Dir
		if err != nil || !exists(h, dir) || !slices.Contains(res.Stays, dir) || !strings.Contains(strings.Join(h.Warnings(), "\n"), "rm -r "+dir) {
			t.Errorf("%s: %+v, %v, %q", test, res, err, h.Warnings())
		}
		if h.Text("/home/ann/.bashrc") != "mine\n" || exists(h, testConfig().State()+"/home.json") {
			t.Errorf("%s: %s", test, h.Tree("/home/ann"))
		}
		again, err := PlanUninstall(context.Background(), h.View(), testFacts(), testConfig(), true)
		if test == "edited" && (err != nil || len(again.Change) > 0 || !slices.Contains(again.Stays, dir)) {
			t.Errorf("again: %v, %v, %v", again.Change, again.Stays, err)
		}
	}
}

// lacking is a host on which the owner of a file cannot be given back.
type lacking struct{ *hosttest.Host }

func (l lacking) PutBack(ctx context.Context, k host.Kept, dir string, at host.Place, twin string) ([]string, error) {
	lacks, err := l.Host.PutBack(ctx, k, dir, at, twin)
	if k.Kind == host.KindFile {
		lacks = append(lacks, "owner 0:0")
	}
	return lacks, err
}

// The lock file of an update that nobody has committed yet is no reason to complain, nor to refuse another update.
func TestTheLockOfAnUpdateIsKnownAsSuch(t *testing.T) {
	const lock = "/home/ann/.config/home-manager/flake.lock"
	h := buildHost(t, files{lock: "{}"})
	h.On(defaultProfile+"/bin/nix flake update ", func(host.Cmd) (host.Result, error) {
		h.Put(lock, `{"new": 1}`)
		return host.Result{}, nil
	})
	u, err := NewUpdate(context.Background(), h, testFacts(), testConfig(), nil)
	if err == nil {
		err = u.Lock(context.Background(), h)
	}
	if err == nil {
		err = u.Keep(context.Background(), h)
	}
	if err != nil {
		t.Fatal(err)
	}
	repo := cleanRepo()
	repo.Dirty = []string{"flake.lock"}
	h.OnRepo = func(string) (host.Repo, error) { return repo, nil }
	h.OnTip = func(host.Remote) (host.Tip, error) { return host.Tip{Branch: repo.Branch, Commit: repo.Commit}, nil }
	step := homeRepo{testFacts(), testConfig()}
	if _, err := plan(t, h, step); err != nil || len(h.Warnings()) > 0 {
		t.Errorf("%v, %q", err, h.Warnings())
	}
	if _, err := NewUpdate(context.Background(), h, testFacts(), testConfig(), nil); err != nil {
		t.Error(err)
	}
	h.Put(lock, "edited")
	if _, err := plan(t, h, step); err != nil || len(h.Warnings()) != 1 {
		t.Errorf("%v, %q", err, h.Warnings())
	}
	_, err = NewUpdate(context.Background(), h, testFacts(), testConfig(), nil)
	refuses(t, err, bootstrap.ExitRefused, "flake.lock")
}
