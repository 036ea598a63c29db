package report

import (
	"fmt"
	"slices"
	"strings"

	"movein/bootstrap"
)

// ofHome reports whether an action is on a file of the home: these are shown as a tree.
func ofHome(a bootstrap.Action) bool { return a.Owner != "" || a.Was != "" || a.Source != "" }

// split returns the actions on files of the home, and the others.
func split(change bootstrap.Change) (home, others bootstrap.Change) {
	for _, a := range change {
		if ofHome(a) {
			home = append(home, a)
		} else {
			others = append(others, a)
		}
	}
	return home, others
}

// kind is how an action on a file of the home looks and is counted.
type kind struct {
	verb, sign, color string
	plan, done        string // after a number: "to create", "created"
	folds             bool   // many of them may be shown as one line
}

// kinds are those of the verbs, in the order in which they are counted. What is of
// somebody else or stays as it is has a line of its own always.
var kinds = []kind{
	{"create", "+", green, "to create", "created", true},
	{"update", "~", yellow, "to update", "updated", true},
	{"replace", "!", magenta, "to replace (backed up)", "replaced (backed up)", false},
	{"delete", "-", red, "to delete", "deleted", true},
	{"keep", "=", cyan, "to keep (edited)", "kept (edited)", false},
}

// kindOf returns the kind of a verb; one that is not known has a line of its own.
func kindOf(verb string) kind {
	if i := slices.IndexFunc(kinds, func(k kind) bool { return k.verb == verb }); i >= 0 {
		return kinds[i]
	}
	return kind{verb, "*", cyan, "to " + verb, past(verb), false}
}

// words says what is at a path now and what becomes of it, when that is not plain.
func (t *text) words(a bootstrap.Action) string {
	was, why := oneLine(a.Was), oneLine(a.Reason)
	switch a.Verb {
	case "replace":
		was = strings.TrimSpace(was + " " + t.marks.arrow + " backed up")
	case "keep":
		was = strings.TrimPrefix(was+", stays as it is", ", ")
	default:
		if was == "file" || was == "link" || was == "home-manager's link" && a.Owner == "home-manager" {
			was = "" // as one expects
		}
		if a.Verb == "delete" && why == "" {
			why = "no longer wanted"
		}
	}
	if was != "" && why != "" {
		was += ", "
	}
	return was + why
}

// tally says how many files something is done to: "12 to create", "1 to replace (backed up)".
func tally(files []*node, done bool) (parts []string) {
	n := map[string]int{}
	var verbs []string
	for _, k := range kinds {
		verbs = append(verbs, k.verb)
	}
	for _, f := range files {
		n[f.act.Verb]++
		if !slices.Contains(verbs, f.act.Verb) {
			verbs = append(verbs, f.act.Verb)
		}
	}
	for _, verb := range verbs {
		k := kindOf(verb)
		words := k.plan
		if done {
			words = k.done
		}
		if n[verb] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n[verb], oneLine(words)))
		}
	}
	return parts
}

// flow returns parts with commas between them, in lines of at most n columns.
func flow(parts []string, n int) (lines []string) {
	now := ""
	for i, p := range parts {
		if i < len(parts)-1 {
			p += ","
		}
		if now != "" && columns(now)+1+columns(p) > n {
			lines, now = append(lines, now), ""
		}
		now = strings.TrimLeft(now+" "+p, " ")
	}
	return append(lines, now)
}

// changes returns how many things a change changes: a file that is kept is not
// changed, and a directory is not counted beside the files that it is made for.
func changes(change bootstrap.Change) int {
	home, others := split(change)
	n := len(others)
	for _, f := range newTree(home).files() {
		if f.act.Verb != "keep" {
			n++
		}
	}
	return n
}

// preview returns the lines of a change of the home: a tree, and in a plan below it
// how many files of each kind there are. Differences are shown if they are asked for.
func (t *text) preview(home bootstrap.Change, diffs bool) []string {
	root := newTree(home)
	v := view{text: t, diffs: diffs}
	for _, f := range root.files() {
		if !slices.Contains(v.owners, f.act.Owner) {
			v.owners = append(v.owners, f.act.Owner)
		}
	}
	for _, top := range root.kids {
		v.top(top)
	}
	out := v.lines()
	if !t.o.DryRun {
		return out
	}
	room := t.o.Width - t.indent - 2
	total := flow(tally(root.files(), false), room)
	if more := v.more(root.files()); more != "" {
		if last := &total[len(total)-1]; columns(*last)+1+columns(more) <= room {
			*last += " " + t.paint(dim, more)
		} else {
			total = append(total, t.paint(dim, more))
		}
	}
	return append(out, t.indented(total, t.indent+2)...)
}

// more says what there is to see that is not shown.
func (v *view) more(files []*node) string {
	differ := slices.ContainsFunc(files, func(f *node) bool { return f.act.Verb == "update" || f.act.Verb == "replace" || f.act.Verb == "keep" })
	switch {
	case v.o.Verbose || !v.folded && !differ:
		return ""
	case !differ:
		return "(-v shows them all)"
	case !v.folded:
		return "(-v shows the differences)"
	}
	return "(-v shows them all, and the differences)"
}

// backedUp returns a line for each file that was replaced, the first few unless all are asked for.
func (t *text) backedUp(home bootstrap.Change) []string {
	var replaced bootstrap.Change
	for _, a := range home {
		if a.Verb == "replace" {
			replaced = append(replaced, bootstrap.Action{Verb: a.Verb, Target: quoted(a.Target), Reason: t.words(a)})
		}
	}
	return t.first(replaced)
}
