package steps

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"movein/bootstrap"
	"movein/bootstrap/host"
	"movein/distro"
	"movein/embed"
)

// nixDaemon makes the Nix daemon answer: by real unit files under systemd, as a
// process of its own without it.
type nixDaemon struct {
	f *distro.Facts
	c *Config
}

const (
	unitDir    = "/etc/systemd/system"
	socketUnit = "nix-daemon.socket"
	daemonUnit = "nix-daemon.service"
	proxyFile  = unitDir + "/" + daemonUnit + ".d/movein-proxy.conf"
	daemonLog  = "/var/log/nix-daemon.log"
)

// Under another init than systemd.
const (
	keeperFile   = "/var/lib/movein/nix-daemon" // keeps a daemon running
	openrcScript = "/etc/init.d/nix-daemon"
	openrcLink   = "/etc/runlevels/default/nix-daemon"
)

func (nixDaemon) Info() bootstrap.Info {
	return bootstrap.Info{Name: "nix-daemon", Title: "Nix daemon", Needs: []string{"nix-install", "nix-config", "selinux", "wsl"}, As: bootstrap.Root, Exclusive: "nix-store"}
}

// Ask says hello to the daemon ahead of who asks it: it takes a while to answer.
func (nixDaemon) Ask(ctx context.Context, v host.View) {
	v.Daemon(ctx, nixSocket) //nolint:errcheck // Plan tells
}

func (s nixDaemon) Plan(ctx context.Context, v host.View) (bootstrap.Change, error) {
	nix := detectNix(ctx, v, s.f, s.c)
	switch {
	case s.f.Platform == distro.NixOS:
		return nil, bootstrap.Skip("NixOS runs the daemon itself")
	case nix.Kind == nixSingle:
		return nil, bootstrap.Skip("this Nix belongs to one user and needs no daemon")
	case !s.f.Systemd && s.c.UID == 0:
		return nil, bootstrap.Skip("root opens the store itself, and there is no systemd")
	}
	_, err := v.Daemon(ctx, nixSocket)
	if pending, _ := wsl(s).Plan(ctx, v); len(pending) > 0 {
		f := *s.f
		f.Systemd = true // that is waited for
		s.f = &f
	}
	if !s.f.Systemd {
		change, berr := s.atBoot(v, nix, err != nil)
		if err != nil {
			change = append(change, bootstrap.Action{Verb: "start", Target: "nix-daemon", Reason: "does not answer; its log is " + daemonLog})
		}
		return change, berr
	}
	change := s.units(v, nix)
	if err != nil {
		if foreign := s.foreign(v, nix); foreign != "" {
			return nil, bootstrap.Hint(bootstrap.Refuse("the daemon does not answer, and %s is not movein's to replace", foreign),
				"look with: systemctl status nix-daemon.socket nix-daemon.service; if the file is not wanted, remove it and run the same command again")
		}
		change = append(change, bootstrap.Action{Verb: "start", Target: socketUnit, Reason: "the daemon does not answer"})
	}
	return change, nil
}

// ownUnits are the unit files that movein writes. None if somebody else brings units that work.
func (s nixDaemon) ownUnits(v host.View, nix nixState) map[string]string {
	if nix.Kind == nixDistro && (exists(v, "/usr/lib/systemd/system/"+socketUnit) || exists(v, "/lib/systemd/system/"+socketUnit)) || nix.Kind == nixDeterminate {
		return nil
	}
	bin := defaultProfile + "/bin/nix-daemon"
	if nix.Kind == nixDistro {
		bin = filepath.Join(filepath.Dir(nix.Bin), "nix-daemon")
	}
	units := map[string]string{
		unitDir + "/" + socketUnit: embed.Unit(socketUnit),
		unitDir + "/" + daemonUnit: strings.ReplaceAll(embed.Unit(daemonUnit), "@nix-daemon@", bin),
	}
	if strings.Contains(strings.ToLower(readText(v, "/etc/environment")), "_proxy=") { // the daemon downloads
		units[proxyFile] = ownMark + ": the host's proxy.\n[Service]\nEnvironmentFile=-/etc/environment\n"
	}
	return units
}

