package steps

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"

	"movein/bootstrap"
	"movein/bootstrap/host"
	"movein/distro"
	"movein/steps/home"
)

// homeActivate makes the built generation the home's: profile, links, packages,
// units. If that fails, the home is given back as it was.
type homeActivate struct {
	f distro.Facts
	c Config
}

func (homeActivate) Info() bootstrap.Info {
	return bootstrap.Info{Name: "home-activate", Title: "Home", Needs: []string{"home-build", "chezmoi-fetch"}, Exclusive: "nix-store"}
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
		if b.Out, err = homeBuild(s).previewBuild(ctx, v); err != nil {
			return bootstrap.Change{{Verb: "activate", Target: "the generation that home-build makes"}}, nil //nolint:nilerr // home-build tells
		}
	}
	p, err := s.preview(ctx, v, generation{s.c, b.Out})
	if err != nil {
		return nil, err
	}
	return p.change(v), s.stopAtEdited(p.items)
}

// preview is all that there is to do to the home.
type preview struct {
	homeActivate
	g          generation
	items      []home.Item
	suppressed []home.Claim // claims of who is not the owner
	z          chezmoi
	look       *chezmoiLook // nil: no dotfiles, or nothing to do for them
	own        []string     // files of chezmoi's own that it changes when it applies, below the home
	cutShort   bool         // a change of the home was
}

// preview looks at all of it. chezmoi is asked only if something may have changed
// since it was asked last.
func (s homeActivate) preview(ctx context.Context, v host.View, g generation) (p preview, err error) {
	p = preview{homeActivate: s, g: g}
	unfinished, cut, err := s.changer().CutShort(v)
	if err != nil {
		return p, err
	}
	p.cutShort = cut
	var dotfiles []home.Claim
	z, asked := newChezmoi(v, s.f, s.c, g.out)
	key := s.dotfilesKey(g)
	if !asked && len(Skipped(v)) > 0 {
		v.Remember("skipped", nil)
	}
	if p.z = z; asked && (s.c.Refresh || !z.unchanged(v, key)) {
		if p.look, err = z.look(ctx, v); err != nil {
			return p, err
		}
		dotfiles = p.look.Claims
	}
	w, suppressed, err := s.wanted(v, g, dotfiles, unfinished)
	if err != nil {
		return p, err
	}
	p.suppressed = suppressed
	if p.items, err = home.Preview(ctx, v, w); err != nil {
		return p, err
	}
	if len(p.dotfiles()) > 0 {
		p.own, err = z.ownFiles(ctx, v, p.look.fresh)
	}
	if p.look != nil && len(p.dotfiles()) == 0 && !cut {
		z.remember(v, key, p.look)
		s.rememberSkipped(v, p.look)
	}
	return p, err
}

// dotfilesKey stands for what decides, beside the dotfiles, what is to be done for them.
func (s homeActivate) dotfilesKey(g generation) string {
	key, err := json.Marshal([]any{g.out, s.c.Ownership, s.c.OnModified, s.c.Dotfiles, s.c.Prompts})
	if err != nil {
		return g.out
	}
	return string(key)
}

// dotfiles is what is to be done for chezmoi beside files, and whether there are
// files: what runs always runs only with something else.
func (p preview) dotfiles() (change bootstrap.Change) {
	if p.look == nil {
		return nil
	}
	files := slices.ContainsFunc(p.items, func(i home.Item) bool { return i.Claim.Owner == home.Chezmoi && i.Verb != home.Keep })
	due := files || p.look.fresh != nil || slices.ContainsFunc(p.look.Scripts, func(s chezmoiScript) bool { return s.Due })
	if !due {
		return nil
	}
	if f := p.look.fresh; f != nil {
		change = append(change, bootstrap.Action{Verb: "write", Target: p.z.configFile(f.format), Reason: "from the dotfiles' template"})
	}
	for _, s := range p.look.Scripts {
		if s.Due || s.When == "always" {
			change = append(change, bootstrap.Action{Verb: "run", Target: s.Source})
		}
	}
	if len(change) == 0 {
		change = bootstrap.Change{{Verb: "apply", Target: p.z.source}}
	}
	return change
}

// change is the preview as a step's change.
func (p preview) change(v host.View) (change bootstrap.Change) {
	if p.cutShort {
		change = append(change, bootstrap.Action{Verb: "finish", Target: "the change of the home that was cut short"})
	}
	if p.c.activeGeneration(v) != p.g.out {
		change = append(change, bootstrap.Action{Verb: "activate", Target: p.g.out, Reason: "is not the active generation"})
	} else if target, ok := isLink(v, p.c.current()); p.g.keepsCurrent(v) && (!ok || target != p.g.out) {
		change = append(change, bootstrap.Action{Verb: "activate", Target: p.g.out, Reason: "was not activated to its end"})
	}
	if extra := p.dotfiles(); len(extra) > 0 && extra[0].Verb != "apply" {
		change = append(change, extra...)
	}
	change = append(change, p.actions(v, p.items)...)
	if !p.g.packagesKept(v) {
		change = append(change, bootstrap.Action{Verb: "install", Target: p.g.out + "/home-path", Reason: "the packages are not in the user's profile"})
	}
	return change
}

