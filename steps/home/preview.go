package home

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"

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
	p := &preview{ctx: ctx, v: v, w: w, dirs: map[string]placed{".": there}, byPath: map[string]Claim{}, below: map[string]bool{}}
	for _, c := range w.Claims {
		if old, twice := p.byPath[c.Path]; !twice || old.Kind == Dir {
			p.byPath[c.Path] = c
		}
		for dir := parentOf(c.Path); dir != "." && c.Kind != Absent; dir = parentOf(dir) {
			p.below[dir] = true
		}
	}
	claims := slices.SortedFunc(slices.Values(w.Claims), func(a, b Claim) int { return cmp.Compare(a.Path, b.Path) })
	for _, c := range claims {
		if err := p.claim(c); err != nil {
			return nil, fmt.Errorf("looking at %q: %w", filepath.Join(w.Home, c.Path), err)
		}
	}
	if err := p.drop(); err != nil {
		return nil, err
	}
	slices.SortFunc(p.items, func(a, b Item) int { return cmp.Compare(a.Path, b.Path) })
	return p.items, nil
}

// preview is a comparison on its way.
type preview struct {
	ctx    context.Context
	v      host.View
	w      Wanted
	dirs   map[string]placed // directories that were looked at
	byPath map[string]Claim
	below  map[string]bool // paths that something is wanted below of
	items  []Item
}

// placed is how a directory stands.
type placed int

const (
	there   placed = iota + 1 // it is a directory
	missing                   // it is not, or will not be when what is in its way is gone
)

func (p *preview) name(path string) string { return filepath.Join(p.w.Home, path) }

func (p *preview) add(verb Verb, was string, c Claim) {
	p.items = append(p.items, Item{Path: p.through(c.Path), Verb: verb, Was: was, Claim: c})
}

