package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"movein/bootstrap"
	"movein/bootstrap/host"
	"movein/distro"
	"movein/steps"
)

// resumeCommand is how the unit that apply --reboot leaves starts the program.
const resumeCommand = "_resume"

func newResume(io *IO) *cobra.Command {
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
	real := &host.Real{Root: s.io.Root, Env: host.Environ(host.Account{Name: "root", Home: "/root"}, nil, false)}
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
	if err := s.takeUp(r.Config); err != nil {
		return errors.Join(err, r.End(real))
	}
	s.facts, err = distro.Detect(s.io.fs())
	s.lookAround()
	err = s.applyNow(cmd, time.Now(), err, nil)
	return errors.Join(err, s.settle(context.WithoutCancel(cmd.Context()), real, r, err))
}

// settle settles what becomes of a run that was gone on with and ended with err.
func (s *session) settle(ctx context.Context, real *host.Real, r steps.Resume, err error) error {
	code, login := bootstrap.ExitOK, !r.Login && r.Config.UID != 0
	if status, ok := errors.AsType[exitStatus](err); ok {
		code = int(status)
	}
	switch {
	case code == bootstrap.ExitReboot || code == bootstrap.ExitInterrupted: // it goes on at the next boot
		return nil
	case login && (code == bootstrap.ExitUnreachable || code == bootstrap.ExitPermission || code == bootstrap.ExitOK && len(s.lacking()) > 0):
		fmt.Fprintf(s.io.Err, "movein: once more when %s logs in\n", r.Config.User)
		return r.AwaitLogin(ctx, real)
	}
	return r.End(real)
}

// notResumed are settings that concern who looked on, and a run that goes on has nobody.
var notResumed = []string{"json", "no-progress", "yes", "user"}

// settings are those that were given, in whatever way, as flags take them.
func (s *session) settings() map[string]string {
	given := map[string]string{}
	s.flags.Visit(func(f *pflag.Flag) {
		if slices.Contains(notSettings, f.Name) || slices.Contains(notResumed, f.Name) {
			return
		}
		value := f.Value.String()
		given[f.Name] = value
		if list, ok := f.Value.(pflag.SliceValue); ok {
			given[f.Name] = strings.Join(list.GetSlice(), ",")
		}
		if !slices.Contains([]string{"log-file", "password-file", "key-file", "vault"}, f.Name) || strings.Contains(value, "://") || host.IsSSH(value) || value == "none" {
			return
		}
		if file, err := s.file(value); err == nil { // the run that goes on is elsewhere
			given[f.Name] = file
		}
		if isOpenFile(value) { // and has nothing of what is open here
			delete(given, f.Name)
		}
	})
	return given
}

// takeUp makes the session one with these settings, and nobody to ask.
func (s *session) takeUp(c steps.Config) error {
	s.flags = pflag.NewFlagSet(resumeCommand, pflag.ContinueOnError)
	s.addFlags(s.flags)
	for name, value := range c.Settings {
		if err := s.flags.Set(name, value); err != nil {
			return bootstrap.Hint(fmt.Errorf("reading what to go on with: %w", err), "run the same command again as yourself: movein apply")
		}
	}
	s.config, s.opt.yes, s.resumed = c, true, true
	return nil
}
