package host

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"movein/bootstrap/host/bundle"
)

// OpenBundle reads the bundle in file, or at the URL that file is, all of it, and keeps
// nothing. Errors: those of bundle.Read and package os; *UnreachableError.
func OpenBundle(ctx context.Context, file string, t bundle.Trust) (*bundle.File, error) {
	var f io.ReadCloser
	var err error
	if strings.Contains(file, "://") {
		f = (&Fetch{}).Stream(ctx, file)
	} else if f, err = openRegular(file); err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := bundle.Read(ctxReader{ctx, f}, t)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", BareURL(file), err)
	}
	b.Name = file
	return b, nil
}

// FetchBundle brings the bundle at url to file, mode 0600, and reads it on the way: each
// byte comes once. Unless it is whole and trusted, file is as it was.
func FetchBundle(ctx context.Context, url, file string, t bundle.Trust) (b *bundle.File, err error) {
	in := (&Fetch{}).Stream(ctx, url)
	defer in.Close()
	err = replaceFile(file, 0o600, func(f *os.File) error {
		b, err = bundle.Read(io.TeeReader(in, f), t)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", BareURL(url), err)
	}
	b.Name = file
	return b, nil
}

// WriteBundle makes file, mode 0600, a bundle of all files of the directory dir. It is
// fs.ErrExist if something is there by then.
func WriteBundle(file, dir string, m bundle.Manifest, sign func([]byte) []byte) error {
	return makeFile(file, 0o600, func(f *os.File) error { return bundle.Write(f, os.DirFS(dir), m, sign) })
}

// unbundle writes one entry of a bundle to w, and is an error unless it was what the manifest says.
func unbundle(ctx context.Context, from *os.File, b bundle.File, name string, w io.Writer) error {
	e, at, err := b.Offset(name)
	if err != nil {
		return err
	}
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(w, sum), ctxReader{ctx, io.NewSectionReader(from, at, e.Size)})
	if err != nil {
		return err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); n != e.Size || got != e.SHA256 {
		return &DigestError{Name: b.Name + ", " + name, Want: e.SHA256, Got: got}
	}
	return nil
}

// Unbundle implements Unpacker.
func (r *Real) Unbundle(ctx context.Context, b bundle.File, name, to string) (err error) {
	from, err := openRegular(r.full(b.Name))
	if err != nil {
		return err
	}
	defer from.Close()
	to = r.path(to)
	if !strings.HasSuffix(name, "/") {
		return replaceFile(to, 0o600, func(f *os.File) error { return unbundle(ctx, from, b, name, f) })
	}
	if err := os.Mkdir(to, 0o700); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(to))
		}
	}()
	for i, e := range b.Manifest.Entries {
		below, ok := strings.CutPrefix(e.Name, name)
		if !ok {
			continue
		}
		file := filepath.Join(to, below)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			return err
		}
		f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		if err := errors.Join(unbundle(ctx, from, b, e.Name, f), f.Close()); err != nil {
			return err
		}
		r.Progress(int64(i), int64(len(b.Manifest.Entries)), "files")
	}
	return nil
}
