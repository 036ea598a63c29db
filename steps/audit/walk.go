package audit

import (
	"path"
	"slices"
	"strings"

	"movein/steps/audit/nixlang"
)

// role is whose options a module's are.
type role string

const (
	nixosRole role = "nixos"
	homeRole  role = "home"
	partRole  role = "part" // of a flake: only modules in it are of interest
)

// found is a definition as it is in the source.
type found struct {
	file       *file
	at         int // byte of the file
	option     []string
	below      []string // names that follow option, which is one definition whatever is in it
	role       role
	standalone bool // of a home that no system configuration includes
	value      *nixlang.Node
	scope      *scope
	condition  bool // it holds under one
}

// reach is how a file is used.
type reach struct {
	role       role
	standalone bool
}

// walk collects the definitions of a tree's modules, from what uses them down.
type walk struct {
	*Tree
	*table
	found    []*found
	index    map[string]*found // by file, place, role and option
	seen     map[*file][]reach
	declared map[string]*found // options that the tree declares itself
	aliases  []alias
	queue    []func()
}

// alias is an option that stands for another: lib.mkAliasOptionModule and mkAliasDefinitions.
type alias struct{ from, to []string }

// in is where a module is.
type in struct {
	*walk
	reach
	scope     *scope
	condition bool
}

// use has the modules of a file looked at, once in a role.
func (w *walk) use(f *file, r reach) {
	if r.role == partRole {
		return
	}
	for i, old := range w.seen[f] {
		if old.role == r.role && (old.standalone == r.standalone || r.standalone) {
			return
		} else if old.role == r.role {
			w.seen[f] = slices.Delete(w.seen[f], i, i+1) // it is the system's too, and all below it
			break
		}
	}
	w.seen[f] = append(w.seen[f], r)
	w.queue = append(w.queue, func() { (&in{w, r, &scope{file: f}, false}).module(f.node, 0) })
}

func (w *walk) run() {
	for len(w.queue) > 0 {
		next := w.queue[0]
		w.queue = w.queue[1:]
		next()
	}
}

func (i *in) inside(s *scope) *in {
	c := *i
	c.scope = s
	return &c
}

// under is where a condition holds, if is says so.
func (i *in) under(is bool) *in {
	if !is || i.condition {
		return i
	}
	c := *i
	c.condition = true
	return &c
}

// module is a module, as it is in a list of imports: a path, a set, a function of them …
func (i *in) module(n *nixlang.Node, depth int) {
	if depth > most {
		return
	}
	switch n.Kind {
	case nixlang.Lambda:
		body := n.Kids[0]
		if !n.Params.Set && body.Kind == nixlang.Lambda && !body.Params.Set { // final: prev: is an overlay
			return
		}
		i.inside(i.scope.within(n)).module(body, depth+1)
	case nixlang.Let:
		if len(n.Kids) > 0 {
			i.inside(i.scope.within(n)).module(n.Kids[0], depth+1)
		}
	case nixlang.With, nixlang.Assert:
		i.module(n.Kids[1], depth+1)
	case nixlang.If:
		i = i.under(true)
		i.module(n.Kids[1], depth+1)
		i.module(n.Kids[2], depth+1)
	case nixlang.Set:
		i.set(nil, n, depth+1)
	case nixlang.Binary:
		if n.Text == "//" {
			i.module(n.Kids[0], depth+1)
			i.module(n.Kids[1], depth+1)
			return
		}
		i.imported(n)
	case nixlang.Ident:
		if v, s := i.scope.lookup(n.Text); v != nil {
			i.inside(s).module(v, depth+1)
		}
	case nixlang.Apply:
		i.applied(n, depth)
	case nixlang.Path, nixlang.String:
		i.imported(n)
	}
}

// modifiers are functions of the module system whose last argument is what they are about.
var modifiers = names(strings.Fields("mkIf mkDefault mkForce mkBefore mkAfter mkOverride mkOrder mkVMOverride mkOptionDefault optionalAttrs warn warnIf throwIf"))

