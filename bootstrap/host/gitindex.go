package host

import (
	"bytes"
	"crypto/sha1"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/format/index"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// The layout of an index, from gitformat-index(5): a head, entries, extensions and
// a SHA-1 of all that, which is zero with index.skipHash.
const (
	indexHead     = 12
	indexEntry    = 62 // of an entry, before what is of variable length
	indexSum      = 20
	indexExtended = 1 << 14 // flag: there are more flags
)

var errIndexCut = errors.New("it is cut short")

// parseIndex reads an index of version 2 to 4: its entries, and the tree that it
// notes to be equal to, zero if it does not know.
func parseIndex(b []byte) (entries []index.Entry, tree plumbing.Hash, err error) {
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
	if count > len(b)/indexEntry {
		return nil, tree, errIndexCut
	}
	entries = make([]index.Entry, count)
	at, last := indexHead, ""
	for i := range entries {
		if at, err = parseIndexEntry(&entries[i], body, at, version, last); err != nil {
			return nil, tree, err
		}
		last = entries[i].Name
	}
	tree, err = indexedTree(body[at:])
	return entries, tree, err
}

// parseIndexEntry reads the entry that begins at b[at], and says where the next one
// does. last is the name of the one before it.
func parseIndexEntry(e *index.Entry, b []byte, at int, version uint32, last string) (next int, err error) {
	if len(b)-at < indexEntry+2 {
		return 0, errIndexCut
	}
	field := func(i int) uint32 { return binary.BigEndian.Uint32(b[at+4*i:]) }
	e.CreatedAt, e.ModifiedAt = indexTime(field(0), field(1)), indexTime(field(2), field(3))
	e.Dev, e.Inode, e.Mode, e.UID, e.GID, e.Size = field(4), field(5), filemode.FileMode(field(6)), field(7), field(8), field(9)
	copy(e.Hash[:], b[at+40:])
	flags := binary.BigEndian.Uint16(b[at+60:])
	e.Stage = index.Stage(flags>>12) & 3
	from, keep := at+indexEntry, 0
	if flags&indexExtended != 0 {
		e.SkipWorktree, e.IntentToAdd = b[from]&0x40 != 0, b[from]&0x20 != 0
		from += 2
	}
	if version == 4 { // the name begins as the last one, but for so many bytes of that
		strip := -1
		if strip, from = indexVarint(b, from); strip < 0 || strip > len(last) {
			return 0, errIndexCut
		}
		keep = len(last) - strip
	}
	name, _, ok := bytes.Cut(b[from:], []byte{0})
	e.Name = last[:keep] + string(name)
	next = from + len(name) + 1
	if version < 4 {
		next = at + (next-at+7)&^7
	}
	if !ok || next > len(b) {
		return 0, errIndexCut
	}
	return next, nil
}

// indexTime is a time of an index; zero: not known.
func indexTime(sec, nsec uint32) time.Time {
	if sec == 0 && nsec == 0 {
		return time.Time{}
	}
	return time.Unix(int64(sec), int64(nsec))
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
	t, err := object.GetTree(r.store, hash)
	if err != nil {
		return nil, 0, fmt.Errorf("reading tree %s: %w", hash, err)
	}
	var dirs []object.TreeEntry
	for _, e := range t.Entries {
		if e.Mode == filemode.Dir {
			dirs = append(dirs, e)
		} else {
			entries++
		}
	}
	slices.SortFunc(dirs, func(a, b object.TreeEntry) int { // git's order
		if len(a.Name) != len(b.Name) {
			return len(a.Name) - len(b.Name)
		}
		return strings.Compare(a.Name, b.Name)
	})
	for _, d := range dirs {
		below, n, err := r.treeExtension(d.Name, d.Hash)
		if err != nil {
			return nil, 0, err
		}
		known, entries = append(known, below...), entries+n
	}
	head := fmt.Appendf(nil, "%s\x00%d %d\n", name, entries, len(dirs))
	return slices.Concat(head, hash[:], known), entries, nil
}
