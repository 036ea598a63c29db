package steps

import (
	"fmt"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"movein/bootstrap/host"
	"movein/bootstrap/host/hosttest"
	"movein/distro"
)

// pain is one that people have on hosts that are not NixOS, planted.
type pain struct {
	n     int // the same in more than one way has one number; 0: beside the 25
	name  string
	plant func(h *hosttest.Host, f *distro.Facts, c *Config)
	check string
	words []string // in what, why or mend
}

// planting makes a plant of files.
func planting(have files) func(*hosttest.Host, *distro.Facts, *Config) {
	return func(h *hosttest.Host, _ *distro.Facts, _ *Config) {
		for name, text := range have {
			h.Put(name, text)
		}
	}
}

func wslWithoutSystemd(h *hosttest.Host, f *distro.Facts, _ *Config) {
	*f = *wslFacts()
	h.Put("/usr/lib/systemd/systemd", "x")
	h.OnDaemon = silent
}

func pains() []pain {
	type h = *hosttest.Host
	drivers := storePath('d', "non-nixos-gpu")
	gpu := files{theGen + "/home-path/bin/non-nixos-gpu-setup": "!0755 x", theGen + "/activate": "x\nnew=" + drivers + "\n"}
	unit := theFiles + "/.config/systemd/user/default.target.wants/sync.service"
	return []pain{
		{1, "a file is in the way", planting(files{"/home/ann/.bashrc": "mine\n"}), "home", []string{"replace /home/ann/.bashrc", "movein apply"}},
		{2, "a backup of last time is in the way", planting(files{"/home/ann/.bashrc.backup": "x"}), "leftovers", []string{"/home/ann/.bashrc.backup", "rm -i"}},
		{3, "no place for /nix", func(h h, f *distro.Facts, _ *Config) { f.OSTree, f.ReadOnlyRoot = true, true; _ = h.Remove("/nix") }, "root", []string{"read-only", "/nix"}},
		{4, "no nix in this shell", func(h h, _ *distro.Facts, _ *Config) {
			h.OnQuery("env -i", hosttest.Fails(127, ""))
			h.OnQuery("env -i HOME=/home/ann USER=ann PATH=/usr/bin:/bin sh -lc", hosttest.Fails(127, ""))
		}, "shell", []string{"login shell", "nix-config", "log in again"}},
		{5, "no flakes", planting(files{ownConf: "# nothing\n"}), "flakes", []string{"no flakes", "movein apply --only nix-config"}},
		{5, "no flakes on NixOS", func(h h, f *distro.Facts, _ *Config) { f.Platform = distro.NixOS; h.Put(ownConf, "") }, "flakes", []string{"movein apply --only session"}},
		{6, "a file that git does not know", func(h h, _ *distro.Facts, _ *Config) {
			h.OnRepo = func(string) (host.Repo, error) { r := cleanRepo(); r.Untracked = []string{"new.nix"}; return r, nil }
		}, "flake", []string{"new.nix", "git -C"}},
		{7, "no configuration fits", func(h h, _ *distro.Facts, _ *Config) {
			_ = h.Remove(buildStep().record())
			h.OnQuery(defaultProfile+"/bin/nix eval", hosttest.Says(`{"names":["bob@desk"],"pick":"","user":"","home":""}`))
			h.OnQuery(defaultProfile+"/bin/nix eval --json "+buildFlake, hosttest.Says(`{"names":["bob@desk"],"pick":"","user":"","home":""}`))
		}, "configuration", []string{"bob@desk", "--configuration"}},
		{8, "no profile directory", func(h h, _ *distro.Facts, _ *Config) { _ = h.Remove(profiles) }, "home", []string{"activate", "movein apply"}},
		{9, "a profile of two kinds", planting(files{homeProfile + "/manifest.json": `{}`, homeProfile + "/manifest.nix": "[]"}), "profile", []string{"nix-env", "nix profile list"}},
		{9, "packages of two generations", planting(files{homeProfile + "/manifest.json": `{"a":["/nix/store/a-home-manager-path"],"b":["/nix/store/b-home-manager-path"]}`}), "profile", []string{"2 generations", "nix profile remove"}},
		{10, "a cache that is not trusted", planting(files{testRepo + "/flake.nix": `{ nixConfig = { extra-substituters = [ "https://ann.example.org" "https://cache.nixos.org" ]; extra-trusted-public-keys = "ann-1:abc="; }; }`}), "caches", []string{"https://ann.example.org", "extra-substituters = https://ann.example.org", "extra-trusted-public-keys = ann-1:abc=", "sudo tee -a " + nixConf}},
		{11, "a private input", planting(files{testRepo + "/flake.lock": `{"nodes":{"x":{"locked":{"type":"git","url":"ssh://git@git.example.org:22/x"}},"root":{}}}`}), "inputs", []string{"ssh -T git@git.example.org"}},
		{12, "no graphics drivers", planting(gpu), "graphics", []string{driversLink, "movein apply --gpu-setup"}},
		{12, "NVIDIA's driver was updated", planting(with(gpu, files{driversLink: "-> " + drivers, drivers + "/lib/libGLX_nvidia.so.550.163.01": "x",
			"/proc/driver/nvidia/version": "NVRM version: NVIDIA UNIX x86_64 Kernel Module  570.20.01  Tue\nGCC version:  gcc 13\n"})), "graphics", []string{"570.20.01", "550.163.01", "nvidia.version"}},
		{13, "a menu without the programs", func(h h, _ *distro.Facts, c *Config) {
			planting(files{"/usr/bin/kbuildsycoca6": "!0755 x", theGen + "/home-path/share/applications/x.desktop": "x", "/home/ann/.cache/ksycoca6_en": "x"})(h, nil, nil)
			target, _ := h.Readlink(c.profile(h))
			for !(session{testFacts(), c}).menuStale(h, generation{c, theGen}) {
				h.Put(c.profile(h), "-> "+target)
			}
		}, "session", []string{"refresh the menu", "movein apply --only session"}},
		{14, "a session without variables", func(h h, _ *distro.Facts, _ *Config) { _ = h.Remove(environment) }, "session", []string{environment, "movein apply --only session"}},
		{15, "no systemd of the user's", planting(files{theFiles + "/.config/systemd/user/sync.service": "x"}), "user units", []string{"systemctl start user@1000.service", "next login"}},
		{16, "units that end at logout", planting(files{unit: "x"}), "linger", []string{"lingering of ann", "movein apply --only session-host"}},
		{17, "WSL without systemd", wslWithoutSystemd, "wsl", []string{wslConf, "movein apply --only wsl"}},
		{17, "WSL that was not started again", func(h h, f *distro.Facts, c *Config) {
			wslWithoutSystemd(h, f, c)
			h.Put(wslConf, "[boot]\nsystemd=true\n")
		}, "wsl", []string{"wsl.exe --shutdown"}},
		{18, "sudo has a PATH of its own", func(h h, _ *distro.Facts, _ *Config) { h.OnQuery("sudo -n sh -c", hosttest.Fails(127, "")) }, "sudo nix", []string{"secure_path", "sudo " + defaultProfile + "/bin/nix"}},
		{19, "no locales", planting(files{"/etc/default/locale": "LANG=de_DE.UTF-8\n"}), "locale", []string{"de_DE.UTF-8", "localedef -i de_DE"}},
		{20, "SELinux denies", func(h h, f *distro.Facts, _ *Config) {
			f.SELinux = "enforcing"
			h.OnQuery("journalctl --boot", hosttest.Says("avc:  denied  { read } for path=/nix/store/x\n"))
		}, "selinux", []string{"avc:", "restorecon"}},
		{21, "a proxy that the daemon does not know", func(_ h, _ *distro.Facts, c *Config) { c.Proxies = []string{"https_proxy"} }, "proxy", []string{"https_proxy", daemonUnit + ".d/proxy.conf", "systemctl restart"}},
		{22, "a full disk", func(h h, _ *distro.Facts, _ *Config) { h.Space = 1 << 30 }, "disk", []string{"1.0 GiB free", "nix-collect-garbage"}},
		{22, "a full /tmp", func(h h, _ *distro.Facts, _ *Config) {
			old := storePath('e', "nix-2.26.3")
			planting(files{old + "/bin/nix": "nix", theEnv + "/bin/nix": "-> " + old + "/bin/nix"})(h, nil, nil)
			h.Space = 1 << 29
		}, "disk", []string{"/tmp has 512 MiB", "TMPDIR=/var/tmp"}},
		{23, "fonts that are not found", planting(files{theGen + "/home-path/share/fonts/x.ttf": "x"}), "session", []string{fontsFile, "movein apply --only session"}},
		{24, "a clock that stood still", func(h h, _ *distro.Facts, _ *Config) {
			h.OnServerTime = func(string) (time.Time, error) { return h.Now().Add(9 * time.Hour), nil }
		}, "clock", []string{"-9h0m0s", "hwclock -s"}},
		{25, "the programs of Windows", func(_ h, f *distro.Facts, _ *Config) { f.Platform = distro.WSL }, "windows", []string{"appendWindowsPath=false", "wsl.exe --shutdown"}},

		{0, "a login shell in the store", func(_ h, f *distro.Facts, _ *Config) {
			f.Users = []distro.User{{Name: "ann", Shell: "/home/ann/.nix-profile/bin/zsh"}}
		}, "login shell", []string{"chsh -s /bin/bash ann", "zsh"}},
		{0, "Ubuntu's AppArmor", planting(files{"/proc/sys/kernel/apparmor_restrict_unprivileged_userns": "1\n", theGen + "/home-path/bin/brave": "x"}), "apparmor", []string{"brave", "apparmor_parser"}},
		{0, "a chroot store", func(h h, _ *distro.Facts, _ *Config) {
			_ = h.Remove("/nix")
			h.Put("/home/ann/.local/share/nix/root/nix/store/", "")
			h.OnDaemon = func(string, []string) (host.Daemon, error) { return host.Daemon{}, dial(syscall.ENOENT) }
		}, "nix", []string{"chroot store", "sudo movein apply --user ann"}},
	}
}

