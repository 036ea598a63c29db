package steps

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"movein/bootstrap"
	"movein/bootstrap/host"
	"movein/bootstrap/host/hosttest"
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

// collisions are all that may be where a generation wants its links, and the
// bytes in it, which must be somewhere afterwards.
var collisions = []struct {
	name  string
	files files
	keeps []string // what a listing of the home must show, whatever happens
}{
	{"a file", files{"/home/ann/.bashrc": "!0600 my bashrc\n"}, []string{`-rw------- `, `.bashrc "my bashrc\n"`}},
	{"a directory", files{"/home/ann/.bashrc/deep/file": "my file\n"}, []string{`.bashrc/deep/file "my file\n"`}},
	{"a foreign live link", files{"/home/ann/.bashrc": "-> dotfiles/bashrc", "/home/ann/dotfiles/bashrc": "my bashrc\n"}, []string{`.bashrc -> dotfiles/bashrc`, `dotfiles/bashrc "my bashrc\n"`}},
	{"a dangling link", files{"/home/ann/.bashrc": "-> /mnt/usb/bashrc"}, []string{`.bashrc -> /mnt/usb/bashrc`}},
	{"a file for a directory", files{"/home/ann/.config/a": "my a\n"}, []string{`a "my a\n"`}},
	{"below a foreign link", files{"/home/ann/.config/a": "-> ../dotfiles/a", "/home/ann/dotfiles/a/b": "my b\n"}, []string{`a -> ../dotfiles/a`, `b "my b\n"`}},
	{"several", files{"/home/ann/.bashrc": "my bashrc\n", "/home/ann/.config/a/b": "my b\n"}, []string{`.bashrc "my bashrc\n"`, `b "my b\n"`}},
}

// keepsAll fails the test unless the home still has all of the collision's bytes.
func keepsAll(t *testing.T, h *hosttest.Host, keeps []string) {
	t.Helper()
	tree := h.Tree("/home/ann")
	for _, want := range keeps {
		if !strings.Contains(tree, want) {
			t.Errorf("%s is lost:\n%s", want, tree)
		}
	}
}

func TestEveryCollisionKeepsTheUsersBytes(t *testing.T) {
	for _, c := range collisions {
		t.Run(c.name, func(t *testing.T) {
			h := activateHost(t, c.files)
			converges(t, h, activateStep())
			keepsAll(t, h, c.keeps)
			if h.Text("/home/ann/.bashrc") != "new bashrc\n" || h.Text("/home/ann/.config/a/b") != "new b\n" {
				t.Errorf("not activated:\n%s", h.Tree("/home/ann"))
			}
			if w := strings.Join(h.Warnings(), "\n"); !strings.Contains(w, activateStep().backups().Dir) {
				t.Errorf("nobody was told where they are: %q", w)
			}
		})
	}
}

// userTree is what the user sees of the home, without what movein and Nix keep below .local/state.
func userTree(h *hosttest.Host) string {
	var out []string
	for line := range strings.Lines(h.Tree("/home/ann")) {
		if !strings.Contains(line, "/home/ann/.local/state/movein/") {
			out = append(out, line)
		}
	}
	return strings.Join(out, "")
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
				before := h.Tree("/home/ann")
				err := apply(t, h, activateStep())
				refuses(t, err, bootstrap.ExitFailed, "a hook failed", "run the same command again")
				if after := withoutBackups(h); after != withoutEmpty(before) {
					t.Errorf("before:\n%s\nafter:\n%s", withoutEmpty(before), after)
				}
			})
		}
	}
}

// withoutBackups is the home without the directories, all empty, that are made on the way.
func withoutBackups(h *hosttest.Host) string { return withoutEmpty(h.Tree("/home/ann")) }

// withoutEmpty leaves out directories: what matters is in them.
func withoutEmpty(tree string) string {
	var out []string
	for line := range strings.Lines(tree) {
		if line[0] != 'd' {
			out = append(out, line)
		}
	}
	return strings.Join(out, "")
}

