package steps

import (
	"errors"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"movein/bootstrap"
	"movein/bootstrap/host"
	"movein/bootstrap/host/hosttest"
	"movein/distro"
)

// wslFacts are those of Debian under WSL 2, with WSL's own init.
func wslFacts() *distro.Facts {
	f := testFacts()
	f.Platform, f.WSL, f.Init, f.Systemd = distro.WSL, 2, "wsl", false
	return f
}

// wslHost is a fresh one that has systemd installed.
func wslHost(t *testing.T, have files) *hosttest.Host {
	h := hosttest.New(t, with(files{"/usr/lib/systemd/systemd": "!0755 x"}, have))
	h.OnDaemon, h.Boot = silent, "boot-1.42"
	return h
}

// started is when the first process was, and the kernel: in 2100, or in 1970.
func started(after bool) files {
	btime := "0"
	if after {
		btime = "4102444800"
	}
	return files{"/proc/stat": "cpu  1 2 3\nbtime " + btime + "\nprocesses 1\n"}
}

const bootConf = "# mine\r\n[user]\r\ndefault=ann # me\r\n\r\n[Boot]\r\n# command=x\r\n[network]\r\nhostname = a\r\n"

func TestSystemdIsTurnedOnInWSLAndNothingElseOfItsFileChanges(t *testing.T) {
	h := wslHost(t, files{wslConf: "!0600 " + bootConf})
	s := wsl{wslFacts(), testConfig()}
	err := apply(t, h, s)
	var reboot bootstrap.Reboot
	if !errors.As(err, &reboot) || !strings.Contains(bootstrap.HintOf(err), "wsl.exe --shutdown") || bootstrap.ExitCode(err) != bootstrap.ExitReboot {
		t.Errorf("after the change: %v", err)
	}
	if got, want := h.Text(wslConf), strings.Replace(bootConf, "[Boot]\r\n", "[Boot]\r\nsystemd=true\r\n", 1); got != want {
		t.Errorf("wsl.conf: %q", got)
	}
	if info, _ := h.Lstat(wslConf); info.Mode() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	if tree := h.Tree(rootBackups); !strings.Contains(tree, wslConf) || !strings.Contains(tree, `[Boot]\r\n# command`) {
		t.Errorf("no copy of what was there:\n%s", tree)
	}
	s.f.Systemd, s.f.Init = true, "systemd"
	nothingToDo(t, h, s)
}

func TestWSLIsWaitedForUntilItWasStartedAgain(t *testing.T) {
	h := wslHost(t, with(started(false), files{wslConf: "[boot]\nsystemd = true\n"}))
	s := wsl{wslFacts(), testConfig()}
	before := h.Text(wslConf)
	if err := apply(t, h, s); bootstrap.ExitCode(err) != bootstrap.ExitReboot {
		t.Errorf("not waited for: %v", err)
	}
	if h.Text(wslConf) != before || h.Tree("/var/lib") != "" {
		t.Error("the file was written again")
	}
	for name, text := range started(true) { // an old WSL, that does not know the key
		h.Put(name, text)
	}
	skips(t, h, s)
	if len(h.Warnings()) != 1 || !strings.Contains(h.Warnings()[0], "wsl.exe --update") {
		t.Errorf("told %q", h.Warnings())
	}
}

func TestWSLStaysAsItIsWhereSystemdHasNoPlace(t *testing.T) {
	for name, spoil := range map[string]func(h *hosttest.Host, f *distro.Facts){
		"no WSL":               func(_ *hosttest.Host, f *distro.Facts) { f.Platform = distro.Generic },
		"NixOS-WSL":            func(_ *hosttest.Host, f *distro.Facts) { f.Platform = distro.NixOS },
		"systemd=false":        func(h *hosttest.Host, _ *distro.Facts) { h.Put(wslConf, "[boot]\nSystemd = False # as I like it\n") },
		"not installed":        func(h *hosttest.Host, _ *distro.Facts) { _ = h.Remove("/usr/lib/systemd") },
		"a daemon that works":  func(h *hosttest.Host, _ *distro.Facts) { h.OnDaemon = answering },
		"a Nix of ann's alone": func(h *hosttest.Host, _ *distro.Facts) { h.Put(nixStore+"/", ""); h.Owners["/nix"] = 1000 },
	} {
		t.Run(name, func(t *testing.T) {
			h, f := wslHost(t, nil), wslFacts()
			spoil(h, f)
			skips(t, h, wsl{f, testConfig()})
		})
	}
}

func TestAWSLConfThatSomethingElseWritesIsRefused(t *testing.T) {
	h := wslHost(t, files{wslConf: "-> /srv/wsl.conf", "/srv/wsl.conf": ""})
	refuses(t, apply(t, h, wsl{wslFacts(), testConfig()}), bootstrap.ExitRefused, wslConf, "/srv/wsl.conf", "systemd=true")
}

