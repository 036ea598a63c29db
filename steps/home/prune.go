package home

import (
	"path/filepath"
	"slices"
	"time"

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

// Prune removes runs, and what killed ones left.
func (b Backups) Prune(h host.Host, runs []Run) error {
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
