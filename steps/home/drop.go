package home

import (
	"errors"
	"io/fs"
	"slices"
	"syscall"
)

// drop adds what owners left and want no longer, as far as it is as they left it,
// and the directories that then have nothing in them.
func (p *preview) drop() error {
	gone := map[string]bool{}
	for _, c := range p.w.Dropped {
		if _, wanted := p.byPath[c.Path]; wanted || p.below[c.Path] || gone[c.Path] {
			continue
		}
		target, err := p.v.Readlink(p.name(c.Path))
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOTDIR) {
			continue
		} else if err != nil {
			return err
		}
		// Below a directory that is a link it is not in this home.
		if target != c.Target && !managedLink.MatchString(target) || !p.real(parentOf(c.Path)) {
			continue
		}
		p.add(Delete, "", c)
		gone[c.Path] = true
	}
	for path := range gone {
		for dir := parentOf(path); dir != "." && !gone[dir] && p.emptied(dir, gone); dir = parentOf(dir) {
			p.add(Delete, "", Claim{Path: dir, Kind: Dir, Owner: HomeManager})
			gone[dir] = true
		}
	}
	return nil
}

// real reports whether path and all that leads to it in the home are directories.
func (p *preview) real(path string) bool {
	for ; path != "."; path = parentOf(path) {
		if info, err := p.v.Lstat(p.name(path)); err != nil || !info.IsDir() {
			return slices.Contains(p.w.Through, path)
		}
	}
	return true
}

// emptied reports whether nothing is left or wanted in dir.
func (p *preview) emptied(dir string, gone map[string]bool) bool {
	if c, wanted := p.byPath[dir]; wanted && c.Kind != Absent || p.below[dir] {
		return false
	}
	entries, err := p.v.ReadDir(p.name(dir))
	return err == nil && !slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return !gone[dir+"/"+e.Name()] })
}
