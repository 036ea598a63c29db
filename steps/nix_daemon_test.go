package steps

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"movein/bootstrap"
	"movein/bootstrap/host"
	"movein/bootstrap/host/hosttest"
	"movein/embed"
)

func daemonStep() nixDaemon { return nixDaemon{testFacts(), testConfig()} }

const (
	socketFile = unitDir + "/" + socketUnit
	daemonFile = unitDir + "/" + daemonUnit
)

// daemonHost has a healthy Nix and a systemd whose daemon answers once its socket was started.
func daemonHost(t *testing.T, have files) *hosttest.Host {
	h := hosttest.New(t, with(nixFiles(), have))
	h.OnDaemon = silent
	return h
}

func systemd(h *hosttest.Host) *hosttest.Host {
	for _, verb := range []string{"daemon-reload", "stop", "reset-failed"} {
		h.On("systemctl "+verb, hosttest.Says(""))
	}
	enabling(h)
	h.On("systemctl start "+socketUnit, func(host.Cmd) (host.Result, error) {
		h.OnDaemon = answering
		return host.Result{}, nil
	})
	return h
}

// enabling makes a systemd in which something is in the way of starting the socket at once.
func enabling(h *hosttest.Host) {
	h.On("systemctl enable --quiet ", func(c host.Cmd) (host.Result, error) {
		if slices.Contains(c.Args, "--now") {
			return hosttest.Fails(1, "Socket service nix-daemon.service already active, refusing.")(c)
		}
		h.Put(unitDir+"/sockets.target.wants/"+socketUnit, "-> ../"+socketUnit)
		return host.Result{}, nil
	})
}

// unitFiles are ours, enabled.
func unitFiles() files {
	return files{
		socketFile: embed.Unit(socketUnit),
		daemonFile: strings.ReplaceAll(embed.Unit(daemonUnit), "@nix-daemon@", defaultProfile+"/bin/nix-daemon"),
		unitDir + "/sockets.target.wants/" + socketUnit: "-> ../" + socketUnit,
	}
}

func TestADaemonThatTakesItsTimeToStartIsWaitedFor(t *testing.T) {
	h := systemd(daemonHost(t, nil))
	h.On("systemctl start "+socketUnit, func(host.Cmd) (host.Result, error) {
		slow := 5
		h.OnDaemon = func(socket string, paths []string) (host.Daemon, error) {
			if slow--; slow > 0 {
				return host.Daemon{}, fmt.Errorf("saying hello: %w", os.ErrDeadlineExceeded)
			}
			return answering(socket, paths)
		}
		return host.Result{}, nil
	})
	converges(t, h, daemonStep())
}

func TestUnitsAreRealFilesThatAreEnabledAndStarted(t *testing.T) {
	h := daemonHost(t, nil)
	h.On("systemctl enable --quiet --now "+socketUnit, func(host.Cmd) (host.Result, error) {
		h.Put(unitDir+"/sockets.target.wants/"+socketUnit, "-> ../"+socketUnit)
		h.OnDaemon = answering
		return host.Result{}, nil
	})
	converges(t, h, daemonStep())
	if h.Tree(socketFile, daemonFile) == "" || strings.Contains(h.Tree(socketFile, daemonFile), " -> ") {
		t.Errorf("units:\n%s", h.Tree(unitDir))
	}
	if text := h.Text(daemonFile); !strings.Contains(text, "ExecStart=@"+defaultProfile+"/bin/nix-daemon nix-daemon --daemon\n") {
		t.Errorf("service:\n%s", text)
	}
	h.Forget()
	nothingToDo(t, h, daemonStep())
}

func TestADaemonInTheWayOfTheSocketIsStoppedFirst(t *testing.T) {
	h := systemd(daemonHost(t, nil))
	converges(t, h, daemonStep())
	inOrder(t, h.Calls(), "run systemctl daemon-reload", "run systemctl enable", "run systemctl stop", "run systemctl start")
}

