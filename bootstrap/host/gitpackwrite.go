package host

import (
	"bufio"
	"compress/zlib"
	"context"
	"crypto/sha1" //nolint:gosec // what git ends its packs with
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"slices"

	"github.com/go-git/go-git/v5/plumbing"
)

// packWriter writes a pack as planned, object by object.
type packWriter struct {
	plan   *packPlan
	out    *bufio.Writer // keeps the first error
	offset uint64
	at     map[plumbing.Hash]uint64 // where objects that may be bases are
	zlib   *zlib.Writer
	buf    []byte
}

// write writes the pack. Errors that are not those of writing are *DamagedRepoError,
// also when the context ended.
func (plan *packPlan) write(ctx context.Context, to io.Writer) error {
	sum := sha1.New()
	w := &packWriter{plan: plan, out: bufio.NewWriterSize(io.MultiWriter(to, sum), 1<<16),
		at: make(map[plumbing.Hash]uint64, len(plan.want)), buf: make([]byte, 1<<16)}
	w.zlib = zlib.NewWriter(w)
	head := packHead(uint32(len(plan.want)))
	w.Write(head[:]) //nolint:errcheck // out keeps it
	err := w.objects(ctx)
	if e := w.out.Flush(); e != nil { // the first error of writing; what came of it is no damage
		return e
	}
	if err != nil {
		return err
	}
	_, err = to.Write(sum.Sum(nil))
	return err
}

// packHead is what a pack of so many objects begins with.
func packHead(count uint32) (head [12]byte) {
	copy(head[:], "PACK\x00\x00\x00\x02")
	binary.BigEndian.PutUint32(head[8:], count)
	return head
}

func (w *packWriter) objects(ctx context.Context) error {
	for _, p := range w.plan.packs {
		for _, e := range p.entries {
			if !e.wanted {
				continue
			}
			if err := w.copyEntry(ctx, p, e); err != nil {
				return err
			}
		}
	}
	for _, h := range w.plan.loose {
		if err := w.copyLoose(ctx, h); err != nil {
			return err
		}
	}
	return nil
}

// Write counts what goes to the pack.
func (w *packWriter) Write(p []byte) (int, error) {
	n, err := w.out.Write(p)
	w.offset += uint64(n)
	return n, err
}

// copyEntry copies an entry of a pack; only the distance to a delta's base may
// be another. Its CRC must be the one that the index has. What is a delta of
// something that does not go in is written whole.
//
// A base is never written later because of a delta of its own: it is in the same pack,
// so it and all its bases were taken from there or from an earlier one.
func (w *packWriter) copyEntry(ctx context.Context, p packPart, e packEntry) error {
	sum := crc32.NewIEEE()
	in := io.TeeReader(io.NewSectionReader(p.file, int64(e.Offset), int64(e.end-e.Offset)), sum)
	first := w.buf[:min(uint64(len(w.buf)), e.end-e.Offset)]
	if _, err := io.ReadFull(in, first); err != nil {
		return p.damaged(e, err)
	}
	head, err := readEntryHead(first)
	if err != nil {
		return p.damaged(e, err)
	}
	lead := first[:head.data]
	if head.typ.IsDelta() {
		base, err := p.base(e, head)
		if err != nil {
			return p.damaged(e, err)
		}
		if _, ok := w.plan.want[base]; !ok {
			return w.writeWhole(p, e)
		}
		if head.typ == plumbing.OFSDeltaObject {
			lead = append(slices.Clone(first[:head.size]), distance(w.offset-w.at[base])...)
		}
	}
	w.at[e.Hash] = w.offset
	w.Write(lead)              //nolint:errcheck // out keeps it
	w.Write(first[head.data:]) //nolint:errcheck // out keeps it
	if _, err := io.CopyBuffer(onlyWriter{w}, ctxReader{ctx, in}, w.buf); err != nil {
		return p.damaged(e, err)
	}
	if sum.Sum32() != e.CRC32 {
		return p.damaged(e, errors.New("its checksum is wrong"))
	}
	return ctx.Err()
}

// writeWhole writes an object that is a delta in a pack. It and its bases are in memory meanwhile.
func (w *packWriter) writeWhole(p packPart, e packEntry) error {
	typ, b, err := w.plan.objects.object(e.Hash)
	if err == nil && plumbing.ComputeHash(typ, b) != e.Hash {
		err = errors.New("its content is another")
	}
	if err != nil {
		return p.damaged(e, err)
	}
	w.at[e.Hash] = w.offset
	w.Write(lengthHead(typ, int64(len(b)))) //nolint:errcheck // out keeps it
	w.zlib.Reset(w)
	_, err = w.zlib.Write(b)
	return errors.Join(err, w.zlib.Close())
}

// copyLoose writes a loose object, whole. (In its own file its header is compressed with it.)
func (w *packWriter) copyLoose(ctx context.Context, h plumbing.Hash) error {
	err := w.plan.objects.openLoose(h, func(typ plumbing.ObjectType, size int64, in io.Reader) error {
		w.Write(lengthHead(typ, size)) //nolint:errcheck // out keeps it
		w.zlib.Reset(w)
		_, err := io.CopyBuffer(onlyWriter{w.zlib}, ctxReader{ctx, in}, w.buf)
		return errors.Join(err, w.zlib.Close())
	})
	if err != nil {
		return &DamagedRepoError{"object " + h.String(), err}
	}
	return nil
}

// lengthHead is type and length of an object as an entry of a pack begins with them.
func lengthHead(typ plumbing.ObjectType, size int64) []byte {
	b := []byte{byte(typ)<<4 | byte(size&15)}
	for size >>= 4; size > 0; size >>= 7 {
		b[len(b)-1] |= 0x80
		b = append(b, byte(size&0x7f))
	}
	return b
}

// distance is how far back a delta's base is, as entries of packs have it.
func distance(n uint64) []byte {
	b := []byte{byte(n & 0x7f)}
	for n >>= 7; n > 0; n >>= 7 {
		n--
		b = append(b, 0x80|byte(n&0x7f))
	}
	slices.Reverse(b)
	return b
}

// onlyWriter hides other methods of a writer, so that the buffer of io.CopyBuffer is used.
type onlyWriter struct{ io.Writer }
