package host

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"io/fs"
	"runtime"

	"github.com/mikelolasagasti/xz"
)

// Sizes in the format .xz: https://tukaani.org/xz/xz-file-format.txt, sections 2.1 and 3.1.
const (
	xzHeaderSize   = 12 // of a stream, and of its footer
	xzBlockHeader  = 1024
	xzSizesPresent = 0xc0 // flags of a block: it says how long it is, packed and unpacked
)

// maxXZBlock is how long a block may be that is unpacked in memory: xz -6 makes 24 MiB.
const maxXZBlock = 32 << 20

// newUnxz decodes what raw has in the format .xz. If its blocks say how long they are, as
// those of xz with several threads do, several are decoded at once. Until it is closed it
// may read from raw at any time.
func newUnxz(raw io.Reader) (io.ReadCloser, error) {
	in := bufio.NewReaderSize(raw, unpackChunk)
	head, _ := in.Peek(xzHeaderSize + xzBlockHeader) // fewer bytes: what is wrong is told by who decodes
	if len(head) > xzHeaderSize && runtime.GOMAXPROCS(0) > 1 {
		if _, _, _, _, ok := xzLengths(head[:xzHeaderSize], head[xzHeaderSize:]); ok {
			return newBlocks(in, min(runtime.GOMAXPROCS(0), 4)+1), nil
		}
	}
	decoder, err := xz.NewReader(in, xz.DefaultDictMax)
	return io.NopCloser(decoder), err
}

// unxz decodes the blocks of a file at the same time.
type unxz struct {
	blocks chan *xzBlock // in order; closed after the last one; then err is set
	free   chan *xzBlock
	stop   chan struct{}
	err    error
	own    *xzBlock // the block last received
	cur    []byte   // what is left of its data
}

// newBlocks is one that has so many blocks in memory, of which one is read.
func newBlocks(in *bufio.Reader, blocks int) *unxz {
	u := &unxz{blocks: make(chan *xzBlock, blocks), free: make(chan *xzBlock, blocks), stop: make(chan struct{})}
	for range blocks {
		u.free <- new(xzBlock)
	}
	go u.split(in)
	return u
}

// xzBlock is a block, and what it is unpacked. Its memory is for one after the other.
type xzBlock struct {
	stream   []byte // header of the stream, and the block
	unpadded uint64 // the block's length without its padding
	data     []byte
	decoder  *xz.Reader
	err      error
	done     chan struct{}
}

// xzLengths are those of a block that says how long it is, and is not too long: of its
// header, of what is packed, of its data, and of its check sum.
func xzLengths(stream, head []byte) (header, packed, data, check int, ok bool) {
	header = (int(head[0]) + 1) * 4
	if head[0] == 0 || len(head) < header || head[1]&xzSizesPresent != xzSizesPresent {
		return header, 0, 0, 0, false
	}
	p, n := binary.Uvarint(head[2:header])
	d, m := binary.Uvarint(head[2+max(0, n) : header])
	if id := int(stream[7] & 15); id > 0 {
		check = 4 << ((id - 1) / 3)
	}
	return header, int(p), int(d), check, n > 0 && m > 0 && p <= maxXZBlock && d <= maxXZBlock //nolint:gosec // not over 32 MiB if ok
}

// split takes the file to pieces, and has them decoded.
func (u *unxz) split(in *bufio.Reader) {
	defer close(u.blocks)
	for u.err == nil {
		u.err = u.splitStream(in)
	}
	if errors.Is(u.err, io.ErrUnexpectedEOF) {
		u.err = xz.ErrBuf
	}
}

