package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"movein/bootstrap"
	"movein/bootstrap/host"
	"movein/steps"
)

// initOptions are what "movein init" is told beside the settings.
type initOptions struct {
	name, email, addHost, platform, system string
	merge, lock                            bool
}

func newInit(io *IO) *cobra.Command {
	s, o := &session{io: io, opt: options{dryRun: true}}, initOptions{}
	cmd := &cobra.Command{
		Use:   "init [DIR]",
		Short: "Write a new home repo for this user and host, or add a host to one",
		Long: `init writes a home repo to begin with: a home-manager flake with one module a concern,
for you and this host, in DIR (~/.config/home-manager), and dotfiles that go with it,
for chezmoi. Both are git repositories with a first commit. It asks for your name, your
e-mail address and this host's name, unless they are given.

No versions come with movein: the first build has Nix find out the newest ones and write
flake.lock, or --lock has it do so now, which takes Nix and the network.

With --add-host NAME it adds a host to a home repo of that shape, and touches nothing
else in it.`,
		Example: `  movein init ~/home --name Ada --email ada@example.org --dotfiles none
  movein init --add-host wsl-workspace ~/home`,
		Args: oneArg,
		RunE: func(cmd *cobra.Command, args []string) error { return s.init(cmd, args, o) },
	}
	s.addFlags(cmd.Flags())
	f := cmd.Flags()
	f.StringVar(&o.name, "name", "", "your `name`, for commits")
	f.StringVar(&o.email, "email", "", "your e-mail `address`, for commits")
	f.StringVar(&o.addHost, "add-host", "", "add a host of this `name` to the home repo")
	f.StringVar(&o.platform, "platform", "", "what the host is: `"+strings.Join(platforms, "|")+"` (default: as this one, or as its name says)")
	f.StringVar(&o.system, "system", "", "its `system`, as Nix calls it (default: this host's)")
	f.BoolVar(&o.merge, "merge", false, "write what is missing into a directory that has files, and nothing over them")
	f.BoolVar(&o.lock, "lock", false, "have Nix write flake.lock now, not at the first build")
	s.completions(cmd)
	return cmd
}

func (s *session) init(cmd *cobra.Command, args []string, o initOptions) error {
	if err := s.load(cmd, nil, false); err != nil {
		return err
	}
	if err := s.own(cmd); err != nil {
		return err
	}
	dir := s.usualDir()
	if len(args) > 0 {
		dir = args[0]
		if rest, ok := strings.CutPrefix(dir, "~/"); ok {
			dir = filepath.Join(s.config.Home, rest)
		}
	}
	dir, err := s.io.abs(dir)
	if err != nil {
		return err
	}
	if o.addHost != "" {
		for _, of := range []string{"name", "email", "merge", "lock"} {
			if cmd.Flags().Changed(of) {
				return usage(cmd, fmt.Errorf("--%s is for a new home repo, and --add-host for one that there is", of))
			}
		}
		return s.addHost(cmd, dir, o)
	}
	return s.newHome(cmd, dir, o)
}

// usualDir is where home-manager looks for a flake.
func (s *session) usualDir() string { return filepath.Join(s.config.ConfigHome, "home-manager") }

