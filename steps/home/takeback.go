package home

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"movein/bootstrap"
	"movein/bootstrap/host"
)

// Undo gives a generation back, and the links as they were. Activated says whether
// the other one had begun to be activated, the dry run aside.
type Undo func(ctx context.Context, generation string, links map[string]string, activated bool) error

// Resume gets a home ready in which a change was cut short: it finishes taking
// back one that had gone wrong, or that was a Return. It is called before the home is looked at.
func (c *Changer) Resume(ctx context.Context, h host.Host, undo Undo) error {
	rec, ok, err := c.record(h)
	switch {
	case err != nil || !ok:
		return err
	case rec.Back, rec.Undoes != "":
		return c.takeBack(ctx, h, rec, undo)
	}
	return errors.Join(c.giveHeld(ctx, h, rec), c.unfoldAgain(h, rec.Unfolds), c.removeTemporary(ctx, h, rec.Runs))
}

// keepDirs gives directories their modes and attributes again that differ in a way that
// matters: home-manager removes those that are empty for a moment, and makes them anew.
func (c *Changer) keepDirs(ctx context.Context, h host.Host, dirs []host.Kept, matters func(now, was host.Kept) bool) error {
	for _, was := range dirs {
		now, err := h.Look(ctx, c.place(was.Name), false)
		if err != nil || now.Kind != host.KindDir || !matters(now, was) {
			continue
		}
		was.MTime = now.MTime
		if _, err := h.PutBack(ctx, was, "", c.place(was.Name), ""); err != nil {
			return err
		}
	}
	return nil
}

// opened: somebody may do now what nobody could, or it was made anew. A directory that a
// hook has closed stays so.
func opened(now, was host.Kept) bool { return now.Mode.Perm()&^was.Mode.Perm() != 0 || anew(now, was) }

// changed: it is not what it was at all.
func changed(now, was host.Kept) bool { return now.Mode != was.Mode || anew(now, was) }

// anew: it has not what a directory that is made anew has not.
func anew(now, was host.Kept) bool {
	for name := range was.Xattrs {
		if _, ok := now.Xattrs[name]; !ok {
			return true
		}
	}
	return was.Mode&^now.Mode&(fs.ModeSetuid|fs.ModeSetgid|fs.ModeSticky) != 0
}

// takeBack makes the home what it was before the change, of which rec is the record.
func (c *Changer) takeBack(ctx context.Context, h host.Host, rec record, undo Undo) error {
	rec.Back = true
	// A disk may be full: it is taken back all the same, and if that is cut short,
	// the next run goes on with the change as if it had not gone wrong.
	c.write(h, rec) //nolint:errcheck // see above
	errs := []error{c.there(h, rec.Runs), c.Backups.undone(h, rec.Runs[0]), c.removeTemporary(ctx, h, rec.Runs), c.restore(ctx, h, rec)}
	activated := rec.Activating && errors.Join(errs...) == nil // else the old one would find what is not its own
	if undo != nil {
		errs = append(errs, undo(ctx, rec.Generation, rec.Links, activated))
	}
	if activated && errors.Join(errs...) == nil {
		errs = append(errs, c.restore(ctx, h, rec)) // the old generation's activation is a change, too
	}
	if err := errors.Join(errs...); err != nil {
		return bootstrap.Hint(fmt.Errorf("giving back what was there: %w", err),
			"not all is as it was: mend that and run the same command again; everything that was replaced is in %s: movein backups list", c.Backups.Dir)
	}
	return c.done(h)
}

// restore gives back what the change's first run and the later ones replaced.
func (c *Changer) restore(ctx context.Context, h host.Host, rec record) error {
	first, err := c.Backups.Open(h, rec.Runs[0])
	if err != nil {
		return err
	}
	done, err := c.Backups.RestoreTo(ctx, h, first, About{Version: c.Version, Reason: "before a change that went wrong was taken back", Part: true, Ours: rec.Ours})
	for _, lack := range done.Lacks {
		h.Warn("could not be given back: %s; what it was is in %s", Shown(lack), first.Dir)
	}
	for _, stays := range done.Stays {
		h.Warn("%s was not there before, is not empty, and stays", Shown(stays))
	}
	var dirs []host.Kept
	for _, e := range first.Entries {
		if e.Parent && e.Kind == host.KindDir {
			dirs = append(dirs, e.Kept)
		}
	}
	return errors.Join(err, c.keepDirs(ctx, h, dirs, changed))
}
