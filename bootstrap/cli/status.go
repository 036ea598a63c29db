package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"movein/bootstrap"
	"movein/steps"
)

// status is what "movein status --json" prints, as one object.
type status struct {
	Schema int    `json:"schema"`
	Event  string `json:"event"` // "status"
	User   string `json:"user"`
	Host   string `json:"host"`
	System string `json:"system"`
	steps.Managed
	Drift  []bootstrap.Event `json:"drift"` // steps that would change something, or cannot tell
	InSync bool              `json:"in_sync"`
}

func newStatus(io IO) *cobra.Command {
	s := &session{io: io, opt: options{dryRun: true}}
	cmd := &cobra.Command{
		Use:   "status",
		Short: "What movein manages here, and what has drifted since",
		Long: `status says what movein manages on this host, which generation is active, and what
differs from it. It asks no network, evaluates nothing and changes nothing.`,
		Example: `  movein status
  movein status --exit-code           exit 2 if something has drifted`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, args []string) error { return s.status(cmd, args) },
	}
	s.addFlags(cmd.Flags())
	cmd.Flags().BoolVar(&s.opt.exitCode, "exit-code", false, "exit 2 if something has drifted")
	s.completions(cmd)
	return cmd
}

func (s *session) status(cmd *cobra.Command, args []string) error {
	if err := s.load(cmd, args, false); err != nil {
		return err
	}
	s.config.Offline = true
	st := status{Schema: bootstrap.Schema, Event: "status", User: s.config.User, Host: s.config.Host, System: s.facts.System, Drift: []bootstrap.Event{}}
	st.Managed = steps.Manages(cmd.Context(), s.view, s.facts, s.config)
	if s.config.HomeRepo != "" {
		out, err := s.run(cmd.Context(), func(bootstrap.Event) {})
		if err != nil {
			return err
		}
		for _, e := range out.Steps {
			if e.Status == bootstrap.Changed || e.Status == bootstrap.Failed {
				st.Drift = append(st.Drift, e)
			}
		}
	}
	st.InSync = len(st.Drift) == 0 && st.Generation != ""
	if s.opt.json {
		if err := json.NewEncoder(s.io.Out).Encode(st); err != nil {
			return err
		}
	} else {
		s.printStatus(st)
	}
	if s.opt.exitCode && !st.InSync {
		return exitStatus(bootstrap.ExitChanges)
	}
	return nil
}

func (s *session) printStatus(st status) {
	w := s.io.Out
	fmt.Fprintf(w, "%s@%s on %s, %s\n", st.User, st.Host, s.facts.PrettyName, st.System)
	row := func(name, value string) {
		if value != "" {
			fmt.Fprintf(w, "  %-14s %s\n", name, value)
		}
	}
	if st.Repo == "" {
		fmt.Fprintln(w, "  movein manages nothing here yet. Begin with: movein apply HOME_REPO, or: movein apply starter")
		return
	}
	repo := st.Repo
	if st.Commit != "" {
		repo += " at " + st.Commit[:min(10, len(st.Commit))]
	}
	row("Home repo", repo)
	row("In", st.Dir)
	row("Configuration", st.Configuration)
	if st.Generation != "" {
		made := ""
		if !st.Activated.IsZero() {
			made = " of " + st.Activated.Local().Format(time.DateTime)
		}
		row("Generation", fmt.Sprintf("%d%s", st.Number, made))
		row("", st.Generation)
	} else {
		row("Generation", "none")
	}
	row("Nix", strings.TrimSpace(st.Nix+" "+st.NixKind))
	if len(st.Drift) == 0 {
		row("Drift", "none")
		return
	}
	fmt.Fprintln(w, "  Drift")
	for _, e := range st.Drift {
		for _, a := range e.Change {
			fmt.Fprintf(w, "    %s: %s %s%s\n", e.Step, a.Verb, a.Target, parenthesis(a.Reason))
		}
		if e.Status == bootstrap.Failed {
			fmt.Fprintf(w, "    %s: %s\n", e.Step, e.Reason)
			if e.Hint != "" {
				fmt.Fprintf(w, "      %s %s\n", s.io.arrow(), e.Hint)
			}
		}
	}
	fmt.Fprintf(w, "  %s movein apply\n", s.io.arrow())
}

func parenthesis(s string) string {
	if s == "" {
		return ""
	}
	return " (" + s + ")"
}

func newDoctor(io IO) *cobra.Command {
	s := &session{io: io, opt: options{dryRun: true}}
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Look for everything known to go wrong on such a host",
		Long: `doctor looks at the host and at what movein manages on it, and names for each finding
what it is, why it matters, and the command that mends it. It changes nothing.
Exit code 1 if something is wrong that would stop a run.`,
		Example: `  movein doctor
  movein doctor --offline             ask no server either`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, args []string) error { return s.doctor(cmd.Context(), cmd, args) },
	}
	s.addFlags(cmd.Flags())
	s.completions(cmd)
	return cmd
}

func (s *session) doctor(ctx context.Context, cmd *cobra.Command, args []string) error {
	if err := s.load(cmd, args, false); err != nil {
		return err
	}
	if s.io.EUID != s.config.UID { // root must not run anything on another's files
		return bootstrap.Hint(bootstrap.Exit(bootstrap.ExitPermission, fmt.Errorf("the doctor looks with the eyes of %s", s.config.User)), "run it as that user: sudo -u %s -H movein doctor", s.config.User)
	}
	signs := map[steps.Verdict]string{steps.Good: "ok  ", steps.Warning: "warn", steps.Bad: "FAIL", steps.Info: "    "}
	if s.textOptions().Unicode {
		signs = map[steps.Verdict]string{steps.Good: "✓", steps.Warning: "!", steps.Bad: "✗", steps.Info: "·"}
	}
	bad := false
	for f := range steps.Examine(ctx, s.view, s.facts, s.config) {
		bad = bad || f.Verdict == steps.Bad
		if s.opt.json {
			if err := json.NewEncoder(s.io.Out).Encode(f); err != nil {
				return err
			}
			continue
		}
		fmt.Fprintf(s.io.Out, "%s %-14s %s\n", signs[f.Verdict], f.Name, f.What)
		if f.Why != "" {
			fmt.Fprintf(s.io.Out, "  %-14s why: %s\n", "", f.Why)
		}
		if f.Mend != "" {
			fmt.Fprintf(s.io.Out, "  %-14s %s %s\n", "", s.io.arrow(), f.Mend)
		}
	}
	if bad {
		return exitStatus(bootstrap.ExitFailed)
	}
	return nil
}
