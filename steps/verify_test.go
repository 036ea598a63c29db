package steps

import (
	"strings"
	"testing"

	"movein/bootstrap"
	"movein/bootstrap/host/hosttest"
)

func verifyStep(checks ...Check) verify {
	c := testConfig()
	c.Verify = checks
	return verify{testFacts(), c}
}

// activeHost has an active generation.
func activeHost(t *testing.T) *hosttest.Host {
	h := activateHost(t, nil)
	converges(t, h, activateStep())
	h.Forget()
	return h
}

func TestAHomeThatIsAsPromisedPasses(t *testing.T) {
	nothingToDo(t, activeHost(t), verifyStep())
}

func TestALinkOutOfTheStoreMayLeadNowhere(t *testing.T) {
	h := activeHost(t)
	out := "/nix/store/00000000000000000000000000000000-hm_out"
	h.Put(theFiles+"/.out", "-> "+out)
	h.Put(out, "-> /home/ann/later")
	h.Put("/home/ann/.out", "-> "+theFiles+"/.out")
	nothingToDo(t, h, verifyStep())
	if err := h.Remove(out); err != nil {
		t.Fatal(err)
	}
	refuses(t, verifyStep().Apply(t.Context(), h, nil), bootstrap.ExitFailed, "home links live", ".out")
}

func TestEachBrokenPromiseIsAnErrorWithANextCommand(t *testing.T) {
	for _, test := range []struct {
		name  string
		spoil func(h *hosttest.Host)
		want  []string
	}{
		{"another generation", func(h *hosttest.Host) { h.Put(profiles+"/home-manager-1-link", "-> "+oldGen) }, []string{"generation active", oldGen, theGen, "movein apply --only home-activate"}},
		{"no generation", func(h *hosttest.Host) { _ = h.Remove(profiles + "/home-manager") }, []string{"generation active", "movein apply --only home-activate"}},
		{"a link that leads nowhere", func(h *hosttest.Host) { h.Put("/home/ann/.bashrc", "-> /gone") }, []string{"home links live", ".bashrc", "movein apply --only home-activate"}},
		{"no daemon", func(h *hosttest.Host) { h.OnDaemon = silent }, []string{"Nix answers", "refused", "movein doctor"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := activeHost(t)
			test.spoil(h)
			if c, err := plan(t, h, verifyStep()); err != nil || len(c) == 0 || c[0].Reason == "" {
				t.Errorf("planned %v, %v", c, err)
			}
			err := verifyStep().Apply(t.Context(), h, nil)
			if err == nil {
				t.Fatal("no error")
			}
			for _, w := range test.want {
				if !strings.Contains(err.Error()+" "+bootstrap.HintOf(err), w) {
					t.Errorf("%q is not in %v (%s)", w, err, bootstrap.HintOf(err))
				}
			}
		})
	}
}

func TestTheUsersOwnChecksAreRun(t *testing.T) {
	h := activeHost(t)
	h.OnQuery("editor --version", hosttest.Says("1"))
	h.OnQuery("backup check", hosttest.Fails(2, "no backup since Monday"))
	s := verifyStep(Check{Name: "editor", Run: []string{"editor", "--version"}}, Check{Name: "backup", Run: []string{"backup", "check"}, Hint: "run: backup now"})
	if got := planned(t, h, s); got != "check backup" {
		t.Errorf("planned %q", got)
	}
	refuses(t, s.Apply(t.Context(), h, nil), bootstrap.ExitFailed, "backup", "no backup since Monday", "run: backup now")
}

func TestFailedUnitsOfTheGenerationAreNamedAndOthersNot(t *testing.T) {
	h := activeHost(t)
	h.Put(theFiles+"/.config/systemd/user/mine.service", "[Service]\n")
	h.Put("/home/ann/.config/systemd/user/mine.service", "-> "+theFiles+"/.config/systemd/user/mine.service")
	h.Put("/run/user/1000/systemd/", "")
	h.OnQuery("systemctl --user list-units --failed", hosttest.Says("mine.service loaded failed failed Mine\nother.service loaded failed failed Other\n"))
	err := verifyStep().Apply(t.Context(), h, nil)
	refuses(t, err, bootstrap.ExitFailed, "user units", "mine.service", "journalctl --user")
	if strings.Contains(err.Error(), "other.service") {
		t.Errorf("a unit that is not the generation's: %v", err)
	}
}

func TestWithoutAUserManagerUnitsAreNotAskedFor(t *testing.T) {
	h := activeHost(t)
	h.Put(theFiles+"/.config/systemd/user/mine.service", "[Service]\n")
	h.Put("/home/ann/.config/systemd/user/mine.service", "-> "+theFiles+"/.config/systemd/user/mine.service")
	nothingToDo(t, h, verifyStep())
}

func TestAllThatFailsIsSaidAtOnce(t *testing.T) {
	h := activeHost(t)
	h.OnDaemon = silent
	h.Put("/home/ann/.bashrc", "-> /gone")
	err := verifyStep().Apply(t.Context(), h, nil)
	if err == nil || !strings.Contains(err.Error(), "home links live") || !strings.Contains(err.Error(), "Nix answers") {
		t.Errorf("error: %v", err)
	}
}
