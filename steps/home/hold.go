package home

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"movein/bootstrap"
	"movein/bootstrap/host"
)

// holding has a generation activated of which some links are not wanted: what is in
// their places is kept in a backup of its own, taken away, and given back when the
// links are made and taken away again. Whoever goes on after a kill finds in the
// record what is to be given back, and from where. So is a link by which home-manager would
// reach, at one of the paths that it drops, another link of the kind that it takes away.
func (c *Changer) holding(ctx context.Context, h host.Host, rec *record, unwanted []Claim, dropped []string, try, activate func(context.Context) error) error {
	held, err := c.toHold(h, unwanted)
	if err != nil {
		return err
	}
	for _, path := range dropped {
		if link := c.reachedBy(h, path); link != "" && !slices.Contains(held, link) {
			held = append(held, link)
		}
	}
	if len(held) > 0 {
		if err := c.keepHeld(ctx, h, rec, held); err != nil {
			return err
		}
	}
	if try != nil {
		if err := try(ctx); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	rec.Activating = true
	if err := c.write(h, *rec); err != nil {
		return err
	}
	if err := activate(ctx); err != nil {
		return err
	}
	if err := c.unlink(ctx, h, unwanted, held); err != nil {
		return err
	}
	return c.giveHeld(ctx, h, *rec)
}

// toHold is what has to be out of the way of links that are not wanted: what is in
// their places, or what is no directory on the way there. Paths below the home.
func (c *Changer) toHold(h host.Host, unwanted []Claim) (held []string, err error) {
	for _, s := range unwanted {
		if s.Owner != HomeManager {
			continue
		}
		path, err := c.inTheWay(h, s.Path)
		if err != nil {
			return held, err
		}
		if path != "" && !slices.Contains(held, path) {
			held = append(held, path)
		}
	}
	return held, nil
}

// reachedBy is the link on the way to a path at which there is one of home-manager's; "" if
// there is no link on the way, or not such a one at its end.
func (c *Changer) reachedBy(h host.Host, path string) string {
	if !isManaged(h, c.place(path).String()) {
		return ""
	}
	for _, at := range parents(path)[1:] {
		if info, err := h.Lstat(c.place(at).String()); err == nil && info.Mode()&fs.ModeSymlink != 0 {
			return at
		}
	}
	return ""
}

// inTheWay is the first on the way to path that is neither a directory nor one of
// home-manager's links, or what is at path; "" if there is nothing like that.
func (c *Changer) inTheWay(h host.Host, path string) (string, error) {
	for _, at := range append(parents(path)[1:], path) {
		name := c.place(at).String()
		info, err := h.Lstat(name)
		switch {
		case errors.Is(err, fs.ErrNotExist), err == nil && isManaged(h, name):
			return "", nil
		case err != nil:
			return "", err
		case at != path && info.Mode()&fs.ModeSymlink != 0:
			if _, err := h.ReadDir(name); err == nil {
				return "", bootstrap.Hint(bootstrap.Refuse("%s is not to be a link of home-manager's, and is reached through %s, which leads elsewhere", Shown(c.place(path).String()), Shown(name)),
					"name the file in [ownership] by where it really is, or take it out of the home repo, then run the same command again")
			}
			return at, nil
		case at == path || !info.IsDir():
			return at, nil
		}
	}
	return "", nil
}

// keepHeld keeps what is at the paths in a backup, and takes it away.
func (c *Changer) keepHeld(ctx context.Context, h host.Host, rec *record, held []string) error {
	b, err := c.Backups.Begin(h, About{Version: c.Version, Reason: "before home-manager's links", Generation: rec.Generation, Part: true})
	if err != nil {
		return err
	}
	if err := b.SaveTree(ctx, held...); err != nil {
		return err
	}
	if err := b.Seal(); err != nil {
		return err
	}
	if err := b.unchanged(ctx); err != nil {
		return err
	}
	rec.Runs, rec.HeldIn, rec.Held = append(rec.Runs, b.Run()), b.Run(), nil
	for _, path := range held {
		rec.Held = append(rec.Held, Name(path))
	}
	if err := c.write(h, *rec); err != nil {
		return err
	}
	for _, path := range held {
		if err := h.TakeAway(ctx, c.place(path), true); err != nil {
			return fmt.Errorf("taking %s away: %w", c.place(path), err)
		}
	}
	return nil
}

// giveHeld gives back what was taken away for an activation, unless something else
// is there now than nothing or home-manager's link: that stays, and the other is in
// the backup.
func (c *Changer) giveHeld(ctx context.Context, h host.Host, rec record) error {
	if len(rec.Held) == 0 {
		return nil
	}
	run, err := c.Backups.Open(h, rec.HeldIn)
	if err != nil {
		return err
	}
	var give []string
	for _, held := range rec.Held {
		name := c.place(string(held)).String()
		now, err := h.Look(ctx, c.place(string(held)), true)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(run.Entries, func(e Entry) bool { return e.Name == string(held) })
		switch {
		case now.Kind == host.KindAbsent || isManaged(h, name):
			give = append(give, string(held))
		case i < 0 || !now.SameContent(run.Entries[i].Kept):
			h.Warn("something else is now at %s; what was there is in %s: movein backups restore %s %s", Shown(name), run.Dir, run.Run, Shown(name))
		}
	}
	if len(give) == 0 {
		return nil
	}
	moves, err := c.Backups.compare(ctx, h, run.below(give))
	if err == nil {
		err = verify(ctx, h, moves)
	}
	if err == nil {
		err = (&restorer{b: c.Backups, h: h, moves: moves}).all(ctx)
	}
	return err
}

// unlink takes the links away that are not wanted, and directories that were made
// for them in the places of what is held.
func (c *Changer) unlink(ctx context.Context, h host.Host, unwanted []Claim, held []string) error {
	for _, s := range unwanted {
		if s.Owner != HomeManager {
			continue
		}
		if isManaged(h, c.place(s.Path).String()) {
			if err := h.TakeAway(ctx, c.place(s.Path), false); err != nil {
				return err
			}
		}
		if !slices.ContainsFunc(parents(s.Path), func(dir string) bool { return slices.Contains(held, dir) }) {
			continue
		}
		for dir := parentOf(s.Path); dir != "."; dir = parentOf(dir) {
			if entries, err := h.ReadDir(c.place(dir).String()); err != nil || len(entries) > 0 {
				break
			}
			if err := h.TakeAway(ctx, c.place(dir), false); err != nil {
				return err
			}
			if slices.Contains(held, dir) {
				break
			}
		}
	}
	return nil
}

// isManaged reports whether name is a link into a generation's files.
func isManaged(v host.View, name string) bool {
	target, err := v.Readlink(name)
	return err == nil && managedLink().MatchString(target)
}
