package report

import (
	"fmt"
	"strings"

	"movein/bootstrap"
)

// row is a line of a tree before its columns are known.
type row struct {
	sign, color string
	branch, sub string // what stands before the name, and before what is told below it
	name, owner string
	words       string
	act         *bootstrap.Action // whose difference is shown below; may be nil
}

// view makes the lines of a tree.
type view struct {
	*text
	diffs  bool
	owners []string
	rows   []row
	folded bool // a row stands for several files
}

// top adds what is below the home directory, or elsewhere.
func (v *view) top(n *node) {
	name := n.name + "/"
	if n.act != nil && !n.made() { // the home itself
		v.add(n, "", "", 0)
	} else {
		r := row{color: bold, name: name}
		if len(v.owners) == 1 && v.owners[0] != "" {
			r.words = "all " + oneLine(v.owners[0]) + "'s"
		}
		v.rows = append(v.rows, r)
	}
	v.below(n, "")
}

// below adds what is below n; before is the lines of the tree that go on.
func (v *view) below(n *node, before string) {
	kids := v.few(n.kids)
	for i, k := range kids {
		fork, on := v.marks.fork, v.marks.down
		if i == len(kids)-1 {
			fork, on = v.marks.last, " "
		}
		if k.more > 0 {
			a := k.kids[0].files()[0].act
			v.rows = append(v.rows, row{color: dim, sign: kindOf(a.Verb).sign, branch: before + fork + " ", sub: before + on + " ",
				name: fmt.Sprintf("%s and %d more", v.marks.more, k.more)})
			v.folded = true
			continue
		}
		kid := k.joined()
		files := kid.alike()
		if files <= maxChanges || v.o.Verbose {
			files = 0
		}
		v.add(kid, before+fork+" ", before+on+" ", files)
		if files == 0 {
			v.below(kid, before+on+" ")
		}
	}
}

// several is a node, or, if more is not 0, that many files like those of its only kid.
type several struct {
	*node
	more int
}

// few returns nodes, those that are too many of one sort as one entry.
func (v *view) few(kids []*node) (out []several) {
	type sort struct{ verb, owner, reason string }
	sortOf := func(n *node) (s sort, files int) {
		if files = n.alike(); files > 0 {
			a := n.files()[0].act
			s = sort{a.Verb, a.Owner, a.Reason}
		}
		return s, files
	}
	lines, seen, rest := map[sort]int{}, map[sort]int{}, map[sort]int{}
	for _, k := range kids {
		if s, files := sortOf(k); files > 0 {
			lines[s]++
		}
	}
	for _, k := range kids {
		s, files := sortOf(k)
		seen[s]++
		switch {
		case files == 0 || v.o.Verbose || lines[s] <= maxChanges || seen[s] < maxChanges:
			out = append(out, several{node: k})
		case seen[s] == maxChanges:
			rest[s] = len(out)
			out = append(out, several{&node{kids: []*node{k}}, files})
		default:
			out[rest[s]].more += files
		}
	}
	return out
}

// add adds the row of a node; files says for how many it stands.
func (v *view) add(n *node, branch, sub string, files int) {
	r := row{branch: branch, sub: sub, name: quoted(n.name)}
	a := n.act
	switch {
	case files > 0:
		a = n.files()[0].act
		r.name += "/ (" + count(files, "file") + ")"
		v.folded = true
	case len(n.kids) > 0:
		r.name += "/"
	}
	if a != nil {
		k := kindOf(a.Verb)
		r.sign, r.color, r.words = k.sign, k.color, v.words(*a)
		if len(v.owners) > 1 && (files > 0 || !n.made()) {
			r.owner = oneLine(a.Owner)
		}
		if files == 0 && !n.made() {
			r.act = a
		}
	}
	v.rows = append(v.rows, r)
}

// lines returns the rows in columns: sign, tree and name, owner, what is there and
// what becomes of it. What does not fit beside a name is below it.
func (v *view) lines() (out []string) {
	owners := 0
	for _, r := range v.rows {
		owners = max(owners, columns(r.owner))
	}
	tail := func(r row) string {
		if owners == 0 {
			return r.words
		}
		return strings.TrimRight(pad(r.owner, owners)+"  "+r.words, " ")
	}
	at := v.indent + 2
	var names, tails []int
	for _, r := range v.rows {
		names, tails = append(names, columns(r.branch+r.name)), append(tails, columns(tail(r)))
	}
	wide := column(names, tails, v.o.Width-at)
	for i, r := range v.rows {
		line := strings.Repeat(" ", v.indent) + v.sign(r) + v.paint(dim, r.branch) + v.paint(r.color, r.name)
		below := strings.Repeat(" ", at) + v.paint(dim, r.sub) + "  "
		fill := max(wide-names[i], 0) + 2
		switch words := tail(r); {
		case words == "":
			out = append(out, line)
		case at+names[i]+fill+tails[i] <= v.o.Width:
			out = append(out, line+strings.Repeat(" ", fill)+v.tail(r, words))
		default:
			out = append(out, line)
			words = strings.TrimPrefix(r.owner+": "+r.words, ": ")
			for _, words := range wrap(strings.TrimSuffix(words, ": "), v.o.Width-at-columns(r.sub)-2) {
				out = append(out, below+v.tail(r, words))
			}
		}
		if r.act != nil && v.diffs {
			out = append(out, v.diff(*r.act, below)...)
		}
	}
	return out
}

// sign returns the sign of a row, in two columns.
func (v *view) sign(r row) string {
	if r.sign == "" {
		return "  "
	}
	return v.paint(r.color, r.sign) + " "
}

// tail paints what is beside a name: more to be seen where it is about something of the user's.
func (v *view) tail(r row, words string) string {
	if r.act != nil && !kindOf(r.act.Verb).folds {
		return words
	}
	return v.paint(dim, words)
}

// maxDiff is how many lines of a difference are shown.
const maxDiff = 40

// diff returns the lines that show how a file differs, each after before.
func (v *view) diff(a bootstrap.Action, before string) (out []string) {
	room := max(v.cut-columns(before), 20)
	say := func(color, text string) {
		before := before
		text = strings.TrimRight(cut(visible(text), room, v.marks.more), " ")
		if text == "" {
			before = strings.TrimRight(before, " ")
		}
		out = append(out, before+v.paint(color, text))
	}
	if a.Source != "" && !strings.HasPrefix(a.Source, "/nix/store/") {
		say(dim, "from "+quoted(a.Source))
	}
	lines := strings.Split(strings.TrimSuffix(a.Diff, "\n"), "\n")
	if strings.HasPrefix(a.Diff, "--- ") && len(lines) > 2 {
		lines = lines[2:]
	}
	if a.Diff == "" {
		return out
	}
	for i, line := range lines {
		if i == maxDiff {
			say(dim, fmt.Sprintf("%s %s", v.marks.more, count(len(lines)-maxDiff, "more line")))
			break
		}
		color := ""
		switch line = line + " "; line[0] {
		case '+':
			color = green
		case '-':
			color = red
		case '@':
			color = cyan
		case ' ':
		default:
			color = dim
		}
		say(color, line)
	}
	return out
}
