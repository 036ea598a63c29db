package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// exits runs a command: exits CODE COMMAND…
func exits(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	code := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("%v", err)
		}
		code = exit.ExitCode()
	}
	if code != want {
		ts.Fatalf("exit code %d, not %d", code, want)
	}
}

// lines are the events on stdout. Every one must have what all events have.
func lines(ts *testscript.TestScript) (all []map[string]any) {
	dec := bufio.NewScanner(strings.NewReader(ts.ReadFile("stdout")))
	for dec.Scan() {
		var e map[string]any
		if err := json.Unmarshal(dec.Bytes(), &e); err != nil {
			ts.Fatalf("a line of stdout is no JSON object: %v: %s", err, dec.Text())
		}
		if _, err := time.Parse(time.RFC3339Nano, fmt.Sprint(e["time"])); err != nil || e["schema"] != 1.0 || e["event"] == nil {
			ts.Fatalf("an event without schema, time or event: %s", dec.Text())
		}
		all = append(all, e)
	}
	ts.Check(dec.Err())
	return all
}

// summary checks the last event: summary KEY=VALUE…, where VALUE is JSON or a word.
func summary(ts *testscript.TestScript, _ bool, args []string) {
	all := lines(ts)
	for i, e := range all {
		if (e["event"] == "summary") != (i == len(all)-1) {
			ts.Fatalf("event %d of %d is %v; the last one, and only that, is to be the summary", i+1, len(all), e["event"])
		}
	}
	if len(all) == 0 {
		ts.Fatalf("stdout is empty")
	}
	last := all[len(all)-1]
	for _, key := range []string{"changed", "failed", "reboot_required", "exit_code", "generation", "duration_ms"} {
		if _, ok := last[key]; !ok {
			ts.Fatalf("the summary has no %q", key)
		}
	}
	for _, arg := range args {
		key, want, _ := strings.Cut(arg, "=")
		got, err := json.Marshal(last[key])
		ts.Check(err)
		if text, isText := last[key].(string); string(got) != want && (!isText || text != want) {
			ts.Fatalf("the summary's %s is %s, not %s", key, got, want)
		}
	}
}

// varying is what differs between two runs that do the same.
var varying = regexp.MustCompile(`"time":"[^"]*"|"duration_ms":[0-9]+|store/[0-9a-z]{32}`)

// events writes stdout to a file, without what differs between runs.
func events(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: events FILE")
	}
	lines(ts)
	text := varying.ReplaceAllStringFunc(ts.ReadFile("stdout"), func(s string) string {
		end := strings.IndexAny(s, ":/") + 1
		return s[:end] + "…"
	})
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text), 0o644))
}

// tree is the state of every file below $ROOT.
func tree(ts *testscript.TestScript) map[string]string {
	all, root := map[string]string{}, ts.Getenv("ROOT")
	ts.Check(filepath.WalkDir(root, func(name string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		var st syscall.Stat_t
		if err := syscall.Lstat(name, &st); err != nil {
			return err
		}
		rel := strings.TrimPrefix(strings.TrimPrefix(name, root), "/")
		all[rel] = fmt.Sprintf("inode %d mode %o owner %d size %d written %d.%09d touched %d.%09d",
			st.Ino, st.Mode, st.Uid, st.Size, st.Mtim.Sec, st.Mtim.Nsec, st.Ctim.Sec, st.Ctim.Nsec)
		return nil
	}))
	return all
}

// taken is where a script's snapshots are among its values.
const taken = "snapshots"

// snapshots are trees by their names.
type snapshots map[string]map[string]string

// snapshot remembers $ROOT: snapshot NAME.
func snapshot(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: snapshot NAME")
	}
	ts.Value(taken).(snapshots)[args[0]] = tree(ts)
}

// unchanged compares $ROOT with a snapshot: unchanged NAME [PATH…].
func unchanged(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) == 0 {
		ts.Fatalf("usage: unchanged NAME [PATH…]")
	}
	before, after := ts.Value(taken).(snapshots)[args[0]], tree(ts)
	if before == nil {
		ts.Fatalf("there is no snapshot %q", args[0])
	}
	var diff []string
	for _, name := range slices.Sorted(maps.Keys(after)) {
		if before[name] != after[name] && !slices.Contains(args[1:], name) {
			diff = append(diff, fmt.Sprintf("%s: %s\n    now %s", name, before[name], after[name]))
		}
	}
	for name := range before {
		if after[name] == "" {
			diff = append(diff, name+": is gone")
		}
	}
	if len(diff) > 0 != neg {
		ts.Fatalf("unchanged %v is %v:\n%s", args, len(diff) == 0, strings.Join(diff, "\n"))
	}
}

// daemon plays the Nix daemon until the script ends.
func daemon(ts *testscript.TestScript, _ bool, _ []string) {
	socket := filepath.Join(ts.Getenv("ROOT"), "nix/var/nix/daemon-socket/socket")
	ts.Check(os.MkdirAll(filepath.Dir(socket), 0o755))
	l, err := net.Listen("unix", socket)
	ts.Check(err)
	ts.Check(os.Chmod(socket, 0o666))
	ts.Defer(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				answer(conn)
			}()
		}
	}()
}

// answer speaks the worker protocol 1.35 with one client: hello, and that every path
// is valid. See bootstrap/host/nixdaemon.go for the format and its source.
func answer(conn io.ReadWriter) {
	const magic, protocol, last = 0x6478696f, 1<<8 | 35, 0x616c7473
	words := func(n ...uint64) (b []byte) {
		for _, w := range n {
			b = binary.LittleEndian.AppendUint64(b, w)
		}
		return b
	}
	read := func(n int) []byte {
		b := make([]byte, n)
		if _, err := io.ReadFull(conn, b); err != nil {
			return nil
		}
		return b
	}
	if read(16) == nil {
		return
	}
	conn.Write(words(magic, protocol)) //nolint:errcheck // a client that is gone is no more served
	if read(16) == nil {
		return
	}
	version := append([]byte("2.34.7"), 0, 0)
	conn.Write(slices.Concat(words(6), version, words(2, last))) //nolint:errcheck // as above
	for {
		head := read(16) // the operation, and the length of the path
		if head == nil {
			return
		}
		n := int(binary.LittleEndian.Uint64(head[8:]))
		if path := read((n + 7) / 8 * 8); !bytes.HasPrefix(path, []byte("/nix/store/")) {
			return
		}
		conn.Write(words(last, 1)) //nolint:errcheck // as above
	}
}
