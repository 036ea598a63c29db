package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"movein/bootstrap"
	"movein/bootstrap/host"
	"movein/distro"
	"movein/steps"
)

// Where the root half keeps journal and lock. The directory may be read by all:
// the receipt in it tells the user's half what is installed.
const (
	rootState   = "/var/lib/movein"
	rootJournal = "/var/lib/movein/journal.json"
	rootLock    = "/var/lib/movein/lock"
)

// patience is how long the root half waits for its lock.
const patience = 10 * time.Second

// halves are the two identities of a run.
type halves struct {
	user, root bootstrap.Half
	escalate   func(ctx context.Context) error // nil: root is there already
	closers    []func()
}

func (h *halves) close() {
	for _, c := range h.closers {
		c()
	}
}

// orders are what the other half is told first.
type orders struct {
	As     bootstrap.As `json:"as"`
	Facts  distro.Facts `json:"facts"`
	Config steps.Config `json:"config"`
	NoLock bool         `json:"no_lock,omitempty"`
	Vault  *vaultOrders `json:"vault,omitempty"` // nil: it is not to be opened

	Token     string `json:"token,omitempty"` // for the repositories' server
	AcceptNew bool   `json:"accept_new,omitempty"`
}

// open makes this process one half, or both, and gets the other ready.
func (s *session) open(ctx context.Context, sink bootstrap.Sink) (*halves, error) {
	h := &halves{}
	own := s.io.EUID == s.config.UID
	if own {
		user, err := s.local(h, s.userJournal(), filepath.Join(s.config.State(), "lock"), &s.view)
		if err != nil {
			h.close()
			return nil, err
		}
		h.user = user
	}
	if s.io.EUID == 0 {
		root, err := s.local(h, rootJournal, rootLock, s.rootHost())
		if err != nil {
			h.close()
			return nil, err
		}
		h.root = root
	}
	if s.io.EUID == 0 && !own {
		user := &bootstrap.Remote{Name: "user", Start: func(ctx context.Context) (io.WriteCloser, io.Reader, func() error, error) {
			return s.startUser(ctx, sink)
		}}
		h.user, h.closers = user, append(h.closers, user.Close)
		if err := user.Open(ctx); err != nil {
			h.close()
			return nil, err
		}
	}
	if s.io.EUID != 0 {
		root := &bootstrap.Remote{Name: "root", Start: func(ctx context.Context) (io.WriteCloser, io.Reader, func() error, error) {
			return s.startRoot(ctx, sink)
		}}
		h.root, h.closers, h.escalate = root, append(h.closers, root.Close), root.Open
	}
	return h, nil
}

func (s *session) rootHost() *host.Real {
	return &host.Real{Root: s.io.Root, Env: host.Environ(host.Account{Name: "root", Home: "/root"}, s.io.Environ, s.config.UID == 0 && s.io.EUID == 0), Cache: s.view.Cache, Sight: s.view.Sight}
}

// local makes a half of this process.
func (s *session) local(h *halves, journal, lock string, real *host.Real) (*bootstrap.Local, error) {
	if !s.opt.dryRun {
		unlock, err := takeLock(real, lock)
		if err != nil {
			return nil, err
		}
		h.closers = append(h.closers, unlock)
	}
	j, err := bootstrap.OpenJournal(real, journal)
	if err != nil && !s.opt.dryRun {
		return nil, err
	}
	return newLocal(real, j), nil
}

// takeLock takes the lock of a half. The root half of a run that was killed needs
// a moment to notice, so it is waited for.
func takeLock(real *host.Real, lock string) (unlock func(), err error) {
	wait, perm := time.Duration(0), fs.FileMode(0o700)
	if lock == rootLock {
		wait, perm = patience, 0o755
	}
	if err := real.MkdirAll(filepath.Dir(lock), perm); err != nil {
		return nil, fmt.Errorf("taking the lock: %w", err)
	}
	unlock, err = host.Lock(filepath.Join(real.Root, lock), wait)
	if locked, ok := errors.AsType[*host.LockedError](err); ok {
		return nil, bootstrap.Hint(err, "wait until it has ended; look at it with: ps -fp %s", locked.PID)
	} else if err != nil {
		return nil, fmt.Errorf("taking the lock: %w", err)
	}
	return unlock, nil
}

