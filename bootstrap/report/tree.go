package report

import (
	"cmp"
	"slices"
	"strings"

	"movein/bootstrap"
)

// node is a path in a tree: what is done at it, and what is below it.
type node struct {
	name string
	act  *bootstrap.Action // nil: nothing is done at the path itself
	kids []*node           // by name
}

// newTree returns a node without a name; its kids are "~", and what is elsewhere.
func newTree(home bootstrap.Change) *node {
	root := &node{}
	for i := range home {
		at := root
		for name := range strings.SplitSeq(strings.TrimRight(home[i].Target, "/"), "/") {
			at = at.kid(name)
		}
		at.act = &home[i]
	}
	return root
}

// kid returns the kid with that name, which there is afterwards.
func (n *node) kid(name string) *node {
	i, ok := slices.BinarySearchFunc(n.kids, name, func(k *node, name string) int { return cmp.Compare(k.name, name) })
	if !ok {
		n.kids = slices.Insert(n.kids, i, &node{name: name})
	}
	return n.kids[i]
}

// made reports whether all that is done at a directory itself is that it is there
// for what is below it.
func (n *node) made() bool { return len(n.kids) > 0 && (n.act == nil || n.act.Verb == "create") }

// files returns the nodes at and below n where something is done, but directories
// that are only made.
func (n *node) files() (all []*node) {
	if n.act != nil && !n.made() {
		all = append(all, n)
	}
	for _, k := range n.kids {
		all = append(all, k.files()...)
	}
	return all
}

// alike returns how many files are at and below n when something of the same kind is done to
// each by the same owner and for the same reason, and it may be shown as one line; else 0.
func (n *node) alike() int {
	files := n.files()
	first := files[0].act
	for _, f := range files {
		a := f.act
		if !kindOf(a.Verb).folds || a.Verb != first.Verb || a.Owner != first.Owner || a.Reason != first.Reason || len(f.kids) > 0 {
			return 0
		}
	}
	return len(files)
}

// joined returns n with the names of those below it that are the only ones where they are.
func (n *node) joined() *node {
	for len(n.kids) == 1 && n.made() {
		kid := *n.kids[0]
		kid.name = n.name + "/" + kid.name
		n = &kid
	}
	return n
}