func TestAFailedActivationGivesThePreviousGenerationBack(t *testing.T) {
	h := activateHost(t, files{"/home/ann/.config/a/b": "my b\n"})
	hadOld(t, h)
	breaks(t, h, false)
	activation(t, h, oldGen, oldFiles, ".bashrc")
	err := apply(t, h, activateStep())
	refuses(t, err, bootstrap.ExitFailed, "a hook failed")
	set := "run " + defaultProfile + "/bin/nix-env --profile " + profiles + "/home-manager --set "
	inOrder(t, h.Log(),
		"rename /home/ann/.config/a/b -> ",
		"run "+theGen+"/activate", // dry
		set+theGen,
		"run "+theGen+"/activate",
		set+oldGen,
		"run "+oldGen+"/activate",
		"rename /home/ann/.local/state/movein/backups/",
	)
	if got := testConfig().activeGeneration(h); got != oldGen {
		t.Errorf("active: %s", got)
	}
	if h.Text("/home/ann/.bashrc") != "old bashrc\n" || h.Text("/home/ann/.config/a/b") != "my b\n" {
		t.Errorf("home:\n%s", userTree(h))
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
}

func TestAFailedRestoreIsTold(t *testing.T) {
	h := activateHost(t, files{"/home/ann/.config/a/b": "my b\n"})
	hadOld(t, h)
	breaks(t, h, false)
	h.On(oldGen+"/activate", hosttest.Fails(1, "the old one fails too"))
	err := apply(t, h, activateStep())
	if err == nil || !strings.Contains(err.Error(), "a hook failed") || !strings.Contains(err.Error(), "the old one fails too") {
		t.Errorf("error: %v", err)
	}
	keepsAll(t, h, []string{`b "my b\n"`})
}

func TestWhatCannotBeGivenBackIsNamed(t *testing.T) {
	h := activateHost(t, files{"/home/ann/.bashrc": "mine\n"})
	breaks(t, h, false)
	h.On(theGen+"/activate --driver-version 1", func(c host.Cmd) (host.Result, error) {
		if strings.Contains(strings.Join(c.Env, " "), "DRY_RUN") {
			return host.Result{}, nil
		}
		h.Put("/home/ann/.bashrc", "a hook wrote this\n")
		return hosttest.Fails(1, "a hook failed")(c)
	})
	err := apply(t, h, activateStep())
	if err == nil || !strings.Contains(err.Error(), activateStep().backups().Dir) || !strings.Contains(err.Error(), "/home/ann/.bashrc") {
		t.Errorf("where the user's file is now is not said: %v", err)
	}
	keepsAll(t, h, []string{`.bashrc "mine\n"`, `.bashrc "a hook wrote this\n"`})
}

func TestLinksIntoAnotherGenerationLeadThereAgainAfterAFailure(t *testing.T) {
	h := activateHost(t, files{"/home/ann/.bashrc": "-> " + oldFiles + "/.bashrc", currentHome: "-> " + oldGen})
	before := withoutBackups(h)
	breaks(t, h, false)
	if err := apply(t, h, activateStep()); err == nil {
		t.Error("no error")
	}
	if after := withoutBackups(h); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
}

func TestALinkThatAHookMadeIsNotRemoved(t *testing.T) {
	h := activateHost(t, nil)
	breaks(t, h, false)
	h.On(theGen+"/activate --driver-version 1", func(c host.Cmd) (host.Result, error) {
		if strings.Contains(strings.Join(c.Env, " "), "DRY_RUN") {
			return host.Result{}, nil
		}
		h.Put("/home/ann/.bashrc", "-> /srv/bashrc")
		return hosttest.Fails(1, "a hook failed")(c)
	})
	if err := apply(t, h, activateStep()); err == nil {
		t.Error("no error")
	}
	keepsAll(t, h, []string{".bashrc -> /srv/bashrc"})
}

func TestAGenerationThatWasActiveBeforeStaysWhenItsRepairFails(t *testing.T) {
	h := activateHost(t, nil)
	converges(t, h, activateStep())
	_ = h.Remove("/home/ann/.config/a/b")
	before := withoutBackups(h)
	breaks(t, h, true)
	if err := apply(t, h, activateStep()); err == nil {
		t.Error("no error")
	}
	if after := withoutBackups(h); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
}

func TestLinksThatWereThereBeforeStayWhenTheProfileIsLost(t *testing.T) {
	h := activateHost(t, nil)
	converges(t, h, activateStep())
	_ = h.Remove(profiles + "/home-manager")
	before := withoutBackups(h)
	h.On(defaultProfile+"/bin/nix-env --profile "+profiles+"/home-manager --switch-generation 1", func(host.Cmd) (host.Result, error) {
		h.Put(profiles+"/home-manager", "-> home-manager-1-link")
		return host.Result{}, nil
	})
	breaks(t, h, false)
	if err := apply(t, h, activateStep()); err == nil {
		t.Error("no error")
	}
	if after := withoutBackups(h); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
}

func TestNothingIsLostByAPowerCutAnywhere(t *testing.T) {
	for _, c := range collisions {
		t.Run(c.name, func(t *testing.T) {
			survivesPowerCuts(t, func() *hosttest.Host { return activateHost(t, c.files) }, activateStep(), func(h *hosttest.Host) {
				keepsAll(t, h, c.keeps)
			})
		})
	}
}

func TestNothingIsRemovedBeforeItsBackupIsThere(t *testing.T) {
	for _, c := range collisions {
		h := activateHost(t, c.files)
		if err := apply(t, h, activateStep()); err != nil {
			t.Fatal(err)
		}
		for _, line := range h.Log() {
			if strings.HasPrefix(line, "remove /home/ann") || strings.HasPrefix(line, "write /home/ann/.bashrc") {
				t.Errorf("%s: %s", c.name, line)
			}
		}
		inOrder(t, h.Log(), "rename /home/ann/", "run "+theGen+"/activate")
	}
}

func TestWhatCannotBeSetAsideStopsTheRun(t *testing.T) {
	h := activateHost(t, files{"/home/ann/.bashrc": "mine\n", "/home/ann/.config/a/b": "my b\n"})
	before := withoutBackups(h)
	h.Fail = func(op, name string) error {
		if op == "rename" && name == "/home/ann/.config/a/b" {
			return fmt.Errorf("invalid cross-device link")
		}
		return nil
	}
	h.Lax = true
	err := apply(t, h, activateStep())
	refuses(t, err, bootstrap.ExitRefused, "/home/ann/.config/a/b", "cross-device", "run the same command again")
	if after := withoutBackups(h); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
}

func TestActivatingWithoutABuildIsAnErrorWithANextCommand(t *testing.T) {
	h := buildHost(t, nil)
	refuses(t, apply(t, h, activateStep()), bootstrap.ExitFailed, "no generation is built", "movein apply")
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