func newLocal(real *host.Real, j *bootstrap.Journal) *bootstrap.Local {
	return &bootstrap.Local{Journal: j, Host: func(notes func(host.Note)) host.Host {
		r := *real
		r.Notes = notes
		return &r
	}}
}

// startUser starts this program as the user whose home it is, and helps it to open the vault.
func (s *session) startUser(ctx context.Context, sink bootstrap.Sink) (io.WriteCloser, io.Reader, func() error, error) {
	self, err := s.io.self()
	if err != nil {
		return nil, nil, nil, err
	}
	p, err := (&host.Real{Env: host.Environ(s.account(), s.io.Environ, false)}).Pipe(append(self, halfCommand), host.Credential(s.account(), s.config.GID))
	if err != nil {
		return nil, nil, nil, err
	}
	in, out, wait, err := s.tell(p, bootstrap.User)
	if err != nil || s.vaultFor == nil {
		return in, out, wait, err
	}
	rest, err := s.helpOpen(ctx, in, out, sink)
	if err != nil {
		in.Close()
		return nil, nil, nil, errors.Join(err, wait())
	}
	return in, rest, wait, nil
}

// startRoot starts this program as root: by sudo, or doas. It asks for a password at most once.
func (s *session) startRoot(ctx context.Context, sink bootstrap.Sink) (io.WriteCloser, io.Reader, func() error, error) {
	args, err := s.becomeRoot(ctx, sink)
	if err != nil {
		return nil, nil, nil, err
	}
	self, err := s.io.self()
	if err != nil {
		return nil, nil, nil, err
	}
	p, err := s.view.Pipe(slices.Concat(args, self, []string{halfCommand}), nil)
	if err != nil {
		return nil, nil, nil, err
	}
	in, out, wait, err := s.tell(p, bootstrap.Root)
	return in, out, func() error {
		err := wait()
		if e, ok := errors.AsType[*host.CommandError](err); ok {
			return bootstrap.Exit(bootstrap.ExitPermission, bootstrap.Hint(fmt.Errorf("becoming root: %w", e), "%s", s.withoutRoot()))
		}
		return err
	}, err
}

// becomeRoot is the command that runs another as root.
func (s *session) becomeRoot(ctx context.Context, sink bootstrap.Sink) ([]string, error) {
	denied := func(format string, a ...any) error {
		return bootstrap.Exit(bootstrap.ExitPermission, bootstrap.Hint(fmt.Errorf(format, a...), "%s", s.withoutRoot()))
	}
	if s.opt.noRoot {
		return nil, denied("--no-root says not to become root")
	}
	var tried error
	for _, tool := range []string{"sudo", "doas"} {
		if _, err := s.view.LookPath(tool); err != nil {
			continue
		}
		if _, err := s.view.Query(ctx, &host.Cmd{Args: []string{tool, "-n", "true"}}); err == nil {
			return []string{tool, "-n"}, nil
		} else if tried == nil {
			tried = err
		}
		if s.opt.yes || !host.IsTerminal() {
			continue
		}
		sink(bootstrap.Event{Schema: bootstrap.Schema, Time: s.view.Now(), Event: "question", Reason: tool + " asks for a password, once, to install and repair Nix"})
		if tool == "sudo" {
			return []string{tool, "-p", "[movein] password for %p: "}, nil
		}
		return []string{tool}, nil
	}
	if tried == nil {
		return nil, denied("there is neither sudo nor doas")
	}
	return nil, denied("sudo needs a password, and nobody is there to ask")
}

