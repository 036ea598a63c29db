package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"movein/bootstrap"
	"movein/steps"
)

// whatNow tells how to go on: after a plan that found something, and after the
// starter has just been moved into.
func (s *session) whatNow(sum bootstrap.Summary, out bootstrap.Outcome) {
	if level := s.opt.logLevel; !sum.Changed || level == "error" || level == "warn" {
		return
	}
	if s.opt.dryRun {
		fmt.Fprintln(s.io.Err, s.io.shown(s.toDoIt(out)))
		return
	}
	made := slices.ContainsFunc(out.Steps, func(e bootstrap.Event) bool { return e.Step == "home-repo" && e.Status == bootstrap.Changed })
	if s.config.HomeRepo == steps.Starter && made {
		dir, _ := s.config.HomeDir()
		fmt.Fprintf(s.io.Err, "\nTry it: ~/.local/bin/hello-movein\nChange it: edit %s/home.nix, then run movein apply again.\n", dir)
	}
}

// toDoIt says how that is done which a plan has shown, and what needs root for it.
func (s *session) toDoIt(out bootstrap.Outcome) string {
	do := "Do it: movein apply"
	if repo := s.flags.Arg(0); repo != "" {
		do += " " + shell(repo)
	}
	s.flags.Visit(func(f *pflag.Flag) {
		given := s.from[f.Name] == "" // not by the environment or a file, which apply reads too
		if given && !slices.Contains([]string{"dry-run", "detailed-exitcode", "json", "verbose", "no-progress", "log-level", "log-file"}, f.Name) {
			do = "Do it: the same with apply instead of plan"
		}
	})
	if s.flags.Changed("dry-run") {
		do = "Do it: the same without --dry-run"
	}
	var root []string
	g, err := s.graph()
	for _, e := range out.Steps {
		if err == nil && e.Status == bootstrap.Changed && g.Step(e.Step).Info().As == bootstrap.Root {
			root = append(root, e.Step)
		}
	}
	switch {
	case len(root) == 0 || s.io.EUID == 0:
		return do + "."
	case s.opt.noRoot:
		return do + ". Only root can do: " + strings.Join(root, ", ") + "."
	}
	return do + ". It asks for root once, for " + strings.Join(root, ", ") + "."
}
