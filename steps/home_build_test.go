package steps

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"movein/bootstrap"
	"movein/bootstrap/host"
	"movein/bootstrap/host/hosttest"
)

var (
	theGen   = storePath('g', "home-manager-generation")
	theFiles = storePath('g', "home-manager-files")
	thePath  = storePath('g', "home-manager-path")
)

// genFiles are a generation with two files and a package, all in the store.
func genFiles() files {
	return files{
		theGen + "/activate":                        "!0755 ln … current-home",
		theGen + "/home-files":                      "-> " + theFiles,
		theGen + "/home-path":                       "-> " + thePath,
		theFiles + "/.bashrc":                       "new bashrc\n",
		theFiles + "/.config/a/b":                   "new b\n",
		thePath + "/bin/hello":                      "!0755 hello",
		testRepo + "/flake.nix":                     "{ }",
		"/home/ann/.local/state/nix":                "-> /home/ann/.local/state/nix.real",
		"/home/ann/.local/state/nix.real/profiles/": "",
	}
}

const attribute = "ann@desk"

// buildHost has a healthy Nix and a clean clone; nix finds and builds theGen.
func buildHost(t *testing.T, have files) *hosttest.Host {
	h := hosttest.New(t, with(nixFiles(), genFiles(), have))
	h.Owners["/home/ann"] = 1000
	h.OnRepo = func(string) (host.Repo, error) { return cleanRepo(), nil }
	h.OnDaemon = answering
	return h
}

func buildStep() homeBuild { return homeBuild{testFacts(), testConfig()} }

const buildFlake = "git+file:///home/ann/.config/home-manager?shallow=1"

// building scripts an evaluation and a build that end well.
func building(t *testing.T, h *hosttest.Host) *hosttest.Host {
	h.OnQuery(defaultProfile+"/bin/nix eval --json "+buildFlake, foundJSON(t, found{Names: []string{attribute}, Pick: attribute, User: "ann", Home: "/home/ann"}))
	h.OnQuery(defaultProfile+"/bin/nix build --dry-run", hosttest.Says(""))
	h.On(defaultProfile+"/bin/nix build --json --out-link", func(c host.Cmd) (host.Result, error) {
		root := buildStep().root()
		want := []string{defaultProfile + "/bin/nix", "build", "--json", "--out-link", root, buildFlake + `#homeConfigurations."ann@desk".activationPackage`}
		if !slices.Equal(c.Args, want) || c.Dir != "/home/ann" {
			t.Errorf("building with %q in %s", c.Args, c.Dir)
		}
		h.Put(root, "-> "+theGen)
		return host.Result{Stdout: fmt.Appendf(nil, `[{"drvPath": "/nix/store/x.drv", "outputs": {"out": %q}}]`, theGen)}, nil
	})
	return h
}

func TestTheGenerationIsBuiltKeptAndRemembered(t *testing.T) {
	h := building(t, buildHost(t, nil))
	converges(t, h, buildStep())
	b := readBuilt(h.View(), testConfig())
	if b.Out != theGen || b.Attribute != attribute || b.Repo != testConfig().HomeRepo || b.Fingerprint == "" {
		t.Errorf("remembered: %+v", b)
	}
	h.Forget()
	nothingToDo(t, h, buildStep())
}

func TestTheChoiceOfAFartherNameIsNotDoubtedAfterwards(t *testing.T) {
	h := building(t, buildHost(t, nil)) // "ann@desk" is the second candidate, the first one after it was chosen
	converges(t, h, buildStep())
	if got := buildStep().candidates(readBuilt(h.View(), testConfig()))[0]; got != attribute {
		t.Errorf("the first candidate is now %s", got)
	}
}

func TestTheChoiceOfAFartherNameForAGivenHostIsNotDoubtedAfterwards(t *testing.T) {
	h, s := building(t, buildHost(t, nil)), buildStep()
	s.c.Host = "lap"
	converges(t, h, s)
}

func TestABuildIsDoneAfterAPowerCutAnywhere(t *testing.T) {
	survivesPowerCuts(t, func() *hosttest.Host { return building(t, buildHost(t, nil)) }, buildStep(), nil)
}

