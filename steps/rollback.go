package steps

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"

	"movein/bootstrap"
	"movein/bootstrap/host"
	"movein/distro"
	"movein/steps/home"
)

// Rollback is a way back to an earlier state of the home: generation, files, and
// what chezmoi remembers of them.
type Rollback struct {
	s homeActivate

	To     home.Run         // the state is that before this run
	From   string           // the active generation
	Path   string           // the generation of that state
	Number int              // its number in the profile; 0: it has none any more
	Change bootstrap.Change // what is done
}

// PlanRollback finds the way back to generation number, or with 0 to before the last
// change that was not taken back yet.
func PlanRollback(ctx context.Context, v host.View, f *distro.Facts, c *Config, number int) (r Rollback, err error) {
	r = Rollback{s: homeActivate{f, c}, From: c.activeGeneration(v)}
	b := r.s.backups()
	runs, _, err := b.List(v)
	if err != nil {
		return r, err
	}
	if number == 0 {
		r.To, err = r.s.lastStep(v, runs)
	} else {
		r.To, err = r.s.stepTo(v, runs, number)
	}
	if err != nil {
		return r, err
	}
	switch _, cut, err := r.s.changer().CutShort(v); {
	case err != nil:
		return r, err
	case cut && r.s.changer().Returning(v) != r.To.Run:
		return r, r.s.changer().UnderWay()
	}
	if err := r.s.complete(v, r.To.Run); err != nil {
		return r, err
	}
	r.Path = r.To.Generation
	switch {
	case r.Path == "":
		return r, bootstrap.Hint(errors.New("there was no home generation before the first one that movein made"), "to give the home back as it was then: movein uninstall --home")
	case !exists(v, r.Path+"/activate"):
		return r, bootstrap.Hint(fmt.Errorf("the generation of that time is no longer in the store: %s", r.Path), "nothing was changed; see which are there: movein generations; the files alone: movein backups restore %s", r.To.Run)
	}
	if r.Number = number; number == 0 {
		r.Number = c.generationOf(v, r.Path)
	}
	return r, r.preview(ctx, v)
}

// preview fills in what is done.
func (r *Rollback) preview(ctx context.Context, v host.View) error {
	files, err := r.s.backups().PreviewTo(ctx, v, r.To)
	if err != nil {
		return err
	}
	if r.Path != r.From {
		reason := ""
		if r.Number != 0 {
			reason = "generation " + strconv.Itoa(r.Number)
		}
		r.Change = append(r.Change, bootstrap.Action{Verb: "activate", Target: r.Path, Reason: reason})
	}
	r.Change = append(r.Change, files...)
	return nil
}

// lastStep is the last change that can be taken back. One that was on its way when
// it was cut short comes first.
func (s homeActivate) lastStep(v host.View, runs []home.Run) (home.Run, error) {
	if run := s.changer().Returning(v); run != "" {
		return s.backups().Open(v, run)
	}
	switch _, cut, err := s.changer().CutShort(v); {
	case err != nil:
		return home.Run{}, err
	case cut:
		return home.Run{}, s.changer().UnderWay()
	}
	steps := home.Steps(runs)
	if len(steps) > 0 {
		return steps[len(steps)-1], nil
	}
	if err := s.complete(v, ""); err != nil {
		return home.Run{}, err
	}
	return home.Run{}, bootstrap.Hint(errors.New("there is no change of the home to take back"), "see what there is: movein generations")
}

// stepTo is the last run before which generation number was active.
func (s homeActivate) stepTo(v host.View, runs []home.Run, number int) (home.Run, error) {
	all, err := Generations(v, s.c)
	if err != nil {
		return home.Run{}, err
	}
	i := slices.IndexFunc(all, func(g HomeGeneration) bool { return g.Number == number })
	switch {
	case i < 0:
		return home.Run{}, bootstrap.Exit(bootstrap.ExitUsage, bootstrap.Hint(fmt.Errorf("there is no generation %d", number), "see which there are: movein generations"))
	case all[i].Current && s.changer().Returning(v) == "":
		return home.Run{}, bootstrap.Exit(bootstrap.ExitUsage, bootstrap.Hint(fmt.Errorf("generation %d is the active one", number), "to take back the last change of it: movein rollback"))
	}
	for _, r := range slices.Backward(runs) {
		if r.Done != nil && r.Generation == all[i].Path {
			return r, nil
		}
	}
	return home.Run{}, bootstrap.Hint(fmt.Errorf("there is no backup that leads back to generation %d: it was pruned, or movein has not changed the home since", number),
		"nothing was changed; see which have one: movein generations; that generation without the files of its time: %s/activate", all[i].Path)
}

// complete refuses if one of the backups since run was pruned: what it had is missing.
func (s homeActivate) complete(v host.View, run string) error {
	removed, err := s.backups().Removed(v)
	if err != nil {
		return err
	}
	for _, r := range removed {
		if r.Run >= run {
			return bootstrap.Hint(fmt.Errorf("backup %s is needed for that, and was removed by: movein backups prune", r.Run),
				"nothing was changed; see what can be gone back to: movein generations, movein backups list")
		}
	}
	return nil
}

// Apply goes back. The caller holds the user's lock.
func (r Rollback) Apply(ctx context.Context, h host.Host) (home.Restored, error) {
	g := generation{r.s.c, r.Path}
	claims, err := g.claims(h)
	if err != nil {
		return home.Restored{}, err
	}
	return r.s.changer().Return(ctx, h, home.Return{
		To: r.To, Reason: "before rollback", Generation: r.From, Wanted: r.Path, Links: r.s.links(h), Claims: claims,
		Activate: func(ctx context.Context) error { return r.activate(ctx, h, g) },
		Undo: func(ctx context.Context, old string, links map[string]string, activated bool) error {
			return r.s.undo(ctx, h, old, links, activated)
		},
	})
}

// activate makes g the active generation again. Its script is run although the files
// are right: it also takes care of packages and units. If only files have changed
// there is nothing for it to do.
func (r Rollback) activate(ctx context.Context, h host.Host, g generation) error {
	current, _ := isLink(h, r.s.c.current())
	if r.s.c.activeGeneration(h) == g.out && (current == g.out || !g.keepsCurrent(h)) && g.packagesKept(h) {
		return nil
	}
	if err := r.s.try(ctx, h, g); err != nil {
		return err
	}
	if err := r.s.switchTo(ctx, h, g.out, r.Number); err != nil {
		return err
	}
	return r.s.activate(ctx, h, g)
}

// switchTo makes the profile lead to its generation number, which is out.
func (s homeActivate) switchTo(ctx context.Context, h host.Host, out string, number int) error {
	link := filepath.Join(filepath.Dir(s.c.profile(h)), "home-manager-"+strconv.Itoa(number)+"-link")
	if target, ok := isLink(h, link); !ok || target != out || s.c.activeGeneration(h) == out {
		return nil // activate makes a new one, or it is so already
	}
	nix := detectNix(ctx, h, s.f, s.c)
	args := []string{filepath.Join(filepath.Dir(nix.Bin), "nix-env"), "--profile", s.c.profile(h), "--switch-generation", strconv.Itoa(number)}
	if _, err := h.Run(ctx, &host.Cmd{Args: args}); err != nil {
		return fmt.Errorf("setting the home-manager profile: %w", err)
	}
	return nil
}
