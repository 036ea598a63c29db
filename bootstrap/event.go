package bootstrap

import (
	"time"

	"movein/bootstrap/host"
)

// Schema is the version of the JSON events. It changes when a field changes its
// meaning or goes away, not when one is added.
const Schema = 1

// Status is where a step is.
type Status string

// The statuses. The first three are on the way, the others final.
const (
	Pending   Status = "pending"
	Running   Status = "running"   // planning
	Applying  Status = "applying"  // changing the host
	Unchanged Status = "unchanged" // nothing to change
	Changed   Status = "changed"   // changed, and checked after; in a dry run: would change
	Skipped   Status = "skipped"   // has no place here, or the user said so
	Waiting   Status = "waiting"   // the rest waits for a reboot
	Failed    Status = "failed"
	Blocked   Status = "blocked" // a step that it needs failed, waits or is blocked
)

// Done reports whether steps that need this one may start.
func (s Status) Done() bool { return s == Unchanged || s == Changed || s == Skipped }

// Final reports whether the step will do nothing more in this run.
func (s Status) Final() bool { return s != Pending && s != Running && s != Applying }

// Event is one thing that happened. Its JSON form, one object a line, is the
// interface for scripts; see Schema.
type Event struct {
	Schema int       `json:"schema"`
	Time   time.Time `json:"time"`
	Event  string    `json:"event"` // "step", "progress", "warning", "question", "summary"

	Step   string `json:"step,omitempty"`
	Title  string `json:"-"` // the step's title, for people
	Status Status `json:"status,omitempty"`
	Change Change `json:"change,omitempty"`
	Reason string `json:"reason,omitempty"`
	Hint   string `json:"hint,omitempty"`
	Code   int    `json:"code,omitempty"` // of a failed step: what the exit code would be for it alone

	Done  int64  `json:"done,omitempty"` // progress, in units
	Total int64  `json:"total,omitempty"`
	Unit  string `json:"unit,omitempty"` // "bytes", "paths", …

	*Summary
}

// Summary is the last event of every run, also of one that failed or was interrupted.
type Summary struct {
	Changed        bool     `json:"changed"`
	DryRun         bool     `json:"dry_run,omitempty"`
	Failed         []string `json:"failed"` // names of failed steps, [] if none
	RebootRequired bool     `json:"reboot_required"`
	Resumes        bool     `json:"resumes,omitempty"` // the run goes on by itself after the restart
	ExitCode       int      `json:"exit_code"`
	Error          string   `json:"error,omitempty"` // what ended a run outside of any step
	Generation     string   `json:"generation"`      // store path of the active home generation; "" if none
	DurationMS     int64    `json:"duration_ms"`

	Secrets      string   `json:"secrets,omitempty"`       // "missing": files were skipped because one was not to be had
	SkippedFiles []string `json:"skipped_files,omitempty"` // names of those files
}

// Sink is told of every event, one at a time and in order.
type Sink func(Event)

// Tee tells every sink.
func Tee(sinks ...Sink) Sink {
	return func(e Event) {
		for _, s := range sinks {
			s(e)
		}
	}
}

// Redacted is a sink whose texts have gone through r.
func Redacted(r *host.Redactor, s Sink) Sink {
	return func(e Event) {
		e.Reason, e.Hint = r.String(e.Reason), r.String(e.Hint)
		if len(e.Change) > 0 {
			change := make(Change, len(e.Change))
			for i, a := range e.Change {
				for _, text := range []*string{&a.Target, &a.Reason, &a.Source, &a.Was, &a.Diff} {
					*text = r.String(*text)
				}
				change[i] = a
			}
			e.Change = change
		}
		if e.Summary != nil {
			sum := *e.Summary
			sum.Error = r.String(sum.Error)
			e.Summary = &sum
		}
		s(e)
	}
}
