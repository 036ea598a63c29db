package home

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"

	"movein/bootstrap"
	"movein/bootstrap/host"
)

// Restored is what a restore did.
type Restored struct {
	Change bootstrap.Change
	Undo   string   // the run that has what was there before; "" when nothing was changed
	Lacks  []string // what could not be given back: "/home/ann/x: owner 0:0"
	Stays  []string // directories that were not there, and are not empty
}

// Restore makes the paths of the home, or all that the run knows, what they were before
// it. What would be lost is saved first. When it is cut short, the same again ends it.
func (b Backups) Restore(ctx context.Context, h host.Host, r Run, a About, paths ...string) (Restored, error) {
	return b.restore(ctx, h, r.below(paths), a, nil)
}

// RestoreTo makes all that the run and the later ones know what it was before the run.
func (b Backups) RestoreTo(ctx context.Context, h host.Host, r Run, a About) (Restored, error) {
	runs, err := b.from(h, r)
	if err != nil {
		return Restored{}, err
	}
	return b.restore(ctx, h, since(runs), a, nil)
}

// from are the run and the later ones, newest first.
func (b Backups) from(v host.View, r Run) (runs []Run, err error) {
	all, broken, err := b.List(v)
	if err != nil {
		return nil, err
	}
	for name, err := range broken {
		if name >= r.Run {
			return nil, err
		}
	}
	all = slices.DeleteFunc(all, func(o Run) bool { return o.Run < r.Run || o.Aside && o.Run != r.Run })
	slices.Reverse(all)
	return all, nil
}

// Preview is what Restore would do.
func (b Backups) Preview(ctx context.Context, v host.View, r Run, paths ...string) (bootstrap.Change, error) {
	moves, err := b.compare(ctx, v, r.below(paths))
	return b.change(moves), err
}

// PreviewTo is what RestoreTo would do.
func (b Backups) PreviewTo(ctx context.Context, v host.View, r Run) (bootstrap.Change, error) {
	runs, err := b.from(v, r)
	if err != nil {
		return nil, err
	}
	moves, err := b.compare(ctx, v, since(runs))
	return b.change(moves), err
}

func (b Backups) change(moves []move) (c bootstrap.Change) {
	for _, m := range moves {
		if m.verb != none && m.verb != touch {
			c = append(c, m.action(b.Home))
		}
	}
	return c
}

// compare says for each entry what is to be done, in the order of the names.
func (b Backups) compare(ctx context.Context, v host.View, wants map[string]wanted) ([]move, error) {
	var moves []move
	over := map[string]bool{} // paths that will be no directories, or new ones: nothing of now is below them then
	for _, name := range slices.Sorted(maps.Keys(wants)) {
		m := move{wanted: wants[name], now: host.Kept{Name: name, Kind: host.KindAbsent}}
		if !slices.ContainsFunc(parents(name), func(dir string) bool { return over[dir] }) {
			var err error
			m.now, err = v.Look(ctx, b.place(name), m.Kind == host.KindFile)
			if err != nil {
				return nil, b.refuse(err)
			}
		}
		if err := m.decide(); err != nil {
			return nil, bootstrap.Hint(bootstrap.Refuse("restoring below %s: %w", b.place(name), err), "move it away, then run the same command again: ls -ld %s", quote(b.place(name).String()))
		}
		if m.verb != prune && (m.Kind != host.KindDir || m.verb == replace) {
			over[name] = true
		}
		if (m.verb == remove || m.verb == replace) && inside(b.Dir, b.place(name).String()) {
			return nil, bootstrap.Hint(bootstrap.Refuse("restoring %s: the backups are in it", b.place(name)), "move %s elsewhere, and set XDG_STATE_HOME to there", quote(filepath.Dir(b.Dir)))
		}
		moves = append(moves, m)
	}
	return moves, b.relink(ctx, v, moves)
}