// through is where a path is that is reached through links that the user wants to
// have files written through, if that is in the home.
func (p *preview) through(path string) string {
	const hops = 40
	for range hops {
		i := slices.IndexFunc(p.w.Through, func(dir string) bool { return strings.HasPrefix(path, dir+"/") })
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
		switch claimed, ok := p.byPath[sub]; {
		case ok && claimed.Kind != Dir:
		case (ok || p.below[sub]) && e.IsDir():
			dir := Claim{Path: sub, Kind: Dir, Owner: owner}
			if ok {
				dir = claimed
			}
			p.add(Create, "", dir)
			if err := p.unfold(owner, sub, target, in); err != nil {
				return err
			}
		case ok || p.below[sub]: // a directory takes its place
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

// managedLink matches a link into the files of a home-manager generation, of whatever one.
var managedLink = regexp.MustCompile(`^/nix/store/[0-9a-z]{32}-home-manager-(files|generation)/`)

// link compares what is there with a link that is wanted.
func (p *preview) link(c Claim, info fs.FileInfo) error {
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		target, err := p.v.Readlink(p.name(c.Path))
		if err != nil {
			return err
		}
		if clean := filepath.Clean(target); target == c.Target || clean == c.Target || c.Alias != "" && clean == c.Alias {
			return nil
		}
		if p.own(c, info, digest([]byte(target))) || c.Owner == HomeManager && managedLink.MatchString(target) {
			p.add(Update, "", c)
			return nil
		}
	case info.Mode().IsRegular() && c.Owner == HomeManager:
		if same, err := p.same(p.name(c.Path), info, c.Target); same || err != nil {
			return err // home-manager leaves it
		}
	}
	return p.stranger(c, info)
}

// file compares what is there with a file that is wanted.
func (p *preview) file(c Claim, info fs.FileInfo) error {
	if !info.Mode().IsRegular() {
		return p.stranger(c, info)
	}
	other := c.Size > 0 && info.Size() != c.Size
	if other && (c.Last == nil || c.Last.SHA256 == c.SHA256) {
		return p.stranger(c, info) // neither what is wanted nor what was left; it may be large
	}
	sum, err := p.sum(p.name(c.Path))
	switch {
	case err != nil:
		return err
	case sum == "":
		return p.stranger(c, info) // what cannot be read is not known to be right
	case sum == c.SHA256 && info.Mode().Perm() == c.Mode.Perm():
	case p.own(c, info, sum) && linked(info):
		p.add(Replace, hardLinked, c) // another name has it too, and is not to be changed
	case p.own(c, info, sum):
		p.add(Update, "", c)
	default:
		return p.stranger(c, info)
	}
	return nil
}

// sum is the digest of a file's content; "" if it cannot be read.
func (p *preview) sum(name string) (string, error) {
	k, err := p.v.Look(p.ctx, host.Place{Base: filepath.Dir(name), Name: filepath.Base(name)}, true)
	if p.ctx.Err() != nil {
		return "", context.Cause(p.ctx)
	}
	if err != nil {
		return "", nil //nolint:nilerr // it is kept, or that says why not
	}
	return k.SHA256, nil
}

// same reports whether a file has the content of what is at target.
func (p *preview) same(name string, info fs.FileInfo, target string) (bool, error) {
	target = p.end(target)
	if want, err := p.v.Lstat(target); err != nil || !want.Mode().IsRegular() || want.Size() != info.Size() {
		return false, nil //nolint:nilerr // it is replaced
	}
	have, err := p.sum(name)
	if err != nil || have == "" {
		return false, err
	}
	want, err := p.sum(target)
	return have == want, err
}

// own reports whether what is there is as its owner left it.
func (p *preview) own(c Claim, info fs.FileInfo, sum string) bool {
	if c.Last == nil || c.Last.SHA256 != sum {
		return false
	}
	if c.Last.Kind == Link {
		return info.Mode()&fs.ModeSymlink != 0
	}
	return info.Mode().IsRegular() && info.Mode().Perm() == c.Last.Mode.Perm()
}

// stranger: what is there is not its owner's, or was edited since.
func (p *preview) stranger(c Claim, info fs.FileInfo) error {
	was, err := p.was(c.Path, info)
	if err != nil {
		return err
	}
	if c.Last != nil {
		was = "edited " + was
		if p.w.OnModified == "keep" {
			p.add(Keep, was, c)
			return nil
		}
	}
	if c.Owner == Chezmoi && was == "home-manager's link" {
		p.add(Update, was, c)
		return nil
	}
	p.add(Replace, was, c)
	return nil
}

// absent looks for what an owner wants to be gone.
func (p *preview) absent(c Claim) error {
	info, err := p.v.Lstat(p.name(c.Path))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil
	} else if err != nil {
		return err
	}
	was, err := p.was(c.Path, info)
	if err == nil {
		p.add(Delete, was, c)
	}
	return err
}

// hardLinked is what a file is that has other names.
const hardLinked = "hard-linked file"

func linked(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && info.Mode().IsRegular() && st.Nlink > 1
}

// was names what is at path.
func (p *preview) was(path string, info fs.FileInfo) (string, error) {
	st, known := info.Sys().(*syscall.Stat_t)
	mode := info.Mode()
	switch {
	case mode&fs.ModeSymlink != 0:
		target, err := p.v.Readlink(p.name(path))
		switch {
		case err != nil:
			return "", err
		case managedLink.MatchString(target):
			return "home-manager's link", nil
		case !p.leads(path):
			return "dangling link", nil
		}
		return "foreign link", nil
	case mode.IsDir():
		return "directory", nil
	case !mode.IsRegular():
		return "special file", nil
	case known && int(st.Uid) != p.w.UID:
		return "other owner's file", nil
	case linked(info):
		return hardLinked, nil
	case mode&(fs.ModeSetuid|fs.ModeSetgid) != 0:
		return "setuid file", nil
	case mode&0o200 == 0:
		return "read-only file", nil
	}
	return "file", nil
}

// leads reports whether the link at path leads to something. Nothing is opened:
// that could wait for ever.
func (p *preview) leads(path string) bool {
	info, err := p.v.Lstat(p.end(p.name(path)))
	return err == nil && info.Mode()&fs.ModeSymlink == 0
}

// end is where the link at name ends, or name itself; a link if it goes round in circles.
func (p *preview) end(name string) string {
	const hops = 40 // as many as the kernel follows
	for range hops {
		target, err := p.v.Readlink(name)
		if err != nil {
			break
		}
		name = resolve(name, target)
	}
	return name
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
