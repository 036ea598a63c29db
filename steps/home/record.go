package home

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"movein/bootstrap"
	"movein/bootstrap/host"
)

// record is what has to be known of a change that is under way.
type record struct {
	Version    int               `json:"version"`
	Runs       []string          `json:"runs"`                 // its backups, oldest first
	Generation string            `json:"generation,omitempty"` // the active one before it
	Wanted     string            `json:"wanted,omitempty"`     // the one that is to be active
	Links      map[string]string `json:"links,omitempty"`      // links beside the files, as they were; "": none
	Activating bool              `json:"activating,omitempty"`
	Held       []Name            `json:"held,omitempty"`    // paths that are taken away while home-manager links their places
	HeldIn     string            `json:"held_in,omitempty"` // the backup that they are in
	Unfolds    []unfold          `json:"unfolds,omitempty"` // links that stand for what a directory held that was one link
	Ours       map[string]string `json:"ours,omitempty"`    // files with a secret that the change makes, and their SHA-256
	Back       bool              `json:"back,omitempty"`    // it went wrong and is being taken back
	Undoes     string            `json:"undoes,omitempty"`  // it is a Return, to before this run
}

const recordVersion = 1

// CutShort reports whether a change was, and the generation that it was about. A
// record that cannot be read is an error: it may say that files are moved aside, or
// that a change is being taken back.
func (c *Changer) CutShort(v host.View) (generation string, cut bool, err error) {
	rec, cut, err := c.record(v)
	return rec.Wanted, cut, err
}

func (c *Changer) record(v host.View) (rec record, ok bool, err error) {
	data, err := v.ReadFile(c.Record)
	if errors.Is(err, fs.ErrNotExist) {
		return record{}, false, nil
	} else if err != nil {
		return record{}, false, fmt.Errorf("reading what was being changed: %w", err)
	}
	err = json.Unmarshal(data, &rec)
	switch {
	case err == nil && rec.Version > recordVersion:
		return record{}, false, bootstrap.Exit(bootstrap.ExitConfig, bootstrap.Hint(fmt.Errorf("%s is of version %d, written by a newer movein", c.Record, rec.Version),
			"a change of the home was cut short: let that newer movein finish it"))
	case err == nil && rec.Version != recordVersion:
		err = fmt.Errorf("version %d", rec.Version)
	case err == nil:
		err = rec.check()
	}
	if err != nil { // it is never half written
		return record{}, false, bootstrap.Hint(bootstrap.Refuse("a change of the home was cut short, and its record %s is damaged: %w", c.Record, err),
			"everything that was replaced is in %s: give back what you miss (movein backups list), then remove the record and run the same command again: rm %s", c.Backups.Dir, quote(c.Record))
	}
	return rec, true, nil
}

// check refuses a record that no movein has written: what it says is done.
func (r record) check() error {
	if len(r.Runs) == 0 {
		return errors.New("it names no backup")
	}
	for name := range r.Links {
		if !filepath.IsAbs(name) {
			return fmt.Errorf("%q is no absolute path", name)
		}
	}
	for _, path := range r.Held {
		if !clean(string(path)) {
			return fmt.Errorf("%q is no path below the home", path)
		}
	}
	return nil
}

func (c *Changer) write(h host.Host, rec record) error {
	rec.Version = recordVersion
	data, err := json.MarshalIndent(rec, "", "  ")
	if err != nil {
		return err
	}
	if err := h.WriteFile(c.Record, append(data, '\n'), 0o600); err != nil {
		return fmt.Errorf("writing down what is being changed: %w", err)
	}
	return nil
}
