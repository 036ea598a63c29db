package report

import (
	"fmt"
	"slices"
	"strings"

	"movein/bootstrap"
)

// changed returns the lines of a step that changed something.
func (t *text) changed(s *step, took string) string {
	words := s.end.Reason
	if len(s.change) == 1 && !ofHome(s.change[0]) && words == "" {
		words = t.inLine(t.since(s.change)[0], took)
		if words != "" {
			return t.head(green, t.marks.ok, s.title, words, took)
		}
	}
	home, others := split(s.change)
	var below []string
	if words == "" {
		words = count(len(s.change), "change")
	}
	if len(home) > 0 && s.end.Reason == "" {
		counts := tally(newTree(home).files(), true)
		words = strings.Join(counts, ", ")
		if columns(words) > t.room() || took != "" && columns(words) > wordsColumns {
			below, words = t.indented(flow(counts, t.o.Width-t.indent-2), t.indent+2), ""
		}
	}
	out := append([]string{t.head(green, t.marks.ok, s.title, words, took)}, below...)
	out = append(out, t.first(t.since(others))...)
	if t.o.Verbose {
		return strings.Join(append(out, t.preview(home, false)...), "\n")
	}
	return strings.Join(append(out, t.backedUp(home)...), "\n")
}

// first returns a line for each action, for the first few unless all are asked for.
func (t *text) first(change bootstrap.Change) []string {
	show := len(change)
	if show > maxChanges && !t.o.Verbose {
		show = maxChanges - 1
	}
	out := t.actions(change[:show], past, func(int) string { return "  " })
	if more := len(change) - show; more > 0 {
		out = append(out, strings.Repeat(" ", t.indent+2)+t.paint(dim, fmt.Sprintf("%s and %d more (-v shows them)", t.marks.more, more)))
	}
	return out
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

// actions returns a line for each action, in columns: verb, target, reason. A reason
// that does not fit there is below.
// Tense turns a verb into what is shown, branch is what stands before the verb of the i-th.
func (t *text) actions(change bootstrap.Change, tense func(string) string, branch func(i int) string) (out []string) {
	verbs := 0
	for _, a := range change {
		verbs = max(verbs, columns(clean(tense(a.Verb))))
	}
	at := t.indent + 2 + verbs + 2
	var targets, reasons []int
	change = slices.Clone(change)
	for i, a := range change {
		a.Target, a.Reason = t.storePath(oneLine(a.Target), t.o.Width-at), oneLine(a.Reason)
		change[i] = a
		targets, reasons = append(targets, columns(a.Target)), append(reasons, columns(a.Reason))
	}
	wide := column(targets, reasons, t.o.Width-at)
	for i, a := range change {
		line := strings.Repeat(" ", t.indent) + branch(i) + t.verb(a.Verb, pad(oneLine(tense(a.Verb)), verbs)) + "  " + a.Target
		fill := max(wide-targets[i], 0) + 2
		switch {
		case a.Reason == "":
			out = append(out, line)
		case at+targets[i]+fill+reasons[i] <= t.o.Width:
			out = append(out, line+strings.Repeat(" ", fill)+t.paint(dim, a.Reason))
		default:
			out = append(out, line)
			for _, words := range wrap(a.Reason, t.o.Width-at) {
				out = append(out, strings.Repeat(" ", at)+t.paint(dim, words))
			}
		}
	}
	return out
}

// storePath returns a path into the store that is too long for n columns with the beginning
// of its hash only, unless all is to be told.
func (t *text) storePath(name string, n int) string {
	const store, hash = "/nix/store/", 32
	if rest, ok := strings.CutPrefix(name, store); ok && !t.o.Verbose && columns(name) > n && len(rest) > hash && rest[hash] == '-' {
		return store + rest[:8] + t.marks.more + rest[hash:]
	}
	return name
}

// oneLine returns s, cleaned, without line breaks.
func oneLine(s string) string { return strings.ReplaceAll(clean(s), "\n", " ") }

// widest is how wide a column of names gets: a longer one stands out.
const widest = 36

// column returns how wide a column of names is best: so that as few rows as can be need
// more than room with what is beside them, and then as wide as can be.
func column(widths, beside []int, room int) (best int) {
	least := len(widths) + 1
	for _, wide := range widths {
		if wide > widest {
			continue
		}
		over := 0
		for j, w := range widths {
			if beside[j] > 0 && max(w, wide)+2+beside[j] > room {
				over++
			}
		}
		if over < least || over == least && wide > best {
			best, least = wide, over
		}
	}
	return best
}
