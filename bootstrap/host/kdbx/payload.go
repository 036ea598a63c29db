package kdbx

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/binary"
	"fmt"
	"math"

	"golang.org/x/crypto/chacha20"
	"golang.org/x/crypto/twofish" //nolint:staticcheck // vaults made with it have to be read
)

// A cipherMode is a cipher of https://keepass.info/help/kb/kdbx.html#ohdr (the block
// ciphers in CBC mode with PKCS #7 padding).
type cipherMode struct {
	iv    int                                // length of the IV or nonce
	block func([]byte) (cipher.Block, error) // nil for ChaCha20
}

func cipherOf(id []byte) (cipherMode, error) {
	switch uuid(id) {
	case "31c1f2e6bf714350be5805216afc5aff":
		return cipherMode{aes.BlockSize, aes.NewCipher}, nil
	case "ad68f29f576f4bb9a36ad47af965346c":
		return cipherMode{twofish.BlockSize, func(key []byte) (cipher.Block, error) { return twofish.NewCipher(key) }}, nil
	case "d6038a2b8b6f4cb5a524339a31dbb59a":
		return cipherMode{chacha20.NonceSize, nil}, nil
	}
	return cipherMode{}, fmt.Errorf("%w: cipher %.40x", ErrUnsupported, id)
}

// decrypt decrypts b in its place; padding stays.
func (m cipherMode) decrypt(b, key, iv []byte) error {
	if m.block == nil {
		c, err := chacha20.NewUnauthenticatedCipher(key, iv)
		if err == nil {
			c.XORKeyStream(b, b)
		}
		return err
	}
	block, err := m.block(key)
	if err != nil {
		return err
	}
	if len(b) == 0 || len(b)%m.iv != 0 {
		return fmt.Errorf("%w, in the middle of a cipher block", ErrTruncated)
	}
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(b, b)
	return nil
}

// unpad returns b without its padding.
func (m cipherMode) unpad(b []byte) ([]byte, error) {
	if m.block == nil {
		return b, nil
	}
	n := int(b[len(b)-1])
	if n < 1 || n > m.iv || !bytes.Equal(b[len(b)-n:], bytes.Repeat([]byte{byte(n)}, n)) {
		return nil, damaged("the padding is wrong")
	}
	return b[:len(b)-n], nil
}

// content decrypts what follows the header, which r is behind, after checking it.
// What it returns may still be compressed.
func (h *header) content(r *reader, derived []byte) ([]byte, error) {
	master := sha256.New()
	master.Write(h.field[fieldSeed])
	master.Write(derived)
	key := master.Sum(nil)
	defer clear(key)
	if h.major == 3 {
		return h.content3(r, key)
	}
	b, err := h.authenticated(r, derived)
	if err != nil {
		return nil, err
	}
	if err := h.cipher.decrypt(b, key, h.field[fieldIV]); err != nil {
		return nil, err
	}
	return h.cipher.unpad(b)
}

// authenticated returns the encrypted content of KDBX 4, all blocks in one, after checking
// the HMACs of the header and of every block (https://keepass.info/help/kb/kdbx.html#hmacbs).
func (h *header) authenticated(r *reader, derived []byte) ([]byte, error) {
	secret := sha512.New()
	secret.Write(h.field[fieldSeed])
	secret.Write(derived)
	secret.Write([]byte{1})
	base := secret.Sum(nil)
	defer clear(base)
	sum, err := r.take(sha256.Size)
	if err != nil {
		return nil, err
	}
	if !authentic(base, math.MaxUint64, sum, h.raw) {
		return nil, ErrWrongKey
	}
	all := make([]byte, 0, len(r.b)-r.at)
	for i := uint64(0); ; i++ {
		sum, err := r.take(sha256.Size)
		if err != nil {
			return nil, err
		}
		size, err := r.take(4)
		if err != nil {
			return nil, err
		}
		block, err := r.take(uint64(binary.LittleEndian.Uint32(size)))
		if err != nil {
			return nil, err
		}
		if !authentic(base, i, sum, binary.LittleEndian.AppendUint64(nil, i), size, block) {
			return nil, damaged("the HMAC of block %d does not match", i)
		}
		if len(block) == 0 {
			return all, nil
		}
		all = append(all, block...)
	}
}

// authentic reports whether sum is the HMAC of parts with the key of block i; that of
// the header has the highest number as i.
func authentic(base []byte, i uint64, sum []byte, parts ...[]byte) bool {
	key := sha512.New()
	key.Write(binary.LittleEndian.AppendUint64(nil, i))
	key.Write(base)
	mac := hmac.New(sha256.New, key.Sum(nil))
	for _, p := range parts {
		mac.Write(p)
	}
	return hmac.Equal(mac.Sum(nil), sum)
}

// content3 decrypts the content of KDBX 3: the 32 bytes that are also in the header, and
// blocks, each a number, a SHA-256, a length and so many bytes. They are all checked, but
// against accidents: that nobody without the key has changed them, KDBX 3 cannot tell.
// (Layout: KeePass 2.34's source, HashedBlockStream.cs; KeePassXC's HashedBlockStream.cpp.)
func (h *header) content3(r *reader, key []byte) ([]byte, error) {
	b := append([]byte{}, r.b[r.at:]...)
	if err := h.cipher.decrypt(b, key, h.field[fieldIV]); err != nil {
		return nil, err
	}
	if len(b) < len(h.field[fieldStart]) {
		return nil, fmt.Errorf("%w, before its first block", ErrTruncated)
	}
	if subtle.ConstantTimeCompare(b[:len(h.field[fieldStart])], h.field[fieldStart]) != 1 {
		return nil, fmt.Errorf("%w, or the vault is damaged", ErrWrongKey)
	}
	blocks := &reader{b: b, at: len(h.field[fieldStart])}
	all, err := hashed(blocks)
	if err != nil {
		return nil, err
	}
	if rest, err := h.cipher.unpad(b); err != nil || len(rest) != blocks.at {
		return nil, damaged("something follows the last block")
	}
	return all, nil
}

// hashed returns the content of the blocks, all in one.
func hashed(r *reader) ([]byte, error) {
	var all []byte
	for i := uint64(0); ; i++ {
		number, err := r.number(4)
		if err != nil {
			return nil, err
		}
		sum, err := r.take(sha256.Size)
		if err != nil {
			return nil, err
		}
		size, err := r.number(4)
		if err != nil {
			return nil, err
		}
		block, err := r.take(size)
		if err != nil {
			return nil, err
		}
		want := sha256.Sum256(block)
		if size == 0 { // the last one has no hash
			want = [sha256.Size]byte{}
		}
		if number != i || !bytes.Equal(sum, want[:]) {
			return nil, damaged("the hash of block %d does not match", i)
		}
		if size == 0 {
			return all, nil
		}
		all = append(all, block...)
	}
}