var conditions = names([]string{"mkIf", "optionalAttrs"})

func (i *in) applied(n *nixlang.Node, depth int) {
	name, args := call(n)
	last := args[len(args)-1]
	switch {
	case modifiers[name]:
		i = i.under(conditions[name])
		i.module(last, depth+1)
	case name == "mkMerge":
		elements(last, i.scope, 0, func(k *nixlang.Node, s *scope) { i.inside(s).module(k, depth+1) })
	case name == "recursiveUpdate":
		i.module(args[0], depth+1)
		i.module(last, depth+1)
	case strings.HasPrefix(name, "mkAliasOptionModule") && len(args) == 2:
		from, to := i.listed(args[0]), i.listed(args[1])
		i.alias(from, to)
	default:
		if i.imported(args[0]) || i.imported(last) || i.imported(n) {
			return
		}
		for _, a := range args { // scanPaths ./dir and the like: all that is there
			if a.Kind == nixlang.Path {
				for _, f := range i.below(i.path(a, i.scope, 0)) {
					if moduleLike(f) {
						i.use(f, i.reach)
					}
				}
			}
		}
	}
}

func (i *in) listed(n *nixlang.Node) (all []string) {
	elements(n, i.scope, 0, func(k *nixlang.Node, s *scope) { all = append(all, i.path(k, s, 0)) })
	return all
}

func (w *walk) alias(from, to []string) {
	if len(from) > 0 && len(to) > 1 && (to[0] == "home-manager" || to[0] == "users" || to[0] == "snowfallorg") && !slices.ContainsFunc(w.aliases, func(a alias) bool { return slices.Equal(a.from, from) }) {
		w.aliases = append(w.aliases, alias{from, to})
	}
}

// imported has the files looked at that a path means, and reports whether there are any.
func (i *in) imported(n *nixlang.Node) bool {
	name := i.path(n, i.scope, 0)
	if !strings.HasPrefix(name, "/") {
		return false
	}
	all := i.find(name)
	for _, f := range all {
		if path.Base(f.name) != "flake.nix" {
			i.use(f, i.reach)
		}
	}
	return len(all) > 0
}

// set is a set of definitions: a module, if prefix is empty.
func (i *in) set(prefix []string, n *nixlang.Node, depth int) {
	if n.Rec {
		i = i.inside(i.scope.within(n))
	}
	for _, b := range n.Binds {
		for _, k := range b.Names {
			if name, ok := k.Static(); ok && (len(prefix) > 0 || !special[name]) {
				i.define(append(slices.Clip(prefix), name), k, b.From)
			}
		}
		if b.Path == nil {
			continue
		}
		option := slices.Clip(prefix)
		for _, a := range b.Path {
			option = append(option, i.name(a))
		}
		if len(prefix) == 0 && special[option[0]] {
			i.special(option, b, depth)
			continue
		}
		i.bind(option, b.Value, b.From, depth)
	}
}

// name is an attribute's; in what only evaluating tells, "${…}" stands.
func (i *in) name(a *nixlang.Node) string {
	if name, ok := a.Static(); ok {
		return name
	}
	text := i.path(a, i.scope, 0)
	if text = strings.TrimPrefix(text, "/"); !strings.Contains(text, "*") {
		return text
	}
	return i.scope.file.src[a.From:a.To]
}

// special are the names in a module that are not options.
var special = names(strings.Fields("imports options config _module disabledModules _file _class key freeformType meta perSystem"))

func (i *in) special(option []string, b nixlang.Bind, depth int) {
	switch {
	case option[0] == "imports":
		elements(b.Value, i.scope, 0, func(k *nixlang.Node, s *scope) { i.inside(s).module(k, depth+1) })
	case option[0] == "options":
		i.declare(option[1:], b.Value, b.From, depth)
	case option[0] == "config" && len(option) == 1:
		i.module(b.Value, depth+1)
	case option[0] == "config":
		i.bind(option[1:], b.Value, b.From, depth)
	}
}