func TestABuildThatNoLongerHoldsIsDoneAgain(t *testing.T) {
	for name, spoil := range map[string]func(h *hosttest.Host){
		"collected": func(h *hosttest.Host) { _ = h.Remove(theGen) },
		"no root":   func(h *hosttest.Host) { h.Put(buildStep().root(), "-> /nix/store/other") },
		"no record": func(h *hosttest.Host) { h.Put(buildStep().record(), "{ cut sh") },
		"not in the db": func(h *hosttest.Host) {
			h.OnDaemon = func(_ string, p []string) (host.Daemon, error) { return host.Daemon{Unknown: p}, nil }
		},
		"another commit": func(h *hosttest.Host) {
			h.OnRepo = func(string) (host.Repo, error) { r := cleanRepo(); r.Commit = newTip; return r, nil }
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := building(t, buildHost(t, nil))
			converges(t, h, buildStep())
			spoil(h)
			if planned(t, h, buildStep()) == "" {
				t.Error("it is believed all the same")
			}
		})
	}
}

func TestAFailedBuildChangesNothingAndSaysWhatToDo(t *testing.T) {
	h := buildHost(t, nil)
	building(t, h)
	h.On(defaultProfile+"/bin/nix build", hosttest.Fails(1, "error: builder for '/nix/store/x.drv' failed with exit code 1"))
	h.On(defaultProfile+"/bin/nix build --json --out-link", hosttest.Fails(1, "error: builder for '/nix/store/x.drv' failed with exit code 1"))
	h.Lax = true
	before := h.Tree("/home/ann/.bashrc", "/home/ann/.config")
	refuses(t, apply(t, h, buildStep()), bootstrap.ExitFailed, "x.drv", testRepo, "run the same command again")
	if h.Tree("/home/ann/.bashrc", "/home/ann/.config") != before || exists(h, buildStep().record()) {
		t.Error("something changed")
	}
}

func TestWhatIsNoGenerationIsRefused(t *testing.T) {
	h := building(t, buildHost(t, nil))
	if err := h.Remove(theGen + "/activate"); err != nil {
		t.Fatal(err)
	}
	refuses(t, apply(t, h, buildStep()), bootstrap.ExitConfig, attribute, "activate", theGen)
}

func TestTheFingerprintStandsForAllThatTheResultDependsOn(t *testing.T) {
	type world struct {
		s    homeBuild
		h    *hosttest.Host
		repo host.Repo
	}
	fresh := func() *world {
		w := &world{s: buildStep(), repo: cleanRepo()}
		w.repo.Dirty = []string{"home.nix"}
		w.h = buildHost(t, files{testRepo + "/home.nix": "one", testRepo + "/other.nix": "one"})
		w.h.OnRepo = func(string) (host.Repo, error) { return w.repo, nil }
		return w
	}
	sum := func(w *world) string { return w.s.fingerprint(t.Context(), w.h.View()) }
	first := sum(fresh())
	if first == "" {
		t.Fatal("no fingerprint")
	}
	for name, change := range map[string]func(w *world){
		"commit":        func(w *world) { w.repo.Commit = newTip },
		"dirty content": func(w *world) { w.h.Put(testRepo+"/home.nix", "two") },
		"dirty mode":    func(w *world) { w.h.Put(testRepo+"/home.nix", "!0755 one") },
		"dirty link":    func(w *world) { w.h.Put(testRepo+"/home.nix", "-> one") },
		"dirty gone":    func(w *world) { _ = w.h.Remove(testRepo + "/home.nix") },
		"dirty more":    func(w *world) { w.repo.Dirty = append(w.repo.Dirty, "other.nix") },
		"clean":         func(w *world) { w.repo.Dirty = nil },
		"attribute":     func(w *world) { w.s.c.Configuration = "x" },
		"host":          func(w *world) { w.s.c.Host = "lap" },
		"alias":         func(w *world) { w.s.c.Aliases = map[string][]string{"x": {"desk"}} },
		"system":        func(w *world) { w.s.f.System = "aarch64-linux" },
		"Nix version": func(w *world) {
			newer := storePath('d', "nix-2.35.1")
			w.h.Put(newer+"/bin/nix", "nix")
			w.h.Put(theEnv+"/bin/nix", "-> "+newer+"/bin/nix")
		},
	} {
		w := fresh()
		change(w)
		if got := sum(w); got == first {
			t.Errorf("it does not change with: %s", name)
		}
	}
	for name, change := range map[string]func(w *world){
		"mtime": func(w *world) {
			w.h.Put(testRepo+"/home.nix", "one") // another inode, another time
		},
		"an untracked file": func(w *world) { w.repo.Untracked = []string{"notes.txt"} },
		"being offline":     func(w *world) { w.s.c.Offline = true },
		"a check":           func(w *world) { w.s.c.Verify = []Check{{Name: "x", Run: []string{"true"}}} },
	} {
		w := fresh()
		change(w)
		if got := sum(w); got != first {
			t.Errorf("it changes with: %s", name)
		}
	}
}

