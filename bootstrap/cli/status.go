package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"movein/bootstrap"
	"movein/bootstrap/report"
	"movein/steps"
	"movein/steps/home"
)

// status is what "movein status --json" prints, as one object.
type status struct {
	Schema int    `json:"schema"`
	Event  string `json:"event"` // "status"
	User   string `json:"user"`
	Host   string `json:"host"`
	System string `json:"system"`

	Time time.Time `json:"time"`
	steps.Managed
	steps.Cut
	Keyring *keyringState     `json:"keyring,omitempty"` // who has org.freedesktop.secrets on the user's bus
	Drift   []bootstrap.Event `json:"drift"`             // steps that would change something, or cannot tell
	InSync  bool              `json:"in_sync"`
}

func newStatus(io *IO) *cobra.Command {
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
	s.config.Offline, s.config.NoBuild = true, true
	st := status{Schema: bootstrap.Schema, Event: "status", User: s.config.User, Host: s.config.Host, System: s.facts.System, Time: s.view.Now(), Drift: []bootstrap.Event{}}
	st.Managed = steps.Manages(cmd.Context(), &s.view, &s.facts, &s.config)
	st.Cut = steps.LastChange(&s.view, &s.config)
	if s.config.HomeRepo != "" {
		out, err := s.run(cmd.Context(), func(bootstrap.Event) {})
		if err != nil {
			return err
		}
		drifted := bootstrap.Redacted(s.redactor(), func(e bootstrap.Event) { st.Drift = append(st.Drift, e) })
		for _, e := range out.Steps {
			if e.Status == bootstrap.Changed || e.Status == bootstrap.Failed {
				drifted(e)
			}
		}
	}
	st.Keyring = s.keyringState(cmd.Context())
	st.Repo = withoutLogin(st.Repo)
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
	row("Nix", strings.TrimSpace(st.Nix+" ("+st.NixKind+")"))
	row("Keyring", st.Keyring.String())
	s.printCut(st.Cut)
	if len(st.Drift) == 0 {
		row("Drift", "none")
		return
	}
	fmt.Fprintln(w, "  Drift")
	for _, e := range st.Drift {
		s.printDrift(e)
	}
	fmt.Fprintf(w, "  %s movein apply\n", s.io.arrow())
}

// printCut prints what the last change left.
func (s *session) printCut(l steps.Cut) {
	w := s.io.Out
	if l.Backups > 0 {
		fmt.Fprintf(w, "  %-14s %d, %s\n", "Backups", l.Backups, home.Bytes(l.Bytes))
	}
	for _, name := range l.Skipped {
		fmt.Fprintf(w, "  %-14s %s (a secret that it needs was not to be had)\n", "Skipped", printable(name))
	}
	if l.Short {
		fmt.Fprintf(w, "  %-14s a change of the home was cut short; end it: movein apply\n", "Cut short")
	}
}

// printDrift prints what one step would do: a line for each thing, files of the home as a tree.
func (s *session) printDrift(e bootstrap.Event) {
	w := s.io.Out
	var home bootstrap.Change
	for _, a := range e.Change {
		if a.Owner != "" {
			home = append(home, a)
			continue
		}
		fmt.Fprintf(w, "    %s: %s\n", e.Step, s.io.shown(report.OneLine(a.Verb+" "+a.Target+parenthesis(a.Reason))))
	}
	if len(home) > 0 {
		fmt.Fprintf(w, "    %s:\n", e.Step)
		for _, line := range report.Change(home, s.textOptions()) {
			fmt.Fprintln(w, line)
		}
	}
	if e.Status == bootstrap.Failed {
		fmt.Fprintf(w, "    %s: %s\n", e.Step, s.io.shown(e.Reason))
		if e.Hint != "" {
			fmt.Fprintf(w, "      %s %s\n", s.io.arrow(), s.io.shown(e.Hint))
		}
	}
}

func parenthesis(s string) string {
	if s == "" {
		return ""
	}
	return " (" + s + ")"
}

func newDoctor(io *IO) *cobra.Command {
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
	for f := range s.examine(ctx) {
		bad = bad || f.Verdict == steps.Bad
		if s.opt.json {
			for _, text := range []*string{&f.What, &f.Why, &f.Mend} {
				*text = withoutLogin(*text)
			}
			if err := json.NewEncoder(s.io.Out).Encode(f); err != nil {
				return err
			}
			continue
		}
		s.printFinding(signs[f.Verdict], f)
	}
	if bad {
		return exitStatus(bootstrap.ExitFailed)
	}
	return nil
}

// examine is all that the doctor looks at.
func (s *session) examine(ctx context.Context) iter.Seq[steps.Finding] {
	return func(yield func(steps.Finding) bool) {
		for f := range steps.Examine(ctx, &s.view, &s.facts, &s.config) {
			if !yield(f) {
				return
			}
		}
		yield(s.keyringFinding(ctx))
	}
}

// printFinding prints what the doctor found, in a terminal's width or 80 columns.
func (s *session) printFinding(sign string, f steps.Finding) {
	const name = 14
	width := s.io.Width
	if width < 40 {
		width = 80
	}
	left := strings.Repeat(" ", len([]rune(sign))+1+name+1)
	lines := func(first, text string) {
		for _, line := range report.Wrap(s.io.shown(text), width-len(left)) {
			fmt.Fprintln(s.io.Out, first+line)
			first = left
		}
	}
	lines(fmt.Sprintf("%s %-*s ", sign, name, f.Name), f.What)
	if f.Why != "" {
		lines(left, "why: "+f.Why)
	}
	if f.Mend != "" { // whole, to be copied
		fmt.Fprintln(s.io.Out, left+s.io.arrow(), s.io.shown(f.Mend))
	}
}
