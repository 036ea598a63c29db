package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"movein/bootstrap"
	"movein/steps"
	"movein/steps/home"
)

func newUninstall(io *IO) *cobra.Command {
	s := &session{io: io}
	var onlyHome, purge bool
	cmd := &cobra.Command{
		Use:   "uninstall --home",
		Short: "Give the home back as it was before the first run",
		Long: `uninstall --home gives your home back as it was before movein first changed it: files,
links and what chezmoi remembers; movein's generations leave the profile, and their
packages with them. Units that they brought are stopped.

The clones of your repositories and the backups stay, unless --purge is given. Without
that, it can be undone by "movein backups restore", or by another "movein apply". Nix
stays.

What is nowhere else stays also with --purge: it removes only clones that movein made,
refuses if one has something that no remote has, and leaves the backups if they alone
have something, such as your later edits.`,
		Example: `  movein uninstall --home --dry-run
  movein uninstall --home
  movein uninstall --home --purge --yes`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return s.summarized(cmd, func(ctx context.Context) (bool, error) {
				if !onlyHome {
					return false, usage(cmd, errors.New("only the home can be given back so far: movein uninstall --home"))
				}
				return s.uninstall(ctx, cmd, purge)
			})
		},
	}
	s.addFlags(cmd.Flags())
	cmd.Flags().BoolVar(&onlyHome, "home", false, "give the home back; Nix stays")
	cmd.Flags().BoolVar(&purge, "purge", false, "also remove the clones and the backups")
	cmd.Flags().BoolVar(&s.opt.dryRun, "dry-run", false, "say what it would do, and change nothing")
	s.completions(cmd)
	return cmd
}

// uninstalled is what "movein uninstall --json" prints before the summary.
type uninstalled struct {
	Schema int              `json:"schema"`
	Time   time.Time        `json:"time"`
	Event  string           `json:"event"` // "uninstall"
	DryRun bool             `json:"dry_run,omitempty"`
	Change bootstrap.Change `json:"change"`
	Undo   string           `json:"undo,omitempty"` // the run that has what was there before
	Stays  []string         `json:"stays"`          // clones and backups that are left, and directories that are not empty
	Lacks  []string         `json:"lacks,omitempty"`
}

func (s *session) uninstall(ctx context.Context, cmd *cobra.Command, purge bool) (changed bool, err error) {
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
	s.warnings()
	u, err := steps.PlanUninstall(ctx, &s.view, &s.facts, &s.config, purge)
	if err != nil {
		return false, err
	}
	out := uninstalled{Schema: bootstrap.Schema, Time: time.Now(), Event: "uninstall", DryRun: s.opt.dryRun, Change: append(bootstrap.Change{}, u.Change...), Stays: append([]string{}, u.Stays...)}
	if len(u.Change) == 0 {
		return false, s.printUninstalled(out, purge)
	}
	if !s.opt.dryRun {
		if !s.opt.json {
			s.printChange(u.Change, nil, nil)
		}
		question := "Give the home back as it was before movein?"
		if purge {
			question = "Give the home back as it was before movein, and remove the clones and all backups?"
		}
		if err := s.confirm(question, "nothing was changed"); err != nil {
			return false, err
		}
		if err := context.Cause(ctx); err != nil {
			return false, err
		}
		var res home.Restored
		if res, err = u.Apply(ctx, &s.view); err != nil {
			return false, err
		}
		out.Undo, out.Stays, out.Lacks = res.Undo, append(out.Stays, res.Stays...), res.Lacks
		if purge {
			out.Undo = ""
		}
	}
	if err := s.printUninstalled(out, purge); err != nil {
		return !s.opt.dryRun, err
	}
	if len(out.Lacks) > 0 {
		return true, exitStatus(bootstrap.ExitFailed)
	}
	return true, nil
}

func (s *session) printUninstalled(out uninstalled, purge bool) error {
	if s.opt.json {
		return json.NewEncoder(s.io.Out).Encode(out)
	}
	w := s.io.Out
	switch {
	case len(out.Change) == 0:
		fmt.Fprintln(w, "Nothing to do: movein has nothing in this home.")
	case out.DryRun:
		s.printChange(out.Change, nil, nil)
		fmt.Fprintln(w, "Nothing was changed.")
	default:
		s.printChange(nil, nil, out.Lacks)
		fmt.Fprintln(w, "The home is as it was before movein.")
	}
	for _, name := range out.Stays {
		fmt.Fprintf(w, "%-8s %s\n", "leave", printable(name))
	}
	if out.Undo != "" && !purge {
		again := "movein apply"
		if repo := withoutLogin(s.config.HomeRepo); repo != "" {
			again += " " + shell(repo)
		}
		fmt.Fprintf(w, "To undo this: %s; or only the files: movein backups restore %s\n", again, out.Undo)
	}
	return nil
}
