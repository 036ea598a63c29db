package keyring

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/zalando/go-keyring"

	"movein/bootstrap/host/kdbx"
)

// ownService is the attribute "service" of our own entries; "username" is the vault's name.
const ownService = "movein"

// storing is how long storing may take, after the keyring was found open.
const storing = 5 * time.Second

// ErrCircular says that a vault's password would be kept in that vault.
var ErrCircular = errors.New("the keyring is KeePassXC: what opens the vault would be in the vault")

// Password returns the vault's master password, if it was remembered.
func Password(ctx context.Context, u User, vault string) (kdbx.Secret, error) {
	return Lookup(ctx, u, map[string]string{"service": ownService, "username": vault})
}

// Remember keeps a vault's master password in the keyring of the user that this process is.
// It is refused, with the errors of Open and Lookup, unless the keyring is there and open.
func Remember(ctx context.Context, u User, vault string, password kdbx.Secret) error {
	return change(ctx, u, true, func() error { return keyring.Set(ownService, vault, password.Reveal()) })
}

// Forget removes a vault's master password from the keyring; that there is none is no error.
func Forget(ctx context.Context, u User, vault string) error {
	return change(ctx, u, false, func() error {
		if err := keyring.Delete(ownService, vault); !errors.Is(err, keyring.ErrNotFound) {
			return err
		}
		return nil
	})
}

// change calls a function of go-keyring, which would start a bus, ask somebody, and wait for
// ever, but not after it was seen that a keyring is there and open.
func change(ctx context.Context, u User, into bool, do func() error) error {
	if os.Geteuid() != u.UID {
		return fmt.Errorf("only user %d can change their keyring", u.UID)
	}
	s, err := Open(ctx, u)
	if err != nil {
		return err
	}
	defer s.Close()
	if into && s.Provider.KeePassXC() {
		return ErrCircular
	}
	if err := s.writable(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- do() }()
	select {
	case err := <-ended:
		if err != nil {
			return fmt.Errorf("changing the keyring: %w", err)
		}
		return nil
	case <-time.After(storing):
		return fmt.Errorf("changing the keyring: %w within %s: %s", ErrSilent, storing, s.Provider)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// writable reports whether the keyring that go-keyring writes to, "login" or else the
// default one, is there and open.
func (s *Service) writable() error {
	unlocked, _, err := s.open()
	if err != nil {
		return err
	}
	login := root + "/collection/login"
	for _, c := range unlocked {
		if c == login {
			return nil
		}
	}
	var locked bool
	if err := s.get(login, collection+"Locked", &locked); err == nil && locked {
		return fmt.Errorf("%w: %s", ErrLocked, s.Provider)
	}
	if err := s.get(root+"/aliases/default", collection+"Locked", &locked); err != nil {
		return s.explain("looking for the default keyring", err)
	} else if locked {
		return fmt.Errorf("%w: %s", ErrLocked, s.Provider)
	}
	return nil
}
