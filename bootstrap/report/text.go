package report

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/sirupsen/logrus"

	"movein/bootstrap"
)

// TextOptions say how Text looks and how much it tells. The zero value is plain
// ASCII in 80 columns.
type TextOptions struct {
	Color   bool   // with ANSI colours
	Unicode bool   // with signs that are not ASCII
	Verbose bool   // every step and every change, whatever they are
	DryRun  bool   // as a plan: at the end, in the order in which the steps began
	Level   string // "error", "warn", "info" (also ""), "debug", "trace"; debug is verbose
	Width   int    // columns to wrap at; 0: 80
	Home    string // the home directory, shown as ~; "": as it is
}

// Text returns a sink that writes lines for people, one or more for each step
// when it is done, and a sentence at the end. It writes whole lines only.
// Progress of what takes long is told at each quarter or every ten seconds.
func Text(w io.Writer, o TextOptions) bootstrap.Sink {
	t := newText(w, o)
	t.progress = true
	return t.event
}

// The columns of a line: title, what happened, seconds.
const (
	titleColumns = 28
	wordsColumns = 34
)

// maxChanges is how many changes of a step are listed unless all are asked for.
const maxChanges = 8

type text struct {
	style
	log      *logrus.Logger
	o        TextOptions
	cut      int  // columns after which a line of a difference is cut
	progress bool // with lines for progress

	steps   map[string]*step
	order   []string // of steps, by their first event
	printed bool     // something was written
	gap     bool     // an empty line comes before what is written next
}

// step is what was told of a step so far.
type step struct {
	name, title string
	began       time.Time // the first event
	change      bootstrap.Change
	end         bootstrap.Event // the final event
	meter       meter
	told        time.Time // the last line of progress
	quarter     int64     // that it told
}

func newText(w io.Writer, o TextOptions) *text {
	level, err := parseLevel(o.Level)
	if err != nil || o.Level == "" && o.Verbose {
		level = logrus.DebugLevel
	}
	o.Verbose = o.Verbose || level >= logrus.DebugLevel
	edge := o.Width
	if o.Width <= 0 {
		o.Width, edge = 80, 200
	}
	o.Width = min(o.Width, 100)
	return &text{
		style: newStyle(o.Color, o.Unicode),
		log:   newLogger(w, level, lines{}),
		o:     o,
		cut:   edge,
		steps: map[string]*step{},
	}
}

// event is the sink.
func (t *text) event(e bootstrap.Event) {
	e.Reason, e.Hint, e.Title = t.homely(clean(e.Reason)), t.homely(clean(e.Hint)), clean(e.Title)
	if !t.o.Unicode {
		e.Reason, e.Hint = ASCII(e.Reason), ASCII(e.Hint)
	}
	e.Change = t.tidy(e.Change)
	switch e.Event {
	case "step":
		t.step(e)
	case "progress":
		if t.progress {
			t.tellProgress(e)
		}
	case "warning":
		t.say(logrus.WarnLevel, t.block(yellow, t.marks.warn, t.of(e).title, e.Reason, e.Hint, ""))
	case "question":
		if e.Reason != "" {
			t.say(logrus.InfoLevel, t.block(cyan, t.marks.ask, t.of(e).title, e.Reason, e.Hint, ""))
		}
	case "summary":
		t.summary(e)
	}
}

// tidy returns a change with the home directory as ~, in signs that can be shown.
func (t *text) tidy(change bootstrap.Change) bootstrap.Change {
	out := slices.Clone(change)
	for i, a := range change {
		out[i].Target, out[i].Reason = t.homely(a.Target), t.homely(a.Reason)
		if ofHome(a) { // the whole is one name, whatever is in it
			out[i].Target, out[i].Source = t.below(a.Target), t.below(a.Source)
		}
		if !t.o.Unicode {
			out[i].Reason = ASCII(out[i].Reason)
		}
	}
	return out
}

// of returns the step that an event is of.
func (t *text) of(e bootstrap.Event) *step {
	if e.Step == "" {
		return &step{}
	}
	s := t.steps[e.Step]
	if s == nil {
		s = &step{name: clean(e.Step), title: clean(e.Step), began: e.Time}
		t.steps[e.Step] = s
		t.order = append(t.order, e.Step)
	}
	if e.Title != "" {
		s.title = e.Title
	}
	return s
}

