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
	gone := map[string]bool{} // of what chezmoi deletes, too: that goes first
	for _, i := range p.items {
		gone[i.Claim.Path] = i.Verb == Delete
	}
	dropped := map[string]bool{}
	for _, c := range p.w.Dropped {
		if _, wanted := p.byPath[c.Path]; wanted || p.below[c.Path] || gone[c.Path] || p.goes(c.Path) {
			continue
		}
		target, err := p.v.Readlink(p.name(c.Path))
		if vacant(err) || errors.Is(err, syscall.EINVAL) {
			continue
		} else if err != nil {
			return err
		}
		// Below a directory that is a link it is not in this home.
		if target != c.Target && !managedLink.MatchString(target) || !p.real(parentOf(c.Path)) {
			continue
		}
		p.add(Delete, "", c)
		gone[c.Path], dropped[c.Path] = true, true
	}
	for path := range dropped {
		for dir := parentOf(path); dir != "." && !gone[dir] && p.emptied(dir, gone); dir = parentOf(dir) {
			p.add(Delete, "", Claim{Path: dir, Kind: Dir, Owner: HomeManager})
			gone[dir] = true
		}
	}
	return nil
}

// vacant reports whether an error says that there is nothing, nor can be before what
// is in the way of its directories is gone.
func vacant(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.ELOOP)
}

// goes reports whether path goes with a directory that has to be gone.
func (p *preview) goes(path string) bool {
	return slices.ContainsFunc(parents(path), func(dir string) bool { return p.byPath[dir].Kind == Absent })
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
