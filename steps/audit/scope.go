package audit

import (
	"path"
	"strings"

	"movein/steps/audit/nixlang"
)

// scope is which names are bound to what, without evaluating.
type scope struct {
	up    *scope
	file  *file
	binds map[string]*nixlang.Node // nil: bound, to what is not known
	with  *nixlang.Node            // whose attributes are names too; the scope binds nothing then
}

// within is the scope inside of n: of a let, a rec set or a function.
func (s *scope) within(n *nixlang.Node) *scope {
	in := &scope{up: s, file: s.file, binds: map[string]*nixlang.Node{}}
	for _, b := range n.Binds {
		for _, k := range b.Names {
			if name, ok := k.Static(); ok && b.Source != nil {
				in.binds[name] = nil
			}
		}
		if name, ok := static(b.Path); ok && len(b.Path) == 1 {
			in.binds[name] = b.Value
		} else if ok {
			in.binds[name] = nil
		}
	}
	if n.Params != nil {
		in.binds[n.Params.Name] = nil
		for _, f := range n.Params.Formals {
			in.binds[f.Name] = nil
		}
	}
	return in
}

func static(path []*nixlang.Node) (string, bool) {
	if len(path) == 0 {
		return "", false
	}
	return path[0].Static()
}

// lookup is what a name is bound to, and where.
func (s *scope) lookup(name string) (*nixlang.Node, *scope) {
	for ; s != nil; s = s.up {
		if n, ok := s.binds[name]; ok {
			return n, s
		}
	}
	return nil, nil
}

// call takes a function call apart: the function's name, without where it is from, and its arguments.
func call(n *nixlang.Node) (name string, args []*nixlang.Node) {
	for n.Kind == nixlang.Apply {
		args = append([]*nixlang.Node{n.Kids[1]}, args...)
		n = n.Kids[0]
	}
	if n.Kind == nixlang.Binary && (n.Text == "|>" || n.Text == "<|") {
		f, arg := n.Kids[0], n.Kids[1]
		if n.Text == "|>" {
			f, arg = arg, f
		}
		name, args = call(f)
		return name, append(args, arg)
	}
	return lastName(n), args
}

// lastName is the last name of a variable or selection: "mkIf" of lib.mkIf.
func lastName(n *nixlang.Node) string {
	switch n.Kind {
	case nixlang.Ident:
		return n.Text
	case nixlang.Select:
		name, _ := n.Attrs[len(n.Attrs)-1].Static()
		return name
	}
	return ""
}

// most is how many steps names are followed, since they may go in circles.
const most = 20

// path is what an expression is as a path from the root of the tree on, beginning with
// a slash; or as a string, not beginning with one. What only evaluating tells is "*".
func (t *Tree) path(n *nixlang.Node, s *scope, depth int) string {
	if depth > most {
		return "*"
	}
	text := func(kids []*nixlang.Node) string {
		all := ""
		for _, k := range kids {
			if k.Kind == nixlang.Text {
				all += k.Text
			} else {
				all += t.path(k, s, depth+1)
			}
		}
		return all
	}
	switch n.Kind {
	case nixlang.String:
		return text(n.Kids)
	case nixlang.Path:
		switch name := text(n.Kids); name[0] {
		case '/': // of the machine; perhaps the tree's
			if inside, ok := strings.CutPrefix(name, t.Root+"/"); ok {
				return "/" + inside
			}
			return "*"
		case '~':
			return "*"
		default:
			return "/" + path.Join(path.Dir(s.file.name), name)
		}
	case nixlang.Ident:
		if v, in := s.lookup(n.Text); v != nil {
			return t.path(v, in, depth+1)
		}
		if n.Text == "self" {
			return "/"
		}
	case nixlang.Select:
		switch lastName(n) {
		case "self":
			return "/"
		case "outPath":
			return t.path(n.Kids[0], s, depth+1)
		}
	case nixlang.Binary:
		if n.Text == "+" {
			return t.path(n.Kids[0], s, depth+1) + t.path(n.Kids[1], s, depth+1)
		}
	case nixlang.Apply:
		name, args := call(n)
		if name == "import" || name == "toString" || name == "toPath" || name == "importApply" || name == "setDefaultModuleLocation" {
			return t.path(args[len(args)-1], s, depth+1)
		}
		if len(args) == 1 && args[0].Kind == nixlang.String { // relativeToRoot "hosts/x.nix"
			if text := t.path(args[0], s, depth+1); t.file(text) != nil {
				return "/" + text
			}
		}
	}
	return "*"
}

// elements are those of a list, as far as it is one without evaluating. Each comes with its scope.
func elements(n *nixlang.Node, s *scope, depth int, yield func(*nixlang.Node, *scope)) {
	if depth > most {
		return
	}
	switch n.Kind {
	case nixlang.List:
		for _, k := range n.Kids {
			yield(k, s)
		}
	case nixlang.Let:
		if len(n.Kids) > 0 {
			elements(n.Kids[0], s.within(n), depth+1, yield)
		}
	case nixlang.With:
		elements(n.Kids[1], &scope{up: s, file: s.file, with: n.Kids[0]}, depth+1, yield)
	case nixlang.Assert:
		elements(n.Kids[1], s, depth+1, yield)
	case nixlang.If:
		elements(n.Kids[1], s, depth+1, yield)
		elements(n.Kids[2], s, depth+1, yield)
	case nixlang.Binary:
		if n.Text == "++" {
			elements(n.Kids[0], s, depth+1, yield)
			elements(n.Kids[1], s, depth+1, yield)
			return
		}
		yield(n, s)
	case nixlang.Ident:
		if v, in := s.lookup(n.Text); v != nil {
			elements(v, in, depth+1, yield)
			return
		}
		yield(n, s)
	case nixlang.Apply:
		name, args := call(n)
		last := args[len(args)-1]
		if modifiers[name] {
			elements(last, s, depth+1, yield)
			return
		}
		switch name {
		case "optionals", "flatten", "unique", "concatLists", "filter", "toList", "reverseList", "remove":
			elements(last, s, depth+1, yield)
		case "optional", "singleton":
			yield(last, s)
		case "mkMerge":
			elements(last, s, depth+1, func(n *nixlang.Node, s *scope) { elements(n, s, depth+1, yield) })
		case "map", "forEach":
			elements(last, s, depth+1, func(k *nixlang.Node, in *scope) {
				if f := args[0]; f.Kind == nixlang.Lambda && !f.Params.Set { // map (x: ./. + "/${x}") [ … ]
					bound := s.within(f)
					bound.binds[f.Params.Name] = k
					yield(f.Kids[0], bound)
					return
				}
				yield(k, in)
			})
		case "attrValues":
			if last.Kind == nixlang.Set {
				values(last, s, yield)
				return
			}
			yield(n, s)
		default:
			yield(n, s)
		}
	default:
		yield(n, s)
	}
}

// values are those of a set.
func values(n *nixlang.Node, s *scope, yield func(*nixlang.Node, *scope)) {
	for _, b := range n.Binds {
		for _, k := range b.Names {
			yield(k, &scope{up: s, file: s.file, with: b.Source})
		}
		if b.Value != nil {
			yield(b.Value, s)
		}
	}
}
