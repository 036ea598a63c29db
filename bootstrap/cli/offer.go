package cli

import (
	"context"
	"fmt"

	"movein/bootstrap/host"
)

// offerHome asks for a home repo where none is known: an address, the starter, or a new
// one, which it writes. "" where nobody is to be asked.
func (s *session) offerHome(ctx context.Context) (string, error) {
	if s.opt.dryRun || s.opt.yes || s.opt.json || s.io.EUID != s.config.UID || !host.IsTerminal() {
		return "", nil
	}
	own := s.usualDir()
	fmt.Fprintln(s.io.Err, s.io.shown(`No home repo was used here before. There are three ways on:
  an address    your home-manager flake: a git URL, an ssh address or a directory
  init          a new one for you and this host, in `+own+`
  starter       a tiny built-in home, to try movein with`))
	answer := ""
	if err := s.ask(question{&answer, "Home repo", "", "home-repo"}); err != nil {
		return "", err
	}
	if answer != "init" {
		return answer, nil
	}
	cmd := newInit(s.io)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	args := []string{own}
	if s.opt.host != "" {
		args = append(args, "--host", s.opt.host)
	}
	if s.config.Dotfiles != "" {
		args = append(args, "--dotfiles", s.config.Dotfiles)
	}
	cmd.SetArgs(args)
	return own, cmd.ExecuteContext(ctx)
}
