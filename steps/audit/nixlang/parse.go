package nixlang

import (
	"fmt"
)

// deepest is how deep expressions may be in each other, so that no input can exhaust the stack.
const deepest = 2000

type parser struct {
	src   string
	tok   token // the next one
	last  int   // where the one before it ended
	depth int
}

// Parse parses one expression. The error is an *Error.
func Parse(src string) (n *Node, err error) {
	p := &parser{src: src}
	defer func() {
		if r := recover(); r != nil {
			e, ok := r.(*Error)
			if !ok {
				panic(r)
			}
			n, err = nil, e
		}
	}()
	p.advance(0)
	n = p.expr()
	if p.tok.class != end {
		p.unexpected()
	}
	return n, nil
}

func (p *parser) fail(at int, format string, a ...any) {
	line, col := Position(p.src, at)
	panic(&Error{line, col, fmt.Sprintf(format, a...)})
}

func (p *parser) unexpected() { p.fail(p.tok.from, "%v is unexpected here", p.tok) }

// advance makes the token at or after i the next one.
func (p *parser) advance(i int) { p.last, p.tok = i, p.lex(i) }

func (p *parser) next() token {
	t := p.tok
	p.advance(t.to)
	return t
}

func (p *parser) is(text string) bool { return p.tok.class == sign && p.tok.text == text }

func (p *parser) accept(text string) bool {
	if !p.is(text) {
		return false
	}
	p.next()
	return true
}

func (p *parser) expect(text string) {
	if !p.accept(text) {
		p.fail(p.tok.from, "%v is unexpected here, where '%s' should be", p.tok, text)
	}
}

func (p *parser) node(k Kind, from int, kids ...*Node) *Node {
	return &Node{Kind: k, From: from, To: p.last, Kids: kids}
}

func (p *parser) enter() {
	if p.depth++; p.depth > deepest {
		p.fail(p.tok.from, "expressions are too deep in each other")
	}
}

func (p *parser) leave() { p.depth-- }

// expr is a whole expression.
func (p *parser) expr() *Node {
	p.enter()
	defer p.leave()
	from := p.tok.from
	switch {
	case p.tok.class == ident:
		if after := p.lex(p.tok.to); after.text == ":" || after.text == "@" {
			return p.lambda()
		}
	case p.is("{") && p.formalsAhead():
		return p.lambda()
	case p.is("assert") || p.is("with"):
		kind := With
		if p.next().text == "assert" {
			kind = Assert
		}
		what := p.expr()
		p.expect(";")
		return p.node(kind, from, what, p.expr())
	case p.is("let") && p.lex(p.tok.to).text != "{":
		p.next()
		binds := p.binds("in")
		body := p.expr()
		n := p.node(Let, from, body)
		n.Binds = binds
		return n
	case p.is("if"):
		p.next()
		cond := p.expr()
		p.expect("then")
		then := p.expr()
		p.expect("else")
		return p.node(If, from, cond, then, p.expr())
	}
	return p.pipes()
}

func (n *Node) ends(to int) *Node {
	n.To = to
	return n
}

// formalsAhead tells a function's { … } from a set.
func (p *parser) formalsAhead() bool {
	t := p.lex(p.tok.to)
	switch {
	case t.text == "..." && t.class == sign:
		return true
	case t.text == "}" && t.class == sign:
	case t.class == ident || t.text == "or":
		if t = p.lex(t.to); t.text == "," || t.text == "?" {
			return true
		}
		if t.text != "}" {
			return false
		}
	default:
		return false
	}
	t = p.lex(t.to)
	return t.text == ":" || t.text == "@"
}

func (p *parser) lambda() *Node {
	from, params := p.tok.from, &Params{}
	if p.is("{") {
		p.formals(params)
		if p.accept("@") {
			params.Name = p.name()
		}
	} else {
		params.Name = p.name()
		if p.accept("@") {
			p.formals(params)
		}
	}
	p.expect(":")
	n := p.node(Lambda, from, p.expr())
	n.Params = params
	return n
}

func (p *parser) name() string {
	if p.tok.class != ident && !p.is("or") {
		p.fail(p.tok.from, "%v is unexpected here, where a name should be", p.tok)
	}
	return p.next().text
}

func (p *parser) formals(params *Params) {
	p.expect("{")
	params.Set = true
	for !p.is("}") {
		if p.accept("...") {
			params.More = true
			break
		}
		f := Formal{Name: p.name()}
		if p.accept("?") {
			f.Default = p.expr()
		}
		params.Formals = append(params.Formals, f)
		if !p.accept(",") {
			break
		}
	}
	p.expect("}")
}

// binds are those up to the closing token, and it.
func (p *parser) binds(closing string) (binds []Bind) {
	for !p.accept(closing) {
		b := Bind{From: p.tok.from}
		if p.accept("inherit") {
			if p.accept("(") {
				b.Source = p.expr()
				p.expect(")")
			}
			for !p.is(";") {
				b.Names = append(b.Names, p.attr())
			}
		} else {
			b.Path = p.attrs()
			p.expect("=")
			b.Value = p.expr()
		}
		p.expect(";")
		b.To = p.last
		binds = append(binds, b)
	}
	return binds
}

func (p *parser) attrs() []*Node {
	all := []*Node{p.attr()}
	for p.accept(".") {
		all = append(all, p.attr())
	}
	return all
}

func (p *parser) attr() *Node {
	from := p.tok.from
	switch {
	case p.is(`"`):
		return p.str()
	case p.accept("${"):
		e := p.expr()
		p.expect("}")
		if e.Kind == String {
			return e
		}
		return p.node(String, from, e)
	}
	name := p.name()
	return &Node{Kind: Ident, From: from, To: p.last, Text: name}
}
