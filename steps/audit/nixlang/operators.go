package nixlang

import (
	"strings"
)

func (p *parser) pipes() *Node {
	left := p.binary(0)
	switch {
	case p.is("|>"):
		for p.accept("|>") {
			left = p.op("|>", left, p.binary(0))
		}
	case p.accept("<|"):
		p.enter()
		defer p.leave()
		left = p.op("<|", left, p.pipes())
	}
	return left
}

// operators are the binary ones, those that bind least first. A chain of them goes to
// the left, to the right (r), or needs parentheses (n).
var operators = [][2]string{{"r", " -> "}, {"", " || "}, {"", " && "}, {"n", " == != "}, {"n", " < > <= >= "}, {"r", " // "},
	{"", " "}, {"", " + - "}, {"", " * / "}, {"r", " ++ "}, {"n", " ? "}}

// operator is how tightly the next token binds as a binary operator, and which way; 0: it is none.
func (p *parser) operator() (prec int, way string) {
	if p.tok.class == sign {
		for i, o := range operators {
			if strings.Contains(o[1], " "+p.tok.text+" ") {
				return i + 1, o[0]
			}
		}
	}
	return 0, ""
}

const precNot, precNegate = 7, 12

func (p *parser) op(text string, kids ...*Node) *Node {
	n := p.node(Binary, kids[0].From, kids...)
	n.Text = text
	return n
}

// binary is an expression of operators that bind as tightly as lowest, or tighter.
func (p *parser) binary(lowest int) *Node {
	p.enter()
	defer p.leave()
	var left *Node
	from := p.tok.from
	switch {
	case p.accept("!"):
		left = p.node(Unary, from, p.binary(precNot))
		left.Text = "!"
	case p.accept("-"):
		left = p.node(Unary, from, p.binary(precNegate))
		left.Text = "-"
	default:
		left = p.apply()
	}
	for {
		text := p.tok.text
		prec, way := p.operator()
		if prec == 0 || prec < lowest {
			return left
		}
		p.next()
		switch {
		case text == "?":
			attrs := p.attrs()
			left = p.node(HasAttr, left.From, left)
			left.Attrs = attrs
		case way == "r":
			left = p.op(text, left, p.binary(prec))
		default:
			left = p.op(text, left, p.binary(prec+1))
		}
		if again, _ := p.operator(); way == "n" && again == prec {
			p.fail(p.tok.from, "'%s' after '%s' needs parentheses", p.tok.text, text)
		}
	}
}

func (p *parser) apply() *Node {
	n := p.sel()
	for p.simpleAhead() {
		n = p.node(Apply, n.From, n, p.sel())
	}
	return n
}

// simpleAhead reports whether an expression that can be an argument follows.
func (p *parser) simpleAhead() bool {
	switch p.tok.class {
	case end:
		return false
	case sign:
		switch p.tok.text {
		case `"`, "''", "(", "[", "{", "rec", "let":
			return true
		}
		return false
	}
	return true
}

func (p *parser) sel() *Node {
	n := p.simple()
	if p.is(".") {
		p.next()
		attrs := p.attrs()
		n = p.node(Select, n.From, n)
		n.Attrs = attrs
		if p.accept("or") {
			p.enter()
			n.Kids = append(n.Kids, p.sel())
			p.leave()
			n.To = p.last
		}
		return n
	}
	if p.is("or") { // nixpkgs has a function of that name
		or := &Node{Kind: Ident, Text: "or", From: p.tok.from, To: p.tok.to}
		p.next()
		return p.node(Apply, n.From, n, or)
	}
	return n
}

var literals = [...]Kind{ident: Ident, number: Number, uri: URI, search: Search}

func (p *parser) simple() *Node {
	t := p.tok
	switch t.class {
	case ident, number, uri, search:
		p.next()
		n := &Node{Kind: literals[t.class], From: t.from, To: t.to, Text: t.text}
		if t.class == search {
			n.Text = t.text[1 : len(t.text)-1]
		}
		return n
	case path:
		return p.path()
	case end:
		p.unexpected()
	}
	switch t.text {
	case `"`, "''":
		return p.str()
	case "(":
		p.next()
		n := p.expr()
		p.expect(")")
		n.From, n.To = t.from, p.last
		return n
	case "[":
		p.next()
		n := &Node{Kind: List, From: t.from}
		for !p.accept("]") {
			p.enter()
			n.Kids = append(n.Kids, p.sel())
			p.leave()
		}
		return n.ends(p.last)
	case "{", "rec", "let":
		p.next()
		n := &Node{Kind: Set, From: t.from, Rec: t.text != "{"}
		if t.text != "{" {
			p.expect("{")
		}
		if t.text == "let" {
			n.Kind = Let
		}
		n.Binds = p.binds("}")
		return n.ends(p.last)
	}
	p.unexpected()
	return nil
}
