package home

import (
	"slices"
	"sort"
	"strings"
)

// Conflict is a path that two owners claim, or one below the other's.
type Conflict struct{ Outer, Inner Claim }

// Conflicts finds what two owners claim at the same time: the same path, or a path
// below one that is to be something else than a directory, or what is in an exact
// directory whose owner does not have it. Claims of one owner are its own business.
func Conflicts(claims []Claim) (out []Conflict) {
	if !slices.ContainsFunc(claims, func(c Claim) bool { return c.Owner != claims[0].Owner }) {
		return nil
	}
	byPath := map[string][]Claim{}
	for _, c := range claims {
		byPath[c.Path] = append(byPath[c.Path], c)
	}
	for _, inner := range claims {
		for dir := inner.Path; dir != "."; dir = parentOf(dir) {
			for _, outer := range byPath[dir] {
				if clash(outer, inner) || swept(outer, inner, byPath) {
					out = append(out, Conflict{outer, inner})
				}
			}
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Inner.Path < out[j].Inner.Path })
	return out
}

// swept reports whether inner would go with what the exact directory outer is cleared of.
func swept(outer, inner Claim, byPath map[string][]Claim) bool {
	if outer.Kind != Dir || !outer.Exact || outer.Owner == inner.Owner || outer.Path == inner.Path || inner.Kind == Absent || inner.Settled {
		return false
	}
	return !slices.ContainsFunc(byPath[EntryOf(outer.Path, inner.Path)], func(c Claim) bool { return c.Owner == outer.Owner })
}

// EntryOf is the entry of the directory dir that path is, or is in.
func EntryOf(dir, path string) string {
	rest := path[len(dir)+1:]
	name, _, _ := strings.Cut(rest, "/")
	return dir + "/" + name
}

func clash(outer, inner Claim) bool {
	switch {
	case outer.Owner == inner.Owner:
		return false
	case outer.Path != inner.Path:
		return outer.Kind != Dir
	case outer.Kind == Dir && inner.Kind == Dir:
		return false
	}
	return outer.Owner < inner.Owner // each pair once
}

// Settle applies what the user said about who owns what: a path and all below it
// is the named owner's. What others claim there is suppressed, but for a directory
// that what the owner claims leaves room for.
func Settle(claims []Claim, ownership map[string]Owner) (kept, suppressed []Claim) {
	solid := map[string]bool{} // what owners have that is no directory
	for _, c := range claims {
		if c.Kind != Dir && c.Owner == ownerOf(c.Path, ownership) {
			solid[c.Path] = true
		}
	}
	exact, kept := map[string]Owner{}, make([]Claim, 0, len(claims))
	for _, c := range claims {
		if c.Kind == Dir && c.Exact {
			exact[c.Path] = c.Owner
		}
	}
	for _, c := range claims {
		owner := ownerOf(c.Path, ownership)
		c.Settled = owner == c.Owner && !slices.ContainsFunc(parents(c.Path), func(dir string) bool {
			other, ok := exact[dir]
			return ok && other != c.Owner && ownerOf(EntryOf(dir, c.Path), ownership) != c.Owner
		})
		room := c.Kind == Dir && !solid[c.Path] && !slices.ContainsFunc(parents(c.Path), func(dir string) bool { return solid[dir] })
		if owner == "" || owner == c.Owner || room {
			kept = append(kept, c)
		} else {
			suppressed = append(suppressed, c)
		}
	}
	return kept, suppressed
}

// ownerOf is who the user says a path belongs to: by the nearest path that is named.
func ownerOf(path string, ownership map[string]Owner) Owner {
	for ; path != "."; path = parentOf(path) {
		if owner, ok := ownership[path]; ok {
			return owner
		}
	}
	return ""
}

// parentOf is the directory of a path below the home; "." for one at its top.
func parentOf(path string) string {
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		return path[:i]
	}
	return "."
}
