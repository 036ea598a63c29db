package cli

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"movein/bootstrap"
	"movein/steps/home"
)

func newBackupsRestore(io *IO) *cobra.Command {
	s := &session{io: io}
	cmd := &cobra.Command{
		Use:   "restore [RUN] [PATH...]",
		Short: "Make files what they were before a run",
		Long: `restore makes the paths, or all that the run replaced, made or removed, what they were
before that run. RUN is a run's name, the beginning of one, or "latest", which is also
meant if it is left out. A PATH is meant as seen from here, or from the home; a directory stands
for all below it. What would be lost by that is kept in a backup of its own, so that
it can be undone.`,
		Example: `  movein backups restore --dry-run
  movein backups restore latest ~/.bashrc
  movein backups restore 20260102 .config/git`,
		Args:              cobra.ArbitraryArgs,
		RunE:              func(cmd *cobra.Command, args []string) error { return s.restore(cmd, args) },
		ValidArgsFunction: s.completeRuns,
	}
	s.addFlags(cmd.Flags())
	cmd.Flags().BoolVar(&s.opt.dryRun, "dry-run", false, "say what it would do, and change nothing")
	s.completions(cmd)
	return cmd
}

// restored is what "movein backups restore --json" prints, as one object.
type restored struct {
	Schema int              `json:"schema"`
	Event  string           `json:"event"` // "restore"
	Run    string           `json:"run"`
	DryRun bool             `json:"dry_run,omitempty"`
	Change bootstrap.Change `json:"change"`
	Undo   string           `json:"undo,omitempty"`  // the run that has what was there before
	Lacks  []string         `json:"lacks,omitempty"` // what could not be given back
	Stays  []string         `json:"stays,omitempty"` // new directories that are not empty
}

func (s *session) restore(cmd *cobra.Command, args []string) error {
	b, err := s.backups(cmd)
	if err != nil {
		return err
	}
	r, paths, err := s.chosen(b, args)
	if err != nil {
		return err
	}
	out := restored{Schema: bootstrap.Schema, Event: "restore", Run: r.Run, DryRun: s.opt.dryRun, Change: bootstrap.Change{}}
	if s.opt.dryRun {
		change, err := b.Preview(cmd.Context(), &s.view, r, paths...)
		if err != nil {
			return err
		}
		out.Change = append(out.Change, change...)
		return s.printRestored(out)
	}
	unlock, err := takeLock(&s.view, filepath.Join(s.config.State(), "lock"))
	if err != nil {
		return err
	}
	defer unlock()
	res, err := b.Restore(cmd.Context(), &s.view, r, s.about("before a restore of "+r.Run), paths...)
	if err != nil {
		if res.Undo != "" {
			return bootstrap.Hint(err, "run the same command again; or undo it: movein backups restore %s", res.Undo)
		}
		return err
	}
	out.Change, out.Undo, out.Lacks, out.Stays = append(out.Change, res.Change...), res.Undo, res.Lacks, res.Stays
	if err := s.printRestored(out); err != nil {
		return err
	}
	if len(out.Lacks) > 0 {
		return exitStatus(bootstrap.ExitFailed)
	}
	return nil
}

func (s *session) about(reason string) home.About {
	return home.About{Version: Version(), Reason: reason, Generation: s.config.Generation(&s.view)}
}

// chosen is the run and the paths that the arguments name.
func (s *session) chosen(b home.Backups, args []string) (r home.Run, paths []string, err error) {
	run := home.Latest
	if len(args) > 0 && s.isRun(b, args[0]) {
		run, args = args[0], args[1:]
	}
	if r, err = b.Open(&s.view, run); err != nil {
		return r, nil, err
	}
	for _, arg := range args {
		path, err := r.Match(s.io.Dir, b.Home, arg)
		if err != nil {
			return r, nil, err
		}
		paths = append(paths, path)
	}
	return r, paths, nil
}

// isRun reports whether an argument is meant as a run's name: it is the beginning of
// one, or begins with a date.
func (s *session) isRun(b home.Backups, arg string) bool {
	if arg == home.Latest || len(arg) >= 8 && strings.Trim(arg[:8], "0123456789") == "" {
		return true
	}
	runs, _, err := b.List(&s.view)
	return err == nil && arg != "" && slices.ContainsFunc(runs, func(r home.Run) bool { return strings.HasPrefix(r.Run, arg) })
}

func (s *session) printRestored(out restored) error {
	if s.opt.json {
		return json.NewEncoder(s.io.Out).Encode(out)
	}
	w := s.io.Out
	s.printChange(out.Change, out.Stays, out.Lacks)
	switch {
	case len(out.Change) == 0:
		fmt.Fprintf(w, "Nothing to do: all is as it was before run %s.\n", out.Run)
	case out.DryRun:
		fmt.Fprintln(w, "Nothing was changed.")
	default:
		fmt.Fprintf(w, "All of this is as it was before run %s. To undo that: movein backups restore %s\n", out.Run, out.Undo)
	}
	return nil
}
