package home

import (
	"errors"
	"io/fs"
	"path/filepath"
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
			return unseen(p.name(c.Path), err)
		}
		path := p.reached(c.Path)
		if target != c.Target && !managedLink().MatchString(target) || path == "" {
			continue
		}
		p.items = append(p.items, Item{Path: path, Verb: Delete, Claim: c})
		gone[c.Path] = true
		if path == c.Path { // else it is gone before the directories are looked at
			dropped[path] = true
		}
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

// reached is where path is if directories on the way there are links: what deletes it
// goes through them. It is "" if that is not in the home, or one of them is unfolded.
func (p *preview) reached(path string) string {
	const hops = 40
	for range hops {
		dirs := parents(path)[1:]
		i := slices.IndexFunc(dirs, func(dir string) bool { _, err := p.v.Readlink(p.name(dir)); return err == nil })
		if i < 0 {
			return path
		}
		target, err := p.v.Readlink(p.name(dirs[i]))
		if err != nil || p.dirs[dirs[i]] == missing {
			break
		}
		rel, err := filepath.Rel(p.w.Home, resolve(p.name(dirs[i]), target))
		if err != nil || !filepath.IsLocal(rel) {
			break
		}
		path = filepath.Join(rel, path[len(dirs[i])+1:])
	}
	return ""
}

// emptied reports whether nothing is left or wanted in dir.
func (p *preview) emptied(dir string, gone map[string]bool) bool {
	if c, wanted := p.byPath[dir]; wanted && c.Kind != Absent || p.below[dir] {
		return false
	}
	entries, err := p.v.ReadDir(p.name(dir))
	return err == nil && !slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return !gone[dir+"/"+e.Name()] })
}
