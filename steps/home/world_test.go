package home

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// world is a home with stand-ins for the two programs that change it: they do to
// files what home-manager's activation and "chezmoi apply --force" do.
type world struct {
	dir  string
	gen  map[string]string // path: content, of the active generation
	last map[string]Left   // what chezmoi wrote
	r    *rand.Rand
}

// wish is what a world is to become.
type wish struct {
	gen    map[string]string // path: content
	files  map[string]string // chezmoi's: path: content; "" for a directory
	absent []string
}

// names are few, so that everything meets everything.
var names = []string{"a", "b", "c", "a/a", "a/b", "a/c", "b/a", "b/b", "a/a/a", "a/a/b", "a/b/a", "c/d/e", "new\nline", "n\xffn", "a/\xff"}

func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }

// fill puts a stranger's things at random places of the home.
func (w *world) fill() {
	for range w.r.IntN(7) {
		name := filepath.Join(w.dir, pick(w.r, names))
		if w.r.IntN(3) == 0 {
			name = filepath.Join(w.dir, "dot", pick(w.r, names))
		}
		if os.MkdirAll(filepath.Dir(name), 0o755) != nil {
			continue
		}
		switch w.r.IntN(9) {
		case 0:
			_ = os.Symlink(pick(w.r, []string{"gone", "dot/a", filepath.Join(w.dir, "dot"), filepath.Join(w.dir, "dot/a"), "../b"}), name)
		case 1:
			_ = os.Mkdir(name, 0o750)
		case 2:
			_ = syscall.Mkfifo(name, 0o600)
		case 3:
			other := filepath.Join(w.dir, pick(w.r, names))
			if info, err := os.Lstat(other); err == nil && info.Mode().IsRegular() {
				_ = os.Link(other, name)
			}
		case 4:
			write(name, "new "+pick(w.r, names), 0o644) // as it may be wanted
		case 5:
			write(name, "mine", 0o400)
		case 6:
			_ = os.Symlink(oldFiles+pick(w.r, names), name)
		default:
			write(name, fmt.Sprintf("mine %d", w.r.IntN(9)), 0o644|fs.FileMode(w.r.IntN(2))*0o111)
		}
	}
}

// write makes a file, if nothing is there: opening a fifo could wait for ever.
func write(name, text string, mode fs.FileMode) {
	if f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode); err == nil {
		_, _ = f.WriteString(text)
		_ = f.Close()
	}
}

// wish is a random one without conflicts.
func (w *world) wish() wish {
	d := wish{gen: map[string]string{}, files: map[string]string{}}
	free := func(path string) bool {
		for _, has := range slices.Concat(slices.Collect(maps.Keys(d.gen)), slices.Collect(maps.Keys(d.files)), d.absent) {
			if has == path || strings.HasPrefix(path, has+"/") && (d.files[has] != "" || d.gen[has] != "" || slices.Contains(d.absent, has)) || strings.HasPrefix(has, path+"/") {
				return false
			}
		}
		return true
	}
	for range w.r.IntN(6) {
		if path := pick(w.r, names); free(path) {
			d.gen[path] = "new " + path
		}
	}
	for range w.r.IntN(6) {
		path := pick(w.r, names)
		switch {
		case !free(path):
		case w.r.IntN(8) == 0:
			d.absent = append(d.absent, path)
		default:
			d.files[path] = "new " + path
		}
	}
	for path := range d.files {
		for dir := parentOf(path); dir != "."; dir = parentOf(dir) {
			d.files[dir] = ""
		}
	}
	return d
}

func (w *world) target(path string) string { return newFiles + path }

// claims are what a wish claims.
func (w *world) claims(d wish) (out []Claim) {
	for path := range d.gen {
		out = append(out, Claim{Path: path, Owner: HomeManager, Kind: Link, Target: w.target(path)})
	}
	for path, text := range d.files {
		c := Claim{Path: path, Owner: Chezmoi, Kind: File, Mode: 0o644, SHA256: digest([]byte(text))}
		if text == "" {
			c = Claim{Path: path, Owner: Chezmoi, Kind: Dir, Mode: 0o755}
		}
		if last, ok := w.last[path]; ok {
			c.Last = &last
		}
		out = append(out, c)
	}
	for _, path := range d.absent {
		out = append(out, Claim{Path: path, Owner: Chezmoi, Kind: Absent})
	}
	return out
}

func (w *world) dropped(d wish) (out []Claim) {
	for path := range w.gen {
		if _, still := d.gen[path]; !still {
			out = append(out, Claim{Path: path, Owner: HomeManager, Kind: Link, Target: w.target(path)})
		}
	}
	return out
}

// activate does what home-manager's activation does: it stops at what it would
// clobber, takes old links away with the directories that are empty then, and
// makes new ones, through directories that are links.
func (w *world) activate(d wish) error {
	for path := range d.gen {
		name := filepath.Join(w.dir, path)
		info, err := os.Lstat(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return err
		}
		target, _ := os.Readlink(name)
		if !managedLink().MatchString(target) || info.IsDir() {
			return fmt.Errorf("existing file %q would be clobbered", path)
		}
	}
	for path := range w.gen {
		name := filepath.Join(w.dir, path)
		if target, _ := os.Readlink(name); d.gen[path] != "" || !managedLink().MatchString(target) {
			continue
		}
		if err := os.Remove(name); err != nil {
			return err
		}
		for dir := parentOf(path); dir != "." && syscall.Rmdir(filepath.Join(w.dir, dir)) == nil; dir = parentOf(dir) {
		}
	}
	for path := range d.gen {
		name := filepath.Join(w.dir, path)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		if target, _ := os.Readlink(name); target == w.target(path) {
			continue
		}
		_ = os.Remove(name)
		if err := os.Symlink(w.target(path), name); err != nil {
			return err
		}
	}
	w.gen = d.gen
	return nil
}

// chezmoi does what "chezmoi apply --force" does.
func (w *world) chezmoi(d wish) error {
	w.last = maps.Clone(w.last)
	if w.last == nil {
		w.last = map[string]Left{}
	}
	for _, path := range d.absent {
		if _, err := os.Lstat(filepath.Join(w.dir, path)); err != nil {
			continue // RemoveAll would open the parent, which may be a fifo
		}
		if err := os.RemoveAll(filepath.Join(w.dir, path)); err != nil {
			return err
		}
	}
	for _, path := range slices.Sorted(maps.Keys(d.files)) {
		name, text := filepath.Join(w.dir, path), d.files[path]
		info, err := os.Lstat(name)
		if text == "" {
			if err == nil && !info.IsDir() {
				if err := os.Remove(name); err != nil {
					return err
				}
			}
			if err := errors.Join(os.MkdirAll(name, 0o755), os.Chmod(name, 0o755)); err != nil {
				return err
			}
			continue
		}
		if err == nil && info.IsDir() {
			if err := os.RemoveAll(name); err != nil {
				return err
			}
		}
		if err == nil && info.Mode() == 0o644 {
			if data, err := os.ReadFile(name); err == nil && string(data) == text {
				w.last[path] = Left{File, 0o644, digest(data)}
				continue
			}
		}
		if err := errors.Join(os.WriteFile(name+".tmp", []byte(text), 0o600), os.Chmod(name+".tmp", 0o644), os.Rename(name+".tmp", name)); err != nil {
			return err
		}
		w.last[path] = Left{File, 0o644, digest([]byte(text))}
	}
	return nil
}
