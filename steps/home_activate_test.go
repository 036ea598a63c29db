package steps

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"movein/bootstrap"
	"movein/bootstrap/host"
	"movein/bootstrap/host/hosttest"
	"movein/steps/home"
)

func activateStep() homeActivate { return homeActivate{testFacts(), testConfig()} }

const (
	profiles    = "/home/ann/.local/state/nix/profiles"
	currentHome = "/home/ann/.local/state/home-manager/gcroots/current-home"
	homeProfile = "/home/ann/.nix-profile"
)

// managed matches a link into a generation's files.
var managed = regexp.MustCompile(`^/nix/store/[0-9a-z]{32}-home-manager-(files|generation)/`)

var (
	oldGen   = storePath('f', "home-manager-generation")
	oldFiles = storePath('f', "home-manager-files")
)

// activation does to the files what a generation's script does: it refuses to
// replace what is no link into a generation, and makes the links.
func activation(t *testing.T, h *hosttest.Host, gen, tree string, files ...string) {
	h.On(gen+"/activate --driver-version 1", func(c host.Cmd) (host.Result, error) {
		for _, f := range files {
			name := "/home/ann/" + f
			if target, link := isLink(h, name); exists(h, name) && (!link || !managed.MatchString(target)) {
				return hosttest.Fails(1, "Existing file '"+name+"' would be clobbered")(c)
			}
		}
		if strings.Contains(strings.Join(c.Env, " "), "DRY_RUN") {
			return host.Result{}, nil
		}
		for _, f := range files {
			h.Put("/home/ann/"+f, "-> "+tree+"/"+f)
		}
		h.Put(currentHome, "-> "+gen)
		h.Put(homeProfile+"/manifest.nix", thePath)
		return host.Result{}, nil
	})
}

// profileSetter is nix-env --set: a new generation of the profile, and the link to it.
func profileSetter(t *testing.T, h *hosttest.Host) {
	n := 0
	h.On(defaultProfile+"/bin/nix-env --profile "+profiles+"/home-manager --set ", func(c host.Cmd) (host.Result, error) {
		n++
		link := fmt.Sprintf("home-manager-%d-link", n)
		h.Put(profiles+"/"+link, "-> "+c.Args[len(c.Args)-1])
		h.Put(profiles+"/home-manager", "-> "+link)
		return host.Result{}, nil
	})
}

// activateHost has a built generation that is not active. Its activation works.
func activateHost(t *testing.T, have files) *hosttest.Host {
	h := building(t, buildHost(t, nil))
	converges(t, h, buildStep())
	for name, text := range have {
		h.Put(name, text)
	}
	h.Forget()
	h.OnBundle = func(string, string, []string) (string, error) { return "", host.ErrNotRepo }
	profileSetter(t, h)
	activation(t, h, theGen, theFiles, ".bashrc", ".config/a/b")
	return h
}

// hadOld makes an older generation the active one.
func hadOld(t *testing.T, h *hosttest.Host) {
	h.Put(oldGen+"/activate", "!0755 … current-home")
	h.Put(oldGen+"/home-files", "-> "+oldFiles)
	h.Put(oldFiles+"/.bashrc", "old bashrc\n")
	h.Put(profiles+"/home-manager-7-link", "-> "+oldGen)
	h.Put(profiles+"/home-manager", "-> home-manager-7-link")
	h.Put(currentHome, "-> "+oldGen)
	h.Put("/home/ann/.bashrc", "-> "+oldFiles+"/.bashrc")
}

func TestAGenerationIsActivated(t *testing.T) {
	h := activateHost(t, nil)
	converges(t, h, activateStep())
	if h.Text("/home/ann/.bashrc") != "new bashrc\n" || h.Text("/home/ann/.config/a/b") != "new b\n" {
		t.Errorf("home:\n%s", h.Tree("/home/ann"))
	}
	inOrder(t, h.Calls(), "run "+theGen+"/activate", "run "+defaultProfile+"/bin/nix-env --profile "+profiles+"/home-manager --set "+theGen, "run "+theGen+"/activate")
	h.Forget()
	nothingToDo(t, h, activateStep())
}

