// Package minisign checks signatures that minisign made, and makes such. It only computes.
//
// The format: https://jedisct1.github.io/minisign/#signature-format
package minisign

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/blake2b"
)

// Key is a public key.
type Key struct {
	id  [8]byte
	key ed25519.PublicKey
}

// ParseKey reads a public key: its line of base64, or the file of two lines with that.
func ParseKey(text string) (Key, error) {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	data, err := base64.StdEncoding.DecodeString(strings.TrimSpace(lines[len(lines)-1]))
	if err != nil || len(lines) > 2 || len(data) != 2+8+ed25519.PublicKeySize || string(data[:2]) != "Ed" {
		return Key{}, errors.New("it is no public key of minisign")
	}
	return Key{[8]byte(data[2:10]), data[10:]}, nil
}

// Verify returns nil only if signature, the content of a .minisig file, is the key's, of the message.
func (k Key) Verify(message, signature []byte) error {
	lines := strings.Split(strings.TrimRight(string(signature), "\n"), "\n")
	if len(lines) != 4 {
		return errors.New("it is no signature of minisign")
	}
	sig, err := base64.StdEncoding.Strict().DecodeString(strings.TrimRight(lines[1], "\r"))
	global, gerr := base64.StdEncoding.Strict().DecodeString(strings.TrimRight(lines[3], "\r"))
	trusted, ok := strings.CutPrefix(strings.TrimRight(lines[2], "\r"), "trusted comment: ")
	if err != nil || gerr != nil || !ok || len(sig) != 2+8+ed25519.SignatureSize || len(global) != ed25519.SignatureSize {
		return errors.New("it is no signature of minisign")
	}
	if !bytes.Equal(sig[2:10], k.id[:]) {
		return fmt.Errorf("it is of another key, %s, and not of %s", shown(sig[2:10]), k.ID())
	}
	switch string(sig[:2]) {
	case "ED": // of the message's digest
		digest := blake2b.Sum512(message)
		message = digest[:]
	case "Ed":
	default:
		return errors.New("it is of a kind that is not known")
	}
	if !ed25519.Verify(k.key, message, sig[10:]) {
		return errors.New("it is not of this content")
	}
	if !ed25519.Verify(k.key, append(sig[10:], trusted...), global) {
		return errors.New("its comment is not its own")
	}
	return nil
}

// ID is the key's id as minisign shows it.
func (k Key) ID() string { return shown(k.id[:]) }

// shown is a key's id as minisign shows it: a number, without zeroes before it.
func shown(id []byte) string { return fmt.Sprintf("%X", binary.LittleEndian.Uint64(id)) }
