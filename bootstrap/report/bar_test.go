package report

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"movein/bootstrap"
)

// terminal is what a terminal shows of what is written to it: it knows newline,
// carriage return, "erase to the end of the line" and colours.
type terminal struct {
	width int
	rows  []string
	row   []rune
	col   int
	seen  []string // every state of the last row that was left standing after a Write
	fault string
}

func (m *terminal) Write(p []byte) (int, error) {
	for s := string(p); s != ""; {
		switch {
		case strings.HasPrefix(s, "\x1b[K"):
			m.row = m.row[:m.col]
			s = s[len("\x1b[K"):]
			continue
		case s[0] == '\x1b':
			end := strings.IndexByte(s, 'm')
			if end < 0 || end > 7 {
				m.fault = fmt.Sprintf("unknown sequence in %q", s)
				return len(p), nil
			}
			s = s[end+1:]
			continue
		}
		r := []rune(s)[0]
		s = s[len(string(r)):]
		switch r {
		case '\n':
			m.rows = append(m.rows, string(m.row))
			m.row, m.col = nil, 0
		case '\r':
			m.col = 0
		default:
			m.row = append(m.row[:m.col], r)
			m.col++
		}
	}
	if columns(string(m.row)) >= m.width {
		m.fault = fmt.Sprintf("status line %q reaches the last column", string(m.row))
	}
	if line := string(m.row); line != "" && (len(m.seen) == 0 || m.seen[len(m.seen)-1] != line) {
		m.seen = append(m.seen, line)
	}
	return len(p), nil
}

func (m *terminal) text() string {
	return strings.Join(append(m.rows, string(m.row)), "\n")
}

func TestTerminalEndsAsText(t *testing.T) {
	for name, p := range tapes() {
		for _, width := range []int{40, 60, 80, 200} {
			for _, color := range []bool{false, true} {
				o := TextOptions{Unicode: true, Color: color, DryRun: name == "plan"}
				var raw bytes.Buffer
				m := &terminal{width: width}
				p.play(Terminal(io.MultiWriter(m, &raw), o, width))
				want := &terminal{width: 1 << 20}
				o.Width = width
				text := newText(want, o)
				p.play(text.event)
				if m.fault != "" {
					t.Errorf("%s at %d: %s", name, width, m.fault)
				}
				if m.text() != want.text() {
					t.Errorf("%s at %d: the terminal ends as\n%s\nwant\n%s", name, width, m.text(), want.text())
				}
			}
		}
	}
}

func TestTerminalStatusLines(t *testing.T) {
	for look, o := range map[string]TextOptions{"txt": {Unicode: true}, "ascii.txt": {}} {
		for _, width := range []int{60, 80} {
			m := &terminal{width: width}
			freshRun().play(Terminal(m, o, width))
			for _, line := range m.seen {
				if columns(line) >= width {
					t.Errorf("%q has %d columns", line, columns(line))
				}
			}
			golden(t, fmt.Sprintf("status%d.%s", width, look), []byte(strings.Join(m.seen, "\n")+"\n"))
		}
	}
}

func TestTerminalWithoutRunningStepsPrintsNoControls(t *testing.T) {
	var b bytes.Buffer
	lockedOut().play(Terminal(&b, TextOptions{Unicode: true}, 80))
	freshRun().play(Terminal(&b, TextOptions{}, minWidth-1))
	if strings.ContainsAny(b.String(), "\x1b\r") {
		t.Errorf("%q", b.String())
	}
}

func TestTerminalRedrawsAtMostTenTimesASecond(t *testing.T) {
	w := &countWriter{}
	sink := Terminal(w, TextOptions{}, 80)
	p := newTape().step(0, "nix-install", bootstrap.Running, "")
	for i := range int64(5000) {
		p.progress(ms, "nix-install", i*1000, 5_000_000, "bytes")
	}
	p.play(sink)
	if w.n > 52 {
		t.Errorf("%d writes in 5 seconds", w.n)
	}
}

type countWriter struct{ n int }

func (w *countWriter) Write(p []byte) (int, error) { w.n++; return len(p), nil }

func TestTerminalIsFreeWhileAskingForSomething(t *testing.T) {
	m := &terminal{width: 80}
	sink := Terminal(m, TextOptions{}, 80)
	p := newTape()
	send := func(e bootstrap.Event) {
		e.Time = p.now
		p.now = p.now.Add(time.Second)
		sink(e)
	}
	send(bootstrap.Event{Event: "step", Step: "vault", Status: bootstrap.Running})
	send(bootstrap.Event{Event: "step", Step: "clone", Status: bootstrap.Applying})
	if got := string(m.row); got != "  vault + clone" {
		t.Fatalf("status line %q", got)
	}
	send(bootstrap.Event{Event: "question", Step: "vault"})
	for done := range int64(3) {
		send(bootstrap.Event{Event: "progress", Step: "clone", Done: done, Total: 9})
		if got := string(m.row); got != "" {
			t.Fatalf("status line %q while asking", got)
		}
	}
	send(bootstrap.Event{Event: "step", Step: "vault", Status: bootstrap.Applying})
	if got := string(m.row); !strings.HasPrefix(got, "  clone  22% [====>") {
		t.Fatalf("status line %q after asking", got)
	}
	send(bootstrap.Event{Event: "summary"})
	if got := string(m.row); got != "" {
		t.Fatalf("status line %q at the end", got)
	}
}
