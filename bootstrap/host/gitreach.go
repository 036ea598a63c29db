package host

import (
	"context"
	"errors"
	"slices"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
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

// tree finds the entries of a tree. Commits of submodules are not of this repository.
func (s *reach) tree(h plumbing.Hash, b []byte) error {
	entries, err := entriesOf(b)
	if err != nil {
		return &DamagedRepoError{"object " + h.String(), err}
	}
	for _, e := range entries {
		if e.mode == filemode.Submodule {
			continue
		}
		if s.objects.named != nil {
			if err := s.objects.named(e.name); err != nil {
				return err
			}
		}
		if err := s.find(e.hash, e.mode == filemode.Dir); err != nil {
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
		plumbing.HashesSort(commits)
		for _, c := range commits {
			line += " " + c.String()
		}
		lines = append(lines, line)
	}
	slices.Sort(lines)
	return lines
}