func TestWhatIsNotAsTheGenerationHasItIsFound(t *testing.T) {
	for _, test := range []struct {
		name  string
		files files
		want  string
	}{
		{"a link is gone", files{"/home/ann/.bashrc": ""}, "create /home/ann/.bashrc"},
		{"a link into another generation", files{"/home/ann/.bashrc": "-> " + oldFiles + "/.bashrc"}, "update /home/ann/.bashrc"},
		{"an edited file", files{"/home/ann/.bashrc": "mine\n"}, "replace /home/ann/.bashrc"},
		{"a file with the same content", files{"/home/ann/.bashrc": "new bashrc\n"}, ""},
		{"the packages are gone", files{homeProfile + "/manifest.nix": "[ ]"}, "install " + theGen + "/home-path"},
		{"another generation in the profile", files{profiles + "/home-manager-9-link": "-> " + oldGen, profiles + "/home-manager": "-> home-manager-9-link"}, "activate " + theGen},
		{"not activated to its end", files{currentHome: "-> " + oldGen}, "activate " + theGen},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := activateHost(t, nil)
			converges(t, h, activateStep())
			for name, text := range test.files {
				if text == "" {
					_ = h.Remove(name)
				} else {
					h.Put(name, text)
				}
			}
			if got := planned(t, h, activateStep()); got != test.want {
				t.Errorf("planned %q, want %q", got, test.want)
			}
		})
	}
}

// collisions are all that may be where a generation wants its links: all of it must
// be somewhere afterwards.
var collisions = []struct {
	name  string
	files files
}{
	{"a file", files{"/home/ann/.bashrc": "!0600 my bashrc\n"}},
	{"a directory", files{"/home/ann/.bashrc/deep/file": "my file\n"}},
	{"a foreign live link", files{"/home/ann/.bashrc": "-> dotfiles/bashrc", "/home/ann/dotfiles/bashrc": "my bashrc\n"}},
	{"a dangling link", files{"/home/ann/.bashrc": "-> /mnt/usb/bashrc"}},
	{"a file for a directory", files{"/home/ann/.config/a": "my a\n"}},
	{"below a foreign link", files{"/home/ann/.config/a": "-> ../dotfiles/a", "/home/ann/dotfiles/a/b": "my b\n", "/home/ann/dotfiles/a/c": "my c\n"}},
	{"several", files{"/home/ann/.bashrc": "my bashrc\n", "/home/ann/.config/a/b": "my b\n"}},
}

// keepsAll fails the test unless each of the files is at its place or in a backup
// that counts, with its mode, its target and all its bytes.
func keepsAll(t *testing.T, h *hosttest.Host, had files) {
	t.Helper()
	for name, text := range had {
		if !isThere(t, h, name, text) && !isKept(t, h, name, text) {
			t.Errorf("%s is lost:\n%s", name, h.Tree("/home/ann"))
		}
	}
}

// asPut reads a file's text as hosttest.Put does.
func asPut(text string) (mode fs.FileMode, content, target string) {
	if target, ok := strings.CutPrefix(text, "-> "); ok {
		return 0, "", target
	}
	if rest, ok := strings.CutPrefix(text, "!0600 "); ok {
		return 0o600, rest, ""
	}
	return 0o644, text, ""
}

func isThere(t *testing.T, h *hosttest.Host, name, text string) bool {
	t.Helper()
	mode, content, target := asPut(text)
	if target != "" {
		now, _ := isLink(h, name)
		return now == target
	}
	info, err := h.Lstat(name)
	return err == nil && info.Mode() == mode && h.Text(name) == content
}

func isKept(t *testing.T, h *hosttest.Host, name, text string) bool {
	t.Helper()
	mode, content, target := asPut(text)
	runs, broken, err := activateStep().backups().List(h)
	if err != nil || len(broken) > 0 {
		t.Fatal(err, broken)
	}
	for _, r := range runs {
		for _, e := range r.Entries {
			switch {
			case "/home/ann/"+e.Name != name:
			case target != "" && e.Kind == host.KindLink && e.Target == target,
				target == "" && e.Kind == host.KindFile && e.Mode == mode && h.Text(filepath.Join(r.Dir, host.ObjectName(e.SHA256))) == content:
				return true
			}
		}
	}
	return false
}

func TestEveryCollisionKeepsTheUsersBytes(t *testing.T) {
	for _, c := range collisions {
		t.Run(c.name, func(t *testing.T) {
			h := activateHost(t, c.files)
			converges(t, h, activateStep())
			keepsAll(t, h, c.files)
			if h.Text("/home/ann/.bashrc") != "new bashrc\n" || h.Text("/home/ann/.config/a/b") != "new b\n" {
				t.Errorf("not activated:\n%s", h.Tree("/home/ann"))
			}
			if w := strings.Join(h.Warnings(), "\n"); !strings.Contains(w, activateStep().backups().Dir+"/2026") {
				t.Errorf("nobody was told where they are: %q", w)
			}
		})
	}
}

