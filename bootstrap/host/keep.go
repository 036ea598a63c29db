package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Look implements Looker.
func (r *Real) Look(ctx context.Context, at Place, content bool) (Kept, error) {
	s, err := openSpot(r.full(at.Base), at.Name)
	if vacant(err) {
		return Kept{Name: at.Name, Kind: KindAbsent}, nil
	} else if err != nil {
		return Kept{}, err
	}
	defer s.close()
	o, err := s.open()
	if vacant(err) {
		return Kept{Name: at.Name, Kind: KindAbsent}, nil
	} else if err != nil {
		return Kept{}, err
	}
	defer o.close()
	k, err := o.look(at.Name)
	if err != nil || !content || k.Kind != KindFile {
		return k, err
	}
	k.SHA256, err = o.digest(ctx)
	if errors.Is(err, fs.ErrPermission) {
		err = nil
	}
	return k, err
}

// vacant reports whether an error says that there is nothing at a place.
func vacant(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR)
}

// Keep implements Keeper.
func (r *Real) Keep(ctx context.Context, at Place, dir string) (Kept, error) {
	return keeper{dir: r.full(dir)}.keep(ctx, r.full(at.Base), at.Name)
}

// keeper keeps objects in a directory.
type keeper struct {
	dir    string
	copied func() // called when a file's content has been copied; nil but in tests
}

// tries is how often a file that changes is copied.
const tries = 5

func (k keeper) keep(ctx context.Context, base, name string) (Kept, error) {
	for range tries {
		kept, stable, err := k.once(ctx, base, name)
		if err != nil || stable {
			return kept, err
		}
	}
	return Kept{}, &fs.PathError{Op: "copy", Path: filepath.Join(base, name), Err: errors.New("it changes while it is copied")}
}

// once keeps an object, and says whether it stayed what it was meanwhile.
func (k keeper) once(ctx context.Context, base, name string) (kept Kept, stable bool, err error) {
	s, err := openSpot(base, name)
	if vacant(err) {
		return Kept{Name: name, Kind: KindAbsent}, true, nil
	} else if err != nil {
		return kept, false, err
	}
	defer s.close()
	o, err := s.open()
	if vacant(err) {
		return Kept{Name: name, Kind: KindAbsent}, true, nil
	} else if err != nil {
		return kept, false, err
	}
	defer o.close()
	lock, err := o.unlock()
	if err != nil {
		return kept, false, err
	}
	defer func() { err = errors.Join(err, lock()) }()
	if kept, err = o.look(name); err != nil {
		return kept, false, err
	}
	if (kept.Kind == KindChar || kept.Kind == KindBlock) && os.Geteuid() != 0 {
		return kept, false, &fs.PathError{Op: "copy", Path: s.path, Err: fmt.Errorf("only root can make a %s again: %w", kept.Kind, fs.ErrPermission)}
	}
	if kept.Kind != KindFile {
		return kept, true, nil
	}
	if stable, err = k.file(ctx, o, &kept); err != nil || !stable {
		return kept, false, err
	}
	again, err := s.open() // somebody may have put another file there
	if err != nil {
		return kept, false, ignore(err, fs.ErrNotExist)
	}
	defer again.close()
	return kept, again.st.Dev == o.st.Dev && again.st.Ino == o.st.Ino, nil
}

func ignore(err, which error) error {
	if errors.Is(err, which) {
		return nil
	}
	return err
}

// file keeps a file's content.
func (k keeper) file(ctx context.Context, o *thing, kept *Kept) (stable bool, err error) {
	if o.precious(*kept) {
		kept.Held = k.hold(o)
	}
	if err := o.stat(); err != nil { // being held changes its ctime
		return false, err
	}
	before := o.st
	kept.Size, kept.MTime = before.Size, time.Unix(before.Mtim.Unix())
	if kept.SHA256, err = k.store(ctx, o); err != nil {
		return false, err
	}
	if k.copied != nil {
		k.copied()
	}
	if err := o.stat(); err != nil || !unwritten(before, o.st) {
		return false, err
	}
	// A write within the same clockStep of the kernel's clock shows in no time stamp.
	if time.Since(time.Unix(before.Ctim.Unix())) > clockStep {
		return true, nil
	}
	sum, err := o.digest(ctx)
	return sum == kept.SHA256, err
}

// clockStep is longer than the clock of any kernel's time stamps takes for a step.
const clockStep = 20 * time.Millisecond

