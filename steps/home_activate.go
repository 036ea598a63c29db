package steps

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

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
	if why := homeBuild(s).stale(ctx, v, b); why != "" {
		return bootstrap.Change{{Verb: "activate", Target: "the generation that home-build makes"}}, nil
	}
	g := generation{s.c, b.Out}
	var change bootstrap.Change
	if s.c.activeGeneration(v) != b.Out {
		change = append(change, bootstrap.Action{Verb: "activate", Target: b.Out, Reason: "is not the active generation"})
	} else if target, ok := isLink(v, s.c.current()); g.keepsCurrent(v) && (!ok || target != b.Out) {
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
			a := bootstrap.Action{Verb: "replace", Target: g.inTheWay(v, l), Reason: "what is there is kept in " + s.backups()}
			if !slices.Contains(change, a) {
				change = append(change, a)
			}
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
	old, was := s.c.activeGeneration(h), s.links(h, g)
	if err = s.activate(ctx, h, g); err == nil {
		return nil
	}
	// The run may have been interrupted; what is begun is taken back all the same.
	if rerr := s.restore(context.WithoutCancel(ctx), h, g, old, was, aside); rerr != nil {
		return bootstrap.Hint(errors.Join(err, rerr), "not all is as it was; mend the home repo and run the same command again; what was in the way is kept below %s", s.backups())
	}
	return err
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
		from := g.inTheWay(h, l)
		to := filepath.Join(m.dir, strings.TrimPrefix(from, s.c.Home))
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
		err = errors.Join(err, unput(h, f[0]))
		if !exists(h, f[0]) {
			err = errors.Join(err, h.Rename(f[1], f[0]))
		} else {
			err = errors.Join(err, fmt.Errorf("giving back %s: something else is there now; what was there is kept as %s", f[0], f[1]))
		}
	}
	return err
}

// unput takes away what an activation has put at name, where a stranger was
// before: links into a generation, and directories with nothing else in them.
func unput(h host.Host, name string) (err error) {
	if target, link := isLink(h, name); link {
		if managed.MatchString(target) {
			return h.Remove(name)
		}
		return nil
	}
	entries, lerr := h.ReadDir(name)
	if lerr != nil {
		return nil //nolint:nilerr // no directory, and not an activation's
	}
	for _, e := range entries {
		err = errors.Join(err, unput(h, filepath.Join(name, e.Name())))
	}
	if emptyDir(h, name) {
		err = errors.Join(err, h.Remove(name))
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
	if _, err := h.Run(ctx, host.Cmd{Args: args}); err != nil {
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

// restore gives the previous generation back, or the links as they were if there
// was none, and then what had been set aside.
func (s homeActivate) restore(ctx context.Context, h host.Host, g generation, old string, was map[string]string, aside moved) error {
	var errs []error
	switch {
	case old == "" || old == g.out || !exists(h, old+"/activate"):
		errs = append(errs, s.relink(h, g, was))
	case s.c.activeGeneration(h) != old: // else nothing was begun
		errs = append(errs, s.setProfile(ctx, h, old))
		_, err := h.Run(ctx, s.script(old))
		errs = append(errs, err)
	}
	return errors.Join(append(errs, aside.giveBack(h))...)
}

// links are the symlinks that an activation of g makes or changes, and where they
// lead now; "" for one that is not there.
func (s homeActivate) links(v host.View, g generation) map[string]string {
	profile := s.c.profile(v)
	names := []string{s.c.current(), profile}
	if entries, err := v.ReadDir(filepath.Dir(profile)); err == nil {
		for _, e := range entries {
			if generationNumber(e.Name()) != 0 {
				names = append(names, filepath.Join(filepath.Dir(profile), e.Name()))
			}
		}
	}
	leaves, _ := g.leaves(v) //nolint:errcheck // setAside has read them
	for _, l := range leaves {
		names = append(names, filepath.Join(s.c.Home, l.rel))
	}
	now := map[string]string{}
	for _, name := range names {
		now[name], _ = isLink(v, name)
	}
	return now
}

// relink takes back what an activation did to links: they lead again where they did.
func (s homeActivate) relink(h host.Host, g generation, was map[string]string) error {
	var errs []error
	now := s.links(h, g)
	for _, name := range slices.Sorted(maps.Keys(now)) {
		made := strings.HasPrefix(now[name], nixStore+"/") || generationNumber(now[name]) != 0
		switch {
		case now[name] == was[name], !made && exists(h, name): // not of the activation's making
		case was[name] == "":
			errs = append(errs, h.Remove(name))
		default:
			errs = append(errs, h.Symlink(was[name], name))
		}
	}
	return errors.Join(errs...)
}
