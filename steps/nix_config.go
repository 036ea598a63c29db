package steps

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"syscall"

	"movein/bootstrap"
	"movein/bootstrap/host"
	"movein/distro"
)

// nixConfig keeps movein's keys in a file of its own, which the host's nix.conf
// includes. Lines of others are never changed.
type nixConfig struct {
	f *distro.Facts
	c *Config
}

const (
	nixConf     = "/etc/nix/nix.conf"
	nixCustom   = "/etc/nix/nix.custom.conf" // what Determinate Nix leaves to the owner of the host
	ownConf     = "/etc/nix/movein.conf"
	includeLine = "!include movein.conf" // relative to the including file; no error if it is missing
	profileHook = "/etc/profile.d/movein-nix.sh"
)

const ownConfText = ownMark + `. Your own settings go into nix.conf: what stands
# after its line "` + includeLine + `" wins.
extra-experimental-features = nix-command flakes
`

// text is what ownConf is to be. Where files have labels, equal ones are not made one: they
// may need different ones.
func (s nixConfig) text() string {
	if usesSELinux(s.f) {
		return ownConfText + "auto-optimise-store = false\n"
	}
	return ownConfText
}

// profileHookText puts Nix into the PATH of login shells. It is harmless when /nix is not mounted.
const profileHookText = ownMark + `: Nix for login shells, of whatever kind.
if [ -e ` + defaultProfile + `/etc/profile.d/nix-daemon.sh ]; then
  . ` + defaultProfile + `/etc/profile.d/nix-daemon.sh
fi
for movein_dir in ` + defaultProfile + ` "$HOME/.nix-profile"; do
  case ":$PATH:" in *":$movein_dir/bin:"*) ;; *) [ ! -d "$movein_dir/bin" ] || PATH=$movein_dir/bin:$PATH ;; esac
  case ":${XDG_DATA_DIRS:=/usr/local/share:/usr/share}:" in *":$movein_dir/share:"*) ;; *) XDG_DATA_DIRS=$movein_dir/share:$XDG_DATA_DIRS ;; esac
done
unset movein_dir
export PATH XDG_DATA_DIRS
if [ -z "${LOCALE_ARCHIVE-}" ] && [ -e ` + localeArchive + ` ]; then export LOCALE_ARCHIVE=` + localeArchive + `; fi
`

func (nixConfig) Info() bootstrap.Info {
	return bootstrap.Info{Name: "nix-config", Title: "Nix settings", Needs: []string{"nix-install"}, As: bootstrap.Root}
}

func (s nixConfig) Plan(ctx context.Context, v host.View) (bootstrap.Change, error) {
	if s.f.Platform == distro.NixOS {
		return nil, bootstrap.Skip("NixOS writes nix.conf itself; flakes are turned on for what movein runs")
	}
	var change bootstrap.Change
	if readText(v, ownConf) != s.text() {
		change = append(change, write(v, ownConf))
	}
	conf := s.including(ctx, v)
	text, err := v.ReadFile(conf)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if !includes(string(text)) {
		change = append(change, bootstrap.Action{Verb: "add", Target: conf, Reason: "the line " + includeLine})
	}
	if s.hooks(v) && readText(v, profileHook) != profileHookText {
		change = append(change, write(v, profileHook))
	}
	return change, nil
}

// including is the file that the include line goes into.
func (s nixConfig) including(ctx context.Context, v host.View) string {
	if detectNix(ctx, v, s.f, s.c).Kind == nixDeterminate {
		return nixCustom
	}
	return nixConf
}

// hooks reports whether login shells find Nix by our hook: not if the package
// manager or another installer cares for that.
func (s nixConfig) hooks(v host.View) bool {
	for _, file := range []string{"/etc/profile.d/nix.sh", "/etc/profile.d/nix-daemon.sh"} {
		if exists(v, file) {
			return false
		}
	}
	return exists(v, "/etc/profile.d") && !strings.Contains(readText(v, "/etc/bash.bashrc")+readText(v, "/etc/bashrc"), "nix-daemon.sh")
}

func (s nixConfig) Apply(ctx context.Context, h host.Host, _ bootstrap.Change) error {
	if readText(h, ownConf) != s.text() {
		if err := writeOwned(h, ownConf, s.text(), 0o644); err != nil {
			return err
		}
	}
	if err := addInclude(h, s.including(ctx, h)); err != nil {
		return err
	}
	if s.hooks(h) && readText(h, profileHook) != profileHookText {
		if err := writeOwned(h, profileHook, profileHookText, 0o644); err != nil {
			return err
		}
	}
	if !s.f.Systemd {
		return nil
	}
	// A daemon that runs has read its settings when it started.
	if _, err := h.Query(ctx, &host.Cmd{Args: []string{"systemctl", "is-active", "--quiet", daemonUnit}}); err != nil {
		return nil //nolint:nilerr // it does not run
	}
	// systemd refuses the sixth start within ten seconds, whatever it is for.
	for _, verb := range []string{"reset-failed", "restart"} {
		if _, err := h.Run(ctx, &host.Cmd{Args: []string{"systemctl", verb, daemonUnit}}); err != nil {
			return bootstrap.Hint(fmt.Errorf("making the Nix daemon read its settings: %w", err), "look with: systemctl status %s", daemonUnit)
		}
	}
	return nil
}

// addInclude adds our line to a nix.conf whose every byte, owner and mode stay as they are.
func addInclude(h host.Host, conf string) error {
	text, err := h.ReadFile(conf)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("adding to it: %w", err)
	}
	if includes(string(text)) {
		return nil
	}
	if target, ok := isLink(h, conf); ok {
		return bootstrap.Hint(bootstrap.Refuse("%s is a link to %s, so something else writes it", conf, target), "add the line %q there and run the same command again", includeLine)
	}
	if len(text) > 0 && text[len(text)-1] != '\n' {
		text = append(text, '\n')
	}
	return rewrite(h, conf, string(text)+includeLine+"\n")
}

// rewrite gives a file of somebody else's another text; owner and mode stay, for it may
// hold secrets.
func rewrite(h host.Host, name, text string) error {
	perm, st := fs.FileMode(0o644), &syscall.Stat_t{}
	if info, err := h.Lstat(name); err == nil {
		perm = info.Mode().Perm()
		st, _ = info.Sys().(*syscall.Stat_t)
	}
	if err := h.WriteFile(name, []byte(text), perm); err != nil || st == nil || st.Uid == 0 && st.Gid == 0 {
		return err
	}
	return h.Own(name, int(st.Uid), int(st.Gid), perm)
}

// includes reports whether a nix.conf includes ours.
func includes(conf string) bool {
	for line := range strings.Lines(conf) {
		line, _, _ = strings.Cut(line, "#")
		fields := strings.Fields(line)
		if len(fields) != 2 || fields[0] != "include" && fields[0] != "!include" {
			continue
		}
		name := fields[1]
		if !filepath.IsAbs(name) {
			name = filepath.Join(filepath.Dir(nixConf), name)
		}
		if filepath.Clean(name) == ownConf {
			return true
		}
	}
	return false
}

// write is the action of writing a file whole.
func write(v host.View, name string) bootstrap.Action {
	if !exists(v, name) {
		return bootstrap.Action{Verb: "write", Target: name}
	}
	return bootstrap.Action{Verb: "rewrite", Target: name, Reason: "is not as movein wrote it"}
}
