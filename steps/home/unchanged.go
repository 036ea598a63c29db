package home

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"movein/bootstrap"
	"movein/bootstrap/host"
)

// still is unchanged, and looks whether what was as it is wanted, and so was not saved,
// still is: whoever makes it so overwrites it.
func (k *Backup) still(ctx context.Context, job Job) error {
	if err := k.unchanged(ctx); err != nil || job.Again == nil {
		return err
	}
	items, err := job.Again(ctx)
	known := map[string]bool{}
	for _, i := range job.Items {
		known[i.Path] = true
	}
	for _, i := range items {
		if !known[i.Path] {
			return k.meanwhile(i.Path)
		}
	}
	return err
}

// unchanged looks again, just before what was saved is changed: an error says what
// somebody else has changed since it was copied.
func (k *Backup) unchanged(ctx context.Context) error {
	for path, e := range k.have {
		if e.Parent {
			continue
		}
		now, err := k.h.Look(ctx, k.b.place(path), false)
		if _, through := errors.AsType[*host.ThroughLinkError](err); through && e.Kind == host.KindAbsent {
			continue // it is below what is replaced
		} else if err != nil {
			return refusal(k.b.place(path).String(), err)
		}
		if now.Kind == host.KindDir { // a restore has opened it, and what is in it is looked at below
			now.Mode, e.Mode, now.MTime = now.Mode|0o700, e.Mode|0o700, e.MTime
		}
		same := now.Kind == e.Kind && now.Inode == e.Inode && now.Size == e.Size && now.Mode == e.Mode && now.MTime.Equal(e.MTime)
		if !same {
			return k.meanwhile(path)
		}
		if e.Kind != host.KindDir || !slices.ContainsFunc(k.trees, func(top string) bool { return inside(path, top) }) {
			continue
		}
		entries, err := k.h.ReadDir(k.b.place(path).String())
		if err != nil {
			return refusal(k.b.place(path).String(), err)
		}
		for _, in := range entries {
			below := filepath.Join(path, in.Name())
			if _, known := k.have[below]; !known && !k.b.isOurs(ctx, k.h, below, k.about) {
				return k.meanwhile(below)
			}
		}
	}
	return nil
}

func (k *Backup) meanwhile(path string) error {
	return bootstrap.Exit(bootstrap.ExitRefused, bootstrap.Hint(fmt.Errorf("%s was changed by another program while it was backed up", Shown(k.b.place(path).String())),
		"nothing was replaced; run the same command again"))
}

// separate makes files of their own of those that have other names, so that who
// writes into them in place changes nothing outside of the backup.
func (k *Backup) separate(ctx context.Context, items []Item) error {
	for _, i := range items {
		e, saved := k.have[i.Path]
		if !saved || i.Claim.Kind != File || e.Kind != host.KindFile || e.Links < 2 {
			continue
		}
		own := e.Kept
		own.Links, own.Held = 1, ""
		if err := k.h.TakeAway(ctx, k.b.place(i.Path), false); err != nil {
			return err
		}
		if _, err := k.h.PutBack(ctx, own, filepath.Join(k.b.Dir, k.m.Run), k.b.place(i.Path), ""); err != nil {
			return err
		}
	}
	return nil
}
