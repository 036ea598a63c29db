package home

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"

	"movein/bootstrap"
	"movein/bootstrap/host"
)

// Refused says why the items may not be changed, as far as that is to be seen without
// copying anything: what is replaced or removed has to be readable, what that is in
// writable, and it must not be what the backups are in.
func (c *Changer) Refused(ctx context.Context, v host.View, items []Item) error {
	for _, i := range items {
		if i.Verb != Replace && i.Verb != Delete {
			continue
		}
		if name, err := unreadable(v, c.place(i.Path).String()); err != nil {
			return refusal(name, err)
		}
	}
	if err := c.shut(v, items); err != nil {
		return err
	}
	return c.outOfWay(ctx, v, items)
}

// shut refuses to change what is in a directory that may not be written to, and stays so.
func (c *Changer) shut(v host.View, items []Item) error {
	done, gone := map[string]bool{}, map[string]bool{}
	for _, i := range items {
		done[i.Path] = opens(i)
		gone[i.Path] = i.Verb == Replace || i.Verb == Delete
	}
	for _, i := range items {
		dir := parentOf(i.Path)
		if done[dir] || i.Verb == Keep || i.Verb == Update && i.Claim.Kind == Dir || slices.ContainsFunc(parents(i.Path), func(p string) bool { return gone[p] }) {
			continue
		}
		done[dir] = true
		name := c.place(dir).String()
		if info, err := v.Lstat(name); err != nil || !info.IsDir() {
			continue
		}
		if err := v.Writable(name); err != nil {
			return bootstrap.Hint(bootstrap.Refuse("%s is to be changed (%s), and nothing in its directory may be: %v", Shown(c.place(i.Path).String()), i.Claim.Source, err),
				"let yourself write there, or take it out of the repo, then run the same command again: chmod u+rwx %s", Shown(name))
		}
	}
	return nil
}

// unreadable finds something at or below name that a backup could not be made of.
func unreadable(v host.View, name string) (string, error) {
	info, err := v.Lstat(name)
	switch {
	case vacant(err):
		return "", nil
	case err != nil:
		return name, err
	case info.Mode().IsRegular() && info.Mode()&0o400 != 0: // what its owner has closed is opened to be copied
		if _, err := v.ReadHead(name, 0); err != nil {
			return name, err
		}
	case info.IsDir():
		entries, err := v.ReadDir(name)
		if err != nil {
			return name, err
		}
		for _, e := range entries {
			if name, err := unreadable(v, filepath.Join(name, e.Name())); err != nil {
				return name, err
			}
		}
	}
	return "", nil
}

// outOfWay refuses to replace or delete what the backups themselves are in. It goes by
// inodes: names lead through links.
func (c *Changer) outOfWay(ctx context.Context, v host.View, items []Item) error {
	above := map[string]bool{}
	dir := filepath.Dir(c.Record)
	for {
		now, err := v.Look(ctx, host.Place{Base: dir, Name: "."}, false)
		if errors.Is(err, fs.ErrNotExist) || err == nil && now.Kind == host.KindAbsent {
			dir = filepath.Dir(dir) // not made yet
			continue
		}
		if err != nil {
			return err
		}
		if above[now.Inode] {
			break
		}
		above[now.Inode] = true
		dir += "/.." // of where it really is
	}
	// And the names that lead there: without them nobody finds it.
	for dir := filepath.Dir(c.Record); dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		now, err := v.Look(ctx, host.Place{Base: filepath.Dir(dir), Name: filepath.Base(dir)}, false)
		if err == nil && now.Kind == host.KindLink {
			above[now.Inode] = true
		}
	}
	for _, i := range items {
		if i.Verb != Replace && i.Verb != Delete {
			continue
		}
		now, err := v.Look(ctx, c.place(i.Path), false)
		if err != nil {
			return err
		}
		if above[now.Inode] && (now.Kind == host.KindDir || i.Claim.Kind != Dir) { // a folded directory still leads there
			return bootstrap.Hint(bootstrap.Refuse("%s is to be replaced or removed (%s), and movein keeps its backups in it", Shown(c.place(i.Path).String()), i.Claim.Source),
				"take that out of the repo, or set XDG_STATE_HOME to a place that is not managed, then run the same command again")
		}
	}
	return nil
}