// units compares the unit files with the disk.
func (s nixDaemon) units(v host.View, nix nixState) (change bootstrap.Change) {
	for _, name := range []string{unitDir + "/" + socketUnit, unitDir + "/" + daemonUnit, proxyFile} {
		if text, ours := s.ownUnits(v, nix)[name]; ours && !s.acceptable(v, name, text) {
			change = append(change, write(v, name))
		}
	}
	if !enabled(v, socketUnit, "sockets.target") {
		change = append(change, bootstrap.Action{Verb: "enable", Target: socketUnit})
	}
	return change
}

// acceptable reports whether a unit file is ours as it should be, or one of
// somebody else's that leads somewhere.
func (nixDaemon) acceptable(v host.View, name, text string) bool {
	if target, link := isLink(v, name); link {
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(name), target)
		}
		return leads(v, name) && filepath.Clean(target) != "/dev/null"
	}
	return readText(v, name) == text || exists(v, name) && !isOwned(v, name)
}

// foreign names a unit file that is neither ours nor a link into the store.
func (s nixDaemon) foreign(v host.View, nix nixState) string {
	for name := range s.ownUnits(v, nix) {
		if _, link := isLink(v, name); !link && exists(v, name) && !isOwned(v, name) {
			return name
		}
	}
	return ""
}

// enabled reports whether the target wants the unit.
func enabled(v host.View, unit, target string) bool {
	for _, dir := range []string{unitDir, "/usr/lib/systemd/system", "/lib/systemd/system"} {
		if exists(v, dir+"/"+target+".wants/"+unit) {
			return true
		}
	}
	return false
}

func (s nixDaemon) Apply(ctx context.Context, h host.Host, _ bootstrap.Change) error {
	if err := h.MkdirAll(filepath.Dir(nixSocket), 0o755); err != nil {
		return err
	}
	nix := detectNix(ctx, h, s.f, s.c)
	if !s.f.Systemd {
		return s.spawn(ctx, h, nix)
	}
	rewritten := false
	for name, text := range s.ownUnits(h, nix) {
		if s.acceptable(h, name, text) {
			continue
		}
		if err := writeOwned(h, name, text, 0o644); err != nil {
			return err
		}
		rewritten = true
	}
	_, err := h.Daemon(ctx, nixSocket)
	if err != nil && !enabled(h, socketUnit, "sockets.target") {
		// Most often nothing is in the way: one command, which also reloads.
		if _, err := h.Run(ctx, &host.Cmd{Args: []string{"systemctl", "enable", "--quiet", "--now", socketUnit}}); err == nil && s.answers(ctx, h) {
			return nil
		}
	}
	cmds := [][]string{{"systemctl", "daemon-reload"}, {"systemctl", "enable", "--quiet", socketUnit}}
	if err != nil || rewritten {
		// A socket that is stopped takes its stale file along; a service that still
		// runs would keep the socket from starting.
		cmds = append(cmds, []string{"systemctl", "stop", daemonUnit, socketUnit},
			[]string{"systemctl", "reset-failed", daemonUnit, socketUnit},
			[]string{"systemctl", "start", socketUnit})
	}
	for _, args := range cmds {
		if _, err := h.Run(ctx, &host.Cmd{Args: args}); err != nil && args[1] != "reset-failed" {
			return bootstrap.Hint(fmt.Errorf("starting the Nix daemon: %w", err), "look with: systemctl status %s %s", socketUnit, daemonUnit)
		}
	}
	if err != nil || rewritten {
		s.answers(ctx, h) // whether it does is Plan's to say
	}
	return nil
}

// answers reports whether the daemon answers, which it may do late on a slow host, the first time.
func (nixDaemon) answers(ctx context.Context, v host.View) bool {
	for range 20 {
		_, err := v.Daemon(ctx, nixSocket)
		late, ok := errors.AsType[interface {
			error
			Timeout() bool
		}](err)
		if !ok || !late.Timeout() || ctx.Err() != nil {
			return err == nil
		}
	}
	return false
}
