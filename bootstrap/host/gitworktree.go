package host

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"sort"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"golang.org/x/sys/unix"
)

// workTree compares a work tree with its index.
type workTree struct {
	repo      *gitRepo
	entries   []indexEntry           // of the index, in order of path
	index     map[string]*indexEntry // those of stage 0
	conflicts map[string]bool
	tree      plumbing.Hash // that the index notes to be equal to; zero if it does not know
	isHead    bool          // the index is as HEAD's tree
	indexTime time.Time
	fileMode  bool // the file system's exec bits mean something
	eol       bool // line ends may have been converted on checkout
	dirs      map[string]place
	read      lister // by which directories are read whole; nil: each path is looked at
	lists     map[string]listing
}

// listing is what lister said of a directory.
type listing struct {
	entries []fs.FileInfo
	err     error
}

// list lists a directory of the work tree, whose name is empty or ends in a slash.
func (w *workTree) list(dir string) ([]fs.FileInfo, error) {
	l, ok := w.lists[dir]
	if !ok {
		l.entries, l.err = w.read(filepath.Join(w.repo.dir, dir))
		w.lists[dir] = l
	}
	return l.entries, l.err
}

// place is what is on disk under a name.
type place int

const (
	nothing place = iota
	aFile         // or a symlink
	aDirectory
	aStranger  // a socket, a device …: never git's
	behindLink // the name has a parent that is a symlink or a file
)

// onDisk is what is on disk under a path, as git sees it.
type onDisk struct {
	gitEntry // zero unless place is aFile
	place    place
	info     fs.FileInfo // from before the content was read; nil if there is nothing
	blocked  string      // the parent that is no directory, if place is behindLink
}

// readWorkTree reads the index. A missing index is an empty one, as for git.
func readWorkTree(r *gitRepo) (*workTree, error) {
	w := &workTree{repo: r, index: map[string]*indexEntry{}, conflicts: map[string]bool{}, dirs: map[string]place{}, lists: map[string]listing{}}
	w.fileMode = r.config.Raw.Section("core").Option("filemode") != "false"
	autocrlf := r.config.Raw.Section("core").Option("autocrlf")
	w.eol = autocrlf == "true" || autocrlf == "input" || exists(filepath.Join(r.dir, ".gitattributes"))
	f, err := os.Open(filepath.Join(r.gitDir, "index"))
	if errors.Is(err, fs.ErrNotExist) {
		return w, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return nil, err
	}
	w.indexTime = fi.ModTime()
	b := make([]byte, fi.Size()) // it is replaced, never written to
	if _, err := io.ReadFull(f, b); err != nil {
		return nil, err
	}
	if w.entries, w.tree, err = parseIndex(b); err != nil {
		return nil, fmt.Errorf("reading the index of %s: %w", r.dir, err)
	}
	w.index = make(map[string]*indexEntry, len(w.entries))
	for i := range w.entries {
		if e := &w.entries[i]; e.stage == 0 {
			w.index[e.name] = e
		} else {
			w.conflicts[e.name] = true
		}
	}
	return w, nil
}

// staged returns the index's entry for a path.
func (w *workTree) staged(name string) gitEntry {
	if e := w.index[name]; e != nil {
		return e.gitEntry
	}
	return gitEntry{}
}

// look reads a path of the work tree. A file whose metadata are those in the
// index is taken for unchanged, unless it was written so late that a change
// since need not show in its metadata ("racy git" in git's documentation).
func (w *workTree) look(name string) (onDisk, error) {
	if blocked, p := w.parents(name); p != aDirectory {
		if p == nothing {
			return onDisk{}, nil
		}
		return onDisk{place: behindLink, blocked: blocked}, nil
	}
	fi, err := w.lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return onDisk{}, nil
	}
	if err != nil {
		return onDisk{}, err
	}
	d := onDisk{info: fi, place: aFile}
	switch {
	case fi.IsDir():
		d.place = aDirectory
	case fi.Mode().IsRegular() || fi.Mode()&fs.ModeSymlink != 0:
		d.gitEntry, err = w.identify(name, fi)
	default:
		d.place = aStranger
	}
	return d, err
}

// lstat looks at a path whose parent is a directory.
func (w *workTree) lstat(name string) (fs.FileInfo, error) {
	if w.read != nil {
		dir, base := path.Split(name)
		if entries, err := w.list(dir); err == nil { // it need not be readable
			i, found := slices.BinarySearchFunc(entries, base, byName)
			if !found {
				return nil, fs.ErrNotExist
			}
			return entries[i], nil
		}
	}
	return os.Lstat(filepath.Join(w.repo.dir, name))
}

