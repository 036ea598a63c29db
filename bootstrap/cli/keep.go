package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"movein/bootstrap/host"
	"movein/bootstrap/host/kdbx"
	"movein/bootstrap/host/keyring"
	"movein/bootstrap/host/secret"
)

// agentCommand is how the program is started to keep a vault open for a while.
const agentCommand = "_agent"

// keepOrders are the first line that it reads. Each line after that is a toOpen, which it
// answers with a wasOpened. It stays at least until its input ends.
type keepOrders struct {
	Dir     string        `json:"dir"`
	Vault   string        `json:"vault"`
	KeyFile string        `json:"key_file,omitempty"`
	Idle    time.Duration `json:"idle"`
}

type toOpen struct {
	Password *string `json:"password"` // nil: the key file alone
}

type wasOpened struct {
	Open  bool   `json:"open,omitempty"`
	Wrong string `json:"wrong,omitempty"` // the key is, and what more there is to say
	Error string `json:"error,omitempty"` // why it is not kept open here
}

func newAgent(io *IO) *cobra.Command {
	return &cobra.Command{
		Use: agentCommand, Hidden: true, Args: noArgs,
		Short: "Keeps a vault open for a while, which movein starts itself",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := keepVault(cmd.Context(), io); err != nil {
				writeLine(io.Out, wasOpened{Error: err.Error()}) //nolint:errcheck // nobody is left to tell
			}
			return nil
		},
	}
}

// keepVault opens the vault with what comes in, and keeps it open until it is not asked for any more.
func keepVault(ctx context.Context, io *IO) error {
	if _, err := secret.Harden(); err != nil {
		return err
	}
	in := bufio.NewReader(io.In)
	var o keepOrders
	if err := readLine(in, &o); err != nil {
		return err
	}
	here := &host.Real{Root: io.Root}
	k, err := secret.NewKeeper(here, o.Dir, o.Vault, o.Idle)
	if err != nil {
		return err
	}
	files, err := secret.Read(here, o.Vault, o.KeyFile)
	if err != nil {
		return err
	}
	for {
		var key toOpen
		if err := readLine(in, &key); err != nil {
			return err
		}
		v, err := files.Open(ctx, key.secret())
		if errors.Is(err, kdbx.ErrWrongKey) {
			_, more, _ := strings.Cut(err.Error(), kdbx.ErrWrongKey.Error())
			if err := writeLine(io.Out, wasOpened{Wrong: kdbx.ErrWrongKey.Error() + more}); err != nil {
				return err
			}
			continue
		} else if err != nil {
			return err
		}
		files, key = secret.Files{}, toOpen{}
		return k.Keep(ctx, v, in, func() {
			writeLine(io.Out, wasOpened{Open: true}) //nolint:errcheck // then nobody asks
			os.Stdout.Close()
		})
	}
}

func (k toOpen) secret() *kdbx.Secret {
	if k.Password == nil {
		return nil
	}
	pw := kdbx.NewSecret(*k.Password)
	return &pw
}

// readLine reads one JSON object, and leaves no copy of it.
func readLine(r *bufio.Reader, to any) error {
	line, err := r.ReadBytes('\n')
	if err != nil {
		return err
	}
	defer clear(line)
	return json.Unmarshal(line, to)
}

// keeps reports whether a vault that is opened now is to be kept open.
func (s *session) keeps() bool { return s.secrets.idle > 0 && s.io.runtimeDir() != "" && s.keep }

// unlockKept opens the vault in a process that keeps it open, or else in this one, and
// returns who answers.
func (s *session) unlockKept(ctx context.Context) (from secret.Source, err error) {
	var p *host.Process
	var answers *bufio.Reader
	err = s.unlockBy(ctx, func(name, keyFile string, files secret.Files, pw *kdbx.Secret) (err error) {
		if p == nil {
			if p, err = s.startAgent(name, keyFile); err == nil {
				answers = bufio.NewReader(p.Out)
			}
		}
		var got wasOpened
		if err == nil {
			got, err = askToOpen(p, answers, pw)
		}
		switch {
		case err == nil && got.Open:
			from = secret.OfAgent(s.io.runtimeDir())
			return nil
		case err == nil && got.Wrong != "":
			return fmt.Errorf("opening %s: %w%s", name, kdbx.ErrWrongKey, strings.TrimPrefix(got.Wrong, kdbx.ErrWrongKey.Error()))
		}
		v, err := files.Open(ctx, pw)
		if err == nil && got.Error != "" {
			s.warn("the vault is not kept open: %s", got.Error)
		}
		from = secret.OfVault(name, v)
		return err
	})
	if p != nil && err != nil {
		p.In.Close()
	}
	return from, err
}

func (s *session) startAgent(vault, keyFile string) (*host.Process, error) {
	self, err := s.io.self()
	if err != nil {
		return nil, err
	}
	p, err := (&host.Real{Env: []string{"PATH=/usr/bin:/bin"}}).Detach(append(self, agentCommand))
	if err != nil {
		return nil, err
	}
	return p, writeLine(p.In, keepOrders{Dir: s.io.runtimeDir(), Vault: vault, KeyFile: keyFile, Idle: s.secrets.idle})
}

func askToOpen(p *host.Process, answers *bufio.Reader, pw *kdbx.Secret) (got wasOpened, err error) {
	var key toOpen
	if pw != nil {
		text := pw.Reveal()
		key.Password = &text
	}
	if err := writeLine(p.In, key); err != nil {
		return got, err
	}
	return got, readLine(answers, &got)
}

func newSecretLock(io *IO) *cobra.Command {
	return &cobra.Command{
		Use:   "lock",
		Short: "Close the vault that is kept open",
		Long: `lock closes the vault that "secret get" has opened and that is kept open for a while
(--vault-idle). That none is open is no error.`,
		Example: `  movein secret lock`,
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir := io.runtimeDir()
			if dir == "" {
				return nil
			}
			_, err := secret.Ask(cmd.Context(), []string{dir}, secret.Question{Go: true})
			if errors.Is(err, secret.ErrNoAgent) {
				return nil
			}
			return err
		},
	}
}

func newSecretForget(io *IO) *cobra.Command {
	s := &session{io: io, opt: options{dryRun: true}}
	cmd := &cobra.Command{
		Use:     "forget",
		Short:   "Remove the vault's master password from your keyring",
		Long:    `forget removes what --remember has kept. That there is nothing is no error.`,
		Example: `  movein secret forget`,
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := s.load(cmd, nil, false); err != nil {
				return err
			}
			if err := s.mine("forget"); err != nil {
				return err
			}
			found, err := s.place().Find(cmd.Context())
			if errors.Is(err, secret.ErrNoVault) {
				return nil
			} else if err == nil {
				err = keyring.Forget(cmd.Context(), s.keyringUser(), found.File)
			}
			return explainSecret(err)
		},
	}
	s.addFlags(cmd.Flags())
	s.completions(cmd)
	return cmd
}
