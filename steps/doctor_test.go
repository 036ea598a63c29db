package steps

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"movein/bootstrap/host"
	"movein/bootstrap/host/hosttest"
	"movein/distro"
)

// patient is a host on which every check is good, with the config it is good for.
func patient(t *testing.T) (*hosttest.Host, *distro.Facts, *Config) {
	h := activeHost(t)
	h.Lax = true
	h.Put("/usr/bin/sudo", "!0755 x")
	h.Put(nixConf, "a = b\n"+includeLine+" # a comment\n\n# another\ninclude x.conf\n")
	h.Put(ownConf, ownConfText)
	h.OnQuery("sudo -n true", hosttest.Says(""))
	h.OnQuery("sudo -n sh -c", hosttest.Says(defaultProfile+"/bin/nix\n"))
	h.OnQuery("env -i HOME=/home/ann USER=ann PATH=/usr/bin:/bin sh -lc", hosttest.Says(defaultProfile+"/bin/nix\n"))
	if err := apply(t, h, session{testFacts(), testConfig()}); err != nil {
		t.Fatal(err)
	}
	h.Forget()
	h.Clock = func() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }
	h.OnServerTime = func(string) (time.Time, error) { return h.Now().Add(time.Minute), nil }
	return h, testFacts(), testConfig()
}

func TestWithoutAGenerationTheSessionLacksNothing(t *testing.T) {
	h, f, c := patient(t)
	_, _ = h.Remove(buildStep().record()), h.Remove(environment)
	for got := range Examine(t.Context(), h.View(), f, c) {
		if got.Name == "session" {
			t.Errorf("%+v", got)
		}
	}
}

func TestTheDoctorSaysWhyOnlyWhereThereIsAReason(t *testing.T) {
	h, f, c := patient(t)
	h.Put("/home/ann/.bashrc", "mine\n")
	for got := range Examine(t.Context(), h.View(), f, c) {
		if got.Name == "home" && got.What != "replace /home/ann/.bashrc" {
			t.Errorf("%+v", got)
		}
	}
}

func TestOnAGoodHostTheDoctorFindsNothingAndChangesNothing(t *testing.T) {
	h, f, c := patient(t)
	before := h.Tree()
	for got := range Examine(t.Context(), h.View(), f, c) {
		if got.Verdict != Good && got.Verdict != Info {
			t.Errorf("%+v", got)
		}
	}
	if h.Tree() != before {
		t.Error("the doctor changed files")
	}
}