// parents finds out whether all directories above a path are directories: nothing, if one is missing.
func (w *workTree) parents(name string) (blocked string, p place) {
	dir := path.Dir(name)
	if dir == "." {
		return "", aDirectory
	}
	if p, ok := w.dirs[dir]; ok {
		return dir, p
	}
	if blocked, p := w.parents(dir); p != aDirectory {
		return blocked, p
	}
	fi, err := w.lstat(dir)
	switch {
	case err != nil:
		p = nothing
	case fi.IsDir():
		p = aDirectory
	default:
		p = aFile
	}
	w.dirs[dir] = p
	return dir, p
}

// identify returns the mode and blob name that git would give a file or symlink.
func (w *workTree) identify(name string, fi fs.FileInfo) (gitEntry, error) {
	old := w.index[name]
	e := gitEntry{mode: filemode.Regular}
	switch {
	case fi.Mode()&fs.ModeSymlink != 0:
		e.mode = filemode.Symlink
	case !w.fileMode && old != nil && old.mode == filemode.Executable, w.fileMode && fi.Mode()&0o100 != 0:
		e.mode = filemode.Executable
	}
	if old != nil && old.sameStat(fi) && old.older(w.indexTime) {
		e.hash = old.hash
		return e, nil
	}
	var err error
	file := filepath.Join(w.repo.dir, name)
	if e.mode == filemode.Symlink {
		var to string
		to, err = os.Readlink(file)
		e.hash = plumbing.ComputeHash(plumbing.BlobObject, []byte(to))
		return e, err
	}
	e.hash, err = hashFile(file, fi.Size())
	if err == nil && w.eol && old != nil && e.hash != old.hash {
		if h, ok := hashWithoutCR(file); ok && h == old.hash {
			e.hash = h
		}
	}
	return e, err
}

func hashFile(file string, size int64) (plumbing.Hash, error) {
	f, err := os.OpenFile(file, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return plumbing.ZeroHash, err
	}
	defer f.Close()
	h := plumbing.NewHasher(plumbing.BlobObject, size)
	if _, err := io.Copy(h, f); err != nil {
		return plumbing.ZeroHash, err
	}
	return h.Sum(), nil
}

func hashWithoutCR(file string) (plumbing.Hash, bool) {
	b, err := os.ReadFile(file)
	if err != nil || !bytes.Contains(b, []byte("\r\n")) {
		return plumbing.ZeroHash, false
	}
	return plumbing.ComputeHash(plumbing.BlobObject, bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n"))), true
}

// matches tells whether what is on disk is the entry. Submodules are never
// looked into: as long as nothing but a directory is in their place they match.
func (d onDisk) matches(e gitEntry) bool {
	if e.mode == filemode.Submodule {
		return d.place == aDirectory || d.place == nothing
	}
	if e == (gitEntry{}) {
		return d.place == nothing || d.place == aDirectory || d.place == behindLink
	}
	return d.place == aFile && d.gitEntry == e
}

// difference is a tracked path that is neither as in HEAD nor as in a commit that was being checked out.
type difference struct {
	path string
	disk onDisk
}

// differences compares HEAD's tree, the index and the disk, in order of path,
// and stops after max. also are the trees of commits whose checkout was cut
// short: a path may be as in one of them, too.
func (w *workTree) differences(head map[string]gitEntry, also []map[string]gitEntry, max int) ([]difference, error) {
	names := make([]string, 0, len(w.entries))
	for i := range w.entries {
		if name := w.entries[i].name; len(names) == 0 || name != names[len(names)-1] { // a conflict has several
			names = append(names, name)
		}
	}
	for name := range head {
		if w.index[name] == nil && !w.conflicts[name] {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	var out []difference
	for _, name := range names {
		d, same, err := w.compare(name, head, also)
		if err != nil {
			return nil, err
		}
		if !same {
			if out = append(out, difference{name, d}); len(out) == max {
				break
			}
		}
	}
	return out, nil
}

func (w *workTree) compare(name string, head map[string]gitEntry, also []map[string]gitEntry) (onDisk, bool, error) {
	e, staged, committed := w.index[name], w.staged(name), head[name]
	if w.isHead {
		committed = staged
	}
	if e != nil && e.skipWorktree {
		return onDisk{}, staged.hash == committed.hash, nil
	}
	d, err := w.look(name)
	if err != nil {
		return d, false, err
	}
	ok, known := d.matches(committed), staged == committed
	for _, t := range also {
		ok = ok || d.matches(t[name])
		known = known || staged == t[name]
	}
	return d, ok && known && !w.conflicts[name] && (e == nil || !e.intentToAdd), nil
}
