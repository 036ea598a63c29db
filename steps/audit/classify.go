package audit

import (
	"cmp"
	"slices"
	"strings"

	"movein/steps/audit/nixlang"
)

// classified are all definitions, with what becomes of them.
func (w *walk) classified() []*Definition {
	all := make([]*Definition, 0, len(w.found))
	own := map[int]*found{} // of options that the tree declares: decided by what is done with them
	for i, f := range w.found {
		d := &Definition{File: f.file.name, Line: f.file.line(f.at), Option: shownOption(f.option), found: f, names: f.option, Standalone: f.standalone}
		if f.role == homeRole {
			w.atHome(d)
		} else if decl := w.own(f.option); decl != nil {
			d.Class, own[i] = Undecided, decl
		} else {
			w.classify(d)
		}
		all = append(all, d)
	}
	w.decideOwn(all, own)
	return all
}

// atHome is a definition in a module of home-manager's.
func (w *walk) atHome(d *Definition) {
	d.Class, d.Target, d.Module = Home, d.Option, w.moduleOf(d.names)
	if d.Why = "in home-manager's configuration, as a module of NixOS"; d.Standalone {
		d.Why = "in a home of its own already"
	}
	if d.Option != "home.packages" {
		return
	}
	if d.Packages = w.packagesOf(d.found); len(d.Packages) > 0 {
		for i := range d.Packages {
			if p := &d.Packages[i]; p.Class == System {
				*p = Package{Name: p.Name, Class: Home, Module: "home"}
			}
		}
		d.Module = commonModule(d.Packages)
	}
}

// own is where the tree declares the option, or one that this one is below; nil if it does not.
func (w *walk) own(option []string) *found {
	for n := len(option); n > 0; n-- {
		if f := w.declared[strings.Join(option[:n], ".")]; f != nil && f.role == nixosRole {
			if r, _ := w.match(option); n == 1 && r != nil {
				return nil
			}
			return f
		}
	}
	return nil
}

// decideOwn decides on options that the tree declares: they are what the file does that declares them.
func (w *walk) decideOwn(all []*Definition, own map[int]*found) {
	for range most {
		count := map[string]map[Class]int{}
		for i, d := range all {
			if own[i] == nil || d.Class != Undecided {
				if count[d.File] == nil {
					count[d.File] = map[Class]int{}
				}
				count[d.File][d.Class]++
			}
		}
		changed := false
		for i := range all {
			d, decl := all[i], own[i]
			if decl == nil || d.Class != Undecided {
				continue
			}
			where := decl.file.name
			switch c := count[where]; {
			case c[Home] > 0 && c[System]+c[Undecided] == 0:
				d.Class, d.Module, changed = Home, "home", true
				d.Why = "of the tree's own, declared in " + where + ", which sets only what is the user's"
			case c[System] > 0 && c[Home]+c[Undecided] == 0:
				d.Class, changed = System, true
				d.Why = "of the tree's own, declared in " + where + ", which sets only what is the system's"
			default:
				d.Why = "of the tree's own, declared in " + where + ": what is done with it decides"
			}
		}
		if !changed {
			break
		}
	}
	for i := range all { // what the tree only adds to is NixOS's
		if d := all[i]; own[i] != nil && d.Class == Undecided {
			why := d.Why
			if w.classify(d); d.Class == Undecided {
				d.Why = why
			}
		}
	}
}

// classify is a definition in a module of NixOS's.
func (w *walk) classify(d *Definition) {
	r, first := w.match(d.names)
	top := d.names[0]
	switch {
	case len(d.names) == 1 && opaque[top]:
		d.Class, d.Why = Undecided, "only evaluating tells what is in it"
		return
	case w.ofService(d.names):
		d.Class, d.Why = System, "of a user that a service runs as"
		return
	case r == nil:
		d.Class, d.Why = Undecided, "no option of NixOS that movein knows: of a module from elsewhere"
		return
	case len(r.pattern) == 1 && len(d.names) > 1 && (top == "programs" || top == "services"):
		w.counterpart(d)
		return
	}
	d.Class, d.Why, d.Module = r.class, r.why, r.module
	if r.class == Home {
		d.Target = w.target(r, first, d.names)
		if d.Module == "" {
			d.Module = w.moduleOf(strings.Split(cmp.Or(d.Target, "home"), "."))
		}
	} else {
		d.Target = r.target
	}
	if d.Why == "" {
		d.Why = map[Class]string{System: "the system's", Home: "the user's", Undecided: "either's"}[d.Class]
	}
	w.splitPackages(d)
}

