package steps

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"movein/bootstrap"
	"movein/bootstrap/host"
	"movein/distro"
)

// What hurts people on hosts that are not NixOS, beside what stops a run. A check that
// finds nothing says nothing.

// pending makes a finding of what a step would do.
func (d doctor) pending(ctx context.Context, name, why string, step bootstrap.Step) Finding {
	change, err := step.Plan(ctx, d.v)
	if err != nil || len(change) == 0 {
		return Finding{}
	}
	return Finding{name, Warning, change[0].Verb + " " + change[0].Target + more(len(change)-1) + ": is to be done", why, "movein apply --only " + step.Info().Name}
}

func (d doctor) wsl(ctx context.Context) Finding {
	f := d.pending(ctx, "wsl", "without systemd nothing starts the Nix daemon and your units", wsl{d.f, d.c})
	if f.Name != "" && !strings.Contains(f.What, "add") {
		f.Mend = wslRestart
	}
	return f
}

// windows finds that shells look for programs in Windows.
func (d doctor) windows(context.Context) Finding {
	text, err := readConf(d.v)
	if value, _ := iniValue(text, "interop", "appendWindowsPath"); d.f.Platform != distro.WSL || err != nil || strings.EqualFold(value, "false") {
		return Finding{}
	}
	return Finding{"windows", Info, "your shells find the programs of Windows too, and are slow for it; movein does not look there",
		"git.exe or chezmoi.exe may be taken for those of Linux", "add appendWindowsPath=false to [interop] in " + wslConf + "; then " + wslRestart}
}

// shell asks a login shell for nix, as one that was started with nothing.
func (d doctor) shell(ctx context.Context) Finding {
	if kind := detectNix(ctx, d.v, d.f, d.c).Kind; kind == nixNone || kind == nixRootless || kind == nixUnmounted {
		return Finding{}
	}
	_, err := d.v.Query(ctx, &host.Cmd{Args: []string{"env", "-i", "HOME=" + d.c.Home, "USER=" + d.c.User, "PATH=/usr/bin:/bin", "sh", "-lc", "command -v nix"}})
	if err == nil {
		return Finding{}
	}
	return Finding{"shell", Warning, "a login shell does not find nix", "no file in /etc/profile.d puts it into PATH", "movein apply --only nix-config, then log in again"}
}

// login finds a login shell that is gone when the store is.
func (d doctor) login(context.Context) Finding {
	u, _ := d.f.User(d.c.User)
	if d.f.Platform == distro.NixOS || !strings.HasPrefix(u.Shell, "/nix/") && !strings.Contains(u.Shell, "nix-profile") {
		return Finding{}
	}
	return Finding{"login shell", Warning, u.Shell + " is in the store", "when /nix is not mounted, nobody can log in to mend it", "sudo chsh -s /bin/bash " + d.c.User + "; have your terminal start " + filepath.Base(u.Shell)}
}

// secure finds that root's commands by sudo do not find nix.
func (d doctor) secure(ctx context.Context) Finding {
	nix := detectNix(ctx, d.v, d.f, d.c)
	if _, err := d.v.LookPath("sudo"); err != nil || nix.Bin == "" || strings.HasPrefix(nix.Bin, "/usr/") || d.c.UID == 0 {
		return Finding{}
	}
	if _, err := d.v.Query(ctx, &host.Cmd{Args: []string{"sudo", "-n", "true"}}); err != nil {
		return Finding{}
	}
	if _, err := d.v.Query(ctx, &host.Cmd{Args: []string{"sudo", "-n", "sh", "-c", "command -v nix"}}); err == nil {
		return Finding{}
	}
	return Finding{"sudo nix", Info, "sudo does not find nix", "sudo has a PATH of its own, secure_path", "sudo " + nix.Bin}
}

func (d doctor) flakes(ctx context.Context) Finding {
	kind := detectNix(ctx, d.v, d.f, d.c).Kind
	if kind == nixNone || kind == nixDeterminate || d.c.flakes(d.v) {
		return Finding{}
	}
	mend := "movein apply --only nix-config"
	if d.f.Platform == distro.NixOS {
		mend = "movein apply --only session"
	}
	return Finding{"flakes", Warning, "nix commands of yours have no flakes", "movein turns them on for what it runs itself", mend}
}

