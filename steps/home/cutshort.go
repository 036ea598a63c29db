package home

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"movein/bootstrap/host"
)

// unfold is a link that takes the place of a part of a directory that was one link,
// Top. Once that is gone nothing else says that the link is wanted.
type unfold struct {
	Top    Name `json:"top"`
	Path   Name `json:"path"`
	Target Name `json:"target"`
}

// unfolds are those of a job.
func unfolds(items []Item) (out []unfold) {
	top := ""
	for _, i := range items { // sorted: the directory before what is in it
		if i.Verb == Replace && i.Was == foldedDir {
			top = i.Path
		}
		if i.Claim.Unfolds && i.Verb == Create && inside(i.Path, top) {
			out = append(out, unfold{Name(top), Name(i.Path), Name(i.Claim.Target)})
		}
	}
	return out
}

// unfoldAgain makes the links of a change that was cut short, as far as it got to
// where they are due.
func (c *Changer) unfoldAgain(h host.Host, links []unfold) error {
	for _, l := range links {
		name := c.place(string(l.Path)).String()
		if top, err := h.Lstat(c.place(string(l.Top)).String()); err == nil && !top.IsDir() {
			continue // it is not there yet, or is something else
		}
		if _, err := h.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := h.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		if err := h.Symlink(string(l.Target), name); err != nil {
			return err
		}
	}
	return nil
}

// removeTemporary removes what was being written when its writer was killed: by movein,
// under the name for that, or by chezmoi, which writes .NAMEnumber in the directory where
// it wrote first, then renames that (github.com/google/renameio, and chezmoi's
// internal/chezmoi/realsystem_unix.go). Of chezmoi's only those are meant that are newer
// than the backup that was made before.
func (c *Changer) removeTemporary(ctx context.Context, h host.Host, runs []string) error {
	if len(runs) == 0 {
		return nil
	}
	first, err := c.Backups.Open(h, runs[0])
	if err != nil {
		return nil //nolint:nilerr // what they were is not known: they stay
	}
	dirs, bases, own := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, e := range first.Entries {
		if !e.Parent {
			dirs[parentOf(e.Name)], bases[filepath.Base(e.Name)] = true, true
			own[filepath.Join(parentOf(e.Name), host.PutName(filepath.Base(e.Name)))] = true
		}
	}
	var found []string
	for dir := range dirs {
		entries, err := h.ReadDir(c.place(dir).String())
		if err != nil {
			continue // there is no such directory: nothing is in it
		}
		for _, e := range entries {
			info, err := e.Info()
			if err != nil {
				continue
			}
			path := filepath.Join(dir, e.Name())
			if own[path] || info.Mode().IsRegular() && !info.ModTime().Before(first.Time.Truncate(time.Second)) && temporary(e.Name(), bases) {
				found = append(found, path)
			}
		}
	}
	if len(found) == 0 {
		return nil
	}
	// It may be somebody else's after all.
	b, err := c.Backups.Begin(h, About{Version: c.Version, Reason: "before temporary files of a run that was killed were removed", Aside: true})
	if err != nil {
		return err
	}
	if err := b.Save(ctx, found...); err != nil {
		return err
	}
	if err := b.Seal(); err != nil {
		return err
	}
	for _, path := range found {
		if err := h.TakeAway(ctx, c.place(path), false); err != nil {
			return err
		}
	}
	return nil
}

// temporary reports whether name is one of bases on its way.
func temporary(name string, bases map[string]bool) bool {
	name, ok := strings.CutPrefix(name, ".")
	digits := len(name) - len(strings.TrimRight(name, "0123456789"))
	const least = 6 // of a random number of 64 bits
	for n := least; ok && n <= digits; n++ {
		if bases[name[:len(name)-n]] {
			return true
		}
	}
	return false
}