func (b Backups) refuse(err error) error {
	if link, ok := errors.AsType[*host.ThroughLinkError](err); ok {
		return bootstrap.Hint(bootstrap.Refuse("restoring: %w", err), "nothing was changed; move the link away, then run the same command again: ls -ld %s", quote(link.Link))
	}
	if errors.Is(err, fs.ErrPermission) {
		return bootstrap.Refuse("restoring: %w", err)
	}
	return fmt.Errorf("restoring: %w", err)
}

// relink has the names of one file be names of one file again.
func (b Backups) relink(ctx context.Context, v host.View, moves []move) error {
	first := map[string]*move{} // by run and inode
	inode := map[string]string{}
	for pass := range 2 { // first those that are right already
		for i := range moves {
			m := &moves[i]
			if m.Kind != host.KindFile || m.Links < 2 && m.Held == "" || pass == 0 && m.verb != none && m.verb != set {
				continue
			}
			group := m.run + " " + m.Inode
			if _, ok := inode[group]; !ok && m.Held != "" {
				held, err := v.Look(ctx, host.Place{Base: m.dir, Name: m.Held}, true)
				if err != nil {
					return b.refuse(err)
				}
				if held.SHA256 == m.SHA256 {
					inode[group] = held.Inode
				}
			}
			if first[group] == nil {
				first[group] = m
				if _, ok := inode[group]; !ok {
					inode[group] = m.now.Inode // stays; or is another one soon
				}
			}
			if first[group] != m {
				m.twin = first[group].Name
			}
			if m.now.Inode != inode[group] && m.verb != replace {
				m.verb = put
			}
		}
	}
	return nil
}

// restore does what compare says. If sealed is given, a backup is made also if nothing
// would be lost, and sealed is called before the first change.
func (b Backups) restore(ctx context.Context, h host.Host, wants map[string]wanted, a About, sealed func(run string) error) (r Restored, err error) {
	undo, closed, err := b.unlock(ctx, h, wants, a)
	var moves []move
	if err == nil {
		moves, err = b.compare(ctx, h, wants)
	}
	if err == nil {
		err = verify(ctx, h, moves)
	}
	if err == nil {
		undo, err = b.save(ctx, h, moves, undo, a)
	}
	if err == nil && undo == nil && sealed != nil {
		undo, err = b.Begin(h, a)
	}
	if err == nil && undo != nil {
		if err, r.Undo = undo.Seal(), undo.Run(); err == nil {
			err = undo.unchanged(ctx)
		}
	}
	if err == nil && sealed != nil {
		err = sealed(r.Undo)
	}
	if err != nil {
		return Restored{}, errors.Join(err, b.lock(ctx, h, closed), undo.giveUp())
	}
	r.Change = b.change(moves)
	t := restorer{b: b, h: h, moves: moves}
	err = t.all(ctx)
	r.Lacks, r.Stays = t.lacks, t.stays
	if err != nil {
		return r, fmt.Errorf("restoring: %w", err)
	}
	return r, nil
}

func (k *Backup) giveUp() error {
	if k == nil || k.failed {
		return nil
	}
	return k.Discard()
}

// unlock opens directories of the user's own that the user may not look into, once
// what they are is saved.
func (b Backups) unlock(ctx context.Context, h host.Host, wants map[string]wanted, a About) (undo *Backup, closed []host.Kept, err error) {
	for _, name := range slices.Sorted(maps.Keys(wants)) {
		if wants[name].Kind != host.KindDir {
			continue
		}
		now, err := h.Look(ctx, b.place(name), false)
		if _, ok := errors.AsType[*host.ThroughLinkError](err); ok {
			continue // compare knows whether that is all right
		} else if err != nil {
			return undo, closed, b.refuse(err)
		}
		if now.Kind != host.KindDir || now.Mode&0o500 == 0o500 || now.Mode == wants[name].Mode {
			continue
		}
		if undo == nil {
			if undo, err = b.Begin(h, a); err != nil {
				return nil, closed, err
			}
		}
		if err := undo.Save(ctx, name); err != nil {
			return undo, closed, err
		}
		closed = append(closed, now)
		now.Mode |= 0o700
		if _, err := h.PutBack(ctx, now, "", b.place(name), ""); err != nil {
			return undo, closed, b.refuse(err)
		}
	}
	return undo, closed, nil
}

