package steps

import (
	"os"
	"strings"
	"testing"

	"movein/bootstrap"
	"movein/bootstrap/host"
	"movein/bootstrap/host/hosttest"
)

const contextsFile = "/etc/selinux/targeted/contexts/files/file_contexts"

// labelledHost is a Fedora with a Nix, where what is in wrong has not the label that the policy wants.
func labelledHost(t *testing.T, wrong *[]string, have files) (*hosttest.Host, selinux) {
	a := atomicHost(t, "fedora-workstation-43", with(nixFiles(), files{contextsFile: "/.*\tsystem_u:object_r:default_t:s0\n"}, have))
	a.OnQuery("restorecon -n -v", func(c host.Cmd) (host.Result, error) {
		var out strings.Builder
		for _, name := range *wrong {
			if strings.Contains(" "+strings.Join(c.Args, " ")+" ", " "+name+" ") {
				out.WriteString("Would relabel " + name + " from system_u:object_r:default_t:s0 to system_u:object_r:usr_t:s0\n")
			}
		}
		return host.Result{Stdout: []byte(out.String())}, nil
	})
	a.On("chcon -t usr_t "+policyFile, hosttest.Says(""))
	a.On("semodule --install "+policyFile, func(host.Cmd) (host.Result, error) {
		if !strings.Contains(a.Text(policyFile), `(filecon "/nix/store/[^/]+/s?bin(/.*)?" any (system_u object_r bin_t`) {
			t.Errorf("what is loaded: %s", a.Text(policyFile))
		}
		a.Put(contextsFile, a.Text(contextsFile)+"/nix/store/[^/]+/s?bin(/.*)?\tsystem_u:object_r:bin_t:s0\n")
		return host.Result{}, nil
	})
	a.On("restorecon -R -F /nix", func(host.Cmd) (host.Result, error) {
		*wrong = nil
		return host.Result{}, nil
	})
	return a.Host, selinux{a.facts, testConfig()}
}

func TestSELinuxIsToldWhatNixIsAndLabelsItOnce(t *testing.T) {
	wrong := []string{"/nix", theNix + "/bin"}
	h, s := labelledHost(t, &wrong, nil)
	c, err := plan(t, h, s)
	if err != nil || len(c) != 2 || c[0].Verb != "load" || c[1].Verb != "label" || !strings.Contains(c[1].Reason, theNix+"/bin") {
		t.Errorf("planned %v, %v", c, err)
	}
	converges(t, h, s)
	inOrder(t, h.Calls(), "run chcon -t usr_t "+policyFile, "run semodule --install", "run restorecon -R -F /nix")
}

func TestWrongLabelsAreRepairedWithoutLoadingTheModuleAgain(t *testing.T) {
	wrong := []string{"/nix"}
	h, s := labelledHost(t, &wrong, nil)
	converges(t, h, s)
	wrong = []string{theNix + "/bin/nix-daemon"}
	h.Forget()
	converges(t, h, s)
	if strings.Contains(strings.Join(h.Calls(), "\n"), "semodule") {
		t.Errorf("%q", h.Calls())
	}
}

func TestAModuleThatIsGoneOrEditedIsLoadedAgain(t *testing.T) {
	var wrong []string
	h, s := labelledHost(t, &wrong, nil)
	converges(t, h, s)
	h.Put(contextsFile, "/.*\tsystem_u:object_r:default_t:s0\n")
	converges(t, h, s)
	h.Put(policyFile, "; mine\n")
	converges(t, h, s)
}

func TestAModuleThatCannotBeLoadedIsNotTakenForLoaded(t *testing.T) {
	var wrong []string
	h, s := labelledHost(t, &wrong, nil)
	h.On("semodule --install "+policyFile, hosttest.Fails(1, "Failed to resolve AST"))
	refuses(t, apply(t, h, s), bootstrap.ExitFailed, "movein-nix.cil", "policycoreutils", "ausearch")
	if _, err := os.Lstat(h.Real(policyFile)); err == nil {
		t.Error("the file is there")
	}
}

func TestAnotherInstallersContextsAreEnough(t *testing.T) {
	var wrong []string
	h, s := labelledHost(t, &wrong, files{contextsFile: "/.*\tsystem_u:object_r:default_t:s0\n/nix/store/[^/]+/s?bin(/.*)?\tsystem_u:object_r:bin_t:s0\n"})
	if got := planned(t, h, s); got != "" {
		t.Errorf("planned %q", got)
	}
}

func TestAPlanLabelsAStoreThatIsNotThereYet(t *testing.T) {
	a := atomicHost(t, "kinoite-43", nil)
	if got := planned(t, a.Host, selinux{a.facts, testConfig()}); got != "load SELinux module movein-nix; label /nix" {
		t.Errorf("planned %q", got)
	}
}

func TestHostsWithoutSELinuxHaveNoLabels(t *testing.T) {
	skips(t, hosttest.New(t, nixFiles()), selinux{testFacts(), testConfig()})
	f := testFacts()
	f.SELinux, f.Container = "enforcing", "podman"
	skips(t, hosttest.New(t, nixFiles()), selinux{f, testConfig()})
}

func TestEqualFilesAreNotMadeOneWhereTheyHaveLabels(t *testing.T) {
	f := testFacts()
	f.SELinux = "enforcing"
	if text := (nixConfig{f, testConfig()}).text(); !strings.Contains(text, "\nauto-optimise-store = false\n") {
		t.Errorf("%s", text)
	}
}
