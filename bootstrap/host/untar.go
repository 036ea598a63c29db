package host

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// tree is a directory that is being filled from an archive.
type tree struct {
	root  *os.Root
	kinds map[string]entryKind // of what was made, by name below root
	names int64                // bytes in the names of kinds
	size  int64                // bytes in files
	top   string               // the archive's top directory; "" before the first entry
	dir   string               // the directory that dirFD is open on
	dirFD *os.File
	buf   []byte
}

type entryKind int

const (
	kindLeaf     entryKind = iota + 1 // file or symlink
	kindDir                           // directory with an entry of its own
	kindImplicit                      // directory made because something is in it
)

// untar unpacks a tar into the existing empty directory dir; see Unpack for what
// it refuses and how it sets modes. The caller has to call seal on the result.
func untar(r io.Reader, dir string) (*tree, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	t := &tree{root: root, kinds: map[string]entryKind{}, buf: make([]byte, unpackChunk)}
	tr := tar.NewReader(r)
	for {
		hdr, err := tr.Next()
		if err == io.EOF {
			return t, t.complete()
		}
		if err == nil {
			if err = t.add(hdr, tr); err != nil {
				err = fmt.Errorf("entry %q: %w", hdr.Name, err)
			}
		}
		if err != nil {
			t.close()
			return nil, err
		}
	}
}

func (t *tree) complete() error {
	if t.top == "" {
		t.close()
		return errors.New("the archive is empty")
	}
	return nil
}

func (t *tree) close() {
	t.dirFD.Close() // an error on nil, too
	t.root.Close()
}

// seal makes the directories below store read-only and old, and ends the work on t.
func (t *tree) seal() error {
	defer t.close()
	for name, kind := range t.kinds {
		if kind == kindLeaf || !strings.HasPrefix(name, "store/") {
			continue
		}
		if err := t.root.Chmod(name, 0o555); err != nil {
			return err
		}
		if err := t.root.Chtimes(name, time.Time{}, time.Unix(1, 0)); err != nil {
			return err
		}
	}
	return nil
}

// add makes the entry hdr, whose contents body reads.
func (t *tree) add(hdr *tar.Header, body io.Reader) error {
	name, err := t.entryName(hdr.Name)
	if err != nil {
		return err
	}
	if hdr.Typeflag == tar.TypeDir {
		return t.addDir(name)
	}
	if hdr.Typeflag != tar.TypeReg && hdr.Typeflag != tar.TypeSymlink {
		return fmt.Errorf("type %q is neither file nor directory nor symlink", hdr.Typeflag)
	}
	if name == "." {
		return errors.New("the top of the archive is no directory")
	}
	if t.kinds[name] != 0 {
		return errors.New("the name is there twice")
	}
	if err := t.parents(name); err != nil {
		return err
	}
	if err := t.note(name, kindLeaf); err != nil {
		return err
	}
	if hdr.Typeflag == tar.TypeSymlink {
		return t.symlink(name, hdr.Linkname)
	}
	return t.file(name, hdr.Size, hdr.Mode&0o100 != 0, body)
}

// entryName checks the name of an entry and cuts off the top directory, which
// itself is ".".
func (t *tree) entryName(name string) (string, error) {
	name = strings.TrimSuffix(name, "/")
	if len(name) > maxName || !fs.ValidPath(name) || name == "." || strings.Contains(name, "\x00") {
		return "", errors.New("the name is empty, too long, absolute, not UTF-8, or has empty, . or .. elements")
	}
	top, rest, below := strings.Cut(name, "/")
	if t.top == "" {
		t.top = top
	}
	if top != t.top {
		return "", fmt.Errorf("not in the directory %q that the first entry is in", t.top)
	}
	if !below {
		return ".", nil
	}
	return rest, nil
}

// note remembers that name was made.
func (t *tree) note(name string, kind entryKind) error {
	if t.kinds[name] == 0 {
		t.names += int64(len(name))
	}
	if t.names > maxNames {
		return fmt.Errorf("the names are longer than %d bytes in all", maxNames)
	}
	t.kinds[name] = kind
	return nil
}

