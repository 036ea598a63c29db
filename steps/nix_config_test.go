package steps

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"movein/bootstrap"
	"movein/bootstrap/host"
	"movein/bootstrap/host/hosttest"
)

func configStep() nixConfig { return nixConfig{testFacts(), testConfig()} }

// noSystemd is the same without a daemon to restart.
func noSystemd() nixConfig {
	f := testFacts()
	f.Systemd = false
	return nixConfig{f, testConfig()}
}

func TestSettingsAreAddedAndTheDaemonReadsThem(t *testing.T) {
	h := hosttest.New(t, with(nixFiles(), files{"/etc/profile.d/": ""}))
	h.OnQuery("systemctl is-active --quiet nix-daemon.service", hosttest.Says(""))
	h.On("systemctl reset-failed nix-daemon.service", hosttest.Says(""))
	h.On("systemctl restart nix-daemon.service", hosttest.Says(""))
	converges(t, h, configStep())
	if h.Text(ownConf) != ownConfText || h.Text(nixConf) != includeLine+"\n" || h.Text(profileHook) != profileHookText {
		t.Errorf("written:\n%s", h.Tree("/etc"))
	}
	nothingToDo(t, h, configStep())
}

func TestADaemonThatDoesNotRunIsNotRestarted(t *testing.T) {
	h := hosttest.New(t, nixFiles())
	h.OnQuery("systemctl is-active", hosttest.Fails(3, ""))
	converges(t, h, configStep())
}

func TestAForeignNixConfIsOnlyAddedTo(t *testing.T) {
	for _, text := range []string{
		"build-users-group = nixbld\n",
		"build-users-group = nixbld",                       // no newline at the end
		"a = b\r\nc = d\r\n",                               // CRLF
		"# !include movein.conf\n",                         // a comment
		"#!include movein.conf\n",                          // another
		"include other.conf\n!include /etc/movein.conf\n",  // other files
		"access-tokens = x\n\n\n", "\xff\xfe is no UTF-8 ", // whatever it is
	} {
		h := hosttest.New(t, with(nixFiles(), files{nixConf: text}))
		converges(t, h, noSystemd())
		got := h.Text(nixConf)
		if !strings.HasPrefix(got, text) {
			t.Errorf("%q became %q", text, got)
		}
		if lines := strings.Split(strings.TrimRight(got, "\n"), "\n"); lines[len(lines)-1] != includeLine {
			t.Errorf("%q: the last line of %q is not the include", text, got)
		}
	}
}

func TestAnIncludeInAnySpellingIsEnough(t *testing.T) {
	for _, line := range []string{
		"!include movein.conf", "include movein.conf", "  !include\tmovein.conf  ", "!include /etc/nix/movein.conf", "!include movein.conf\r",
		"!include ./movein.conf", "!include ../nix/movein.conf", "include movein.conf # mine",
	} {
		h := hosttest.New(t, with(nixFiles(), files{nixConf: "a = b\n" + line + "\nmax-jobs = 1\n"}))
		converges(t, h, noSystemd())
		if got := h.Text(nixConf); got != "a = b\n"+line+"\nmax-jobs = 1\n" {
			t.Errorf("%q: nix.conf became %q", line, got)
		}
	}
}

func TestNixConfKeepsItsMode(t *testing.T) {
	h := hosttest.New(t, with(nixFiles(), files{nixConf: "!0600 access-tokens = github.com=secret\n"}))
	converges(t, h, noSystemd())
	if info, err := h.Lstat(nixConf); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("a nix.conf that only root may read became %v, %v", info.Mode(), err)
	}
}

func TestANixConfThatCannotBeReadIsNotWrittenOver(t *testing.T) {
	for _, cause := range []error{fs.ErrPermission, errors.New("input/output error")} {
		h := hosttest.New(t, with(nixFiles(), files{nixConf: "precious\n"}))
		h.Fail = denied("readfile", nixConf, cause)
		if err := noSystemd().Apply(t.Context(), h, nil); err == nil {
			t.Errorf("%v: no error", cause)
		}
		h.Fail = nil
		if got := h.Text(nixConf); got != "precious\n" {
			t.Errorf("%v: nix.conf became %q", cause, got)
		}
	}
}

func TestANixConfThatSomethingElseWritesIsRefused(t *testing.T) {
	h := hosttest.New(t, with(nixFiles(), files{nixConf: "-> /srv/nix.conf", "/srv/nix.conf": "a = b\n"}))
	refuses(t, apply(t, h, noSystemd()), bootstrap.ExitRefused, nixConf, "/srv/nix.conf", includeLine)
	if h.Text("/srv/nix.conf") != "a = b\n" {
		t.Error("it was written through the link")
	}
}

func TestALinkedNixConfThatIncludesOursIsAccepted(t *testing.T) {
	h := hosttest.New(t, with(nixFiles(), files{nixConf: "-> /srv/nix.conf", "/srv/nix.conf": includeLine + "\n", ownConf: ownConfText}))
	nothingToDo(t, h, configStep())
}

