package audit

import (
	"path"
	"slices"
	"strings"

	"movein/steps/audit/nixlang"
)

// builders are the functions that make a configuration of modules.
var builders = map[string]reach{
	"nixosSystem": {role: nixosRole}, "darwinSystem": {role: nixosRole}, "evalConfig": {role: nixosRole}, "eval-config": {role: nixosRole},
	"homeManagerConfiguration": {role: homeRole, standalone: true},
}

// collect walks all modules of the tree: those that something leads to, then the rest.
func (w *walk) collect() {
	for _, name := range w.names {
		if f := w.files[name]; f != nil {
			w.roots(f, f.node, &scope{file: f}, 0)
			if moduleLike(f) {
				(&in{w, reach{role: partRole}, &scope{file: f}, false}).module(f.node, 0)
			}
		}
	}
	if f := w.files["configuration.nix"]; f != nil {
		w.use(f, reach{role: nixosRole})
	}
	w.run()
	for _, sure := range []bool{true, false} {
		for _, name := range w.names {
			f := w.files[name]
			if f == nil || w.seen[f] != nil || path.Base(name) == "flake.nix" || !moduleLike(f) {
				continue
			}
			if r, ok := w.guess(f, sure); ok {
				w.use(f, r)
				w.run()
			}
		}
	}
}

// roots finds the modules that configurations are made of, in whatever file.
func (w *walk) roots(f *file, n *nixlang.Node, s *scope, depth int) {
	switch n.Kind {
	case nixlang.Let, nixlang.Lambda:
		s = s.within(n)
	case nixlang.Set:
		if n.Rec {
			s = s.within(n)
		}
		for _, b := range n.Binds {
			w.exported(b, s)
		}
	case nixlang.Apply:
		name, args := call(n)
		if r, ok := builders[name]; ok {
			for _, a := range args {
				w.modulesOf(r, a, s)
			}
		}
	}
	for _, k := range n.Children() {
		w.roots(f, k, s, depth+1)
	}
}

// modulesOf are the modules in the argument of a builder.
func (w *walk) modulesOf(r reach, arg *nixlang.Node, s *scope) {
	switch arg.Kind {
	case nixlang.Binary:
		w.modulesOf(r, arg.Kids[0], s)
		w.modulesOf(r, arg.Kids[1], s)
	case nixlang.Set:
		if arg.Rec {
			s = s.within(arg)
		}
		for _, b := range arg.Binds {
			if name, _ := static(b.Path); name == "modules" && len(b.Path) == 1 {
				elements(b.Value, s, 0, func(k *nixlang.Node, ks *scope) { (&in{w, r, ks, false}).module(k, 0) })
			}
			for _, k := range b.Names {
				if k.Text == "modules" && b.Source == nil {
					elements(k, s, 0, func(k *nixlang.Node, ks *scope) { (&in{w, r, ks, false}).module(k, 0) })
				}
			}
		}
	}
}

// lists are names that lists of modules have in the arguments of functions that make configurations.
var lists = map[string]role{"home-modules": homeRole, "homeModules": homeRole, "hmModules": homeRole, "hm-modules": homeRole, "nixos-modules": nixosRole, "nixosModules": nixosRole}

// exported are the modules that a flake, or a part of one, has for others: nixosModules and the like.
func (w *walk) exported(b nixlang.Bind, s *scope) {
	if b.Path == nil {
		return
	}
	var option []string
	for _, a := range b.Path {
		option = append(option, (&in{w, reach{}, s, false}).name(a))
	}
	if len(option) == 1 && lists[option[0]] != "" && b.Value.Kind != nixlang.Set && !strings.HasPrefix(w.path(b.Value, s, 0), "/") {
		elements(b.Value, s, 0, func(k *nixlang.Node, ks *scope) { (&in{w, reach{role: lists[option[0]]}, ks, false}).module(k, 0) })
	}
	for _, e := range w.entries {
		if n := len(e.pattern); len(option) >= n-1 && option[0] != "home-manager" && option[0] != "specialisation" && option[0] != "containers" && option[0] != "virtualisation" {
			i := &in{w, reach{role: e.role}, s, false}
			if _, ok := fits(e.pattern, option); ok && len(option) == n {
				i.module(b.Value, 0)
			} else if _, ok := fits(e.pattern[:n-1], option); ok && len(option) == n-1 && e.pattern[n-1] == "*" {
				w.exportedSet(i, b.Value)
			}
		}
	}
}

