package audit

import (
	"slices"
	"strconv"
	"strings"

	"movein/steps/audit/nixlang"
)

// declare notes the options that are declared in n.
func (i *in) declare(option []string, n *nixlang.Node, at, depth int) {
	if depth > 4*most {
		return
	}
	switch n.Kind {
	case nixlang.Set:
		for _, b := range n.Binds {
			sub := slices.Clip(option)
			for _, a := range b.Path {
				sub = append(sub, i.name(a))
			}
			if b.Path != nil {
				i.declare(sub, b.Value, b.From, depth+1)
			}
		}
	case nixlang.Let:
		if len(n.Kids) > 0 {
			i.inside(i.scope.within(n)).declare(option, n.Kids[0], at, depth+1)
		}
	case nixlang.With, nixlang.Assert:
		i.declare(option, n.Kids[1], at, depth+1)
	case nixlang.Binary:
		if n.Text == "//" {
			i.declare(option, n.Kids[0], at, depth+1)
			i.declare(option, n.Kids[1], at, depth+1)
		}
	default:
		key := strings.Join(option, ".")
		if len(option) > 0 && i.role != partRole && (i.declared[key] == nil || i.role == homeRole) {
			i.declared[key] = &found{file: i.scope.file, at: at, option: option, role: i.role}
		}
	}
}

// bind is one binding: of an option, of some below it, or of a module in a module.
func (i *in) bind(option []string, v *nixlang.Node, at, depth int) {
	if depth > 4*most {
		return
	}
	for _, a := range i.aliases {
		if _, ok := fits(a.from, option); ok && i.role == nixosRole {
			option = append(slices.Clip(a.to), option[len(a.from):]...)
		}
	}
	if i.role == nixosRole && len(option) > 1 && i.aliased(option, v) {
		return
	}
	if i.role != homeRole && i.entered(option, v, at, depth) {
		return
	}
	if n := i.whole(i.role, option); n > 0 && n <= len(option) {
		i.define(option[:n], v, at)
		if f := i.index[i.key(option[:n], at)]; f != nil {
			f.below = option[n:]
		}
		return
	}
	switch v.Kind {
	case nixlang.Set:
		if len(v.Binds) > 0 {
			i.set(option, v, depth+1)
			return
		}
	case nixlang.Let:
		if len(v.Kids) > 0 {
			i.inside(i.scope.within(v)).bind(option, v.Kids[0], at, depth+1)
			return
		}
	case nixlang.With, nixlang.Assert:
		i.bind(option, v.Kids[1], at, depth+1)
		return
	case nixlang.If:
		if i.isSet(v.Kids[1], 0) || i.isSet(v.Kids[2], 0) {
			i = i.under(true)
			i.bind(option, v.Kids[1], at, depth+1)
			i.bind(option, v.Kids[2], at, depth+1)
			return
		}
	case nixlang.Binary:
		if v.Text == "//" && (i.isSet(v.Kids[0], 0) || i.isSet(v.Kids[1], 0)) {
			i.bind(option, v.Kids[0], at, depth+1)
			i.bind(option, v.Kids[1], at, depth+1)
			return
		}
	case nixlang.Ident:
		if w, s := i.scope.lookup(v.Text); w != nil && i.inside(s).isSet(w, 0) {
			i.inside(s).bind(option, w, at, depth+1)
			return
		}
	case nixlang.Apply:
		name, args := call(v)
		last := args[len(args)-1]
		switch {
		case modifiers[name] && i.isSet(last, 0):
			i = i.under(conditions[name])
			i.bind(option, last, at, depth+1)
			return
		case name == "mkMerge":
			elements(last, i.scope, 0, func(k *nixlang.Node, s *scope) { i.inside(s).bind(option, k, at, depth+1) })
			return
		}
	}
	i.define(option, v, at)
}

