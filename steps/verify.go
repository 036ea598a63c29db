package steps

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"movein/bootstrap"
	"movein/bootstrap/host"
	"movein/distro"
	"movein/steps/home"
)

// verify looks at the result as the user will meet it. It changes nothing: what
// it finds is an error of the run.
type verify struct {
	f *distro.Facts
	c *Config
}

func (verify) Info() bootstrap.Info {
	return bootstrap.Info{Name: "verify", Title: "Checks", Needs: []string{"home-activate", "secrets", "session", "session-host"}}
}

// Plan lists the checks that fail now.
func (s verify) Plan(ctx context.Context, v host.View) (bootstrap.Change, error) {
	var err error
	if s.c, err = s.c.withRepo(v); err != nil {
		return nil, err
	}
	if b := readBuilt(v, s.c); b.Out == "" || s.c.activeGeneration(v) != b.Out {
		return bootstrap.Change{{Verb: "check", Target: "the home", Reason: "once it is activated"}}, nil
	}
	var change bootstrap.Change
	for _, f := range s.failing(ctx, v) {
		change = append(change, bootstrap.Action{Verb: "check", Target: f.what, Reason: f.err.Error()})
	}
	return change, nil
}

// Apply runs the checks again.
func (s verify) Apply(ctx context.Context, h host.Host, _ bootstrap.Change) error {
	var err error
	if s.c, err = s.c.withRepo(h); err != nil {
		return err
	}
	var errs []error
	for _, f := range s.failing(ctx, h) {
		errs = append(errs, bootstrap.Hint(fmt.Errorf("%s: %w", f.what, f.err), "%s", f.hint))
	}
	return errors.Join(errs...)
}

type failing struct {
	what string
	err  error
	hint string
}

func (s verify) failing(ctx context.Context, v host.View) (out []failing) {
	add := func(what string, err error, hint string) {
		if err != nil {
			out = append(out, failing{what, err, hint})
		}
	}
	b := readBuilt(v, s.c)
	g := generation{s.c, b.Out}
	var err error
	if active := s.c.activeGeneration(v); active == "" || active != b.Out {
		err = fmt.Errorf("the profile leads to %q, not to %q", active, b.Out)
	}
	add("generation active", err, "run: movein apply --only home-activate")
	add("home links live", s.links(ctx, v, g), "run: movein apply --only home-activate")
	add("Nix answers", s.nix(ctx, v), "look with: movein doctor")
	add("user units", s.units(ctx, v, g), "look with: systemctl --user status, journalctl --user --boot")
	for _, check := range s.c.Verify {
		_, err := v.Query(ctx, &host.Cmd{Args: check.Run, Dir: s.c.Home})
		add(check.Name, err, check.Hint)
	}
	return out
}

// links finds links of the home that lead nowhere. One that the generation has lead
// out of the store is what the user wants, whether or not there is something now.
func (s verify) links(ctx context.Context, v host.View, g generation) error {
	leaves, err := g.leaves(v)
	if err != nil {
		return err
	}
	c, err := homeActivate(s).compare(ctx, v, g, "", nil)
	right := err == nil && len(c.items) == 0 && len(c.suppressed) == 0 // all lead to the generation's files
	var dead []string
	for _, l := range leaves {
		if right && l.file {
			continue
		}
		name := s.c.Home + "/" + l.rel
		target, ok := isLink(v, name)
		if !ok && !exists(v, name) {
			continue // home-activate makes it
		}
		if target == l.target && l.file {
			continue // as most are, and there is no need to open it
		}
		end := endOf(v, name)
		if !exists(v, end) && (strings.HasPrefix(end, nixStore+"/") || end != endOf(v, l.target)) {
			dead = append(dead, home.Shown(l.rel))
		}
	}
	if len(dead) > 0 {
		return fmt.Errorf("these lead nowhere: %s", few(dead))
	}
	return nil
}

func (s verify) nix(ctx context.Context, v host.View) error {
	if nix := detectNix(ctx, v, s.f, s.c); s.c.UID == 0 || nix.Kind == nixSingle {
		return nil // the store is opened without a daemon
	}
	_, err := v.Daemon(ctx, nixSocket)
	return err
}

// units asks for failed user units, if the generation has units and a user manager runs.
func (s verify) units(ctx context.Context, v host.View, g generation) error {
	if !s.f.Systemd || !nonEmpty(v, g.out+"/home-files/.config/systemd/user") || !exists(v, fmt.Sprintf("/run/user/%d/systemd", s.c.UID)) {
		return nil
	}
	res, err := v.Query(ctx, &host.Cmd{Args: []string{"systemctl", "--user", "list-units", "--failed", "--plain", "--no-legend", "--no-pager"}, Env: s.c.bus(v)})
	if err != nil {
		return nil //nolint:nilerr // no session to ask
	}
	var failed []string
	for line := range strings.Lines(string(res.Stdout)) {
		if unit, _, _ := strings.Cut(strings.TrimSpace(line), " "); unit != "" && exists(v, g.out+"/home-files/.config/systemd/user/"+unit) {
			failed = append(failed, unit)
		}
	}
	if len(failed) > 0 {
		return fmt.Errorf("failed: %s", few(failed))
	}
	return nil
}