// newHome writes the home repo, and the dotfiles.
func (s *session) newHome(cmd *cobra.Command, dir string, o initOptions) error {
	dotfiles, address := s.newDotfilesDir(o.merge)
	for _, d := range []string{dir, dotfiles} {
		if d == "" || o.merge {
			continue
		}
		if entries, err := s.view.ReadDir(d); err == nil && len(entries) > 0 {
			return bootstrap.Hint(bootstrap.Refuse("%s is not empty", d), "name another directory, or have it filled up with what is missing there: --merge")
		} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	name := s.opt.host
	if err := s.ask(
		question{&o.name, "Your name, for commits", s.config.User, "name"},
		question{&o.email, "Your e-mail address, for commits", "", "email"},
		question{&name, "This host's name", s.facts.Short, "host"},
	); err != nil {
		return err
	}
	h, err := s.newHost(name, o)
	if err != nil {
		return usage(cmd, err)
	}
	p := steps.Person{Username: s.config.User, Name: o.name, Email: o.email}
	files, err := steps.NewHomeRepo(p, h, address)
	if err != nil {
		return err
	}
	if o.lock {
		if files["flake.lock"], err = steps.LockFlake(cmd.Context(), &s.view, &s.facts, &s.config, files["flake.nix"]); err != nil {
			return err
		}
	}
	if err := s.fill(cmd.Context(), dir, files, p, o.merge); err != nil {
		return err
	}
	if dotfiles != "" {
		if files, err = steps.NewDotfiles(p, h); err != nil {
			return err
		}
		if err := s.fill(cmd.Context(), dotfiles, files, p, o.merge); err != nil {
			return err
		}
	}
	repo := " " + shell(dir)
	if steps.LastRepo(&s.view, &s.config) == dir {
		repo = "" // it is found there, or was used before
	}
	s.say("\nWhat is different on this host is said in %s; more in README.md there.\nLook: movein plan%s\nMove in: movein apply%[2]s", filepath.Join(dir, "hosts", name+".nix"), repo)
	return nil
}

// newDotfilesDir is where dotfiles are to be written, "" if none are, and what the home
// repo says of them.
func (s *session) newDotfilesDir(merge bool) (dir, address string) {
	if s.config.Dotfiles == "none" {
		return "", ""
	}
	dir, clone := s.config.DotfilesDir()
	if clone && s.config.Dotfiles != "" {
		return "", s.config.Dotfiles // they are elsewhere already
	}
	address = dir
	if rest, ok := strings.CutPrefix(dir, s.config.Home+"/"); ok {
		address = "~/" + rest
	}
	if entries, err := s.view.ReadDir(dir); err == nil && len(entries) > 0 && clone && !merge {
		s.say("%s is left as it is: it has dotfiles", dir)
		return "", address
	}
	return dir, address
}

// newHost is the host of that name as far as it is known: this one, or another.
func (s *session) newHost(name string, o initOptions) (steps.NewHost, error) {
	h := steps.NewHost{Name: name, Platform: s.facts.Platform, System: s.facts.System, Home: s.config.Home}
	if h.Home == "/home/"+s.config.User {
		h.Home = ""
	}
	if o.platform != "" {
		h.Platform = platform(o.platform)
	}
	if o.system != "" {
		h.System = o.system
	}
	return h, h.Check()
}

// fill writes files into dir: a new repository, or what is missing in one.
func (s *session) fill(ctx context.Context, dir string, files map[string][]byte, p steps.Person, merge bool) error {
	commit := host.Commit{Files: files, Name: p.Name, Email: p.Email, When: s.view.Now(), Message: "A home to begin with"}
	entries, err := s.view.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(entries) == 0 {
		if err := s.view.InitRepo(ctx, dir, commit); err != nil {
			return err
		}
		s.say("%s: %d files, committed", dir, len(files))
		return nil
	}
	if !merge {
		return bootstrap.Refuse("%s is not empty", dir)
	}
	all := len(files)
	for name := range files {
		if _, err := s.view.Lstat(filepath.Join(dir, name)); err == nil {
			delete(files, name)
		}
	}
	if len(files) == 0 {
		s.say("%s: nothing is missing", dir)
		return nil
	}
	commit.Message = "What was missing of a home to begin with"
	if err := s.commit(ctx, dir, commit); err != nil {
		return err
	}
	s.say("%s: %d files that were missing, committed; %d that were there are as they were", dir, len(files), all-len(files))
	return nil
}

// commit adds a commit to a repo of the user's, if nothing can be lost by that.
func (s *session) commit(ctx context.Context, dir string, c host.Commit) error {
	err := s.view.CommitFiles(ctx, dir, c)
	_, collided := errors.AsType[*host.CollisionError](err)
	switch {
	case errors.Is(err, host.ErrNotRepo):
		return bootstrap.Hint(bootstrap.Refuse("%s is no git repository, so nothing could bring back what it was", dir), "make it one: git -C %s init && git -C %[1]s add . && git -C %[1]s commit -m first", shell(dir))
	case collided, err != nil && strings.Contains(err.Error(), "not committed"):
		hint := "commit or undo what is there (git -C %s status), then run the same command again"
		if _, err := s.view.LookPath("git"); err != nil {
			hint += "; the home brings git: log in again, or install one"
		}
		return bootstrap.Hint(bootstrap.Exit(bootstrap.ExitRefused, err), hint, shell(dir))
	case errors.Is(err, host.ErrDetached):
		return bootstrap.Hint(bootstrap.Exit(bootstrap.ExitRefused, err), "go to a branch: git -C %s switch main", shell(dir))
	}
	return err
}

// say tells what was done.
func (s *session) say(format string, a ...any) {
	fmt.Fprintln(s.io.Out, s.io.shown(fmt.Sprintf(format, a...)))
}

// shell is a name as it can be given to a shell.
func shell(name string) string {
	if strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._+-@:") == "" {
		return name
	}
	return "'" + strings.ReplaceAll(name, "'", `'\''`) + "'"
}
