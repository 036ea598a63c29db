package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
)

// stagingName is where new files wait in a linked work tree, whose git directory may be on another file system.
const stagingName = ".movein-checkout"

// checkout brings a work tree from HEAD's commit to another.
//
// It may be killed between any two system calls, and beginning it again, for the
// same commit or another, ends as if it had not been: nothing is written before
// all has been checked; then the mark is written, which names the commit; then
// old files are removed and new ones are written, each by a rename; then the index
// is; then the lock goes, HEAD's commit moves, and the mark goes. While there is a mark that
// began at HEAD's commit, each path may be as in HEAD or as in a commit the mark
// names, and whatever is neither is the user's and stops the checkout.
type checkout struct {
	w       *workTree
	from    plumbing.Hash
	to      plumbing.Hash
	head    map[string]gitEntry
	target  map[string]gitEntry
	pending []plumbing.Hash       // of the mark that was found
	also    []map[string]gitEntry // their trees
	deletes []string
	writes  []string
	seen    map[string]onDisk // each path of target, as checked or as written
	root    *os.Root
	staging string
	unlock  func()
	cut     func(at string) // called between any two changes; for tests
}

// planCheckout checks everything and changes nothing. Errors: a *CollisionError,
// or one that names tracked files that differ from HEAD.
//
// The index is locked from here to the end of apply, which is to be called if
// there is no error.
func planCheckout(r *gitRepo, from, to plumbing.Hash, cut func(string)) (*checkout, error) {
	unlock, err := lockIndex(r.gitDir)
	if err != nil {
		return nil, err
	}
	c := &checkout{from: from, to: to, cut: cut, seen: map[string]onDisk{}, unlock: unlock}
	if err := c.plan(r); err != nil {
		unlock()
		return nil, err
	}
	return c, nil
}

func (c *checkout) plan(r *gitRepo) (err error) {
	if c.w, err = readWorkTree(r); err != nil {
		return err
	}
	for _, e := range c.w.index {
		if e.skipWorktree {
			return errors.New("it is a sparse checkout, which only git itself can update")
		}
	}
	if c.head, err = r.tree(c.from); err != nil {
		return err
	}
	if c.target, err = r.tree(c.to); err != nil {
		return err
	}
	c.pending, c.also = r.interrupted(c.from)
	if err := c.checkClean(); err != nil {
		return err
	}
	return c.compare()
}

// checkClean refuses changes to tracked files.
func (c *checkout) checkClean() error {
	diffs, err := c.w.differences(c.head, c.also, maxDirty)
	if err != nil || len(diffs) == 0 {
		return err
	}
	var names, blocked []string
	for _, d := range diffs {
		names = append(names, d.path)
		if d.disk.blocked != "" && !slices.Contains(blocked, d.disk.blocked) {
			blocked = append(blocked, d.disk.blocked)
		}
	}
	if len(blocked) > 0 {
		return &CollisionError{Dir: c.w.repo.dir, Files: blocked}
	}
	return fmt.Errorf("tracked files have changes that are not committed: %s", strings.Join(names, ", "))
}

// compare lists what to delete and to write, and refuses to touch what is not git's.
func (c *checkout) compare() error {
	for _, name := range c.oldPaths() {
		d, err := c.w.look(name)
		if err != nil {
			return err
		}
		if c.mine(name, d) {
			c.deletes, c.seen[name] = append(c.deletes, name), d
		}
	}
	var inTheWay []string
	for _, name := range sortedKeys(c.target) {
		d, err := c.w.look(name)
		if err != nil {
			return err
		}
		c.seen[name] = d
		files, err := c.inTheWay(name, d)
		if err != nil {
			return err
		}
		inTheWay = append(inTheWay, files...)
		if !d.matches(c.target[name]) || c.target[name].mode == filemode.Submodule {
			c.writes = append(c.writes, name)
		}
	}
	if len(inTheWay) > 0 {
		slices.Sort(inTheWay)
		return &CollisionError{Dir: c.w.repo.dir, Files: slices.Compact(inTheWay)}
	}
	return nil
}

// oldPaths are those that HEAD or an unfinished checkout has and the target has not.
func (c *checkout) oldPaths() []string {
	old := map[string]gitEntry{}
	for _, t := range append([]map[string]gitEntry{c.head}, c.also...) {
		for name, e := range t {
			if _, ok := c.target[name]; !ok && e.mode != filemode.Submodule {
				old[name] = e
			}
		}
	}
	return sortedKeys(old)
}

// mine tells whether a file is one that a checkout wrote.
func (c *checkout) mine(name string, d onDisk) bool {
	if d.place != aFile {
		return false
	}
	for _, t := range append([]map[string]gitEntry{c.head}, c.also...) {
		if e, ok := t[name]; ok && d.matches(e) {
			return true
		}
	}
	return false
}

// inTheWay lists files that would be lost if name were written.
func (c *checkout) inTheWay(name string, d onDisk) ([]string, error) {
	switch d.place {
	case aFile:
		if c.mine(name, d) {
			return nil, nil
		}
	case behindLink:
		if slices.Contains(c.deletes, d.blocked) {
			return nil, nil
		}
		return []string{d.blocked}, nil
	case aDirectory:
		if c.target[name].mode == filemode.Submodule {
			return nil, nil
		}
		return c.filesBelow(name)
	case nothing:
		return nil, nil
	}
	return []string{name}, nil
}

// filesBelow lists what is in a directory and will not be deleted.
func (c *checkout) filesBelow(dir string) (kept []string, err error) {
	err = filepath.WalkDir(filepath.Join(c.w.repo.dir, dir), func(file string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		name, err := filepath.Rel(c.w.repo.dir, file)
		if err == nil && !slices.Contains(c.deletes, name) {
			kept = append(kept, name)
		}
		return err
	})
	return kept, err
}

func sortedKeys(m map[string]gitEntry) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
