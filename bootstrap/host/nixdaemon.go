package host

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// The Nix worker protocol, from src/libstore/include/nix/store/worker-protocol.hh
// and src/libstore/worker-protocol-connection.cc of Nix. Everything on the wire
// is a 64-bit little-endian number, or a string: its length, its bytes, and
// zeros up to a multiple of 8.
const (
	workerMagicClient = 0x6e697863 // WORKER_MAGIC_1
	workerMagicDaemon = 0x6478696f // WORKER_MAGIC_2

	stderrNext          = 0x6f6c6d67
	stderrLast          = 0x616c7473
	stderrError         = 0x63787470
	stderrStartActivity = 0x53545254
	stderrStopActivity  = 0x53544f50
	stderrResult        = 0x52534c54

	workerOpIsValidPath = 1
)

// workerMinor is the minor version 1.x that QueryDaemon announces: the first in
// which the daemon tells whether it trusts us, and before 1.38, with which lists
// of features are exchanged. Daemons speak the lower one of theirs and ours.
const workerMinor = 35

// workerMinorMin is the oldest minor version that QueryDaemon speaks, as
// MINIMUM_PROTOCOL_VERSION of Nix 2.36 has it.
const workerMinorMin = 18

// Bounds of a conversation with a daemon.
const (
	daemonTimeout   = 3 * time.Second
	maxDaemonBytes  = 8 << 20 // all that the daemon sends
	maxDaemonString = 1 << 20
)

// QueryDaemon says hello to the Nix daemon on the unix socket and asks it which
// of the store paths it does not know, each in at most 3 s. It speaks protocol 1.18
// and newer (Nix 2.0 and newer) and changes nothing.
//
// Protocol is what the daemon announced. Version is "" before protocol 1.33
// (Nix 2.7), Trusted is false before 1.35 (Nix 2.15), in which the daemon does
// not tell. Unknown is in the order of paths.
//
// Errors: those of package net (fs.ErrNotExist: no socket; syscall.ECONNREFUSED:
// nobody listens), os.ErrDeadlineExceeded after 3 s, ctx's, and what the daemon
// answers, in its words.
func QueryDaemon(ctx context.Context, socket string, paths []string) (Daemon, error) {
	w, d, err := dialDaemon(ctx, socket)
	if err != nil {
		return Daemon{}, explainDaemon(ctx, socket, err)
	}
	defer w.conn.Close()
	if d.Unknown, err = w.ask(ctx, paths); err != nil {
		return Daemon{}, explainDaemon(ctx, socket, err)
	}
	return d, nil
}

func explainDaemon(ctx context.Context, socket string, err error) error {
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	return fmt.Errorf("asking the Nix daemon on %s: %w", socket, err)
}

// dialDaemon connects and says hello.
func dialDaemon(ctx context.Context, socket string) (*workerConn, Daemon, error) {
	dialer := net.Dialer{Timeout: daemonTimeout}
	conn, err := dialer.DialContext(ctx, "unix", socket)
	if err != nil {
		return nil, Daemon{}, err
	}
	w := &workerConn{conn: conn, r: bufio.NewReader(io.LimitReader(conn, maxDaemonBytes))}
	defer w.hurry(ctx)()
	d, err := w.hello()
	if err != nil {
		conn.Close()
		return nil, d, fmt.Errorf("saying hello: %w", err)
	}
	return w, d, nil
}

// ask returns those of the paths that are not valid.
func (w *workerConn) ask(ctx context.Context, paths []string) (unknown []string, err error) {
	defer w.hurry(ctx)()
	for _, path := range paths {
		valid, err := w.isValidPath(path)
		if err != nil {
			return nil, fmt.Errorf("checking %s: %w", path, err)
		}
		if !valid {
			unknown = append(unknown, path)
		}
	}
	return unknown, nil
}

// hurry bounds what follows by daemonTimeout and ctx, until done is called.
func (w *workerConn) hurry(ctx context.Context) (done func()) {
	if err := w.conn.SetDeadline(time.Now().Add(daemonTimeout)); err != nil {
		w.fail(err)
	}
	stop := context.AfterFunc(ctx, func() { _ = w.conn.SetDeadline(time.Unix(1, 0)) })
	return func() { stop() }
}

// workerConn is a connection to a daemon. After the first error err stays.
type workerConn struct {
	conn  net.Conn
	r     *bufio.Reader
	minor uint64 // the protocol spoken is 1.minor
	err   error
}

