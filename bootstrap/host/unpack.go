package host

import (
	"archive/tar"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/mikelolasagasti/xz"
	"golang.org/x/sys/unix"
)

// Bounds of what an archive may hold. A Nix release is about 0.6 GB in some thousand entries.
const (
	maxUnpacked = 8 << 30  // bytes in all files together
	maxNames    = 64 << 20 // bytes in all names together
	maxName     = 4095     // bytes in one name or link target: PATH_MAX without its NUL
)

// unpackChunk is how many bytes go from one stage of Unpack to the next at once.
const unpackChunk = 256 << 10

// Unpack unpacks the .tar.xz archive into the directory dir, which it makes and
// which must not exist. All entries must be below one top directory, whose name
// is cut off. The archive's SHA-256 must be sha256hex: the file is opened once
// and the bytes that are hashed are those that are unpacked.
//
// Files become 0444, or 0555 if their owner may execute them; directories below
// dir/store 0555; dir, dir/store and directories outside it 0755. Modification
// times below dir/store are 1 s after the epoch, as in a Nix store. Owner and
// group are those of the process. Because the directories are read-only, only
// root can rename those in dir/store elsewhere.
//
// Nothing is synced; see SyncFS. If progress is not nil it is told the
// compressed bytes read so far and in total, never by two goroutines at once
// and not after Unpack returned.
//
// On any error dir is removed again. The error is a *DigestError whenever the
// whole file could be read and its digest is another one, whatever else is
// wrong with it.
func Unpack(ctx context.Context, archive, sha256hex, dir string, progress func(done, total int64)) error {
	// It may be a user's who means ill: a FIFO would be waited for, and a device never ends.
	f, err := os.OpenFile(archive, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return fmt.Errorf("unpacking: %w", err)
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return fmt.Errorf("unpacking %s: %w", archive, cmp.Or(err, errors.New("it is no regular file")))
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return fmt.Errorf("unpacking %s: %w", archive, err)
	}
	err = os.Chmod(dir, 0o755) // whatever the umask
	if err == nil {
		err = unpackFile(ctx, f, sha256hex, dir, progress)
	}
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*DigestError](err); !ok {
		err = fmt.Errorf("unpacking %s: %w", archive, err)
	}
	return errors.Join(err, removeTree(dir))
}

// SyncFS writes everything that was changed in the file system of path to its
// disk (syncfs(2)).
func SyncFS(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("syncing: %w", err)
	}
	defer f.Close()
	if err := unix.Syncfs(int(f.Fd())); err != nil {
		return fmt.Errorf("syncing the file system of %s: %w", path, err)
	}
	return nil
}

// unpackFile does Unpack's work in dir, which exists. Three goroutines are busy:
// one reads and hashes, one decodes, and this one writes.
func unpackFile(ctx context.Context, f *os.File, sha256hex, dir string, progress func(done, total int64)) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	src := &archiveReader{ctx: ctx, f: f, sum: sha256.New(), total: info.Size(), progress: progress}
	raw := newReadAhead(src, 4)
	defer raw.Close()
	t, unpackErr := unxz(raw, dir)
	if _, err := io.Copy(io.Discard, raw); err != nil {
		return err
	}
	if got := hex.EncodeToString(src.sum.Sum(nil)); !strings.EqualFold(got, sha256hex) {
		return &DigestError{Name: f.Name(), Want: sha256hex, Got: got}
	}
	if unpackErr != nil {
		return unpackErr
	}
	return t.seal()
}

// unxz unpacks the .tar.xz that raw reads into dir. When it returns, nothing reads from raw any more.
func unxz(raw io.Reader, dir string) (*tree, error) {
	decoder, err := xz.NewReader(raw, xz.DefaultDictMax)
	if err != nil {
		return nil, err
	}
	decoded := newReadAhead(decoder, 8)
	defer decoded.Close()
	t, err := untar(decoded, dir)
	if err != nil {
		return nil, err
	}
	// What comes after the end of the tar is of no use but for the check sums of xz.
	_, err = io.Copy(io.Discard, decoded)
	return t, err
}

// archiveReader reads a file, hashes what it read and tells how far it is.
type archiveReader struct {
	ctx         context.Context
	f           *os.File
	sum         hash.Hash
	done, total int64
	progress    func(done, total int64)
}

func (a *archiveReader) Read(p []byte) (int, error) {
	if err := a.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := a.f.Read(p)
	a.sum.Write(p[:n])
	a.done += int64(n)
	if n > 0 && a.progress != nil {
		a.progress(a.done, a.total)
	}
	return n, err
}

// readAhead reads from another reader in a goroutine of its own, some chunks
// ahead. An error comes after the bytes before it, and again on each later Read.
type readAhead struct {
	full chan []byte // closed after the last chunk; then err is set
	free chan []byte
	stop chan struct{}
	err  error
	cur  []byte // what is left of the chunk last received
	own  []byte // that chunk
}

// newReadAhead starts reading r, at most chunks chunks ahead. Close must be called.
func newReadAhead(r io.Reader, chunks int) *readAhead {
	a := &readAhead{
		full: make(chan []byte, chunks),
		free: make(chan []byte, chunks),
		stop: make(chan struct{}),
	}
	for range chunks {
		a.free <- make([]byte, unpackChunk)
	}
	go a.run(r)
	return a
}

func (a *readAhead) run(r io.Reader) {
	defer close(a.full)
	for {
		var buf []byte
		select {
		case <-a.stop:
			a.err = fs.ErrClosed
			return
		case buf = <-a.free:
		}
		n, err := readChunk(r, buf[:unpackChunk])
		a.full <- buf[:n] // never blocks: there are no more chunks than places
		if err != nil {
			a.err = err
			return
		}
	}
}

// readChunk fills buf, as far as there is no error. Unlike io.ReadFull it leaves
// that error as it is.
func readChunk(r io.Reader, buf []byte) (n int, err error) {
	for n < len(buf) && err == nil {
		var k int
		k, err = r.Read(buf[n:])
		n += k
	}
	return n, err
}

func (a *readAhead) Read(p []byte) (int, error) {
	for len(a.cur) == 0 {
		if a.own != nil {
			a.free <- a.own
			a.own = nil
		}
		chunk, ok := <-a.full
		if !ok {
			return 0, a.err
		}
		a.own, a.cur = chunk, chunk
	}
	n := copy(p, a.cur)
	a.cur = a.cur[n:]
	return n, nil
}

// Close waits until the goroutine is done.
func (a *readAhead) Close() {
	close(a.stop)
	for range a.full {
	}
}

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

// removeTree removes dir, with read-only directories in it.
func removeTree(dir string) error {
	if os.RemoveAll(dir) == nil {
		return nil
	}
	_ = filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			_ = os.Chmod(name, 0o755)
		}
		return nil // RemoveAll tells what is left
	})
	return os.RemoveAll(dir)
}
