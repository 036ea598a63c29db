package host

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
)

// gitCommit is what a commit says of other objects.
type gitCommit struct {
	tree    plumbing.Hash
	parents []plumbing.Hash
}

// commit reads a commit.
func (r *gitRepo) commit(h plumbing.Hash) (c gitCommit, err error) {
	b, err := r.read(plumbing.CommitObject, h)
	if err != nil {
		return c, fmt.Errorf("reading commit %s: %w", h, err)
	}
	trees := namedIn(b, "tree")
	if len(trees) != 1 {
		return c, fmt.Errorf("reading commit %s: it names %d trees", h, len(trees))
	}
	return gitCommit{trees[0], namedIn(b, "parent")}, nil
}

// read reads an object of that type whole.
func (r *gitRepo) read(typ plumbing.ObjectType, h plumbing.Hash) ([]byte, error) {
	obj, err := r.store.EncodedObject(typ, h)
	if err != nil {
		return nil, err
	}
	in, err := obj.Reader()
	if err != nil {
		return nil, err
	}
	defer in.Close()
	return io.ReadAll(in)
}

// namedIn returns the objects in the header lines of a commit or tag that begin with key.
func namedIn(b []byte, key string) (names []plumbing.Hash) {
	head, _, _ := bytes.Cut(b, []byte("\n\n"))
	for line := range bytes.Lines(head) {
		if name, ok := strings.CutPrefix(string(line), key+" "); ok && plumbing.IsHash(strings.TrimSuffix(name, "\n")) {
			names = append(names, plumbing.NewHash(strings.TrimSuffix(name, "\n")))
		}
	}
	return names
}

// treeEntry is an entry of a tree.
type treeEntry struct {
	name string
	gitEntry
}

// entriesOf takes a tree apart, "MODE NAME\0HASH" each.
func entriesOf(tree []byte) (all []treeEntry, err error) {
	for b := tree; len(b) > 0; {
		end := bytes.IndexByte(b, 0)
		mode, name, ok := strings.Cut(string(b[:max(end, 0)]), " ")
		e := treeEntry{name: name}
		if !ok || len(b) < end+1+len(e.hash) {
			return nil, errors.New("it is no tree")
		}
		if e.mode, err = filemode.New(mode); err != nil {
			return nil, errors.New("it is no tree")
		}
		b = b[end+1+copy(e.hash[:], b[end+1:]):]
		all = append(all, e)
	}
	return all, nil
}
