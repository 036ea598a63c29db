package host

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

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
	f, err := openRegular(archive)
	if err != nil {
		return fmt.Errorf("unpacking: %w", err)
	}
	defer f.Close()
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

// unpackFile does Unpack's work in dir, which exists. Several goroutines are busy:
// one reads and hashes, others decode, and this one writes.
func unpackFile(ctx context.Context, f *os.File, sha256hex, dir string, progress func(done, total int64)) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	src := &archiveReader{ctx: ctx, f: f, sum: sha256.New(), total: info.Size(), progress: progress}
	raw := newReadAhead(src, 4)
	defer raw.Close()
	t, unpackErr := unxzTar(raw, dir)
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

// unxzTar unpacks the .tar.xz that raw reads into dir. When it returns, nothing reads from raw any more.
func unxzTar(raw io.Reader, dir string) (*tree, error) {
	decoder, err := newUnxz(raw)
	if err != nil {
		return nil, err
	}
	defer decoder.Close()
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

// openRegular opens a regular file for reading. It may be a user's who means ill: a FIFO
// would be waited for, and a device never ends.
func openRegular(name string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		f.Close()
		return nil, cmp.Or(err, error(&fs.PathError{Op: "open", Path: name, Err: errors.New("it is no regular file")}))
	}
	return f, nil
}
