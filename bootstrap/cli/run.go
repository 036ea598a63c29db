package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"movein/bootstrap"
	"movein/bootstrap/host"
	"movein/bootstrap/report"
	"movein/steps"
)

func newApply(io *IO) *cobra.Command {
	s := &session{io: io}
	cmd := &cobra.Command{
		Use:   "apply [HOME_REPO]",
		Short: "Bring this host to its wanted state; run it again to repair",
		Long: `apply brings this host to its wanted state: Nix, your home repo and dotfiles, your
home. It can be run again at any time: it does what is missing, mends what is
broken, and does nothing when there is nothing to do.

HOME_REPO is a git URL, an ssh address, a directory, or "starter", a tiny built-in
home to try movein with. Later runs remember it. On a terminal the first run asks for it.`,
		Example: `  movein apply starter
  movein apply https://example.org/you/home.git --dotfiles https://example.org/you/dotfiles.git
  movein apply --only nix-daemon
  movein apply --bundle home.bundle --bundle-key minisign.pub
  sudo movein apply --user you`,
		Args: oneArg,
		RunE: func(cmd *cobra.Command, args []string) error {
			s.offer = s.offerHome
			return s.apply(cmd, args)
		},
	}
	s.addFlags(cmd.Flags())
	cmd.Flags().BoolVar(&s.opt.dryRun, "dry-run", false, "the same as: movein plan")
	s.bundle.addFlags(io, cmd.Flags())
	cmd.Flags().BoolVar(&s.config.Reboot, "reboot", false, "restart the host if a step needs that, and go on by itself then")
	s.completions(cmd)
	return cmd
}

func newPlan(io *IO) *cobra.Command {
	s, as := &session{io: io, opt: options{dryRun: true}}, ""
	cmd := &cobra.Command{
		Use:   "plan [HOME_REPO]",
		Short: "What apply would change, step by step, and nothing is changed",
		Example: `  movein plan starter
  movein plan --detailed-exitcode     exit 2 if there is something to do
  movein plan --list                  the steps, in order
  movein plan --as kinoite            what would be different on another kind of host`,
		Args: oneArg,
		RunE: func(cmd *cobra.Command, args []string) error {
			if s.opt.list {
				return s.listSteps(cmd, args)
			}
			if as != "" {
				return s.planAs(cmd, args, as)
			}
			return s.apply(cmd, args)
		},
	}
	s.addFlags(cmd.Flags())
	s.bundle.addFlags(io, cmd.Flags())
	cmd.Flags().BoolVar(&s.opt.detailed, "detailed-exitcode", false, "exit 2 if there are changes")
	cmd.Flags().StringVar(&as, "as", "", "what would be different on another `kind` of host: "+strings.Join(steps.Kinds, "|"))
	cmd.Flags().BoolVar(&s.opt.list, "list", false, "list the steps: name, who does it, what it needs")
	s.completions(cmd)
	return cmd
}

// completions completes names of steps, of configurations and of their hosts, and what
// a setting may be.
func (s *session) completions(cmd *cobra.Command) {
	configurations := func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		s.bundle.from = "" // it may be far away
		if s.load(cmd, nil, false) != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return steps.Configurations(&s.view), cobra.ShellCompDirectiveNoFileComp
	}
	hosts := func(cmd *cobra.Command, args []string, to string) (all []string, _ cobra.ShellCompDirective) {
		names, directive := configurations(cmd, args, to)
		for _, name := range slices.Concat(names, slices.Collect(maps.Keys(s.config.Aliases))) {
			all = append(all, name[strings.LastIndex(name, "@")+1:])
		}
		slices.Sort(all)
		return slices.Compact(all), directive
	}
	names := func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		g, err := bootstrap.NewGraph(steps.All(&s.facts, &s.config)...)
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		return g.Names(), cobra.ShellCompDirectiveNoFileComp
	}
	all := map[string]cobra.CompletionFunc{"only": names, "skip": names, "configuration": configurations, "host": hosts}
	for name, words := range choices {
		all[name] = cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp)
	}
	if cmd.Flags().Lookup("as") != nil {
		all["as"] = cobra.FixedCompletions(steps.Kinds, cobra.ShellCompDirectiveNoFileComp)
	}
	for flag, values := range all {
		if err := cmd.RegisterFlagCompletionFunc(flag, values); err != nil {
			panic(err) // the flag is not there: a mistake in this file
		}
	}
}

