package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"movein/bootstrap"
	"movein/bootstrap/host"
	"movein/bootstrap/report"
	"movein/steps"
	"movein/steps/home"
)

func newRollback(io *IO) *cobra.Command {
	s := &session{io: io}
	cmd := &cobra.Command{
		Use:   "rollback [GENERATION]",
		Short: "Back to the previous (or given) generation, with the files that went with it",
		Long: `rollback takes back the last change of the home: its generation, the files that were
written, replaced or removed, and what chezmoi remembers of them. Run again, it takes
back the one before that. With the number of a generation, the home becomes what it
was when that one was last active.

What is there now is kept in a backup first, so a rollback can itself be undone. The
next "movein apply" makes the home what your home repo says again.`,
		Example: `  movein rollback --dry-run
  movein rollback
  movein rollback 12                  see which there are: movein generations`,
		Args: oneArg,
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.summarized(cmd, func(ctx context.Context) (bool, error) { return s.rollback(ctx, cmd, args) })
		},
		ValidArgsFunction: s.completeGenerations,
	}
	s.addFlags(cmd.Flags())
	cmd.Flags().BoolVar(&s.opt.dryRun, "dry-run", false, "say what it would do, and change nothing")
	s.completions(cmd)
	return cmd
}

// summarized runs a command that changes something. With --json its last line is the
// summary, also after an error.
func (s *session) summarized(cmd *cobra.Command, run func(ctx context.Context) (changed bool, err error)) error {
	return s.summarizedIf(cmd, func() bool { return true }, run)
}

// summarizedIf is summarized, but a run that went well has its summary only if it is the end.
func (s *session) summarizedIf(cmd *cobra.Command, end func() bool, run func(ctx context.Context) (changed bool, err error)) error {
	start := time.Now()
	changed, err := run(cmd.Context())
	if err == nil && !end() {
		return nil
	}
	if code, ok := errors.AsType[exitStatus](err); ok {
		return s.end(start, bootstrap.Summary{Changed: changed, ExitCode: int(code)}, "", err)
	}
	if err == nil {
		return s.end(start, bootstrap.Summary{Changed: changed}, "", nil)
	}
	if cause := context.Cause(cmd.Context()); errors.Is(cause, bootstrap.ErrInterrupted) {
		err = bootstrap.Exit(bootstrap.ExitInterrupted, err)
	}
	return s.end(start, bootstrap.Summary{Changed: changed, ExitCode: bootstrap.ExitCode(err), Error: err.Error()}, bootstrap.HintOf(err), err)
}

// end tells the summary, if that is wanted.
func (s *session) end(start time.Time, sum bootstrap.Summary, hint string, err error) error {
	if s.opt.json {
		sum.DryRun, sum.Failed, sum.DurationMS = s.opt.dryRun, []string{}, time.Since(start).Milliseconds()
		sum.Generation = s.config.Generation(&host.Real{Root: s.io.Root})
		sink := bootstrap.Redacted(s.redactor(), report.JSON(s.io.Out))
		sink(bootstrap.Event{Schema: bootstrap.Schema, Time: time.Now(), Event: "summary", Hint: hint, Summary: &sum})
	}
	if err == nil {
		return nil
	}
	return told{err}
}

// told is an error whose summary was written.
type told struct{ error }

func (t told) Unwrap() error { return t.error }

// own refuses to do what concerns a user's home as anybody else: root must not write
// what another may lead elsewhere.
func (s *session) own(cmd *cobra.Command) error {
	if s.io.EUID == s.config.UID {
		return nil
	}
	return bootstrap.Hint(bootstrap.Exit(bootstrap.ExitPermission, fmt.Errorf("the home is that of %s", s.config.User)),
		"run it as that user: sudo -u %s -H %s", s.config.User, cmd.CommandPath())
}

// lock takes the user's lock.
func (s *session) lock() (unlock func(), err error) {
	return takeLock(&s.view, filepath.Join(s.config.State(), "lock"))
}