func TestIniKeysAreAddedWhereWSLFindsThem(t *testing.T) {
	for text, want := range map[string]string{
		"":                      "[boot]\nk=v\n",
		"a":                     "a\n\n[boot]\nk=v\n",
		"[boot]":                "[boot]\nk=v\n",
		"[ boot]\n[boot] # x\n": "[ boot]\n[boot] # x\nk=v\n",
		"[boot]\n[boot]\n":      "[boot]\nk=v\n[boot]\n",
		"[user]\r\nk=v\r\n":     "[user]\r\nk=v\r\n\r\n[boot]\r\nk=v\r\n",
	} {
		got := iniAdd(text, "boot", "k", "v")
		if got != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
		if value, found := iniValue(got, "BOOT", "K"); !found || value != "v" {
			t.Errorf("in %q is %q, %v", got, value, found)
		}
	}
	for text, want := range map[string]string{
		"[boot]\nk = a # b":     "a",
		"[boot]\nk=\"a # b\"\n": "a # b",
		"[boot]\nK=1\nk=2\n":    "1",
	} {
		if got, _ := iniValue(text, "boot", "k"); got != want {
			t.Errorf("%q has %q, want %q", text, got, want)
		}
	}
	for _, text := range []string{"k=1", "#[boot]\nk=1\n", "[boot]\n#k=1\n", "[boot]\n[user]\nk=1\n"} {
		if got, found := iniValue(text, "boot", "k"); found {
			t.Errorf("%q has %q", text, got)
		}
	}
}

// keeping is a host on which what is spawned answers.
func keeping(t *testing.T, h *hosttest.Host) *hosttest.Host {
	h.OnSpawn = func(c host.Cmd, log string) error {
		if want := []string{"/bin/sh", keeperFile, "keep"}; !slices.Equal(c.Args, want) || log != daemonLog {
			t.Errorf("spawning %q, log %s", c.Args, log)
		}
		h.OnDaemon = answering
		return nil
	}
	return h
}

func TestWithoutSystemdWSLStartsTheDaemonItself(t *testing.T) {
	conf := "[boot]\nsystemd=false\n"
	s := nixDaemon{wslFacts(), testConfig()}
	h := keeping(t, wslHost(t, with(nixFiles(), files{wslConf: conf})))
	converges(t, h, s)
	if got, want := h.Text(wslConf), "[boot]\ncommand=/bin/sh /var/lib/movein/nix-daemon\nsystemd=false\n"; got != want {
		t.Errorf("wsl.conf: %q", got)
	}
	if text := h.Text(keeperFile); !strings.Contains(text, defaultProfile+"/bin") || strings.Contains(text, "@") && !strings.Contains(text, `"$@"`) {
		t.Errorf("keeper:\n%s", text)
	}
	h.Forget()
	nothingToDo(t, h, s)
	survivesPowerCuts(t, func() *hosttest.Host { return keeping(t, wslHost(t, with(nixFiles(), files{wslConf: conf}))) }, s, func(h *hosttest.Host) {
		if value, _ := iniValue(h.Text(wslConf), "boot", "systemd"); value != "false" {
			t.Errorf("wsl.conf after a cut: %q", h.Text(wslConf))
		}
	})
}

func TestAnotherCommandOfWSLsStaysAndIsTold(t *testing.T) {
	conf := "[boot]\ncommand = service docker start\n"
	h := keeping(t, wslHost(t, with(nixFiles(), files{wslConf: conf})))
	converges(t, h, nixDaemon{wslFacts(), testConfig()})
	if h.Text(wslConf) != conf || !strings.Contains(strings.Join(h.Warnings(), "\n"), keeperCommand+"; service docker start") {
		t.Errorf("wsl.conf %q, told %q", h.Text(wslConf), h.Warnings())
	}
}

func TestUnderOpenRCTheDaemonIsAService(t *testing.T) {
	f := testFacts()
	f.Systemd, f.Init = false, "openrc"
	h := daemonHost(t, nil)
	h.On("rc-update add nix-daemon default", func(host.Cmd) (host.Result, error) {
		h.Put(openrcLink, "-> "+openrcScript)
		return host.Result{}, nil
	})
	h.On("rc-service nix-daemon restart", func(host.Cmd) (host.Result, error) {
		h.OnDaemon = answering
		return host.Result{}, nil
	})
	s := nixDaemon{f, testConfig()}
	converges(t, h, s)
	if info, err := h.Lstat(openrcScript); err != nil || info.Mode() != 0o755 || !strings.HasPrefix(h.Text(openrcScript), "#!/sbin/openrc-run\n") {
		t.Errorf("%v, %v", info, err)
	}
	nothingToDo(t, h, s)
	h.Put(openrcScript, "edited") // ours, and movein remembers that
	converges(t, h, s)
}

func TestAnOpenRCScriptOfTheDistributionsIsOnlyStarted(t *testing.T) {
	f := testFacts()
	f.Systemd, f.Init = false, "openrc"
	h := daemonHost(t, files{openrcScript: "theirs", openrcLink: "-> " + openrcScript})
	h.On("rc-service nix-daemon restart", func(host.Cmd) (host.Result, error) {
		h.OnDaemon = answering
		return host.Result{}, nil
	})
	converges(t, h, nixDaemon{f, testConfig()})
	if h.Text(openrcScript) != "theirs" {
		t.Error("it was overwritten")
	}
}

func TestADeniedWSLConfIsAnError(t *testing.T) {
	h := wslHost(t, files{wslConf: ""})
	h.Fail = denied("readfile", wslConf, fs.ErrPermission)
	if _, err := plan(t, h, wsl{wslFacts(), testConfig()}); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("%v", err)
	}
}