func TestTheBackupOfARunGivesTheHomeBackAsItWas(t *testing.T) {
	for _, c := range collisions {
		t.Run(c.name, func(t *testing.T) {
			h := activateHost(t, c.files)
			before := userTree(h)
			converges(t, h, activateStep())
			b := activateStep().backups()
			run, err := b.Open(h, home.Latest)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := b.RestoreTo(t.Context(), h, run, home.About{}); err != nil {
				t.Fatal(err)
			}
			after := strings.ReplaceAll(userTree(h), "-rw-r--r-- "+homeProfile+"/manifest.nix "+fmt.Sprintf("%q <nil>\n", thePath), "")
			if after = withoutLines(after, homeProfile, profiles, "/home/ann/.local/state"); after != withoutLines(before, "/home/ann/.local/state") {
				t.Errorf("before:\n%s\nafter:\n%s", before, after)
			}
		})
	}
}

// userTree is what the user sees of the home: all but what movein remembers, and but
// the directories that Nix and home-manager keep their links in.
func userTree(h *hosttest.Host) string {
	var out []string
	for line := range strings.Lines(h.Tree("/home/ann")) {
		name := strings.Fields(line)[1]
		if strings.HasPrefix(name, "/home/ann/.local/state/movein") || line[0] == 'd' && strings.HasPrefix(name, "/home/ann/.local/state") {
			continue
		}
		out = append(out, line)
	}
	return strings.Join(out, "")
}

// withoutLines leaves out what is at or below the names.
func withoutLines(tree string, names ...string) string {
	var out []string
	for line := range strings.Lines(tree) {
		if !isIn(strings.Fields(line)[1], names) {
			out = append(out, line)
		}
	}
	return strings.Join(out, "")
}

// same fails the test unless the home is as it was.
func same(t *testing.T, h *hosttest.Host, before string) {
	t.Helper()
	if after := userTree(h); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
	if record := activateStep().changer().Record; exists(h, record) {
		t.Errorf("there is still %s", record)
	}
}

// breaks makes the generation's activation fail: in the dry run, or after all is linked.
func breaks(t *testing.T, h *hosttest.Host, dry bool) {
	activation(t, h, theGen, theFiles, ".bashrc", ".config/a/b")
	h.Lax = true
	failing := hosttest.Fails(1, "a hook failed")
	h.On(theGen+"/activate --driver-version 1", func(c host.Cmd) (host.Result, error) {
		isDry := strings.Contains(strings.Join(c.Env, " "), "DRY_RUN")
		if isDry && !dry {
			return host.Result{}, nil
		}
		if !isDry {
			for _, f := range []string{".bashrc", ".config/a/b"} {
				h.Put("/home/ann/"+f, "-> "+theFiles+"/"+f)
			}
			h.Put(currentHome, "-> "+theGen)
		}
		return failing(c)
	})
}

func TestAFailedActivationGivesEverythingBack(t *testing.T) {
	for _, dry := range []bool{true, false} {
		for _, c := range collisions {
			t.Run(fmt.Sprintf("%s, dry run %v", c.name, dry), func(t *testing.T) {
				h := activateHost(t, c.files)
				breaks(t, h, dry)
				before := userTree(h)
				err := apply(t, h, activateStep())
				refuses(t, err, bootstrap.ExitFailed, "a hook failed", "run the same command again")
				same(t, h, before)
			})
		}
	}
}

func TestAFailedActivationGivesThePreviousGenerationBack(t *testing.T) {
	h := activateHost(t, files{"/home/ann/.config/a/b": "my b\n"})
	hadOld(t, h)
	breaks(t, h, false)
	activation(t, h, oldGen, oldFiles, ".bashrc")
	err := apply(t, h, activateStep())
	refuses(t, err, bootstrap.ExitFailed, "a hook failed")
	inOrder(t, h.Log(),
		"keep /home/ann/.config/a/b",
		"rename /home/ann/.local/state/movein/backups/.new-",
		"write /home/ann/.local/state/movein/change.json",
		"takeaway /home/ann/.config/a/b",
		"run "+theGen+"/activate", // dry
		"run "+defaultProfile+"/bin/nix-env --profile "+profiles+"/home-manager --set "+theGen,
		"run "+theGen+"/activate",
		"write /home/ann/.local/state/movein/change.json",
		"putback /home/ann/.config/a/b",
		"symlink "+profiles+"/home-manager -> home-manager-7-link",
		"run "+oldGen+"/activate",
		"remove /home/ann/.local/state/movein/change.json",
	)
	if got := testConfig().activeGeneration(h); got != oldGen {
		t.Errorf("active: %s", got)
	}
	if h.Text("/home/ann/.bashrc") != "old bashrc\n" || h.Text("/home/ann/.config/a/b") != "my b\n" {
		t.Errorf("home:\n%s", userTree(h))
	}
	if exists(h, profiles+"/home-manager-1-link") {
		t.Error("the generation of the failed activation stays in the profile")
	}
}