func (w *walk) exportedSet(i *in, v *nixlang.Node) {
	if v.Kind == nixlang.Set {
		values(v, i.scope, func(k *nixlang.Node, s *scope) { i.inside(s).module(k, 0) })
		return
	}
	for _, f := range w.find(i.path(v, i.scope, 0)) { // nixosModules = import ./modules; a set of modules by name
		w.seen[f] = append(w.seen[f], i.reach)
		set := f.node
		for set.Kind == nixlang.Lambda {
			set = set.Kids[0]
		}
		if set.Kind == nixlang.Set {
			values(set, &scope{file: f}, func(k *nixlang.Node, s *scope) { i.inside(s).module(k, 0) })
		}
	}
}

// arguments are what only modules are given.
var arguments = names(strings.Fields("config options modulesPath osConfig specialArgs"))

// moduleLike reports whether a file looks like a module, not a package, an overlay or a library.
func moduleLike(f *file) bool {
	n := f.node
	for n.Kind == nixlang.Lambda {
		if p := n.Params; p.Set && !p.More && !slices.ContainsFunc(p.Formals, func(f nixlang.Formal) bool { return arguments[f.Name] }) && len(p.Formals) > 0 {
			return false
		}
		if body := n.Kids[0]; !n.Params.Set && body.Kind == nixlang.Lambda && !body.Params.Set {
			return false
		}
		n = n.Kids[0]
	}
	for n.Kind == nixlang.Let && len(n.Kids) > 0 || n.Kind == nixlang.With || n.Kind == nixlang.Assert {
		n = n.Kids[len(n.Kids)-1]
	}
	switch n.Kind {
	case nixlang.Set:
		return true
	case nixlang.Apply:
		name, _ := call(n)
		return modifiers[name] || name == "mkMerge"
	}
	return false
}

// systemTops are names of NixOS's options that home-manager has not, and homeOnly the reverse.
var systemTops = names(strings.Fields("boot networking hardware environment users security virtualisation fileSystems swapDevices system time console documentation powerManagement zramSwap sound location containers krb5 snapraid"))

// guess is whose module it is, from what it defines; or, if that does not tell, from where it is.
func (w *walk) guess(f *file, sure bool) (reach, bool) {
	probe := &walk{Tree: w.Tree, table: w.table, seen: map[*file][]reach{}, declared: map[string]*found{}, index: map[string]*found{}}
	(&in{probe, reach{role: homeRole}, &scope{file: f}, false}).module(f.node, 0)
	nixos, home, known := 0, 0, len(probe.declared)
	for _, d := range probe.found {
		if d.file != f {
			continue
		}
		switch o := d.option; {
		case systemTops[o[0]] || o[0] == "home-manager":
			nixos++
		case w.tops[o[0]] || o[0] == "xdg" && len(o) > 1 && slices.Contains([]string{"configFile", "dataFile", "userDirs", "mimeApps", "desktopEntries"}, o[1]):
			home++
		case len(o) > 1 && o[0] == "programs" || o[0] == "services" && len(o) > 1:
			known++
			if r, _ := w.match(o); r != nil && len(r.pattern) > 1 {
				nixos++
			} else if w.programs[o[1]] && o[0] == "programs" || w.services[o[1]] && o[0] == "services" {
				home++
			}
		default:
			if r, _ := w.match(o); r != nil {
				known++
			}
		}
	}
	if sure {
		return reach{role: map[bool]role{true: homeRole, false: nixosRole}[home > nixos]}, home != nixos && (home == 0 || nixos == 0 || max(home, nixos) > 2*min(home, nixos))
	}
	if known+nixos+home == 0 && len(probe.seen) == 0 {
		return reach{}, false
	}
	return w.neighbours(f), true
}

// neighbours is how the files around f are used, the nearest first.
func (w *walk) neighbours(f *file) reach {
	for dir := path.Dir(f.name); ; dir = path.Dir(dir) {
		count := map[reach]int{}
		for other, reaches := range w.seen {
			if dir == "." || strings.HasPrefix(other.name, dir+"/") {
				for _, r := range reaches {
					count[r]++
				}
			}
		}
		switch base := path.Base(dir); {
		case strings.HasPrefix(base, "home") || base == "hm":
			return reach{role: homeRole}
		case len(count) > 0:
			var most reach
			for r, n := range count {
				if m := count[most]; n > m || n == m && r.role > most.role {
					most = r
				}
			}
			return most
		case dir == ".":
			return reach{role: nixosRole}
		}
	}
}
