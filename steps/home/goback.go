package home

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"movein/bootstrap"
	"movein/bootstrap/host"
)

// Outcome is what a change came to that was done to its end. It is beside the
// manifest of the change's first backup; a change without one did not last.
type Outcome struct {
	Generation string    `json:"generation"`       // the active one after it; or ""
	Undoes     string    `json:"undoes,omitempty"` // the oldest of the runs that were taken back by it
	Time       time.Time `json:"time"`
}

const (
	outcomeName = "outcome.json"
	removedName = "removed" // names of the runs that were pruned, one a line; "RUN original" if it alone had what a path was at first
)

// done writes down that the change was done to its end whose first backup is run.
func (b Backups) done(h host.Host, run string, o Outcome) error {
	o.Time = h.Now().UTC()
	data, err := json.Marshal(o)
	if err != nil {
		return err
	}
	err = h.WriteFile(filepath.Join(b.Dir, run, outcomeName), append(data, '\n'), 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // the backup was removed by hand: nothing can be gone back to by it
	}
	return err
}

// there is an error if a backup of a change is not: what it alone had cannot be given back.
func (c *Changer) there(v host.View, runs []string) error {
	names, err := c.Backups.names(v)
	if err != nil {
		return err
	}
	for _, run := range runs {
		if !slices.Contains(names, run) {
			return fmt.Errorf("backup %s of that change is gone from %s; once you have looked at what it was about, forget the change: rm %s", run, c.Backups.Dir, quote(c.Record))
		}
	}
	return nil
}

// undone forgets what done wrote down: the change does not last.
func (b Backups) undone(h host.Host, run string) error {
	return h.Remove(filepath.Join(b.Dir, run, outcomeName))
}

func (b Backups) outcome(v host.View, run string) *Outcome {
	data, err := v.ReadFile(filepath.Join(b.Dir, run, outcomeName))
	o := new(Outcome)
	if err != nil || json.Unmarshal(data, o) != nil {
		return nil
	}
	return o
}

// Steps are the changes that can be taken back one by one, oldest first: those that
// were done to their end, are no rollbacks, and were not taken back by one.
func Steps(runs []Run) (steps []Run) {
	before := map[string][]Run{}
	for _, r := range runs {
		before[r.Run] = slices.Clone(steps)
		switch {
		case r.Done == nil:
		case r.Done.Undoes == "":
			steps = append(steps, r)
		default:
			was, ok := before[r.Done.Undoes]
			if !ok { // it was removed
				was = slices.DeleteFunc(steps, func(s Run) bool { return s.Run >= r.Done.Undoes })
			}
			steps = slices.Clone(was)
		}
	}
	return steps
}

// Removed is a run that was pruned.
type Removed struct {
	Run      string
	Original bool // it alone had what a path was at first
}