func TestAFailedDryRunDoesNotTouchTheProfile(t *testing.T) {
	h := activateHost(t, nil)
	hadOld(t, h)
	breaks(t, h, true)
	activation(t, h, oldGen, oldFiles, ".bashrc")
	if err := apply(t, h, activateStep()); err == nil {
		t.Error("no error")
	}
	if got, _ := isLink(h, profiles+"/home-manager"); got != "home-manager-7-link" {
		t.Errorf("the profile leads to %s", got)
	}
	if calls := strings.Join(h.Calls(), "\n"); strings.Contains(calls, oldGen) || strings.Contains(calls, "--set") {
		t.Errorf("more than a dry run was done, or undone:\n%s", calls)
	}
}

func TestAnOldGenerationThatCannotBeActivatedAgainIsTold(t *testing.T) {
	h := activateHost(t, files{"/home/ann/.config/a/b": "my b\n"})
	hadOld(t, h)
	before := userTree(h)
	breaks(t, h, false)
	h.On(oldGen+"/activate", hosttest.Fails(1, "the old one fails too"))
	refuses(t, apply(t, h, activateStep()), bootstrap.ExitFailed, "a hook failed")
	same(t, h, before)
	if w := strings.Join(h.Warnings(), "\n"); !strings.Contains(w, "the old one fails too") || !strings.Contains(w, oldGen+"/activate") {
		t.Errorf("warnings: %q", w)
	}
}

func TestAFailedRestoreIsToldAndMadeGoodByTheNextRun(t *testing.T) {
	had := files{"/home/ann/.config/a/b": "my b\n"}
	h := activateHost(t, had)
	hadOld(t, h)
	breaks(t, h, false)
	h.Fail = denied("putback", "/home/ann/.config/a/b", syscall.EIO)
	before := userTree(h)
	refuses(t, apply(t, h, activateStep()), bootstrap.ExitFailed, "a hook failed", "giving back what was there", "not all is as it was", activateStep().backups().Dir)
	keepsAll(t, h, had)
	if got := planned(t, h, activateStep()); !strings.HasPrefix(got, "finish ") {
		t.Errorf("planned: %s", got)
	}
	h.Fail = nil
	h.On(oldGen+"/activate --driver-version 1", hosttest.Says(""))
	refuses(t, apply(t, h, activateStep()), bootstrap.ExitFailed, "a hook failed") // once more
	same(t, h, before)
	activation(t, h, theGen, theFiles, ".bashrc", ".config/a/b")
	converges(t, h, activateStep())
	keepsAll(t, h, had)
}

func TestTakingBackThatWasCutShortIsFinishedFirst(t *testing.T) {
	h := activateHost(t, files{"/home/ann/.config/a/b": "my b\n"})
	hadOld(t, h)
	breaks(t, h, false)
	h.Fail = denied("putback", "/home/ann/.config/a/b", syscall.EIO)
	if err := apply(t, h, activateStep()); err == nil {
		t.Error("no error")
	}
	h.Fail = nil
	h.Forget()
	h.On(oldGen+"/activate --driver-version 1", hosttest.Says(""))
	activation(t, h, theGen, theFiles, ".bashrc", ".config/a/b")
	converges(t, h, activateStep())
	inOrder(t, h.Log(), "putback /home/ann/.config/a/b", "run "+oldGen+"/activate", "remove /home/ann/.local/state/movein/change.json", "takeaway /home/ann/.config/a/b", "run "+theGen+"/activate")
}