// isSet reports whether n is a set of definitions.
func (i *in) isSet(n *nixlang.Node, depth int) bool {
	if depth > most {
		return false
	}
	switch n.Kind {
	case nixlang.Set:
		return len(n.Binds) > 0
	case nixlang.Let:
		return len(n.Kids) > 0 && i.inside(i.scope.within(n)).isSet(n.Kids[0], depth+1)
	case nixlang.With, nixlang.Assert:
		return i.isSet(n.Kids[1], depth+1)
	case nixlang.If:
		return i.isSet(n.Kids[1], depth+1) || i.isSet(n.Kids[2], depth+1)
	case nixlang.Binary:
		return n.Text == "//" && (i.isSet(n.Kids[0], depth+1) || i.isSet(n.Kids[1], depth+1))
	case nixlang.Ident:
		v, s := i.scope.lookup(n.Text)
		return v != nil && i.inside(s).isSet(v, depth+1)
	case nixlang.Apply:
		name, args := call(n)
		return name == "mkMerge" && n.Kids[1].Kind == nixlang.List && i.anySet(n.Kids[1], depth) || modifiers[name] && i.isSet(args[len(args)-1], depth+1)
	}
	return false
}

func (i *in) anySet(list *nixlang.Node, depth int) bool {
	return slices.ContainsFunc(list.Kids, func(k *nixlang.Node) bool { return i.isSet(k, depth+1) })
}

// entered looks at a module that is an option's value, or at what is below one.
func (i *in) entered(option []string, v *nixlang.Node, at, depth int) bool {
	for _, e := range i.entries {
		if _, ok := fits(e.pattern, option); !ok {
			if len(option) == len(e.pattern)-1 && e.pattern[len(option)] == "*" && v.Kind == nixlang.List { // sharedModules
				if _, ok := fits(e.pattern[:len(option)], option); ok {
					elements(v, i.scope, 0, func(k *nixlang.Node, s *scope) { i.as(e.role).inside(s).module(k, depth+1) })
					return true
				}
			}
			continue
		}
		sub := i.as(e.role)
		rest := option[len(e.pattern):]
		switch {
		case len(rest) == 0:
			sub.module(v, depth+1)
		case special[rest[0]]:
			sub.special(rest, nixlang.Bind{Value: v, From: at}, depth)
		default:
			sub.bind(rest, v, at, depth+1)
		}
		return true
	}
	return false
}

// aliased reports whether v only hands on another option: mkAliasDefinitions options.NAME,
// or, of a whole home, config.NAME.
func (i *in) aliased(option []string, v *nixlang.Node) bool {
	name, args := call(v)
	if strings.HasPrefix(name, "mkAlias") && len(args) > 0 {
		v = args[0]
	} else if option[0] != "home-manager" && option[0] != "snowfallorg" || len(option) < 3 {
		return false
	}
	if v.Kind != nixlang.Select || v.Kids[0].Text != "options" && v.Kids[0].Text != "config" {
		return false
	}
	var from []string
	for _, a := range v.Attrs {
		from = append(from, i.name(a))
	}
	i.alias(from, option)
	return true
}

func (i *in) as(r role) *in {
	c := *i
	c.role = r
	return &c
}

func called(n *nixlang.Node) string {
	if n.Kind != nixlang.Apply {
		return ""
	}
	name, _ := call(n)
	return name
}

func (i *in) key(option []string, at int) string {
	return strings.Join(append(option[:len(option):len(option)], i.scope.file.name, strconv.Itoa(at), string(i.role)), "\x00")
}

// define notes a definition, once.
func (i *in) define(option []string, v *nixlang.Node, at int) {
	if i.role == partRole {
		return
	}
	key := i.key(option, at)
	if f := i.index[key]; f != nil {
		f.standalone = f.standalone && i.standalone
		return
	}
	f := &found{file: i.scope.file, at: at, option: slices.Clone(option), role: i.role, standalone: i.standalone, value: v, scope: i.scope}
	f.condition = i.condition || conditions[called(v)]
	i.index[key], i.found = f, append(i.found, f)
}
