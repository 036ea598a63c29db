package steps

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"

	"movein/bootstrap"
	"movein/bootstrap/host"
)

// try is a dry run of the activation, which changes nothing and finds most of what
// can go wrong.
func (s homeActivate) try(ctx context.Context, h host.Host, g generation) error {
	if _, err := h.Run(ctx, s.script(h, g.out, "DRY_RUN=1")); err != nil {
		return s.explain("trying the activation", err)
	}
	return nil
}

// activate makes g the active generation: first the profile, then the activation,
// which is told that the profile is cared for (driver version 1).
func (s homeActivate) activate(ctx context.Context, h host.Host, g generation) error {
	profile := s.c.profile(h)
	if err := h.MkdirAll(filepath.Dir(profile), 0o755); err != nil {
		return err
	}
	if err := s.setProfile(ctx, h, g.out); err != nil {
		return err
	}
	if _, err := h.Run(ctx, s.script(h, g.out)); err != nil {
		return s.explain("activating the home", err)
	}
	return nil
}

// setProfile makes the profile lead to out: by a new generation of the profile,
// unless it leads there already or only its link to one that does was lost.
func (s homeActivate) setProfile(ctx context.Context, h host.Host, out string) error {
	active := s.c.activeGeneration(h)
	if active == out {
		return nil
	}
	nix := detectNix(ctx, h, s.f, s.c)
	args := []string{filepath.Join(filepath.Dir(nix.Bin), "nix-env"), "--profile", s.c.profile(h), "--set", out}
	if n := s.c.generationOf(h, out); active == "" && n != 0 {
		args = append(args[:3], "--switch-generation", strconv.Itoa(n))
	}
	if _, err := h.Run(ctx, &host.Cmd{Args: args}); err != nil {
		return fmt.Errorf("setting the home-manager profile: %w", err)
	}
	return nil
}

func (s homeActivate) script(v host.View, out string, env ...string) *host.Cmd {
	return &host.Cmd{Args: []string{out + "/activate", "--driver-version", "1"}, Env: append(env, s.c.bus(v)...), Dir: s.c.Home}
}

func (s homeActivate) explain(what string, err error) error {
	return bootstrap.Hint(fmt.Errorf("%s: %w", what, err), "the home is as it was; mend the home repo and run the same command again")
}

// undo gives the profile and the links around it back as they were, and has the
// generation that was active then activated again, for what beside files an
// activation does: packages, units.
func (s homeActivate) undo(ctx context.Context, h host.Host, old string, was map[string]string, activated bool) error {
	if err := s.relink(h, was); err != nil {
		return err
	}
	if !activated || old == "" || !exists(h, old+"/activate") {
		return nil
	}
	if _, err := h.Run(ctx, s.script(h, old)); err != nil {
		// Its files and its profile are as they were; the next run does the rest.
		h.Warn("your files, profile and packages are as they were, but the generation that was active before could not be activated again, and its services may not run; try: %s --driver-version 1 (%v)", old+"/activate", err)
	}
	return s.relink(h, was)
}

// links are the symlinks beside the files that an activation changes, and where
// they lead now: the profiles, their generations, home-manager's own root.
func (s homeActivate) links(v host.View) map[string]string {
	dir := filepath.Dir(s.c.profile(v))
	now := map[string]string{}
	for _, name := range []string{s.c.current(), s.c.profile(v), filepath.Join(dir, "profile"), filepath.Join(s.c.Home, ".nix-profile")} {
		now[name], _ = isLink(v, name)
	}
	if entries, err := v.ReadDir(dir); err == nil {
		for _, e := range entries {
			if generationNumber(e.Name()) != 0 {
				name := filepath.Join(dir, e.Name())
				now[name], _ = isLink(v, name)
			}
		}
	}
	return now
}

// relink makes links lead where they did; what is no link any more is left.
func (s homeActivate) relink(h host.Host, was map[string]string) error {
	var errs []error
	now := s.links(h)
	for name := range was {
		if _, known := now[name]; !known {
			now[name], _ = isLink(h, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(now)) {
		switch {
		case now[name] == was[name], now[name] == "" && exists(h, name):
		case was[name] == "":
			errs = append(errs, h.Remove(name))
		default:
			errs = append(errs, h.Symlink(was[name], name))
		}
	}
	return errors.Join(errs...)
}