// parents makes the missing directories above name.
func (t *tree) parents(name string) error {
	for i := range len(name) {
		if name[i] != '/' {
			continue
		}
		switch parent := name[:i]; t.kinds[parent] {
		case kindLeaf:
			return fmt.Errorf("%q is no directory", parent)
		case 0:
			if err := t.mkdir(parent, kindImplicit); err != nil {
				return err
			}
		}
	}
	return nil
}

// addDir makes the directory name, or takes note that it has an entry of its own.
func (t *tree) addDir(name string) error {
	switch t.kinds[name] {
	case kindLeaf, kindDir:
		return errors.New("the name is there twice")
	case kindImplicit:
		return t.note(name, kindDir)
	}
	if name == "." {
		return t.note(name, kindDir)
	}
	if err := t.parents(name); err != nil {
		return err
	}
	return t.mkdir(name, kindDir)
}

func (t *tree) mkdir(name string, kind entryKind) error {
	if err := t.note(name, kind); err != nil {
		return err
	}
	if err := t.root.Mkdir(name, 0o755); err != nil {
		return err
	}
	return t.root.Chmod(name, 0o755) // whatever the umask
}

// parentFD opens the directory that name is in. Entries of a directory mostly
// follow each other, so it stays open until the next one is asked for. os.Root
// keeps to the tree; t.kinds makes sure that no element is a symlink.
func (t *tree) parentFD(name string) (int, error) {
	dir := path.Dir(name)
	if dir == t.dir {
		return int(t.dirFD.Fd()), nil
	}
	fd, err := t.root.OpenFile(dir, os.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return -1, err
	}
	t.dirFD.Close() // an error on nil, too
	t.dirFD, t.dir = fd, dir
	return int(fd.Fd()), nil
}

// file makes the file name, which must not exist.
func (t *tree) file(name string, size int64, exec bool, body io.Reader) error {
	if t.size += size; t.size > maxUnpacked {
		return fmt.Errorf("the files are larger than %d bytes in all", int64(maxUnpacked))
	}
	dir, err := t.parentFD(name)
	if err != nil {
		return err
	}
	base := path.Base(name)
	fd, err := unix.Openat(dir, base, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return &fs.PathError{Op: "create", Path: name, Err: err}
	}
	f := os.NewFile(uintptr(fd), name)
	mode := fs.FileMode(0o444)
	if exec {
		mode = 0o555
	}
	// Without the wrapper, io.CopyBuffer would let the file read, with a new small buffer each time.
	_, err = io.CopyBuffer(struct{ io.Writer }{f}, body, t.buf)
	err = errors.Join(err, f.Chmod(mode), f.Close())
	if err != nil {
		return err
	}
	return setOld(dir, name)
}

// symlink makes the symlink name, which must not exist.
func (t *tree) symlink(name, target string) error {
	if target == "" || len(target) > maxName || strings.Contains(target, "\x00") {
		return fmt.Errorf("link target %q is not possible", target)
	}
	dir, err := t.parentFD(name)
	if err != nil {
		return err
	}
	if err := unix.Symlinkat(target, dir, path.Base(name)); err != nil {
		return &fs.PathError{Op: "symlink", Path: name, Err: err}
	}
	return setOld(dir, name)
}

// setOld sets the modification time of name's last element in dir to 1 s after
// the epoch, as Nix does (mtimeStore in src/libstore/posix-fs-canonicalise.cc).
func setOld(dir int, name string) error {
	if !strings.HasPrefix(name, "store/") {
		return nil
	}
	times := []unix.Timespec{{Nsec: unix.UTIME_OMIT}, {Sec: 1}}
	if err := unix.UtimesNanoAt(dir, path.Base(name), times, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return &fs.PathError{Op: "chtimes", Path: name, Err: err}
	}
	return nil
}
