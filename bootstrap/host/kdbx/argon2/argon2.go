// Package argon2 derives keys with Argon2d and Argon2id as RFC 9106 defines them.
//
// golang.org/x/crypto/argon2 has no Argon2d, which is what KeePassXC uses unless
// told otherwise, takes neither a secret nor associated data, and cannot be
// interrupted. Its tests compare this package with it, and both with the RFC.
package argon2

import (
	"context"
	"encoding/binary"
	"errors"
	"hash"
	"math"

	"golang.org/x/crypto/blake2b"
)

// A Kind is a variant of Argon2; its number is that of RFC 9106, section 3.1.
type Kind uint32

// The variants that vaults use.
const (
	D  Kind = 0
	ID Kind = 2
)

// The versions: 1.3 is the one of RFC 9106, 1.0 is what there was before.
const (
	Version10 = 0x10
	Version13 = 0x13
)

// Params are the public parameters and what else goes into a key beside the password.
type Params struct {
	Kind    Kind
	Version uint32
	Time    uint32 // passes over the memory, at least 1
	Memory  uint32 // in KiB, at least 8 a lane
	Lanes   uint32 // at least 1, at most MaxLanes
	Salt    []byte
	Secret  []byte // may be nil
	Data    []byte // associated data, may be nil
}

// MaxLanes is RFC 9106's limit of the degree of parallelism.
const MaxLanes = 1<<24 - 1

// ErrParams says that the parameters are not those of Argon2.
var ErrParams = errors.New("wrong Argon2 parameters")

// ErrMemory says that the memory is not to be had.
var ErrMemory = errors.New("getting the memory for Argon2")

// KeySize is the length of a key in bytes.
const KeySize = 32

// Key derives the key of password. It takes p.Memory KiB of memory outside of
// Go's heap and gives it back; it looks at ctx four times a pass.
func Key(ctx context.Context, password []byte, p Params) ([]byte, error) {
	switch {
	case p.Kind != D && p.Kind != ID,
		p.Version != Version10 && p.Version != Version13,
		p.Time < 1, p.Lanes < 1, p.Lanes > MaxLanes, uint64(p.Memory) < 8*uint64(p.Lanes),
		len(password) > math.MaxInt32, len(p.Salt) > math.MaxInt32:
		return nil, ErrParams
	}
	segment := p.Memory / (slices * p.Lanes)
	memory, release, err := allocate(int(segment) * slices * int(p.Lanes))
	if err != nil {
		return nil, err
	}
	defer release()
	f := filler{Params: p, memory: memory, segment: segment, lane: segment * slices}
	h0 := p.h0(password)
	f.first(h0)
	clear(h0)
	if err := f.fill(ctx); err != nil {
		return nil, err
	}
	return f.key(), nil
}

// h0 is the hash of everything that goes in (section 3.2, H_0), with room for
// the two numbers of a first block.
func (p Params) h0(password []byte) []byte {
	h := newHash(blake2b.Size)
	word := func(n uint32) { _ = binary.Write(h, binary.LittleEndian, n) }
	for _, n := range []uint32{p.Lanes, KeySize, p.Memory, p.Time, p.Version, uint32(p.Kind)} {
		word(n)
	}
	for _, b := range [][]byte{password, p.Salt, p.Secret, p.Data} {
		word(uint32(len(b)))
		h.Write(b)
	}
	return h.Sum(make([]byte, 0, blake2b.Size+8))
}

// newHash is BLAKE2b with digests of size bytes, 1 to 64.
func newHash(size int) hash.Hash {
	h, err := blake2b.New(size, nil)
	if err != nil {
		panic(err) // only for a size that is never asked for
	}
	return h
}

// longHash fills out with the variable-length hash of in (section 3.3, H').
func longHash(out, in []byte) {
	h := newHash(min(len(out), blake2b.Size))
	_ = binary.Write(h, binary.LittleEndian, uint32(len(out)))
	h.Write(in)
	sum := h.Sum(nil)
	for len(out) > blake2b.Size {
		copy(out, sum[:blake2b.Size/2])
		out = out[blake2b.Size/2:]
		h = newHash(min(len(out), blake2b.Size))
		h.Write(sum)
		sum = h.Sum(sum[:0])
	}
	copy(out, sum)
}