// ofService reports whether an option is of a user who is none that logs in.
func (w *walk) ofService(option []string) bool {
	return len(option) > 3 && option[0] == "users" && slices.ContainsFunc(w.found, func(f *found) bool {
		return len(f.option) == 4 && f.option[3] == "isSystemUser" && slices.Equal(f.option[:3], option[:3])
	})
}

// opaque are names that say nothing by themselves.
var opaque = names(strings.Fields("programs services environment systemd users fonts xdg"))

// target is the option of home-manager's for a rule that fits.
func (w *walk) target(r *rule, first string, option []string) string {
	target, rest, _ := strings.Cut(r.target, ".*")
	target = strings.ReplaceAll(target, "$1", quoted(first)) + rest
	if !strings.HasSuffix(r.target, ".*") || len(option) == len(r.pattern) {
		return target
	}
	tail := option[len(r.pattern):]
	if has := w.has[target]; has != nil && !has[tail[0]] { // it has nothing of that name
		return target
	}
	return target + "." + shownOption(tail)
}

// counterpart decides on a program or service that no rule names.
func (w *walk) counterpart(d *Definition) {
	module := d.names[0] + "." + d.names[1]
	switch {
	case d.names[0] == "programs" && w.programs[d.names[1]]:
		d.Class, d.Module, d.Why = Home, w.moduleOf(d.names), "home-manager has "+module
		d.Target = w.target(&rule{pattern: d.names[:2], target: shownOption(d.names[:2]) + ".*"}, "", d.names)
	case d.names[0] == "programs":
		d.Class, d.Why = Undecided, "home-manager has no "+module+": a package will do, or it needs the system"
	case w.services[d.names[1]]:
		d.Class, d.Target, d.Module = Undecided, module, w.moduleOf(d.names)
		d.Why = "home-manager has " + module + " too"
	default:
		d.Class, d.Why = System, "a service of the system"
	}
}

// splitPackages decides on a list of packages by what is in it.
func (w *walk) splitPackages(d *Definition) {
	if d.Class != Home || !strings.Contains(strings.ToLower(d.names[len(d.names)-1]), "packages") && d.names[0] != "fonts" {
		return
	}
	d.Packages = w.packagesOf(d.found)
	if d.names[0] == "fonts" {
		for i := range d.Packages {
			d.Packages[i] = Package{Name: d.Packages[i].Name, Class: Home, Module: "home", plain: d.Packages[i].plain}
		}
		return
	}
	if len(d.Packages) == 0 {
		return
	}
	if !slices.ContainsFunc(d.Packages, func(p Package) bool { return p.Class == Home }) {
		d.Class, d.Target, d.Module, d.Why = System, "", "", "all of these packages are the system's"
		return
	}
	d.Module = commonModule(d.Packages)
}

// commonModule is the module of all that go; "home" if they go to more than one.
func commonModule(all []Package) string {
	module := ""
	for _, p := range all {
		switch {
		case p.Class != Home || p.Module == module:
		case module == "":
			module = p.Module
		default:
			return "home"
		}
	}
	return cmp.Or(module, "home")
}

// shownOption is an option's name as it is written.
func shownOption(names []string) string {
	var b strings.Builder
	for i, n := range names {
		if i > 0 {
			b.WriteByte('.')
		}
		b.WriteString(quoted(n))
	}
	return b.String()
}

func quoted(name string) string {
	if n, err := nixlang.Parse(name); err == nil && n.Kind == nixlang.Ident || strings.HasPrefix(name, "${") && strings.HasSuffix(name, "}") {
		return name
	}
	if strings.Contains(name, "${") && strings.HasPrefix(name, `"`) {
		return name
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "${", `\${`).Replace(name) + `"`
}

// Against counts what a home repo defines as done.
func (r *Result) Against(home *Tree) {
	w := &walk{Tree: home, table: tables(), seen: map[*file][]reach{}, declared: map[string]*found{}, index: map[string]*found{}}
	for _, name := range home.names {
		if f := home.files[name]; f != nil && name != "flake.nix" && moduleLike(f) {
			w.use(f, reach{role: homeRole, standalone: true})
		}
	}
	w.run()
	r.AtHome = len(w.found)
	r.Count()
}
