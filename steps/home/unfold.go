package home

import (
	"path/filepath"
	"strings"
)

// unfold keeps in sight what a directory held that was one link to target: it
// becomes a directory, with a link for each thing that is in target and not wanted
// otherwise. at is where in target the directory path is.
func (p *preview) unfold(owner Owner, path, target, at string) error {
	p.dirs[path] = missing
	entries, err := p.v.ReadDir(filepath.Join(resolve(p.name(folded(path, at)), target), at))
	if err != nil {
		return err
	}
	for _, e := range entries {
		sub, in := path+"/"+e.Name(), filepath.Join(at, e.Name())
		below := p.below[sub] || p.gaps[sub]
		switch claimed, ok := p.byPath[sub]; {
		case ok && claimed.Kind != Dir:
		case (ok || below) && e.IsDir():
			dir := Claim{Path: sub, Kind: Dir, Owner: owner}
			if ok {
				dir = claimed
			}
			p.add(Create, "", dir)
			if err := p.unfold(owner, sub, target, in); err != nil {
				return err
			}
		case ok || below: // a directory takes its place
		default:
			p.add(Create, "", Claim{Path: sub, Kind: Link, Owner: owner, Target: deeper(target, in), Unfolds: true})
		}
	}
	return nil
}

// folded is the path of the link whose part at path is.
func folded(path, at string) string {
	return strings.TrimSuffix(strings.TrimSuffix(path, at), "/")
}

// resolve is where a link at name that says target leads.
func resolve(name, target string) string {
	if filepath.IsAbs(target) {
		return target
	}
	return filepath.Join(filepath.Dir(name), target)
}

// deeper is what a link in the place of the link to target says to lead to what is at in it.
func deeper(target, at string) string {
	if filepath.IsAbs(target) {
		return filepath.Join(target, at)
	}
	return strings.Repeat("../", strings.Count(at, "/")+1) + filepath.Join(target, at)
}
