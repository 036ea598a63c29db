// Package audit finds what of a NixOS configuration is its user's, and belongs in a
// home repo: by evaluating it, where that can be done, and by its syntax. It only reads.
package audit

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"movein/bootstrap"
	"movein/bootstrap/host"
	"movein/steps/audit/nixlang"
)

// The most that is read of a tree, and of one file of it.
const (
	mostFiles = 50_000
	mostBytes = 4 << 20
)

// Tree is the files of a configuration.
type Tree struct {
	Root     string
	files    map[string]*file // the .nix files, by their names from Root on
	names    []string         // all files
	aliases  []alias          // found by the audit
	Problems []Problem        // files that could not be read, and those that are no Nix
}

// Problem is a file that the audit could not look into.
type Problem struct {
	File string `json:"file"`
	Line int    `json:"line,omitempty"`
	Why  string `json:"why"`
}

type file struct {
	name string
	src  string
	node *nixlang.Node
}

func (f *file) line(at int) int {
	line, _ := nixlang.Position(f.src, at)
	return line
}

// Read reads the tree below dir. Links are not followed, and what version control and
// builds leave is passed over. Without a .nix file it is an error.
func Read(view host.Files, dir string) (*Tree, error) {
	t := &Tree{Root: dir, files: map[string]*file{}}
	info, err := view.Lstat(dir)
	if err == nil && !info.IsDir() {
		err = errors.New("not a directory")
	}
	if err == nil {
		err = t.read(view, ".")
	}
	if err == nil && len(t.files)+len(t.Problems) == 0 {
		err = errors.New("there is no .nix file in it")
	}
	if err != nil {
		err = bootstrap.Exit(bootstrap.ExitConfig, fmt.Errorf("reading the NixOS repo %s: %w", dir, err))
		return nil, bootstrap.Hint(err, "name the directory with your flake.nix or configuration.nix: movein audit NIXOS_REPO")
	}
	slices.Sort(t.names)
	return t, nil
}

var passedOver = names(strings.Fields(".git .direnv .jj node_modules"))

func (t *Tree) read(view host.Files, dir string) error {
	entries, err := view.ReadDir(filepath.Join(t.Root, dir))
	if err != nil {
		if dir == "." {
			return err
		}
		t.Problems = append(t.Problems, Problem{File: dir, Why: err.Error()})
		return nil
	}
	for _, e := range entries {
		name := path.Join(dir, e.Name())
		switch {
		case e.IsDir():
			if !passedOver[e.Name()] {
				if err := t.read(view, name); err != nil {
					return err
				}
			}
		case e.Type()&fs.ModeType == 0:
			if t.names = append(t.names, name); len(t.names) > mostFiles {
				return fmt.Errorf("it has more than %d files", mostFiles)
			}
			if strings.HasSuffix(name, ".nix") {
				t.parse(view, name)
			}
		}
	}
	return nil
}

func (t *Tree) parse(view host.Files, name string) {
	data, err := view.ReadHead(filepath.Join(t.Root, name), mostBytes+1)
	if err == nil && len(data) > mostBytes {
		err = fmt.Errorf("larger than %d bytes", mostBytes)
	}
	if err != nil {
		t.Problems = append(t.Problems, Problem{File: name, Why: err.Error()})
		return
	}
	n, err := nixlang.Parse(string(data))
	if err != nil {
		p := Problem{File: name, Why: err.Error()}
		if e, ok := errors.AsType[*nixlang.Error](err); ok {
			p.Line, p.Why = e.Line, e.Msg
		}
		t.Problems = append(t.Problems, p)
		return
	}
	t.files[name] = &file{name, string(data), n}
}

// find are the .nix files that a path from the root on may mean, "*" standing for
// what cannot be told without evaluating.
func (t *Tree) find(name string) (found []*file) {
	name = path.Clean(strings.TrimPrefix(name, "/"))
	if f := t.file(name); f != nil {
		return []*file{f}
	}
	if !strings.Contains(name, "*") || strings.Trim(name, "*/.") == "" || strings.Trim(name, "*/.") == "nix" {
		return nil
	}
	for _, n := range t.names {
		if t.files[n] == nil {
			continue
		}
		if ok, _ := path.Match(name, n); ok {
			found = append(found, t.files[n])
		} else if ok, _ := path.Match(path.Join(name, "default.nix"), n); ok {
			found = append(found, t.files[n])
		}
	}
	return found
}

func (t *Tree) file(name string) *file {
	if f := t.files[name]; f != nil {
		return f
	}
	return t.files[path.Join(name, "default.nix")]
}

// below are the .nix files below a directory.
func (t *Tree) below(dir string) (found []*file) {
	dir = path.Clean(strings.TrimPrefix(dir, "/"))
	for _, n := range t.names {
		if f := t.files[n]; f != nil && (dir == "." || strings.HasPrefix(n, dir+"/")) {
			found = append(found, f)
		}
	}
	return found
}
