package home

import (
	"context"
	"path/filepath"
	"slices"
	"time"

	"movein/bootstrap"
	"movein/bootstrap/host"
)

// Policy says which runs may go.
type Policy struct {
	Keep  int           // not the newest so many
	Older time.Duration // only those that are older
	All   bool          // also those that alone know what a path was at first
}

// Prunable are the runs that a policy lets go, oldest first, and how many only stay
// because they alone have what a path was before movein came to it: the first
// run, and the first one for each later path.
func Prunable(runs []Run, p Policy, now time.Time) (old []Run, originals int) {
	known := map[string]bool{}
	for i, r := range runs {
		first := i == 0
		for _, e := range r.Entries {
			if !e.Parent && !known[e.Name] {
				first = true
			}
		}
		goes := i < len(runs)-p.Keep && (p.Older == 0 || now.Sub(r.Time) > p.Older)
		if goes && first && !p.All {
			originals++
			goes = false
		}
		if goes {
			old = append(old, r)
			continue
		}
		for _, e := range r.Entries {
			if !e.Parent {
				known[e.Name] = true
			}
		}
	}
	return old, originals
}

// Prune removes runs, and what killed ones left. It refuses those without which a
// change that was cut short can be neither ended nor taken back.
func (c *Changer) Prune(h host.Host, runs []Run) error {
	rec, cut, err := c.record(h)
	if err != nil {
		return err
	}
	for _, r := range runs {
		if cut && (r.Run >= slices.Min(rec.Runs) || rec.Undoes != "" && r.Run >= rec.Undoes) {
			return bootstrap.Hint(bootstrap.Refuse("a change of the home was cut short, and backup %s is needed to take it back", r.Run), "finish it first: movein apply")
		}
	}
	return c.Backups.prune(h, runs)
}

func (b Backups) prune(h host.Host, runs []Run) error {
	if len(runs) > 0 {
		if err := b.remember(h, runs); err != nil {
			return err
		}
	}
	for _, r := range slices.Backward(runs) { // the newest first: what stays is what was before it
		gone := filepath.Join(b.Dir, removing+r.Run)
		if err := h.Rename(r.Dir, gone); err != nil {
			return err
		}
		if err := h.Remove(gone); err != nil {
			return err
		}
	}
	return b.sweep(h)
}

// Alone is a path of the home of which the backups have a content that is not there
// now, or that would not be the same as a copy; "" if there is none.
func (b Backups) Alone(ctx context.Context, v host.View) (path string, err error) {
	runs, broken, err := b.List(v)
	if err != nil {
		return "", err
	}
	for run := range broken {
		return filepath.Join(b.Dir, run), nil
	}
	for _, r := range slices.Backward(runs) {
		for _, e := range r.Entries {
			mine := e.Kind == host.KindFile || e.Kind == host.KindLink && !managedLink().MatchString(e.Target)
			if !mine || e.Parent {
				continue
			}
			now, err := v.Look(ctx, b.place(e.Name), true)
			if ctx.Err() != nil {
				return "", context.Cause(ctx)
			}
			if err != nil || !e.SameContent(now) || e.Held != "" && !e.Same(now) {
				return b.place(e.Name).String(), nil
			}
		}
	}
	return "", nil
}
