package steps

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"

	"movein/bootstrap/host"
	"movein/bootstrap/host/hosttest"
)

// restartHost is a host with systemd that movein runs on.
func restartHost(t *testing.T) (*hosttest.Host, Restart) {
	h := hosttest.New(t, files{"/proc/self/exe": "!0755 movein", "/etc/systemd/system/": ""})
	h.Lax = true
	h.On("systemd-run --quiet --unit="+restartTimer, func(host.Cmd) (host.Result, error) {
		h.Put("/run/systemd/transient/"+restartTimer+".timer", "")
		return host.Result{}, nil
	})
	h.On("systemctl daemon-reload", hosttest.Says(""))
	c := testConfig()
	c.HomeRepo, c.Settings = "https://ann:token@example.org/home.git", map[string]string{"only": "nix-daemon"}
	return h, Restart{testFacts(), c}
}

func TestARestartLeavesAUnitThatGoesOn(t *testing.T) {
	h, s := restartHost(t)
	converges(t, h, s)
	r, err := ReadResume(h)
	if err != nil || r.Boot != "boot-1" || r.Config.HomeRepo != s.Config.HomeRepo || r.Config.Settings["only"] != "nix-daemon" {
		t.Errorf("%+v, %v", r, err)
	}
	if tree := h.Tree(resumeFile); !strings.HasPrefix(tree, "-rw------- ") {
		t.Errorf("others can read it: %s", tree)
	}
	if unit := h.Text(wantedBy(s.Config, false)); !strings.Contains(unit, "exec "+resumeProgram+" _resume") || !strings.Contains(unit, "user@1000.service") {
		t.Errorf("%s", unit)
	}
	if h.Text(resumeProgram) != "movein" {
		t.Error("the program is not kept")
	}
	inOrder(t, h.Log(), "write "+resumeProgram, "write "+resumeFile, "write "+unitDir+"/"+resumeUnit, "symlink "+wantedBy(s.Config, false), "run systemd-run")
}

func TestUnderWSLTheRestartIsLeftToWindows(t *testing.T) {
	h, s := restartHost(t)
	s.Facts.WSL, s.Facts.Systemd = 2, false
	converges(t, h, s)
	if len(h.Calls()) > 0 {
		t.Errorf("ran %q", h.Calls())
	}
}

func TestWithoutSystemdNothingGoesOn(t *testing.T) {
	h, s := restartHost(t)
	s.Facts.Systemd = false
	skips(t, h, s)
}

func TestWhatIsGoneOnWithCanWaitForALogin(t *testing.T) {
	h, s := restartHost(t)
	converges(t, h, s)
	r, _ := ReadResume(h)
	if err := r.AwaitLogin(context.Background(), h); err != nil {
		t.Fatal(err)
	}
	if r, err := ReadResume(h); err != nil || !r.Login || r.Tries != 1 {
		t.Errorf("%+v, %v", r, err)
	}
	if exists(h, wantedBy(s.Config, false)) || !strings.HasPrefix(h.Text("/etc/systemd/system/user@1000.service.wants/"+resumeUnit), "# Written by movein") {
		t.Errorf("%s", h.Tree(unitDir))
	}
}

func TestAResumeLeavesNothing(t *testing.T) {
	for _, login := range []bool{false, true} {
		h, s := restartHost(t)
		converges(t, h, s)
		r, _ := ReadResume(h)
		if login {
			if err := r.AwaitLogin(context.Background(), h); err != nil {
				t.Fatal(err)
			}
		}
		if err := r.End(h); err != nil {
			t.Fatal(err)
		}
		if tree := h.Tree("/etc", "/var"); strings.Contains(tree, "resume") || strings.Contains(tree, "user@") {
			t.Errorf("left:\n%s", tree)
		}
		if _, err := ReadResume(h); !errors.Is(err, fs.ErrNotExist) {
			t.Error(err)
		}
	}
}

func TestTriesAreCountedAlsoOverASecondRestart(t *testing.T) {
	h, s := restartHost(t)
	converges(t, h, s)
	for want := 1; want <= 3; want++ {
		r, err := ReadResume(h)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Begin(h); err != nil {
			t.Fatal(err)
		}
		h.Boot = strings.Repeat("x", want)
		os.Remove(h.Real("/run/systemd/transient/" + restartTimer + ".timer"))
		converges(t, h, s)
		if r, _ := ReadResume(h); r.Tries != want || r.Boot != h.Boot {
			t.Errorf("%+v", r)
		}
	}
}
