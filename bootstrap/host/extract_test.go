package host_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"movein/bootstrap/host"
)

// tarGz packs the entries and returns the archive's name and digest.
func tarGz(t *testing.T, entries ...tar.Header) (archive, sum string) {
	t.Helper()
	var buf bytes.Buffer
	gz := gzip.NewWriter(&buf)
	tw := tar.NewWriter(gz)
	for _, e := range entries {
		body := []byte("body of " + e.Name)
		if e.Typeflag == tar.TypeReg {
			e.Size = int64(len(body))
		}
		if err := tw.WriteHeader(&e); err != nil {
			t.Fatal(err)
		}
		if e.Typeflag == tar.TypeReg {
			if _, err := tw.Write(body); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := errors.Join(tw.Close(), gz.Close()); err != nil {
		t.Fatal(err)
	}
	archive = filepath.Join(t.TempDir(), "a.tar.gz")
	if err := os.WriteFile(archive, buf.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256(buf.Bytes())
	return archive, hex.EncodeToString(digest[:])
}

func names(t *testing.T, dir string) (out []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

func TestExtractWritesOneFileAndNothingElse(t *testing.T) {
	dir := t.TempDir()
	archive, sum := tarGz(t,
		tar.Header{Name: "../evil", Typeflag: tar.TypeReg, Mode: 0o644},
		tar.Header{Name: "LICENSE", Typeflag: tar.TypeReg, Mode: 0o644},
		tar.Header{Name: "chezmoi", Typeflag: tar.TypeReg, Mode: 0o644})
	if err := host.Extract(context.Background(), archive, sum, "chezmoi", filepath.Join(dir, "bin")); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(dir, "bin"))
	info, _ := os.Stat(filepath.Join(dir, "bin"))
	if err != nil || string(data) != "body of chezmoi" || info.Mode() != 0o755 || !slices.Equal(names(t, dir), []string{"bin"}) {
		t.Errorf("%q, %v, %v; there are %q", data, err, info.Mode(), names(t, dir))
	}
}

func TestExtractOfAnotherDigestWritesNothing(t *testing.T) {
	dir := t.TempDir()
	archive, _ := tarGz(t, tar.Header{Name: "chezmoi", Typeflag: tar.TypeReg, Mode: 0o755})
	err := host.Extract(context.Background(), archive, "00", "chezmoi", filepath.Join(dir, "bin"))
	if _, ok := errors.AsType[*host.DigestError](err); !ok || len(names(t, dir)) != 0 {
		t.Errorf("%v; there are %q", err, names(t, dir))
	}
}

func TestExtractTakesNoLinkForTheFile(t *testing.T) {
	dir := t.TempDir()
	archive, sum := tarGz(t, tar.Header{Name: "chezmoi", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"})
	err := host.Extract(context.Background(), archive, sum, "chezmoi", filepath.Join(dir, "bin"))
	if !errors.Is(err, fs.ErrNotExist) || len(names(t, dir)) != 0 {
		t.Errorf("%v; there are %q", err, names(t, dir))
	}
}

func TestExtractOfACutArchiveLeavesWhatWasThere(t *testing.T) {
	dir := t.TempDir()
	archive, _ := tarGz(t, tar.Header{Name: "chezmoi", Typeflag: tar.TypeReg, Mode: 0o755})
	data, err := os.ReadFile(archive)
	if err != nil {
		t.Fatal(err)
	}
	data = data[:len(data)-30]
	file := filepath.Join(dir, "bin")
	if err := errors.Join(os.WriteFile(archive, data, 0o600), os.WriteFile(file, []byte("old"), 0o600)); err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256(data)
	if err := host.Extract(context.Background(), archive, hex.EncodeToString(digest[:]), "chezmoi", file); err == nil {
		t.Error("a cut archive is unpacked")
	}
	if got, _ := os.ReadFile(file); string(got) != "old" || len(names(t, dir)) != 1 {
		t.Errorf("%q; there are %q", got, names(t, dir))
	}
}

func TestPathGoesBeforeTheChildsOwn(t *testing.T) {
	r := &host.Real{Env: []string{"PATH=/usr/bin:/bin"}}
	res, err := r.Query(context.Background(), &host.Cmd{Args: []string{"/bin/sh", "-c", "echo $PATH"}, Path: []string{"/a", "/b"}})
	if err != nil || string(res.Stdout) != "/a:/b:/usr/bin:/bin\n" {
		t.Errorf("%q, %v", res.Stdout, err)
	}
}
