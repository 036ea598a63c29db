package host

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
)

// reach is a search for everything that can be reached.
type reach struct {
	objects *gitObjects
	shallow map[plumbing.Hash]bool
	found   map[plumbing.Hash]struct{}
	todo    []plumbing.Hash                   // found and not read yet
	cut     map[plumbing.Hash][]plumbing.Hash // parents of shallow commits, to those commits
}

// reachFrom finds the commits, trees, blobs and tags that can be reached. It reads no blob.
func (o *gitObjects) reachFrom(ctx context.Context, tips []plumbing.Hash, shallow map[plumbing.Hash]bool) (*reach, error) {
	s := &reach{objects: o, shallow: shallow, found: map[plumbing.Hash]struct{}{}, cut: map[plumbing.Hash][]plumbing.Hash{}}
	for _, h := range tips {
		if err := s.find(h, true); err != nil {
			return nil, err
		}
		for len(s.todo) > 0 {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			next := s.todo[len(s.todo)-1]
			s.todo = s.todo[:len(s.todo)-1]
			if err := s.follow(next); err != nil {
				return nil, err
			}
		}
	}
	return s, nil
}

// find notes an object, and that it is to be read if it may name others.
func (s *reach) find(h plumbing.Hash, read bool) error {
	if _, ok := s.found[h]; ok {
		return nil
	}
	if !s.objects.has(h) {
		return &DamagedRepoError{"object " + h.String(), plumbing.ErrObjectNotFound}
	}
	s.found[h] = struct{}{}
	if read {
		s.todo = append(s.todo, h)
	}
	return nil
}

func (s *reach) follow(h plumbing.Hash) error {
	typ, b, err := s.objects.object(h)
	if err == nil {
		switch typ {
		case plumbing.CommitObject:
			return s.commit(h, b)
		case plumbing.TreeObject:
			return s.tree(h, b)
		case plumbing.TagObject:
			return s.headers(h, b, "object")
		case plumbing.BlobObject: // a reference may be to one
			return nil
		}
		err = plumbing.ErrInvalidType
	}
	return &DamagedRepoError{"object " + h.String(), err}
}

// commit finds the parents before the tree, so that the tree is read first: what
// is alike is then read together.
func (s *reach) commit(h plumbing.Hash, b []byte) error {
	if !s.shallow[h] {
		return s.headers(h, b, "parent", "tree")
	}
	for _, p := range namedIn(b, "parent") {
		s.cut[p] = append(s.cut[p], h)
	}
	return s.headers(h, b, "tree")
}

func (s *reach) headers(h plumbing.Hash, b []byte, keys ...string) error {
	for _, key := range keys {
		names := namedIn(b, key)
		if len(names) == 0 && key != "parent" {
			return &DamagedRepoError{"object " + h.String(), errors.New("it names no " + key)}
		}
		for _, to := range names {
			if err := s.find(to, true); err != nil {
				return err
			}
		}
	}
	return nil
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

// tree finds the entries of a tree, "MODE NAME\0HASH" each. Commits of submodules are not of this repository.
func (s *reach) tree(h plumbing.Hash, b []byte) error {
	for len(b) > 0 {
		end := bytes.IndexByte(b, 0)
		mode, _, ok := bytes.Cut(b[:max(end, 0)], []byte(" "))
		var to plumbing.Hash
		if !ok || len(b) < end+1+len(to) {
			return &DamagedRepoError{"object " + h.String(), errors.New("it is no tree")}
		}
		copy(to[:], b[end+1:])
		b = b[end+1+len(to):]
		if string(mode) == "160000" {
			continue
		}
		if err := s.find(to, string(mode) == "40000" || string(mode) == "040000"); err != nil {
			return err
		}
	}
	return nil
}

// prerequisites returns the lines "-PARENT COMMITS" for the parents of shallow commits that were not found.
func (s *reach) prerequisites() (lines []string) {
	for p, commits := range s.cut {
		if _, ok := s.found[p]; ok {
			continue
		}
		line := "-" + p.String()
		slices.SortFunc(commits, func(a, b plumbing.Hash) int { return bytes.Compare(a[:], b[:]) })
		for _, c := range commits {
			line += " " + c.String()
		}
		lines = append(lines, line)
	}
	slices.Sort(lines)
	return lines
}
