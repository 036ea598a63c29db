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

// daemonWire builds what a daemon sends from numbers (int) and strings.
func daemonWire(values ...any) []byte {
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

// daemonScript is a fake daemon's side of a conversation: it reads a number of bytes, then sends.
type daemonScript []struct {
	read int
	send []byte
}

// serveDaemon plays the script to one client and returns the socket and what was read.
func serveDaemon(t *testing.T, s daemonScript) (socket string, read func() []byte) {
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

// daemonHello is a script for the handshake with a daemon of protocol 1.minor that sends after it.
func daemonHello(minor int, after ...any) daemonScript {
	return daemonScript{{16, daemonWire(workerMagicDaemon, 1<<8|minor)}, {16, daemonWire(after...)}}
}

// daemonAnswer is a script that answers one question about knownPath or unknownPath.
func daemonAnswer(answer ...any) daemonScript {
	return daemonScript{{8 + 8 + 64, daemonWire(answer...)}}
}

const (
	knownPath   = "/nix/store/05bhv04knbhf3xw7yh007czpl3f6l1f5-known-path-1.2.3.45"
	unknownPath = "/nix/store/0xn1qizyj0b1dnbb2zdaz28kq93a1nsk-unknown-path-1.2.3.4"
)

func TestQueryDaemon(t *testing.T) {
	chatter := daemonWire(
		stderrNext, "a message",
		stderrStartActivity, 7, 3, 101, "building", 2, 0, 12, 1, "a field", 0,
		stderrResult, 7, 105, 1, 1, "text",
		stderrStopActivity, 7)
	for _, c := range []struct {
		name   string
		script daemonScript
		want   Daemon
	}{
		{"1.38", daemonHello(38, "2.34.8", 2, stderrLast), Daemon{Protocol: "1.38", Version: "2.34.8"}},
		{"1.39, trusted", daemonHello(39, "2.36.0", 1, stderrLast), Daemon{Protocol: "1.39", Version: "2.36.0", Trusted: true}},
		{"1.35, unknown trust", daemonHello(35, "2.15", 0, stderrLast), Daemon{Protocol: "1.35", Version: "2.15"}},
		{"1.34", daemonHello(34, "2.8.0", stderrLast), Daemon{Protocol: "1.34", Version: "2.8.0"}},
		{"1.33", daemonHello(33, "2.7.0", stderrLast), Daemon{Protocol: "1.33", Version: "2.7.0"}},
		{"1.32", daemonHello(32, stderrLast), Daemon{Protocol: "1.32"}},
		{"1.18", daemonHello(18, stderrLast), Daemon{Protocol: "1.18"}},
		{"chatter", daemonHello(38, "2.34.8", 2, chatter, stderrLast), Daemon{Protocol: "1.38", Version: "2.34.8"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := append(c.script, daemonAnswer(stderrLast, 1)...)
			s = append(s, daemonAnswer(chatter, stderrLast, 0)...)
			socket, read := serveDaemon(t, s)
			got, err := QueryDaemon(t.Context(), socket, []string{knownPath, unknownPath})
			c.want.Unknown = []string{unknownPath}
			if err != nil || fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", c.want) {
				t.Errorf("got %+v, %v; want %+v", got, err, c.want)
			}
			want := daemonWire(workerMagicClient, 1<<8|35, 0, 0, 1, knownPath, 1, unknownPath)
			if sent := read(); !slices.Equal(sent, want) {
				t.Errorf("sent %x\nwant %x", sent, want)
			}
		})
	}
}

func TestQueryDaemonErrors(t *testing.T) {
	ok := daemonHello(38, "2.34.8", 2, stderrLast)
	for _, c := range []struct {
		name   string
		script daemonScript
		want   string
	}{
		{"hangs up at once", daemonScript{}, ""},
		{"hangs up within a number", daemonScript{{16, []byte{1, 2}}}, "unexpected EOF"},
		{"another server", daemonScript{{16, []byte("HTTP/1.1 400 Bad Request")}}, "not that of a Nix daemon"},
		{"too old", daemonHello(17), "protocol 1.17 is not known"},
		{"other major", daemonScript{{16, daemonWire(workerMagicDaemon, 2<<8|38)}}, "protocol 2.38 is not known"},
		{"huge string", daemonHello(38, appendWire(nil, 1<<63)), "a string is 9223372036854775808 bytes long"},
		{"string cut off", daemonHello(38, 20, "x"), "unexpected EOF"},
		{"unknown message", daemonHello(38, "2.34.8", 2, 0x1234), "message 0x1234 is not known"},
		{"wants input", daemonHello(38, "2.34.8", 2, 0x64617461), "message 0x64617461 is not known"},
		{"unknown field", daemonHello(38, "2.34.8", 2, stderrResult, 1, 2, 1, 9), "field type 9 is not known"},
		{"endless fields", daemonHello(38, "2.34.8", 2, stderrResult, 1, 2, -1, 0, 0), "unexpected EOF"},
		{"endless traces", daemonHello(38, "2.34.8", 2, stderrError, "Error", 0, "", "text", 0, -1, 0, "x"), "unexpected EOF"},
		{"refusal in the new form", daemonHello(38, "2.34.8", 2, stderrError, "Error", 0, "Error", "\x1b[31;1muser 'x' may not\x1b[0m\a\n", 0, 1, 0, "trace"), ": user 'x' may not"},
		{"refusal in the old form", daemonHello(25, stderrError, "you may not", 1), ": you may not"},
		{"error of a path", append(ok, daemonAnswer(stderrError, "Error", 0, "Error", "no good", 0, 0)...), "checking " + knownPath + ": no good"},
		{"neither yes nor no", append(ok, daemonAnswer(stderrLast, 2)...), "neither yes nor no"},
		{"much chatter", append(daemonHello(38, "2.34.8", 2, bytes.Repeat(daemonWire(stderrNext, strings.Repeat("x", 1<<16)), 200), stderrLast), daemonAnswer(stderrLast, 1)...), "unexpected EOF"},
	} {
		t.Run(c.name, func(t *testing.T) {
			socket, _ := serveDaemon(t, c.script)
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
	socket, read := serveDaemon(t, nil)
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
	silent := daemonScript{{1 << 20, nil}} // reads and never answers
	t.Run("cancelled", func(t *testing.T) {
		socket, _ := serveDaemon(t, silent)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(10*time.Millisecond, cancel)
		if _, err := QueryDaemon(ctx, socket, nil); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	t.Run("deadline", func(t *testing.T) {
		socket, _ := serveDaemon(t, silent)
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
		socket, _ := serveDaemon(t, silent)
		start := time.Now()
		if _, err := QueryDaemon(t.Context(), socket, nil); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error(err)
		}
		if d := time.Since(start); d < daemonTimeout || d > 2*daemonTimeout {
			t.Errorf("took %v", d)
		}
	})
}
