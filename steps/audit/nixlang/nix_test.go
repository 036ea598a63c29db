package nixlang

import (
	"bytes"
	"cmp"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// shown is an expression as nix-instantiate --parse shows it.
type shown struct{ dir, home, src string }

func (s shown) expr(n *Node) string {
	if call := s.call(n); call != nil {
		return "(" + strings.Join(call, " ") + ")"
	}
	switch n.Kind {
	case Ident:
		return identifier(n.Text)
	case Number:
		return decimal(n.Text)
	case URI:
		return literal(n.Text)
	case String:
		return s.str(n)
	case Path:
		return s.path(n)
	case List:
		all := "[ "
		for _, k := range n.Kids {
			all += "(" + s.expr(k) + ") "
		}
		return all + "]"
	case Set:
		if n.Rec {
			return "rec { " + s.binds(n.Binds) + "}"
		}
		return "{ " + s.binds(n.Binds) + "}"
	case Let:
		if len(n.Kids) == 0 {
			return "(rec { " + s.binds(n.Binds) + "}).body"
		}
		return "(let " + s.binds(n.Binds) + "in " + s.expr(n.Kids[0]) + ")"
	case With:
		return "(with " + s.expr(n.Kids[0]) + "; " + s.expr(n.Kids[1]) + ")"
	case Assert:
		return "assert " + s.expr(n.Kids[0]) + "; " + s.expr(n.Kids[1])
	case If:
		return "(if " + s.expr(n.Kids[0]) + " then " + s.expr(n.Kids[1]) + " else " + s.expr(n.Kids[2]) + ")"
	case Lambda:
		return s.lambda(n)
	case Select:
		text := "(" + s.expr(n.Kids[0]) + ")." + s.attrs(n.Attrs)
		if len(n.Kids) > 1 {
			text += " or (" + s.expr(n.Kids[1]) + ")"
		}
		return text
	case HasAttr:
		return "((" + s.expr(n.Kids[0]) + ") ? " + s.attrs(n.Attrs) + ")"
	case Unary:
		return "(! " + s.expr(n.Kids[0]) + ")"
	case Binary:
		switch a, b := n.Kids[0], n.Kids[1]; n.Text {
		case "<=":
			return "(! (__lessThan " + s.expr(b) + " " + s.expr(a) + "))"
		case ">=":
			return "(! (__lessThan " + s.expr(a) + " " + s.expr(b) + "))"
		default:
			return "(" + s.expr(a) + " " + n.Text + " " + s.expr(b) + ")"
		}
	}
	panic(fmt.Sprint("kind ", n.Kind))
}

// call is what Nix has as a function call: the function and its arguments.
func (s shown) call(n *Node) []string {
	of := func(f *Node, arg *Node) []string {
		call := s.call(f)
		if call == nil || arg.Text == "or" && arg.Kind == Ident && n.Kind == Apply {
			call = []string{s.expr(f)}
		}
		return append(call, s.expr(arg))
	}
	switch {
	case n.Kind == Apply:
		return of(n.Kids[0], n.Kids[1])
	case n.Kind == Search:
		return []string{"__findFile", "__nixPath", literal(n.Text)}
	case n.Kind == Unary && n.Text == "-":
		return []string{"__sub", "0", s.expr(n.Kids[0])}
	case n.Kind != Binary:
		return nil
	}
	a, b := n.Kids[0], n.Kids[1]
	switch n.Text {
	case "|>":
		return of(b, a)
	case "<|":
		return of(a, b)
	case "<":
		return []string{"__lessThan", s.expr(a), s.expr(b)}
	case ">":
		return []string{"__lessThan", s.expr(b), s.expr(a)}
	case "-", "*", "/":
		name := map[string]string{"-": "__sub", "*": "__mul", "/": "__div"}[n.Text]
		return []string{name, s.expr(a), s.expr(b)}
	}
	return nil
}

func (s shown) lambda(n *Node) string {
	text := "("
	if n.Params.Set {
		var all []string
		formals := slices.SortedFunc(slices.Values(n.Params.Formals), func(a, b Formal) int { return cmp.Compare(a.Name, b.Name) })
		for _, f := range formals {
			one := identifier(f.Name)
			if f.Default != nil {
				one += " ? " + s.expr(f.Default)
			}
			all = append(all, one)
		}
		if n.Params.More {
			all = append(all, "...")
		}
		text += "{ " + strings.Join(all, ", ") + " }"
		if n.Params.Name != "" {
			text += " @ "
		}
	}
	if n.Params.Name != "" {
		text += identifier(n.Params.Name)
	}
	return text + ": " + s.expr(n.Kids[0]) + ")"
}

func (s shown) str(n *Node) string {
	if len(n.Kids) == 0 {
		return `""`
	}
	if len(n.Kids) == 1 && n.Kids[0].Kind == Text {
		return literal(n.Kids[0].Text)
	}
	return "(" + s.pieces(n.Kids) + ")"
}

func (s shown) pieces(kids []*Node) string {
	var all []string
	for _, k := range kids {
		if k.Kind == Text {
			all = append(all, literal(k.Text))
		} else {
			all = append(all, s.expr(k))
		}
	}
	return strings.Join(all, " + ")
}

func (s shown) path(n *Node) string {
	text := n.Kids[0].Text
	name := text
	switch {
	case strings.HasPrefix(name, "~"):
		name = s.home + name[1:]
	case !strings.HasPrefix(name, "/"):
		name = filepath.Join(s.dir, name)
	}
	name = filepath.Clean(name)
	if strings.HasSuffix(text, "/") && name != "/" {
		name += "/"
	}
	if len(n.Kids) == 1 {
		return name
	}
	return "(" + name + " + " + s.pieces(n.Kids[1:]) + ")"
}

func (s shown) attrs(attrs []*Node) string {
	var all []string
	for _, a := range attrs {
		if name, ok := static(a); ok {
			all = append(all, identifier(name))
		} else {
			all = append(all, `"${`+s.dynamic(a)+`}"`)
		}
	}
	return strings.Join(all, ".")
}

// dynamic is an attribute name that is not static.
func (s shown) dynamic(a *Node) string {
	if a.Text == "" {
		return s.expr(a.Kids[0])
	}
	return s.expr(a)
}

// static is Node.Static as Nix has it: a string of one string is not one.
func static(n *Node) (string, bool) {
	if n.Kind != Ident && n.Kind != String {
		return "", false
	}
	return n.Static()
}

// set is bindings merged as Nix merges them.
type set struct {
	plain    map[string]any // *set with its rec, or string
	rec      bool
	inherits []string
	from     [][2]string
	dynamic  []string
}

func (s shown) binds(binds []Bind) string {
	return s.text(s.merge(&set{plain: map[string]any{}}, binds))
}

func (s shown) merge(to *set, binds []Bind) *set {
	for _, b := range binds {
		if b.Path == nil {
			var names []string
			for _, k := range b.Names {
				name, _ := k.Static()
				names = append(names, identifier(name))
			}
			if b.Source == nil {
				to.inherits = append(to.inherits, names...)
			} else {
				slices.Sort(names)
				to.from = append(to.from, [2]string{s.expr(b.Source), strings.Join(names, " ")})
			}
			continue
		}
		s.insert(to, b.Path, b.Value)
	}
	return to
}

func (s shown) insert(to *set, path []*Node, value *Node) {
	name, ok := static(path[0])
	if !ok {
		text := ""
		if len(path) == 1 {
			text = s.expr(value)
		} else {
			sub := &set{plain: map[string]any{}}
			s.insert(sub, path[1:], value)
			text = "{ " + s.text(sub) + "}"
		}
		to.dynamic = append(to.dynamic, `"${`+s.dynamic(path[0])+`}" = `+text+"; ")
		return
	}
	sub, _ := to.plain[name].(*set)
	if len(path) == 1 && value.Kind != Set {
		to.plain[name] = s.expr(value)
		return
	}
	if sub == nil {
		sub = &set{plain: map[string]any{}}
		to.plain[name] = sub
		if len(path) == 1 {
			sub.rec = value.Rec
		}
	}
	if len(path) == 1 {
		s.merge(sub, value.Binds)
		return
	}
	s.insert(sub, path[1:], value)
}

func (s shown) text(t *set) string {
	text := ""
	if len(t.inherits) > 0 {
		slices.Sort(t.inherits)
		text += "inherit " + strings.Join(t.inherits, " ") + "; "
	}
	for _, f := range t.from {
		if f[1] != "" {
			text += "inherit (" + f[0] + ") " + f[1] + "; "
		}
	}
	var names []string
	for name := range t.plain {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		value, _ := t.plain[name].(string)
		if sub, ok := t.plain[name].(*set); ok {
			value = "{ " + s.text(sub) + "}"
			if sub.rec {
				value = "rec " + value
			}
		}
		text += identifier(name) + " = " + value + "; "
	}
	return text + strings.Join(t.dynamic, "")
}

var word = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_'-]*$`)

func identifier(name string) string {
	if word.MatchString(name) && (!strings.Contains(keywords, " "+name+" ") || name == "or") {
		return name
	}
	return literal(name)
}

func literal(s string) string {
	return `"` + strings.NewReplacer(`"`, `\"`, `\`, `\\`, "\n", `\n`, "\r", `\r`, "\t", `\t`, "${", `\${`).Replace(s) + `"`
}

func decimal(s string) string {
	var i int64
	if _, err := fmt.Sscanf(s, "%d", &i); err == nil && !strings.ContainsAny(s, ".") {
		return fmt.Sprint(i)
	}
	var f float64
	fmt.Sscanf(s, "%g", &f)
	return fmt.Sprintf("%.6g", f)
}

// Where indentation is stripped is not told by the trees, so white space in strings
// after a line's end, or at a string's, is not compared.
// And Nix has a string that is escaped in places in pieces.
var joint = regexp.MustCompile(`([^\\](?:\\\\)*)"\+"`)
var single = regexp.MustCompile(`\(("(?:[^"\\]|\\.)*")\)`)

var indentation = regexp.MustCompile(`(\\n|") +`)

func loosely(s string) string {
	s = indentation.ReplaceAllString(s, "$1")
	s = strings.NewReplacer(`\${`, "${", " ", "").Replace(s)
	s = regexp.MustCompile(`([^\\])""\+|\+""`).ReplaceAllString(s, "$1")
	for before := ""; before != s; {
		before, s = s, single.ReplaceAllString(joint.ReplaceAllString(s, "$1"), "$1")
	}
	return s
}

// TestTreesOfNix parses every .nix file of the repository, and of the trees that
// NIX_TREES names, and compares what comes out with what nix-instantiate says. One before
// 2.24 shows names in an order of its own: it is only asked whether a file is Nix.
func TestTreesOfNix(t *testing.T) {
	if _, err := exec.LookPath("nix-instantiate"); err != nil {
		t.Skip("there is no nix-instantiate")
	}
	roots := append([]string{"../../.."}, filepath.SplitList(os.Getenv("NIX_TREES"))...)
	var files []string
	for _, root := range roots {
		root, err := filepath.Abs(root)
		if err != nil {
			t.Fatal(err)
		}
		filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() && strings.HasSuffix(name, ".nix") {
				files = append(files, name)
			}
			return nil
		})
	}
	same, refused := 0, 0
	var major, minor int
	version, _ := exec.Command("nix-instantiate", "--version").Output()
	if _, err := fmt.Sscanf(string(version), "nix-instantiate (Nix) %d.%d", &major, &minor); err != nil {
		t.Fatalf("%s: %v", version, err)
	}
	ordered := major > 2 || minor >= 24
	for batch := range slices.Chunk(files, 100) {
		trees := instantiate(batch)
		for i, name := range batch {
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			n, err := Parse(string(data))
			switch {
			case trees[i] == "" && err != nil:
				refused++
			case trees[i] == "":
				if says := why(name); !beyond.MatchString(says) {
					t.Errorf("%s: Nix refuses it: %s", name, says)
				}
				refused++
			case err != nil:
				t.Errorf("%s:%v, and Nix takes it", name, err)
			case !ordered:
				same++
			default:
				got := loosely(shown{filepath.Dir(name), os.Getenv("HOME"), string(data)}.expr(n))
				if want := loosely(trees[i]); got != want {
					at := 0
					for at < min(len(got), len(want)) && got[at] == want[at] {
						at++
					}
					t.Errorf("%s: not Nix's tree:\n got …%.160s\nwant …%.160s", name, got[max(0, at-60):], want[max(0, at-60):])
					continue
				}
				same++
			}
		}
	}
	t.Logf("Nix %d.%d: %d files; %d taken by both, trees compared: %v; %d refused by both", major, minor, len(files), same, ordered, refused)
}

// beyond is what Nix refuses for other reasons than the grammar.
var beyond = regexp.MustCompile(`undefined variable|dynamic attributes not allowed|null bytes|already defined|duplicate`)

// instantiate is what nix-instantiate --parse says of each file; "" where it refuses.
func instantiate(files []string) []string {
	if out, err := exec.Command("nix-instantiate", append([]string{"--parse"}, files...)...).Output(); err == nil {
		if lines := bytes.Split(bytes.TrimSpace(out), []byte("\n")); len(lines) == len(files) {
			all := make([]string, len(files))
			for i, l := range lines {
				all[i] = string(l)
			}
			return all
		}
	}
	if len(files) == 1 {
		return []string{""}
	}
	half := len(files) / 2
	return append(instantiate(files[:half]), instantiate(files[half:])...)
}

func why(name string) string {
	out, _ := exec.Command("nix-instantiate", "--parse", name).CombinedOutput()
	return string(out)
}
