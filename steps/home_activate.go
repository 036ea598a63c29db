package steps

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"movein/bootstrap"
	"movein/bootstrap/host"
	"movein/distro"
)

// homeActivate makes the built generation the home's: profile, links, packages,
// units. If that fails, the home is given back as it was.
type homeActivate struct {
	f distro.Facts
	c Config
}

func (homeActivate) Info() bootstrap.Info {
	return bootstrap.Info{Name: "home-activate", Title: "Home", Needs: []string{"home-build", "dotfiles-repo"}, Exclusive: "nix-store"}
}

func (s homeActivate) Plan(ctx context.Context, v host.View) (bootstrap.Change, error) {
	var err error
	if s.c, err = s.c.withRepo(v); err != nil {
		return nil, err
	}
	b := readBuilt(v, s.c)
	if why := (homeBuild{s.f, s.c}).stale(ctx, v, b); why != "" {
		return bootstrap.Change{{Verb: "activate", Target: "the generation that home-build makes"}}, nil
	}
	g := generation{s.c, b.Out}
	var change bootstrap.Change
	if s.c.activeGeneration(v) != b.Out {
		change = append(change, bootstrap.Action{Verb: "activate", Target: b.Out, Reason: "is not the active generation"})
	} else if target, ok := isLink(v, s.c.current()); ok && target != b.Out || !ok && g.keepsCurrent(v) {
		change = append(change, bootstrap.Action{Verb: "activate", Target: b.Out, Reason: "was not activated to its end"})
	}
	leaves, err := g.leaves(v)
	if err != nil {
		return nil, fmt.Errorf("reading the generation: %w", err)
	}
	for _, l := range leaves {
		p, err := g.place(v, l)
		if err != nil {
			return nil, err
		}
		name := filepath.Join(s.c.Home, l.rel)
		switch p {
		case missing:
			change = append(change, bootstrap.Action{Verb: "link", Target: name})
		case ours:
			change = append(change, bootstrap.Action{Verb: "relink", Target: name, Reason: "leads to another generation"})
		case stranger:
			change = append(change, bootstrap.Action{Verb: "replace", Target: name, Reason: "what is there is kept in " + s.backups()})
		}
	}
	if !g.packagesKept(v) {
		change = append(change, bootstrap.Action{Verb: "install", Target: b.Out + "/home-path", Reason: "the packages are not in the user's profile"})
	}
	return change, nil
}

func (s homeActivate) backups() string { return filepath.Join(s.c.State(), "backups") }

func (s homeActivate) Apply(ctx context.Context, h host.Host, _ bootstrap.Change) error {
	b := readBuilt(h, s.c)
	if !exists(h, b.Out+"/activate") {
		return bootstrap.Hint(errors.New("no generation is built"), "run: movein apply")
	}
	g := generation{s.c, b.Out}
	aside, err := s.setAside(h, g)
	if err != nil {
		return errors.Join(err, aside.giveBack(h))
	}
	old := s.c.activeGeneration(h)
	if err = s.activate(ctx, h, g); err == nil {
		return nil
	}
	// The run may have been interrupted; what is begun is taken back all the same.
	return errors.Join(err, s.restore(context.WithoutCancel(ctx), h, g, old, aside))
}

// setAside moves everything of a stranger's that is in the generation's way to a
// backup of this run, which keeps it whole: content, mode, owner, times, attributes.
func (s homeActivate) setAside(h host.Host, g generation) (moved, error) {
	m := moved{dir: filepath.Join(s.backups(), h.Now().UTC().Format("20060102T150405.000Z"))}
	leaves, err := g.leaves(h)
	if err != nil {
		return m, err
	}
	for _, l := range leaves {
		p, err := g.place(h, l)
		if err != nil {
			return m, err
		}
		if p != stranger {
			continue
		}
		from, to := filepath.Join(s.c.Home, l.rel), filepath.Join(m.dir, l.rel)
		if err := h.MkdirAll(filepath.Dir(to), 0o700); err != nil {
			return m, fmt.Errorf("making a backup: %w", err)
		}
		if err := h.Rename(from, to); err != nil {
			return m, bootstrap.Hint(bootstrap.Exit(bootstrap.ExitRefused, fmt.Errorf("backing up %s: %w", from, err)),
				"nothing was replaced; move %s away yourself and run the same command again", from)
		}
		m.files = append(m.files, [2]string{from, to})
		h.Warn("%s was in the way and is kept as %s", from, to)
	}
	return m, nil
}

