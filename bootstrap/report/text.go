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
	if o.Width <= 0 {
		o.Width = 80
	}
	o.Width = min(o.Width, 100)
	return &text{
		style: newStyle(o.Color, o.Unicode),
		log:   newLogger(w, level, lines{}),
		o:     o,
		steps: map[string]*step{},
	}
}

// event is the sink.
func (t *text) event(e bootstrap.Event) {
	e.Reason, e.Hint, e.Title = t.homely(clean(e.Reason)), t.homely(clean(e.Hint)), clean(e.Title)
	e.Change = slices.Clone(e.Change)
	for i, a := range e.Change {
		e.Change[i].Target, e.Change[i].Reason = t.homely(a.Target), t.homely(a.Reason)
	}
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
	if rest, ok := strings.CutPrefix(s, t.o.Home+"/"); ok {
		s = "~/" + rest
	}
	return s
}

func (t *text) indented(lines []string, n int) []string {
	out := make([]string, len(lines))
	for i, line := range lines {
		out[i] = strings.TrimRight(strings.Repeat(" ", n)+line, " ")
	}
	return out
}

// changed returns the lines of a step that changed something.
func (t *text) changed(s *step, took string) string {
	words := s.end.Reason
	if len(s.change) == 1 && words == "" {
		words = t.inLine(t.since(s.change)[0], took)
		if words != "" {
			return t.head(green, t.marks.ok, s.title, words, took)
		}
	}
	if words == "" {
		words = count(len(s.change), "change")
	}
	out := []string{t.head(green, t.marks.ok, s.title, words, took)}
	show := len(s.change)
	if show > maxChanges && !t.o.Verbose {
		show = maxChanges - 1
	}
	out = append(out, t.actions(t.since(s.change[:show]), past, func(int) string { return "  " })...)
	if more := len(s.change) - show; more > 0 {
		out = append(out, strings.Repeat(" ", t.indent+2)+t.paint(dim, fmt.Sprintf("%s and %d more (-v shows them)", t.marks.more, more)))
	}
	return strings.Join(out, "\n")
}

// outdated are the verbs whose reason says how it was before: it is of no use to
// who reads that it has been done.
var outdated = []string{"activate", "build", "download", "enable", "install", "relink", "replace", "start"}

// since returns the change as it reads once it was made.
func (t *text) since(change bootstrap.Change) bootstrap.Change {
	out := slices.Clone(change)
	for i := range out {
		if !t.o.Verbose && slices.Contains(outdated, out[i].Verb) {
			out[i].Reason = ""
		}
	}
	return out
}

// inLine returns a change in words that fit beside the title, "" if they do not.
func (t *text) inLine(a bootstrap.Action, took string) string {
	words, why := oneLine(past(a.Verb)+" "+a.Target), ""
	if a.Reason != "" {
		why = " (" + oneLine(a.Reason) + ")"
	}
	n := columns(words + why)
	if n > t.room() || took != "" && n > wordsColumns {
		return ""
	}
	return words + t.paint(dim, why)
}

// actions returns a line for each action, in columns: verb, target, reason.
// Tense turns a verb into what is shown, branch is what stands before the verb of the i-th.
func (t *text) actions(change bootstrap.Change, tense func(string) string, branch func(i int) string) []string {
	verbs, targets, reasons := 0, 0, false
	for _, a := range change {
		verbs = max(verbs, columns(clean(tense(a.Verb))))
		if n := columns(clean(a.Target)); n <= 44 {
			targets = max(targets, n)
		}
		reasons = reasons || a.Reason != ""
	}
	out := make([]string, len(change))
	for i, a := range change {
		target := oneLine(a.Target)
		line := strings.Repeat(" ", t.indent) + branch(i) + t.verb(a.Verb, pad(oneLine(tense(a.Verb)), verbs)) + "  "
		if reasons && a.Reason != "" {
			target = pad(target, targets) + "  " + t.paint(dim, oneLine(a.Reason))
		}
		out[i] = line + target
	}
	return out
}

// oneLine returns s, cleaned, without line breaks.
func oneLine(s string) string { return strings.ReplaceAll(clean(s), "\n", " ") }
