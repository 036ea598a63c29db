package steps

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"movein/bootstrap"
	"movein/bootstrap/host"
	"movein/distro"
	"movein/embed"
)

// Where there is no systemd, OpenRC or the first command of WSL starts the daemon when
// the host starts; in a container nothing does, and the next run of movein has to.

// atBoot is what is missing for the daemon to be started with the host.
func (s nixDaemon) atBoot(v host.View, nix nixState, silent bool) (change bootstrap.Change, err error) {
	for name, text := range s.starter(v, nix, silent) {
		if readText(v, name) != text {
			change = append(change, write(v, name))
		}
	}
	switch {
	case s.f.Init == "openrc":
		if !exists(v, openrcLink) {
			change = append(change, bootstrap.Action{Verb: "enable", Target: openrcScript})
		}
	case s.f.Platform == distro.WSL:
		text, err := readConf(v)
		command, found := iniValue(text, "boot", "command")
		switch {
		case err != nil:
			return nil, err
		case !found:
			change = append(change, bootstrap.Action{Verb: "add", Target: wslConf, Reason: "[boot] command=" + keeperCommand})
		case !strings.Contains(command, "nix"):
			v.Warn("%s has another command in [boot], so nothing starts the Nix daemon when WSL starts; put it there too: %s; %s", wslConf, keeperCommand, command)
		}
	}
	return change, nil
}

const keeperCommand = "/bin/sh " + keeperFile

// starter is the file that starts the daemon. None if somebody else brings one, or if
// one answers that nothing can start with the host.
func (s nixDaemon) starter(v host.View, nix nixState, silent bool) map[string]string {
	name, unit := keeperFile, "nix-daemon.sh"
	if s.f.Init == "openrc" {
		name, unit = openrcScript, "nix-daemon.openrc"
	}
	switch {
	case name == openrcScript && exists(v, name) && !wroteOnce(v, name):
		return nil
	case name == keeperFile && s.f.Platform != distro.WSL && !exists(v, name) && !silent:
		return nil
	}
	return map[string]string{name: s.text(unit, nix)}
}

func (nixDaemon) text(unit string, nix nixState) string {
	bin := defaultProfile + "/bin"
	if nix.Kind == nixDistro {
		bin = filepath.Dir(nix.Bin)
	}
	return strings.ReplaceAll(embed.Unit(unit), "@bin@", bin)
}

// spawn starts a daemon where there is no systemd to do it. A second daemon would
// steal the socket of the first, so it is asked for first.
func (s nixDaemon) spawn(ctx context.Context, h host.Host, nix nixState) error {
	_, silent := h.Daemon(ctx, nixSocket)
	for name, text := range s.starter(h, nix, silent != nil) {
		if readText(h, name) == text {
			continue
		}
		if err := writeOwned(h, name, text, 0o755); err != nil {
			return err
		}
	}
	switch {
	case s.f.Init == "openrc" && !exists(h, openrcLink):
		if _, err := h.Run(ctx, &host.Cmd{Args: []string{"rc-update", "add", "nix-daemon", "default"}}); err != nil {
			return bootstrap.Hint(fmt.Errorf("having the Nix daemon started with the host: %w", err), "look with: rc-update show default")
		}
	case s.f.Platform == distro.WSL:
		if err := addToConf(h, "command", keeperCommand); err != nil {
			return err
		}
	}
	if silent == nil {
		return nil
	}
	if err := s.start(ctx, h); err != nil {
		return err
	}
	err := h.Await(ctx, "the Nix daemon to answer", func() bool {
		_, err := h.Daemon(ctx, nixSocket)
		return err == nil
	})
	if err != nil {
		return bootstrap.Hint(err, "look at its log (tail %s), then run the same command again", daemonLog)
	}
	return nil
}

func (s nixDaemon) start(ctx context.Context, h host.Host) error {
	if s.f.Init != "openrc" {
		return h.Spawn(&host.Cmd{Args: []string{"/bin/sh", keeperFile, "keep"}}, daemonLog)
	}
	// What OpenRC takes for running may have died.
	if _, err := h.Run(ctx, &host.Cmd{Args: []string{"rc-service", "nix-daemon", "restart"}}); err != nil {
		return bootstrap.Hint(fmt.Errorf("starting the Nix daemon: %w", err), "look with: rc-service nix-daemon status; tail %s", daemonLog)
	}
	return nil
}
