package report

import (
	"fmt"
	"io"
	"strings"

	"github.com/sirupsen/logrus"

	"movein/bootstrap"
)

// plan writes what each step would do, and why the others would not do anything.
func (t *text) plan() {
	var rest []string
	t.gap = true
	for _, name := range t.order {
		s := t.steps[name]
		switch s.end.Status {
		case bootstrap.Changed:
			t.say(logrus.InfoLevel, t.tree(s))
			t.gap = true
		case bootstrap.Failed:
			t.say(logrus.ErrorLevel, t.block(red, t.marks.fail, s.title, s.end.Reason, s.end.Hint, ""))
			t.gap = true
		case bootstrap.Waiting:
			rest = append(rest, t.block(yellow, t.marks.wait, s.title, s.end.Reason, s.end.Hint, ""))
		case bootstrap.Skipped:
			if t.o.Verbose {
				rest = append(rest, t.block(dim, t.marks.none, s.title, "skipped: "+s.end.Reason, "", ""))
			}
		case bootstrap.Unchanged:
			if t.o.Verbose {
				rest = append(rest, t.head(dim, t.marks.ok, s.title, "nothing to do", ""))
			}
		case bootstrap.Blocked:
			if t.o.Verbose {
				rest = append(rest, t.block(dim, t.marks.none, s.title, "not planned: "+s.end.Reason, "", ""))
			}
		}
	}
	t.say(logrus.InfoLevel, strings.Join(rest, "\n"))
}

// tree returns a step with all its actions below it.
func (t *text) tree(s *step) string {
	out := []string{"  " + t.paint(bold, s.title)}
	if s.name != s.title {
		out[0] += " " + t.paint(dim, "("+s.name+")")
	}
	return strings.Join(append(out, t.planOf(s.change)...), "\n")
}

// Change returns the lines of a change that is not made yet, as a plan has them.
func Change(change bootstrap.Change, o TextOptions) []string {
	o.DryRun = true
	t := newText(io.Discard, o)
	return t.planOf(t.tidy(change))
}

// planOf returns the lines of a change that is not made yet: files of the home as a
// tree, the rest one after the other.
func (t *text) planOf(change bootstrap.Change) []string {
	home, others := split(change)
	branch := func(i int) string {
		sign := t.marks.fork
		if i == len(others)-1 {
			sign = t.marks.last
		}
		return t.paint(dim, sign) + " "
	}
	out := t.actions(others, func(verb string) string { return verb }, branch)
	if len(home) > 0 {
		out = append(out, t.preview(home, t.o.Verbose)...)
	}
	return out
}

// planned returns the last sentence of a plan.
func (t *text) planned(took string, n map[bootstrap.Status]int) string {
	total := 0
	for _, s := range t.steps {
		if s.end.Status == bootstrap.Changed {
			total += changes(s.change)
		}
	}
	if total == 0 {
		return t.sentence(green, "Plan: nothing to do", fmt.Sprintf("(%s checked in %s).", count(n[bootstrap.Unchanged]+n[bootstrap.Skipped], "step"), took))
	}
	return t.sentence(bold, fmt.Sprintf("Plan: %s in %s.", count(total, "change"), count(n[bootstrap.Changed], "step")), "Nothing was changed.")
}
