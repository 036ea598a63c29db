package cli

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"movein/bootstrap"
	"movein/bootstrap/host"
	"movein/steps"
)

func newGenerations(io *IO) *cobra.Command {
	s := &session{io: io, opt: options{dryRun: true}}
	cmd := &cobra.Command{
		Use:   "generations",
		Short: "The home generations, newest first; the current one marked",
		Long: `generations lists the home generations of the profile, newest first, with the numbers
that home-manager shows, too: when each was made, where it is in the store, and which
backup a rollback to it uses.`,
		Example: `  movein generations
  movein generations --json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, args []string) error { return s.generations(cmd, args) },
	}
	s.addFlags(cmd.Flags())
	s.completions(cmd)
	return cmd
}

func (s *session) generations(cmd *cobra.Command, args []string) error {
	if err := s.load(cmd, args, false); err != nil {
		return err
	}
	all, err := steps.Generations(&s.view, &s.config)
	if err != nil {
		return err
	}
	if s.opt.json {
		return json.NewEncoder(s.io.Out).Encode(map[string]any{"schema": bootstrap.Schema, "event": "generations", "generations": all})
	}
	if len(all) == 0 {
		fmt.Fprintln(s.io.Out, "There are no home generations yet.")
	}
	for _, g := range all {
		mark, more := " ", ""
		if g.Current {
			mark = "*"
		}
		if g.Missing {
			more = "  no longer in the store"
		} else if g.Backup != "" {
			more = "  backup " + g.Backup
		}
		fmt.Fprintf(s.io.Out, "%s %4d  %s  %s%s\n", mark, g.Number, g.Time.Local().Format(time.DateTime), g.Path, more)
	}
	return nil
}

// completeGenerations completes the numbers of generations that are not the current one.
func (s *session) completeGenerations(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 || s.load(cmd, nil, false) != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	all, err := steps.Generations(&s.view, &s.config)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var names []string
	for _, g := range all {
		if !g.Current && !g.Missing {
			names = append(names, strconv.Itoa(g.Number)+"\t"+g.Time.Local().Format(time.DateTime))
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
}

func newPackages(io *IO) *cobra.Command {
	s := &session{io: io, opt: options{dryRun: true}}
	cmd := &cobra.Command{
		Use:   "packages",
		Short: "What the current generation installs",
		Example: `  movein packages
  movein packages --json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, args []string) error { return s.packages(cmd, args) },
	}
	s.addFlags(cmd.Flags())
	s.completions(cmd)
	return cmd
}

func (s *session) packages(cmd *cobra.Command, args []string) error {
	if err := s.load(cmd, args, false); err != nil {
		return err
	}
	all, err := steps.Packages(cmd.Context(), &s.view, &s.facts, &s.config)
	if err != nil {
		return err
	}
	if s.opt.json {
		return json.NewEncoder(s.io.Out).Encode(map[string]any{"schema": bootstrap.Schema, "event": "packages",
			"generation": s.config.Generation(&host.Real{Root: s.io.Root}), "packages": all})
	}
	if len(all) == 0 {
		fmt.Fprintln(s.io.Out, "The current generation installs no packages.")
	}
	for _, p := range all {
		fmt.Fprintf(s.io.Out, "%-30s %s\n", p.Name, p.Version)
	}
	return nil
}
