package steps

import (
	"os"
	"strings"
	"testing"

	"movein/bootstrap/host"
	"movein/bootstrap/host/hosttest"
	"movein/distro"
)

const (
	config      = "/home/ann/.config/"
	environment = config + unitsFile
)

// sessionOf is the step, on ann's host with Plasma.
func sessionOf(t *testing.T, have files) (*hosttest.Host, session) {
	h := activeHost(t)
	for name, text := range with(files{"/usr/bin/plasmashell": "!0755 x"}, have) {
		h.Put(name, text)
	}
	return h, session{testFacts(), testConfig()}
}

func TestUnitsAndDesktopFindWhatNixHas(t *testing.T) {
	h, s := sessionOf(t, files{localeArchive: "x"})
	converges(t, h, s)
	const path = "PATH=$HOME/.nix-profile/bin:/nix/var/nix/profiles/default/bin:${PATH:-/usr/local/bin:/usr/bin:/bin}\n"
	const dirs = "XDG_DATA_DIRS=$HOME/.nix-profile/share:/nix/var/nix/profiles/default/share:${XDG_DATA_DIRS:-/usr/local/share:/usr/share}\n"
	const locale = "LOCALE_ARCHIVE=/usr/lib/locale/locale-archive\n"
	if got := h.Text(environment); !strings.HasSuffix(got, ".\n"+path+dirs+locale) {
		t.Errorf("for units:\n%s", got)
	}
	if got := h.Text(config + plasmaFile); !strings.HasSuffix(got, ".\nexport "+path+"export "+dirs+"export "+locale) {
		t.Errorf("for Plasma:\n%s", got)
	}
	res, err := (&host.Real{Env: []string{"PATH=/usr/bin:/bin", "HOME=/h"}}).Query(t.Context(), &host.Cmd{Args: []string{"sh", "-uc", h.Text(config+plasmaFile) + "echo $PATH $XDG_DATA_DIRS $LOCALE_ARCHIVE"}})
	if err != nil || !strings.HasPrefix(string(res.Stdout), "/h/.nix-profile/bin:/nix/var/nix/profiles/default/bin:/usr/bin:/bin /h/.nix-profile/share:") {
		t.Errorf("a shell makes of it %q, %v", res.Stdout, err)
	}
	nothingToDo(t, h, s)
	h.Put(environment, "# "+sessionMark+"\nPATH=/mine\n")
	converges(t, h, s)
	if kept := h.Tree(s.c.State() + "/session"); !strings.Contains(kept, "PATH=/mine") {
		t.Errorf("an edit is lost:\n%s", kept)
	}
}

func TestTheSessionWritesNothingThatIsAnothers(t *testing.T) {
	for name, have := range map[string]files{
		"the user's":            {environment: "PATH=/mine\n"},
		"a link":                {environment: "-> /srv/mine"},
		"below a link":          {config + "environment.d": "-> /home/ann/dotfiles/env", "/home/ann/dotfiles/env/": ""},
		"the generation's":      {theGen + "/home-files/.config/" + unitsFile: "x"},
		"all in home-manager's": {config + "environment.d/10-home-manager.conf": "PATH=a\nXDG_DATA_DIRS=b\n"},
	} {
		t.Run(name, func(t *testing.T) {
			h, s := sessionOf(t, have)
			before := h.Tree(config+"environment.d", "/home/ann/dotfiles")
			if err := apply(t, h, s); err != nil {
				t.Fatal(err)
			}
			if after := h.Tree(config+"environment.d", "/home/ann/dotfiles"); after != before {
				t.Errorf("before:\n%s\nafter:\n%s", before, after)
			}
		})
	}
}

func TestWhereThereIsNoDesktopAndNoSystemdThereAreNoFilesForThem(t *testing.T) {
	h, s := sessionOf(t, nil)
	_ = h.Remove("/usr/bin/plasmashell")
	s.f.Systemd = false
	nothingToDo(t, h, s)
}

func TestARunningSystemdOfTheUsersLearnsOfIt(t *testing.T) {
	h, s := sessionOf(t, files{"/run/user/1000/systemd/": "", "/run/user/1000/bus": ""})
	h.On("systemctl --user daemon-reload", func(c host.Cmd) (host.Result, error) {
		if got := strings.Join(c.Env, " "); got != "XDG_RUNTIME_DIR=/run/user/1000 DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/1000/bus" {
			t.Errorf("environment %s", got)
		}
		return host.Result{}, nil
	})
	converges(t, h, s)
	if told := strings.Join(h.Warnings(), "\n"); !strings.Contains(told, "log in again") {
		t.Errorf("told %q", told)
	}
}

func TestTheGenerationsFontsAreFound(t *testing.T) {
	h, s := sessionOf(t, files{theGen + "/home-path/share/fonts/x.ttf": "x"})
	converges(t, h, s)
	if text := h.Text(config + fontsFile); !strings.Contains(text, "<dir>/home/ann/.nix-profile/share/fonts</dir>") {
		t.Errorf("%s", text)
	}
	_ = h.Remove(config + fontsFile)
	h.Put(config+"fontconfig/conf.d/10-hm-fonts.conf", "<dir>/home/ann/.nix-profile/share/fonts</dir>")
	nothingToDo(t, h, s)
}

