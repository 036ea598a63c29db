package host

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// PutBack implements Keeper.
func (r *Real) PutBack(ctx context.Context, k Kept, dir string, at Place, twin string) (lacks []string, err error) {
	base := r.full(at.Base)
	s, err := openSpot(base, at.Name)
	if err != nil {
		return nil, err
	}
	defer s.close()
	now, err := s.open()
	if errors.Is(err, fs.ErrNotExist) {
		now = nil
	} else if err != nil {
		return nil, err
	} else {
		defer now.close()
	}
	p := putter{spot: s, k: k, now: now, dir: r.full(dir)}
	isDir := now != nil && kinds[now.st.Mode&unix.S_IFMT] == KindDir
	switch {
	case k.Kind == KindAbsent:
		return nil, &fs.PathError{Op: "put back", Path: s.path, Err: errors.New("nothing was there")}
	case k.Kind == KindDir && now != nil && !isDir:
		return nil, &fs.PathError{Op: "put back", Path: s.path, Err: unix.ENOTDIR}
	case k.Kind == KindDir:
		return p.directory()
	case isDir:
		return nil, &fs.PathError{Op: "put back", Path: s.path, Err: unix.EISDIR}
	}
	for _, from := range []Place{{p.dir, k.Held}, {base, twin}} {
		if k.Kind != KindFile || from.Name == "" {
			continue
		}
		if done, lacks, err := p.link(ctx, from); done || err != nil {
			return lacks, err
		}
	}
	return p.other(ctx)
}

// putter puts one object back.
type putter struct {
	*spot
	k   Kept
	now *thing // what is there; nil: nothing
	dir string
}

// PutName is the name that what is put back as base has until it is whole. It does not
// depend on the run, so that what a killed one leaves is found.
func PutName(base string) string {
	sum := sha256.Sum256([]byte(base))
	return ".movein-put-" + hex.EncodeToString(sum[:8])
}

func (p putter) temp() string { return PutName(p.base) }

func (p putter) directory() ([]string, error) {
	if p.now == nil {
		if err := unix.Mkdirat(p.spot.dir, p.base, 0o700); err != nil {
			return nil, &fs.PathError{Op: "mkdir", Path: p.path, Err: err}
		}
		var err error
		if p.now, err = p.open(); err != nil {
			return nil, err
		}
		defer p.now.close()
	}
	return p.now.dress(p.k)
}

// link gives the name the file that is at a place, if that has its content.
func (p putter) link(ctx context.Context, from Place) (done bool, lacks []string, err error) {
	s, err := openSpot(from.Base, from.Name)
	if err != nil {
		return false, nil, nil // it is gone; there is still the copy
	}
	defer s.close()
	o, err := s.open()
	if err != nil || kinds[o.st.Mode&unix.S_IFMT] != KindFile {
		return false, nil, nil
	}
	defer o.close()
	lock, err := o.unlock()
	if err != nil {
		return false, nil, nil
	}
	sum, err := o.digest(ctx)
	if lerr := lock(); lerr != nil || ctx.Err() != nil {
		return false, nil, errors.Join(lerr, context.Cause(ctx))
	}
	if err != nil || sum != p.k.SHA256 {
		return false, nil, nil
	}
	if p.now != nil && p.now.st.Ino == o.st.Ino && p.now.st.Dev == o.st.Dev { // a rename would do nothing
		lacks, err = p.now.dress(p.k)
		return true, lacks, err
	}
	unix.Unlinkat(p.spot.dir, p.temp(), 0) //nolint:errcheck // what a killed run left
	if err := unix.Linkat(unix.AT_FDCWD, o.proc(), p.spot.dir, p.temp(), unix.AT_SYMLINK_FOLLOW); err != nil {
		return false, nil, nil // another file system, or too many names
	}
	lacks, err = p.finish()
	return true, lacks, err
}

// finish dresses what has the temporary name and gives it its own.
func (p putter) finish() (lacks []string, err error) {
	defer func() {
		if err != nil {
			unix.Unlinkat(p.spot.dir, p.temp(), 0) //nolint:errcheck // it may be gone
		}
	}()
	o, err := p.openName(p.temp())
	if err != nil {
		return nil, err
	}
	defer o.close()
	if lacks, err = o.dress(p.k); err != nil {
		return nil, err
	}
	return lacks, p.wrap("rename", unix.Renameat(p.spot.dir, p.temp(), p.spot.dir, p.base))
}