// moved is what was set aside, and from where.
type moved struct {
	dir   string
	files [][2]string // from, to
}

// giveBack moves everything to where it was, unless something else is there now.
func (m moved) giveBack(h host.Host) (err error) {
	for _, f := range m.files {
		if target, link := isLink(h, f[0]); link && managed.MatchString(target) {
			err = errors.Join(err, h.Remove(f[0]))
		}
		if !exists(h, f[0]) {
			err = errors.Join(err, h.Rename(f[1], f[0]))
		}
	}
	return err
}

// activate makes g the active generation: first a dry run, which changes nothing
// and finds most of what can go wrong; then the profile; then the real run, which
// is told that the profile is cared for (driver version 1).
func (s homeActivate) activate(ctx context.Context, h host.Host, g generation) error {
	if _, err := h.Run(ctx, s.script(g.out, "DRY_RUN=1")); err != nil {
		return s.explain("trying the activation", err)
	}
	profile := s.c.profile(h)
	if err := h.MkdirAll(filepath.Dir(profile), 0o755); err != nil {
		return err
	}
	if err := s.setProfile(ctx, h, g.out); err != nil {
		return err
	}
	if _, err := h.Run(ctx, s.script(g.out)); err != nil {
		return s.explain("activating the home", err)
	}
	return nil
}

func (s homeActivate) setProfile(ctx context.Context, h host.Host, out string) error {
	nix := detectNix(ctx, h, s.f, s.c)
	_, err := h.Run(ctx, host.Cmd{Args: []string{filepath.Join(filepath.Dir(nix.Bin), "nix-env"), "--profile", s.c.profile(h), "--set", out}})
	if err != nil {
		return fmt.Errorf("setting the home-manager profile: %w", err)
	}
	return nil
}

func (s homeActivate) script(out string, env ...string) host.Cmd {
	return host.Cmd{Args: []string{out + "/activate", "--driver-version", "1"}, Env: env, Dir: s.c.Home}
}

func (s homeActivate) explain(what string, err error) error {
	return bootstrap.Hint(fmt.Errorf("%s: %w", what, err), "the home is as it was; mend the home repo and run the same command again")
}

// restore gives the previous generation back, or none if there was none, and then
// what had been set aside.
func (s homeActivate) restore(ctx context.Context, h host.Host, g generation, old string, aside moved) error {
	var errs []error
	if old != "" && old != g.out && exists(h, old+"/activate") {
		errs = append(errs, s.setProfile(ctx, h, old))
		_, err := h.Run(ctx, s.script(old))
		errs = append(errs, err)
	} else if old == "" {
		errs = append(errs, s.unlink(h, g))
	}
	return errors.Join(append(errs, aside.giveBack(h))...)
}

// unlink takes back a first generation that could not be activated: its links and its profile.
func (s homeActivate) unlink(h host.Host, g generation) error {
	leaves, err := g.leaves(h)
	errs := []error{err}
	for _, l := range leaves {
		if p, err := g.place(h, l); err == nil && p == right {
			errs = append(errs, h.Remove(filepath.Join(s.c.Home, l.rel)))
		}
	}
	profile := s.c.profile(h)
	if link, ok := isLink(h, profile); ok {
		errs = append(errs, h.Remove(profile), h.Remove(filepath.Join(filepath.Dir(profile), filepath.Base(link))))
	}
	return errors.Join(errs...)
}