func (s *session) listSteps(cmd *cobra.Command, args []string) error {
	if err := s.load(cmd, args, false); err != nil {
		return err
	}
	g, err := s.graph()
	if err != nil {
		return err
	}
	const row = "%-14s %-16s %-5s %s"
	fmt.Fprintf(s.io.Out, row+"\n", "NAME", "TITLE", "AS", "NEEDS")
	for _, step := range g.Steps() {
		info := step.Info()
		as := info.As
		if as == "" {
			as = bootstrap.User
		}
		line := fmt.Sprintf(row, info.Name, info.Title, as, strings.Join(info.Needs, " "))
		fmt.Fprintln(s.io.Out, strings.TrimRight(line, " "))
	}
	return nil
}

// apply is the whole of "movein apply" and "movein plan". Whatever happens, the
// last event is the summary.
func (s *session) apply(cmd *cobra.Command, args []string) error {
	start := time.Now()
	collectLate()
	return s.applyNow(cmd, start, s.load(cmd, args, true), nil)
}

// collectLate has the heap collected first at 32 MB, and from then on as usual: a run
// that finds nothing to do ends before that.
func collectLate() {
	debug.SetGCPercent(800) // of at least 4 MB
	runtime.AddCleanup(new([16]byte), func(int) { debug.SetGCPercent(100) }, 0)
}

// applyNow is apply once the settings are known, or err because they are not.
// After it, whatever came of it, after is called; it may be nil.
func (s *session) applyNow(cmd *cobra.Command, start time.Time, err error, after func() error) error {
	sink, closeLog, serr := s.sink()
	defer closeLog()
	if err == nil {
		err = serr
	}
	var out bootstrap.Outcome
	lock := func() {}
	if err == nil {
		s.secretsAre, lock, err = s.openVault(cmd.Context(), sink)
	}
	if err == nil {
		out, err = s.run(cmd.Context(), sink)
	}
	lock()
	if after != nil {
		err = errors.Join(err, after())
	}
	sum := s.summary(cmd.Context(), out, err)
	sum.DurationMS = time.Since(start).Milliseconds()
	e := bootstrap.Event{Schema: bootstrap.Schema, Time: time.Now(), Event: "summary", Summary: &sum}
	if err != nil {
		e.Hint = bootstrap.HintOf(err)
	}
	sink(e)
	if sum.ExitCode == bootstrap.ExitOK {
		s.dropBundle()
		s.whatNow(sum, out)
		return nil
	}
	if sum.ExitCode == bootstrap.ExitChanges {
		s.whatNow(sum, out)
	}
	return exitStatus(sum.ExitCode)
}

// run puts the halves together and runs the graph.
func (s *session) run(ctx context.Context, sink bootstrap.Sink) (out bootstrap.Outcome, err error) {
	g, err := s.graph()
	if err != nil {
		return out, err
	}
	s.askAhead(ctx, g)
	halves, err := s.open(ctx, sink)
	if err != nil {
		return out, err
	}
	defer halves.close()
	s.lookAhead(ctx, g)
	out = bootstrap.Run(ctx, g, sink, bootstrap.Options{
		DryRun: s.opt.dryRun, Skip: s.opt.skip, Jobs: s.opt.jobs,
		User: halves.user, Root: halves.root, Escalate: halves.escalate, View: &s.view, Touched: s.view.Sight.Over,
	})
	if sum := s.summary(ctx, out, nil); sum.ExitCode == bootstrap.ExitReboot && s.config.Reboot && !s.opt.dryRun {
		e := halves.root.Do(ctx, steps.Restart{Facts: &s.facts, Config: &s.config}, false, sink)
		sink(e)
		out.Steps = append(out.Steps, e)
	}
	return out, nil
}

func (s *session) graph() (*bootstrap.Graph, error) {
	g, err := bootstrap.NewGraph(steps.All(&s.facts, &s.config)...)
	if err != nil {
		return nil, err
	}
	if err := g.Check(s.opt.skip...); err != nil {
		return nil, err
	}
	return g.Only(s.opt.only...)
}

