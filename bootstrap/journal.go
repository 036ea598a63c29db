package bootstrap

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync"
	"time"

	"movein/bootstrap/host"
)

// journalMost is how many actions of a change are written down: each run reads them.
const journalMost = 30

// journalVersion is the version of the journal's format.
const journalVersion = 1

// Journal remembers across runs what was changed: for the wait on a reboot, for
// the receipt, and for the reader. What is true of the host is asked of the
// host; losing the journal loses no repair. It never holds a secret. Each half of
// a run has its own.
type Journal struct {
	Version int               `json:"version"`
	Steps   map[string]Record `json:"steps"`

	mu   sync.Mutex
	path string
}

// Record is what the journal keeps of one step.
type Record struct {
	Status Status    `json:"status"`
	Time   time.Time `json:"time"`
	Change Change    `json:"change,omitempty"` // of the last run that changed anything; the first of it
	More   int       `json:"more,omitempty"`   // actions of it that are not told
	Reason string    `json:"reason,omitempty"`
	Hint   string    `json:"hint,omitempty"`    // of a step that is Waiting
	BootID string    `json:"boot_id,omitempty"` // the boot in which Waiting was said
}

// OpenJournal reads the journal at path, or starts one. Nothing is written yet.
func OpenJournal(f host.Files, path string) (*Journal, error) {
	j := &Journal{Version: journalVersion, Steps: map[string]Record{}, path: path}
	data, err := f.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return j, nil
	case err != nil:
		return nil, fmt.Errorf("reading journal: %w", err)
	}
	err = json.Unmarshal(data, j)
	if j.Version > journalVersion { // first, because its fields may be of other types
		return nil, Exit(ExitConfig, Hint(fmt.Errorf("journal %s is of version %d, written by a newer movein", path, j.Version),
			"use that newer movein, or delete the journal: rm %s", path))
	}
	if err != nil {
		return nil, Exit(ExitConfig, Hint(fmt.Errorf("reading journal %s: %w", path, err),
			"delete it: rm %s; the next run asks the host itself", path))
	}
	if j.Steps == nil {
		j.Steps = map[string]Record{}
	}
	return j, nil
}

// waits reports whether step waits for a reboot that has not been.
func (j *Journal) waits(c host.Clock, step string) (Record, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	r := j.Steps[step]
	return r, r.Status == Waiting && r.BootID != "" && r.BootID == c.BootID()
}

// set writes down what became of step. That nothing had to be done is written
// only over a record that says otherwise, so that a run which changes nothing
// writes nothing.
func (j *Journal) set(h host.Host, step string, r Record) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	old, known := j.Steps[step]
	if r.Status == Unchanged || r.Status == Skipped {
		if !known || old.Status == Unchanged || old.Status == Changed || old.Status == Skipped {
			return nil
		}
	}
	if r.Change == nil {
		r.Change, r.More = old.Change, old.More
	}
	if more := len(r.Change) - journalMost; more > 0 {
		r.Change, r.More = r.Change[:journalMost], more
	}
	if r.Status == Waiting {
		r.BootID = h.BootID()
	}
	r.Time = h.Now().UTC()
	j.Steps[step] = r
	data, err := json.MarshalIndent(j, "", "  ")
	if err != nil {
		return err
	}
	if err := h.MkdirAll(filepath.Dir(j.path), 0o700); err != nil {
		return fmt.Errorf("writing journal: %w", err)
	}
	if err := h.WriteFile(j.path, append(data, '\n'), 0o600); err != nil {
		return fmt.Errorf("writing journal: %w", err)
	}
	return nil
}
