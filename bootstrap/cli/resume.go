package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/spf13/cobra"

	"movein/bootstrap"
	"movein/bootstrap/host"
	"movein/distro"
	"movein/steps"
)

// resumeCommand is how the unit that apply --reboot leaves starts the program.
const resumeCommand = "_resume"

func newResume(io IO) *cobra.Command {
	s := &session{io: io}
	return &cobra.Command{
		Use: resumeCommand, Hidden: true, Args: noArgs,
		Short: "Go on after a restart, which a unit of movein's starts",
		RunE:  func(cmd *cobra.Command, _ []string) error { return s.resume(cmd) },
	}
}

// resume goes on with the run that waited for a restart, as root, and settles whether it
// is to be gone on with again.
func (s *session) resume(cmd *cobra.Command) error {
	real := host.Real{Root: s.io.Root, Env: host.Environ(host.Account{Name: "root", Home: "/root"}, nil, false)}
	r, err := steps.ReadResume(real)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return bootstrap.Hint(err, "run the same command again as yourself: movein apply")
	case r.Boot == real.BootID():
		return errors.New("this host was not restarted since; there is nothing to go on with")
	case r.Tries >= steps.MostResumes:
		err := fmt.Errorf("this run was begun %d times and never came to its end", r.Tries)
		return errors.Join(bootstrap.Hint(err, "look why (journalctl --unit movein-resume), then: movein apply"), r.End(real))
	}
	if err := r.Begin(real); err != nil {
		return err
	}
	s.config = r.Config
	s.opt.yes, s.opt.only, s.opt.skip = true, r.Config.Only, r.Config.Skip
	s.facts, err = distro.Detect(s.io.fs())
	s.view.Cache, s.view.Sight = rootCache, new(host.Sight)
	s.view = s.rootHost()
	err = s.applyNow(cmd, time.Now(), err, nil)
	return errors.Join(err, s.resumed(context.WithoutCancel(cmd.Context()), real, r, err))
}

// resumed settles what becomes of a run that was gone on with and ended with err.
func (s *session) resumed(ctx context.Context, real host.Real, r steps.Resume, err error) error {
	code := bootstrap.ExitOK
	if status, ok := errors.AsType[exitStatus](err); ok {
		code = int(status)
	}
	switch code {
	case bootstrap.ExitReboot, bootstrap.ExitInterrupted: // it goes on at the next boot
		return nil
	case bootstrap.ExitUnreachable, bootstrap.ExitPermission:
		if !r.Login && r.Config.UID != 0 {
			fmt.Fprintf(s.io.Err, "movein: once more when %s logs in\n", r.Config.User)
			return r.AwaitLogin(ctx, real)
		}
	}
	return r.End(real)
}