// lock takes back what unlock did.
func (b Backups) lock(ctx context.Context, h host.Host, closed []host.Kept) (err error) {
	for _, dir := range slices.Backward(closed) {
		_, perr := h.PutBack(context.WithoutCancel(ctx), dir, "", b.place(dir.Name), "")
		err = errors.Join(err, perr)
	}
	return err
}

// save keeps what the moves would lose.
func (b Backups) save(ctx context.Context, h host.Host, moves []move, undo *Backup, a About) (*Backup, error) {
	var some, dirs, trees, absent []string
	over := "" // as in compare
	for _, m := range moves {
		if over != "" && inside(m.Name, over) {
			if m.verb == put {
				absent = append(absent, m.Name)
			}
			continue
		}
		if m.verb == replace && m.Kind == host.KindDir {
			over = m.Name
		}
		switch m.verb {
		case none, touch:
		case remove, put, replace:
			if b.isOurs(ctx, h, m.Name, a) {
				continue
			}
			if m.verb == put && m.Kind == host.KindDir { // what is put into it later is not ours to take back
				dirs = append(dirs, m.Name)
				continue
			}
			if m.verb == put {
				some = append(some, m.Name)
				continue
			}
			trees = append(trees, m.Name)
		default:
			some = append(some, m.Name)
		}
	}
	if len(some)+len(dirs)+len(trees) == 0 && undo == nil {
		return nil, nil
	}
	var err error
	if undo == nil {
		if undo, err = b.Begin(h, a); err != nil {
			return nil, err
		}
	}
	if err := undo.SaveTree(ctx, trees...); err != nil {
		return nil, err
	}
	if err := undo.Save(ctx, some...); err != nil {
		return nil, err
	}
	if err := undo.SaveDirs(ctx, dirs...); err != nil {
		return nil, err
	}
	undo.Absent(absent...)
	return undo, nil
}

// isOurs reports whether a file is just what a says that is made anew.
func (b Backups) isOurs(ctx context.Context, v host.View, path string, a About) bool {
	if a.Ours[path] == "" {
		return false
	}
	now, err := v.Look(ctx, b.place(path), true)
	return err == nil && now.Kind == host.KindFile && now.Links == 1 && len(now.Xattrs) == 0 && now.SHA256 == a.Ours[path]
}

// verify refuses to begin if what is to be put back is not what was kept.
func verify(ctx context.Context, v host.View, moves []move) error {
	seen := map[string]bool{}
	for _, m := range moves {
		object := ""
		if m.Kind == host.KindFile {
			object = filepath.Join(m.dir, host.ObjectName(m.SHA256))
		}
		if object == "" || seen[object] || m.verb != put && m.verb != replace {
			continue
		}
		seen[object] = true
		now, err := v.Look(ctx, host.Place{Base: m.dir, Name: host.ObjectName(m.SHA256)}, true)
		if err == nil && now.SHA256 != m.SHA256 {
			err = &host.DigestError{Name: object, Want: m.SHA256, Got: now.SHA256}
			if now.Kind == host.KindAbsent {
				err = &fs.PathError{Op: "open", Path: object, Err: fs.ErrNotExist}
			}
		}
		if err != nil {
			return bootstrap.Exit(bootstrap.ExitFailed, bootstrap.Hint(fmt.Errorf("restoring %s: the copy in backup %s is damaged: %w", filepath.Base(m.Name), m.run, err),
				"nothing was changed; restore the other paths by naming them: movein backups restore %s PATH…", m.run))
		}
	}
	return nil
}
