package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// wire builds what a daemon sends from numbers (int) and strings.
func wire(values ...any) []byte {
	var b []byte
	for _, v := range values {
		switch v := v.(type) {
		case int:
			b = appendWire(b, uint64(v))
		case string:
			b = appendWireString(b, v)
		case []byte:
			b = append(b, v...)
		}
	}
	return b
}

// script is a fake daemon's side of a conversation: it reads a number of bytes, then sends.
type script []struct {
	read int
	send []byte
}

// serveScript plays the script to one client and returns the socket and what was read.
func serveScript(t *testing.T, s script) (socket string, read func() []byte) {
	t.Helper()
	dir, err := os.MkdirTemp("", "d") // t.TempDir may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	socket = filepath.Join(dir, "socket")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	var wg sync.WaitGroup
	wg.Go(func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		for _, part := range s {
			if _, err := io.CopyN(&got, conn, int64(part.read)); err != nil {
				return
			}
			if _, err := conn.Write(part.send); err != nil {
				return
			}
		}
	})
	finish := func() {
		_ = l.Close()
		wg.Wait()
	}
	t.Cleanup(func() {
		finish()
		_ = os.RemoveAll(dir)
	})
	return socket, func() []byte { finish(); return got.Bytes() }
}

// hello is a script for the handshake with a daemon of protocol 1.minor that sends after it.
func hello(minor int, after ...any) script {
	return script{{16, wire(workerMagicDaemon, 1<<8|minor)}, {16, wire(after...)}}
}

func isValid(answer ...any) script {
	return script{{8 + 8 + 64, wire(answer...)}}
}

const (
	knownPath   = "/nix/store/05bhv04knbhf3xw7yh007czpl3f6l1f5-known-path-1.2.3.45"
	unknownPath = "/nix/store/0xn1qizyj0b1dnbb2zdaz28kq93a1nsk-unknown-path-1.2.3.4"
)

func TestQueryDaemon(t *testing.T) {
	chatter := wire(
		stderrNext, "a message",
		stderrStartActivity, 7, 3, 101, "building", 2, 0, 12, 1, "a field", 0,
		stderrResult, 7, 105, 1, 1, "text",
		stderrStopActivity, 7)
	for _, c := range []struct {
		name   string
		script script
		want   Daemon
	}{
		{"1.38", hello(38, "2.34.8", 2, stderrLast), Daemon{Protocol: "1.38", Version: "2.34.8"}},
		{"1.39, trusted", hello(39, "2.36.0", 1, stderrLast), Daemon{Protocol: "1.39", Version: "2.36.0", Trusted: true}},
		{"1.35, unknown trust", hello(35, "2.15", 0, stderrLast), Daemon{Protocol: "1.35", Version: "2.15"}},
		{"1.34", hello(34, "2.8.0", stderrLast), Daemon{Protocol: "1.34", Version: "2.8.0"}},
		{"1.33", hello(33, "2.7.0", stderrLast), Daemon{Protocol: "1.33", Version: "2.7.0"}},
		{"1.32", hello(32, stderrLast), Daemon{Protocol: "1.32"}},
		{"1.18", hello(18, stderrLast), Daemon{Protocol: "1.18"}},
		{"chatter", hello(38, "2.34.8", 2, chatter, stderrLast), Daemon{Protocol: "1.38", Version: "2.34.8"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := append(c.script, isValid(stderrLast, 1)...)
			s = append(s, isValid(chatter, stderrLast, 0)...)
			socket, read := serveScript(t, s)
			got, err := QueryDaemon(t.Context(), socket, []string{knownPath, unknownPath})
			c.want.Unknown = []string{unknownPath}
			if err != nil || fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", c.want) {
				t.Errorf("got %+v, %v; want %+v", got, err, c.want)
			}
			want := wire(workerMagicClient, 1<<8|35, 0, 0, 1, knownPath, 1, unknownPath)
			if sent := read(); !slices.Equal(sent, want) {
				t.Errorf("sent %x\nwant %x", sent, want)
			}
		})
	}
}

