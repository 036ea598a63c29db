package audit

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"movein/steps/audit/nixlang"
)

// draft is a module of the home repo to be.
type draft struct {
	packages map[string]string // by name: where it is from
	set      map[string]string // options, with their values: the source text
	from     map[string]string // where they are from
	byHand   []string
}

// Drafts are modules for what of the user's moves without thought, by file name: packages,
// aliases, variables, git, and programs with plain values. What they leave out is in
// their comments. Modules of home-manager's are not drafted: their files move as they are.
func (r *Result) Drafts(root string) map[string]string {
	all := map[string]*draft{}
	of := func(module string) *draft {
		if all[module] == nil {
			all[module] = &draft{packages: map[string]string{}, set: map[string]string{}, from: map[string]string{}}
		}
		return all[module]
	}
	for _, d := range r.Definitions {
		if !d.Left() || d.found == nil || d.found.role == homeRole {
			continue
		}
		where := fmt.Sprintf("%s:%d", d.File, d.Line)
		if d.found.condition {
			where += ", under a condition there"
		}
		if d.Target == "home.packages" && len(d.Packages) > 0 {
			for _, p := range d.Packages {
				switch {
				case p.Class != Home:
				case p.plain:
					of(p.Module).packages[p.Name] = where
				default:
					of(p.Module).hand(p.Name, where, "home.packages")
				}
			}
			continue
		}
		module := of(d.Module)
		target := d.Target
		if below := d.found.below; len(below) > 0 && target != "" {
			target += "." + shownOption(below)
		}
		if value, ok := d.mechanical(); !ok {
			module.hand(d.Option, where, target)
		} else if old := module.from[target]; old != "" {
			module.hand(d.Option, where, target+", which "+old+" sets too")
		} else {
			module.set[target], module.from[target] = value, where
		}
	}
	files := map[string]string{}
	for module, d := range all {
		files[module+".nix"] = d.text(root)
	}
	return files
}

func (d *draft) hand(what, where, target string) {
	line := what + " (" + where + ")"
	if target != "" {
		line += " > " + target
	}
	d.byHand = append(d.byHand, line)
}

// alike are options whose values are of the same form in NixOS, under another name.
var alike = []string{"home.shellAliases.", "home.sessionVariables.", "programs.git.settings", "programs.bash.initExtra", "programs.bash.bashrcExtra",
	"programs.bash.profileExtra", "programs.bash.enableCompletion", "programs.zsh.initContent", "programs.zsh.envExtra", "programs.zsh.loginExtra",
	"programs.zsh.history.size", "programs.fish.interactiveShellInit", "services.gpg-agent.enable", "services.gpg-agent.enableSshSupport",
	"fonts.fontconfig.defaultFonts.", "xdg.mimeApps.", "qt.", "i18n.inputMethod.type"}

// mechanical is the value's source text, if it means the same in a module of home-manager's.
func (d *Definition) mechanical() (string, bool) {
	same := d.Target == d.Option && (d.names[0] == "programs" || d.names[0] == "services")
	if !same && !slices.ContainsFunc(alike, func(p string) bool { return strings.HasPrefix(d.Target, p) }) {
		return "", false
	}
	v := d.found.value
	if v == nil || strings.Contains(d.Target+shownOption(d.found.below), "${") {
		return "", false
	}
	for name := range v.Free() {
		if _, in := d.found.scope.lookup(name); in != nil && name != "pkgs" && name != "lib" || !slices.Contains([]string{"pkgs", "lib", "true", "false", "null", "builtins"}, name) {
			return "", false
		}
	}
	if hasPath(v) { // it is beside the file it is in
		return "", false
	}
	return d.found.scope.file.src[v.From:v.To], true
}

func hasPath(n *nixlang.Node) bool {
	if n.Kind == nixlang.Path {
		return true
	}
	for _, k := range n.Children() {
		if hasPath(k) {
			return true
		}
	}
	return false
}

func (d *draft) text(root string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# A draft by movein audit, from %s.\n# Review every line; then import it, and delete there what it has.\n", strings.ReplaceAll(root, "\n", " "))
	b.WriteString("{ pkgs, lib, ... }:\n{\n")
	for _, target := range slices.Sorted(maps.Keys(d.set)) {
		fmt.Fprintf(&b, "  # %s\n  %s = %s;\n", d.from[target], target, d.set[target])
	}
	if len(d.packages) > 0 {
		b.WriteString("  home.packages = with pkgs; [\n")
		for _, name := range slices.Sorted(maps.Keys(d.packages)) {
			fmt.Fprintf(&b, "    %s # %s\n", name, d.packages[name])
		}
		b.WriteString("  ];\n")
	}
	if len(d.byHand) > 0 {
		b.WriteString("  # By hand:\n")
		for _, line := range d.byHand {
			fmt.Fprintf(&b, "  #   %s\n", strings.ReplaceAll(line, "\n", " "))
		}
	}
	b.WriteString("}\n")
	return b.String()
}
