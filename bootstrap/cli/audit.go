package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"movein/bootstrap"
	"movein/bootstrap/host"
	"movein/steps/audit"
)

// auditing are the flags of "movein audit".
type auditing struct {
	source, against, write string
	hosts                  []string
	markdown               bool
}

func newAudit(io *IO) *cobra.Command {
	s := &session{io: io, opt: options{dryRun: true}}
	var a auditing
	cmd := &cobra.Command{
		Use:   "audit NIXOS_REPO",
		Short: "What in a NixOS system repo is user configuration and belongs in the home repo",
		Long: `audit reads a NixOS configuration, a flake or a tree with a configuration.nix, and says of
every definition of an option whether it is the system's, the user's or undecided: with
file and line, and for the user's with the option of home-manager and the module of the
home repo that it goes to. It changes nothing.

It reads the syntax of every file. If the configuration evaluates with what is at hand,
definitions that only evaluating shows are told too, and which hosts have what;
with --source evaluate Nix may fetch for it, and it is an error if that fails.

Done is what is in a home of its own: in homeConfigurations, or in the home repo that
--against names.`,
		Example: `  movein audit /etc/nixos
  movein audit ~/.config/nixos --exit-code              exit 2 while something of the user's is left
  movein audit ~/.config/nixos --markdown               a table to work through
  movein audit ~/.config/nixos --write drafts           drafts of modules for what moves without thought`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usage(cmd, errors.New("no NixOS repo is given"))
			}
			return oneArg(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error { return s.audit(cmd, args[0], a) },
	}
	s.addFlags(cmd.Flags())
	f := cmd.Flags()
	f.BoolVar(&s.opt.exitCode, "exit-code", false, "exit 2 while something of the user's is left in it")
	f.BoolVar(&a.markdown, "markdown", false, "write a migration table in Markdown")
	f.StringVar(&a.source, "source", "auto", "`auto|syntax|evaluate`; auto evaluates if that needs no network")
	f.StringSliceVar(&a.hosts, "evaluate-host", nil, "evaluate only these `hosts` of nixosConfigurations")
	f.StringVar(&a.against, "against", "", "count what this home repo, a `directory`, has as done")
	f.StringVar(&a.write, "write", "", "write drafts of modules to this `directory`, which must be new or empty")
	s.completions(cmd)
	return cmd
}

// audited is what "movein audit --json" prints, as one object.
type audited struct {
	Schema int    `json:"schema"`
	Event  string `json:"event"` // "audit"
	Repo   string `json:"repo"`
	audit.Result
	Drafts []string `json:"drafts,omitempty"` // the files that --write wrote
}

func (s *session) audit(cmd *cobra.Command, repo string, a auditing) error {
	if !slices.Contains([]string{"auto", "syntax", "evaluate"}, a.source) {
		return usage(cmd, fmt.Errorf("source is %q, and may be one of: auto syntax evaluate", a.source))
	}
	dir, err := s.io.abs(repo)
	if err != nil {
		return err
	}
	if err := s.load(cmd, nil, false); err != nil {
		return err
	}
	tree, err := audit.Read(&s.view, dir)
	if err != nil {
		return err
	}
	r := &audited{Schema: bootstrap.Schema, Event: "audit", Repo: dir, Result: tree.Audit()}
	if err := s.evaluate(cmd.Context(), tree, &r.Result, a); err != nil {
		return err
	}
	if a.against != "" {
		if err := s.compare(&r.Result, a.against); err != nil {
			return err
		}
	}
	if a.write != "" {
		if r.Drafts, err = s.writeDrafts(&r.Result, dir, a.write); err != nil {
			return err
		}
	}
	switch {
	case s.opt.json:
		err = json.NewEncoder(s.io.Out).Encode(r)
	case a.markdown:
		s.auditMarkdown(r)
	default:
		s.auditTable(r)
	}
	if err == nil && s.opt.exitCode && r.Left > 0 {
		return exitStatus(bootstrap.ExitChanges)
	}
	return err
}

