package host

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"sync"

	"golang.org/x/sys/unix"
)

// Stamp returns a digest (64 hex digits) over name, mode, size, mtime, ctime,
// inode and link target of path and of everything below it. Equal stamps mean
// that nothing there was written between: the kernel sets ctime at each change
// of contents or metadata, and no call sets it back. Access times do not count,
// nor does the link count itself; but a hard link made or removed changes ctime.
// Stamps are comparable on one host only. Contents are not read, symlinks not
// followed. Errors: those of package os, ctx's.
func Stamp(ctx context.Context, path string) (string, error) {
	var st unix.Stat_t
	if err := retryEINTR(func() error { return unix.Lstat(path, &st) }); err != nil {
		return "", fmt.Errorf("stamping: %w", &fs.PathError{Op: "lstat", Path: path, Err: err})
	}
	rec, err := appendRecord(nil, unix.AT_FDCWD, path, &st)
	if err != nil {
		return "", fmt.Errorf("stamping: %w", &fs.PathError{Op: "readlink", Path: path, Err: err})
	}
	sums := map[string][sha256.Size]byte{} // by directory, relative to path
	for todo := []string{"."}; len(todo) > 0 && st.Mode&unix.S_IFMT == unix.S_IFDIR; {
		dir := todo[len(todo)-1]
		digest, below, err := stampDir(ctx, path, dir)
		if err != nil {
			return "", fmt.Errorf("stamping: %w", err)
		}
		sums[dir], todo = digest, append(todo[:len(todo)-1], below...)
	}
	sum := sha256.New()
	sum.Write(rec)
	for _, dir := range slices.Sorted(maps.Keys(sums)) {
		digest := sums[dir]
		sum.Write(append(append([]byte(dir), 0), digest[:]...))
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// stampDir returns the digest of the records of what is in the directory dir below
// top, sorted by name, and the directories that are in it.
func stampDir(ctx context.Context, top, dir string) (sum [sha256.Size]byte, below []string, err error) {
	if err := ctx.Err(); err != nil {
		return sum, nil, err
	}
	path := filepath.Join(top, dir)
	var fd int
	if err := retryEINTR(func() (err error) {
		fd, err = unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		return err
	}); err != nil {
		return sum, nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd)
	names, err := readNames(fd)
	if err != nil {
		return sum, nil, &fs.PathError{Op: "readdirent", Path: path, Err: err}
	}
	recs := make([]byte, 0, 128*len(names))
	for _, name := range names {
		var st unix.Stat_t
		err := retryEINTR(func() error { return unix.Fstatat(fd, name, &st, unix.AT_SYMLINK_NOFOLLOW) })
		if err == nil {
			recs, err = appendRecord(recs, fd, name, &st)
		}
		if err != nil {
			return sum, nil, &fs.PathError{Op: "lstat", Path: filepath.Join(path, name), Err: err}
		}
		if st.Mode&unix.S_IFMT == unix.S_IFDIR {
			below = append(below, filepath.Join(dir, name))
		}
	}
	return sha256.Sum256(recs), below, nil
}

// direntBufs are for what the kernel says of directories.
var direntBufs = sync.Pool{New: func() any { return new([16 << 10]byte) }}

// readNames returns the names in the directory fd, sorted.
func readNames(fd int) ([]string, error) {
	buf := direntBufs.Get().(*[16 << 10]byte)
	defer direntBufs.Put(buf)
	var names []string
	for {
		var n int
		err := retryEINTR(func() (err error) {
			n, err = unix.ReadDirent(fd, buf[:])
			return err
		})
		if err != nil {
			return nil, err
		}
		if n <= 0 {
			slices.Sort(names)
			return names, nil
		}
		_, _, names = unix.ParseDirent(buf[:n], -1, names)
	}
}

// appendRecord appends to rec what Stamp looks at of name in the directory at:
// the name, the metadata in fixed width, and the target of a symlink.
func appendRecord(rec []byte, at int, name string, st *unix.Stat_t) ([]byte, error) {
	if at != unix.AT_FDCWD { // the path that was asked for has no name of its own
		rec = append(rec, name...)
	}
	rec = append(rec, 0)
	for _, v := range [...]uint64{
		uint64(st.Mode), uint64(st.Size), st.Ino,
		uint64(st.Mtim.Sec), uint64(st.Mtim.Nsec), uint64(st.Ctim.Sec), uint64(st.Ctim.Nsec),
	} {
		rec = binary.LittleEndian.AppendUint64(rec, v)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFLNK {
		return rec, nil
	}
	target := make([]byte, unix.PathMax)
	var n int
	err := retryEINTR(func() (err error) {
		n, err = unix.Readlinkat(at, name, target)
		return err
	})
	if err != nil {
		return nil, err
	}
	return append(append(rec, target[:n]...), 0), nil
}

// retryEINTR calls f again while a signal interrupts it, as can happen on network and FUSE file systems.
func retryEINTR(f func() error) error {
	for {
		if err := f(); err != unix.EINTR {
			return err
		}
	}
}
