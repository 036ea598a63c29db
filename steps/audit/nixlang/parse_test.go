package nixlang

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestPositions shows that every node is where it says: its text parses to the same.
func TestPositions(t *testing.T) {
	files, err := filepath.Glob("../../../testdata/audit/tree/*/*.nix")
	if err != nil || len(files) == 0 {
		t.Fatal(err, files)
	}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		src := string(data)
		n, err := Parse(src)
		if err != nil {
			t.Fatal(err)
		}
		var look func(n *Node)
		look = func(n *Node) {
			text := src[n.From:n.To]
			if !strings.HasPrefix(text, "${") { // a name
				again, err := Parse(text)
				if err != nil {
					t.Errorf("%s: %v in %q", name, err, text)
				} else if s := (shown{}); n.Kind != Path && s.expr(again) != s.expr(n) {
					t.Errorf("%s: %q is %s, not %s", name, text, s.expr(again), s.expr(n))
				}
			}
			for _, k := range n.Children() {
				if k.Kind != Text {
					look(k)
				}
			}
		}
		look(n)
	}
}

// TestErrors shows where a text is wrong, and why.
func TestErrors(t *testing.T) {
	for src, want := range map[string]string{
		"":                        "1:1: the end of the file is unexpected here",
		"{ a = 1 }":               "1:9: '}' is unexpected here, where ';' should be",
		"{\n  a = [ 1 ;\n}":       "2:11: ';' is unexpected here",
		"\"a":                     "1:1: a string that does not end",
		"''a ${b":                 "1:8: the end of the file is unexpected here",
		"/* a":                    "1:1: a comment that does not end",
		"a == b == c":             "1:8: '==' after '==' needs parentheses",
		"a ++ with b; c":          "1:6: 'with' is unexpected here",
		"./a/":                    "1:4: a path ends with a slash",
		"\\":                      `1:1: "\\" has no meaning here`,
		"{ x, y }":                "1:9: the end of the file is unexpected here, where ':' should be",
		strings.Repeat("(", 5000): "1:1001: expressions are too deep in each other",
	} {
		_, err := Parse(src)
		if e, ok := errors.AsType[*Error](err); !ok || e.Error() != want {
			t.Errorf("%.20q: %v, want %s", src, err, want)
		}
	}
}

func TestFree(t *testing.T) {
	for src, want := range map[string]string{
		"x: x + y":                      "y",
		"{ a, b ? c, ... }@d: a + b d":  "c",
		"let a = b; inherit c; in a":    "b c",
		"rec { a = b; b = 1; }":         "",
		"{ a = b; b = 1; }":             "b",
		"{ inherit (x) y; inherit z; }": "x z",
		"with p; [ q ./r ]":             "p q",
		`"${a}" + ''${b}'' + ./${c}/d`:  "a b c",
		"a.${b}.c or d ? ${e}":          "a b d e",
	} {
		n, err := Parse(src)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(slices.Sorted(maps.Keys(n.Free())), " "); got != want {
			t.Errorf("%s: %q, want %q", src, got, want)
		}
	}
}

// FuzzParse shows that no text makes the parser fail otherwise than with an *Error
// that has a place in it.
func FuzzParse(f *testing.F) {
	filepath.WalkDir("../../../testdata/audit", func(name string, _ os.DirEntry, _ error) error { //nolint:errcheck // more seeds
		if data, err := os.ReadFile(name); err == nil && strings.HasSuffix(name, ".nix") {
			f.Add(string(data))
		}
		return nil
	})
	for _, s := range []string{"a/b", "~/x", "<a/b>", "''$${a}'''''", "\"\\${a}$${b}\"", "1.e3", ".5", "a:b", "x: y", "{}: 1", "a?b.c or d", "let { body = 1; }", "f <| g |> h", "-1 - -2", "!a -> b", "{ \"${a}\" = 1; }", "./${a}/b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, src string) {
		n, err := Parse(src)
		if e, ok := errors.AsType[*Error](err); err != nil && (!ok || e.Line < 1 || e.Col < 1 || e.Line > strings.Count(src, "\n")+1) {
			t.Fatalf("%v", err)
		}
		if err == nil && (n.From < 0 || n.To > len(src) || n.From > n.To) {
			t.Fatalf("%d to %d of %d", n.From, n.To, len(src))
		}
		if err == nil {
			n.Free()
		}
	})
}
