package host

import (
	"context"
	"hash"
	"io"
	"io/fs"
	"os"
)

// archiveReader reads a file, hashes what it read and tells how far it is.
type archiveReader struct {
	ctx         context.Context
	f           *os.File
	sum         hash.Hash
	done, total int64
	progress    func(done, total int64)
}

func (a *archiveReader) Read(p []byte) (int, error) {
	if err := a.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := a.f.Read(p)
	a.sum.Write(p[:n])
	a.done += int64(n)
	if n > 0 && a.progress != nil {
		a.progress(a.done, a.total)
	}
	return n, err
}

// readAhead reads from another reader in a goroutine of its own, some chunks
// ahead. An error comes after the bytes before it, and again on each later Read.
type readAhead struct {
	full chan []byte // closed after the last chunk; then err is set
	free chan []byte
	stop chan struct{}
	err  error
	cur  []byte // what is left of the chunk last received
	own  []byte // that chunk
}

// newReadAhead starts reading r, at most chunks chunks ahead. Close must be called.
func newReadAhead(r io.Reader, chunks int) *readAhead {
	a := &readAhead{
		full: make(chan []byte, chunks),
		free: make(chan []byte, chunks),
		stop: make(chan struct{}),
	}
	for range chunks {
		a.free <- make([]byte, unpackChunk)
	}
	go a.run(r)
	return a
}

func (a *readAhead) run(r io.Reader) {
	defer close(a.full)
	for {
		var buf []byte
		select {
		case <-a.stop:
			a.err = fs.ErrClosed
			return
		case buf = <-a.free:
		}
		n, err := readChunk(r, buf[:unpackChunk])
		a.full <- buf[:n] // never blocks: there are no more chunks than places
		if err != nil {
			a.err = err
			return
		}
	}
}

// readChunk fills buf, as far as there is no error. Unlike io.ReadFull it leaves
// that error as it is.
func readChunk(r io.Reader, buf []byte) (n int, err error) {
	for n < len(buf) && err == nil {
		var k int
		k, err = r.Read(buf[n:])
		n += k
	}
	return n, err
}

func (a *readAhead) Read(p []byte) (int, error) {
	for len(a.cur) == 0 {
		if a.own != nil {
			a.free <- a.own
			a.own = nil
		}
		chunk, ok := <-a.full
		if !ok {
			return 0, a.err
		}
		a.own, a.cur = chunk, chunk
	}
	n := copy(p, a.cur)
	a.cur = a.cur[n:]
	return n, nil
}

// Close waits until the goroutine is done.
func (a *readAhead) Close() {
	close(a.stop)
	for range a.full {
	}
}