// hello shakes hands, up to where operations may be sent.
func (w *workerConn) hello() (Daemon, error) {
	w.send(appendWire(nil, workerMagicClient, 1<<8|workerMinor))
	if magic := w.int(); w.err == nil && magic != workerMagicDaemon {
		return Daemon{}, errors.New("the answer is not that of a Nix daemon")
	}
	version := w.int()
	if w.err != nil {
		return Daemon{}, w.err
	}
	major, minor := version>>8, version&0xff
	d := Daemon{Protocol: fmt.Sprintf("%d.%d", major, minor)}
	if major != 1 || minor < workerMinorMin {
		return d, fmt.Errorf("protocol %s is not known, only 1.%d and later 1.x", d.Protocol, workerMinorMin)
	}
	w.minor = min(minor, workerMinor)
	w.send(appendWire(nil, 0, 0)) // no CPU affinity, no reserved space; both obsolete
	if w.minor >= 33 {
		d.Version = w.str()
	}
	if w.minor >= 35 {
		d.Trusted = w.int() == 1 // 0: unknown, 2: no
	}
	w.drain()
	return d, w.err
}

func (w *workerConn) isValidPath(path string) (bool, error) {
	w.send(appendWireString(appendWire(nil, workerOpIsValidPath), path))
	w.drain()
	valid := w.int()
	if w.err == nil && valid > 1 {
		w.err = fmt.Errorf("the answer %d is neither yes nor no", valid)
	}
	return valid == 1, w.err
}

// drain reads what the daemon has to tell besides the answer, up to where the
// answer begins. An error that it tells becomes w.err.
func (w *workerConn) drain() {
	for w.err == nil {
		switch msg := w.int(); msg {
		case stderrLast:
			return
		case stderrNext:
			w.str()
		case stderrStartActivity: // id, level, type, text, fields, parent
			w.ints(3)
			w.str()
			w.fields()
			w.ints(1)
		case stderrStopActivity: // id
			w.ints(1)
		case stderrResult: // id, type, fields
			w.ints(2)
			w.fields()
		case stderrError:
			w.daemonError()
		default: // asking for input and giving output belong to other operations
			w.fail(fmt.Errorf("message %#x is not known", msg))
		}
	}
}

// daemonError reads an error and makes it w.err.
func (w *workerConn) daemonError() {
	var text string
	if w.minor < 26 {
		text = w.str()
		w.ints(1) // exit status
	} else {
		w.str() // "Error"
		w.ints(1)
		w.str() // obsolete name
		text = w.str()
		w.ints(1) // whether there is a position: never
		for range w.int() {
			if w.ints(1); w.err != nil { // the same of a trace
				break
			}
			w.str()
		}
	}
	w.fail(errors.New(plainText(text)))
}

// plainText returns s without the colours that daemons put into messages
// (ESC [ … letter), and without other control characters.
func plainText(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if strings.HasPrefix(s[i:], "\x1b[") {
			for i += 2; i < len(s) && s[i] < '@'; i++ {
			}
			continue
		}
		if s[i] >= ' ' && s[i] != 0x7f || s[i] == '\n' {
			b.WriteByte(s[i])
		}
	}
	return strings.TrimSpace(b.String())
}

// fields reads a list of numbers and strings.
func (w *workerConn) fields() {
	for range w.int() {
		switch typ := w.int(); {
		case w.err != nil:
			return
		case typ == 0:
			w.ints(1)
		case typ == 1:
			w.str()
		default:
			w.fail(fmt.Errorf("field type %d is not known", typ))
		}
	}
}

func (w *workerConn) fail(err error) {
	if w.err == nil {
		w.err = err
	}
}

func (w *workerConn) send(b []byte) {
	if w.err == nil {
		_, w.err = w.conn.Write(b)
	}
}

// read fills b.
func (w *workerConn) read(b []byte) {
	if w.err != nil {
		return
	}
	_, err := io.ReadFull(w.r, b)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	w.err = err
}

// int reads a number; 0 after an error.
func (w *workerConn) int() uint64 {
	var b [8]byte
	if w.read(b[:]); w.err != nil {
		return 0
	}
	return binary.LittleEndian.Uint64(b[:])
}

// ints reads n numbers that are of no interest.
func (w *workerConn) ints(n int) {
	for range n {
		w.int()
	}
}

// str reads a string; "" after an error.
func (w *workerConn) str() string {
	n := w.int()
	if n > maxDaemonString {
		w.fail(fmt.Errorf("a string is %d bytes long", n))
	}
	if w.err != nil {
		return ""
	}
	b := make([]byte, (n+7)&^7)
	if w.read(b); w.err != nil {
		return ""
	}
	return string(b[:n])
}

func appendWire(b []byte, values ...uint64) []byte {
	for _, v := range values {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	return b
}

func appendWireString(b []byte, s string) []byte {
	b = append(appendWire(b, uint64(len(s))), s...)
	return append(b, make([]byte, -len(s)&7)...)
}
