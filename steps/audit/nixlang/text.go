package nixlang

import "strings"

// str is a string of either kind. Its opening quote is the next token; what
// follows that is not read as tokens.
func (p *parser) str() *Node {
	n := &Node{Kind: String, From: p.tok.from, Text: p.tok.text}
	i := p.tok.to
	if n.Text == "''" { // a first line that is blank is not part of it
		if j := run(p.src, i, func(c byte) bool { return c == ' ' }); strings.HasPrefix(p.src[j:], "\n") {
			i = j + 1
		}
	}
	var b strings.Builder
	piece := i
	flush := func(to int) {
		if b.Len() > 0 {
			n.Kids = append(n.Kids, &Node{Kind: Text, From: piece, To: to, Text: b.String()})
			b.Reset()
		}
	}
	for {
		if i >= len(p.src) {
			p.fail(n.From, "a string that does not end")
		}
		rest := p.src[i:]
		text, took := rest[:1], 1
		switch {
		case strings.HasPrefix(rest, "${"):
			flush(i)
			i = p.interpolated(n, i)
			piece = i
			continue
		case n.Text == `"`:
			if text == `"` {
				flush(i)
				p.advance(i + 1)
				return n.ends(i + 1)
			}
			if text == "\r" { // the end of a line, however it is written
				if text = "\n"; strings.HasPrefix(rest, "\r\n") {
					took = 2
				}
				break
			}
			text, took = escape(rest, `\`, "$")
		case strings.HasPrefix(rest, "'''"):
			text, took = "''", 3
		case strings.HasPrefix(rest, "''$"):
			text, took = "$", 3
		case strings.HasPrefix(rest, `''\`):
			text, took = escape(rest, `''\`, "")
		case strings.HasPrefix(rest, "''"):
			flush(i)
			p.advance(i + 2)
			return n.ends(i + 2)
		case text == "$" && len(rest) > 1 && rest[1] != '\'': // $$ is no start of an interpolation
			text, took = rest[:2], 2
		}
		b.WriteString(text)
		i += took
	}
}

// escape is the first piece of s, one character, and how long it is in the source:
// after the prefix n, r and t are control characters and any other is itself. double,
// before any other character, is taken with it, so that $${ begins no interpolation.
func escape(s, prefix, double string) (string, int) {
	if !strings.HasPrefix(s, prefix) {
		if double != "" && strings.HasPrefix(s, double) && len(s) > 1 && s[1] == '$' {
			return s[:2], 2
		}
		return s[:1], 1
	}
	if len(s) == len(prefix) {
		return "", len(prefix)
	}
	c := s[len(prefix):][:1]
	if i := strings.Index("nrt", c); i >= 0 {
		c = "\n\r\t"[i : i+1]
	}
	return c, len(prefix) + 1
}

// interpolated adds the ${expression} at i to n, and is where it ends.
func (p *parser) interpolated(n *Node, i int) int {
	p.advance(i + 2)
	n.Kids = append(n.Kids, p.expr())
	if !p.is("}") {
		p.unexpected()
	}
	return p.tok.to
}

// path is a path, of which nothing has been read yet.
func (p *parser) path() *Node {
	n := &Node{Kind: Path, From: p.tok.from}
	i := n.From
	add := func(to int) {
		n.Kids = append(n.Kids, &Node{Kind: Text, From: i, To: to, Text: p.src[i:to]})
		i = to
	}
	add(pathEnd(p.src, i))
	for i < len(p.src) {
		if strings.HasPrefix(p.src[i:], "${") {
			i = p.interpolated(n, i)
			continue
		}
		to := max(pathEnd(p.src, i), run(p.src, i, pathChar))
		if to <= i {
			break
		}
		add(to)
	}
	if p.src[i-1] == '/' {
		p.fail(i-1, "a path ends with a slash")
	}
	p.advance(i)
	return n.ends(i)
}