func TestUnitsOfOursThatAnswerAreNotTouched(t *testing.T) {
	h := daemonHost(t, unitFiles())
	h.OnDaemon = answering
	nothingToDo(t, h, daemonStep())
}

func TestOurUnitsThatDoNotAnswerAreStarted(t *testing.T) {
	h := systemd(daemonHost(t, unitFiles()))
	if got, want := planned(t, h, daemonStep()), "start "+socketUnit; got != want {
		t.Errorf("planned %q, want %q", got, want)
	}
	h.On("systemctl reset-failed", hosttest.Fails(1, "not loaded")) // says nothing
	converges(t, h, daemonStep())
}

func TestADaemonThatAnswersIsNotStopped(t *testing.T) {
	h := daemonHost(t, unitFiles())
	h.OnDaemon = answering
	h.On("systemctl daemon-reload", hosttest.Says(""))
	h.On("systemctl enable", hosttest.Says(""))
	if err := daemonStep().Apply(context.Background(), h, nil); err != nil {
		t.Error(err)
	}
}

func TestADaemonThatCannotBeStartedIsAnErrorWithANextCommand(t *testing.T) {
	h := daemonHost(t, unitFiles())
	h.On("systemctl", func(c host.Cmd) (host.Result, error) {
		if c.Args[1] == "start" {
			return hosttest.Fails(1, "Job for nix-daemon.socket failed")(c)
		}
		return host.Result{}, nil
	})
	refuses(t, apply(t, h, daemonStep()), bootstrap.ExitFailed, "nix-daemon.socket", "systemctl status")
}

func TestAForeignUnitWhoseDaemonAnswersIsAccepted(t *testing.T) {
	h := daemonHost(t, with(unitFiles(), files{daemonFile: "[Service]\nExecStart=/opt/nix-daemon\n"}))
	h.OnDaemon = answering
	nothingToDo(t, h, daemonStep())
}

func TestAForeignUnitThatDoesNotAnswerIsRefused(t *testing.T) {
	for _, name := range []string{socketFile, daemonFile} {
		h := daemonHost(t, files{name: "[Unit]\nDescription=mine\n"})
		_, err := plan(t, h, daemonStep())
		refuses(t, err, bootstrap.ExitRefused, name, "systemctl status")
	}
}

func TestALinkIntoTheStoreIsAccepted(t *testing.T) {
	for _, target := range []string{defaultProfile + "/lib/systemd/system/", "../../../nix/var/nix/profiles/default/lib/systemd/system/"} {
		h := daemonHost(t, with(unitFiles(), files{
			socketFile: "-> " + target + socketUnit, daemonFile: "-> " + target + daemonUnit,
			theEnv + "/lib": "-> " + theNix + "/lib", theNix + "/lib/systemd/system/" + socketUnit: "[Socket]\n", theNix + "/lib/systemd/system/" + daemonUnit: "[Service]\n",
		}))
		h.OnDaemon = answering
		nothingToDo(t, h, daemonStep())
		h.OnDaemon = silent
		converges(t, systemd(h), daemonStep())
		if _, link := isLink(h, socketFile); !link {
			t.Errorf("a link to %s that works was replaced", target)
		}
	}
}

func TestADanglingLinkIsReplacedAndKeptAsARecord(t *testing.T) {
	for name, have := range map[string]files{
		"the profile has no units": {socketFile: "-> " + defaultProfile + "/lib/systemd/system/" + socketUnit},
		"the profile's unit leads nowhere": {
			socketFile: "-> " + defaultProfile + "/lib/systemd/system/" + socketUnit,
			theEnv + "/lib/systemd/system/nix-daemon.socket": "-> " + storePath('9', "nix-2.3") + "/lib/systemd/system/nix-daemon.socket",
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := systemd(daemonHost(t, have))
			converges(t, h, daemonStep())
			if h.Text(socketFile) != embed.Unit(socketUnit) || !strings.Contains(h.Tree(rootBackups), "symlink to "+defaultProfile) {
				t.Errorf("tree:\n%s", h.Tree("/etc", rootBackups))
			}
		})
	}
}