// rolledBack is what "movein rollback --json" prints before the summary.
type rolledBack struct {
	Schema     int              `json:"schema"`
	Time       time.Time        `json:"time"`
	Event      string           `json:"event"` // "rollback"
	Run        string           `json:"run"`   // all is as it was before it
	Generation string           `json:"generation"`
	Number     int              `json:"generation_number,omitempty"`
	DryRun     bool             `json:"dry_run,omitempty"`
	Change     bootstrap.Change `json:"change"`
	Undo       string           `json:"undo,omitempty"` // the run that has what was there before
	Lacks      []string         `json:"lacks,omitempty"`
	Stays      []string         `json:"stays,omitempty"`
}

func (s *session) rollback(ctx context.Context, cmd *cobra.Command, args []string) (changed bool, err error) {
	number := 0
	if len(args) > 0 {
		if number, err = strconv.Atoi(args[0]); err != nil || number < 1 {
			return false, usage(cmd, fmt.Errorf("%q is no generation's number", args[0]))
		}
	}
	if err := s.load(cmd, nil, false); err != nil {
		return false, err
	}
	if err := s.own(cmd); err != nil {
		return false, err
	}
	if !s.opt.dryRun {
		unlock, err := s.lock()
		if err != nil {
			return false, err
		}
		defer unlock()
	}
	r, err := steps.PlanRollback(ctx, &s.view, &s.facts, &s.config, number)
	if err != nil {
		return false, err
	}
	from := s.numberOf(r.From)
	var res home.Restored
	if !s.opt.dryRun {
		s.warnings()
		if res, err = r.Apply(ctx, &s.view); err != nil {
			return false, err
		}
	}
	out := rolledBack{bootstrap.Schema, time.Now(), "rollback", r.To.Run, r.Path, s.numberOf(r.Path), s.opt.dryRun, append(bootstrap.Change{}, r.Change...), res.Undo, res.Lacks, res.Stays}
	if err := s.printRollback(out, r, from); err != nil {
		return !s.opt.dryRun, err
	}
	if len(out.Lacks) > 0 {
		return true, exitStatus(bootstrap.ExitFailed)
	}
	return len(out.Change) > 0, nil
}

// numberOf is the number of the newest generation with that store path; 0 if there is none.
func (s *session) numberOf(path string) int {
	all, err := steps.Generations(&s.view, &s.config)
	if err != nil {
		return 0
	}
	for _, g := range all {
		if g.Path == path {
			return g.Number
		}
	}
	return 0
}

// warnings has what is worth knowing said on standard error.
func (s *session) warnings() {
	s.view.Notes = func(n host.Note) {
		if n.Warning != "" {
			fmt.Fprintln(s.io.Err, "movein:", s.io.shown(n.Warning))
		}
	}
}

func (s *session) printRollback(out rolledBack, r steps.Rollback, from int) error {
	if s.opt.json {
		return json.NewEncoder(s.io.Out).Encode(out)
	}
	w := s.io.Out
	s.printChange(out.Change, out.Stays, out.Lacks)
	switch {
	case out.DryRun:
		fmt.Fprintf(w, "Nothing was changed. This is what would make the home what it was before run %s.\n", out.Run)
		return nil
	case r.Path == r.From:
		fmt.Fprintf(w, "The home is as it was before run %s, with the same generation.\n", out.Run)
	default:
		fmt.Fprintf(w, "The home is as it was before run %s, with generation %d.\n", out.Run, out.Number)
	}
	undo := "movein backups restore " + out.Undo
	if from != 0 && r.Path != r.From {
		undo = "movein rollback " + strconv.Itoa(from)
	}
	fmt.Fprintf(w, "The next movein apply makes it what the home repo says again. To undo this: %s\n", undo)
	return nil
}

// printChange prints what was or would be done.
func (s *session) printChange(change bootstrap.Change, stays, lacks []string) {
	for _, a := range change {
		fmt.Fprintf(s.io.Out, "%-8s %s%s\n", a.Verb, printable(a.Target), parenthesis(a.Reason))
	}
	for _, dir := range stays {
		fmt.Fprintf(s.io.Out, "%-8s %s%s\n", "leave", printable(dir), parenthesis("there is something new in it"))
	}
	for _, what := range lacks {
		fmt.Fprintf(s.io.Err, "movein: could not be given back: %s\n", printable(what))
	}
}