func TestWhatAHookWroteIsNotLostByTakingBack(t *testing.T) {
	for _, had := range []files{{"/home/ann/.bashrc": "mine\n"}, {}} {
		for _, wrote := range []string{"a hook wrote this\n", "-> /srv/bashrc"} {
			h := activateHost(t, had)
			before := userTree(h)
			h.On(theGen+"/activate --driver-version 1", func(c host.Cmd) (host.Result, error) {
				if strings.Contains(strings.Join(c.Env, " "), "DRY_RUN") {
					return host.Result{}, nil
				}
				h.Put("/home/ann/.bashrc", wrote)
				return hosttest.Fails(1, "a hook failed")(c)
			})
			refuses(t, apply(t, h, activateStep()), bootstrap.ExitFailed, "a hook failed")
			same(t, h, before)
			keepsAll(t, h, had)
			if !isKept(t, h, "/home/ann/.bashrc", wrote) {
				t.Errorf("%q is lost:\n%s", wrote, h.Tree("/home/ann"))
			}
		}
	}
}

func TestLinksIntoAnotherGenerationLeadThereAgainAfterAFailure(t *testing.T) {
	h := activateHost(t, files{"/home/ann/.bashrc": "-> " + oldFiles + "/.bashrc", currentHome: "-> " + oldGen})
	before := userTree(h)
	breaks(t, h, false)
	if err := apply(t, h, activateStep()); err == nil {
		t.Error("no error")
	}
	same(t, h, before)
}

func TestAGenerationThatWasActiveBeforeStaysWhenItsRepairFails(t *testing.T) {
	h := activateHost(t, nil)
	converges(t, h, activateStep())
	_ = h.Remove("/home/ann/.config/a/b")
	before := userTree(h)
	breaks(t, h, true)
	if err := apply(t, h, activateStep()); err == nil {
		t.Error("no error")
	}
	same(t, h, before)
}

func TestLinksThatWereThereBeforeStayWhenTheProfileIsLost(t *testing.T) {
	h := activateHost(t, nil)
	converges(t, h, activateStep())
	_ = h.Remove(profiles + "/home-manager")
	before := userTree(h)
	h.On(defaultProfile+"/bin/nix-env --profile "+profiles+"/home-manager --switch-generation 1", func(host.Cmd) (host.Result, error) {
		h.Put(profiles+"/home-manager", "-> home-manager-1-link")
		return host.Result{}, nil
	})
	breaks(t, h, false)
	if err := apply(t, h, activateStep()); err == nil {
		t.Error("no error")
	}
	same(t, h, before)
}

func TestNothingIsLostByAPowerCutAnywhere(t *testing.T) {
	for _, c := range collisions {
		t.Run(c.name, func(t *testing.T) {
			survivesPowerCuts(t, func() *hosttest.Host { return activateHost(t, c.files) }, activateStep(), func(h *hosttest.Host) {
				keepsAll(t, h, c.files)
			})
		})
	}
}

func TestNothingIsChangedBeforeItsBackupIsSealed(t *testing.T) {
	const state = "/home/ann/.local/state/movein/"
	for _, c := range collisions {
		h := activateHost(t, c.files)
		if err := apply(t, h, activateStep()); err != nil {
			t.Fatal(err)
		}
		inOrder(t, h.Log(), "keep /home/ann", "rename "+state+"backups/.new-", "write "+state+"change.json", "takeaway /home/ann/",
			"run "+theGen+"/activate", "write "+state+"change.json", "run "+theGen+"/activate", "remove "+state+"change.json")
		sealed := false
		for i, line := range h.Log() {
			sealed = sealed || strings.HasPrefix(line, "rename "+state+"backups/.new-")
			verb, name, _ := strings.Cut(line, " ")
			switch {
			case verb == "keep", verb == "bundle", verb == "query", strings.HasPrefix(name, state+"backups/"):
			case !sealed:
				t.Errorf("%s: before the backup is sealed: %s", c.name, line)
			case verb == "remove" && (name != state+"change.json" || i != len(h.Log())-1), verb == "write" && name != state+"change.json":
				t.Errorf("%s: %s", c.name, line)
			}
		}
	}
}