func TestTheDoctorFindsEachBadCaseAndSaysWhatMendsIt(t *testing.T) {
	type host = hosttest.Host
	daemon := func(err error) func(*host, *distro.Facts, *Config) {
		return func(h *host, _ *distro.Facts, _ *Config) {
			h.OnDaemon = func(string, []string) (r hostDaemon, e error) { return r, err }
		}
	}
	repo := func(change func(*hostRepo)) func(*host, *distro.Facts, *Config) {
		return func(h *host, _ *distro.Facts, _ *Config) {
			h.OnRepo = func(string) (hostRepo, error) { r := cleanRepo(); change(&r); return r, nil }
		}
	}
	for _, test := range []struct {
		name    string
		spoil   func(h *host, f *distro.Facts, c *Config)
		check   string
		verdict Verdict
		words   []string // in what, why or mend
	}{
		{"a read-only root without /nix", func(h *host, f *distro.Facts, _ *Config) { f.ReadOnlyRoot = true; _ = h.Remove("/nix") }, "root", Bad, []string{"/nix", "nix-mount"}},
		{"little space, and no Nix whose garbage it could be", func(h *host, _ *distro.Facts, _ *Config) { _ = h.Remove("/nix"); h.Space = 1 << 30 }, "disk", Warning, []string{"1.0 GiB", "df -h"}},
		{"little space", func(h *host, _ *distro.Facts, _ *Config) { h.Space = 1 << 30 }, "disk", Warning, []string{"1.0 GiB", "nix-collect-garbage"}},
		{"little memory", func(_ *host, f *distro.Facts, _ *Config) { f.RAM = 1 << 30 }, "memory", Warning, []string{"1.0 GiB", "swap"}},
		{"a clock that is fast", func(h *host, _ *distro.Facts, _ *Config) {
			h.OnServerTime = func(string) (time.Time, error) { return h.Now().Add(-time.Hour), nil }
		}, "clock", Bad, []string{"1h0m0s", "timedatectl"}},
		{"a clock that is slow", func(h *host, _ *distro.Facts, _ *Config) {
			h.OnServerTime = func(string) (time.Time, error) { return h.Now().Add(48 * time.Hour), nil }
		}, "clock", Bad, []string{"-48h0m0s"}},
		{"no network", func(h *host, _ *distro.Facts, _ *Config) {
			h.OnServerTime = func(string) (time.Time, error) { return time.Time{}, errors.New("no route to host") }
		}, "network", Warning, []string{"no route to host", "--nix-url"}},
		{"no sudo", func(h *host, _ *distro.Facts, _ *Config) { _ = h.Remove("/usr/bin/sudo") }, "sudo", Warning, []string{"neither sudo nor doas", "movein apply --user ann"}},
		{"sudo with a password", func(h *host, _ *distro.Facts, _ *Config) {
			h.OnQuery("sudo -n true", hosttest.Fails(1, "a password is required"))
		}, "sudo", Info, []string{"password"}},
		{"a Nix that is too old", func(h *host, _ *distro.Facts, _ *Config) {
			old := storePath('e', "nix-2.3")
			h.Put(old+"/bin/nix", "nix")
			h.Put(theEnv+"/bin/nix", "-> "+old+"/bin/nix")
		}, "nix", Bad, []string{"2.3", minNix, "update it"}},
		{"a store that is not as it was installed", func(h *host, _ *distro.Facts, _ *Config) { h.Put("/etc/group", "") }, "nix", Bad, []string{"nixbld", "movein apply --only nix-install"}},
		{"no Nix", func(h *host, _ *distro.Facts, _ *Config) { _ = h.Remove("/nix") }, "nix", Info, []string{"not installed", "movein apply"}},
		{"a daemon that was killed", daemon(dial(syscall.ECONNREFUSED)), "daemon", Bad, []string{"nobody listens", "movein apply --only nix-daemon"}},
		{"no socket", daemon(dial(syscall.ENOENT)), "daemon", Bad, []string{nixSocket, "movein apply --only nix-daemon"}},
		{"a socket for a group", daemon(dial(syscall.EACCES)), "daemon", Bad, []string{"ann", "usermod -aG nix-users"}},
		{"a daemon that hangs", daemon(&net.OpError{Op: "read", Net: "unix", Err: os.ErrDeadlineExceeded}), "daemon", Bad, []string{"does not answer", "systemctl restart"}},
		{"a line in nix.conf that is no setting", func(h *host, _ *distro.Facts, _ *Config) { h.Put(nixConf, "a = b\nnonsense\n") }, "nix.conf", Bad, []string{nixConf + ":2", `"nonsense"`, "sed -i 2d"}},
		{"no repo", func(_ *host, _ *distro.Facts, c *Config) { c.HomeRepo = "" }, "home repo", Info, []string{"movein apply HOME_REPO"}},
		{"a repo that is not cloned yet", func(h *host, _ *distro.Facts, _ *Config) {
			_ = h.Remove(testRepo)
			h.OnRepo = func(string) (hostRepo, error) { return hostRepo{}, fs.ErrNotExist }
		}, "home repo", Info, []string{"not cloned yet", "movein apply"}},
		{"files where the repo belongs", func(h *host, _ *distro.Facts, _ *Config) {
			_ = h.Remove(testRepo + "/flake.nix")
			h.Put(testRepo+"/notes", "mine")
			h.OnRepo = func(string) (hostRepo, error) { return hostRepo{}, errNotRepo }
		}, "home repo", Bad, []string{testRepo, "no clone", "mv " + testRepo}},
		{"a directory that is not there", func(h *host, _ *distro.Facts, c *Config) {
			c.HomeRepo = "/srv/home"
			h.OnRepo = func(string) (hostRepo, error) { return hostRepo{}, fs.ErrNotExist }
		}, "home repo", Bad, []string{"/srv/home", "movein apply HOME_REPO"}},
		{"a directory without a flake", func(h *host, _ *distro.Facts, c *Config) {
			c.HomeRepo = "/srv/home"
			h.Put("/srv/home/notes", "mine")
			h.OnRepo = func(string) (hostRepo, error) { return hostRepo{}, errNotRepo }
		}, "home repo", Bad, []string{"/srv/home", "flake.nix", "movein apply HOME_REPO"}},
		{"a broken repo", func(h *host, _ *distro.Facts, _ *Config) {
			h.OnRepo = func(string) (hostRepo, error) { return hostRepo{}, errors.New("object not found") }
		}, "home repo", Bad, []string{"object not found", "mv " + testRepo}},
		{"a clone of another", repo(func(r *hostRepo) { r.URL = "https://example.org/bob/x.git" }), "home repo", Bad, []string{"bob/x.git", "mv " + testRepo}},
		{"a detached HEAD", repo(func(r *hostRepo) { r.Branch = "" }), "home repo", Warning, []string{"detached at 1111111111", "switch main"}},
		{"uncommitted changes", repo(func(r *hostRepo) { r.Dirty = []string{"a.nix"} }), "home repo", Warning, []string{"a.nix", "commit"}},
		{"unpushed commits", repo(func(r *hostRepo) { r.Ahead = true }), "home repo", Warning, []string{"push"}},
		{"a file Nix does not see", repo(func(r *hostRepo) { r.Untracked = []string{"new.nix"} }), "flake", Warning, []string{"git -C " + testRepo + " add new.nix"}},
		{"no generation", func(h *host, _ *distro.Facts, _ *Config) { _ = h.Remove(buildStep().record()) }, "home", Info, []string{"movein apply"}},
		{"an edited link", func(h *host, _ *distro.Facts, _ *Config) { h.Put("/home/ann/.bashrc", "mine\n") }, "home", Warning, []string{"/home/ann/.bashrc", "movein apply"}},
		{"a broken movein.toml", func(h *host, _ *distro.Facts, _ *Config) { h.Put(testRepo+"/movein.toml", "nope = 1\n") }, "home", Bad, []string{"movein.toml:1:1", "movein help config"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			h, f, c := patient(t)
			test.spoil(h, f, c)
			var all []string
			for got := range Examine(t.Context(), h.View(), f, c) {
				all = append(all, fmt.Sprintf("%+v", got))
				if got.Name != test.check {
					continue
				}
				text := got.What + " " + got.Why + " " + got.Mend
				for _, w := range test.words {
					if !strings.Contains(text, w) {
						t.Errorf("%q is not in %+v", w, got)
					}
				}
				if got.Verdict != test.verdict {
					t.Errorf("verdict %s, want %s: %+v", got.Verdict, test.verdict, got)
				}
				if got.Verdict != Info && got.Mend == "" {
					t.Errorf("nothing mends it: %+v", got)
				}
				return
			}
			t.Errorf("no finding %q in:\n%s", test.check, strings.Join(all, "\n"))
		})
	}
}

type (
	hostDaemon = host.Daemon
	hostRepo   = host.Repo
)

var errNotRepo = host.ErrNotRepo

// dial is what connecting to the socket says.
func dial(err error) error {
	return &net.OpError{Op: "dial", Net: "unix", Err: os.NewSyscallError("connect", err)}
}

func TestOfflineTheDoctorAsksNoServer(t *testing.T) {
	h, f, c := patient(t)
	c.Offline, h.OnServerTime = true, nil
	for got := range Examine(t.Context(), h.View(), f, c) {
		if got.Name == "clock" || got.Name == "network" {
			t.Errorf("%+v", got)
		}
	}
}

func TestTheDoctorStopsWhenNobodyListens(t *testing.T) {
	h, f, c := patient(t)
	n := 0
	for range Examine(t.Context(), h.View(), f, c) {
		if n++; n == 2 {
			break
		}
	}
	if len(h.Calls()) != 0 { // the third check would be the first to ask
		t.Errorf("asked %q", h.Calls())
	}
}
