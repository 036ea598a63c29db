package host

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/go-git/go-billy/v5"
	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/plumbing/format/idxfile"
	"github.com/go-git/go-git/v5/plumbing/format/objfile"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
)

// objectCache is how many bytes of delta bases are kept while objects are read.
// Only commits, trees and tags are.
const objectCache = 32 << 20

// gitObjects is the objects of a repository: those of its own, then those of its
// alternates. Memory grows with their number, not with their size.
type gitObjects struct {
	packs []*gitPack
	loose map[plumbing.Hash]string // the objects directory that it is in
	named func(name string) error  // refuses names in trees that are reached; may be nil
}

// gitPack is a pack and its index.
type gitPack struct {
	name  string
	file  billy.File
	size  int64
	index *idxfile.MemoryIndex
	read  *packfile.Packfile
}

// openObjects opens the objects directory dir. ErrNeedsGit if a pack's index is of an old version.
func openObjects(dir string) (*gitObjects, error) {
	o := &gitObjects{loose: map[plumbing.Hash]string{}}
	dirs, err := objectDirs(dir)
	shared := cache.NewObjectLRU(objectCache)
	for i := 0; i < len(dirs) && err == nil; i++ {
		if err = o.addLoose(dirs[i]); err == nil {
			err = o.addPacks(filepath.Join(dirs[i], "pack"), shared)
		}
	}
	if err != nil {
		o.close()
		return nil, err
	}
	return o, nil
}

func (o *gitObjects) close() {
	for _, p := range o.packs {
		p.file.Close()
	}
}

// objectDirs returns an objects directory and its alternates, and theirs
// (gitrepository-layout(5)). One that is gone is an error only if an object is missed.
func objectDirs(dir string) ([]string, error) {
	dirs := []string{filepath.Clean(dir)}
	for i := 0; i < len(dirs); i++ {
		b, err := os.ReadFile(filepath.Join(dirs[i], "info/alternates"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		for _, line := range strings.Split(string(b), "\n") {
			if line == "" || line[0] == '#' {
				continue
			}
			if text, err := strconv.Unquote(line); err == nil {
				line = text
			}
			if to := absFrom(dirs[i], line); !slices.Contains(dirs, to) {
				dirs = append(dirs, to)
			}
		}
	}
	return dirs, nil
}

func (o *gitObjects) addLoose(dir string) error {
	for i := range 256 {
		first := fmt.Sprintf("%02x", i)
		entries, err := os.ReadDir(filepath.Join(dir, first))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		for _, e := range entries {
			name := first + e.Name()
			if h := plumbing.NewHash(name); plumbing.IsHash(name) && o.loose[h] == "" {
				o.loose[h] = dir
			}
		}
	}
	return nil
}

func (o *gitObjects) addPacks(dir string, shared cache.Object) error {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".idx")
		if !ok || !exists(filepath.Join(dir, name+".pack")) {
			continue
		}
		p, err := openPack(dir, name, shared)
		if err != nil {
			return err
		}
		o.packs = append(o.packs, p)
	}
	return nil
}

// openPack opens a pack, whose index must be of it.
func openPack(dir, name string, shared cache.Object) (*gitPack, error) {
	p := &gitPack{name: name + ".pack", index: idxfile.NewMemoryIndex()}
	idx, err := os.Open(filepath.Join(dir, name+".idx"))
	if err != nil {
		return nil, err
	}
	defer idx.Close()
	in := bufio.NewReader(idx)
	if magic, err := in.Peek(4); err == nil && string(magic) != "\xfftOc" { // version 1 has none
		return nil, fmt.Errorf("the index of %s is of an old kind, %w", p.name, ErrNeedsGit)
	}
	if err := idxfile.NewDecoder(in).Decode(p.index); err != nil {
		return nil, &DamagedRepoError{name + ".idx", err}
	}
	if p.file, err = osfs.New(dir).Open(p.name); err != nil {
		return nil, err
	}
	if err := p.check(filepath.Join(dir, p.name)); err != nil {
		p.file.Close()
		return nil, &DamagedRepoError{p.name, err}
	}
	p.read = packfile.NewPackfileWithCache(p.index, nil, p.file, shared, 0)
	return p, nil
}

// check compares the ends of the pack with its index.
func (p *gitPack) check(file string) error {
	info, err := os.Stat(file)
	if err != nil {
		return err
	}
	p.size = info.Size()
	count, err := p.index.Count()
	if err != nil {
		return err
	}
	var head [12]byte
	var tail plumbing.Hash
	if p.size < int64(len(head)+len(tail)) {
		return io.ErrUnexpectedEOF
	}
	if _, err := p.file.ReadAt(head[:], 0); err != nil {
		return err
	}
	if _, err := p.file.ReadAt(tail[:], p.size-int64(len(tail))); err != nil {
		return err
	}
	if head != packHead(uint32(count)) {
		return errors.New("it does not begin as its index says")
	}
	if p.index.PackfileChecksum != tail {
		return errors.New("it does not end as its index says")
	}
	return nil
}

// has tells whether an object is there.
func (o *gitObjects) has(h plumbing.Hash) bool {
	_, ok := o.loose[h]
	return ok || o.packOf(h) != nil
}

// packOf is the first pack with the object, nil if none has it.
func (o *gitObjects) packOf(h plumbing.Hash) *gitPack {
	for _, p := range o.packs {
		if ok, err := p.index.Contains(h); ok && err == nil {
			return p
		}
	}
	return nil
}

// object reads an object whole.
func (o *gitObjects) object(h plumbing.Hash) (plumbing.ObjectType, []byte, error) {
	if p := o.packOf(h); p != nil {
		obj, err := p.read.Get(h)
		if err != nil {
			return 0, nil, err
		}
		r, err := obj.Reader()
		if err != nil {
			return 0, nil, err
		}
		defer r.Close()
		b, err := io.ReadAll(r)
		return obj.Type(), b, err
	}
	var b []byte
	var typ plumbing.ObjectType
	err := o.openLoose(h, func(t plumbing.ObjectType, _ int64, r io.Reader) (err error) {
		typ = t
		b, err = io.ReadAll(r)
		return err
	})
	return typ, b, err
}

// openLoose calls use with a loose object, and then checks that it is the right one.
func (o *gitObjects) openLoose(h plumbing.Hash, use func(plumbing.ObjectType, int64, io.Reader) error) error {
	dir, ok := o.loose[h]
	if !ok {
		return plumbing.ErrObjectNotFound
	}
	name := hex.EncodeToString(h[:])
	f, err := os.Open(filepath.Join(dir, name[:2], name[2:]))
	if err != nil {
		return err
	}
	defer f.Close()
	r, err := objfile.NewReader(f)
	if err != nil {
		return err
	}
	defer r.Close()
	typ, size, err := r.Header()
	if err != nil {
		return err
	}
	if err := use(typ, size, r); err != nil {
		return err
	}
	if got := r.Hash(); got != h {
		return fmt.Errorf("its content is %s", got)
	}
	return nil
}
