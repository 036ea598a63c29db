package argon2

import (
	"context"
	"encoding/binary"
	"sync"
)

// slices is the number of parts of a pass after which the lanes wait for each other.
const slices = 4

// A block is 1 KiB of the memory, 128 words.
type block [128]uint64

// A filler has the memory while it is filled: lane after lane, each of lane
// blocks, each of four segments.
type filler struct {
	Params
	memory        []block
	segment, lane uint32 // in blocks
}

// first makes the first two blocks of each lane (RFC 9106, section 3.2, steps 3 and 4).
func (f *filler) first(h0 []byte) {
	var b [1024]byte
	in := append(h0, make([]byte, 8)...)
	for lane := range f.Lanes {
		for i := range uint32(2) {
			binary.LittleEndian.PutUint32(in[len(h0):], i)
			binary.LittleEndian.PutUint32(in[len(h0)+4:], lane)
			longHash(b[:], in)
			for k := range f.memory[lane*f.lane+i] {
				f.memory[lane*f.lane+i][k] = binary.LittleEndian.Uint64(b[8*k:])
			}
		}
	}
	clear(in)
}

// fill does all the passes.
func (f *filler) fill(ctx context.Context) error {
	for pass := range f.Time {
		for slice := range uint32(slices) {
			if err := ctx.Err(); err != nil {
				return err
			}
			var all sync.WaitGroup
			for lane := range f.Lanes {
				all.Go(func() { f.fillSegment(pass, slice, lane) })
			}
			all.Wait()
		}
	}
	return nil
}

// fillSegment fills one segment. Those of other lanes are filled at the same
// time, and none of them is read before its lane waits.
func (f *filler) fillSegment(pass, slice, lane uint32) {
	var address addresses
	independent := f.Kind == ID && pass == 0 && slice < slices/2
	if independent {
		address.input = block{uint64(pass), uint64(lane), uint64(slice), uint64(len(f.memory)), uint64(f.Time), uint64(f.Kind)}
	}
	start := uint32(0)
	if pass == 0 && slice == 0 {
		start = 2
	}
	base := lane * f.lane
	for i := start; i < f.segment; i++ {
		at := slice*f.segment + i
		prev := &f.memory[base+(at+f.lane-1)%f.lane]
		random := prev[0]
		if independent {
			random = address.of(i)
		}
		ref := &f.memory[f.reference(random, pass, slice, lane, i)]
		mix(&f.memory[base+at], prev, ref, pass > 0 && f.Version != Version10)
	}
}

// reference is the block that goes into block i of the segment (section 3.4.1.3 and 3.4.2).
func (f *filler) reference(random uint64, pass, slice, lane, i uint32) uint32 {
	other := uint32(random>>32) % f.Lanes
	if pass == 0 && slice == 0 {
		other = lane
	}
	// The blocks that may be taken: area of them from block from on.
	area, from := 3*f.segment, (slice+1)%slices*f.segment
	if pass == 0 {
		area, from = slice*f.segment, 0
	}
	if other == lane {
		area += i - 1
	} else if i == 0 {
		area--
	}
	x := random & 0xffffffff
	y := uint64(area) * (x * x >> 32) >> 32
	return other*f.lane + uint32((uint64(from)+uint64(area)-1-y)%uint64(f.lane))
}

// addresses makes the numbers by which a segment of Argon2id finds its reference
// blocks where they must not depend on the password (section 3.4.1.2).
type addresses struct {
	input, numbers block
}

// of is the number for block i; it is asked for in ascending order.
func (a *addresses) of(i uint32) uint64 {
	n := i % uint32(len(a.numbers))
	if counter := uint64(i)/uint64(len(a.numbers)) + 1; a.input[6] != counter {
		a.input[6] = counter
		var zero block
		mix(&a.numbers, &zero, &a.input, false)
		mix(&a.numbers, &zero, &a.numbers, false)
	}
	return a.numbers[n]
}

// key is the hash of the last blocks of all lanes (section 3.2, steps 7 and 8).
func (f *filler) key() []byte {
	var last block
	for lane := range f.Lanes {
		for k, v := range f.memory[(lane+1)*f.lane-1] {
			last[k] ^= v
		}
	}
	var b [1024]byte
	for k, v := range last {
		binary.LittleEndian.PutUint64(b[8*k:], v)
	}
	key := make([]byte, KeySize)
	longHash(key, b[:])
	return key
}
