package cli

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"movein/bootstrap"
	"movein/bootstrap/host/kdbx"
	"movein/bootstrap/host/secret"
)

// When root acts for a user, the vault is opened by that user's half: it looks for the
// vault, reads password files, runs password commands and asks the keyring, all as the user.
// What only root has, its terminal, standard input and other open files, root gives on
// over the pipe between the two, before the half's hello.

// vaultOrders are the settings of the vault.
type vaultOrders struct {
	Vault      string `json:"vault,omitempty"`
	SHA256     string `json:"sha256,omitempty"`
	KeyFile    string `json:"key_file,omitempty"`
	NoPassword bool   `json:"no_password,omitempty"`
	File       string `json:"file,omitempty"`
	Command    string `json:"command,omitempty"`
	Wanted     bool   `json:"wanted,omitempty"` // the user has said, this time, how it is opened
	Resumed    bool   `json:"resumed,omitempty"`
}

// said is a line of the user's half.
type said struct {
	Ask   *string          `json:"ask,omitempty"`   // for a password, with this prompt
	Tell  *bootstrap.Event `json:"tell,omitempty"`  // to the user
	Vault *string          `json:"vault,omitempty"` // how it ended: Summary.Secrets
}

// given is root's answer to a question.
type given struct {
	Password string `json:"password,omitempty"`
	There    bool   `json:"there,omitempty"`
	Later    bool   `json:"later,omitempty"`
	Error    string `json:"error,omitempty"`
}

// vaultOrders are what the user's half is told.
func (s *session) vaultOrders() *vaultOrders {
	x, src := s.secrets, s.sources("")
	o := &vaultOrders{Vault: x.vault, SHA256: x.sha256, KeyFile: x.keyFile, NoPassword: x.noPassword, Wanted: s.wantsVault(), Resumed: s.resumed}
	switch {
	case src.FD != "" || isOpenFile(src.File):
	case src.File != "":
		o.File = src.File // the half is in the same directory
	default:
		o.Command = src.Command
	}
	return o
}

// isOpenFile reports whether a name stands for a file that this process has open.
func isOpenFile(name string) bool {
	return name == "-" || name == "/dev/stdin" || strings.HasPrefix(name, "/dev/fd/") || strings.HasPrefix(name, "/proc/self/fd/")
}

// helpOpen gives the user's half, which opens the vault, what only this half has, until it
// is done with that. rest is what it says from then on.
func (s *session) helpOpen(ctx context.Context, in io.Writer, out io.Reader, sink bootstrap.Sink) (rest io.Reader, err error) {
	src := s.sources(cmp.Or(s.secrets.vault, "the vault"))
	src.Command, src.Keyring, src.Asking = "", nil, sync.OnceFunc(src.Asking)
	if s.vaultFor.File != "" || s.vaultFor.Command != "" {
		src.File, src.CredentialsDir = "", ""
	}
	lines := bufio.NewReader(out)
	for {
		line, err := lines.ReadBytes('\n')
		var it said
		if err != nil || json.Unmarshal(line, &it) != nil || it == (said{}) { // it ended; it says why
			return io.MultiReader(bytes.NewReader(line), lines), nil
		}
		switch {
		case it.Tell != nil:
			sink(*it.Tell)
		case it.Vault != nil:
			s.secretsAre = *it.Vault
			return lines, nil
		case it.Ask != nil:
			pw, there, err := src.Give(ctx, *it.Ask)
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			g := given{Password: pw.Reveal(), There: there, Later: errors.Is(err, secret.ErrLater)}
			if err != nil {
				g.Error = err.Error()
			}
			if err := writeLine(in, g); err != nil {
				return nil, err
			}
		}
	}
}

// writeLine writes one JSON object, and leaves no copy of it.
func writeLine(w io.Writer, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	defer clear(data)
	_, err = w.Write(append(data, '\n'))
	return err
}

// openHelped is openVault in the user's half. lock ends what it began.
func (s *session) openHelped(ctx context.Context, o vaultOrders, in *bufio.Reader, out io.Writer) (lock func(), err error) {
	s.secrets = secrecy{vault: o.Vault, sha256: o.SHA256, keyFile: o.KeyFile, noPassword: o.NoPassword, file: o.File, command: o.Command, acceptNew: s.secrets.acceptNew}
	s.wanted, s.resumed = o.Wanted, o.Resumed
	defer func() { s.other, s.tells = nil, nil }() // from here on the pipe is the steps'
	s.other = func(_ context.Context, prompt string) (pw kdbx.Secret, there bool, err error) {
		if err := writeLine(out, said{Ask: &prompt}); err != nil {
			return pw, false, err
		}
		line, err := in.ReadBytes('\n')
		if err != nil {
			return pw, false, fmt.Errorf("waiting for the master password: %w", err)
		}
		defer clear(line)
		var g given
		if err := json.Unmarshal(line, &g); err != nil {
			return pw, false, fmt.Errorf("waiting for the master password: %w", err)
		}
		switch {
		case g.Later:
			return pw, true, secret.ErrLater
		case g.Error != "":
			return pw, true, fmt.Errorf("%w%s", secret.ErrSource, strings.TrimPrefix(g.Error, secret.ErrSource.Error()))
		}
		return kdbx.NewSecret(g.Password), g.There, nil
	}
	secrets, lock, err := s.openVault(ctx, func(e bootstrap.Event) {
		writeLine(out, said{Tell: &e}) //nolint:errcheck // who is gone ends the input too
	})
	if err == nil {
		err = writeLine(out, said{Vault: &secrets})
	}
	if err != nil {
		lock()
		return nil, err
	}
	return lock, nil
}
