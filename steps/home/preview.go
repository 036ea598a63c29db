package home

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"sort"
	"strings"
	"sync"

	"movein/bootstrap"
	"movein/bootstrap/host"
)

// Wanted is what a home is compared with.
type Wanted struct {
	Home    string // its directory
	UID     int    // whose it is
	Claims  []Claim
	Dropped []Claim // what owners left at paths that they want no longer
	// Through are the paths of directories that may be symlinks: the user wants to
	// have files written through them.
	Through []string
	// OnModified says what becomes of a file of chezmoi's that was edited since it
	// wrote it: it is replaced ("backup") or left ("keep").
	OnModified string
}

// Preview says, sorted by path, what would be done so that the home is as it is
// wanted. What has to be made or goes on the way is in it too: directories, and
// the links that take the place of a directory that was one link.
func Preview(ctx context.Context, v host.View, w Wanted) ([]Item, error) {
	p := &preview{ctx: ctx, v: v, w: w, dirs: map[string]placed{".": there}, byPath: map[string]Claim{}, below: map[string]bool{}, gaps: map[string]bool{}}
	for _, c := range w.Claims {
		if old, twice := p.byPath[c.Path]; !twice || old.Kind == Dir {
			p.byPath[c.Path] = c
		}
		below := p.below
		if c.Kind == Absent {
			below = p.gaps
		}
		for dir := parentOf(c.Path); dir != "."; dir = parentOf(dir) {
			below[dir] = true
		}
	}
	claims := slices.Clone(w.Claims)
	sort.Slice(claims, func(i, j int) bool { return claims[i].Path < claims[j].Path })
	for _, c := range claims {
		if err := p.claim(c); err != nil {
			return nil, unseen(p.name(c.Path), err)
		}
	}
	if err := p.drop(); err != nil {
		return nil, err
	}
	sort.Slice(p.items, func(i, j int) bool { return p.items[i].Path < p.items[j].Path })
	return p.items, nil
}

// unseen says that it could not be looked at what is at name. What is in a closed directory
// is not changed.
func unseen(name string, err error) error {
	err = fmt.Errorf("looking at %s: %w", Shown(name), err)
	if errors.Is(err, fs.ErrPermission) {
		return bootstrap.Exit(bootstrap.ExitRefused, bootstrap.Hint(err, "nothing was changed; let yourself in (chmod u+rwx), or take it out of your configuration: ls -ld %s", quote(filepath.Dir(name))))
	}
	return err
}

// preview is a comparison on its way.
type preview struct {
	ctx    context.Context
	v      host.View
	w      Wanted
	dirs   map[string]placed // directories that were looked at
	byPath map[string]Claim
	below  map[string]bool // paths that something is wanted below of
	gaps   map[string]bool // paths that something is not wanted below of
	items  []Item
}

// placed is how a directory stands.
type placed int

const (
	there   placed = iota + 1 // it is a directory
	missing                   // it is not, or will not be when what is in its way is gone
)

func (p *preview) name(path string) string { return p.w.Home + "/" + path }

func (p *preview) add(verb Verb, was string, c Claim) {
	p.items = append(p.items, Item{Path: p.through(c.Path), Verb: verb, Was: was, Claim: c})
}

// through is where a path is that is reached through links that the user wants to
// have files written through, if that is in the home.
func (p *preview) through(path string) string {
	const hops = 40
	for range hops {
		i := slices.IndexFunc(p.w.Through, func(dir string) bool { return strings.HasPrefix(path, dir+"/") && p.dirs[dir] != missing })
		if i < 0 {
			break
		}
		dir := p.w.Through[i]
		target, err := p.v.Readlink(p.name(dir))
		if err != nil {
			break
		}
		rel, err := filepath.Rel(p.w.Home, resolve(p.name(dir), target))
		if err != nil || !filepath.IsLocal(rel) {
			break
		}
		path = filepath.Join(rel, path[len(dir)+1:])
	}
	return path
}

func (p *preview) claim(c Claim) error {
	if c.Kind == File && c.SHA256 == "" {
		return nil // what it is to be is not known
	}
	if c.Kind == Dir {
		_, err := p.dir(c)
		return err
	}
	if c.Kind == Absent {
		return p.absent(c)
	}
	state, err := p.dir(Claim{Path: parentOf(c.Path), Kind: Dir, Owner: c.Owner})
	if err != nil {
		return err
	}
	if state == missing {
		return p.create(c)
	}
	if c.Kind == Link { // first what is true of most
		if target, err := p.v.Readlink(p.name(c.Path)); err == nil && c.leads(target) {
			return nil
		}
	}
	info, err := p.v.Lstat(p.name(c.Path))
	if errors.Is(err, fs.ErrNotExist) {
		return p.create(c)
	} else if err != nil {
		return err
	}
	if c.Kind == Link {
		return p.link(c, info)
	}
	return p.file(c, info)
}

// create: nothing is there. What chezmoi wrote once and somebody deleted was edited too.
func (p *preview) create(c Claim) error {
	verb, was := Create, ""
	if c.Last != nil && c.Last.Kind != Absent {
		was = "deleted"
		if p.w.OnModified == "keep" {
			verb = Keep
		}
	}
	p.add(verb, was, c)
	return nil
}

// dir looks at a directory that is claimed, or that something claimed is in, and
// says how it stands. What is in its way is told once.
func (p *preview) dir(c Claim) (placed, error) {
	if state, known := p.dirs[c.Path]; known {
		return state, nil
	}
	if claimed, ok := p.byPath[c.Path]; ok && claimed.Kind == Dir {
		c = claimed
	}
	state, err := p.dir(Claim{Path: parentOf(c.Path), Kind: Dir, Owner: c.Owner})
	if err != nil {
		return 0, err
	}
	if state == there {
		if state, err = p.look(c); err != nil {
			return 0, err
		}
	} else if _, made := p.dirs[c.Path]; !made {
		p.add(Create, "", c)
	}
	p.dirs[c.Path] = state
	return state, nil
}

// look looks at a directory whose parent is there.
func (p *preview) look(c Claim) (placed, error) {
	info, err := p.v.Lstat(p.name(c.Path))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		p.add(Create, "", c)
		return missing, nil
	case err != nil:
		return 0, err
	case info.IsDir():
		if c.Mode != 0 && info.Mode().Perm() != c.Mode.Perm() {
			p.add(Update, fmt.Sprintf("directory with mode %04o", info.Mode().Perm()), c)
		}
		return there, nil
	case info.Mode()&fs.ModeSymlink != 0 && p.isDir(c.Path):
		if slices.Contains(p.w.Through, c.Path) {
			return there, nil
		}
		target, err := p.v.Readlink(p.name(c.Path))
		if err != nil {
			return 0, err
		}
		p.add(Replace, foldedDir, c)
		return missing, p.unfold(c.Owner, c.Path, target, "")
	}
	was, err := p.was(c.Path, info)
	if err != nil {
		return 0, err
	}
	p.add(Replace, was, c)
	return missing, nil
}

// isDir reports whether what path leads to is a directory.
func (p *preview) isDir(path string) bool {
	_, err := p.v.ReadDir(p.name(path))
	return err == nil
}

// foldedDir is what a directory is that is a link to one.
const foldedDir = "folded parent directory"

// managedLink matches a link into the files of a home-manager generation, of whatever one.
var managedLink = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^/nix/store/[0-9a-z]{32}-home-manager-(files|generation)/`)
})

// hardLinked is what a file is that has other names.
const hardLinked = "hard-linked file"
