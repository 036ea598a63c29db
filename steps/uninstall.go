package steps

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"sort"
	"strings"

	"movein/bootstrap"
	"movein/bootstrap/host"
	"movein/distro"
	"movein/steps/home"
)

// Uninstall gives a home back as it was before movein first came to it.
type Uninstall struct {
	s     homeActivate
	purge bool

	To     *home.Run        // the first run; nil: the home is given back already
	Change bootstrap.Change // what is done
	Stays  []string         // what is left, and can be removed by hand
	made   []string         // links of the profile that movein's generations have
	gone   []string         // clones that are removed
}

// PlanUninstall finds out what there is to give back. Purge is also about the clones and
// the backups.
func PlanUninstall(ctx context.Context, v host.View, f *distro.Facts, c *Config, purge bool) (u *Uninstall, err error) {
	if c, err = c.withRepo(v); err != nil {
		return nil, err
	}
	u = &Uninstall{s: homeActivate{f, c}, purge: purge}
	b := u.s.backups()
	runs, broken, err := b.List(v)
	if err != nil {
		return nil, err
	}
	for run, err := range broken {
		return nil, bootstrap.Hint(fmt.Errorf("backup %s has to be read for that: %w", run, err), "nothing was changed")
	}
	removed, err := b.Removed(v)
	if err != nil {
		return nil, err
	}
	for _, r := range removed {
		if r.Original {
			return nil, bootstrap.Hint(fmt.Errorf("backup %s alone had what some of your files were at first, and was removed by: movein backups prune --all", r.Run),
				"nothing was changed; what the other backups have: movein backups list")
		}
	}
	_, cut, err := u.s.changer().CutShort(v)
	switch {
	case err != nil:
		return nil, err
	case cut && (len(runs) == 0 || u.s.changer().Returning(v) != runs[0].Run):
		return nil, u.s.changer().UnderWay()
	case len(runs) > 0 && (len(home.Steps(runs)) > 0 || cut):
		u.To = &runs[0]
		if first := u.To.Generation; first != "" && !exists(v, first+"/activate") {
			return nil, bootstrap.Hint(fmt.Errorf("the generation before movein's first one is no longer in the store: %s", first), "nothing was changed; the files alone: movein backups restore %s", u.To.Run)
		}
		if u.Change, err = b.PreviewTo(ctx, v, *u.To); err != nil {
			return nil, err
		}
	}
	if err := u.profile(v, runs); err != nil {
		return nil, err
	}
	return u, u.rest(ctx, v)
}

// profile finds movein's generations in the profile.
func (u *Uninstall) profile(v host.View, runs []home.Run) error {
	all, err := Generations(v, u.s.c)
	if err != nil {
		return err
	}
	var before []string
	if len(runs) > 0 {
		before = append(before, runs[0].Generation)
	}
	for _, g := range all {
		ours := slices.ContainsFunc(runs, func(r home.Run) bool { return r.Done != nil && r.Done.Undoes == "" && r.Done.Generation == g.Path })
		if !ours || slices.Contains(before, g.Path) {
			continue
		}
		name := filepath.Join(filepath.Dir(u.s.c.profile(v)), fmt.Sprintf("home-manager-%d-link", g.Number))
		u.made = append(u.made, name)
		u.Change = append(u.Change, bootstrap.Action{Verb: "remove", Target: name, Reason: "generation " + fmt.Sprint(g.Number)})
	}
	return nil
}

// rest is what movein has beside the home.
func (u *Uninstall) rest(ctx context.Context, v host.View) error {
	stay := false
	if u.To == nil { // else it is not known yet
		var err error
		if stay, err = u.keepsBackups(ctx, v, nil); err != nil {
			return err
		}
	}
	for _, name := range u.state(v) {
		a := bootstrap.Action{Verb: "remove", Target: name}
		if name == u.s.backups().Dir {
			if stay {
				u.Stays = append(u.Stays, name)
				continue
			}
			if a.Reason = "unless they alone have something then"; u.To == nil {
				a.Reason = ""
			}
		}
		u.Change = append(u.Change, a)
	}
	for _, dir := range u.clones(v) {
		if !u.purge {
			u.Stays = append(u.Stays, dir)
			continue
		}
		switch ours, err := u.ours(v, dir); {
		case err != nil:
			return err
		case !ours:
			v.Warn("%s stays: it is not a clone that movein is known to have made", home.Shown(dir))
			u.Stays = append(u.Stays, dir)
			continue
		}
		if err := u.disposable(ctx, v, dir); err != nil {
			return err
		}
		u.gone = append(u.gone, dir)
		u.Change = append(u.Change, bootstrap.Action{Verb: "remove", Target: dir, Reason: "the clone"})
	}
	if dir := u.s.backups().Dir; exists(v, dir) && !u.purge {
		u.Stays = append(u.Stays, dir)
	}
	for _, of := range []string{"nix", "chezmoi"} { // whoever else uses them has them there too
		if dir := filepath.Join(u.s.c.CacheHome, of); exists(v, dir) {
			u.Stays = append(u.Stays, dir)
		}
	}
	return nil
}

