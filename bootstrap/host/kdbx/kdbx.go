// Package kdbx reads KeePass vaults: KDBX 3.0, 3.1 and 4.x, as KeePass and KeePassXC
// write them. It never writes one. It does nothing but compute: no files, no network.
//
// What a vault says is believed only after it was checked. The header's hash is
// checked before the costly key derivation, whose cost has a limit; every block
// before it is decrypted (KDBX 4) or looked into (KDBX 3); and Open returns a
// vault only if all of it is in order. No error has anything secret in it.
//
// The formats: https://keepass.info/help/kb/kdbx.html (4.x),
// https://keepass.info/help/kb/kdbx_4.html (what 4 changed of 3.1),
// https://keepass.info/help/base/keys.html (keys and key files).
//
// Not supported: hardware keys (challenge and response). The file does not say that
// it needs one, so the error is ErrWrongKey.
package kdbx

import (
	"bytes"
	"context"
	"errors"
	"fmt"
)

// What can be wrong. Errors wrap one of these.
var (
	ErrNotVault    = errors.New("not a KeePass vault")
	ErrVersion     = errors.New("vault of a version that is not supported")
	ErrUnsupported = errors.New("vault with a cipher or key derivation that is not supported")
	ErrCorrupt     = errors.New("vault is damaged")
	// ErrTruncated is an ErrCorrupt too.
	ErrTruncated = fmt.Errorf("%w: it ends too early", ErrCorrupt)
	// ErrTooCostly says that the key derivation asks for more than the limits.
	ErrTooCostly = errors.New("unlocking the vault costs more than the limit")
	// ErrTooLarge says that the content is larger than the limit.
	ErrTooLarge = errors.New("vault is larger than the limit")
	ErrNoKey    = errors.New("neither a password nor a key file for the vault")
	ErrKeyFile  = errors.New("key file is damaged")
	ErrWrongKey = errors.New("wrong password or key file")
	// ErrNotFound and ErrAmbiguous are of lookups.
	ErrNotFound  = errors.New("not in the vault")
	ErrAmbiguous = errors.New("more than one entry of the vault")
	// ErrReference says that references between fields lead nowhere or in a circle.
	ErrReference = errors.New("reference to another entry cannot be resolved")
	// ErrTOTP says that an entry has no usable settings for one-time passwords.
	ErrTOTP = errors.New("no usable one-time password settings")
)

// Credentials open a vault. What is nil is not part of its key; an empty password that
// is not nil is. Open does not keep them.
type Credentials struct {
	Password []byte // UTF-8
	KeyFile  []byte // the content of the key file
}

// Limits bound what a vault, which may come from anywhere, can cost. Zero is the default.
type Limits struct {
	Memory uint64 // of Argon2, in bytes; 1 GiB
	Work   uint64 // of Argon2, bytes times passes; 64 GiB, about 20 s on one core with AVX2
	Rounds uint64 // of AES-KDF; 2^29, about 10 s
	Size   int64  // of the content when unpacked, in bytes; 512 MiB
}

func (l Limits) orDefault() Limits {
	if l.Memory == 0 {
		l.Memory = 1 << 30
	}
	if l.Work == 0 {
		l.Work = 64 << 30
	}
	if l.Rounds == 0 {
		l.Rounds = 1 << 29
	}
	if l.Size == 0 {
		l.Size = 512 << 20
	}
	return l
}

// Open unlocks the vault in file, which it leaves as it is. Ending ctx ends the
// key derivation.
func Open(ctx context.Context, file []byte, c Credentials, l Limits) (*Vault, error) {
	l = l.orDefault()
	r := &reader{b: file}
	h, err := readHeader(r)
	if err != nil {
		return nil, err
	}
	if h.major == 4 {
		if err := h.checkHash(r); err != nil {
			return nil, err
		}
	}
	derive, err := h.derivation(l)
	if err != nil {
		return nil, err
	}
	composite, err := c.composite()
	if err != nil {
		return nil, err
	}
	defer clear(composite)
	key, err := derive(ctx, composite)
	if err != nil {
		return nil, fmt.Errorf("deriving the vault's key: %w", err)
	}
	defer clear(key)
	content, err := h.content(r, key)
	if err != nil {
		if errors.Is(err, ErrWrongKey) {
			err = c.explain(err)
		}
		return nil, err
	}
	defer clear(content)
	return h.vault(bytes.NewReader(content), l.Size)
}

// explain adds to ErrWrongKey what the user may have forgotten; the file does not say
// what its key is made of.
func (c Credentials) explain(err error) error {
	switch {
	case c.KeyFile == nil:
		return fmt.Errorf("%w; no key file was given", err)
	case c.Password == nil:
		return fmt.Errorf("%w; no password was given", err)
	}
	return err
}

// damaged is ErrCorrupt with what was found.
func damaged(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrCorrupt}, args...)...)
}