func TestAMaskedUnitIsReplacedAndKeptAsARecord(t *testing.T) {
	for _, target := range []string{"/dev/null", "../../../dev/null"} {
		h := systemd(daemonHost(t, with(unitFiles(), files{socketFile: "-> " + target, "/dev/null": ""})))
		converges(t, h, daemonStep())
		if h.Text(socketFile) != embed.Unit(socketUnit) || !strings.Contains(h.Tree(rootBackups), "symlink to "+target) {
			t.Errorf("tree:\n%s", h.Tree("/etc", rootBackups))
		}
	}
}

func TestAnEditedUnitOfOursIsKeptAndWrittenAgain(t *testing.T) {
	edited := "# Written by movein: and edited\n[Unit]\n"
	h := systemd(daemonHost(t, with(unitFiles(), files{daemonFile: edited})))
	converges(t, h, daemonStep())
	if !strings.Contains(h.Tree(rootBackups), "and edited") {
		t.Errorf("what was edited is gone:\n%s", h.Tree(rootBackups))
	}
}

func TestTheDistributionsUnitsAreUsed(t *testing.T) {
	h := systemd(hosttest.New(t, files{"/usr/bin/nix": "nix", "/usr/lib/systemd/system/" + socketUnit: "[Socket]\n", "/etc/group": "nixbld:x:1:nixbld1\n", "/etc/passwd": buildPasswd}))
	h.OnDaemon = silent
	h.OnQuery("/usr/bin/nix --version", hosttest.Says("nix (Nix) 2.26.3\n"))
	converges(t, h, daemonStep())
	if exists(h, socketFile) || exists(h, daemonFile) {
		t.Errorf("units of ours beside the distribution's:\n%s", h.Tree(unitDir))
	}
}

func TestUnitsForADistributionWithoutOnesStartItsDaemon(t *testing.T) {
	h := systemd(hosttest.New(t, files{"/usr/bin/nix": "nix"}))
	h.OnDaemon = silent
	h.OnQuery("/usr/bin/nix --version", hosttest.Says("nix (Nix) 2.26.3\n"))
	converges(t, h, daemonStep())
	if text := h.Text(daemonFile); !strings.Contains(text, "ExecStart=@/usr/bin/nix-daemon ") {
		t.Errorf("service:\n%s", text)
	}
}

func TestWithoutSystemdADaemonIsSpawnedOnce(t *testing.T) {
	f := testFacts()
	f.Systemd = false
	s := nixDaemon{f, testConfig()}
	h := keeping(t, daemonHost(t, nil))
	converges(t, h, s)
	h.Forget()
	nothingToDo(t, h, s)
	if err := s.Apply(context.Background(), h, nil); err != nil || len(h.Calls()) > 0 {
		t.Errorf("a second daemon beside one that answers: %v, %q", err, h.Calls())
	}
}

func TestASpawnedDaemonThatDiesIsAnErrorThatNamesItsLog(t *testing.T) {
	f := testFacts()
	f.Systemd = false
	h := daemonHost(t, nil)
	h.OnSpawn = func(host.Cmd, string) error { return nil }
	refuses(t, apply(t, h, nixDaemon{f, testConfig()}), bootstrap.ExitFailed, "Nix daemon", daemonLog)
}

func TestWhoNeedsNoDaemonIsSkipped(t *testing.T) {
	h := hosttest.New(t, nixFiles())
	h.Owners["/nix"] = 1000
	skips(t, h, daemonStep())
	f, c := testFacts(), testConfig()
	f.Systemd, c.UID = false, 0
	skips(t, hosttest.New(t, nixFiles()), nixDaemon{f, c})
}

func TestTheDaemonIsStartedAfterAPowerCutAnywhere(t *testing.T) {
	survivesPowerCuts(t, func() *hosttest.Host {
		return systemd(daemonHost(t, files{socketFile: "-> " + defaultProfile + "/gone"}))
	}, daemonStep(), nil)
}
