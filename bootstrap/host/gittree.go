package host

import (
	"fmt"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
)

// gitEntry is one path of a tree. The zero value is a path that is not there.
type gitEntry struct {
	mode filemode.FileMode
	hash plumbing.Hash
}

// tree reads all files, links and submodules of a commit, by slash-separated
// path; the zero commit has none. Names that could leave the work tree or reach
// into a repository are an error.
func (r *gitRepo) tree(commit plumbing.Hash) (map[string]gitEntry, error) {
	files := map[string]gitEntry{}
	if commit.IsZero() {
		return files, nil
	}
	c, err := r.commit(commit)
	if err != nil {
		return nil, err
	}
	return files, r.addTree(files, "", c.tree)
}

func (r *gitRepo) addTree(files map[string]gitEntry, prefix string, hash plumbing.Hash) error {
	b, err := r.read(plumbing.TreeObject, hash)
	var entries []treeEntry
	if err == nil {
		entries, err = entriesOf(b)
	}
	if err != nil {
		return fmt.Errorf("reading tree %s: %w", hash, err)
	}
	for _, e := range entries {
		if !safeName(e.name) {
			return fmt.Errorf("reading tree %s: %q is not a name for a file in a work tree", hash, prefix+e.name)
		}
		switch e.mode {
		case filemode.Dir:
			if err := r.addTree(files, prefix+e.name+"/", e.hash); err != nil {
				return err
			}
			continue
		case filemode.Deprecated:
			e.mode = filemode.Regular
		case filemode.Regular, filemode.Executable, filemode.Symlink, filemode.Submodule:
		default:
			return fmt.Errorf("reading tree %s: %s has mode %o", hash, prefix+e.name, e.mode)
		}
		files[prefix+e.name] = e.gitEntry
	}
	return nil
}

// safeName follows verify_path of git's read-cache.c.
func safeName(name string) bool {
	return name != "" && name != "." && name != ".." && !strings.EqualFold(name, ".git") &&
		!strings.EqualFold(name, "git~1") && !strings.ContainsAny(name, "/\x00")
}

// headTree returns the tree of a commit that is HEAD. It is not read, and nil, if the
// index knows that it equals it.
func (w *workTree) headTree(commit plumbing.Hash) (map[string]gitEntry, error) {
	if !w.tree.IsZero() && len(w.conflicts) == 0 && !commit.IsZero() {
		tree, err := w.repo.treeOf(commit)
		w.isHead = err == nil && tree == w.tree
	}
	if w.isHead {
		return nil, nil
	}
	return w.repo.tree(commit)
}