var (
	flakeCaches = regexp.MustCompile(`(?s)(substituters|trusted-public-keys)\s*=\s*\[?([^;\]]*)`)
	nixStrings  = regexp.MustCompile(`"([^"]+)"`)
)

// caches finds caches that the user or the home repo wants and the daemon does not take.
func (d doctor) caches(ctx context.Context) Finding {
	if d.f.Platform == distro.NixOS || d.c.UID == 0 {
		return Finding{}
	}
	if answer, err := d.v.Daemon(ctx, nixSocket); err != nil || answer.Trusted {
		return Finding{}
	}
	system := readText(d.v, nixConf) + readText(d.v, nixCustom) + readText(d.v, ownConf)
	want := map[string][]string{}
	user := readText(d.v, filepath.Join(d.c.ConfigHome, "nix/nix.conf"))
	for _, name := range []string{"substituters", "trusted-public-keys"} {
		words, _ := nixSetting(user, name)
		want[name] = words
	}
	if d.c.HomeRepo != "" {
		dir, _ := d.c.HomeDir()
		for _, m := range flakeCaches.FindAllStringSubmatch(readText(d.v, dir+"/flake.nix"), -1) {
			for _, s := range nixStrings.FindAllStringSubmatch(m[2], -1) {
				want[m[1]] = append(want[m[1]], s[1])
			}
		}
	}
	known := func(word string) bool {
		return strings.Contains(system, word) || strings.Contains(word, "cache.nixos.org")
	}
	urls := slices.DeleteFunc(want["substituters"], known)
	if len(urls) == 0 {
		return Finding{}
	}
	keys := slices.DeleteFunc(want["trusted-public-keys"], known)
	line := fmt.Sprintf("printf 'extra-substituters = %s\\nextra-trusted-public-keys = %s\\n' | sudo tee -a %s; sudo systemctl restart nix-daemon.service", strings.Join(urls, " "), strings.Join(keys, " "), nixConf)
	return Finding{"caches", Warning, "the daemon does not take from " + few(urls), "only root may name caches, and what they have is compiled here instead", line}
}

// inputs finds private inputs of the flake whose host ssh would ask about.
func (d doctor) inputs(context.Context) Finding {
	if d.c.HomeRepo == "" {
		return Finding{}
	}
	dir, _ := d.c.HomeDir()
	var lock struct {
		Nodes map[string]struct{ Locked struct{ Type, URL string } }
	}
	if json.Unmarshal([]byte(readText(d.v, dir+"/flake.lock")), &lock) != nil {
		return Finding{}
	}
	known := readText(d.v, d.c.Home+"/.ssh/known_hosts") + readText(d.v, "/etc/ssh/ssh_known_hosts")
	for _, node := range lock.Nodes {
		_, rest, ssh := strings.Cut(node.Locked.URL, "ssh://")
		rest, _, _ = strings.Cut(rest, "/")
		name := rest[strings.LastIndex(rest, "@")+1:]
		if name, _, _ = strings.Cut(name, ":"); ssh && name != "" && !strings.Contains(known, name) && !strings.Contains(known, "|1|") {
			return Finding{"inputs", Warning, "the home repo takes an input from " + name + ", which ssh does not know", "Nix cannot answer ssh's question", "ssh -T git@" + name}
		}
	}
	return Finding{}
}

// configuration finds, before the first build, that none fits.
func (d doctor) configuration(ctx context.Context) Finding {
	s := homeBuild{d.f, d.c}
	if dir, _ := d.c.HomeDir(); d.c.HomeRepo == "" || readBuilt(d.v, d.c).Out != "" || !exists(d.v, dir+"/flake.nix") || detectNix(ctx, d.v, d.f, d.c).Bin == "" {
		return Finding{}
	}
	attribute, err := s.choose(ctx, d.v, s.flake(ctx, d.v))
	if err != nil {
		return Finding{"configuration", Bad, err.Error(), "", bootstrap.HintOf(err)}
	}
	return Finding{"configuration", Good, attribute, "", ""}
}

