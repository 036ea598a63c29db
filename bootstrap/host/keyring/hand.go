package keyring

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/godbus/dbus/v5"

	"movein/bootstrap/host/kdbx"
)

// ErrKeePassXC says that a secret belongs into a vault by a person's hand.
var ErrKeePassXC = errors.New("the keyring is KeePassXC, whose vault is yours to write to")

// Store keeps a secret in the user's default keyring under these attributes, in place of an
// older one, if the keyring is there and open. What KeePassXC has not it is not given: ErrKeePassXC.
func Store(ctx context.Context, u User, label string, attributes map[string]string, value kdbx.Secret) error {
	s, err := Open(ctx, u)
	if err != nil {
		return err
	}
	defer s.Close()
	if s.Provider.KeePassXC() {
		return fmt.Errorf("%w: give an entry of it the attributes service and key, and its group to the Secret Service", ErrKeePassXC)
	}
	if err := s.writable(); err != nil {
		return err
	}
	var output dbus.Variant
	var session dbus.ObjectPath
	if err := s.call(s.conn.Object(s.owner, root), service+"OpenSession", "plain", dbus.MakeVariant("")).Store(&output, &session); err != nil {
		return s.explain("opening a session with the keyring", err)
	}
	secret := struct {
		Session           dbus.ObjectPath
		Parameters, Value []byte
		ContentType       string
	}{session, []byte{}, []byte(value.Reveal()), "text/plain"}
	defer clear(secret.Value)
	props := map[string]dbus.Variant{item + "Label": dbus.MakeVariant(label), item + "Attributes": dbus.MakeVariant(attributes)}
	var made, prompt dbus.ObjectPath
	if err := s.call(s.conn.Object(s.owner, root+"/aliases/default"), collection+"CreateItem", props, secret, true).Store(&made, &prompt); err != nil {
		return s.explain("storing in the keyring", err)
	}
	if prompt != "/" { // it would ask, and nobody may be there
		return fmt.Errorf("%w: %s wants to ask", ErrLocked, s.Provider)
	}
	return nil
}

// Holds reports whether the keyring has what Store stores. It does not look at the value if
// that is "", or KeePassXC's: that may ask somebody each time, and takes no other one anyway.
func Holds(ctx context.Context, u User, attributes map[string]string, value string) (bool, error) {
	s, err := Open(ctx, u)
	if err != nil {
		return false, err
	}
	defer s.Close()
	i, err := s.find(attributes)
	switch {
	case errors.Is(err, ErrNotFound):
		return false, nil
	case err != nil, value == "", s.Provider.KeePassXC():
		return err == nil, err
	}
	got, err := s.secret(i)
	return err == nil && got.Reveal() == value, err
}

// The user's systemd, on the same bus.
const (
	systemd     = "org.freedesktop.systemd1"
	systemdRoot = dbus.ObjectPath("/org/freedesktop/systemd1")
	manager     = "org.freedesktop.systemd1.Manager"
)

// onSystemd calls the user's systemd.
func onSystemd(ctx context.Context, u User, do func(s *Service, o dbus.BusObject) error) error {
	socket, err := u.address()
	if err != nil {
		return err
	}
	s := &Service{}
	s.ctx, s.cancel = context.WithTimeout(ctx, patience)
	defer s.Close()
	if err := s.connect(socket, u.UID); err != nil {
		return s.explain("connecting to the session bus", err)
	}
	if err := do(s, s.conn.Object(systemd, systemdRoot)); err != nil {
		return s.explain("asking the user's systemd", err)
	}
	return nil
}

// Variable is the value of a variable in the environment that the user's systemd gives to
// what it starts; ok: it is set.
func Variable(ctx context.Context, u User, name string) (value string, ok bool, err error) {
	err = onSystemd(ctx, u, func(s *Service, o dbus.BusObject) error {
		var v dbus.Variant
		var all []string
		if err := s.call(o, properties, manager, "Environment").Store(&v); err != nil {
			return err
		}
		if err := v.Store(&all); err != nil {
			return err
		}
		for _, kv := range all {
			if k, val, _ := strings.Cut(kv, "="); k == name {
				value, ok = val, true
			}
		}
		return nil
	})
	return value, ok, err
}

// SetVariable sets it, in no command line and no file.
func SetVariable(ctx context.Context, u User, name string, value kdbx.Secret) error {
	return onSystemd(ctx, u, func(s *Service, o dbus.BusObject) error {
		return s.call(o, manager+".SetEnvironment", []string{name + "=" + value.Reveal()}).Err
	})
}
