package steps

import (
	"strconv"
	"strings"
	"unicode"
)

// This is as much of the syntax of templates as is needed to see which functions
// one calls, and with which literals.

// tokenKind is what a token of a template's action is.
type tokenKind int

const (
	word    tokenKind = iota // a function or keyword
	literal                  // a quoted string, its text unquoted
	value                    // a field, variable or number
	group                    // what is in parentheses, as one argument
	mark                     // ( ) | and the like
)

type token struct {
	kind tokenKind
	text string
}

// actions are the actions of a template with the usual delimiters, comments left out.
func actions(template string) (all [][]token) {
	for {
		_, rest, ok := strings.Cut(template, "{{")
		if !ok {
			return all
		}
		if c := strings.TrimLeft(strings.TrimPrefix(rest, "-"), " \t\r\n"); strings.HasPrefix(c, "/*") {
			if _, template, ok = strings.Cut(c, "*/"); !ok {
				return all
			}
			continue
		}
		var tokens []token
		tokens, template = action(rest)
		all = append(all, tokens)
	}
}

// action splits what comes after "{{" into tokens, to its end.
func action(s string) (tokens []token, rest string) {
	for s != "" && !strings.HasPrefix(s, "}}") {
		switch c := s[0]; {
		case c == '"' || c == '`' || c == '\'':
			quoted, err := strconv.QuotedPrefix(s)
			if err != nil {
				return tokens, s[1:]
			}
			text, err := strconv.Unquote(quoted)
			if err == nil {
				tokens = append(tokens, token{literal, text})
			}
			s = s[len(quoted):]
		case isName(rune(c)) || c == '.' || c == '$':
			n := strings.IndexFunc(s, func(r rune) bool { return !isName(r) && r != '.' && r != '$' })
			if n < 0 {
				n = len(s)
			}
			kind := value
			if unicode.IsLetter(rune(c)) || c == '_' {
				kind = word
			}
			tokens = append(tokens, token{kind, s[:n]})
			s = s[n:]
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			s = s[1:]
		default:
			tokens = append(tokens, token{mark, s[:1]})
			s = s[1:]
		}
	}
	return tokens, strings.TrimPrefix(s, "}}")
}

func isName(r rune) bool { return r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r) }

// arguments are the arguments at the begin of tokens: up to a pipe, a closing
// parenthesis or the end, with each pair of parentheses as one.
func arguments(tokens []token) (args []token) {
	depth := 0
	for _, t := range tokens {
		switch {
		case t.kind == mark && t.text == "(":
			if depth == 0 {
				args = append(args, token{group, ""})
			}
			depth++
		case t.kind == mark && t.text == ")":
			if depth--; depth < 0 {
				return args
			}
		case t.kind == mark && depth == 0 && t.text != "-":
			return args
		case t.kind != mark && depth == 0:
			args = append(args, t)
		}
	}
	return args
}