func TestDeterminatesNixConfIsNotTouched(t *testing.T) {
	h := hosttest.New(t, with(nixFiles(), files{"/usr/local/bin/determinate-nixd": "d", nixConf: "generated\n", nixCustom: "mine = 1\n"}))
	converges(t, h, noSystemd())
	if h.Text(nixConf) != "generated\n" || h.Text(nixCustom) != "mine = 1\n"+includeLine+"\n" {
		t.Errorf("written:\n%s", h.Tree("/etc/nix"))
	}
}

func TestAnEditedFileOfOursIsKeptBeforeItIsRewritten(t *testing.T) {
	h := hosttest.New(t, nixFiles())
	converges(t, h, noSystemd())
	h.Put(ownConf, "my own settings\n")
	h.Forget()
	converges(t, h, noSystemd())
	if tree := h.Tree(rootBackups); !strings.Contains(tree, `movein.conf "my own settings\n"`) {
		t.Errorf("it is not kept:\n%s", tree)
	}
	inOrder(t, h.Log(), "write "+rootBackups, "write "+ownedFile, "write "+ownConf)
	if len(h.Warnings()) == 0 {
		t.Error("nobody was told")
	}
}

func TestTheHookIsLeftToWhoHasOne(t *testing.T) {
	for _, other := range []files{{"/etc/profile.d/nix.sh": "x"}, {"/etc/profile.d/nix-daemon.sh": "x"}, {"/etc/profile.d/": "", "/etc/bashrc": ". nix-daemon.sh\n"}, {}} {
		h := hosttest.New(t, with(nixFiles(), other))
		converges(t, h, noSystemd())
		if exists(h, profileHook) {
			t.Errorf("a second hook beside %v", other)
		}
	}
}

func TestSettingsAreWholeAfterAPowerCutAnywhere(t *testing.T) {
	const mine = "build-users-group = nixbld"
	survivesPowerCuts(t, func() *hosttest.Host {
		return hosttest.New(t, with(nixFiles(), files{nixConf: mine, ownConf: "a stranger's\n", "/etc/profile.d/": ""}))
	}, noSystemd(), func(h *hosttest.Host) {
		if got := h.Text(nixConf); !strings.HasPrefix(got, mine) {
			t.Errorf("nix.conf became %q", got)
		}
		if tree := h.Tree("/etc/nix", rootBackups); !strings.Contains(tree, `movein.conf "a stranger's\n"`) {
			t.Errorf("the stranger's file is gone:\n%s", tree)
		}
	})
}

func TestAFileOfOursIsWrittenWithoutABackup(t *testing.T) {
	h := hosttest.New(t, nil)
	for _, text := range []string{"one\n", "two\n", "three\n"} {
		if err := writeOwned(h, "/etc/x", text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if exists(h, rootBackups) || len(h.Warnings()) > 0 {
		t.Errorf("a backup of our own:\n%s%q", h.Tree(rootBackups), h.Warnings())
	}
}

func TestALinkInOurPlaceIsKeptAsARecord(t *testing.T) {
	h := hosttest.New(t, files{"/etc/x": "-> /srv/x", "/srv/x": "a stranger's\n"})
	if err := writeOwned(h, "/etc/x", "ours\n", 0o644); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(h.Tree(rootBackups), `x "symlink to /srv/x\n"`) || h.Text("/srv/x") != "a stranger's\n" || h.Text("/etc/x") != "ours\n" {
		t.Errorf("tree:\n%s", h.Tree())
	}
	if _, link := isLink(h, "/etc/x"); link {
		t.Error("it is still a link")
	}
}

func TestWhatCannotBeKeptIsNotReplaced(t *testing.T) {
	for name, fail := range map[string]func(op, name string) error{
		"a file that cannot be read": denied("readfile", "/etc/x", fs.ErrPermission),
		"no room for the backup": func(op, name string) error {
			if op == "write" && strings.HasPrefix(name, rootBackups) {
				return errors.New("no space left on device")
			}
			return nil
		},
	} {
		h := hosttest.New(t, files{"/etc/x": "precious\n"})
		h.Fail = fail
		if err := writeOwned(h, "/etc/x", "ours\n", 0o644); err == nil {
			t.Errorf("%s: no error", name)
		}
		h.Fail = nil
		if h.Text("/etc/x") != "precious\n" {
			t.Errorf("%s: it is replaced", name)
		}
	}
}

func TestTheGroupThatMayReadNixConfStays(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	const group = 30000
	h := &host.Real{Root: t.TempDir()}
	file := h.Root + nixConf
	err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte("access-tokens = x\n"), 0o640), os.Chown(file, 0, group), addInclude(h, nixConf))
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if st := info.Sys().(*syscall.Stat_t); st.Gid != group || info.Mode().Perm() != 0o640 {
		t.Errorf("group %d, mode %v", st.Gid, info.Mode())
	}
}