// withoutRoot says what an administrator would have to run: all of root's steps,
// with the settings that concern them.
func (s *session) withoutRoot() string {
	args, err := s.io.self()
	if err != nil {
		args = []string{"movein"}
	}
	args = append(slices.Clone(args), "apply", s.config.HomeRepo, "--user", s.config.User, "--only", "nix-daemon")
	for _, name := range []string{"nix-version", "nix-sha256", "nix-url", "nix-source"} {
		if slices.Contains(s.config.Given, name) {
			args = append(args, "--"+name, s.flags.Lookup(name).Value.String())
		}
	}
	for i, arg := range args {
		if strings.Trim(arg, "-+=_./:@%,0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz") != "" || arg == "" {
			args[i] = "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
		}
	}
	how, as := "have an administrator run this", "sudo "
	if _, err := s.view.LookPath("sudo"); err != nil {
		how, as = "have this run by root", ""
	}
	return how + ", then run your command again:\n    " + as + strings.Join(args, " ")
}

// tell gives the other half its orders.
func (s *session) tell(p *host.Process, as bootstrap.As) (io.WriteCloser, io.Reader, func() error, error) {
	o := orders{As: as, Facts: s.facts, Config: s.config, NoLock: s.opt.dryRun}
	if as == bootstrap.User {
		o.Vault, o.Token, o.AcceptNew = s.vaultFor, s.token, s.secrets.acceptNew
	}
	data, err := json.Marshal(o)
	if err == nil {
		_, err = p.In.Write(append(data, '\n'))
	}
	if err != nil {
		p.In.Close()
		return nil, nil, nil, errors.Join(err, p.Wait())
	}
	return p.In, p.Out, p.Wait, nil
}

// halfCommand is how the program is started as the other half.
const halfCommand = "_half"

func newHalf(io *IO) *cobra.Command {
	return &cobra.Command{
		Use: halfCommand, Hidden: true, Args: noArgs,
		Short: "The other half of a run, which movein starts itself",
		RunE: func(cmd *cobra.Command, _ []string) error {
			// A first half that was killed ends the input; writing to it must not end
			// this one in the middle of a change. Not Ignore, which children inherit.
			signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
			// The terminal interrupts the whole foreground group; this half is told by the first.
			if err := serve(context.WithoutCancel(cmd.Context()), io); err != nil {
				e := bootstrap.Event{Schema: bootstrap.Schema, Event: "error", Reason: err.Error(), Hint: bootstrap.HintOf(err), Code: bootstrap.ExitCode(err)}
				json.NewEncoder(io.Out).Encode(e) //nolint:errcheck // nobody is left to tell
			}
			return nil
		},
	}
}

// serve is the other half's life.
func serve(ctx context.Context, io *IO) error {
	in := bufio.NewReader(io.In)
	line, err := in.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("reading orders: %w", err)
	}
	var o orders
	if err := json.Unmarshal(line, &o); err != nil {
		return fmt.Errorf("reading orders: %w", err)
	}
	s := &session{io: io, facts: o.Facts, config: o.Config, token: o.Token}
	s.secrets.acceptNew, s.opt.yes, s.opt.dryRun = o.AcceptNew, true, o.NoLock
	if o.Token != "" {
		s.known.Add(o.Token)
	}
	journal, lock := s.userJournal(), filepath.Join(s.config.State(), "lock")
	real := &host.Real{Root: io.Root, Env: host.Environ(s.account(), io.Environ, true), Cache: s.config.Cache()}
	if o.As == bootstrap.Root {
		s.view.Cache = rootCache
		journal, lock, real = rootJournal, rootLock, s.rootHost()
	} else {
		s.config.RuntimeDir = s.io.runtimeDir()
		real.Logins, real.Vault = s.logins(), s
		s.view = *real
	}
	if !o.NoLock {
		unlock, err := takeLock(real, lock)
		if err != nil {
			return err
		}
		defer unlock()
	}
	j, err := bootstrap.OpenJournal(real, journal)
	if err != nil && !o.NoLock { // a dry run needs none
		return err
	}
	if o.Vault != nil {
		lock, err := s.openHelped(ctx, *o.Vault, in, io.Out)
		if err != nil {
			return err
		}
		defer lock()
	}
	g, err := bootstrap.NewGraph(append(steps.All(&s.facts, &s.config), steps.Restart{Facts: &s.facts, Config: &s.config})...)
	if err != nil {
		return err
	}
	return bootstrap.Serve(ctx, in, io.Out, g, newLocal(real, j), &s.known)
}
