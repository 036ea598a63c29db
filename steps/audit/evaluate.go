package audit

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"movein/bootstrap/host"
)

//go:embed definitions.nix
var definitionsNix string

// longest is how long one evaluation may take.
const longest = 10 * time.Minute

// evaluated is an option that a configuration defines, and in which files of the tree.
type evaluated struct {
	Host   string   `json:"host"`
	Option []string `json:"option"`
	Files  []string `json:"files"`

	home bool // of a home of its own
}

// Evaluation says how to evaluate.
type Evaluation struct {
	Offline bool     // fetch nothing
	Hosts   []string // whose configurations; none: all of them
}

// Evaluate has Nix evaluate the tree's configurations, and adds to r what that tells:
// definitions that the syntax does not show, and which hosts have which. Nothing is
// built, no lock file is written. r is unchanged if there is an error.
func (t *Tree) Evaluate(ctx context.Context, view host.View, how Evaluation, r *Result) error {
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	all, err := t.definitions(ctx, view, how)
	if err != nil {
		return err
	}
	t.merge(all, r)
	r.sort()
	r.Source = "evaluated"
	r.Count()
	return nil
}

func (t *Tree) definitions(ctx context.Context, view host.View, how Evaluation) (all []evaluated, err error) {
	nix := nix{view, how.Offline}
	if t.files["flake.nix"] == nil {
		if t.files["configuration.nix"] == nil {
			return nil, errors.New("there is neither a flake.nix nor a configuration.nix at its top")
		}
		file := literal(filepath.Join(t.Root, "configuration.nix"))
		return nix.eval(ctx, "--impure", "--expr", apply(t.Root, nil)+" { default = import <nixpkgs/nixos> { configuration = /. + "+file+"; }; }")
	}
	if strings.ContainsAny(t.Root, "#?%") {
		return nil, errors.New("its name cannot be that of a flake")
	}
	out, err := nix.run(ctx, "flake", "metadata", "--json", "--no-write-lock-file", t.Root)
	if err != nil {
		return nil, err
	}
	var meta struct {
		Path     string `json:"path"`
		Resolved struct {
			Dir string `json:"dir"`
		} `json:"resolved"`
	}
	if err := json.Unmarshal(out, &meta); err != nil {
		return nil, fmt.Errorf("reading what nix flake metadata says: %w", err)
	}
	fn := apply(filepath.Join(meta.Path, meta.Resolved.Dir), how.Hosts)
	if all, err = nix.eval(ctx, "--no-write-lock-file", t.Root+"#nixosConfigurations", "--apply", fn); err != nil {
		return nil, err
	}
	homes, err := nix.eval(ctx, "--no-write-lock-file", t.Root+"#homeConfigurations", "--apply", apply(filepath.Join(meta.Path, meta.Resolved.Dir), nil))
	if err != nil { // there may be none, and the syntax knows them as well
		return all, nil
	}
	for i := range homes {
		homes[i].home = true
	}
	return append(all, homes...), nil
}

// apply is the function of definitions.nix for a tree and hosts.
func apply(root string, hosts []string) string {
	var list strings.Builder
	for _, h := range hosts {
		list.WriteString(literal(h) + " ")
	}
	return fmt.Sprintf("(%s) { root = %s; hosts = [ %s]; }", definitionsNix, literal(root), list.String())
}

// literal is a string of Nix's.
func literal(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "${", `\${`).Replace(s) + `"`
}

type nix struct {
	view    host.View
	offline bool
}

func (n nix) eval(ctx context.Context, args ...string) (all []evaluated, err error) {
	out, err := n.run(ctx, append([]string{"eval", "--json", "--option", "allow-import-from-derivation", "false"}, args...)...)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(out, &all); err != nil {
		return nil, fmt.Errorf("reading what nix eval says: %w", err)
	}
	return all, nil
}

func (n nix) run(ctx context.Context, args ...string) ([]byte, error) {
	program, err := n.view.LookPath("nix")
	if err != nil {
		return nil, errors.New("there is no nix here")
	}
	args = append([]string{program, "--extra-experimental-features", "nix-command flakes"}, args...)
	if n.offline {
		args = append(args, "--offline")
	}
	res, err := n.view.Query(ctx, &host.Cmd{Args: args})
	return res.Stdout, err
}

// merge tells which of the definitions each host has, and adds those that the syntax does not show.
func (t *Tree) merge(all []evaluated, r *Result) {
	w := &walk{Tree: t, table: tables()}
	byFile := map[string][]*Definition{}
	for _, d := range r.Definitions {
		byFile[d.File] = append(byFile[d.File], d)
	}
	for k := range all {
		e := &all[k]
		option, role := e.Option, nixosRole
		if e.home {
			role = homeRole
		} else if len(option) > 3 && option[0] == "home-manager" && option[1] == "users" {
			option, role = option[3:], homeRole
		}
		for _, name := range e.Files {
			name, _, _ = strings.Cut(name, ", via option ")
			f := t.file(name) // the module system names a directory as it was imported
			if f == nil || w.container(option) {
				continue
			}
			w.evaluatedIn(r, byFile, f.name, option, role, e)
		}
	}
	r.Definitions = slices.DeleteFunc(r.Definitions, func(d *Definition) bool { return d.gone })
	for _, d := range r.Definitions {
		if len(d.Hosts) > 0 {
			d.Standalone = d.Class == Home && !d.ofSystem
		}
	}
}

// container reports whether an option only has others in it, which are told themselves:
// one that modules are in, or another name of one; or it is none that is set by hand.
func (w *walk) container(option []string) bool {
	if len(option) == 0 || option[0] == "warnings" || option[0] == "assertions" {
		return true
	}
	for _, e := range w.entries {
		if len(option) < len(e.pattern) && within(option, e.pattern[:len(option)]) {
			return true
		}
	}
	return slices.ContainsFunc(w.Tree.aliases, func(a alias) bool { return within(option, a.from) })
}

// evaluatedIn notes that a host defines option in a file.
func (w *walk) evaluatedIn(r *Result, byFile map[string][]*Definition, name string, option []string, role role, e *evaluated) {
	line, known := 0, false
	for _, d := range byFile[name] {
		switch {
		case d.found != nil && d.found.role != role || !within(d.names, option):
		case len(d.names) < len(option): // its value is what only evaluating tells
			line, d.gone = d.Line, true
		default:
			known = true
			if d.ofSystem = d.ofSystem || !e.home; !slices.Contains(d.Hosts, e.Host) {
				d.Hosts = append(d.Hosts, e.Host)
			}
		}
	}
	if !known {
		d := w.only(name, option, role, e)
		d.Line = line
		byFile[name] = append(byFile[name], d)
		r.Definitions = append(r.Definitions, d)
	}
}

// only is a definition that only evaluating shows.
func (w *walk) only(name string, option []string, role role, e *evaluated) *Definition {
	d := &Definition{File: name, Option: shownOption(option), names: option, Hosts: []string{e.Host}, ofSystem: !e.home}
	if role == homeRole {
		d.Class, d.Target, d.Module = Home, d.Option, w.moduleOf(option)
		d.Why = "in home-manager's configuration; the syntax does not show it"
		return d
	}
	w.classify(d)
	return d
}

// within reports whether one of the names is the other's beginning. What only
// evaluating tells of a name may be anything.
func within(a, b []string) bool {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] && !strings.Contains(a[i], "${") {
			return false
		}
	}
	return true
}
