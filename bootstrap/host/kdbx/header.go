package kdbx

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
)

// The signatures of https://keepass.info/help/kb/kdbx.html#ohdr; the second one tells
// KeePass 1 (KDB) and KeePass 2 before its release from KDBX.
const (
	signature1    = 0x9aa2d903
	signatureKDB  = 0xb54bfb65
	signaturePre  = 0xb54bfb66
	signatureKDBX = 0xb54bfb67
)

// The fields of the header that are read. 5 to 10 are of KDBX 3 only, 11 of 4 only.
const (
	fieldEnd         = 0
	fieldCipher      = 2
	fieldCompression = 3
	fieldSeed        = 4
	fieldKDFSeed     = 5
	fieldKDFRounds   = 6
	fieldIV          = 7
	fieldStreamKey   = 8
	fieldStart       = 9
	fieldStream      = 10
	fieldKDF         = 11
)

// A header is what stands in clear at the beginning of a vault.
type header struct {
	major, minor uint16
	raw          []byte // all of it, as it is hashed
	field        [fieldKDF + 1][]byte
	kdf          dictionary // of KDBX 4
	cipher       cipherMode
	compressed   bool
}

// A reader reads a part of the vault that is in memory. Nothing is read beyond its end.
type reader struct {
	b  []byte
	at int
}

// take returns the next n bytes.
func (r *reader) take(n uint64) ([]byte, error) {
	if n > uint64(len(r.b)-r.at) {
		return nil, fmt.Errorf("%w, at byte %d", ErrTruncated, len(r.b))
	}
	b := r.b[r.at : r.at+int(n) : r.at+int(n)]
	r.at += int(n)
	return b, nil
}

// number returns the next number of size bytes, 1, 2, 4 or 8; all are little-endian.
func (r *reader) number(size int) (uint64, error) {
	b, err := r.take(uint64(size))
	if err != nil {
		return 0, err
	}
	var full [8]byte
	copy(full[:], b)
	return binary.LittleEndian.Uint64(full[:]), nil
}

// readHeader reads the header and checks that everything it says is known; r is
// then at the first byte after it.
func readHeader(r *reader) (*header, error) {
	h := &header{}
	if err := h.readSignature(r); err != nil {
		return nil, err
	}
	size := 2 // of a field's length
	if h.major == 4 {
		size = 4
	}
	for {
		id, err := r.number(1)
		if err != nil {
			return nil, err
		}
		n, err := r.number(size)
		if err != nil {
			return nil, err
		}
		value, err := r.take(n)
		if err != nil {
			return nil, err
		}
		if id == fieldEnd {
			h.raw = r.b[:r.at]
			return h, h.check()
		}
		if id < uint64(len(h.field)) {
			if h.field[id] != nil {
				return nil, damaged("field %d is twice in the header", id)
			}
			h.field[id] = value
		}
	}
}

// readSignature reads the twelve bytes with which every vault begins.
func (h *header) readSignature(r *reader) error {
	start := binary.LittleEndian.AppendUint32(nil, signature1)
	if len(r.b) == 0 || !bytes.HasPrefix(r.b, start[:min(4, len(r.b))]) {
		return ErrNotVault
	}
	if _, err := r.take(4); err != nil {
		return err
	}
	kind, err := r.number(4)
	if err != nil {
		return err
	}
	switch kind {
	case signatureKDBX:
	case signatureKDB, signaturePre:
		return fmt.Errorf("%w: KeePass 1", ErrVersion)
	default:
		return ErrNotVault
	}
	minor, err := r.number(2)
	if err != nil {
		return err
	}
	major, err := r.number(2)
	if err != nil {
		return err
	}
	h.major, h.minor = uint16(major), uint16(minor)
	if major != 3 && major != 4 {
		return fmt.Errorf("%w: KDBX %d.%d", ErrVersion, major, minor)
	}
	return nil
}

// check looks at everything that does not need the key.
func (h *header) check() (err error) {
	sizes := map[int]int{fieldSeed: 32}
	if h.major == 3 {
		sizes[fieldKDFSeed], sizes[fieldKDFRounds], sizes[fieldStart], sizes[fieldStream] = 32, 8, 32, 4
		sizes[fieldStreamKey] = len(h.field[fieldStreamKey]) // any
		if sizes[fieldStreamKey] == 0 {
			return damaged("the header has no key for protected values")
		}
	}
	for id, size := range sizes {
		if len(h.field[id]) != size {
			return damaged("header field %d has %d bytes, not %d", id, len(h.field[id]), size)
		}
	}
	if h.cipher, err = cipherOf(h.field[fieldCipher]); err != nil {
		return err
	}
	if len(h.field[fieldIV]) != h.cipher.iv {
		return damaged("the header's IV has %d bytes, not %d", len(h.field[fieldIV]), h.cipher.iv)
	}
	switch c := h.field[fieldCompression]; {
	case bytes.Equal(c, []byte{1, 0, 0, 0}):
		h.compressed = true
	case !bytes.Equal(c, []byte{0, 0, 0, 0}):
		return fmt.Errorf("%w: compression %x", ErrUnsupported, c)
	}
	if h.major == 4 {
		h.kdf, err = readDictionary(h.field[fieldKDF])
	}
	return err
}

// checkHash compares the header with its SHA-256, which follows it in KDBX 4. It finds
// accidents before they cost anything; who changes a header on purpose changes the hash too.
func (h *header) checkHash(r *reader) error {
	want, err := r.take(sha256.Size)
	if err != nil {
		return err
	}
	if sum := sha256.Sum256(h.raw); !bytes.Equal(sum[:], want) {
		return damaged("the header's hash does not match")
	}
	return nil
}

// A dictionary is KeePass's "VariantDictionary"
// (https://keepass.info/help/kb/kdbx.html#vardict); its values begin with their type.
type dictionary map[string][]byte

// The types of values that are read.
const (
	typeUint32 = 0x04
	typeUint64 = 0x05
	typeBytes  = 0x42
)

func readDictionary(b []byte) (dictionary, error) {
	r := &reader{b: b}
	version, err := r.number(2)
	if err != nil {
		return nil, damaged("the header has no key derivation parameters")
	}
	if version>>8 != 1 {
		return nil, fmt.Errorf("%w: dictionary version %#x", ErrUnsupported, version)
	}
	d := dictionary{}
	for {
		kind, err := r.number(1)
		if err == nil && kind == 0 {
			return d, nil
		}
		var pair [2][]byte
		for i := range pair {
			n, err := r.number(4)
			if err == nil {
				pair[i], err = r.take(n)
			}
			if err != nil {
				return nil, damaged("the header's key derivation parameters end too early")
			}
		}
		d[string(pair[0])] = append([]byte{byte(kind)}, pair[1]...)
	}
}

// bytes is the value of name if it is bytes, else nil.
func (d dictionary) bytes(name string) []byte {
	if v := d[name]; len(v) > 1 && v[0] == typeBytes {
		return v[1:]
	}
	return nil
}

// number is the value of name if it is an unsigned number.
func (d dictionary) number(name string) (n uint64, err error) {
	switch v := d[name]; {
	case len(v) == 5 && v[0] == typeUint32:
		return uint64(binary.LittleEndian.Uint32(v[1:])), nil
	case len(v) == 9 && v[0] == typeUint64:
		return binary.LittleEndian.Uint64(v[1:]), nil
	}
	return 0, damaged("the key derivation has no parameter %s", name)
}

// uuid is how identifiers of ciphers and key derivations are written in this package.
func uuid(b []byte) string { return hex.EncodeToString(b) }
