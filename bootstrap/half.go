package bootstrap

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"movein/bootstrap/host"
)

// A Half does steps with one identity: as root or as the user. The program that
// was started is one half itself (Local); the other, if a run needs it, is the
// same program started once more with the other identity (Remote).
type Half interface {
	// Do brings a step to its end. tell gets the events on the way; the last
	// event, with the final status, is returned and not told. In a dry run nothing is changed.
	Do(ctx context.Context, s Step, dry bool, tell Sink) Event
}

// Local does steps in this process.
type Local struct {
	Host    func(notes func(host.Note)) host.Host // the host, with what it tells on the way going to notes
	Journal *Journal                              // may be nil for dry runs
}

// Do implements Half.
func (l *Local) Do(ctx context.Context, s Step, dry bool, tell Sink) Event {
	info := s.Info()
	var h host.Host
	ev := func(st Status) Event { return stepEvent(h, info, st) }
	h = l.Host(func(n host.Note) {
		if n.Warning != "" {
			e := ev("")
			e.Event, e.Reason = "warning", n.Warning
			tell(e)
			return
		}
		e := ev("")
		e.Event, e.Done, e.Total, e.Unit = "progress", n.Done, n.Total, n.Unit
		tell(e)
	})
	if info.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, info.Timeout, fmt.Errorf("took longer than %s", info.Timeout))
		defer cancel()
	}
	var before Record
	if !dry { // a dry run needs no journal
		var waits bool
		if before, waits = l.Journal.waits(h, info.Name); waits {
			e := ev(Waiting)
			e.Reason, e.Hint = before.Reason, before.Hint
			return e
		}
	}
	change, err := s.Plan(ctx, h)
	if err == nil && len(change) == 0 {
		err = l.Journal.setUnlessDry(h, info.Name, Record{Status: Unchanged}, dry)
		return l.final(ctx, ev(Unchanged), nil, err)
	}
	if err == nil && !dry && ctx.Err() != nil {
		err = context.Cause(ctx) // nothing is begun after an interrupt
	}
	if err == nil && !dry {
		e := ev(Applying)
		e.Change = change
		if err = l.Journal.set(h, info.Name, Record{Status: Applying, Change: change}); err == nil {
			tell(e)
			err = inVain(before, applyAndCheck(ctx, s, h, change))
		}
	}
	e := l.final(ctx, ev(Changed), change, err)
	if jerr := l.Journal.setUnlessDry(h, info.Name, recordOf(e), dry); jerr != nil && e.Status != Failed {
		return l.final(ctx, ev(Changed), change, jerr)
	}
	return e
}

// inVain makes a failure of a Reboot that was asked for before, with the same
// words, in another boot: so nobody reboots for ever.
func inVain(before Record, err error) error {
	if _, ok := errors.AsType[Reboot](err); !ok || before.Status != Waiting || before.BootID == "" || before.Reason != err.Error() {
		return err
	}
	return Hint(Exit(ExitFailed, fmt.Errorf("this host was started anew since, and still: %s", err)), "%s",
		cmp.Or(HintOf(err), "look at what the last start said: journalctl --boot"))
}

// recordOf is what the journal keeps of a step's last event.
func recordOf(e Event) Record {
	r := Record{Status: e.Status, Change: e.Change, Reason: e.Reason}
	if e.Status == Waiting {
		r.Hint = e.Hint
	}
	return r
}

// setUnlessDry is set, and nothing in a dry run.
func (j *Journal) setUnlessDry(h host.Host, step string, r Record, dry bool) error {
	if dry {
		return nil
	}
	return j.set(h, step, r)
}

// final turns what a step returned into its last event.
func (l *Local) final(ctx context.Context, e Event, change Change, err error) Event {
	e.Change = change
	if err == nil {
		return e
	}
	e.Reason, e.Hint = err.Error(), HintOf(err)
	if _, ok := errors.AsType[Skip](err); ok {
		e.Status, e.Change = Skipped, nil
		return e
	}
	if _, ok := errors.AsType[Reboot](err); ok {
		e.Status = Waiting
		return e
	}
	e.Status, e.Code = Failed, ExitCode(err)
	cause := context.Cause(ctx)
	if cause != nil && !errors.Is(err, cause) {
		e.Reason = cause.Error() + ": " + e.Reason
	}
	if errors.Is(cause, ErrInterrupted) {
		e.Code = ExitInterrupted
		if errors.Is(err, cause) { // there is nothing to mend
			e.Hint = ""
		}
	}
	return e
}

// applyAndCheck applies, and plans again: there must be nothing left.
func applyAndCheck(ctx context.Context, s Step, h host.Host, c Change) error {
	if err := s.Apply(ctx, h, c); err != nil {
		return err
	}
	left, err := s.Plan(ctx, h)
	if err != nil {
		return fmt.Errorf("checking what was done: %w", err)
	}
	if len(left) > 0 {
		return Hint(fmt.Errorf("done, and still there is to %s %s (%s)", left[0].Verb, left[0].Target, left[0].Reason),
			"run the same command again; if it says this twice, that is a bug in movein")
	}
	return nil
}

func stepEvent(c host.Clock, info Info, st Status) Event {
	return Event{Schema: Schema, Time: c.Now(), Event: "step", Step: info.Name, Title: info.Title, Status: st}
}