// Removed are the runs that were pruned, in no order.
func (b Backups) Removed(v host.View) (all []Removed, err error) {
	data, err := v.ReadFile(filepath.Join(b.Dir, removedName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("reading backups: %w", err)
	}
	there, err := b.names(v) // who was to remove them was cut short
	if err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(bytes.NewReader(data))
	for lines.Scan() {
		if run, what, _ := strings.Cut(lines.Text(), " "); run != "" && !slices.Contains(there, run) {
			all = append(all, Removed{run, what == "original"})
		}
	}
	return all, lines.Err()
}

// remember writes down that runs are about to be pruned.
func (b Backups) remember(h host.Host, runs []Run) error {
	removed, err := b.Removed(h)
	if err != nil {
		return err
	}
	all, _, err := b.List(h)
	if err != nil {
		return err
	}
	usual, _ := Prunable(all, Policy{}, h.Now())
	for _, r := range runs {
		original := !slices.ContainsFunc(usual, func(u Run) bool { return u.Run == r.Run })
		removed = append(removed, Removed{r.Run, original})
	}
	var text strings.Builder
	for _, r := range removed {
		text.WriteString(r.Run)
		if r.Original {
			text.WriteString(" original")
		}
		text.WriteString("\n")
	}
	return h.WriteFile(filepath.Join(b.Dir, removedName), []byte(text.String()), 0o600)
}

// Return is a change that makes a home what it was before a run.
type Return struct {
	To         Run
	Reason     string
	Generation string            // the active one
	Wanted     string            // the one that was active then; or ""
	Links      map[string]string // as in Job
	Claims     []Claim           // of the wanted generation

	// Activate makes the wanted generation the active one, once the files are back.
	Activate func(ctx context.Context) error
	Undo     Undo
}

// Returning is the run to before which a change was on its way that was cut short;
// "" if none was.
func (c *Changer) Returning(v host.View) string {
	rec, _, err := c.record(v)
	if err != nil {
		return "" // whoever resumes it tells
	}
	return rec.Undoes
}

// Return makes the home what it was before a run: all that it and the later ones
// know. It is a change as others are: backed up, and taken back if it goes wrong.
// One that was cut short is ended by the same again.
func (c *Changer) Return(ctx context.Context, h host.Host, job Return) (Restored, error) {
	rec, resumed, err := c.record(h)
	switch {
	case err != nil:
		return Restored{}, err
	case resumed && (rec.Back || rec.Undoes != job.To.Run):
		return Restored{}, c.UnderWay()
	case !resumed:
		rec = record{Generation: job.Generation, Links: job.Links, Undoes: job.To.Run}
	}
	if err := c.giveHeld(ctx, h, rec); err != nil { // what was held when it was cut short
		return Restored{}, err
	}
	rec.Wanted = job.Wanted
	runs, err := c.Backups.from(h, job.To)
	if err != nil {
		return Restored{}, err
	}
	wants, begun := since(runs), false
	res, err := c.Backups.restore(ctx, h, wants, About{Version: c.Version, Reason: job.Reason, Generation: job.Generation}, func(run string) error {
		rec.Runs = append(rec.Runs, run)
		begun = true
		return c.write(h, rec)
	})
	if err != nil && !begun {
		return Restored{}, bootstrap.Hint(err, "%s", cmpHint(err, "nothing was changed; mend that and run the same command again"))
	}
	if err == nil {
		err = c.reactivate(ctx, h, &rec, job)
	}
	if err == nil { // what is lost by putting things in order again is kept: the user may have made it since
		var again Restored
		again, err = c.Backups.again(ctx, h, wants, About{Version: c.Version, Reason: job.Reason, Generation: job.Wanted})
		res.Lacks, res.Stays = with(res.Lacks, again.Lacks), with(res.Stays, again.Stays)
	}
	if err == nil {
		if err = c.Backups.done(h, rec.Runs[0], Outcome{Generation: job.Wanted, Undoes: job.To.Run}); err == nil {
			return res, c.done(h)
		}
	}
	if berr := c.takeBack(context.WithoutCancel(ctx), h, rec, job.Undo); berr != nil {
		return res, bootstrap.Hint(errors.Join(err, berr), "not all is as it was: mend that and run the same command again; everything that was replaced is in the backup: movein backups list")
	}
	return res, bootstrap.Hint(err, "%s", cmpHint(err, "the home is as it was; mend that and run the same command again"))
}

// UnderWay says that a change was cut short, which has to be ended before another begins.
func (c *Changer) UnderWay() error {
	return bootstrap.Hint(bootstrap.Refuse("a change of the home was cut short"), "end it first, then run the same command again: movein apply")
}

// reactivate has the generation activated without losing what is in the place of
// its links: that was so then, or was made so since. Links that were not there then
// are taken away again.
func (c *Changer) reactivate(ctx context.Context, h host.Host, rec *record, job Return) error {
	var foreign []Claim
	for _, claim := range job.Claims {
		name := c.place(claim.Path).String()
		if _, err := h.Lstat(name); err == nil && !isManaged(h, name) {
			foreign = append(foreign, claim)
		}
	}
	return c.holding(ctx, h, rec, foreign, nil, nil, job.Activate)
}

// again undoes what was done to restored entries since. It makes a backup only if
// somebody's content would be lost: links and times are the activation's own.
func (b Backups) again(ctx context.Context, h host.Host, wants map[string]wanted, a About) (Restored, error) {
	moves, err := b.compare(ctx, h, wants)
	if err != nil || slices.ContainsFunc(moves, move.loses) {
		return b.restore(ctx, h, wants, a, nil)
	}
	if err := verify(ctx, h, moves); err != nil {
		return Restored{}, err
	}
	t := restorer{b: b, h: h, moves: moves}
	err = t.all(ctx)
	return Restored{Lacks: t.lacks, Stays: t.stays}, err
}

// loses reports whether the move takes away what somebody may have made.
func (m move) loses() bool {
	switch {
	case m.verb == none, m.verb == touch, m.verb == prune, m.now.Kind == host.KindAbsent, m.SameContent(m.now):
		return false
	}
	return m.now.Kind != host.KindLink || !managedLink().MatchString(m.now.Target)
}

// with is all, and those of more that are not among them.
func with(all, more []string) []string {
	for _, s := range more {
		if !slices.Contains(all, s) {
			all = append(all, s)
		}
	}
	return all
}