// say writes one or more lines.
func (t *text) say(level logrus.Level, message string) {
	if message == "" || !t.log.IsLevelEnabled(level) {
		return
	}
	if t.gap && t.printed {
		message = "\n" + message
	}
	t.printed, t.gap = true, false
	t.log.Log(level, message)
}

func (t *text) step(e bootstrap.Event) {
	s := t.of(e)
	if len(e.Change) > 0 {
		s.change = e.Change
	}
	if !e.Status.Final() {
		if e.Status == bootstrap.Running {
			s.began = e.Time
		}
		return
	}
	s.end = e
	if t.o.DryRun {
		return
	}
	took := ""
	if d := e.Time.Sub(s.began); d >= time.Second {
		took = duration(d)
	}
	switch e.Status {
	case bootstrap.Changed:
		t.say(logrus.InfoLevel, t.changed(s, took))
	case bootstrap.Unchanged:
		t.say(logrus.DebugLevel, t.head(dim, t.marks.ok, s.title, "nothing to do", took))
	case bootstrap.Skipped:
		t.say(logrus.DebugLevel, t.block(dim, t.marks.none, s.title, "skipped: "+e.Reason, "", ""))
	case bootstrap.Waiting:
		t.say(logrus.WarnLevel, t.block(yellow, t.marks.wait, s.title, e.Reason, e.Hint, took))
	case bootstrap.Failed:
		t.say(logrus.ErrorLevel, t.block(red, t.marks.fail, s.title, e.Reason, e.Hint, took))
	case bootstrap.Blocked:
		t.say(logrus.DebugLevel, t.block(dim, t.marks.none, s.title, "not done: "+e.Reason, "", ""))
	}
}

// head returns the first line of a step.
func (t *text) head(color, mark, title, words, took string) string {
	line := "  " + t.paint(color, mark) + " "
	if words == "" && took == "" {
		return line + title
	}
	line += pad(title, titleColumns) + "  "
	if color == dim {
		words = t.paint(dim, pad(words, wordsColumns))
	} else {
		words = pad(words, wordsColumns)
	}
	if took == "" {
		return line + strings.TrimRight(words, " ")
	}
	return line + words + "  " + t.paint(dim, fmt.Sprintf("%7s", took))
}

// room is how many columns the words in a head have.
func (t *text) room() int { return t.o.Width - t.indent - titleColumns - 2 }

// block returns a head with its reason, below it if that is long, and the hint.
func (t *text) block(color, mark, title, reason, hint, took string) string {
	var out []string
	switch {
	case title == "":
		out = wrap(reason, t.o.Width-t.indent)
		out = append([]string{t.head(color, mark, out[0], "", "")}, t.indented(out[1:], t.indent)...)
	case columns(reason) <= t.room() && !strings.Contains(reason, "\n") && (took == "" || columns(reason) <= wordsColumns):
		out = append(out, t.head(color, mark, title, reason, took))
	default:
		out = append(out, t.head(color, mark, title, "", took))
		out = append(out, t.indented(wrap(reason, t.o.Width-t.indent-2), t.indent+2)...)
	}
	return strings.Join(append(out, t.hint(hint)...), "\n")
}

// hint returns the lines of a hint: its arrow, then the text beside it.
func (t *text) hint(hint string) []string {
	if hint == "" {
		return nil
	}
	arrow := t.marks.arrow + " "
	at := t.indent + 2 + columns(arrow)
	out := t.indented(wrap(hint, t.o.Width-at), at)
	out[0] = strings.Repeat(" ", t.indent+2) + t.paint(cyan, t.marks.arrow) + " " + strings.TrimLeft(out[0], " ")
	return out
}

// homely shows the home directory as ~ where a shell would read it so.
func (t *text) homely(s string) string {
	if t.o.Home == "" || t.o.Home == "/" || !strings.Contains(s, t.o.Home+"/") {
		return s
	}
	for _, before := range []string{" ", "(", "\n"} {
		s = strings.ReplaceAll(s, before+t.o.Home+"/", before+"~/")
	}
	return t.below(s)
}

// below shows the home directory that a name begins with as ~.
func (t *text) below(name string) string {
	if rest, ok := strings.CutPrefix(name, t.o.Home+"/"); ok && len(t.o.Home) > 1 {
		return "~/" + rest
	}
	return name
}

func (t *text) indented(lines []string, n int) []string {
	out := make([]string, len(lines))
	for i, line := range lines {
		out[i] = strings.TrimRight(strings.Repeat(" ", n)+line, " ")
	}
	return out
}
