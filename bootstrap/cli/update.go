package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"movein/bootstrap"
	"movein/bootstrap/host"
	"movein/steps"
)

func newUpdate(io *IO) *cobra.Command {
	s := &session{io: io}
	cmd := &cobra.Command{
		Use:   "update [INPUT...]",
		Short: "Update the flake's inputs, build, show the difference, apply",
		Long: `update brings the inputs of your home repo up to date, or the ones that are named: Nix
writes flake.lock, the home is built, and you see what would be different. If you want
that, it is applied as "movein apply" does. If anything goes wrong before, or you say
no, flake.lock is what it was, to the byte.

The new flake.lock is not committed: that is yours to do.`,
		Example: `  movein update --dry-run             build and show the difference; nothing stays
  movein update
  movein update nixpkgs --yes`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error { return s.update(cmd, args) },
	}
	s.addFlags(cmd.Flags())
	cmd.Flags().BoolVar(&s.opt.dryRun, "dry-run", false, "build, show the difference, and put flake.lock back")
	s.completions(cmd)
	return cmd
}

// updated is what "movein update --json" prints once the new home is built.
type updated struct {
	Schema     int                  `json:"schema"`
	Time       time.Time            `json:"time"`
	Event      string               `json:"event"` // "update"
	DryRun     bool                 `json:"dry_run,omitempty"`
	Inputs     []steps.UpdatedInput `json:"inputs"`
	Generation string               `json:"generation"`
	Packages   []steps.ClosureDiff  `json:"packages"`
}

func (s *session) update(cmd *cobra.Command, inputs []string) error {
	start, going := time.Now(), false
	var u *steps.Update
	var out string
	err := s.summarizedIf(cmd, func() bool { return !going }, func(ctx context.Context) (changed bool, err error) {
		if err := s.load(cmd, nil, true); err != nil {
			return false, err
		}
		s.config.Run = "update"
		if err := s.own(cmd); err != nil {
			return false, err
		}
		unlock, err := s.lock()
		if err != nil {
			return false, err
		}
		defer unlock()
		u, out, going, err = s.tryUpdate(ctx, inputs)
		return false, err
	})
	if err != nil || !going {
		return err
	}
	return s.applyUpdate(cmd, u, out, start)
}

// anew is a view of what changes: nothing in it was seen before.
func (s *session) anew() *host.Real {
	v := s.view
	v.Sight = nil
	return &v
}

// tryUpdate has the new home built, and asks whether it is wanted. If it is not,
// flake.lock is as it was.
func (s *session) tryUpdate(ctx context.Context, inputs []string) (u *steps.Update, out string, wanted bool, err error) {
	h := s.anew()
	h.Notes = func(n host.Note) {
		if n.Warning != "" {
			fmt.Fprintln(s.io.Err, "movein:", s.io.shown(n.Warning))
		}
	}
	if err := steps.RestoreLock(ctx, h, &s.config); err != nil {
		return nil, "", false, err
	}
	if u, err = steps.NewUpdate(ctx, h, &s.facts, &s.config, inputs); err != nil {
		return nil, "", false, err
	}
	if !s.opt.dryRun && !s.opt.yes {
		tty, err := askable("Apply what has changed?")
		if err != nil {
			return nil, "", false, err
		}
		tty.Close()
	}
	defer func() {
		if !wanted {
			err = errors.Join(err, u.PutBack(ctx, h))
		}
	}()
	if err := u.Lock(ctx, h); err != nil {
		return u, "", false, err
	}
	if !u.Changed(h) {
		return u, "", false, s.printUpdate(updated{Inputs: []steps.UpdatedInput{}, Packages: []steps.ClosureDiff{}})
	}
	if !s.opt.json {
		fmt.Fprintln(s.io.Err, s.io.shown("Building the home with the new inputs …"))
	}
	if out, err = u.Build(ctx, h); err != nil {
		return u, "", false, err
	}
	packages, err := u.Difference(ctx, h, out)
	if err != nil {
		return u, "", false, err
	}
	if err := s.printUpdate(updated{Inputs: u.Inputs(h), Generation: out, Packages: packages}); err != nil || s.opt.dryRun {
		return u, "", false, err
	}
	if err := s.confirm("Apply this?", "nothing was changed, and flake.lock is as it was"); err != nil {
		return u, "", false, err
	}
	if err := context.Cause(ctx); err != nil {
		return u, "", false, err
	}
	if err := u.Keep(ctx, h); err != nil {
		return u, "", false, err
	}
	return u, out, true, nil
}

func (s *session) printUpdate(e updated) error {
	if s.opt.json {
		e.Schema, e.Time, e.Event, e.DryRun = bootstrap.Schema, time.Now(), "update", s.opt.dryRun
		return json.NewEncoder(s.io.Out).Encode(e)
	}
	w := s.io.Out
	if len(e.Inputs) == 0 && e.Generation == "" {
		fmt.Fprintln(w, "Nothing to update: all inputs are at their newest.")
		return nil
	}
	short := func(s string) string { return s[:min(len(s), 12)] }
	for _, in := range e.Inputs {
		fmt.Fprintf(w, "input    %-24s %s %s %s\n", in.Name, short(in.From), s.io.arrow(), short(in.To))
	}
	for _, p := range e.Packages {
		versions := ""
		switch {
		case p.From != "" && p.To != "":
			versions = p.From + " " + s.io.arrow() + " " + p.To
		case p.To != "":
			versions = "new: " + p.To
		case p.From != "":
			versions = "gone: " + p.From
		}
		fmt.Fprintln(w, s.io.shown(strings.TrimRight(fmt.Sprintf("package  %-24s %-24s %s", p.Package, versions, p.Size), " ")))
	}
	if len(e.Packages) == 0 {
		fmt.Fprintln(w, "No package of the home is different.")
	}
	if s.opt.dryRun {
		fmt.Fprintln(w, "Nothing was changed, and flake.lock is as it was.")
	}
	return nil
}

// applyUpdate applies the new home. If it does not become the active one, flake.lock
// is put back.
func (s *session) applyUpdate(cmd *cobra.Command, u *steps.Update, out string, start time.Time) error {
	s.view.Sight = new(host.Sight) // flake.lock is another one now
	return s.applyNow(cmd, start, nil, func() error {
		h := s.anew()
		if s.config.Generation(h) != out {
			unlock, err := s.lock()
			if err != nil {
				return err
			}
			defer unlock()
			return u.PutBack(cmd.Context(), h)
		}
		if !s.opt.json {
			fmt.Fprintf(s.io.Err, "\nThe new flake.lock is not committed yet: git -C %s commit -m 'Update the inputs' flake.lock\n", u.Dir())
		}
		return nil
	})
}