// splitStream splits one of the streams that a file is made of; io.EOF: there is none any more.
func (u *unxz) splitStream(in *bufio.Reader) error {
	stream := make([]byte, xzHeaderSize)
	if _, err := io.ReadFull(in, stream[:4]); err != nil || bytes.Equal(stream[:4], make([]byte, 4)) {
		return err // nothing, or padding between streams
	}
	if _, err := io.ReadFull(in, stream[4:]); err != nil {
		return noEOF(err)
	}
	if _, err := xz.NewReader(bytes.NewReader(stream), xz.DefaultDictMax); err != nil {
		return err // also if no block comes, with which it is checked
	}
	lengths := []uint64{}
	for {
		head, err := in.Peek(xzBlockHeader)
		if len(head) == 0 {
			return noEOF(err)
		}
		if head[0] == 0 {
			want := xzEnd(stream, lengths...)
			got := make([]byte, len(want))
			if _, err := io.ReadFull(in, got); err != nil || !bytes.Equal(got, want) {
				return cmp.Or(noEOF(err), xz.ErrData)
			}
			return nil
		}
		header, packed, data, check, ok := xzLengths(stream, head)
		if !ok {
			return xz.ErrOptions // no program makes some blocks with, some without
		}
		var b *xzBlock
		select {
		case <-u.stop:
			return fs.ErrClosed
		case b = <-u.free:
		}
		unpadded := header + packed + check
		b.unpadded, b.done = uint64(unpadded), make(chan struct{}) //nolint:gosec // as above
		b.data = sliceOf(b.data, data)
		b.stream = sliceOf(b.stream, xzHeaderSize+unpadded+-packed&3)
		copy(b.stream, stream)
		if _, err := io.ReadFull(in, b.stream[xzHeaderSize:]); err != nil {
			return noEOF(err)
		}
		lengths = append(lengths, b.unpadded, uint64(len(b.data)))
		u.blocks <- b // never blocks: there are no more blocks than places
		go b.decode()
	}
}

// sliceOf is a slice of n bytes: buf, if that is large enough.
func sliceOf(buf []byte, n int) []byte {
	if cap(buf) < n {
		return make([]byte, n)
	}
	return buf[:n]
}

// noEOF is err, but that the file may not end here.
func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// xzEnd is what comes after the blocks of a stream: index and footer. Each block has two
// lengths, that without its padding and that of its data.
func xzEnd(stream []byte, lengths ...uint64) []byte {
	end := binary.AppendUvarint([]byte{0}, uint64(len(lengths)/2))
	for _, n := range lengths {
		end = binary.AppendUvarint(end, n)
	}
	end = append(end, make([]byte, -len(end)&3)...)
	end = binary.LittleEndian.AppendUint32(end, crc32.ChecksumIEEE(end))
	footer := binary.LittleEndian.AppendUint32(nil, uint32(len(end)/4-1)) //nolint:gosec // far less
	footer = append(footer, stream[6:8]...)
	end = binary.LittleEndian.AppendUint32(end, crc32.ChecksumIEEE(footer))
	return append(append(end, footer...), 'Y', 'Z')
}

// decode unpacks the block as a stream of its own: so all of it is checked as in the file.
func (b *xzBlock) decode() {
	defer close(b.done)
	in := io.MultiReader(bytes.NewReader(b.stream), bytes.NewReader(xzEnd(b.stream, b.unpadded, uint64(len(b.data)))))
	if b.decoder == nil {
		b.decoder, b.err = xz.NewReader(in, xz.DefaultDictMax)
	} else {
		b.err = b.decoder.Reset(in)
	}
	if b.err != nil {
		return
	}
	if _, b.err = io.ReadFull(b.decoder, b.data); b.err == nil {
		_, b.err = io.Copy(io.Discard, b.decoder) // what comes after the data: its check sum
	}
}

func (u *unxz) Read(p []byte) (int, error) {
	for len(u.cur) == 0 {
		if u.own != nil {
			u.free <- u.own
			u.own = nil
		}
		b, ok := <-u.blocks
		if !ok {
			return 0, u.err
		}
		if <-b.done; b.err != nil {
			return 0, b.err
		}
		u.own, u.cur = b, b.data
	}
	n := copy(p, u.cur)
	u.cur = u.cur[n:]
	return n, nil
}

// Close waits until nothing is read any more.
func (u *unxz) Close() error {
	close(u.stop)
	for b := range u.blocks {
		<-b.done
	}
	return nil
}