// keepsBackups reports whether the backups stay because of what they alone have, and says so.
func (u *Uninstall) keepsBackups(ctx context.Context, v host.View, lacks []string) (bool, error) {
	dir := u.s.backups().Dir
	if !u.purge || !exists(v, dir) {
		return false, nil
	}
	alone := ""
	if len(lacks) > 0 {
		alone = lacks[0]
	} else {
		var err error
		if alone, err = u.s.backups().Alone(ctx, v); err != nil || alone == "" {
			return false, err
		}
	}
	v.Warn("the backups stay, as they alone have what this was: %s; to see more: movein backups list; to remove them all the same: rm -r %s", home.Shown(alone), dir)
	return true, nil
}

// clones are the directories that movein made of repositories.
func (u *Uninstall) clones(v host.View) (dirs []string) {
	if dir, clone := u.s.c.HomeDir(); u.s.c.HomeRepo != "" && (clone || u.s.c.HomeRepo == Starter) && exists(v, dir) {
		dirs = append(dirs, dir)
	}
	if dir, clone := u.s.c.DotfilesDir(); u.s.c.Dotfiles != "" && u.s.c.Dotfiles != "none" && clone && exists(v, dir) {
		dirs = append(dirs, dir)
	}
	return dirs
}

// state are movein's own files, without the lock that is held.
func (u *Uninstall) state(v host.View) (names []string) {
	entries, err := v.ReadDir(u.s.c.State())
	if err != nil {
		return nil
	}
	for _, e := range entries {
		if e.Name() != "lock" && (e.Name() != "backups" || u.purge) {
			names = append(names, filepath.Join(u.s.c.State(), e.Name()))
		}
	}
	if exists(v, u.s.c.Cache()) {
		names = append(names, u.s.c.Cache())
	}
	for _, rel := range sessionFiles {
		if name := filepath.Join(u.s.c.ConfigHome, rel); strings.Contains(head(v, name), sessionMark) {
			names = append(names, name)
		}
	}
	return append(names, handOn{u.s.c}.written(v)...)
}

// Apply gives the home back. The caller holds the user's lock.
func (u *Uninstall) Apply(ctx context.Context, h host.Host) (res home.Restored, err error) {
	if err := RestoreLock(ctx, h, u.s.c); err != nil {
		return res, err
	}
	for _, dir := range u.gone { // somebody may have worked there since it was asked
		if err := u.disposable(ctx, h, dir); err != nil {
			return res, err
		}
	}
	if u.To != nil {
		if res, err = u.giveBack(ctx, h); err != nil {
			return res, err
		}
	}
	if err := u.unlink(h, u.made); err != nil {
		return res, err
	}
	// From here on nothing is the user's own, and the same again does the rest.
	names := append(slices.Clone(u.gone), u.state(h)...)
	switch stay, err := u.keepsBackups(ctx, h, res.Lacks); {
	case err != nil:
		return res, err
	case stay:
		dir := u.s.backups().Dir
		names = slices.DeleteFunc(names, func(name string) bool { return name == dir })
		if !slices.Contains(u.Stays, dir) {
			res.Stays = append(res.Stays, dir)
		}
	}
	// The record of what is done goes last.
	sort.SliceStable(names, func(i, j int) bool { return last(names[i]) < last(names[j]) })
	for _, name := range names {
		if slices.Contains(u.gone, name) {
			switch err := u.disposable(ctx, h, name); {
			case ctx.Err() != nil:
				return res, err
			case err != nil: // somebody has worked there meanwhile
				h.Warn("%s stays: %v", home.Shown(name), err)
				res.Stays = append(res.Stays, name)
				continue
			}
		}
		if err := h.Remove(name); err != nil {
			return res, bootstrap.Hint(fmt.Errorf("removing %s: %w", name, err), "the home is as it was before movein; run the same command again")
		}
	}
	roots, profiles := filepath.Dir(u.s.c.current()), filepath.Join(u.s.c.StateHome, "nix/profiles")
	for _, dir := range []string{roots, filepath.Dir(roots), profiles, filepath.Dir(profiles), filepath.Join(u.s.c.DataHome, "movein")} {
		if info, err := h.Lstat(dir); err == nil && info.IsDir() { // a link is somebody's own
			h.TakeAway(ctx, host.Place{Base: filepath.Dir(dir), Name: filepath.Base(dir)}, false) //nolint:errcheck // if it is empty
		}
	}
	return res, nil
}