// leftovers finds what home-manager's -b has put beside files, which fails its next one.
func (d doctor) leftovers(context.Context) Finding {
	leaves, err := generation{d.c, readBuilt(d.v, d.c).Out}.leaves(d.v)
	if err != nil {
		return Finding{}
	}
	var names []string
	for _, l := range leaves {
		for _, ext := range []string{".backup", ".bak", ".hm-backup", ".hmbak", ".hm-bak", ".old"} {
			if name := filepath.Join(d.c.Home, l.rel) + ext; exists(d.v, name) {
				names = append(names, name)
			}
		}
	}
	if len(names) == 0 {
		return Finding{}
	}
	return Finding{"leftovers", Info, "beside files of the home: " + few(names), "home-manager switch -b fails on those of its last time; movein has backups of its own", "look at them, then: rm -i " + strings.Join(names[:min(len(names), 5)], " ")}
}

// profile finds a user's profile that two kinds of commands have written.
func (d doctor) profile(context.Context) Finding {
	for _, profile := range []string{d.c.Home + "/.nix-profile", d.c.StateHome + "/nix/profile"} {
		text := readText(d.v, profile+"/manifest.json")
		switch n := strings.Count(text, "-home-manager-path\""); {
		case n > 1:
			return Finding{"profile", Warning, fmt.Sprintf("%s has the packages of %d generations", profile, n), "they have the same files, and home-manager stops at that", "nix profile remove --all home-manager-path; movein apply --refresh"}
		case text != "" && exists(d.v, profile+"/manifest.nix"):
			return Finding{"profile", Warning, profile + " was written by nix-env and by nix profile", "neither takes the other's", "nix profile list; nix-env --query"}
		}
	}
	return Finding{}
}

func (d doctor) session(ctx context.Context) Finding {
	if readBuilt(d.v, d.c).Out == "" { // it comes with the first one
		return Finding{}
	}
	return d.pending(ctx, "session", "the desktop and your units do not find what Nix has", session{d.f, d.c})
}

func (d doctor) linger(ctx context.Context) Finding {
	c := *d.c
	c.GPUSetup, c.NoRoot = false, false
	return d.pending(ctx, "linger", "units of yours end when you log out, and do not start with the host", sessionHost{d.f, &c})
}

// bus finds that the generation's units cannot be started now.
func (d doctor) bus(context.Context) Finding {
	g := generation{d.c, readBuilt(d.v, d.c).Out}
	if !d.f.Systemd || g.out == "" || !nonEmpty(d.v, g.out+"/home-files/.config/systemd/user") || exists(d.v, fmt.Sprintf("/run/user/%d/systemd", d.c.UID)) {
		return Finding{}
	}
	return Finding{"user units", Warning, "no systemd runs for " + d.c.User, "after su, or in a container, nobody has started it; units start at the next login", "sudo systemctl start user@" + fmt.Sprint(d.c.UID) + ".service"}
}

// gpu compares the graphics drivers of the generation with those that programs find.
func (d doctor) gpu(context.Context) Finding {
	g := generation{d.c, readBuilt(d.v, d.c).Out}
	drivers := g.drivers(d.v)
	if drivers == "" || d.f.Platform == distro.NixOS {
		return Finding{}
	}
	kernel := regexp.MustCompile(`Module\S*\s+(?:for \S+\s+)?([0-9]+\.[0-9.]+)`).FindStringSubmatch(readText(d.v, "/proc/driver/nvidia/version"))
	entries, err := d.v.ReadDir(drivers + "/lib")
	for _, e := range entries {
		version, ok := strings.CutPrefix(e.Name(), "libGLX_nvidia.so.")
		if err == nil && ok && kernel != nil && strings.Contains(version, ".") && version != kernel[1] {
			return Finding{"graphics", Warning, fmt.Sprintf("the kernel has NVIDIA's driver %s, the generation %s", kernel[1], version), "programs of Nix start without OpenGL and Vulkan",
				fmt.Sprintf("set targets.genericLinux.gpu.nvidia.version = %q and its sha256 in the home repo, then: movein apply --gpu-setup", kernel[1])}
		}
	}
	if linked(d.v, driversLink) == drivers {
		return Finding{}
	}
	return Finding{"graphics", Warning, driversLink + " does not lead to the generation's drivers", "programs of Nix start without OpenGL and Vulkan", "movein apply --gpu-setup (it runs, as root: " + g.gpuSetup() + ")"}
}

