package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"movein/bootstrap"
	"movein/bootstrap/host/kdbx"
	"movein/bootstrap/host/keyring"
	"movein/bootstrap/host/secret"
	"movein/steps"
)

func newSecret(io *IO) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "secret",
		Short: "Values from your vault or keyring: get, lock, forget",
		Long: `Secrets are where you have them: in a KeePass vault, and once your desktop runs in its
keyring. Both are asked by the same two names, the attributes "service" and "key".`,
		Example: `  movein secret get rclone config-password`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usage(cmd, fmt.Errorf("there is no command %q", "secret "+args[0]))
			}
			return cmd.Help()
		},
		Args: cobra.ArbitraryArgs,
	}
	cmd.AddCommand(newSecretGet(io), newSecretLock(io), newSecretForget(io))
	return cmd
}

func newSecretGet(io *IO) *cobra.Command {
	s, newline := &session{io: io, opt: options{dryRun: true}, keep: true}, false
	cmd := &cobra.Command{
		Use:   "get SERVICE KEY | get NAME",
		Short: "One value, on standard output",
		Long: `get prints one value and nothing else, with a newline only on a terminal. It is looked
for in the desktop's Secret Service, if that is open, and else in the vault, for whose master
password you are asked if nothing gives it. NAME is one of [secrets] in movein.toml.
Exit code 77: all that may have it is locked, and nobody is there to ask.`,
		Example: `  movein secret get rclone config-password
  movein secret get forge --password-file ~/.vault-password`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 || len(args) > 2 {
				return usage(cmd, errors.New("give a service and a key, or one name"))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return s.secretGet(cmd, args, newline) },
	}
	s.addFlags(cmd.Flags())
	cmd.Flags().BoolVar(&newline, "newline", false, "end with a newline, also where nobody reads it")
	s.completions(cmd)
	return cmd
}

func (s *session) secretGet(cmd *cobra.Command, args []string, newline bool) error {
	if err := s.load(cmd, nil, false); err != nil {
		return err
	}
	if err := s.mine("get " + strings.Join(args, " ")); err != nil {
		return err
	}
	e, err := s.config.Secret(args...)
	if err != nil {
		return err
	}
	value, err := s.resolve(cmd.Context(), e, true)
	if err != nil {
		return explainSecret(err)
	}
	text := value.Reveal()
	if newline || s.io.OutTTY {
		text += "\n"
	}
	_, err = io.WriteString(s.io.Out, text)
	return err
}

// errNotAsked says that a value could only be had by asking somebody.
var errNotAsked = errors.New("nobody was asked to open the vault")

// mine refuses to do something with another user's secrets: root must not open what that
// user may lead elsewhere.
func (s *session) mine(what string) error {
	if s.io.EUID == s.config.UID {
		return nil
	}
	err := bootstrap.Exit(bootstrap.ExitPermission, fmt.Errorf("the secrets are those of %s", s.config.User))
	return bootstrap.Hint(err, "run it as that user: sudo -u %s -H movein secret %s", s.config.User, what)
}

// resolve is the value that an entry of the map stands for: of the vault, if a run has that
// open now; else the Secret Service's, if that has it and is open; else the vault's, for
// which somebody may be asked if ask is set. errNotAsked if it is not.
func (s *session) resolve(ctx context.Context, e steps.SecretEntry, ask bool) (kdbx.Secret, error) {
	ref := secret.Ref{Service: e.Service, Key: e.Key, Entry: e.Entry, Field: e.Field}
	if s.opened != nil {
		return secret.Lookup(s.opened, ref)
	}
	a, asked := s.askOpen(ctx, secret.Question{Ref: &ref})
	if asked == nil {
		defer clear(a.Value)
		return kdbx.NewSecret(string(a.Value)), nil
	} else if errors.Is(asked, kdbx.ErrAmbiguous) {
		return kdbx.Secret{}, asked
	}
	var there error // why the Secret Service has it not
	if e.Service != "" && (e.Field == "" || e.Field == "Password") {
		value, err := keyring.Lookup(ctx, s.keyringUser(), map[string]string{"service": e.Service, "key": e.Key})
		if err == nil || ctx.Err() != nil || errors.Is(err, keyring.ErrWrongItem) || errors.Is(err, keyring.ErrAmbiguous) {
			return value, err
		}
		there = err
	}
	switch {
	case errors.Is(asked, kdbx.ErrNotFound), errors.Is(asked, secret.ErrNotYet), errors.Is(asked, kdbx.ErrWrongKey): // the vault is open, and has it not
		return kdbx.Secret{}, asked
	case s.secrets.without && there != nil:
		return kdbx.Secret{}, fmt.Errorf("%w; %w", secret.ErrLater, there)
	case s.secrets.without:
		return kdbx.Secret{}, secret.ErrLater
	case s.secrets.vault == "none" && there != nil:
		return kdbx.Secret{}, there
	case s.secrets.vault == "none":
		return kdbx.Secret{}, fmt.Errorf("%w: this value is in a vault only", secret.ErrNoVault)
	case !ask:
		return kdbx.Secret{}, errNotAsked
	}
	from, err := s.opener()(ctx)
	if errors.Is(err, secret.ErrNoVault) && s.secrets.vault == "" && there != nil && !errors.Is(there, keyring.ErrNoBus) && !errors.Is(there, keyring.ErrNoService) {
		return kdbx.Secret{}, there // who has no vault has a keyring
	}
	if err != nil {
		return kdbx.Secret{}, err
	}
	a, err = from(ctx, secret.Question{Ref: &ref})
	defer clear(a.Value)
	return kdbx.NewSecret(string(a.Value)), err
}

// askOpen asks the vault that is open, unless the user has named another one this time.
func (s *session) askOpen(ctx context.Context, q secret.Question) (secret.Answer, error) {
	dirs := s.io.agentDirs()
	if own := s.runDir(); !slices.Contains(dirs, own) { // of this run, where there is no runtime directory
		dirs = append(dirs, own)
	}
	if _, later := s.comesLater(); s.layer("vault") < 2 && s.secrets.vault != "none" && !later {
		found, err := s.place().Find(ctx)
		if err != nil {
			return secret.Answer{}, err
		}
		q.Vault = found.File
	}
	return secret.Ask(ctx, dirs, q)
}

// opener is the way to open the vault.
func (s *session) opener() func(context.Context) (secret.Source, error) {
	if s.keeps() {
		return s.unlockKept
	}
	return func(ctx context.Context) (secret.Source, error) {
		v, err := s.unlock(ctx)
		return secret.OfVault(s.vaultFile, v), err
	}
}
