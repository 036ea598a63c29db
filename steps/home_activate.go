package steps

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"syscall"

	"movein/bootstrap"
	"movein/bootstrap/host"
	"movein/distro"
	"movein/steps/home"
)

// homeActivate makes the built generation the home's: profile, links, packages,
// units. If that fails, the home is given back as it was.
type homeActivate struct {
	f *distro.Facts
	c *Config
}

func (homeActivate) Info() bootstrap.Info {
	return bootstrap.Info{Name: "home-activate", Title: "Home", Needs: []string{"home-build", "chezmoi-fetch"}, Exclusive: "nix-store"}
}

// Look looks ahead at what Plan looks at if there is nothing to do.
func (s homeActivate) Look(ctx context.Context, v host.View) {
	var err error
	if s.c, err = s.c.withRepo(v); err != nil {
		return
	}
	g := generation{s.c, readBuilt(v, s.c).Out}
	z, asked := newChezmoi(v, s.f, s.c, g.out)
	if s.c.Refresh || !exists(v, g.out) {
		return
	}
	if asked {
		go z.unchanged(v, s.dotfilesKey(g))
	}
	s.compare(ctx, v, g, "", nil) //nolint:errcheck // Plan tells
}

func (s homeActivate) Plan(ctx context.Context, v host.View) (bootstrap.Change, error) {
	var err error
	if s.c, err = s.c.withRepo(v); err != nil {
		return nil, err
	}
	b := readBuilt(v, s.c)
	if why := homeBuild(s).stale(ctx, v, b); why != "" {
		// In an apply it has been built before this; so this is a plan.
		if pending, err := (homeRepo(s)).Plan(ctx, v); err != nil || len(pending) > 0 {
			return bootstrap.Change{{Verb: "activate", Target: "the generation that home-build makes"}}, nil //nolint:nilerr // home-repo tells
		}
		if b.Out, err = homeBuild(s).previewBuild(ctx, v); bootstrap.ExitCode(err) == bootstrap.ExitConfig {
			return nil, err // an apply would fail so, too
		} else if err != nil {
			return bootstrap.Change{{Verb: "activate", Target: "the generation that home-build makes"}}, nil //nolint:nilerr // home-build tells
		}
	}
	if z, asked := newChezmoi(v, s.f, s.c, b.Out); asked && z.bin == "" {
		return bootstrap.Change{{Verb: "activate", Target: b.Out, Reason: "what the dotfiles change is seen once chezmoi is here"}}, nil
	}
	p, err := s.preview(ctx, v, generation{s.c, b.Out})
	if err != nil {
		return nil, err
	}
	if err := s.stopAtEdited(p.items); err != nil {
		return p.change(v), err
	}
	return p.change(v), s.changer().Refused(ctx, v, p.items)
}

func (s homeActivate) backups() home.Backups {
	return home.Backups{Dir: filepath.Join(s.c.State(), "backups"), Home: s.c.Home}
}

func (s homeActivate) changer() *home.Changer {
	return &home.Changer{Backups: s.backups(), Record: filepath.Join(s.c.State(), "change.json"), Version: s.c.Version}
}

// Unfinished refuses what may not be done while a change of the home is cut short:
// its backups are needed to take it back.
func Unfinished(v host.View, c *Config) error {
	_, cut, err := homeActivate{c: c}.changer().CutShort(v)
	if err == nil && cut {
		err = bootstrap.Hint(bootstrap.Refuse("a change of the home was cut short, and its backups are needed to take it back"), "finish it first: movein apply")
	}
	return err
}

// Prune removes backups of the home. The caller holds the user's lock.
func Prune(h host.Host, c *Config, runs []home.Run) error {
	return homeActivate{c: c}.changer().Prune(h, runs)
}

func (s homeActivate) Apply(ctx context.Context, h host.Host, _ bootstrap.Change) error {
	var err error
	if s.c, err = s.c.withRepo(h); err != nil {
		return err
	}
	g := generation{s.c, readBuilt(h, s.c).Out}
	if !exists(h, g.out+"/activate") {
		return bootstrap.Hint(errors.New("no generation is built"), "run: movein apply")
	}
	undo := func(ctx context.Context, old string, links map[string]string, activated bool) error {
		return s.undo(ctx, h, old, links, activated)
	}
	if err := s.changer().Resume(ctx, h, undo); err != nil {
		return err
	}
	p, err := s.preview(ctx, h, g)
	if err != nil {
		return err
	}
	if err := s.stopAtEdited(p.items); err != nil {
		return err
	}
	job := home.Job{
		Reason:     "before " + cmp.Or(s.c.Run, "apply"),
		Generation: s.c.activeGeneration(h), Wanted: g.out,
		Links: s.links(h), Items: p.items, Suppressed: p.notLinked(),
		Also: p.own, Again: p.again(h), Save: s.bundles(h), Sealed: func(dir string) { p.tell(h, dir) },
		Chezmoi:  p.applyDotfiles(h),
		Try:      func(ctx context.Context) error { return s.try(ctx, h, g) },
		Activate: func(ctx context.Context) error { return s.activate(ctx, h, g) },
		Undo:     undo,
	}
	unfinished, cut, err := s.changer().CutShort(h)
	if err == nil {
		job.Dropped, err = s.droppedPaths(h, g, unfinished)
	}
	if err == nil && !cut && !p.toActivate(h) {
		job.Try, job.Activate = nil, nil
	}
	if err != nil {
		return err
	}
	if job.Activate != nil && !exists(h, filepath.Join(s.c.Home, ".nix-defexpr")) { // nix-env makes it
		job.Also = append(job.Also, ".nix-defexpr/channels", ".nix-defexpr/channels_root")
	}
	return s.changer().Do(ctx, h, job)
}

// bundles keeps all commits of both clones.
func (s homeActivate) bundles(h host.Host) func(ctx context.Context, b *home.Backup) error {
	return func(ctx context.Context, b *home.Backup) error {
		repos := []string{}
		if dir, _ := s.c.HomeDir(); s.c.HomeRepo != Starter {
			repos = append(repos, dir)
		}
		if dir, _ := s.c.DotfilesDir(); s.c.Dotfiles != "" && s.c.Dotfiles != "none" {
			repos = append(repos, dir)
		}
		for _, dir := range repos {
			file, err := h.Bundle(ctx, dir, b.Dir(), s.olderBundles(h))
			switch {
			case errors.Is(err, host.ErrNotRepo), errors.Is(err, host.ErrNoCommits):
			case errors.Is(err, syscall.ENOSPC), ctx.Err() != nil:
				return fmt.Errorf("keeping the commits of %s: %w", dir, err)
			case err != nil: // nothing of a clone is changed here
				h.Warn("the commits of %s are not in the backup: %v", dir, err)
			default:
				b.AddBundle(filepath.Base(file))
			}
		}
		return nil
	}
}

// olderBundles are the bundles of the last backup: one with the same commits is not written again.
func (s homeActivate) olderBundles(v host.View) (files []string) {
	last, err := s.backups().Open(v, home.Latest)
	if err != nil {
		return nil
	}
	for _, name := range last.Bundles {
		files = append(files, filepath.Join(last.Dir, name))
	}
	return files
}
