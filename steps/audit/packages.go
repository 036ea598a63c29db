package audit

import (
	"strings"

	"movein/steps/audit/nixlang"
)

// packagesOf are the packages of a list of them, as far as they are named.
func (w *walk) packagesOf(f *found) (all []Package) {
	if last := f.option[len(f.option)-1]; !strings.HasSuffix(strings.ToLower(last), "packages") && f.option[0] != "fonts" {
		return nil
	}
	seen := map[string]bool{}
	elements(f.value, f.scope, 0, func(n *nixlang.Node, s *scope) {
		name, plain := packageName(n, s)
		if name == "" || seen[name] {
			return
		}
		seen[name] = true
		p := Package{Name: name, Class: Home, Module: "home", plain: plain}
		for key := name; key != ""; key = key[:max(0, strings.LastIndexByte(key, '.'))] {
			if r := w.packages[key]; r != nil {
				p.Class, p.Module, p.Why = r.class, r.module, r.why
				break
			}
		}
		all = append(all, p)
	})
	return all
}

// adjusting are functions of a package that give a variant of it.
var adjusting = names(strings.Fields("override overrideAttrs withPackages overridePythonAttrs withExtensions withPlugins"))

// packageName is how a package is named in nixpkgs, or what is made on the spot is called;
// "" if neither can be told. plain: pkgs.NAME is that package.
func packageName(n *nixlang.Node, s *scope) (name string, plain bool) {
	switch n.Kind {
	case nixlang.Ident:
		if _, in := s.lookup(n.Text); in != nil {
			return n.Text, false
		}
		for ; s != nil; s = s.up { // with pkgs; and perhaps within it, with kdePackages;
			if s.with != nil {
				if base := selected(s.with, len(s.with.Attrs)); s.with.Kind == nixlang.Ident && s.with.Text == "pkgs" {
					return n.Text, true
				} else if s.with.Kind == nixlang.Ident {
					return s.with.Text + "." + n.Text, sets[s.with.Text]
				} else if base != "" {
					return base + "." + n.Text, s.with.Kids[0].Text == "pkgs"
				}
			}
		}
		return n.Text, false
	case nixlang.Select:
		return selected(n, len(n.Attrs)), n.Kids[0].Text == "pkgs" || sets[n.Kids[0].Text]
	case nixlang.With:
		return packageName(n.Kids[1], &scope{up: s, file: s.file, with: n.Kids[0]})
	case nixlang.Apply:
		f := n
		for f.Kind == nixlang.Apply {
			f = f.Kids[0]
		}
		called, args := call(n)
		switch {
		case adjusting[called] && f.Kind == nixlang.Select && len(f.Attrs) == 1:
			name, _ = packageName(f.Kids[0], s)
		case adjusting[called] && f.Kind == nixlang.Select:
			name = selected(f, len(f.Attrs)-1)
		case strings.HasPrefix(called, "write"):
			name, _ = args[0].Static()
		case called == "hiPrio" || called == "lowPrio" || called == "getBin":
			name, _ = packageName(args[0], s)
		}
	}
	return name, false
}

// sets are sets of packages that are often used without pkgs.
var sets = names([]string{"kdePackages", "libsForQt5", "plasma5Packages", "xorg", "gnome", "nodePackages", "python3Packages", "linuxPackages"})

// selected is pkgs.a.b as a.b, up to a number of names.
func selected(n *nixlang.Node, upTo int) string {
	if n.Kind != nixlang.Select || n.Kids[0].Kind != nixlang.Ident {
		return ""
	}
	var names []string
	for _, a := range n.Attrs[:upTo] {
		name, ok := a.Static()
		if !ok {
			return ""
		}
		names = append(names, name)
	}
	base := n.Kids[0].Text
	switch {
	case base == "inputs" || base == "self" || base == "config" || base == "cfg":
		if names[len(names)-1] == "default" && len(names) > 1 {
			return names[0]
		}
		return names[len(names)-1]
	case sets[base]:
		return base + "." + strings.Join(names, ".")
	}
	return strings.Join(names, ".")
}
