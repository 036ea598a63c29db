package host

import (
	"archive/tar"
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// maxExtracted bounds what Extract reads and writes. A program of today has some 50 MB.
const maxExtracted = 512 << 20

// Extract writes the regular file of that name in the .tar.gz archive to file,
// whose directory exists: temporary name, mode 0755, fsync, rename. Names of
// entries are only compared, never used as paths. The archive's SHA-256 must be
// sha256hex: it is read once, and the bytes that are hashed are those that are unpacked.
//
// On any error file is as it was. The error is a *DigestError whenever the archive
// could be read and its digest is another one; fs.ErrNotExist if it has no such file.
func Extract(ctx context.Context, archive, sha256hex, name, file string) error {
	data, err := readArchive(archive)
	if err != nil {
		return fmt.Errorf("unpacking: %w", err)
	}
	sum := sha256.Sum256(data)
	if got := hex.EncodeToString(sum[:]); !strings.EqualFold(got, sha256hex) {
		return &DigestError{Name: archive, Want: sha256hex, Got: got}
	}
	if err := extract(ctx, data, name, file); err != nil {
		return fmt.Errorf("unpacking %s of %s: %w", name, archive, err)
	}
	return nil
}

func readArchive(archive string) ([]byte, error) {
	f, err := os.OpenFile(archive, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() || info.Size() > maxExtracted {
		return nil, fmt.Errorf("%s: %w", archive, cmp.Or(err, errors.New("it is no regular file of a fitting size")))
	}
	return io.ReadAll(io.LimitReader(f, maxExtracted))
}

func extract(ctx context.Context, data []byte, name, file string) (err error) {
	entry, err := findEntry(ctx, data, name)
	if err != nil {
		return err
	}
	f, err := createTemp(file)
	if err != nil {
		return err
	}
	defer f.Close()
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	n, err := io.Copy(f, io.LimitReader(entry, maxExtracted+1))
	if err == nil && n > maxExtracted {
		err = fmt.Errorf("it has more than %d bytes", int64(maxExtracted))
	}
	if err = errors.Join(err, f.Chmod(0o755), f.Sync()); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), file); err != nil {
		return err
	}
	return syncDir(filepath.Dir(file))
}

// findEntry returns the content of the regular file of that name.
func findEntry(ctx context.Context, data []byte, name string) (io.Reader, error) {
	gz, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	tr := tar.NewReader(gz)
	for {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("there is no such file in it: %w", os.ErrNotExist)
		} else if err != nil {
			return nil, err
		}
		if h.Typeflag == tar.TypeReg && path.Clean(h.Name) == name {
			return tr, nil
		}
	}
}
