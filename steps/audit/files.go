package audit

import (
	"fmt"
	"path"
	"strings"

	"movein/steps/audit/nixlang"
)

// File is a file of the tree.
type File struct {
	Name  string `json:"name"`
	Class Class  `json:"class"`
	Why   string `json:"why"`
	Totals
}

// classifyFiles says of each file whose it is: by what it defines, by what uses it, or by its place.
func (w *walk) classifyFiles(all []*Definition) []File {
	count, users := map[string]*Result{}, w.sources(all)
	for _, d := range all {
		if count[d.File] == nil {
			count[d.File] = &Result{}
		}
		count[d.File].Definitions = append(count[d.File].Definitions, d)
	}
	files := make([]File, 0, len(w.names))
	for _, name := range w.names {
		f := File{Name: name}
		if r := count[name]; r != nil {
			r.Count()
			f.Totals = r.Totals
		}
		f.Class, f.Why = w.fileClass(f, users)
		files = append(files, f)
	}
	return files
}

func (w *walk) fileClass(f File, users map[string]Class) (Class, string) {
	switch {
	case f.Home > 0 && f.System+f.Undecided == 0:
		return Home, "all that it defines is the user's"
	case f.System > 0 && f.Home+f.Undecided == 0:
		return System, "all that it defines is the system's"
	case f.Home+f.System+f.Undecided > 0:
		return Undecided, fmt.Sprintf("to be split: %d of the user's, %d of the system's, %d undecided", f.Home, f.System, f.Undecided)
	}
	for name := f.Name; name != "."; name = path.Dir(name) {
		if c := users[name]; c != "" {
			return c, "a definition uses it"
		}
	}
	for _, r := range w.seen[w.files[f.Name]] {
		if w.files[f.Name] != nil {
			return map[role]Class{homeRole: Home, nixosRole: System}[r.role], "a module that only imports or declares"
		}
	}
	switch first, _, _ := strings.Cut(f.Name, "/"); {
	case first == f.Name && !strings.HasSuffix(f.Name, ".nix") || f.Name == "flake.nix":
		return System, "of the repo itself"
	case names([]string{"dotfiles", ".config", "config", "home", "wallpapers", "themes"})[first]:
		return Home, "by its place"
	case strings.HasSuffix(f.Name, ".nix"):
		return Undecided, "no module: a package, an overlay, a library or data"
	}
	return Undecided, "nothing that movein reads uses it"
}

// sources are the files and directories that the values of definitions name, and whose they are.
func (w *walk) sources(all []*Definition) map[string]Class {
	users := map[string]Class{}
	for _, d := range all {
		var look func(n *nixlang.Node, depth int)
		look = func(n *nixlang.Node, depth int) {
			if n.Kind == nixlang.Path {
				if name, ok := strings.CutPrefix(w.path(n, d.found.scope, 0), "/"); ok && !strings.Contains(name, "*") && path.Clean(name) != "." {
					users[path.Clean(name)] = d.Class
				}
			}
			for _, k := range n.Children() {
				look(k, depth+1)
			}
		}
		if d.found != nil && d.found.value != nil {
			look(d.found.value, 0)
		}
	}
	return users
}
