package steps

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"movein/bootstrap"
	"movein/bootstrap/host"
	"movein/distro"
)

// sessionHost is what a generation needs of the host's root beside Nix: that the user's
// units run without a login, and drivers where its programs look for them.
type sessionHost struct {
	f *distro.Facts
	c *Config
}

const (
	lingerDir    = "/var/lib/systemd/linger"
	lingerRecord = "/var/lib/movein/linger" // has the names of users for whom movein turned it on
	driversLink  = "/run/opengl-driver"
)

func (sessionHost) Info() bootstrap.Info {
	return bootstrap.Info{Name: "session-host", Title: "Session's host", Needs: []string{"home-activate"}, As: bootstrap.Root}
}

func (s sessionHost) Plan(_ context.Context, v host.View) (change bootstrap.Change, err error) {
	if s.f.Platform == distro.NixOS || !s.f.Systemd {
		return nil, bootstrap.Skip("the generation needs nothing of this host's root")
	}
	g := generation{s.c, s.c.activeGeneration(v)}
	if unit := g.lingers(v); unit != "" && !exists(v, lingerDir+"/"+s.c.User) {
		change = append(change, bootstrap.Action{Verb: "enable", Target: "lingering of " + s.c.User, Reason: unit + " is to run without a login"})
	}
	if drivers := g.drivers(v); s.c.GPUSetup && drivers != "" && drivers != linked(v, driversLink) {
		change = append(change, bootstrap.Action{Verb: "run", Target: g.gpuSetup(), Reason: "the graphics drivers are not those of the generation"})
	}
	if s.c.NoRoot && len(change) > 0 {
		v.Warn("left out, because --no-root says so: %s %s; as root: loginctl enable-linger %s", change[0].Verb, change[0].Target, s.c.User)
		return nil, nil
	}
	return change, nil
}

func linked(v host.View, name string) string {
	target, _ := isLink(v, name)
	return target
}

// lingers names a unit that is to run whether or not the user is logged in: one that
// wants to be started with the user's systemd, and not with a desktop. "" if there is none.
func (g generation) lingers(v host.View) string {
	for _, target := range []string{"default", "timers", "sockets"} {
		entries, err := v.ReadDir(g.out + "/home-files/.config/systemd/user/" + target + ".target.wants")
		if err == nil && len(entries) > 0 {
			return entries[0].Name()
		}
	}
	return ""
}

// gpuSetup is the program by which home-manager's targets.genericLinux.gpu sets up drivers.
func (g generation) gpuSetup() string { return g.out + "/home-path/bin/non-nixos-gpu-setup" }

// drivers are those that the generation has, as its activation compares them with
// the host's; "" if it has none.
func (g generation) drivers(v host.View) string {
	if !exists(v, g.gpuSetup()) {
		return ""
	}
	_, rest, _ := strings.Cut(readText(v, g.out+"/activate"), "\nnew="+nixStore+"/")
	name, _, found := strings.Cut(rest, "\n")
	if !found {
		return ""
	}
	return nixStore + "/" + strings.TrimSpace(name)
}

func (s sessionHost) Apply(ctx context.Context, h host.Host, _ bootstrap.Change) error {
	g := generation{s.c, s.c.activeGeneration(h)}
	if g.lingers(h) != "" && !exists(h, lingerDir+"/"+s.c.User) {
		// First the record: one of ours that is not remembered would stay for ever.
		record := filepath.Join(lingerRecord, s.c.User)
		if err := h.MkdirAll(lingerRecord, 0o755); err != nil {
			return err
		}
		if err := h.WriteFile(record, nil, 0o644); err != nil {
			return err
		}
		if _, err := h.Run(ctx, &host.Cmd{Args: []string{"loginctl", "enable-linger", s.c.User}}); err != nil {
			return bootstrap.Hint(fmt.Errorf("having units of %s run without a login: %w", s.c.User, err), "look with: loginctl user-status %s; or leave it out: movein apply --skip session-host", s.c.User)
		}
	}
	if drivers := g.drivers(h); s.c.GPUSetup && drivers != "" && drivers != linked(h, driversLink) {
		if _, err := h.Run(ctx, &host.Cmd{Args: []string{g.gpuSetup()}}); err != nil {
			return bootstrap.Hint(fmt.Errorf("setting up the graphics drivers: %w", err), "leave it out: movein apply --gpu-setup=false")
		}
	}
	return nil
}
