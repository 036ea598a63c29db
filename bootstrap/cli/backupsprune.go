package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"movein/bootstrap"
	"movein/steps"
	"movein/steps/home"
)

// pruning are the flags of "movein backups prune".
type pruning struct {
	keep  int
	older string
	all   bool
}

func newBackupsPrune(io *IO) *cobra.Command {
	s, p := &session{io: io}, pruning{}
	cmd := &cobra.Command{
		Use:   "prune",
		Short: "Remove old backups",
		Long: `prune removes old backups. Those that alone know what a path was before movein first
came to it stay, and with them the way back to the home as it was; --all lets them go, too.`,
		Example: `  movein backups prune --dry-run
  movein backups prune --keep 3
  movein backups prune --older-than 90d --yes`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return s.prune(cmd, p) },
	}
	s.addFlags(cmd.Flags())
	cmd.Flags().IntVar(&p.keep, "keep", 10, "keep the newest `N`")
	cmd.Flags().StringVar(&p.older, "older-than", "", "remove only what is older than this `duration`, such as 12h, 30d or 8w")
	cmd.Flags().BoolVar(&p.all, "all", false, "also those that alone have what a path was at first")
	cmd.Flags().BoolVar(&s.opt.dryRun, "dry-run", false, "say what it would remove, and remove nothing")
	s.completions(cmd)
	return cmd
}

func (s *session) prune(cmd *cobra.Command, p pruning) error {
	policy := home.Policy{Keep: p.keep, All: p.all}
	if p.older != "" {
		var err error
		if policy.Older, err = age(p.older); err != nil {
			return usage(cmd, err)
		}
		if !cmd.Flags().Changed("keep") {
			policy.Keep = 0
		}
	}
	if policy.Keep < 0 {
		return usage(cmd, fmt.Errorf("--keep is %d, and cannot be less than 0", policy.Keep))
	}
	b, err := s.backups(cmd)
	if err != nil {
		return err
	}
	unlock := func() {}
	if !s.opt.dryRun {
		if unlock, err = takeLock(&s.view, filepath.Join(s.config.State(), "lock")); err != nil {
			return err
		}
	}
	defer unlock()
	if err := steps.Unfinished(&s.view, &s.config); err != nil {
		return err
	}
	runs, _, err := b.List(&s.view)
	if err != nil {
		return err
	}
	old, originals := home.Prunable(runs, policy, s.view.Now())
	return s.removeRuns(cmd.Context(), old, originals)
}

// removeRuns tells which runs go, asks, and removes them.
func (s *session) removeRuns(ctx context.Context, old []home.Run, originals int) error {
	names, bytes := []string{}, int64(0)
	for _, r := range old {
		names, bytes = append(names, r.Run), bytes+r.Size()
	}
	if !s.opt.json {
		for _, r := range old {
			fmt.Fprintf(s.io.Out, "remove   %s%s  %s\n", r.Run, parenthesis(r.Reason), home.Bytes(r.Size()))
		}
		if originals > 0 {
			fmt.Fprintf(s.io.Out, "keep     %d that alone have what a path was before movein first came to it (--all removes them, too)\n", originals)
		}
	}
	if len(old) > 0 && !s.opt.dryRun {
		if err := s.confirm(fmt.Sprintf("Remove %d backups? They cannot be got back.", len(old)), "nothing was removed"); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := steps.Prune(&s.view, &s.config, old); err != nil {
			return fmt.Errorf("removing backups: %w", err)
		}
	}
	switch {
	case s.opt.json:
		return json.NewEncoder(s.io.Out).Encode(map[string]any{"schema": bootstrap.Schema, "event": "prune", "dry_run": s.opt.dryRun, "removed": names, "bytes": bytes})
	case len(old) == 0:
		fmt.Fprintln(s.io.Out, "Nothing to remove.")
	case s.opt.dryRun:
		fmt.Fprintf(s.io.Out, "Nothing was removed. It would free %s.\n", home.Bytes(bytes))
	default:
		fmt.Fprintf(s.io.Out, "%d removed, %s freed.\n", len(old), home.Bytes(bytes))
	}
	return nil
}

// confirm asks on the terminal, unless --yes says not to. An answer that is not
// yes is an error: no.
func (s *session) confirm(question, no string) error {
	if s.opt.yes {
		return nil
	}
	tty, err := askable(question)
	if err != nil {
		return err
	}
	defer tty.Close()
	fmt.Fprintf(tty, "%s [y/N] ", question)
	line, _ := bufio.NewReader(tty).ReadString('\n') //nolint:errcheck // no answer is no
	if answer := strings.ToLower(strings.TrimSpace(line)); answer != "y" && answer != "yes" {
		return bootstrap.Exit(bootstrap.ExitFailed, errors.New(no))
	}
	return nil
}

// askable is the terminal, where somebody can be asked.
func askable(question string) (*os.File, error) {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return nil, bootstrap.Hint(bootstrap.Exit(bootstrap.ExitPermission, fmt.Errorf("nobody is there to ask: %s", question)), "if that is what you want, say so: --yes")
	}
	return tty, nil
}

// age is a duration that may be in days or weeks.
func age(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	for unit, hours := range map[string]int{"d": 24, "w": 7 * 24} {
		if digits, ok := strings.CutSuffix(text, unit); ok {
			n, nerr := strconv.ParseUint(digits, 10, 16)
			d, err = time.Duration(n)*time.Duration(hours)*time.Hour, nerr
		}
	}
	if err != nil || d <= 0 {
		return 0, fmt.Errorf("%q is no duration; give one such as 12h, 30d or 8w", text)
	}
	return d, nil
}
