package keyring

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/godbus/dbus/v5"

	"movein/bootstrap/host/kdbx"
)

// Lookup returns the secret of the one entry that has all these attributes with exactly
// these values. It does not unlock anything.
func (s *Service) Lookup(attributes map[string]string) (kdbx.Secret, error) {
	i, err := s.find(attributes)
	if err != nil {
		return kdbx.Secret{}, err
	}
	return s.secret(i)
}

// find returns the one entry that has all these attributes with exactly these values.
//
// Each unlocked collection is searched by itself: a search of the whole service makes
// KeePassXC ask for the vaults that are locked. What is found is looked at again, because a
// protected attribute of KeePassXC's matches whatever is searched for.
func (s *Service) find(attributes map[string]string) (dbus.ObjectPath, error) {
	unlocked, locked, err := s.open()
	if err != nil {
		return "", err
	}
	var found, wrong []dbus.ObjectPath
	for _, c := range unlocked {
		var items []dbus.ObjectPath
		if err := s.call(s.conn.Object(s.owner, c), collection+"SearchItems", attributes).Store(&items); err != nil {
			return "", s.explain("searching the keyring", err)
		}
		for _, i := range items {
			if slices.Contains(found, i) || slices.Contains(wrong, i) {
				continue
			}
			ok, err := s.has(i, attributes)
			if err != nil {
				return "", err
			}
			if ok {
				found = append(found, i)
			} else {
				wrong = append(wrong, i)
			}
		}
	}
	names := strings.Join(slices.Sorted(maps.Keys(attributes)), ", ")
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return "", fmt.Errorf("%w with the attributes asked for (%s): %s", ErrAmbiguous, names, s.labels(found))
	case len(wrong) > 0:
		return "", fmt.Errorf("%w: %s; if it is KeePassXC, an attribute of the entry (%s) is protected: take that off", ErrWrongItem, s.labels(wrong), names)
	case locked > 0:
		return "", fmt.Errorf("%w: nothing is in those that are open, and %d of %s is not", ErrLocked, locked, s.Provider)
	}
	return "", fmt.Errorf("%w of %s: an entry with the attributes asked for (%s)", ErrNotFound, s.Provider, names)
}

// has reports whether an item has all the attributes, exactly.
func (s *Service) has(i dbus.ObjectPath, attributes map[string]string) (bool, error) {
	var got map[string]string
	if err := s.get(i, item+"Attributes", &got); err != nil {
		return false, s.explain("looking at an entry of the keyring", err)
	}
	for k, want := range attributes {
		if value, ok := got[k]; !ok || value != want {
			return false, nil
		}
	}
	return true, nil
}

// labels are the titles of items, for people.
func (s *Service) labels(items []dbus.ObjectPath) string {
	var all []string
	for _, i := range items {
		var label string
		if s.get(i, item+"Label", &label) != nil {
			label = string(i)
		}
		all = append(all, strconv.Quote(label))
	}
	return strings.Join(all, ", ")
}

// secret reads an item's secret. Over a unix socket of the user's own it needs no encryption.
func (s *Service) secret(i dbus.ObjectPath) (kdbx.Secret, error) {
	var locked bool
	if err := s.get(i, item+"Locked", &locked); err != nil {
		return kdbx.Secret{}, s.explain("looking at an entry of the keyring", err)
	}
	if locked {
		return kdbx.Secret{}, fmt.Errorf("%w: %s gives the entry only when somebody has allowed it", ErrLocked, s.Provider)
	}
	var output dbus.Variant
	var session dbus.ObjectPath
	if err := s.call(s.conn.Object(s.owner, root), service+"OpenSession", "plain", dbus.MakeVariant("")).Store(&output, &session); err != nil {
		return kdbx.Secret{}, s.explain("opening a session with the keyring", err)
	}
	var secret struct {
		Session     dbus.ObjectPath
		Parameters  []byte
		Value       []byte
		ContentType string
	}
	if err := s.call(s.conn.Object(s.owner, i), item+"GetSecret", session).Store(&secret); err != nil {
		return kdbx.Secret{}, s.explain("reading an entry of the keyring", err)
	}
	defer clear(secret.Value)
	return kdbx.NewSecret(string(secret.Value)), nil
}

// Lookup is Open and Service.Lookup.
func Lookup(ctx context.Context, u User, attributes map[string]string) (kdbx.Secret, error) {
	s, err := Open(ctx, u)
	if err != nil {
		return kdbx.Secret{}, err
	}
	defer s.Close()
	return s.Lookup(attributes)
}