// evaluate adds what evaluating tells, if that is wanted and can be done.
func (s *session) evaluate(ctx context.Context, tree *audit.Tree, r *audit.Result, a auditing) error {
	if a.source == "syntax" {
		return nil
	}
	err := errors.New("root does not evaluate what is another's")
	if s.io.EUID == s.config.UID {
		how := audit.Evaluation{Offline: a.source == "auto" || s.config.Offline, Hosts: a.hosts}
		err = tree.Evaluate(ctx, &s.view, how, r)
	}
	switch {
	case err == nil:
		return nil
	case context.Cause(ctx) != nil:
		return context.Cause(ctx)
	case a.source == "auto":
		r.Unevaluated = err.Error()
		return nil
	}
	err = bootstrap.Exit(bootstrap.ExitConfig, fmt.Errorf("evaluating %s: %w", tree.Root, err))
	return bootstrap.Hint(err, "mend it, or audit the syntax alone: movein audit %s --source syntax", tree.Root)
}

// compare counts what a home repo has.
func (s *session) compare(r *audit.Result, name string) error {
	dir, err := s.io.abs(name)
	if err != nil {
		return err
	}
	home, err := audit.Read(&s.view, dir)
	if err != nil {
		return err
	}
	r.Against(home)
	return nil
}

// writeDrafts writes them all, or none: into a directory beside the wanted one, which is then renamed.
func (s *session) writeDrafts(r *audit.Result, repo, name string) (files []string, err error) {
	dir, err := s.io.abs(name)
	if err != nil {
		return nil, err
	}
	refused := func(err error, hint string) error {
		return bootstrap.Hint(bootstrap.Exit(bootstrap.ExitRefused, fmt.Errorf("writing drafts to %s: %w", dir, err)), "%s", hint)
	}
	if s.io.EUID != s.config.UID {
		return nil, bootstrap.Hint(bootstrap.Exit(bootstrap.ExitPermission, fmt.Errorf("the drafts are those of %s", s.config.User)), "run it as that user")
	}
	perm := fs.FileMode(0o755)
	info, err := s.view.Lstat(dir)
	if err == nil && !info.IsDir() {
		err = errors.New("it is no directory")
	} else if err == nil {
		perm = info.Mode().Perm()
		var entries []fs.DirEntry
		if entries, err = s.view.ReadDir(dir); err == nil && len(entries) > 0 {
			err = errors.New("there is something in it")
		}
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, refused(err, "name a new directory: --write DIR")
	}
	drafts := r.Drafts(repo)
	temp := filepath.Join(filepath.Dir(dir), "."+filepath.Base(dir)+".movein-drafts")
	if _, err := s.view.Lstat(temp); err == nil {
		return nil, refused(fmt.Errorf("%s is in the way: a run that was cut short left it", temp), "remove it and run the same command again")
	}
	if err := s.view.MkdirAll(temp, perm); err != nil {
		return nil, fmt.Errorf("writing drafts: %w", err)
	}
	defer s.view.Remove(temp) //nolint:errcheck // gone, when all went well
	for _, name := range slices.Sorted(maps.Keys(drafts)) {
		if err := s.view.WriteFile(filepath.Join(temp, name), []byte(drafts[name]), 0o644); err != nil {
			return nil, fmt.Errorf("writing drafts: %w", err)
		}
		files = append(files, filepath.Join(dir, name))
	}
	// One that is empty makes room: nothing is renamed over a directory.
	err = s.view.TakeAway(context.Background(), host.Place{Base: filepath.Dir(dir), Name: filepath.Base(dir)}, false)
	if err == nil {
		err = s.view.Rename(temp, dir)
	}
	if err != nil {
		return nil, refused(err, "name a new directory: --write DIR")
	}
	return files, nil
}