// last is 1 for the backups, by which it is known what is done already.
func last(name string) int {
	if filepath.Base(name) == "backups" {
		return 1
	}
	return 0
}

// giveBack is the transaction.
func (u *Uninstall) giveBack(ctx context.Context, h host.Host) (home.Restored, error) {
	s, g := u.s, generation{u.s.c, u.To.Generation}
	var claims []home.Claim
	if g.out != "" {
		var err error
		if claims, err = g.claims(h); err != nil {
			return home.Restored{}, err
		}
	}
	return s.changer().Return(ctx, h, home.Return{
		To: *u.To, Reason: "before uninstall", Generation: s.c.activeGeneration(h), Wanted: g.out, Links: s.links(h), Claims: claims,
		Activate: func(ctx context.Context) error {
			if g.out != "" {
				r := Rollback{s: s, Path: g.out, Number: s.c.generationOf(h, g.out)}
				if err := r.activate(ctx, h, g); err != nil {
					return err
				}
				return u.unlink(h, u.made)
			}
			if err := u.deactivate(ctx, h); err != nil {
				return err
			}
			return u.unlink(h, slices.Concat([]string{s.c.profile(h), s.c.current()}, u.made))
		},
		Undo: func(ctx context.Context, old string, links map[string]string, activated bool) error {
			return s.undo(ctx, h, old, links, activated)
		},
	})
}

// deactivate stops what the active generation started, and takes its packages out of
// the user's profile.
func (u *Uninstall) deactivate(ctx context.Context, h host.Host) error {
	out := u.s.c.activeGeneration(h)
	if out == "" {
		return nil
	}
	u.stopUnits(ctx, h, out)
	path, ok := isLink(h, out+"/home-path")
	if !ok || !nonEmpty(h, path) || !(generation{u.s.c, out}).packagesKept(h) {
		return nil
	}
	nix := detectNix(ctx, h, u.s.f, u.s.c)
	args := []string{filepath.Join(filepath.Dir(nix.Bin), "nix-env"), "--uninstall", "home-manager-path"}
	for _, profile := range []string{filepath.Join(u.s.c.Home, ".nix-profile"), filepath.Join(u.s.c.StateHome, "nix/profile")} {
		if exists(h, profile+"/manifest.json") {
			args = []string{nix.Bin, "profile", "remove", "home-manager-path"}
		}
	}
	if _, err := h.Run(ctx, &host.Cmd{Args: args, Dir: u.s.c.Home}); err != nil {
		return fmt.Errorf("taking the packages out of the profile: %w", err)
	}
	return nil
}

// stopUnits stops the user units that the generation brought and has the user's
// systemd forget them. Where none runs there is nothing to stop.
func (u *Uninstall) stopUnits(ctx context.Context, h host.Host, out string) {
	leaves, err := generation{u.s.c, out}.leaves(h)
	if err != nil {
		return
	}
	var units []string
	for _, l := range leaves {
		dir, name := filepath.Split(l.rel)
		if dir == ".config/systemd/user/" && slices.Contains([]string{".service", ".socket", ".timer", ".path"}, filepath.Ext(name)) && !strings.Contains(name, "@.") {
			units = append(units, name)
		}
	}
	if len(units) == 0 {
		return
	}
	state, err := h.Query(ctx, &host.Cmd{Args: []string{"systemctl", "--user", "is-system-running"}})
	if word := strings.TrimSpace(string(state.Stdout)); err != nil && word != "degraded" {
		return
	}
	for _, args := range [][]string{append([]string{"stop"}, units...), {"daemon-reload"}} {
		const notLoaded = 5 // systemctl's exit code, once it has stopped the others
		if res, err := h.Run(ctx, &host.Cmd{Args: append([]string{"systemctl", "--user"}, args...)}); err != nil && res.Code != notLoaded {
			h.Warn("%v; look with: systemctl --user status", err)
		}
	}
}

// unlink removes links beside the files.
func (u *Uninstall) unlink(h host.Host, names []string) error {
	for _, name := range names {
		if _, ok := isLink(h, name); !ok {
			continue
		}
		if err := h.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
