// Package nixlang parses the Nix expression language. It keeps what nix-instantiate
// --parse throws away: where in the text each thing is. It evaluates nothing.
//
// The grammar is that of Nix 2.34 (src/libexpr/lexer.l and parser.y), pipe operators
// included. The tests compare its trees with those of nix-instantiate.
package nixlang

import "strings"

// Kind is what a node is.
type Kind uint8

// The kinds, with what of a Node each uses.
const (
	Ident   Kind = iota // Text: the name
	Number              // Text: as it is written
	URI                 // Text
	Search              // Text: what is between < and >
	Text                // Text: a literal piece of a String or Path, unescaped
	String              // Kids: Text and interpolated expressions; Text: the quotes it is in
	Path                // Kids: as String's
	List                // Kids: the elements
	Set                 // Binds, Rec
	Let                 // Binds; Kids: the body. Rec: the old form, let { …; body = …; }, without Kids
	With                // Kids: what, the body
	Assert              // Kids: the condition, the body
	If                  // Kids: the condition, then, else
	Lambda              // Params; Kids: the body
	Apply               // Kids: the function, the argument
	Select              // Kids: from what, and what "or" gives, if it is there; Attrs: the path
	HasAttr             // Kids: of what; Attrs: the path
	Unary               // Text: the operator; Kids: the operand
	Binary              // Text: the operator; Kids: left, right
)

// Node is an expression.
type Node struct {
	Kind     Kind
	Rec      bool
	From, To int // the bytes of the source it takes, its parentheses included
	Text     string
	Kids     []*Node
	Attrs    []*Node // each an Ident or a String; ${e} is a String too
	Binds    []Bind
	Params   *Params
}

// Bind is one binding of a set or let: PATH = VALUE, or inherit (SOURCE) NAMES.
type Bind struct {
	From, To int     // the bytes of the source, the semicolon included
	Path     []*Node // as Node.Attrs; nil: inherit
	Value    *Node
	Source   *Node   // what it inherits from; nil: the scope
	Names    []*Node // what it inherits
}

// Params is what a function takes.
type Params struct {
	Name    string // x in x: and in { … } @ x:; "" if it has none
	Formals []Formal
	Set     bool // it takes a set, { … }:
	More    bool // … which may have more than the formals
}

// Formal is one attribute that a function takes.
type Formal struct {
	Name    string
	Default *Node // nil: none
}

// Static is what n is as an attribute name, if that can be told without evaluating.
func (n *Node) Static() (string, bool) {
	switch n.Kind {
	case Ident:
		return n.Text, true
	case String, Path:
		var b strings.Builder
		for _, k := range n.Kids {
			if k.Kind != Text {
				return "", false
			}
			b.WriteString(k.Text)
		}
		return b.String(), true
	}
	return "", false
}

// Children are all expressions directly below n.
func (n *Node) Children() (all []*Node) {
	if n.Params != nil {
		for _, f := range n.Params.Formals {
			if f.Default != nil {
				all = append(all, f.Default)
			}
		}
	}
	for i := range n.Binds {
		b := &n.Binds[i]
		all = appendNames(all, b.Path)
		if b.Source != nil {
			all = append(all, b.Source)
		}
		if b.Value != nil {
			all = append(all, b.Value)
		}
	}
	return append(appendNames(all, n.Attrs), n.Kids...)
}

// appendNames adds the names that are expressions.
func appendNames(all, names []*Node) []*Node {
	for _, k := range names {
		if k.Kind != Ident {
			all = append(all, k)
		}
	}
	return all
}

// Free are the variables of n that it does not bind itself. What a with may give is among them.
func (n *Node) Free() map[string]bool {
	free := map[string]bool{}
	n.free(map[string]int{}, free)
	return free
}

func (n *Node) free(bound map[string]int, free map[string]bool) {
	use := func(name string) {
		if bound[name] == 0 {
			free[name] = true
		}
	}
	if n.Kind == Ident {
		use(n.Text)
	}
	for _, b := range n.Binds { // inherit names are of the scope outside
		for _, k := range b.Names {
			if name, ok := k.Static(); ok && b.Source == nil {
				use(name)
			}
		}
	}
	names := n.binds()
	for _, name := range names {
		bound[name]++
	}
	for _, k := range n.Children() {
		k.free(bound, free)
	}
	for _, name := range names {
		bound[name]--
	}
}

// binds are the names that n binds in what is below it.
func (n *Node) binds() (names []string) {
	switch {
	case n.Kind == Lambda:
		if n.Params.Name != "" {
			names = append(names, n.Params.Name)
		}
		for _, f := range n.Params.Formals {
			names = append(names, f.Name)
		}
	case n.Kind == Let || n.Kind == Set && n.Rec:
		for _, b := range n.Binds {
			for _, k := range append(b.Names[:len(b.Names):len(b.Names)], b.Path[:min(1, len(b.Path))]...) {
				if name, ok := k.Static(); ok {
					names = append(names, name)
				}
			}
		}
	}
	return names
}
