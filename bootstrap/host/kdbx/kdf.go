package kdbx

import (
	"context"
	"crypto/aes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"movein/bootstrap/host/kdbx/argon2"
)

// The key derivations and their parameters: https://keepass.info/help/kb/kdbx.html#kdf
// and, for the second AES-KDF that KeePassXC writes, its src/format/KeePass2.cpp.
const (
	kdfAES      = "c9d9f39a628a4460bf740d08c18a4fea"
	kdfAESKDBX4 = "7c02bb8279a74ac0927d114a00648238"
	kdfArgon2d  = "ef636ddf8c29444b91f7a9a403e30a0c"
	kdfArgon2id = "9e298b1956db4773b23dfc3ec6f0a1e6"
)

// A derivation makes a key of 32 bytes of the composite key.
type derivation func(ctx context.Context, composite []byte) ([]byte, error)

// derivation is what the header asks for, if the limits allow it.
func (h *header) derivation(l Limits) (derivation, error) {
	if h.major == 3 {
		return aesKDF(h.field[fieldKDFSeed], binary.LittleEndian.Uint64(h.field[fieldKDFRounds]), l)
	}
	switch id := uuid(h.kdf.bytes("$UUID")); id {
	case kdfAES, kdfAESKDBX4:
		rounds, err := h.kdf.number("R")
		if err != nil {
			return nil, err
		}
		return aesKDF(h.kdf.bytes("S"), rounds, l)
	case kdfArgon2d:
		return h.argon2(argon2.D, l)
	case kdfArgon2id:
		return h.argon2(argon2.ID, l)
	default:
		return nil, fmt.Errorf("%w: key derivation %s", ErrUnsupported, id)
	}
}

// argon2 is Argon2 with the header's parameters.
func (h *header) argon2(kind argon2.Kind, l Limits) (derivation, error) {
	var n [4]uint64
	for i, name := range []string{"V", "I", "M", "P"} {
		var err error
		if n[i], err = h.kdf.number(name); err != nil {
			return nil, err
		}
	}
	version, passes, memory, lanes := n[0], n[1], n[2], n[3]
	if version != argon2.Version10 && version != argon2.Version13 {
		return nil, fmt.Errorf("%w: Argon2 version %#x", ErrUnsupported, version)
	}
	if passes < 1 || lanes < 1 || lanes > argon2.MaxLanes || memory/1024 < 8*lanes {
		return nil, damaged("Argon2 with %d passes over %d bytes in %d lanes", passes, memory, lanes)
	}
	if memory > l.Memory || memory/1024 > math.MaxUint32 || passes > math.MaxUint32 || passes > l.Work/memory {
		return nil, fmt.Errorf("%w: Argon2 with %d passes over %d MiB; allowed are %d MiB and, of passes times MiB, %d",
			ErrTooCostly, passes, memory>>20, l.Memory>>20, l.Work>>20)
	}
	p := argon2.Params{Kind: kind, Version: uint32(version), Time: uint32(passes), Memory: uint32(memory / 1024), Lanes: uint32(lanes),
		Salt: h.kdf.bytes("S"), Secret: h.kdf.bytes("K"), Data: h.kdf.bytes("A")}
	return func(ctx context.Context, composite []byte) ([]byte, error) {
		key, err := argon2.Key(ctx, composite, p)
		if errors.Is(err, argon2.ErrMemory) {
			err = fmt.Errorf("%w: %w", ErrTooCostly, err)
		}
		return key, err
	}, nil
}

// aesKDF encrypts each half of the composite key rounds times and hashes the result.
func aesKDF(seed []byte, rounds uint64, l Limits) (derivation, error) {
	if rounds > l.Rounds {
		return nil, fmt.Errorf("%w: AES-KDF with %d rounds; allowed are %d", ErrTooCostly, rounds, l.Rounds)
	}
	if len(seed) != 32 {
		return nil, damaged("the seed of AES-KDF has %d bytes, not 32", len(seed))
	}
	block, err := aes.NewCipher(seed)
	if err != nil {
		return nil, damaged("the seed of AES-KDF: %v", err)
	}
	return func(ctx context.Context, composite []byte) ([]byte, error) {
		key := append([]byte{}, composite...)
		defer clear(key)
		// Both in one loop: they do not depend on each other, so the processor does them at once.
		left, right := key[:aes.BlockSize], key[aes.BlockSize:]
		for i := range rounds {
			if i%(1<<20) == 0 && ctx.Err() != nil {
				return nil, ctx.Err()
			}
			block.Encrypt(left, left)
			block.Encrypt(right, right)
		}
		sum := sha256.Sum256(key)
		return sum[:], nil
	}, nil
}