func (p putter) wrap(op string, err error) error {
	if err == nil {
		return nil
	}
	return &fs.PathError{Op: op, Path: p.path, Err: err}
}

// other puts back what is no directory and has no other name.
func (p putter) other(ctx context.Context) ([]string, error) {
	if p.kept(ctx) {
		return p.now.dress(p.k)
	}
	unix.Unlinkat(p.spot.dir, p.temp(), 0) //nolint:errcheck // what a killed run left
	var err error
	switch p.k.Kind {
	case KindFile:
		err = p.copy(ctx)
	case KindLink:
		err = p.wrap("symlink", unix.Symlinkat(p.k.Target, p.spot.dir, p.temp()))
	default:
		var kind uint32
		for bits, k := range kinds {
			if k == p.k.Kind {
				kind = bits
			}
		}
		err = p.wrap("mknod", unix.Mknodat(p.spot.dir, p.temp(), kind|0o600, int(p.k.Rdev)))
	}
	if err != nil {
		unix.Unlinkat(p.spot.dir, p.temp(), 0) //nolint:errcheck // it may not be there
		return nil, err
	}
	return p.finish()
}

// kept reports whether what is there has only to be dressed.
func (p putter) kept(ctx context.Context) bool {
	if p.now == nil || os.Geteuid() != 0 && int(p.now.st.Uid) != os.Geteuid() {
		return false
	}
	if kinds[p.now.st.Mode&unix.S_IFMT] == KindFile && p.now.st.Nlink > 1 && (p.k.Links < 2 || p.now.inode() != p.k.Inode) {
		return false // other names would see it
	}
	now, err := p.now.look(p.k.Name)
	if err == nil && now.Kind == KindFile && now.Size == p.k.Size {
		now.SHA256, err = p.now.digest(ctx)
	}
	return err == nil && now.SameContent(p.k)
}

// copy makes the temporary file from the kept content.
func (p putter) copy(ctx context.Context) error {
	from, err := os.Open(filepath.Join(p.dir, ObjectName(p.k.SHA256)))
	if err != nil {
		return err
	}
	defer from.Close()
	fd, err := unix.Openat(p.spot.dir, p.temp(), unix.O_RDWR|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return p.wrap("create", err)
	}
	to := os.NewFile(uintptr(fd), p.path)
	defer to.Close()
	sum, err := copySparse(ctx, to, from)
	if err != nil {
		return err
	}
	if sum != p.k.SHA256 {
		return &DigestError{Name: from.Name(), Want: p.k.SHA256, Got: sum}
	}
	return to.Sync()
}

// TakeAway implements Keeper.
func (r *Real) TakeAway(ctx context.Context, at Place, tree bool) error {
	s, err := openSpot(r.full(at.Base), at.Name)
	if vacant(err) {
		return nil
	} else if err != nil {
		return err
	}
	defer s.close()
	if at.Name == "." {
		return &fs.PathError{Op: "remove", Path: s.path, Err: fs.ErrInvalid}
	}
	o, err := s.open()
	if err != nil {
		return ignore(err, fs.ErrNotExist)
	}
	defer o.close()
	return s.remove(ctx, o, tree)
}

// remove removes o, which is at the spot.
func (s *spot) remove(ctx context.Context, o *thing, tree bool) error {
	if kinds[o.st.Mode&unix.S_IFMT] != KindDir {
		return ignore(o.wrap("remove", unix.Unlinkat(s.dir, s.base, 0)), fs.ErrNotExist)
	}
	if tree {
		if err := o.empty(ctx); err != nil {
			return err
		}
	}
	return ignore(o.wrap("remove", unix.Unlinkat(s.dir, s.base, unix.AT_REMOVEDIR)), fs.ErrNotExist)
}

// empty removes everything in a directory.
func (o *thing) empty(ctx context.Context) error {
	if o.st.Mode&0o700 != 0o700 {
		if err := o.chmod(o.st.Mode&0o7777 | 0o700); err != nil {
			return err
		}
	}
	dir, err := os.Open(o.proc())
	if err != nil {
		return err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, name := range names {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		below := &spot{dir: int(dir.Fd()), base: name, path: filepath.Join(o.path, name)}
		inner, err := below.open()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return err
		}
		if inner.st.Dev != o.st.Dev {
			err = inner.wrap("remove", unix.EXDEV)
		} else {
			err = below.remove(ctx, inner, true)
		}
		inner.close()
		if err != nil {
			return err
		}
	}
	return nil
}
