package host

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// narMagic opens every NAR (Nix archive). The format is that of "Nix Archive
// (NAR) format" in the Nix manual, section Protocols.
const narMagic = "nix-archive-1"

// nixBase32 is Nix's base-32 alphabet: digits and letters without e, o, t and u.
const nixBase32 = "0123456789abcdfghijklmnpqrsvwxyz"

// NarHash returns the digest of the NAR serialisation of path, a regular file,
// directory or symlink, as "sha256:" + Base32, and the size of that
// serialisation in bytes. A symlink is serialised, never followed. Files are
// streamed, so memory does not grow with their size. Errors: those of package
// os, ctx's, and one for anything that is no file, directory or symlink, or
// that changes its size while it is read.
func NarHash(ctx context.Context, path string) (string, int64, error) {
	n := &narWriter{ctx: ctx, sum: sha256.New(), buf: make([]byte, 256<<10)}
	info, err := os.Lstat(path)
	if err == nil {
		n.str(narMagic)
		err = n.node(path, info.Mode().Type())
	}
	if err != nil {
		return "", 0, fmt.Errorf("hashing %s: %w", path, err)
	}
	n.flush()
	return "sha256:" + Base32(n.sum.Sum(nil)), n.size, nil
}

// narWriter writes a NAR into a hash.
type narWriter struct {
	ctx   context.Context
	sum   hash.Hash
	size  int64
	small []byte // tokens that were not yet given to sum
	buf   []byte // for file contents
}

// node writes the node for path, whose type bits are typ.
func (n *narWriter) node(path string, typ fs.FileMode) error {
	if err := n.ctx.Err(); err != nil {
		return err
	}
	switch typ {
	case 0:
		return n.regular(path)
	case fs.ModeDir:
		return n.directory(path)
	case fs.ModeSymlink:
		target, err := os.Readlink(path)
		if err != nil {
			return err
		}
		n.str("(", "type", "symlink", "target", target, ")")
		return nil
	}
	return fmt.Errorf("%s is neither a file nor a directory nor a symlink", path)
}

func (n *narWriter) directory(path string) error {
	entries, err := os.ReadDir(path) // sorted by bytes, as NAR wants it
	if err != nil {
		return err
	}
	n.str("(", "type", "directory")
	for _, e := range entries {
		n.str("entry", "(", "name", e.Name(), "node")
		if err := n.node(filepath.Join(path, e.Name()), e.Type()); err != nil {
			return err
		}
		n.str(")")
	}
	n.str(")")
	return nil
}

func (n *narWriter) regular(path string) error {
	// Non-blocking: what was a file a moment ago may be a fifo now.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s changed while it was read", path)
	}
	n.str("(", "type", "regular")
	if info.Mode()&0o100 != 0 { // Nix looks at the owner's bit only
		n.str("executable", "")
	}
	n.str("contents")
	n.int(uint64(info.Size()))
	if err := n.contents(f, info.Size()); err != nil {
		return err
	}
	n.pad(info.Size())
	n.str(")")
	return nil
}

