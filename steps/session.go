package steps

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"movein/bootstrap"
	"movein/bootstrap/host"
	"movein/distro"
)

// session lets the user's units, desktop and programs find what the generation brings.
// Login shells are nixConfig's.
type session struct {
	f *distro.Facts
	c *Config
}

func (session) Info() bootstrap.Info {
	return bootstrap.Info{Name: "session", Title: "Session", Needs: []string{"home-activate"}}
}

const (
	sessionMark = "Written by movein"
	unitsFile   = "environment.d/60-movein.conf"
	plasmaFile  = "plasma-workspace/env/movein.sh"
	fontsFile   = "fontconfig/conf.d/60-movein.conf"
	menuCommand = "kbuildsycoca6"
	flakesLine  = "extra-experimental-features = nix-command flakes"
)

// sessionFiles are all that there may be, below the directory of settings.
var sessionFiles = []string{unitsFile, plasmaFile, fontsFile}

// files are those that the session needs, by name: none of what the generation brings itself.
func (s session) files(v host.View, g generation) map[string]string {
	out := map[string]string{}
	put := func(rel, text string) {
		name := filepath.Join(s.c.ConfigHome, rel)
		link := false // on the way: what is there may be anybody's repository
		for dir := name; dir != s.c.Home && dir != "/"; dir = filepath.Dir(dir) {
			_, isOne := isLink(v, dir)
			link = link || isOne
		}
		claimed := exists(v, g.out+"/home-files/"+strings.TrimPrefix(name, s.c.Home+"/"))
		if text != "" && !link && !claimed && (!exists(v, name) || strings.Contains(head(v, name), sessionMark)) {
			out[name] = text
		}
	}
	if s.f.Platform == distro.NixOS {
		return out
	}
	vars := s.variables(v)
	if s.f.Systemd && len(vars) > 0 {
		put(unitsFile, "# "+sessionMark+": where units and the desktop find what Nix has.\n"+strings.Join(vars, "\n")+"\n")
	}
	if len(vars) > 0 && s.plasma(v) {
		put(plasmaFile, "# "+sessionMark+": where Plasma finds what Nix has.\nexport "+strings.Join(vars, "\nexport ")+"\n")
	}
	if nonEmpty(v, g.out+"/home-path/share/fonts") && !s.fontsKnown(v) {
		put(fontsFile, fmt.Sprintf("<!-- %s: the generation's fonts. -->\n<!DOCTYPE fontconfig SYSTEM \"urn:fontconfig:fonts.dtd\">\n<fontconfig>\n  <dir>%s/share/fonts</dir>\n</fontconfig>\n",
			sessionMark, s.profile(v, s.c.Home)))
	}
	return out
}

func head(v host.View, name string) string {
	data, err := v.ReadHead(name, 80)
	if err != nil {
		return ""
	}
	return string(data)
}

// profile is the user's profile, below home.
func (s session) profile(v host.View, home string) string {
	if rest, below := strings.CutPrefix(s.c.StateHome, s.c.Home+"/"); below && !exists(v, s.c.Home+"/.nix-profile") && exists(v, s.c.StateHome+"/nix/profile") {
		return home + "/" + rest + "/nix/profile"
	}
	return home + "/.nix-profile"
}

// variables are the assignments that home-manager's own file does not have, in the words
// of environment.d(5), which are also the shell's.
func (s session) variables(v host.View) (vars []string) {
	theirs := readText(v, filepath.Join(s.c.ConfigHome, "environment.d/10-home-manager.conf"))
	profile := s.profile(v, "$HOME")
	add := func(name, value string) {
		if !strings.Contains("\n"+theirs, "\n"+name) {
			vars = append(vars, name+"="+value)
		}
	}
	add("PATH", profile+"/bin:"+defaultProfile+"/bin:${PATH:-/usr/local/bin:/usr/bin:/bin}")
	add("XDG_DATA_DIRS", profile+"/share:"+defaultProfile+"/share:${XDG_DATA_DIRS:-/usr/local/share:/usr/share}")
	if exists(v, localeArchive) {
		add("LOCALE_ARCHIVE", localeArchive)
	}
	return vars
}

// localeArchive is the host's, which Nix's programs do not look for themselves.
const localeArchive = "/usr/lib/locale/locale-archive"

func (session) plasma(v host.View) bool {
	return exists(v, "/usr/bin/plasmashell") || exists(v, "/usr/bin/startplasma-wayland")
}

// fontsKnown reports whether a file of somebody else's has fontconfig look into the profile.
func (s session) fontsKnown(v host.View) bool {
	dir := filepath.Join(s.c.ConfigHome, "fontconfig/conf.d")
	entries, err := v.ReadDir(dir)
	return err == nil && slices.ContainsFunc(entries, func(e fs.DirEntry) bool {
		text := readText(v, filepath.Join(dir, e.Name()))
		return strings.Contains(text, "nix-profile") && !strings.Contains(text, sessionMark)
	})
}