// browsers finds programs whose sandbox AppArmor does not let them make.
func (d doctor) browsers(context.Context) Finding {
	if strings.TrimSpace(readText(d.v, "/proc/sys/kernel/apparmor_restrict_unprivileged_userns")) != "1" {
		return Finding{}
	}
	g := generation{d.c, readBuilt(d.v, d.c).Out}
	for _, name := range []string{"brave", "chromium", "google-chrome-stable", "vivaldi", "code", "codium", "element-desktop", "signal-desktop", "discord"} {
		if bin := g.out + "/home-path/bin/" + name; g.out != "" && exists(d.v, bin) {
			return Finding{"apparmor", Warning, name + " may not make its sandbox", "AppArmor lets only programs that it knows use user namespaces, and knows none of the store's",
				`printf 'abi <abi/4.0>,\nprofile nix-store /nix/store/** flags=(unconfined) { userns, }\n' | sudo tee /etc/apparmor.d/nix-store; sudo apparmor_parser -r /etc/apparmor.d/nix-store`}
		}
	}
	return Finding{}
}

// locale finds that programs of Nix have no locale.
func (d doctor) locale(context.Context) Finding {
	lang := readText(d.v, "/etc/locale.conf") + readText(d.v, "/etc/default/locale")
	_, lang, _ = strings.Cut(lang, "LANG=")
	lang, _, _ = strings.Cut(lang, "\n")
	lang = strings.Trim(lang, `"'`)
	out := readBuilt(d.v, d.c).Out
	vars := readText(d.v, out+"/home-path/etc/profile.d/hm-session-vars.sh") + readText(d.v, filepath.Join(d.c.ConfigHome, "environment.d/10-home-manager.conf"))
	if d.f.Platform == distro.NixOS || out == "" || lang == "" || strings.HasPrefix(lang, "C") || lang == "POSIX" || exists(d.v, localeArchive) || strings.Contains(vars, "LOCALE_ARCHIVE") {
		return Finding{}
	}
	return Finding{"locale", Warning, "programs of Nix do not know the locale " + lang, "there is no " + localeArchive, "set targets.genericLinux.enable = true in the home repo, or: sudo localedef -i " + strings.TrimSuffix(lang, ".UTF-8") + " -f UTF-8 " + lang}
}

// denials finds what SELinux has denied Nix since the boot.
func (d doctor) denials(ctx context.Context) Finding {
	if d.f.SELinux != "enforcing" {
		return Finding{}
	}
	res, err := d.v.Query(ctx, &host.Cmd{Args: []string{"journalctl", "--boot", "--quiet", "--no-pager", "--lines", "1", "--output", "cat", "_TRANSPORT=audit", "--grep", `avc: +denied.*["/]nix`}})
	if said := strings.TrimSpace(string(res.Stdout)); err == nil && said != "" {
		return Finding{"selinux", Warning, "SELinux denies: " + said, "labels in the store are not those of programs", "sudo restorecon -RF /nix; then: movein apply"}
	}
	return Finding{}
}

// proxy finds that the daemon, which downloads, does not know of the proxy.
func (d doctor) proxy(context.Context) Finding {
	const dir = unitDir + "/" + daemonUnit + ".d"
	entries, err := d.v.ReadDir(dir)
	for _, e := range entries {
		if text := readText(d.v, dir+"/"+e.Name()); err == nil && (strings.Contains(text, "_proxy") || strings.Contains(text, "/etc/environment")) {
			return Finding{}
		}
	}
	if !d.f.Systemd || len(d.c.Proxies) == 0 || d.f.Platform == distro.NixOS {
		return Finding{}
	}
	name := d.c.Proxies[0]
	return Finding{"proxy", Warning, "your " + name + " is not the Nix daemon's", "the daemon downloads, and its service does not see your environment",
		fmt.Sprintf(`sudo mkdir -p %s; printf '[Service]\nEnvironment="%s=%%s"\n' "$%s" | sudo tee %s/proxy.conf; sudo systemctl daemon-reload; sudo systemctl restart %s`, dir, name, name, dir, daemonUnit)}
}
