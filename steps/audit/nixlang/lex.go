package nixlang

import (
	"fmt"
	"strings"
)

// Error is where and why a text is not Nix.
type Error struct {
	Line, Col int // from 1; Col in bytes
	Msg       string
}

func (e *Error) Error() string { return fmt.Sprintf("%d:%d: %s", e.Line, e.Col, e.Msg) }

// Position is the line and column, from 1, of a byte of the source.
func Position(src string, at int) (line, col int) {
	before := src[:min(at, len(src))]
	return strings.Count(before, "\n") + 1, len(before) - strings.LastIndexByte(before, '\n')
}

// class is what a token is.
type class uint8

const (
	end class = iota
	ident
	number
	uri
	search
	path // the token is empty: the parser reads the path from there on
	sign // operators, brackets, quotes, keywords
)

// token is src[from:to].
type token struct {
	class    class
	from, to int
	text     string
}

func (t token) String() string {
	switch t.class {
	case end:
		return "the end of the file"
	case path:
		return "a path"
	}
	return "'" + t.text + "'"
}

const keywords = " if then else assert with let in rec inherit or "

// signs are the tokens that are neither words nor literals, longer ones first.
var signs = []string{
	"...", "==", "!=", "<=", ">=", "&&", "||", "->", "//", "++", "<|", "|>", "${", "''",
	"{", "}", "(", ")", "[", "]", ";", ":", ",", ".", "@", "?", "=", "<", ">", "!", "+", "-", "*", "/", `"`,
}

func letter(c byte) bool   { return c|0x20 >= 'a' && c|0x20 <= 'z' }
func digit(c byte) bool    { return c >= '0' && c <= '9' }
func wordChar(c byte) bool { return letter(c) || digit(c) || c == '_' || c == '\'' || c == '-' }
func pathChar(c byte) bool { return letter(c) || digit(c) || strings.IndexByte("._-+", c) >= 0 }
func uriChar(c byte) bool {
	return letter(c) || digit(c) || strings.IndexByte("%/?:@&=+$,-_.!~*'", c) >= 0
}

// run is how far from i on ok holds.
func run(s string, i int, ok func(byte) bool) int {
	for i < len(s) && ok(s[i]) {
		i++
	}
	return i
}

// blank skips white space and comments.
func (p *parser) blank(i int) int {
	s := p.src
	for i < len(s) {
		switch {
		case strings.IndexByte(" \t\r\n", s[i]) >= 0:
			i++
		case s[i] == '#':
			i = run(s, i, func(c byte) bool { return c != '\n' && c != '\r' })
		case strings.HasPrefix(s[i:], "/*"):
			n := strings.Index(s[i+2:], "*/")
			if n < 0 {
				p.fail(i, "a comment that does not end")
			}
			i += 2 + n + 2
		default:
			return i
		}
	}
	return i
}

// lex reads the token at i or after it. As flex does, it takes the longest that fits.
func (p *parser) lex(i int) token {
	i = p.blank(i)
	s := p.src
	if i == len(s) {
		return token{from: i, to: i}
	}
	word := token{class: sign, from: i, to: i}
	switch {
	case letter(s[i]) || s[i] == '_':
		word.to = run(s, i, wordChar)
		if !strings.Contains(keywords, " "+s[i:word.to]+" ") {
			word.class = ident
		}
	case s[i] == '<' && searchEnd(s, i) > 0:
		word.class, word.to = search, searchEnd(s, i)
	default:
		word.class, word.to = number, numberEnd(s, i)
	}
	if to := uriEnd(s, i); to > word.to {
		word.class, word.to = uri, to
	}
	if to := pathEnd(s, i); to > word.to {
		return token{class: path, from: i, to: i}
	}
	if word.to > i {
		word.text = s[i:word.to]
		return word
	}
	for _, text := range signs {
		if strings.HasPrefix(s[i:], text) {
			return token{sign, i, i + len(text), text}
		}
	}
	p.fail(i, "%q has no meaning here", s[i:i+1])
	return token{}
}

// numberEnd is where the number at i ends; i if there is none.
func numberEnd(s string, i int) int {
	j := run(s, i, digit)
	if j == len(s) || s[j] != '.' {
		return j
	}
	k := run(s, j+1, digit)
	if whole := s[i:j]; (whole == "" || whole == "0") && k == j+1 || len(whole) > 1 && whole[0] == '0' {
		return j
	}
	if k < len(s) && s[k]|0x20 == 'e' {
		e := k + 1
		if e < len(s) && (s[e] == '+' || s[e] == '-') {
			e++
		}
		if to := run(s, e, digit); to > e {
			return to
		}
	}
	return k
}

// uriEnd is where the URI at i ends; 0 if there is none.
func uriEnd(s string, i int) int {
	if !letter(s[i]) {
		return 0
	}
	j := run(s, i, func(c byte) bool { return letter(c) || digit(c) || strings.IndexByte("+-.", c) >= 0 })
	if j == len(s) || s[j] != ':' {
		return 0
	}
	if k := run(s, j+1, uriChar); k > j+1 {
		return k
	}
	return 0
}

// searchEnd is where the <search/path> at i ends; 0 if there is none.
func searchEnd(s string, i int) int {
	for j := i + 1; ; j++ {
		k := run(s, j, pathChar)
		switch {
		case k == j || k == len(s):
			return 0
		case s[k] == '>':
			return k + 1
		case s[k] != '/':
			return 0
		}
		j = k
	}
}

// pathEnd is where the path at i ends, or its first interpolation begins; 0 if there is none.
func pathEnd(s string, i int) int {
	j := i
	if s[i] == '~' {
		j++
	} else {
		j = run(s, i, pathChar)
	}
	if j == len(s) || s[j] != '/' {
		return 0
	}
	end := 0
	for j < len(s) && s[j] == '/' {
		k := run(s, j+1, pathChar)
		if k == j+1 {
			if strings.HasPrefix(s[k:], "${") || end > 0 { // a trailing slash is the path's, and wrong
				return k
			}
			return 0
		}
		j, end = k, k
	}
	return end
}