// contents hashes the rest of f, which must be size bytes.
func (n *narWriter) contents(f *os.File, size int64) error {
	n.flush()
	for left := size; ; {
		if err := n.ctx.Err(); err != nil {
			return err
		}
		k, err := f.Read(n.buf)
		left -= int64(k)
		if left < 0 || err == io.EOF && left > 0 {
			return fmt.Errorf("%s changed while it was read", f.Name())
		}
		n.sum.Write(n.buf[:k])
		n.size += int64(k)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// str writes strings: length as 64-bit little endian, bytes, zeros up to a multiple of 8.
func (n *narWriter) str(ss ...string) {
	for _, s := range ss {
		n.int(uint64(len(s)))
		n.small = append(n.small, s...)
		n.size += int64(len(s))
		n.pad(int64(len(s)))
	}
	if len(n.small) > 32<<10 {
		n.flush()
	}
}

func (n *narWriter) int(v uint64) {
	n.small = binary.LittleEndian.AppendUint64(n.small, v)
	n.size += 8
}

// pad writes the zeros that follow size bytes.
func (n *narWriter) pad(size int64) {
	var zeros [8]byte
	k := -size & 7
	n.small = append(n.small, zeros[:k]...)
	n.size += k
}

func (n *narWriter) flush() {
	n.sum.Write(n.small)
	n.small = n.small[:0]
}

// Base32 encodes b as Nix does: the digits of b, read as one little-endian
// number, the most significant first, without padding. 32 bytes give 52 digits.
func Base32(b []byte) string {
	out := make([]byte, 0, (len(b)*8+4)/5)
	for n := cap(out) - 1; n >= 0; n-- {
		i, j := n*5/8, n*5%8
		c := b[i] >> j
		if i+1 < len(b) {
			c |= b[i+1] << (8 - j)
		}
		out = append(out, nixBase32[c&31])
	}
	return string(out)
}

// decodeBase32 is the inverse of Base32 for a result of size bytes; ok is false
// for any string that Base32 does not make.
func decodeBase32(s string, size int) (b []byte, ok bool) {
	b = make([]byte, size)
	for n := range len(s) {
		digit := strings.IndexByte(nixBase32, s[len(s)-1-n])
		i, j := n*5/8, n*5%8
		if digit < 0 || i >= size {
			return nil, false
		}
		b[i] |= byte(digit << j)
		if i+1 < size {
			b[i+1] |= byte(digit >> (8 - j))
		}
	}
	return b, Base32(b) == s
}

// PathInfo is what a Nix database knows of a store path.
type PathInfo struct {
	Path       string // /nix/store/…
	NarHash    string // "sha256:" + Base32
	NarSize    int64  // bytes
	Deriver    string // "": unknown
	References []string
}

// Bounds of ParseRegInfo, generous: the closure of Nix has about 75 paths, and
// a store path has at most 255 bytes.
const (
	maxRegInfo     = 16 << 20 // bytes
	maxRegInfoLine = 1 << 10  // bytes
	maxRegInfoRefs = 1 << 14  // references of one path
)

// ParseRegInfo reads the registration format of `nix-store --load-db`, which
// release tarballs carry as .reginfo: for each path the lines path, NAR hash
// ("sha256:" optional; base-32 or base-16), NAR size in bytes, deriver (may be
// empty), number of references, and the references. The format is that of
// decodeValidPathInfo in src/libstore/store-api.cc of Nix.
//
// The result is in the order of the input, without duplicates, and not empty.
// References need not be among the paths. Every error names the line.
func ParseRegInfo(r io.Reader) ([]PathInfo, error) {
	p := &regInfoParser{r: bufio.NewReader(io.LimitReader(r, maxRegInfo+1))}
	var infos []PathInfo
	seen := map[string]bool{}
	for {
		path, err := p.next()
		if err == io.EOF && len(infos) > 0 {
			return infos, nil
		}
		if err != nil {
			return nil, p.wrap(err)
		}
		if seen[path] {
			return nil, p.wrap(fmt.Errorf("%s is there twice", path))
		}
		info, err := p.record(path)
		if err != nil {
			return nil, p.wrap(err)
		}
		seen[path] = true
		infos = append(infos, info)
	}
}

type regInfoParser struct {
	r    *bufio.Reader
	line int // the number of the line that next returned last
	size int // bytes so far
}

func (p *regInfoParser) wrap(err error) error {
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("reading registration, line %d: %w", p.line, err)
}

// next returns the next line; io.EOF if there is none.
func (p *regInfoParser) next() (string, error) {
	p.line++
	var line []byte
	for {
		part, err := p.r.ReadSlice('\n')
		line = append(line, part...)
		p.size += len(part)
		switch {
		case len(line) > maxRegInfoLine:
			return "", fmt.Errorf("longer than %d bytes", maxRegInfoLine)
		case p.size > maxRegInfo:
			return "", fmt.Errorf("input longer than %d bytes", maxRegInfo)
		case err == nil:
			return string(line[:len(line)-1]), nil
		case err == io.EOF && len(line) > 0:
			return "", io.ErrUnexpectedEOF // its end may be missing
		case err != bufio.ErrBufferFull:
			return "", err
		}
	}
}

// record reads what follows the line path.
func (p *regInfoParser) record(path string) (PathInfo, error) {
	info := PathInfo{Path: path}
	if err := checkStorePath(path); err != nil {
		return info, err
	}
	line, err := p.next()
	if err != nil {
		return info, err
	}
	if info.NarHash, err = normalNarHash(line); err != nil {
		return info, err
	}
	if info.NarSize, err = p.number(1 << 50); err != nil {
		return info, err
	}
	if info.Deriver, err = p.next(); err != nil {
		return info, err
	}
	if info.Deriver != "" {
		if err := checkStorePath(info.Deriver); err != nil {
			return info, err
		}
	}
	count, err := p.number(maxRegInfoRefs)
	if err != nil {
		return info, err
	}
	for range count {
		ref, err := p.next()
		if err == nil {
			err = checkStorePath(ref)
		}
		if err != nil {
			return info, err
		}
		info.References = append(info.References, ref)
	}
	return info, nil
}

// number reads a line with a decimal number from 0 to limit.
func (p *regInfoParser) number(limit int64) (int64, error) {
	line, err := p.next()
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(line, 10, 64)
	if err != nil || n < 0 || n > limit || line != strconv.FormatInt(n, 10) {
		return 0, fmt.Errorf("%q is no number from 0 to %d", line, limit)
	}
	return n, nil
}

// normalNarHash turns a SHA-256 in base-16 or base-32 into "sha256:" + Base32.
func normalNarHash(s string) (string, error) {
	digits := strings.TrimPrefix(s, "sha256:")
	switch len(digits) {
	case hex.EncodedLen(sha256.Size):
		if b, err := hex.DecodeString(digits); err == nil {
			return "sha256:" + Base32(b), nil
		}
	case len(Base32(make([]byte, sha256.Size))):
		if _, ok := decodeBase32(digits, sha256.Size); ok {
			return "sha256:" + digits, nil
		}
	}
	return "", fmt.Errorf("%q is no SHA-256 in base-16 or base-32", s)
}

// checkStorePath tells whether path is directly in /nix/store and has a name
// that Nix allows: 32 digits, a hyphen, and 1 to 211 characters of a small set
// ("Store path" in the Nix manual).
func checkStorePath(path string) error {
	const digits, maxName = 32, 211
	name, ok := strings.CutPrefix(path, "/nix/store/")
	ok = ok && len(name) > digits+1 && len(name) <= digits+1+maxName && name[digits] == '-' &&
		strings.Trim(name[:digits], nixBase32) == "" &&
		strings.TrimFunc(name[digits+1:], storeNameRune) == ""
	if !ok {
		return fmt.Errorf("%q is no store path", path)
	}
	return nil
}

func storeNameRune(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("+-._?=", r)
}