// menuStale reports whether Plasma has a cache of programs that is older than the
// user's profile. Where there is none, Plasma makes one when it starts.
func (s session) menuStale(v host.View, g generation) bool {
	if _, err := v.LookPath(menuCommand); err != nil || !nonEmpty(v, g.out+"/home-path/share/applications") {
		return false
	}
	entries, err := v.ReadDir(s.c.CacheHome)
	if err != nil {
		return false
	}
	var cached time.Time
	for _, e := range entries {
		if info, err := e.Info(); err == nil && strings.HasPrefix(e.Name(), "ksycoca6") && info.ModTime().After(cached) {
			cached = info.ModTime()
		}
	}
	info, err := v.Lstat(s.c.profile(v))
	return err == nil && !cached.IsZero() && info.ModTime().After(cached)
}

func (s session) Plan(_ context.Context, v host.View) (change bootstrap.Change, err error) {
	g := generation{s.c, s.c.activeGeneration(v)}
	files := s.files(v, g)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if readText(v, name) != files[name] {
			change = append(change, write(v, name))
		}
	}
	if s.menuStale(v, g) {
		change = append(change, bootstrap.Action{Verb: "refresh", Target: "the menu of programs"})
	}
	if s.lacksFlakes(v) {
		change = append(change, bootstrap.Action{Verb: "add", Target: s.userConf(), Reason: "the line " + flakesLine})
	}
	return change, nil
}

func (s session) userConf() string { return filepath.Join(s.c.ConfigHome, "nix/nix.conf") }

// lacksFlakes reports whether the user's own nix cannot do what home repos need. On
// other hosts than NixOS the settings are for everybody, and nixConfig's.
func (s session) lacksFlakes(v host.View) bool {
	_, link := isLink(v, s.userConf())
	return s.f.Platform == distro.NixOS && !s.c.flakes(v) && !link
}

func (s session) Apply(ctx context.Context, h host.Host, _ bootstrap.Change) error {
	g := generation{s.c, s.c.activeGeneration(h)}
	changed := false
	for name, text := range s.files(h, g) {
		if readText(h, name) == text {
			continue
		}
		changed = changed || !strings.Contains(name, "/fontconfig/")
		if err := s.write(h, name, text); err != nil {
			return err
		}
	}
	if manager := fmt.Sprintf("/run/user/%d/systemd", s.c.UID); changed && exists(h, manager) {
		h.Warn("programs that run already learn of the new PATH and XDG_DATA_DIRS when you log in again")
		if _, err := h.Run(ctx, &host.Cmd{Args: []string{"systemctl", "--user", "daemon-reload"}, Env: s.c.bus(h)}); err != nil {
			h.Warn("units of yours learn of them then too: %v", err)
		}
	}
	if s.menuStale(h, g) { // without the prefix the system's programs are left out
		dirs := "XDG_DATA_DIRS=" + s.profile(h, s.c.Home) + "/share:" + defaultProfile + "/share:/usr/local/share:/usr/share"
		if _, err := h.Run(ctx, &host.Cmd{Args: []string{menuCommand, "--noincremental"}, Env: []string{"XDG_MENU_PREFIX=plasma-", dirs}}); err != nil {
			return bootstrap.Hint(err, "Plasma does it itself at the next login")
		}
	}
	if !s.lacksFlakes(h) {
		return nil
	}
	text, err := h.ReadFile(s.userConf())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if len(text) > 0 && text[len(text)-1] != '\n' {
		text = append(text, '\n')
	}
	if err := h.MkdirAll(filepath.Dir(s.userConf()), 0o755); err != nil {
		return err
	}
	return rewrite(h, s.userConf(), string(text)+flakesLine+"\n")
}

// write writes a file; what was in it is kept.
func (s session) write(h host.Host, name, text string) error {
	old, err := h.ReadFile(name)
	if err == nil {
		kept := filepath.Join(s.c.State(), "session", h.Now().UTC().Format("20060102T150405.000Z")+"-"+filepath.Base(name))
		if err := h.MkdirAll(filepath.Dir(kept), 0o700); err != nil {
			return err
		}
		if err := h.WriteFile(kept, old, 0o600); err != nil {
			return err
		}
		h.Warn("what was in %s is kept as %s", name, kept)
	}
	if err := h.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return h.WriteFile(name, []byte(text), 0o644)
}

// bus are the variables by which systemctl --user finds the user's systemd, which
// su, sudo, ssh without PAM and Ansible do not set; none if it does not run.
func (c *Config) bus(v host.View) []string {
	dir := fmt.Sprintf("/run/user/%d", c.UID)
	if !exists(v, dir) {
		return nil
	}
	env := []string{"XDG_RUNTIME_DIR=" + dir}
	if exists(v, dir+"/bus") {
		env = append(env, "DBUS_SESSION_BUS_ADDRESS=unix:path="+dir+"/bus")
	}
	return env
}
