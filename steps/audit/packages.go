package audit

import (
	"strings"

	"movein/steps/audit/nixlang"
)

// packagesOf are the packages of a list of them, as far as they are named.
func (w *walk) packagesOf(f found) (all []Package) {
	if last := f.option[len(f.option)-1]; !strings.HasSuffix(strings.ToLower(last), "packages") && f.option[0] != "fonts" {
		return nil
	}
	seen := map[string]bool{}
	elements(f.value, f.scope, 0, func(n *nixlang.Node, s *scope) {
		name := packageName(n)
		if name == "" || seen[name] {
			return
		}
		seen[name] = true
		p := Package{Name: name, Class: Home, Module: "home"}
		for key := name; key != ""; key = key[:max(0, strings.LastIndexByte(key, '.'))] {
			if r, ok := w.packages[key]; ok {
				p.Class, p.Module, p.Why = r.class, r.module, r.why
				break
			}
		}
		all = append(all, p)
	})
	return all
}

// adjusting are functions of a package that give a variant of it.
var adjusting = map[string]bool{"override": true, "overrideAttrs": true, "withPackages": true, "overridePythonAttrs": true, "withExtensions": true, "withPlugins": true}

// packageName is how a package is named in nixpkgs, or what is made on the spot is called; "" if neither can be told.
func packageName(n *nixlang.Node) string {
	switch n.Kind {
	case nixlang.Ident:
		return n.Text
	case nixlang.Select:
		return selected(n, len(n.Attrs))
	case nixlang.With:
		return packageName(n.Kids[1])
	case nixlang.Apply:
		f := n
		for f.Kind == nixlang.Apply {
			f = f.Kids[0]
		}
		name, args := call(n)
		switch {
		case adjusting[name] && f.Kind == nixlang.Select && len(f.Attrs) == 1:
			return packageName(f.Kids[0])
		case adjusting[name] && f.Kind == nixlang.Select:
			return selected(f, len(f.Attrs)-1)
		case strings.HasPrefix(name, "write"):
			text, _ := args[0].Static()
			return text
		case name == "hiPrio" || name == "lowPrio" || name == "getBin":
			return packageName(args[0])
		}
	}
	return ""
}

// selected is pkgs.a.b as a.b, up to a number of names.
func selected(n *nixlang.Node, upTo int) string {
	var names []string
	if n.Kids[0].Kind != nixlang.Ident {
		return ""
	}
	for _, a := range n.Attrs[:upTo] {
		name, ok := a.Static()
		if !ok {
			return ""
		}
		names = append(names, name)
	}
	switch base := n.Kids[0].Text; base {
	case "inputs", "self", "flake", "config", "cfg":
		if names[len(names)-1] == "default" && len(names) > 1 {
			return names[0]
		}
		return names[len(names)-1]
	case "kdePackages", "libsForQt5", "plasma5Packages", "xorg", "gnome", "nodePackages", "python3Packages", "linuxPackages":
		return base + "." + strings.Join(names, ".")
	}
	return strings.Join(names, ".")
}