func TestTheDoctorKnowsEachPainAndWhatMendsIt(t *testing.T) {
	seen := map[int]bool{}
	for _, p := range pains() {
		seen[p.n] = true
		t.Run(fmt.Sprintf("%d %s", p.n, p.name), func(t *testing.T) {
			h, f, c := patient(t)
			p.plant(h, f, c)
			var all []string
			for got := range Examine(t.Context(), h.View(), f, c) {
				all = append(all, fmt.Sprintf("%+v", got))
				if got.Name != p.check {
					continue
				}
				if got.Verdict == Good || got.Mend == "" {
					t.Errorf("nothing wrong, or nothing mends it: %+v", got)
				}
				for _, w := range p.words {
					if text := got.What + " " + got.Why + " " + got.Mend; !strings.Contains(text, w) {
						t.Errorf("%q is not in %s", w, text)
					}
				}
				return
			}
			t.Errorf("no finding %q in:\n%s", p.check, strings.Join(all, "\n"))
		})
	}
	for n := 1; n <= 25; n++ {
		if !seen[n] {
			t.Errorf("pain %d is not planted", n)
		}
	}
}

func TestADenialIsOfNixOnlyIfItNamesIt(t *testing.T) {
	h, f, c := patient(t)
	f.SELinux = "enforcing"
	log := ""
	h.OnQuery("journalctl --boot", func(cmd host.Cmd) (host.Result, error) {
		if !regexp.MustCompile(cmd.Args[len(cmd.Args)-1]).MatchString(log) {
			log = ""
		}
		return host.Result{Stdout: []byte(log)}, nil
	})
	for line, want := range map[string]bool{
		`avc:  denied  { execute } for  pid=1 comm="systemd" name="nix-daemon" tclass=file`:     true,
		`avc:  denied  { read } for  pid=1 comm="systemd" path="/nix/store/x" tclass=lnk_file`:  true,
		`avc:  denied  { connectto } for  pid=9 comm="sshd" tclass=unix_stream_socket`:          false,
		`avc:  denied  { relabelfrom } for  pid=9 comm="semodule" name="movein-nix" tclass=dir`: false,
	} {
		log = line
		if got := (doctor{v: h.View(), f: f, c: c}).denials(t.Context()).What != ""; got != want {
			t.Errorf("%v for %s", got, line)
		}
	}
}
