package host

import (
	"bufio"
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
)

// treeOf returns the tree of a commit. go-git reads the whole index of a pack for
// that, so the commit is looked for here first.
func (r *gitRepo) treeOf(commit plumbing.Hash) (plumbing.Hash, error) {
	if tree, ok := peekCommit(filepath.Join(r.commonDir, "objects"), commit); ok {
		return tree, nil
	}
	c, err := r.commit(commit)
	return c.tree, err
}

// peekCommit returns the tree of a commit that is whole in the objects directory:
// loose, or in a pack and no delta, as commits most often are.
func peekCommit(objects string, commit plumbing.Hash) (tree plumbing.Hash, ok bool) {
	name := commit.String()
	if f, err := os.Open(filepath.Join(objects, name[:2], name[2:])); err == nil {
		defer f.Close()
		return readCommit(f, "commit ")
	}
	dir, err := os.ReadDir(filepath.Join(objects, "pack"))
	if err != nil {
		return tree, false
	}
	for _, e := range dir {
		pack, found := strings.CutSuffix(e.Name(), ".idx")
		if !found {
			continue
		}
		pack = filepath.Join(objects, "pack", pack)
		if at, ok := peekIndex(pack+".idx", commit); ok {
			return peekPack(pack+".pack", at)
		}
	}
	return tree, false
}

// peekIndex looks for an object in a pack's index of version 2 (gitformat-pack(5)):
// magic, version, for each first byte how many objects are below the next one,
// names, checksums, offsets.
func peekIndex(file string, h plumbing.Hash) (offset int64, ok bool) {
	const head, sum, crc = 8, 20, 4
	f, err := os.Open(file)
	if err != nil {
		return 0, false
	}
	defer f.Close()
	var top [head + 256*4]byte
	if _, err := f.ReadAt(top[:], 0); err != nil || string(top[:head]) != "\xfftOc\x00\x00\x00\x02" {
		return 0, false
	}
	below := func(b int) int64 { return int64(binary.BigEndian.Uint32(top[head+4*b:])) }
	from, to, all := int64(0), below(int(h[0])), below(255)
	if h[0] > 0 {
		from = below(int(h[0]) - 1)
	}
	if from > to || to > all {
		return 0, false
	}
	names := make([]byte, (to-from)*sum)
	if _, err := f.ReadAt(names, int64(len(top))+from*sum); err != nil {
		return 0, false
	}
	i := int64(sort.Search(int(to-from), func(i int) bool { return bytes.Compare(names[i*sum:(i+1)*sum], h[:]) >= 0 }))
	if i == to-from || !bytes.Equal(names[i*sum:(i+1)*sum], h[:]) {
		return 0, false
	}
	var at [4]byte
	if _, err := f.ReadAt(at[:], int64(len(top))+all*(sum+crc)+(from+i)*4); err != nil || at[0]&0x80 != 0 { // of 8 bytes, elsewhere
		return 0, false
	}
	return int64(binary.BigEndian.Uint32(at[:])), true
}

// peekPack reads the commit at an offset of a pack, where its type and size come first.
func peekPack(file string, offset int64) (tree plumbing.Hash, ok bool) {
	const typeCommit = 1
	f, err := os.Open(file)
	if err != nil {
		return tree, false
	}
	defer f.Close()
	in := bufio.NewReaderSize(io.NewSectionReader(f, offset, 1<<62), 512)
	b, err := in.ReadByte()
	if err != nil || b>>4&7 != typeCommit {
		return tree, false
	}
	for err == nil && b&0x80 != 0 {
		b, err = in.ReadByte()
	}
	if err != nil {
		return tree, false
	}
	return readCommit(in, "")
}

// readCommit reads the tree that a compressed commit begins with, after a header
// that begins with head.
func readCommit(in io.Reader, head string) (tree plumbing.Hash, ok bool) {
	z, err := zlib.NewReader(in)
	if err != nil {
		return tree, false
	}
	defer z.Close()
	text := make([]byte, 80)
	n, err := io.ReadFull(z, text)
	if err != nil && err != io.ErrUnexpectedEOF {
		return tree, false
	}
	text = text[:n]
	if head != "" {
		_, after, found := bytes.Cut(text, []byte{0})
		if !found || !bytes.HasPrefix(text, []byte(head)) {
			return tree, false
		}
		text = after
	}
	name, found := bytes.CutPrefix(text, []byte("tree "))
	if !found || len(name) < 40 {
		return tree, false
	}
	_, err = hex.Decode(tree[:], name[:40])
	return tree, err == nil
}
