package kdbx

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"

	"golang.org/x/crypto/chacha20"
	"golang.org/x/crypto/salsa20/salsa" //nolint:staticcheck // the package above it cannot go on where it stopped
)

// The fields of KDBX 4's inner header (https://keepass.info/help/kb/kdbx.html#ihdr), and
// the streams for protected values (InnerRandomStreamID, also in KDBX 3's header).
const (
	innerEnd       = 0
	innerStream    = 1
	innerStreamKey = 2
	innerBinary    = 3

	streamSalsa20  = 2
	streamChaCha20 = 3
)

// vault reads the content: decompresses it, and reads the inner header and the document.
func (h *header) vault(content io.Reader, size int64) (*Vault, error) {
	doc := &document{header: h, vault: &Vault{version: fmt.Sprintf("%d.%d", h.major, h.minor)}, binaries: map[string][]byte{}, limit: size}
	if h.compressed {
		z, err := gzip.NewReader(content)
		if err != nil {
			return nil, damaged("decompressing: %v", err)
		}
		content = z
	}
	content = &limited{content, size}
	id, key := h.field[fieldStream], h.field[fieldStreamKey]
	if h.major == 4 {
		var err error
		if id, key, err = doc.readInner(content); err != nil {
			return nil, err
		}
	}
	var err error
	if doc.stream, err = newStream(id, key); err != nil {
		return nil, err
	}
	if err := doc.read(content); err != nil {
		return nil, err
	}
	return doc.vault, nil
}

// readInner reads the inner header: the stream for protected values, and the attachments.
func (d *document) readInner(r io.Reader) (stream, key []byte, err error) {
	for {
		var start [5]byte
		if _, err := io.ReadFull(r, start[:]); err != nil {
			return nil, nil, reading("the inner header", err)
		}
		n := int64(binary.LittleEndian.Uint32(start[1:]))
		var value bytes.Buffer
		if _, err := io.CopyN(&value, r, n); err != nil {
			return nil, nil, reading("the inner header", err)
		}
		switch start[0] {
		case innerEnd:
			return stream, key, nil
		case innerStream:
			stream = value.Bytes()
		case innerStreamKey:
			key = value.Bytes()
		case innerBinary: // a byte of flags goes first
			if n < 1 {
				return nil, nil, damaged("an attachment without its flags")
			}
			d.binaries[strconv.Itoa(len(d.binaries))] = value.Bytes()[1:]
		}
	}
}

// reading is what is wrong when err came up while the content was read. The text of other
// packages' errors is left out: they quote what they could not read.
func reading(what string, err error) error {
	switch {
	case errors.Is(err, ErrTooLarge), errors.Is(err, ErrCorrupt):
		return err
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return fmt.Errorf("%w, in %s", ErrTruncated, what)
	case errors.Is(err, gzip.ErrChecksum):
		return damaged("the checksum of the compressed content does not match")
	}
	return damaged("%s cannot be read", what)
}

// limited reads at most left bytes; more is an error.
type limited struct {
	r    io.Reader
	left int64
}

func (l *limited) Read(p []byte) (int, error) {
	if int64(len(p)) > l.left+1 {
		p = p[:l.left+1]
	}
	n, err := l.r.Read(p)
	if l.left -= int64(n); l.left < 0 {
		l.left = 0
		return 0, ErrTooLarge
	}
	return n, err
}

// A stream decrypts protected values, one after the other as they are in the document.
type stream interface{ XORKeyStream(dst, src []byte) }

func newStream(id, key []byte) (stream, error) {
	if len(id) != 4 {
		return nil, damaged("no stream for protected values")
	}
	switch n := binary.LittleEndian.Uint32(id); n {
	case streamSalsa20:
		return &salsa20{key: sha256.Sum256(key)}, nil
	case streamChaCha20:
		sum := sha512.Sum512(key)
		return chacha20.NewUnauthenticatedCipher(sum[:32], sum[32:44])
	default:
		return nil, fmt.Errorf("%w: stream %d for protected values", ErrUnsupported, n)
	}
}

// salsa20 is the stream of KDBX 3. The one of x/crypto begins anew with each call.
type salsa20 struct {
	key     [32]byte
	counter uint64 // of the next block
	block   [64]byte
	rest    []byte // what is not yet used of block
}

// salsa20Nonce is KeePass's (https://keepass.info/help/kb/kdbx.html#irs).
var salsa20Nonce = [8]byte{0xe8, 0x30, 0x09, 0x4b, 0x97, 0x20, 0x5d, 0x2a}

func (s *salsa20) XORKeyStream(dst, src []byte) {
	for i := range src {
		if len(s.rest) == 0 {
			var in [16]byte
			copy(in[:], salsa20Nonce[:])
			binary.LittleEndian.PutUint64(in[8:], s.counter)
			s.counter++
			s.block = [64]byte{}
			salsa.XORKeyStream(s.block[:], s.block[:], &in, &s.key)
			s.rest = s.block[:]
		}
		dst[i] = src[i] ^ s.rest[0]
		s.rest = s.rest[1:]
	}
}
