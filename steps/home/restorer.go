package home

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"syscall"

	"movein/bootstrap"
	"movein/bootstrap/host"
)

// restorer makes moves. Each can be made again, so that who is cut short begins anew.
type restorer struct {
	b      Backups
	h      host.Host
	moves  []move
	lacks  []string
	stays  []string
	opened map[string]host.Kept // directories that get their metadata last
}

// all makes the moves: takes away, makes directories, puts things into them, and
// gives directories their metadata when nothing more is done in them.
func (t *restorer) all(ctx context.Context) error {
	t.opened = map[string]host.Kept{}
	if err := t.open(ctx); err != nil {
		return err
	}
	if err := t.away(ctx); err != nil {
		return err
	}
	for _, twins := range []bool{false, true} { // a file comes before its other names
		for _, m := range t.moves {
			if (m.verb == put || m.verb == replace || m.verb == set) && (m.twin != "") == twins {
				if err := t.put(ctx, m); err != nil {
					return err
				}
			}
		}
	}
	return t.close(ctx)
}

func (t *restorer) put(ctx context.Context, m move) error {
	if err := t.still(ctx, m); err != nil {
		return err
	}
	kept := m.Kept
	if m.Kind == host.KindDir {
		t.opened[m.Name] = kept
		kept.Mode |= 0o700
	}
	lacks, err := t.h.PutBack(ctx, kept, m.dir, t.b.place(m.Name), m.twin)
	if err == nil && m.Kind != host.KindDir {
		t.lack(m.Name, lacks)
	}
	return err
}

// still refuses to replace a file that is not the one any more of which there is a copy:
// it takes a while to restore large ones.
func (t *restorer) still(ctx context.Context, m move) error {
	if m.verb != put || m.now.Kind != host.KindFile {
		return nil
	}
	at := t.b.place(m.Name)
	now, err := t.h.Look(ctx, at, false)
	if err != nil || now.Kind == host.KindAbsent || now.Inode == m.now.Inode && now.Size == m.now.Size && now.MTime.Equal(m.now.MTime) {
		return err
	}
	// Another name of it may have got the time of before; and what cannot be read cannot be told.
	now, err = t.h.Look(ctx, at, true)
	other := now.Kind != host.KindFile || now.Size != m.now.Size || now.SHA256 != m.now.SHA256 && now.SHA256 != "" && m.now.SHA256 != ""
	if err == nil && other {
		err = bootstrap.Exit(bootstrap.ExitRefused, bootstrap.Hint(fmt.Errorf("%s was changed by another program meanwhile", Shown(at.String())), "run the same command again"))
	}
	return err
}

func (t *restorer) lack(name string, lacks []string) {
	for _, what := range lacks {
		t.lacks = append(t.lacks, filepath.Join(t.b.Home, name)+": "+what)
	}
}

// open lets us write to the directories in which something is done, and remembers
// what they are to be when it is.
func (t *restorer) open(ctx context.Context) error {
	dirs := map[string]move{}
	for _, m := range t.moves {
		if m.now.Kind == host.KindDir && (m.Kind == host.KindDir || m.verb == prune) {
			dirs[m.Name] = m
		}
		if m.verb == none {
			continue
		}
		for _, dir := range append(parents(m.Name), m.Name) {
			d, ok := dirs[dir]
			if _, done := t.opened[dir]; !ok || done {
				continue
			}
			if d.verb != prune {
				t.opened[dir] = d.Kept
			}
			if d.now.Mode&0o700 == 0o700 {
				continue
			}
			now := d.now
			now.Mode |= 0o700
			if _, err := t.h.PutBack(ctx, now, "", t.b.place(dir), ""); err != nil {
				return err
			}
		}
	}
	return nil
}

// away takes away what was not there, or not as a directory, and then the directories
// that were not there and are empty now, deepest first.
func (t *restorer) away(ctx context.Context) error {
	gone := ""
	for _, m := range t.moves {
		if m.verb != remove && m.verb != replace || gone != "" && inside(m.Name, gone) {
			continue
		}
		gone = m.Name
		if err := t.h.TakeAway(ctx, t.b.place(m.Name), true); err != nil {
			return err
		}
	}
	for _, m := range slices.Backward(t.moves) {
		if m.verb != prune {
			continue
		}
		at := t.b.place(m.Name)
		err := t.h.TakeAway(ctx, at, false)
		if errors.Is(err, syscall.ENOTEMPTY) || errors.Is(err, syscall.EEXIST) {
			t.stays = append(t.stays, at.String())
			_, err = t.h.PutBack(ctx, m.now, "", at, "")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// close gives the directories their metadata, deepest first.
func (t *restorer) close(ctx context.Context) error {
	for _, m := range slices.Backward(t.moves) {
		kept, ok := t.opened[m.Name]
		if !ok {
			continue
		}
		lacks, err := t.h.PutBack(ctx, kept, "", t.b.place(m.Name), "")
		if err != nil {
			return err
		}
		if !m.Parent { // the time of somebody else's directory is no loss
			t.lack(m.Name, lacks)
		}
	}
	return t.h.Sync(t.b.Home)
}
