package host

import (
	"bytes"
	"crypto/sha1"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/format/index"
)

// The layout of an index, from gitformat-index(5): a head, entries, extensions and
// a SHA-1 of all that, which is zero with index.skipHash.
const (
	indexHead     = 12
	indexFixed    = 62 // of an entry, before what is of variable length
	indexSum      = 20
	indexExtended = 1 << 14 // flag: there are more flags
)

// indexEntry is one path of an index.
type indexEntry struct {
	gitEntry
	name         string
	stage        int // not 0: of a conflict
	size, inode  uint32
	mtime, ctime [2]uint32 // seconds, nanoseconds
	skipWorktree bool
	intentToAdd  bool
}

var errIndexCut = errors.New("it is cut short")

// parseIndex reads an index of version 2 to 4: its entries, and the tree that it
// notes to be equal to, zero if it does not know.
func parseIndex(b []byte) (entries []indexEntry, tree plumbing.Hash, err error) {
	if len(b) < indexHead+indexSum || string(b[:4]) != "DIRC" {
		return nil, tree, errors.New("it is no index")
	}
	body, sum := b[:len(b)-indexSum], [indexSum]byte(b[len(b)-indexSum:])
	if sum != [indexSum]byte{} && sum != sha1.Sum(body) {
		return nil, tree, errors.New("its checksum is wrong")
	}
	version := binary.BigEndian.Uint32(b[4:])
	if version < 2 || version > 4 {
		return nil, tree, fmt.Errorf("it is of version %d, %w", version, ErrNeedsGit)
	}
	count := int(binary.BigEndian.Uint32(b[8:]))
	if count > len(b)/indexFixed {
		return nil, tree, errIndexCut
	}
	entries = make([]indexEntry, count)
	at, last := indexHead, ""
	for i := range entries {
		if at, err = parseIndexEntry(&entries[i], body, at, version, last); err != nil {
			return nil, tree, err
		}
		last = entries[i].name
	}
	tree, err = indexedTree(body[at:])
	return entries, tree, err
}

// parseIndexEntry reads the entry that begins at b[at], and says where the next one
// does. last is the name of the one before it.
func parseIndexEntry(e *indexEntry, b []byte, at int, version uint32, last string) (next int, err error) {
	if len(b)-at < indexFixed+2 {
		return 0, errIndexCut
	}
	field := func(i int) uint32 { return binary.BigEndian.Uint32(b[at+4*i:]) }
	e.ctime, e.mtime = [2]uint32{field(0), field(1)}, [2]uint32{field(2), field(3)}
	e.inode, e.mode, e.size = field(5), filemode.FileMode(field(6)), field(9)
	copy(e.hash[:], b[at+40:])
	flags := binary.BigEndian.Uint16(b[at+60:])
	e.stage = int(flags >> 12 & 3)
	from, keep := at+indexFixed, 0
	if flags&indexExtended != 0 {
		e.skipWorktree, e.intentToAdd = b[from]&0x40 != 0, b[from]&0x20 != 0
		from += 2
	}
	if version == 4 { // the name begins as the last one, but for so many bytes of that
		var strip int
		if strip, from = indexVarint(b, from); strip < 0 || strip > len(last) {
			return 0, errIndexCut
		}
		keep = len(last) - strip
	}
	name, _, ok := bytes.Cut(b[from:], []byte{0})
	e.name = last[:keep] + string(name)
	next = from + len(name) + 1
	if version < 4 {
		next = at + (next-at+7)&^7
	}
	if !ok || next > len(b) {
		return 0, errIndexCut
	}
	return next, nil
}

// sameStat tells whether a file has the metadata that the index knows. Some writers
// of indexes leave out nanoseconds; their files are then read, which is slow and right.
func (e *indexEntry) sameStat(fi fs.FileInfo) bool {
	st, ok := fi.Sys().(*syscall.Stat_t)
	return ok && e.size == uint32(st.Size) && e.inode == uint32(st.Ino) &&
		e.mtime == [2]uint32{uint32(st.Mtim.Sec), uint32(st.Mtim.Nsec)} && e.ctime == [2]uint32{uint32(st.Ctim.Sec), uint32(st.Ctim.Nsec)}
}

// older tells whether the file was written before t.
func (e *indexEntry) older(t time.Time) bool {
	return time.Unix(int64(e.mtime[0]), int64(e.mtime[1])).Before(t)
}

// indexVarint reads a number as packs have offsets; -1 if it is none.
func indexVarint(b []byte, at int) (n, next int) {
	for i := at; i < min(len(b), at+4); i++ {
		n = n<<7 | int(b[i]&0x7f)
		if b[i]&0x80 == 0 {
			return n, i + 1
		}
		n++
	}
	return -1, at
}

// indexedTree looks in the extensions of an index for the tree that it equals.
// What is written in lower case may not be passed over.
func indexedTree(b []byte) (tree plumbing.Hash, err error) {
	for len(b) >= 8 {
		name, size := string(b[:4]), binary.BigEndian.Uint32(b[4:])
		if b = b[8:]; uint64(size) > uint64(len(b)) {
			return tree, errIndexCut
		}
		data := b[:size]
		b = b[size:]
		switch {
		case name[0] < 'A' || name[0] > 'Z':
			return tree, fmt.Errorf("it has the extension %q, %w", name, ErrNeedsGit)
		case name == "TREE": // the root: "" NUL entries SP subtrees LF name
			counts, hash, ok := bytes.Cut(data, []byte("\n"))
			entries, _, _ := bytes.Cut(bytes.TrimPrefix(counts, []byte{0}), []byte(" "))
			if n, err := strconv.Atoi(string(entries)); ok && err == nil && n >= 0 && len(hash) >= len(tree) { // negative: it does not know
				copy(tree[:], hash)
			}
		}
	}
	return tree, nil
}

// encodeIndex is an index that has all that is in a commit, and nothing else.
func (r *gitRepo) encodeIndex(idx *index.Index, commit plumbing.Hash) ([]byte, error) {
	var b bytes.Buffer
	if err := index.NewEncoder(&b).Encode(idx); err != nil {
		return nil, err
	}
	tree, err := r.treeOf(commit)
	if err != nil {
		return nil, err
	}
	b.Truncate(b.Len() - indexSum)
	known, _, err := r.treeExtension("", tree)
	if err != nil {
		return nil, err
	}
	b.WriteString("TREE")
	b.Write(binary.BigEndian.AppendUint32(nil, uint32(len(known))))
	b.Write(known)
	sum := sha1.Sum(b.Bytes())
	b.Write(sum[:])
	return b.Bytes(), nil
}

// treeExtension is what the extension TREE says of a tree: how many entries of the
// index are in it, and the same of the trees in it. By it a reader of the index
// knows without reading any tree that nothing is staged.
func (r *gitRepo) treeExtension(name string, hash plumbing.Hash) (known []byte, entries int, err error) {
	b, err := r.read(plumbing.TreeObject, hash)
	var all []treeEntry
	if err == nil {
		all, err = entriesOf(b)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("reading tree %s: %w", hash, err)
	}
	dirs := 0
	for _, e := range all {
		if e.mode != filemode.Dir {
			entries++
			continue
		}
		below, n, err := r.treeExtension(e.name, e.hash)
		if err != nil {
			return nil, 0, err
		}
		known, entries, dirs = append(known, below...), entries+n, dirs+1
	}
	head := fmt.Appendf(nil, "%s\x00%d %d\n", name, entries, dirs)
	return slices.Concat(head, hash[:], known), entries, nil
}