// summary is what became of a run.
func (s *session) summary(ctx context.Context, out bootstrap.Outcome, err error) bootstrap.Summary {
	sum := bootstrap.Summary{DryRun: s.opt.dryRun, Failed: []string{}, Secrets: s.secretsAre, Generation: s.config.Generation(&host.Real{Root: s.io.Root})}
	for _, e := range out.Steps {
		switch e.Status {
		case bootstrap.Changed:
			sum.Changed = true
			sum.Resumes = sum.Resumes || e.Step == steps.Restart{}.Info().Name
		case bootstrap.Failed:
			sum.Failed = append(sum.Failed, e.Step)
			if sum.ExitCode == 0 {
				sum.ExitCode = e.Code
			}
		case bootstrap.Waiting:
			sum.RebootRequired = true
		}
	}
	if s.lookedAtHome(out) {
		if sum.SkippedFiles = steps.Skipped(s.memory()); len(s.lacking()) > 0 {
			sum.Secrets = "missing"
		} else if sum.Secrets == "missing" { // the vault was, and nothing needs it
			sum.Secrets = ""
		}
	}
	switch {
	case err != nil:
		sum.Error, sum.ExitCode = err.Error(), bootstrap.ExitCode(err)
	case errors.Is(context.Cause(ctx), bootstrap.ErrInterrupted):
		sum.ExitCode = bootstrap.ExitInterrupted
	case sum.ExitCode != 0:
	case sum.RebootRequired:
		sum.ExitCode = bootstrap.ExitReboot
	case sum.Changed && (s.opt.detailed || s.opt.exitCode):
		sum.ExitCode = bootstrap.ExitChanges
	}
	return sum
}

// memory is what the user's half of the run has remembered.
func (s *session) memory() host.Memory {
	if s.io.EUID == s.config.UID {
		return &s.view
	}
	return host.Foreign{Dir: filepath.Join(s.io.Root, s.config.Cache()), UID: s.config.UID}
}

// lacking names the files and secrets that a run has left out for want of a secret.
func (s *session) lacking() []string {
	return append(steps.Skipped(s.memory()), steps.Unhanded(s.memory())...)
}

// lookedAtHome reports whether the run got as far as to look at the home and its dotfiles.
func (s *session) lookedAtHome(out bootstrap.Outcome) bool {
	return slices.ContainsFunc(out.Steps, func(e bootstrap.Event) bool { return e.Step == "home-activate" && e.Status.Done() })
}

// sink is where events go: lines for people on stderr, objects on stdout with
// --json, both in the log file. With an error it is a sink still, without the log file.
func (s *session) sink() (sink bootstrap.Sink, closeLog func(), err error) {
	o := s.textOptions()
	text := report.Text(s.io.Err, o)
	if s.io.Width > 0 && !s.opt.noProgress && s.io.getenv("TERM") != "dumb" {
		text = report.Terminal(s.io.Err, o, s.io.Width)
	}
	sinks := []bootstrap.Sink{text}
	if s.opt.json {
		sinks = append(sinks, report.JSON(s.io.Out))
	}
	closeLog = func() {}
	if s.opt.logFile != "" {
		log, closer, lerr := s.openLog()
		if err = lerr; err == nil {
			sinks, closeLog = append(sinks, log), func() { closer.Close() }
		}
	}
	return bootstrap.Redacted(s.redactor(), bootstrap.Tee(sinks...)), closeLog, err
}

// redactor knows the secrets that the settings hold: what a repository's URL says of who logs in.
func (s *session) redactor() *host.Redactor {
	r := &s.known
	for _, repo := range []string{s.config.HomeRepo, s.config.Dotfiles, s.bundle.from} {
		if u, err := url.Parse(repo); err == nil && u.User != nil && u.Scheme != "ssh" {
			password, _ := u.User.Password()
			r.Add(cmp.Or(password, u.User.Username()))
		}
	}
	return r
}

func (s *session) openLog() (bootstrap.Sink, io.Closer, error) {
	name, err := s.io.abs(s.opt.logFile)
	if err != nil {
		return nil, nil, err
	}
	f, err := host.OpenLog(filepath.Join(s.io.Root, name))
	if err != nil {
		return nil, nil, bootstrap.Hint(bootstrap.Misconfigured("opening the log: %v", err), "name another with --log-file")
	}
	log, err := report.Log(f, s.opt.logLevel)
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	return log, f, nil
}

func (s *session) textOptions() report.TextOptions {
	level := s.opt.logLevel
	if s.opt.verbose && (s.flags == nil || !s.flags.Changed("log-level")) {
		level = "" // as verbose says
	}
	return report.TextOptions{
		Color:   s.io.Width > 0 && s.io.getenv("NO_COLOR") == "" && s.io.getenv("TERM") != "dumb",
		Unicode: s.io.unicode(),
		Verbose: s.opt.verbose, DryRun: s.opt.dryRun, Level: level, Width: s.io.Width, Home: s.config.Home,
	}
}

func (s *session) userJournal() string { return filepath.Join(s.config.State(), "journal.json") }
