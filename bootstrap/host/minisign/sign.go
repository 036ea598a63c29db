package minisign

import (
	"crypto/ed25519"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"strings"

	"golang.org/x/crypto/blake2b"
)

// Comment is the first line of the signatures that are made here. Nothing signs it.
const Comment = "untrusted comment: signature of movein\n"

// SecretKey is a secret key.
type SecretKey struct {
	id  [8]byte
	key ed25519.PrivateKey
}

// ErrEncrypted says that a secret key is under a password.
var ErrEncrypted = errors.New("it is under a password")

// What a secret key has, once its base64 is decoded: algorithms, salt and limits of its
// password, id, key, checksum.
const (
	headSize   = 2 + 2 + 2 + 32 + 8 + 8
	secretSize = headSize + 8 + ed25519.PrivateKeySize + blake2b.Size256
)

// ParseSecretKey reads the file of two lines of a secret key without a password.
func ParseSecretKey(text string) (SecretKey, error) {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	data, err := base64.StdEncoding.DecodeString(strings.TrimSpace(lines[len(lines)-1]))
	if err != nil || len(lines) > 2 || len(data) != secretSize || string(data[:2]) != "Ed" || string(data[4:6]) != "B2" {
		return SecretKey{}, errors.New("it is no secret key of minisign")
	}
	if string(data[2:4]) == "Sc" {
		return SecretKey{}, ErrEncrypted
	}
	s := SecretKey{[8]byte(data[headSize:]), data[headSize+8 : secretSize-blake2b.Size256]}
	sum := blake2b.Sum256(append([]byte("Ed"), data[headSize:secretSize-blake2b.Size256]...))
	if checksum := data[secretSize-blake2b.Size256:]; strings.Trim(string(checksum), "\x00") != "" && subtle.ConstantTimeCompare(sum[:], checksum) != 1 {
		return SecretKey{}, errors.New("it is damaged: its checksum is another")
	}
	return s, nil
}

// Public is its public key.
func (s SecretKey) Public() Key { return Key{s.id, ed25519.PublicKey(s.key[ed25519.SeedSize:])} }

// Sign returns the content of a .minisig file of the message. The same message has the same one.
func (s SecretKey) Sign(message []byte, comment string) []byte {
	digest := blake2b.Sum512(message)
	sig := ed25519.Sign(s.key, digest[:])
	global := ed25519.Sign(s.key, append(sig, comment...))
	line := base64.StdEncoding.EncodeToString(append(append([]byte("ED"), s.id[:]...), sig...))
	return []byte(Comment + line + "\ntrusted comment: " + comment + "\n" + base64.StdEncoding.EncodeToString(global) + "\n")
}
