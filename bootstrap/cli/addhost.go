package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode"

	"github.com/spf13/cobra"

	"movein/bootstrap"
	"movein/bootstrap/host"
	"movein/distro"
	"movein/steps"
)

// platforms are what --platform may be.
var platforms = []string{"nixos", "ostree", "wsl", "linux"}

// platform is the kind of host that a word stands for; "": none.
func platform(word string) distro.Platform {
	switch word {
	case "nixos", "shoshin":
		return distro.NixOS
	case "ostree", "kinoite", "silverblue":
		return distro.OSTree
	case "wsl", "wsl-workspace":
		return distro.WSL
	case "linux", "debian", "ubuntu", "fedora", "arch":
		return distro.Generic
	}
	return ""
}

// addHost adds a host to the home repo dir and to its dotfiles.
func (s *session) addHost(cmd *cobra.Command, dir string, o initOptions) error {
	if err := (steps.NewHost{Name: o.addHost}).Check(); err != nil { // before anything is asked
		return usage(cmd, err)
	}
	here := o.addHost == s.facts.Short || o.addHost == s.facts.Hostname
	if !here && platform(o.addHost) != "" && o.platform == "" {
		o.platform = o.addHost
	}
	if !here {
		if err := s.ask(question{&o.platform, "What is " + o.addHost + " (" + strings.Join(platforms, ", ") + ")", "", "platform"}); err != nil {
			return err
		}
	}
	if o.platform != "" && platform(o.platform) == "" {
		return usage(cmd, fmt.Errorf("platform is %q, and may be one of: %s", o.platform, strings.Join(platforms, ", ")))
	}
	h, err := s.newHost(o.addHost, o)
	if err != nil {
		return usage(cmd, err)
	}
	flake, err := s.reader(dir)("flake.nix")
	if errors.Is(err, fs.ErrNotExist) {
		return bootstrap.Hint(bootstrap.Misconfigured("%s has no flake.nix, so it is no home repo", dir), "write one: movein init %s", shell(dir))
	} else if err != nil {
		return err
	}
	p := steps.PersonOf(flake)
	switch h.Username = s.config.User; {
	case !here && h.Platform == distro.OSTree:
		h.Username, h.Home = "", "/var/home/"+p.Username // /home is a link there
	case !here:
		h.Username, h.Home = "", ""
	}
	files, err := steps.AddToHome(h, s.reader(dir))
	if err != nil {
		return err
	}
	c := host.Commit{Name: p.Name, Email: p.Email, When: s.view.Now(), Message: "Add host " + h.Name}
	if err := s.addFiles(cmd, dir, files, c, h.Name); err != nil {
		return err
	}
	dotfiles, clone := s.config.DotfilesDir()
	if s.config.Dotfiles == "none" || clone && s.config.Dotfiles != "" {
		return nil
	}
	files, err = steps.AddToDotfiles(h, s.reader(dotfiles))
	if errors.Is(err, fs.ErrNotExist) {
		s.say("%s: it has no .chezmoidata/hosts.toml, so nothing is added there", dotfiles)
		return nil
	} else if err != nil {
		return err
	}
	return s.addFiles(cmd, dotfiles, files, c, h.Name)
}

// addFiles commits files to a repo, if there are any.
func (s *session) addFiles(cmd *cobra.Command, dir string, files map[string][]byte, c host.Commit, name string) error {
	if len(files) == 0 {
		s.say("%s: it has %s", dir, name)
		return nil
	}
	if c.Files = files; c.Name == "" {
		c.Name, c.Email = s.config.User, s.config.User+"@"+s.facts.Hostname
	}
	if err := s.commit(cmd.Context(), dir, c); err != nil {
		return err
	}
	s.say("%s: %s, committed", dir, strings.Join(slices.Sorted(maps.Keys(files)), ", "))
	return nil
}

// reader reads files below a directory.
func (s *session) reader(dir string) func(string) ([]byte, error) {
	return func(name string) ([]byte, error) { return s.view.ReadFile(filepath.Join(dir, name)) }
}

// question is one of "movein init": what is asked, the answer if none is given, and the
// flag that has it.
type question struct {
	answer              *string
	text, without, flag string
}

// ask asks on the terminal for the answers that no flag has given. With --yes it takes
// those without which a question may be.
func (s *session) ask(questions ...question) error {
	var tty *os.File
	var in *bufio.Reader
	for _, q := range questions {
		if *q.answer == "" && s.opt.yes {
			*q.answer = q.without
		}
		if *q.answer == "" && tty == nil {
			var err error
			if tty, err = os.OpenFile("/dev/tty", os.O_RDWR, 0); err != nil || s.opt.yes {
				return bootstrap.Hint(bootstrap.Exit(bootstrap.ExitPermission, fmt.Errorf("nobody is there to ask: %s", q.text)), "give it: --%s", q.flag)
			}
			defer tty.Close()
			in = bufio.NewReader(tty)
		}
		for *q.answer == "" {
			if q.without != "" {
				fmt.Fprintf(tty, "%s [%s]: ", q.text, q.without)
			} else {
				fmt.Fprintf(tty, "%s: ", q.text)
			}
			line, err := in.ReadString('\n')
			if *q.answer = strings.TrimSpace(line); *q.answer == "" && err == nil {
				*q.answer = q.without
			}
			if err != nil && *q.answer == "" {
				return bootstrap.Exit(bootstrap.ExitFailed, errors.New("no answer; nothing was written"))
			}
		}
		if strings.ContainsFunc(*q.answer, unicode.IsControl) {
			return bootstrap.Exit(bootstrap.ExitUsage, fmt.Errorf("%s: %q has signs that cannot be written", q.flag, *q.answer))
		}
	}
	return nil
}