func TestTheFingerprintOfAPlainDirectoryIsItsContent(t *testing.T) {
	s := buildStep()
	h := buildHost(t, files{testRepo + "/lib/a.nix": "one"})
	h.OnRepo = func(string) (host.Repo, error) { return host.Repo{}, host.ErrNotRepo }
	first := s.fingerprint(t.Context(), h.View())
	h.Put(testRepo+"/lib/a.nix", "one")
	if again := s.fingerprint(t.Context(), h.View()); first == "" || again != first {
		t.Errorf("%q, and touched %q", first, again)
	}
	h.Put(testRepo+"/lib/a.nix", "two")
	if again := s.fingerprint(t.Context(), h.View()); again == first {
		t.Error("it does not change with the content")
	}
	h.Put(testRepo+"/lib/a.nix", "one")
	h.Put(testRepo+"/lib/b.nix", "")
	if again := s.fingerprint(t.Context(), h.View()); again == first {
		t.Error("it does not change with a new file")
	}
}

// metadataSays scripts "nix flake metadata" with this source.
func metadataSays(h *hosttest.Host, source string) {
	h.OnQuery(defaultProfile+"/bin/nix flake metadata --json "+buildFlake, hosttest.Says(`{"path": "`+source+`"}`))
}

func TestARepoThatCannotBeToldApartCheaplyIsToldApartByNix(t *testing.T) {
	for name, change := range map[string]func(r *host.Repo){
		"submodules":    func(r *host.Repo) { r.Submodules = true },
		"no commit":     func(r *host.Repo) { r.Commit = "" },
		"a lot changed": func(r *host.Repo) { r.Dirty = make([]string, host.MostDirty) },
	} {
		t.Run(name, func(t *testing.T) {
			h := building(t, buildHost(t, nil))
			h.OnRepo = func(string) (host.Repo, error) { r := cleanRepo(); change(&r); return r, nil }
			metadataSays(h, "/nix/store/one-source")
			converges(t, h, buildStep())
			metadataSays(h, "/nix/store/two-source")
			if planned(t, h, buildStep()) == "" {
				t.Error("a change is not seen")
			}
		})
	}
}

func TestInputsAreKeptFromTheGarbageCollector(t *testing.T) {
	h := building(t, buildHost(t, files{testRepo + "/flake.lock": `{"nodes": {"x": {"locked": {}}}}`}))
	in := storePath('i', "source")
	h.On(defaultProfile+"/bin/nix flake archive --json "+buildFlake, hosttest.Says(`{"path": "/nix/store/self", "inputs": {"nixpkgs": {"path": "`+in+`", "inputs": {"again": {"path": "`+in+`"}}}}}`))
	h.On(defaultProfile+"/bin/nix-store --realise "+in+" --add-root /home/ann/.local/state/movein/gcroots/input-nixpkgs --indirect", hosttest.Says(""))
	converges(t, h, buildStep())
}

func TestInputsThatCannotBeKeptAreOnlyAWarning(t *testing.T) {
	h := building(t, buildHost(t, files{testRepo + "/flake.lock": `{"nodes": {"x": {"locked": {}}}}`}))
	h.On(defaultProfile+"/bin/nix flake archive", hosttest.Fails(1, "error: unable to download"))
	converges(t, h, buildStep())
	if w := strings.Join(h.Warnings(), "\n"); !strings.Contains(w, "unable to download") {
		t.Errorf("warned %q", w)
	}
}

func TestABrokenMoveinTomlOfTheRepoStopsTheBuild(t *testing.T) {
	h := buildHost(t, files{testRepo + "/movein.toml": "configurations = \"x\"\n"})
	_, err := plan(t, h, buildStep())
	refuses(t, err, bootstrap.ExitConfig, testRepo+"/movein.toml:1:1", `"configurations"`)
}

func TestADirectoryIsNamedForNixAsWhatItIs(t *testing.T) {
	h := buildHost(t, nil)
	s := buildStep()
	s.c.HomeRepo = "/home/ann/my home#1"
	if got := s.flake(t.Context(), h.View()); got != "git+file:///home/ann/my%20home%231?shallow=1" {
		t.Errorf("a repository: %s", got)
	}
	h.OnRepo = func(string) (host.Repo, error) { return host.Repo{}, host.ErrNotRepo }
	if got := s.flake(t.Context(), h.View()); got != "path:/home/ann/my%20home%231" {
		t.Errorf("a directory: %s", got)
	}
}