func unwritten(a, b unix.Stat_t) bool {
	return a.Size == b.Size && a.Mtim == b.Mtim && a.Ctim == b.Ctim && a.Mode == b.Mode && a.Uid == b.Uid && a.Gid == b.Gid
}

// precious reports whether a copy of a file would lack something: that other
// names have the same file, or what this process may not give it.
func (o *thing) precious(k Kept) bool {
	if k.Links > 1 || os.Geteuid() == 0 {
		return k.Links > 1
	}
	for name := range k.Xattrs {
		if !labels[name] && (strings.HasPrefix(name, "security.") || strings.HasPrefix(name, "trusted.")) {
			return true
		}
	}
	return k.UID != os.Geteuid()
}

// hold links a file below held, and returns the name of that; "" if it cannot be.
func (k keeper) hold(o *thing) string {
	name := filepath.Join("held", o.inode())
	if err := os.MkdirAll(filepath.Join(k.dir, "held"), 0o700); err != nil {
		return ""
	}
	to := filepath.Join(k.dir, name)
	err := unix.Linkat(unix.AT_FDCWD, o.proc(), unix.AT_FDCWD, to, unix.AT_SYMLINK_FOLLOW)
	if err != nil {
		var st unix.Stat_t
		if !errors.Is(err, fs.ErrExist) || unix.Lstat(to, &st) != nil || st.Ino != o.st.Ino || st.Dev != o.st.Dev {
			return ""
		}
	}
	return name
}

// spot is where an object is, or could be.
type spot struct {
	dir  int    // the parent, open
	base string // the name in it
	path string // for people
}

// openSpot goes from base to the parent of name, and follows no link on the way.
func openSpot(base, name string) (*spot, error) {
	s := &spot{base: filepath.Base(name), path: filepath.Join(base, name)}
	if !filepath.IsLocal(name) || filepath.Clean(name) != name {
		return nil, &fs.PathError{Op: "open", Path: s.path, Err: fmt.Errorf("%q is no clean name below %s", name, base)}
	}
	const flags = unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC
	var err error
	if s.dir, err = openat(unix.AT_FDCWD, base, flags); err != nil {
		return nil, &fs.PathError{Op: "open", Path: base, Err: err}
	}
	way := base
	for rest := filepath.Dir(name); rest != "."; {
		part, after, more := strings.Cut(rest, "/")
		way = filepath.Join(way, part)
		next, err := openat(s.dir, part, flags|unix.O_NOFOLLOW)
		if err != nil {
			var st unix.Stat_t
			if unix.Fstatat(s.dir, part, &st, unix.AT_SYMLINK_NOFOLLOW) == nil && st.Mode&unix.S_IFMT == unix.S_IFLNK {
				err = &ThroughLinkError{Path: s.path, Link: way}
			} else {
				err = &fs.PathError{Op: "open", Path: way, Err: err}
			}
			s.close()
			return nil, err
		}
		s.close()
		s.dir = next
		if rest = after; !more {
			break
		}
	}
	return s, nil
}

func (s *spot) close() { unix.Close(s.dir) }

func openat(dir int, name string, flags int) (fd int, err error) {
	err = retryEINTR(func() error {
		fd, err = unix.Openat(dir, name, flags, 0)
		return err
	})
	return fd, err
}

// thing is an object of a file system, whatever becomes of its name.
type thing struct {
	fd   int // opened with O_PATH
	st   unix.Stat_t
	path string
}

// open opens what is at the spot.
func (s *spot) open() (*thing, error) { return s.openName(s.base) }

func (s *spot) openName(name string) (*thing, error) {
	fd, err := openat(s.dir, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: s.path, Err: err}
	}
	o := &thing{fd: fd, path: s.path}
	if err := o.stat(); err != nil {
		o.close()
		return nil, err
	}
	return o, nil
}

func (o *thing) close() { unix.Close(o.fd) }

// proc is a name for the object that is valid while it is open; a symlink is not followed by it.
func (o *thing) proc() string { return fmt.Sprintf("/proc/self/fd/%d", o.fd) }

func (o *thing) inode() string { return fmt.Sprintf("%x-%x", o.st.Dev, o.st.Ino) }

func (o *thing) wrap(op string, err error) error {
	if err == nil {
		return nil
	}
	return &fs.PathError{Op: op, Path: o.path, Err: err}
}

func (o *thing) stat() error { return o.wrap("stat", unix.Fstat(o.fd, &o.st)) }