func TestTheMenuOfProgramsIsMadeAnewWhenItIsOlderThanTheProfile(t *testing.T) {
	h, s := sessionOf(t, files{"/usr/bin/kbuildsycoca6": "!0755 x", theGen + "/home-path/share/applications/x.desktop": "x"})
	if err := apply(t, h, s); err != nil { // there is no cache: Plasma has not been started yet
		t.Fatal(err)
	}
	nothingToDo(t, h, s)
	cache := "/home/ann/.cache/ksycoca6_en"
	h.Put(cache, "old")
	target, _ := h.Readlink(s.c.profile(h))
	for !s.menuStale(h, generation{s.c, theGen}) { // clocks of file systems are coarse
		h.Put(s.c.profile(h), "-> "+target)
	}
	h.On("kbuildsycoca6 --noincremental", func(c host.Cmd) (host.Result, error) {
		if got := strings.Join(c.Env, " "); !strings.HasPrefix(got, "XDG_MENU_PREFIX=plasma- XDG_DATA_DIRS=/home/ann/.nix-profile/share:") {
			t.Errorf("environment %s", got)
		}
		h.Put(cache, "new")
		return host.Result{}, nil
	})
	converges(t, h, s)
}

func TestOnNixOSOnlyFlakesAreTurnedOnAndOnlyIfTheyAreNot(t *testing.T) {
	h, s := sessionOf(t, files{nixConf: "experimental-features = nix-command\n"})
	s.f.Platform = distro.NixOS
	converges(t, h, s)
	if got := h.Text(config + "nix/nix.conf"); got != flakesLine+"\n" {
		t.Errorf("%q", got)
	}
	h.Put(config+"nix/nix.conf", "!0600 access-tokens = x")
	converges(t, h, s)
	if got := h.Text(config + "nix/nix.conf"); got != "access-tokens = x\n"+flakesLine+"\n" {
		t.Errorf("%q", got)
	}
	if info, _ := h.Lstat(config + "nix/nix.conf"); info.Mode() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	for name, text := range (files{nixConf: "experimental-features = nix-command flakes\n", config + "nix/nix.conf": "-> /nix/store/x"}) {
		h, s := sessionOf(t, files{nixConf: "", name: text})
		s.f.Platform = distro.NixOS
		nothingToDo(t, h, s)
	}
}

func TestTheSessionSurvivesAPowerCutAnywhere(t *testing.T) {
	_, s := sessionOf(t, nil)
	survivesPowerCuts(t, func() *hosttest.Host {
		h, _ := sessionOf(t, files{theGen + "/home-path/share/fonts/x.ttf": "x"})
		return h
	}, s, nil)
}

var wants = theFiles + "/.config/systemd/user/default.target.wants/sync.service"

func TestUnitsRunWithoutALoginIfOneIsToAndThatIsRemembered(t *testing.T) {
	s := sessionHost{testFacts(), testConfig()}
	h := activeHost(t)
	nothingToDo(t, h, s) // no unit needs it
	h.Put(wants, "x")
	h.On("loginctl enable-linger ann", func(host.Cmd) (host.Result, error) {
		if !exists(h, lingerRecord+"/ann") {
			t.Error("it is not remembered that movein does it")
		}
		h.Put(lingerDir+"/ann", "")
		return host.Result{}, nil
	})
	converges(t, h, s)
	nothingToDo(t, h, s)
	_ = h.Remove("/var/lib/movein") // it was the user who did it
	nothingToDo(t, h, s)
}

func TestWithoutRootLingeringIsOnlyTold(t *testing.T) {
	s := sessionHost{testFacts(), testConfig()}
	s.c.NoRoot = true
	h := activeHost(t)
	h.Put(wants, "x")
	nothingToDo(t, h, s)
	if told := strings.Join(h.Warnings(), "\n"); !strings.Contains(told, "loginctl enable-linger ann") {
		t.Errorf("told %q", told)
	}
}

func TestGraphicsDriversAreSetUpOnlyIfAskedFor(t *testing.T) {
	s := sessionHost{testFacts(), testConfig()}
	h := activeHost(t)
	drivers := storePath('d', "non-nixos-gpu")
	h.Put(theGen+"/home-path/bin/non-nixos-gpu-setup", "!0755 x")
	h.Put(theGen+"/activate", "existing=x\nnew="+drivers+"\n")
	nothingToDo(t, h, s)
	s.c.GPUSetup = true
	h.On(theGen+"/home-path/bin/non-nixos-gpu-setup", func(host.Cmd) (host.Result, error) {
		h.Put(driversLink, "-> "+drivers)
		return host.Result{}, nil
	})
	converges(t, h, s)
	nothingToDo(t, h, s)
}

func TestTheHostOfASessionIsLeftAloneWhereThereIsNothingToDo(t *testing.T) {
	for _, spoil := range []func(f *distro.Facts){func(f *distro.Facts) { f.Platform = distro.NixOS }, func(f *distro.Facts) { f.Systemd = false }} {
		h, f := activeHost(t), testFacts()
		h.Put(wants, "x")
		spoil(f)
		skips(t, h, sessionHost{f, testConfig()})
	}
}

func TestLoginShellsFindNixWhateverTheyHaveAlready(t *testing.T) {
	home := t.TempDir()
	if err := os.MkdirAll(home+"/.nix-profile/bin", 0o755); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/usr/bin:/bin", home + "/.nix-profile/bin:/usr/bin:/bin"} {
		for _, shell := range []string{"sh", "bash"} {
			res, err := (&host.Real{Env: []string{"PATH=" + path, "HOME=" + home, "__ETC_PROFILE_NIX_SOURCED=1"}}).Query(t.Context(),
				&host.Cmd{Args: []string{shell, "-ec", strings.ReplaceAll(profileHookText, defaultProfile, home+"/none") + "echo $PATH $XDG_DATA_DIRS"}})
			want := home + "/.nix-profile/bin:/usr/bin:/bin " + home + "/.nix-profile/share:" + home + "/none/share:/usr/local/share:/usr/share\n"
			if err != nil || string(res.Stdout) != want {
				t.Errorf("%s: %q, %v", shell, res.Stdout, err)
			}
		}
	}
}
