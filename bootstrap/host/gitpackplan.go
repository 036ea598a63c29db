package host

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/idxfile"
)

// packPlan is which objects go into a new pack, and where from. Objects that are
// in packs are copied as they are, deltas included: go-git's own encoder holds
// all of them in memory, unpacked.
type packPlan struct {
	objects *gitObjects
	want    map[plumbing.Hash]struct{}
	packs   []packPart
	loose   []plumbing.Hash
}

// packPart is what to copy of one pack.
type packPart struct {
	*gitPack
	entries []packEntry // all of the pack, by offset
}

// packEntry is an object in a pack.
type packEntry struct {
	idxfile.Entry
	end    uint64
	wanted bool
}

// planPack chooses a place for each of the objects: the first pack that has it,
// its own file only if none has. Of what goes in, nothing is missing that is not
// missing in the repository, and nothing is there twice: a strict reader would refuse both.
func planPack(o *gitObjects, want map[plumbing.Hash]struct{}) (*packPlan, error) {
	plan := &packPlan{objects: o, want: want}
	done := make(map[plumbing.Hash]struct{}, len(want))
	for _, p := range o.packs {
		part := packPart{gitPack: p}
		if err := part.list(); err != nil {
			return nil, err
		}
		for i, e := range part.entries {
			_, wanted := want[e.Hash]
			_, twice := done[e.Hash]
			if wanted && !twice {
				done[e.Hash] = struct{}{}
				part.entries[i].wanted = true
			}
		}
		plan.packs = append(plan.packs, part)
	}
	for h := range want {
		if _, ok := done[h]; !ok {
			plan.loose = append(plan.loose, h)
		}
	}
	plumbing.HashesSort(plan.loose)
	return plan, nil
}

// list lists the entries of a pack.
func (p *packPart) list() error {
	all, err := p.index.EntriesByOffset()
	if err != nil {
		return &DamagedRepoError{p.name, err}
	}
	defer all.Close()
	for {
		e, err := all.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return &DamagedRepoError{p.name, err}
		}
		if n := len(p.entries); n > 0 {
			p.entries[n-1].end = e.Offset
		}
		p.entries = append(p.entries, packEntry{Entry: *e})
	}
	end := uint64(p.size) - uint64(len(plumbing.ZeroHash))
	if n := len(p.entries); n > 0 {
		p.entries[n-1].end = end
	}
	for _, e := range p.entries {
		if e.Offset >= e.end || e.end > end {
			return &DamagedRepoError{p.name, errors.New("its index has offsets that are not in it")}
		}
	}
	return nil
}

// base is the object that an entry is a delta of, zero if it is none.
func (p *packPart) base(e packEntry, head entryHead) (plumbing.Hash, error) {
	if head.typ != plumbing.OFSDeltaObject {
		return head.base, nil
	}
	i, ok := slices.BinarySearchFunc(p.entries, e.Offset-head.back, func(e packEntry, at uint64) int { return cmp.Compare(e.Offset, at) })
	if !ok {
		return plumbing.ZeroHash, errors.New("it is a delta of nothing")
	}
	return p.entries[i].Hash, nil
}

func (p *packPart) damaged(e packEntry, err error) error {
	return &DamagedRepoError{fmt.Sprintf("object %s in %s", e.Hash, p.name), err}
}

// entryHead is what an entry of a pack begins with (gitformat-pack(5)).
type entryHead struct {
	typ  plumbing.ObjectType
	size int           // bytes of type and length
	back uint64        // OFS_DELTA: how far back the base is
	base plumbing.Hash // REF_DELTA: the base
	data int           // where the compressed data begins
}

func readEntryHead(b []byte) (h entryHead, err error) {
	short := errors.New("its header is cut off")
	for h.size = 1; h.size <= len(b) && b[h.size-1]&0x80 != 0; h.size++ {
	}
	if h.size > len(b) {
		return h, short
	}
	h.typ = plumbing.ObjectType(b[0] >> 4 & 7)
	h.data = h.size
	switch h.typ {
	case plumbing.REFDeltaObject:
		h.data += copy(h.base[:], b[h.size:])
		if h.data < h.size+len(h.base) {
			return h, short
		}
	case plumbing.OFSDeltaObject:
		for more := true; more; h.data++ {
			if h.data >= len(b) || h.data > h.size+8 {
				return h, short
			}
			if h.data > h.size {
				h.back = (h.back + 1) << 7
			}
			h.back |= uint64(b[h.data] & 0x7f)
			more = b[h.data]&0x80 != 0
		}
	case plumbing.CommitObject, plumbing.TreeObject, plumbing.BlobObject, plumbing.TagObject:
	default:
		return h, plumbing.ErrInvalidType
	}
	return h, nil
}
