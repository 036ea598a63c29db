package steps

import (
	"errors"
	"regexp"
	"strings"
)

// hostsLine opens the attribute set of hosts in a flake of the shape that "movein init" writes.
var hostsLine = regexp.MustCompile(`(?m)^[ \t]*hosts = \{[ \t]*\n`)

// hostsIn finds the lines between the braces of "hosts = {" in a flake: flake[begin:end].
func hostsIn(flake string) (begin, end int, err error) {
	var found [][2]int
	walkNix(flake, 0, func(i int) bool {
		if i == 0 || flake[i-1] == '\n' {
			if at := hostsLine.FindStringIndex(flake[i:]); at != nil && at[0] == 0 {
				found = append(found, [2]int{i, i + at[1]})
			}
		}
		return true
	})
	if len(found) != 1 {
		return 0, 0, errors.New(`flake.nix has no one attribute set "hosts = {" as "movein init" writes it`)
	}
	begin = found[0][1]
	brace := closingBrace(flake, strings.LastIndexByte(flake[:begin], '{'))
	end = strings.LastIndexByte(flake[:max(brace, 0)], '\n') + 1
	if brace < 0 || strings.TrimSpace(flake[end:brace]) != "" {
		return 0, 0, errors.New("the closing brace of its hosts is not on a line of its own")
	}
	return begin, end, nil
}

// hasAttribute reports whether a name is bound in the bindings of an attribute set.
func hasAttribute(bindings, name string) bool {
	line := regexp.MustCompile(`^[ \t]*"?` + regexp.QuoteMeta(name) + `"?[ \t]*[.=]`)
	depth, has := 0, false
	walkNix(bindings, 0, func(i int) bool {
		switch bindings[i] {
		case '{', '[', '(':
			depth++
		case '}', ']', ')':
			depth--
		}
		if depth == 0 && (i == 0 || bindings[i-1] == '\n') {
			has = has || line.MatchString(bindings[i:])
		}
		return true
	})
	return has
}

// closingBrace is where the brace that opens at open is closed; -1: nowhere.
func closingBrace(nix string, open int) int {
	depth, at := 0, -1
	walkNix(nix, open, func(i int) bool {
		switch nix[i] {
		case '{':
			depth++
		case '}':
			if depth--; depth == 0 {
				at = i
			}
		}
		return at < 0
	})
	return at
}

// walkNix calls code with each place of a Nix expression that is in no comment and in no
// string, from i on, until it says no. The first place of a string is code, and so is
// what is between ${ and } in it.
func walkNix(nix string, i int, code func(i int) bool) {
	for i < len(nix) {
		rest := nix[i:]
		switch {
		case rest[0] == '#':
			if j := strings.IndexByte(rest, '\n'); j >= 0 {
				i += j
				continue
			}
			return
		case strings.HasPrefix(rest, "/*"):
			j := strings.Index(rest[2:], "*/")
			if j < 0 {
				return
			}
			i += j + 4
			continue
		}
		if !code(i) {
			return
		}
		switch {
		case rest[0] == '"':
			i = skipString(nix, i+1, `"`, `\`)
		case strings.HasPrefix(rest, "''"):
			i = skipString(nix, i+2, "''", "''\\")
		default:
			i++
		}
	}
}

// skipString is where the string ends of which i is the first place: after its end.
func skipString(nix string, i int, end, escape string) int {
	for i < len(nix) {
		rest := nix[i:]
		switch {
		case strings.HasPrefix(rest, escape):
			i += len(escape) + 1
		case end == "''" && (strings.HasPrefix(rest, "'''") || strings.HasPrefix(rest, "''$")):
			i += 3
		case strings.HasPrefix(rest, "$${"):
			i += 3
		case strings.HasPrefix(rest, "${"):
			j := closingBrace(nix, i+1)
			if j < 0 {
				return len(nix)
			}
			i = j + 1
		case strings.HasPrefix(rest, end):
			return i + len(end)
		default:
			i++
		}
	}
	return len(nix)
}