func TestQueryDaemonErrors(t *testing.T) {
	ok := hello(38, "2.34.8", 2, stderrLast)
	for _, c := range []struct {
		name   string
		script script
		want   string
	}{
		{"hangs up at once", script{}, ""},
		{"hangs up within a number", script{{16, []byte{1, 2}}}, "unexpected EOF"},
		{"another server", script{{16, []byte("HTTP/1.1 400 Bad Request")}}, "not that of a Nix daemon"},
		{"too old", hello(17), "protocol 1.17 is not known"},
		{"other major", script{{16, wire(workerMagicDaemon, 2<<8|38)}}, "protocol 2.38 is not known"},
		{"huge string", hello(38, appendWire(nil, 1<<63)), "a string is 9223372036854775808 bytes long"},
		{"string cut off", hello(38, 20, "x"), "unexpected EOF"},
		{"unknown message", hello(38, "2.34.8", 2, 0x1234), "message 0x1234 is not known"},
		{"wants input", hello(38, "2.34.8", 2, 0x64617461), "message 0x64617461 is not known"},
		{"unknown field", hello(38, "2.34.8", 2, stderrResult, 1, 2, 1, 9), "field type 9 is not known"},
		{"endless fields", hello(38, "2.34.8", 2, stderrResult, 1, 2, -1, 0, 0), "unexpected EOF"},
		{"endless traces", hello(38, "2.34.8", 2, stderrError, "Error", 0, "", "text", 0, -1, 0, "x"), "unexpected EOF"},
		{"refusal in the new form", hello(38, "2.34.8", 2, stderrError, "Error", 0, "Error", "\x1b[31;1muser 'x' may not\x1b[0m\a\n", 0, 1, 0, "trace"), ": user 'x' may not"},
		{"refusal in the old form", hello(25, stderrError, "you may not", 1), ": you may not"},
		{"error of a path", append(ok, isValid(stderrError, "Error", 0, "Error", "no good", 0, 0)...), "checking " + knownPath + ": no good"},
		{"neither yes nor no", append(ok, isValid(stderrLast, 2)...), "neither yes nor no"},
		{"much chatter", append(hello(38, "2.34.8", 2, bytes.Repeat(wire(stderrNext, strings.Repeat("x", 1<<16)), 200), stderrLast), isValid(stderrLast, 1)...), "unexpected EOF"},
	} {
		t.Run(c.name, func(t *testing.T) {
			socket, _ := serveScript(t, c.script)
			got, err := QueryDaemon(t.Context(), socket, []string{knownPath})
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.ContainsAny(err.Error(), "\x1b\a") {
				t.Errorf("%v, want %q", err, c.want)
			}
			if got.Protocol != "" {
				t.Errorf("%+v with an error", got)
			}
		})
	}
}

func TestQueryDaemonUnreachable(t *testing.T) {
	socket, read := serveScript(t, nil)
	read() // closes it, and removes the socket
	if _, err := QueryDaemon(t.Context(), socket, nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no socket: %v", err)
	}
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	_ = l.Close()
	if _, err := QueryDaemon(t.Context(), socket, nil); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("nobody listens: %v", err)
	}
}

func TestQueryDaemonSilent(t *testing.T) {
	silent := script{{1 << 20, nil}} // reads and never answers
	t.Run("cancelled", func(t *testing.T) {
		socket, _ := serveScript(t, silent)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(10*time.Millisecond, cancel)
		if _, err := QueryDaemon(ctx, socket, nil); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	t.Run("deadline", func(t *testing.T) {
		socket, _ := serveScript(t, silent)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		if _, err := QueryDaemon(ctx, socket, nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
	t.Run("cap", func(t *testing.T) {
		if testing.Short() {
			t.Skip("takes 3 s")
		}
		t.Parallel()
		socket, _ := serveScript(t, silent)
		start := time.Now()
		if _, err := QueryDaemon(t.Context(), socket, nil); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error(err)
		}
		if d := time.Since(start); d < daemonTimeout || d > 2*daemonTimeout {
			t.Errorf("took %v", d)
		}
	})
}