func TestARunThatCannotMakeItsBackupChangesNothing(t *testing.T) {
	for name, fail := range map[string]func(h *hosttest.Host){
		"unreadable": func(h *hosttest.Host) { h.Fail = denied("keep", "/home/ann/.config/a/b", syscall.EACCES) },
		"damaged":    func(h *hosttest.Host) { h.Fail = denied("keep", "/home/ann/.config/a/b", syscall.EIO) },
		"no space":   func(h *hosttest.Host) { h.Space = 1 << 20 },
		"no space for the manifest": func(h *hosttest.Host) {
			h.Fail = func(op, name string) error {
				if op == "write" && strings.HasSuffix(name, "manifest.json") {
					return syscall.ENOSPC
				}
				return nil
			}
		},
		"not sealed": func(h *hosttest.Host) {
			h.Fail = func(op, name string) error {
				if op == "rename" && strings.Contains(name, "/.new-") {
					return syscall.EIO
				}
				return nil
			}
		},
		"no space for the commits": func(h *hosttest.Host) {
			h.OnBundle = func(string, string, []string) (string, error) { return "", syscall.ENOSPC }
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := activateHost(t, files{"/home/ann/.bashrc": "mine\n", "/home/ann/.config/a/b": "my b\n"})
			h.Lax = true
			before := h.Tree("/home/ann")
			fail(h)
			code := bootstrap.ExitRefused
			if name == "no space for the commits" {
				code = bootstrap.ExitFailed
			}
			refuses(t, apply(t, h, activateStep()), code)
			h.Fail = nil
			if after := h.Tree("/home/ann"); strings.ReplaceAll(after, "drwx------ "+activateStep().backups().Dir+"\n", "") != before {
				t.Errorf("before:\n%s\nafter:\n%s", before, after)
			}
			if len(h.Calls()) > 0 {
				t.Errorf("it ran %q", h.Calls())
			}
		})
	}
}

func TestActivatingWithoutABuildIsAnErrorWithANextCommand(t *testing.T) {
	h := buildHost(t, nil)
	refuses(t, activateStep().Apply(t.Context(), h, nil), bootstrap.ExitFailed, "no generation is built", "movein apply")
}

func TestTheOlderPlaceOfProfilesIsUsedWhereNixDoes(t *testing.T) {
	h := hosttest.New(t, files{"/nix/var/nix/profiles/per-user/ann/": ""})
	if got := testConfig().profile(h); got != "/nix/var/nix/profiles/per-user/ann/home-manager" {
		t.Error(got)
	}
	h.Put(profiles+"/", "")
	if got := testConfig().profile(h); filepath.Dir(got) != profiles {
		t.Error(got)
	}
}

// The links of a generation that a run was killed at, and that is wanted no more.
func TestWhatAKilledRunLinkedAndNobodyWantsGoes(t *testing.T) {
	h := activateHost(t, nil)
	h.Put(oldGen+"/home-files", "-> "+oldFiles)
	h.Put(oldFiles+"/.extra", "1")
	h.Put("/home/ann/.extra", "-> "+oldFiles+"/.extra")
	h.Put(activateStep().changer().Record, fmt.Sprintf(`{"version":1,"runs":["x"],"wanted":%q}`, oldGen))
	if got := planned(t, h, activateStep()); !strings.Contains(got, "delete /home/ann/.extra") {
		t.Errorf("planned %s", got)
	}
	converges(t, h, activateStep())
	if exists(h, "/home/ann/.extra") {
		t.Error("it is still there")
	}
}

// home-manager removes a directory that is empty for a moment, and makes it anew.
func TestADirectoryThatIsMadeAnewIsAsPrivateAsItWas(t *testing.T) {
	for _, broken := range []bool{false, true} {
		h := activateHost(t, files{"/home/ann/.config/a/b": "-> " + oldFiles + "/.config/a/b"})
		if err := h.Own("/home/ann/.config/a", -1, -1, 0o700); err != nil {
			t.Fatal(err)
		}
		before := userTree(h)
		h.On(theGen+"/activate --driver-version 1", func(c host.Cmd) (host.Result, error) {
			if strings.Contains(strings.Join(c.Env, " "), "DRY_RUN") {
				return host.Result{}, nil
			}
			_ = h.Remove("/home/ann/.config/a")
			h.Put("/home/ann/.config/a/b", "-> "+theFiles+"/.config/a/b")
			h.Put("/home/ann/.bashrc", "-> "+theFiles+"/.bashrc")
			h.Put(currentHome, "-> "+theGen)
			if broken {
				return hosttest.Fails(1, "a hook failed")(c)
			}
			h.Put(homeProfile+"/manifest.nix", thePath)
			return host.Result{}, nil
		})
		if broken {
			refuses(t, apply(t, h, activateStep()), bootstrap.ExitFailed, "a hook failed")
			same(t, h, before)
			continue
		}
		converges(t, h, activateStep())
		if info, err := h.Lstat("/home/ann/.config/a"); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%v, %v", info.Mode(), err)
		}
	}
}
