package host

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// ObjectName is where Keep puts the content with this SHA-256, below its directory.
func ObjectName(sum string) string { return filepath.Join("objects", sum[:2], sum[2:]) }

// read opens the object's content.
func (o *thing) read() (*os.File, error) {
	const flags = unix.O_RDONLY | unix.O_CLOEXEC
	fd, err := openat(unix.AT_FDCWD, o.proc(), flags|unix.O_NOATIME)
	if errors.Is(err, unix.EPERM) { // only for who owns it
		fd, err = openat(unix.AT_FDCWD, o.proc(), flags)
	}
	if err != nil {
		return nil, o.wrap("open", err)
	}
	return os.NewFile(uintptr(fd), o.path), nil
}

// digest is the SHA-256 of the object's content.
func (o *thing) digest(ctx context.Context) (string, error) {
	f, err := o.read()
	if err != nil {
		return "", err
	}
	defer f.Close()
	return copySparse(ctx, nil, f)
}

// store puts the object's content among the keeper's and returns its SHA-256.
func (k keeper) store(ctx context.Context, o *thing) (sum string, err error) {
	from, err := o.read()
	if err != nil {
		return "", err
	}
	defer from.Close()
	dir := filepath.Join(k.dir, "objects")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	to, err := os.CreateTemp(dir, ".new-*") // of mode 0600
	if err != nil {
		return "", err
	}
	defer func() {
		if err = errors.Join(err, to.Close()); err != nil {
			os.Remove(to.Name())
		}
	}()
	if sum, err = copySparse(ctx, to, from); err != nil {
		return "", err
	}
	name := filepath.Join(k.dir, ObjectName(sum))
	if _, err := os.Lstat(name); err == nil {
		return sum, os.Remove(to.Name())
	}
	if err := os.Mkdir(filepath.Dir(name), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	return sum, os.Rename(to.Name(), name)
}

// copySparse copies a file with its holes and returns the SHA-256 of its content.
// Where the file system can share blocks, they are shared. Without to it only reads.
func copySparse(ctx context.Context, to, from *os.File) (string, error) {
	if to != nil && unix.IoctlFileClone(int(to.Fd()), int(from.Fd())) == nil {
		from, to = to, nil
	}
	info, err := from.Stat()
	if err != nil {
		return "", err
	}
	sum, size := sha256.New(), info.Size()
	buf := make([]byte, min(max(size, 1), 256<<10))
	for at := int64(0); at < size; {
		data, end := extent(from, at, size)
		if err := zeros(ctx, sum, data-at); err != nil {
			return "", err
		}
		for at = data; at < end; {
			if ctx.Err() != nil {
				return "", context.Cause(ctx)
			}
			n, err := from.ReadAt(buf[:min(int64(len(buf)), end-at)], at)
			if n == 0 {
				if errors.Is(err, io.EOF) {
					err = fmt.Errorf("reading %s: it became shorter", from.Name())
				}
				return "", err
			}
			sum.Write(buf[:n])
			if to != nil {
				if _, err := to.WriteAt(buf[:n], at); err != nil {
					return "", err
				}
			}
			at += int64(n)
		}
	}
	if to != nil {
		if err := to.Truncate(size); err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// extent is where the next data after at begins and ends.
func extent(f *os.File, at, size int64) (data, end int64) {
	data, err := unix.Seek(int(f.Fd()), at, unix.SEEK_DATA)
	if errors.Is(err, unix.ENXIO) {
		return size, size // a hole to the end
	} else if err != nil || data > size {
		return at, size
	}
	if end, err = unix.Seek(int(f.Fd()), data, unix.SEEK_HOLE); err != nil || end > size {
		return data, size
	}
	return data, end
}

// nought is what a hole reads as.
var nought [256 << 10]byte

func zeros(ctx context.Context, sum hash.Hash, n int64) error {
	for n > 0 && ctx.Err() == nil {
		part := min(n, int64(len(nought)))
		sum.Write(nought[:part])
		n -= part
	}
	return context.Cause(ctx)
}
