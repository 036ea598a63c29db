package secret

import (
	"cmp"
	"fmt"

	"movein/bootstrap/host/kdbx"
)

// A Ref says which value of the vault is meant.
type Ref struct {
	Service, Key string // the attributes of its entry; they are how the Secret Service knows it, too
	Entry        string // or its path or title, which says more
	Field        string // "": Password
}

// Lookup is the one value that is meant, in an unlocked vault.
func Lookup(v *kdbx.Vault, r Ref) (kdbx.Secret, error) {
	var e *kdbx.Entry
	var err error
	if r.Entry != "" {
		e, err = v.Lookup(r.Entry)
	} else {
		e, err = v.Find(map[string]string{"service": r.Service, "key": r.Key})
	}
	if err != nil && r.Entry == "" {
		err = fmt.Errorf("service %q, key %q: %w", r.Service, r.Key, err)
	}
	if err != nil {
		return kdbx.Secret{}, fmt.Errorf("looking for a secret: %w", err)
	}
	value, err := e.Field(cmp.Or(r.Field, "Password"))
	if err != nil {
		return kdbx.Secret{}, fmt.Errorf("looking for a secret: %w", err)
	}
	if value.Reveal() == "" {
		return kdbx.Secret{}, fmt.Errorf("looking for a secret: %w: field %q of entry %q is empty", kdbx.ErrNotFound, cmp.Or(r.Field, "Password"), e.Path())
	}
	return value, nil
}
