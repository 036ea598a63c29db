package report

import (
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"

	"movein/bootstrap"
)

// minWidth is how many columns a terminal needs for a status line.
const minWidth = 40

// redraw is how long a status line stays when only figures in it change.
const redraw = 100 * time.Millisecond

// Terminal returns a sink that writes to a terminal of width columns: the lines
// of Text, and below them a status line with what is being done, and a bar for
// what has a known length. The line is gone after the summary, and while the
// step that sent a "question" has not sent anything else: whoever asks has the
// terminal for himself then. On less than 40 columns it is Text alone.
func Terminal(w io.Writer, o TextOptions, width int) bootstrap.Sink {
	if width < minWidth {
		return Text(w, o)
	}
	o.Width = width
	b := newBar(w, o, width)
	t := newText(b.screen, o)
	return func(e bootstrap.Event) {
		b.note(e)
		t.event(e)
		b.screen.refresh()
	}
}

// screen owns a terminal whose last line is the status line.
type screen struct {
	w io.Writer

	mu   sync.Mutex
	line string // the status line that is wanted; "": none
	on   string // the one that is on the terminal
	open bool   // the cursor is behind text that did not end with a newline
}

// erase goes to the first column and erases the line.
const erase = "\r\x1b[K"

// Write writes p above the status line, all in one write.
func (s *screen) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open = p[len(p)-1] != '\n'
	if err := s.put(string(p)); err != nil {
		return 0, err
	}
	return len(p), nil
}

// put replaces the status line by text and the wanted status line; s.mu is held.
func (s *screen) put(text string) error {
	if s.on != "" {
		text = erase + text
	}
	s.on = ""
	if !s.open {
		s.on = s.line
	}
	_, err := io.WriteString(s.w, text+s.on)
	return err
}

// want says what the status line is to be from the next write on.
func (s *screen) want(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.line = line
}

// refresh writes the status line if it is not the one that is wanted.
func (s *screen) refresh() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.on != s.line && !s.open {
		_ = s.put("")
	}
}

// bar makes the status line from events.
type bar struct {
	style
	screen *screen
	width  int
	theme  progressbar.Theme

	titles  map[string]string
	running []string // names of steps, the longest running first
	meters  map[string]*meter
	latest  string          // the step with the latest progress
	asking  map[string]bool // steps that asked and did not go on yet
	drawn   time.Time       // when the line last changed
}

func newBar(w io.Writer, o TextOptions, width int) *bar {
	theme := progressbar.Theme{Saucer: "=", SaucerHead: ">", SaucerPadding: ".", BarStart: "[", BarEnd: "]"}
	if o.Unicode {
		theme = progressbar.Theme{Saucer: "━", SaucerHead: "╸", SaucerPadding: "─"}
	}
	if o.Color {
		theme.BarStart += "\x1b[32m"
		theme.SaucerHead += "\x1b[0;2m"
		theme.BarEnd = "\x1b[0m" + theme.BarEnd
	}
	return &bar{
		style: newStyle(o.Color, o.Unicode), screen: &screen{w: w}, width: width, theme: theme,
		titles: map[string]string{}, meters: map[string]*meter{}, asking: map[string]bool{},
	}
}

// note takes an event in and says what the status line is to be.
func (b *bar) note(e bootstrap.Event) {
	if e.Title != "" {
		b.titles[e.Step] = oneLine(e.Title)
	}
	delete(b.asking, e.Step)
	switch e.Event {
	case "question":
		b.asking[e.Step] = true
	case "summary":
		b.running = nil
	case "progress":
		b.progress(e)
		if since := e.Time.Sub(b.drawn); since >= 0 && since < redraw {
			return
		}
	case "step":
		b.running = slices.DeleteFunc(b.running, func(name string) bool { return name == e.Step && e.Status.Final() })
		if !e.Status.Final() && e.Status != bootstrap.Pending && !slices.Contains(b.running, e.Step) {
			b.running = append(b.running, e.Step)
		}
	}
	b.drawn = e.Time
	if len(b.asking) > 0 || len(b.running) == 0 {
		b.screen.want("")
		return
	}
	b.screen.want(b.line(e.Time))
}

func (b *bar) progress(e bootstrap.Event) {
	m := b.meters[e.Step]
	if m == nil {
		m = &meter{}
		b.meters[e.Step] = m
	}
	m.note(e)
	b.latest = e.Step
}

// line returns the status line: the step with the latest progress, how far it
// is, and the names of the others.
func (b *bar) line(now time.Time) string {
	first := b.running[0]
	if slices.Contains(b.running, b.latest) {
		first = b.latest
	}
	left := "  " + b.title(first)
	var others []string
	for _, name := range b.running {
		if name != first {
			others = append(others, b.title(name))
		}
	}
	rest := ""
	if len(others) > 0 {
		rest = " " + b.marks.and + " " + strings.Join(others, ", ")
	}
	room := b.width - 1 - columns(left) // the last column stays free: some terminals wrap there
	m := b.meters[first]
	if m == nil || !m.active() {
		return cut(left, b.width-1, b.marks.more) + b.paint(dim, b.fit(rest, room))
	}
	words := "  " + m.words(now)
	room -= columns(words)
	gauge, rate := "", 0
	if m.unit == "bytes" {
		rate = rateColumns - columns(m.rate(now)) // it is not known at first
	}
	for _, n := range []int{24, 12, 6} { // few sizes, or the bar would breathe with the figures
		if m.total > 0 && room >= n+gaugeColumns+rate {
			gauge = b.gauge(m, n)
			room -= n + gaugeColumns
			break
		}
	}
	if room < 0 {
		return cut(left+words, b.width-1, b.marks.more)
	}
	return left + gauge + words + b.paint(dim, b.fit(rest, room))
}

// fit cuts s to n columns, to nothing if hardly anything would be left.
func (b *bar) fit(s string, n int) string {
	if columns(s) > n && n < 12 {
		return ""
	}
	return cut(s, n, b.marks.more)
}

func (b *bar) title(step string) string {
	if title := b.titles[step]; title != "" {
		return title
	}
	return oneLine(step)
}

// gaugeColumns is what stands around the bar of a gauge: " 100%", a space, brackets.
const gaugeColumns = 8

// rateColumns is what a rate can take: "  999.9 MB/s".
const rateColumns = 12

// gauge returns per cent and a bar of n columns.
func (b *bar) gauge(m *meter, n int) string {
	theme := b.theme
	if b.color && m.done < m.total/100 { // no head, which would end the green
		theme.BarStart += "\x1b[0;2m"
	}
	p := progressbar.NewOptions64(m.total,
		progressbar.OptionSetWriter(io.Discard),
		progressbar.OptionSetWidth(n),
		progressbar.OptionSetTheme(theme),
		progressbar.OptionSetPredictTime(false),
		progressbar.OptionSetElapsedTime(false))
	_ = p.Set64(m.done)
	_ = p.RenderBlank()
	return strings.TrimRight(strings.TrimPrefix(p.String(), "\r"), " ")
}