func (s homeActivate) backups() home.Backups {
	return home.Backups{Dir: filepath.Join(s.c.State(), "backups"), Home: s.c.Home}
}

func (s homeActivate) changer() home.Changer {
	return home.Changer{Backups: s.backups(), Record: filepath.Join(s.c.State(), "change.json"), Version: s.c.Version}
}

// Unfinished refuses what may not be done while a change of the home is cut short:
// its backups are needed to take it back.
func Unfinished(v host.Files, c Config) error {
	_, cut, err := homeActivate{c: c}.changer().CutShort(v)
	if err == nil && cut {
		err = bootstrap.Hint(bootstrap.Refuse("a change of the home was cut short, and its backups are needed to take it back"), "finish it first: movein apply")
	}
	return err
}

// Prune removes backups of the home. The caller holds the user's lock.
func Prune(h host.Host, c Config, runs []home.Run) error {
	return homeActivate{c: c}.changer().Prune(h, runs)
}

// rememberSkipped keeps the names of what could not be applied, for the summary.
func (s homeActivate) rememberSkipped(v host.View, l *chezmoiLook) {
	names := []string{}
	for _, skip := range l.Skipped {
		names = append(names, filepath.Join(s.c.Home, skip.Path))
	}
	if data, err := json.Marshal(names); err == nil && string(data) != string(v.Recall("skipped")) {
		v.Remember("skipped", data)
	}
}

// Skipped are the files that the last run could not apply, because a secret they
// need was not to be had.
func Skipped(v host.View) (names []string) {
	json.Unmarshal(v.Recall("skipped"), &names) //nolint:errcheck // none is known then
	return names
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
		Also: p.own, Save: s.bundles(h), Sealed: func(dir string) { p.tell(h, dir) },
		Chezmoi:  p.applyDotfiles(h),
		Try:      func(ctx context.Context) error { return s.try(ctx, h, g) },
		Activate: func(ctx context.Context) error { return s.activate(ctx, h, g) },
		Undo:     undo,
	}
	_, cut, err := s.changer().CutShort(h)
	if err == nil && !cut && !p.toActivate(h) {
		job.Try, job.Activate = nil, nil
	}
	if err != nil {
		return err
	}
	return s.changer().Do(ctx, h, job)
}

// toActivate reports whether there is anything for home-manager's activation to do:
// a change of the dotfiles alone needs none.
func (p preview) toActivate(v host.View) bool {
	current, linked := isLink(v, p.c.current())
	return p.c.activeGeneration(v) != p.g.out || p.g.keepsCurrent(v) && (!linked || current != p.g.out) || !p.g.packagesKept(v) ||
		slices.ContainsFunc(p.items, func(i home.Item) bool { return i.Claim.Owner == home.HomeManager })
}

// tell says what is in the way, and where it is kept.
func (p preview) tell(h host.Host, dir string) {
	const most = 10
	n := 0
	for _, i := range p.items {
		if i.Verb != home.Replace {
			continue
		}
		if n++; n <= most {
			h.Warn("%s (%s) was in the way and is kept in %s", home.Shown(filepath.Join(p.c.Home, i.Path)), i.Was, dir)
		}
	}
	if n > most {
		h.Warn("%d more were in the way and are kept in %s: movein backups list %s", n-most, dir, filepath.Base(dir))
	}
}

// notLinked are the claims of home-manager's that are not wanted.
func (p preview) notLinked() []home.Claim {
	return slices.DeleteFunc(slices.Clone(p.suppressed), func(c home.Claim) bool { return c.Owner != home.HomeManager })
}

// applyDotfiles has chezmoi do its part; nil if there is nothing for it to do.
func (p preview) applyDotfiles(h host.Host) func(ctx context.Context) error {
	if len(p.dotfiles()) == 0 {
		return nil
	}
	var leave []string
	for _, i := range p.items {
		if i.Verb == home.Keep {
			leave = append(leave, i.Claim.Path)
		}
	}
	for _, c := range p.suppressed {
		if c.Owner == home.Chezmoi {
			leave = append(leave, c.Path)
		}
	}
	for path, owner := range p.c.Ownership {
		if owner == "through" {
			p.look.through = append(p.look.through, path)
		}
	}
	return func(ctx context.Context) error { return p.z.apply(ctx, h, p.look, leave) }
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

// try is a dry run of the activation, which changes nothing and finds most of what
// can go wrong.
func (s homeActivate) try(ctx context.Context, h host.Host, g generation) error {
	if _, err := h.Run(ctx, s.script(g.out, "DRY_RUN=1")); err != nil {
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
	if _, err := h.Run(ctx, s.script(old)); err != nil {
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
