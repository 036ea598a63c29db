package host

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// makeTar makes a tar of the entries; a name that ends in / is a directory, one
// with a link name a symlink, any other a file with its own name as contents.
func makeTar(t testing.TB, entries ...tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range entries {
		switch {
		case h.Typeflag != 0:
		case strings.HasSuffix(h.Name, "/"):
			h.Typeflag = tar.TypeDir
		case h.Linkname != "":
			h.Typeflag = tar.TypeSymlink
		default:
			h.Typeflag = tar.TypeReg
			h.Size = int64(len(h.Name))
		}
		if h.Mode == 0 {
			h.Mode = 0o644
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if h.Size > 0 {
			if _, err := w.Write([]byte(h.Name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// compress runs xz.
func compress(t testing.TB, data []byte, args ...string) []byte {
	t.Helper()
	cmd := exec.Command("xz", append([]string{"-c"}, args...)...)
	cmd.Stdin = bytes.NewReader(data)
	out, err := cmd.Output()
	if err != nil {
		t.Skipf("no working xz: %v", err)
	}
	return out
}

// archiveFile writes an archive to a file and returns its name and digest.
func archiveFile(t testing.TB, data []byte) (name, digest string) {
	t.Helper()
	name = filepath.Join(t.TempDir(), "archive.tar.xz")
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(data)
	return name, hex.EncodeToString(sum[:])
}

// listTree lists what is in dir: mode, modification time if below store, name, link target.
func listTree(t testing.TB, dir string) []string {
	t.Helper()
	var lines []string
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, name)
		line := info.Mode().String() + " " + rel
		if strings.HasPrefix(rel, "store/") {
			line += fmt.Sprintf(" @%d", info.ModTime().UnixNano())
		}
		if target, err := os.Readlink(name); err == nil {
			line += " -> " + target
		}
		if d.Type().IsRegular() {
			text, err := os.ReadFile(name)
			if err != nil || strings.TrimPrefix(string(text), "top/") != rel {
				line += fmt.Sprintf(" has %q %v", text, err)
			}
		}
		lines = append(lines, line)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

// listNames lists the names of listTree.
func listNames(t testing.TB, dir string) []string {
	names := listTree(t, dir)
	for i, line := range names {
		_, names[i], _ = strings.Cut(line, " ")
	}
	return names
}

// freshDir returns the name of a directory that is to be made, and is removed at the end.
func freshDir(t testing.TB) string {
	dir := filepath.Join(t.TempDir(), "new")
	t.Cleanup(func() {
		if err := removeTree(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func goodEntries() []tar.Header {
	long := "top/store/p-long/" + strings.Repeat("d/", 60) + strings.Repeat("n", 200)
	return []tar.Header{ // neither top nor store has an entry, as in a Nix release
		{Name: "top/install", Mode: 0o6755},
		{Name: "top/.reginfo"},
		{Name: "top/store/p1/", Mode: 0o777},
		{Name: "top/store/p1/bin/", Mode: 0o500},
		{Name: "top/store/p1/bin/run", Mode: 0o4777},
		{Name: "top/store/p1/bin/data", Mode: 0o666},
		{Name: "top/store/p1/bin/group", Mode: 0o654},
		{Name: "top/store/p1/abs", Linkname: "/nix/store/p2"},
		{Name: "top/store/p1/up", Linkname: "../../../../etc/passwd"},
		{Name: "top/store/p2", Linkname: "p1"},
		{Name: "top/store/p3/deep/file"},
		{Name: "top/store/p3/", Mode: 0o755}, // after something in it
		{Name: "top/store/p1/bin/late"},
		{Name: "top/store/p4"},
		{Name: long},
	}
}

func TestUnpack(t *testing.T) {
	archive, digest := archiveFile(t, compress(t, makeTar(t, goodEntries()...)))
	dir := freshDir(t)
	var done, total int64
	err := Unpack(t.Context(), archive, digest, dir, func(d, t int64) { done, total = d, t })
	if err != nil {
		t.Fatal(err)
	}
	if info, _ := os.Stat(archive); done != info.Size() || total != info.Size() {
		t.Errorf("progress ends at %d of %d, want %d", done, total, info.Size())
	}
	got := slices.DeleteFunc(listTree(t, dir), func(s string) bool { return strings.Contains(s, "/d") && strings.Contains(s, "p-long") })
	want := []string{
		"drwxr-xr-x .",
		"-r--r--r-- .reginfo",
		"-r-xr-xr-x install",
		"drwxr-xr-x store",
		"dr-xr-xr-x store/p-long @1000000000",
		"dr-xr-xr-x store/p1 @1000000000",
		"Lrwxrwxrwx store/p1/abs @1000000000 -> /nix/store/p2",
		"dr-xr-xr-x store/p1/bin @1000000000",
		"-r--r--r-- store/p1/bin/data @1000000000",
		"-r--r--r-- store/p1/bin/group @1000000000",
		"-r--r--r-- store/p1/bin/late @1000000000",
		"-r-xr-xr-x store/p1/bin/run @1000000000",
		"Lrwxrwxrwx store/p1/up @1000000000 -> ../../../../etc/passwd",
		"Lrwxrwxrwx store/p2 @1000000000 -> p1",
		"dr-xr-xr-x store/p3 @1000000000",
		"dr-xr-xr-x store/p3/deep @1000000000",
		"-r--r--r-- store/p3/deep/file @1000000000",
		"-r--r--r-- store/p4 @1000000000",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if err := SyncFS(dir); err != nil {
		t.Error(err)
	}
}

func TestUnpackRefuses(t *testing.T) {
	first := tar.Header{Name: "top/a/file"}
	for _, c := range []struct {
		name    string
		entries []tar.Header
		want    string
	}{
		{"nothing", nil, "empty"},
		{"parent", []tar.Header{first, {Name: "top/../../evil"}}, ". or .. elements"},
		{"parent first", []tar.Header{{Name: "../evil"}}, ". or .. elements"},
		{"dot", []tar.Header{first, {Name: "top/./b"}}, ". or .. elements"},
		{"only dot", []tar.Header{{Name: "./"}}, ". or .. elements"},
		{"absolute", []tar.Header{first, {Name: "/top/b"}}, "absolute"},
		{"empty element", []tar.Header{first, {Name: "top//b"}}, "empty"},
		{"empty name", []tar.Header{first, {Name: "/"}}, "empty"},
		{"long name", []tar.Header{first, {Name: "top/" + strings.Repeat("d/", 2100) + "x"}}, "too long"},
		{"second top", []tar.Header{first, {Name: "pot/b"}}, `not in the directory "top"`},
		{"file at the top", []tar.Header{first, {Name: "top"}}, "no directory"},
		{"top is a file", []tar.Header{{Name: "top"}}, "no directory"},
		{"top is a symlink", []tar.Header{{Name: "top", Linkname: "/"}}, "no directory"},
		{"hard link", []tar.Header{first, {Name: "top/b", Linkname: "top/a/file", Typeflag: tar.TypeLink}}, "type '1'"},
		{"character device", []tar.Header{{Name: "top/b", Typeflag: tar.TypeChar}}, "type '3'"},
		{"block device", []tar.Header{{Name: "top/b", Typeflag: tar.TypeBlock}}, "type '4'"},
		{"fifo", []tar.Header{{Name: "top/b", Typeflag: tar.TypeFifo}}, "type '6'"},
		{"unknown type", []tar.Header{{Name: "top/b", Typeflag: 'Z'}}, "type 'Z'"},
		{"file twice", []tar.Header{first, first}, "twice"},
		{"directory twice", []tar.Header{{Name: "top/d/"}, {Name: "top/d/"}}, "twice"},
		{"top twice", []tar.Header{{Name: "top/"}, {Name: "top/"}}, "twice"},
		{"file over a directory", []tar.Header{first, {Name: "top/a"}}, "twice"},
		{"directory over a file", []tar.Header{first, {Name: "top/a/file/"}}, "twice"},
		{"symlink over a file", []tar.Header{first, {Name: "top/a/file", Linkname: "x"}}, "twice"},
		{"file over a symlink", []tar.Header{{Name: "top/l", Linkname: "f"}, {Name: "top/l"}}, "twice"},
		{"directory over a symlink", []tar.Header{{Name: "top/l", Linkname: "/tmp"}, {Name: "top/l/"}}, "twice"},
		{"below a symlink out", []tar.Header{{Name: "top/l", Linkname: "../.."}, {Name: "top/l/evil"}}, `"l" is no directory`},
		{"below a symlink in", []tar.Header{first, {Name: "top/l", Linkname: "a"}, {Name: "top/l/evil"}}, `"l" is no directory`},
		{"directory below a symlink", []tar.Header{first, {Name: "top/l", Linkname: "a"}, {Name: "top/l/evil/"}}, `"l" is no directory`},
		{"symlink below a symlink", []tar.Header{first, {Name: "top/l", Linkname: "a"}, {Name: "top/l/m/n", Linkname: "x"}}, `"l" is no directory`},
		{"below a file", []tar.Header{first, {Name: "top/a/file/x"}}, `"a/file" is no directory`},
		{"empty link", []tar.Header{{Name: "top/l", Typeflag: tar.TypeSymlink}}, "link target"},
	} {
		t.Run(c.name, func(t *testing.T) {
			above := t.TempDir()
			dir := filepath.Join(above, "x/y/new")
			if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
				t.Fatal(err)
			}
			archive, digest := archiveFile(t, compress(t, makeTar(t, c.entries...)))
			err := Unpack(t.Context(), archive, digest, dir, nil)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
			if got := listNames(t, above); !slices.Equal(got, []string{".", "x", "x/y"}) {
				t.Errorf("left %v", got)
			}
		})
	}
}

// A damaged archive is a *DigestError if the digest is of the undamaged one, and
// an error of the format if the digest is of the damaged one.
func TestUnpackDamaged(t *testing.T) {
	// Two blocks, so that damage can come after files that were already written.
	for _, threads := range []string{"--threads=1", "--threads=2"} {
		t.Run(threads, func(t *testing.T) {
			unpackDamaged(t, compress(t, makeTar(t, goodEntries()...), "--block-size=8KiB", threads))
		})
	}
}

func unpackDamaged(t *testing.T, good []byte) {
	_, goodDigest := archiveFile(t, good)
	flipped := slices.Clone(good)
	flipped[len(good)/2] ^= 0x10
	lastFlipped := slices.Clone(good)
	lastFlipped[len(good)-1] ^= 1
	for _, c := range []struct {
		name  string
		data  []byte
		valid bool // by itself
	}{
		{name: "flipped", data: flipped},
		{name: "last byte flipped", data: lastFlipped},
		{name: "half", data: good[:len(good)/2]},
		{name: "last byte missing", data: good[:len(good)-1]},
		{name: "garbage after the end", data: append(slices.Clone(good), "garbage"...)},
		{name: "empty", data: nil},
		{name: "no xz", data: []byte(strings.Repeat("<html>", 200000))},
		{name: "another archive", data: compress(t, makeTar(t, goodEntries()[:3]...)), valid: true},
		{name: "padded", data: append(slices.Clone(good), 0, 0, 0, 0), valid: true},
		{name: "and a stream of nothing", data: append(slices.Clone(good), compress(t, nil)...), valid: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			archive, digest := archiveFile(t, c.data)
			dir := freshDir(t)
			err := Unpack(t.Context(), archive, goodDigest, dir, nil)
			if d, ok := errors.AsType[*DigestError](err); !ok || d.Want != goodDigest || d.Got != digest || d.Name != archive {
				t.Errorf("with the digest of the good one: %v", err)
			}
			if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("left %s: %v", dir, err)
			}
			err = Unpack(t.Context(), archive, digest, dir, nil)
			if _, ok := errors.AsType[*DigestError](err); ok || c.valid != (err == nil) {
				t.Errorf("with its own digest: %v", err)
			}
		})
	}
}

func TestUnpackOther(t *testing.T) {
	archive, digest := archiveFile(t, compress(t, makeTar(t, goodEntries()...)))
	t.Run("digest in capitals", func(t *testing.T) {
		if err := Unpack(t.Context(), archive, strings.ToUpper(digest), freshDir(t), nil); err != nil {
			t.Error(err)
		}
	})
	t.Run("dir exists", func(t *testing.T) {
		dir := t.TempDir()
		if err := Unpack(t.Context(), archive, digest, dir, nil); !errors.Is(err, fs.ErrExist) {
			t.Error(err)
		}
		if _, err := os.Stat(dir); err != nil {
			t.Error(err)
		}
	})
	t.Run("no archive", func(t *testing.T) {
		dir := freshDir(t)
		if err := Unpack(t.Context(), archive+"x", digest, dir, nil); !errors.Is(err, fs.ErrNotExist) {
			t.Error(err)
		}
		if err := Unpack(t.Context(), filepath.Dir(archive), digest, dir, nil); err == nil {
			t.Error("unpacking a directory: no error")
		}
	})
	t.Run("cancelled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		dir := freshDir(t)
		good := compress(t, makeTar(t, goodEntries()...))
		archive, digest := archiveFile(t, append(good, make([]byte, 4*unpackChunk)...)) // zeros may follow in xz
		err := Unpack(ctx, archive, digest, dir, func(int64, int64) { cancel() })
		if !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("left %s: %v", dir, err)
		}
	})
}

// TestUnpackNoFile has what is never read to its end in the archive's place.
func TestUnpackNoFile(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, archive := range []string{fifo, "/dev/zero"} {
		dir := filepath.Join(t.TempDir(), "dir")
		if err := Unpack(t.Context(), archive, strings.Repeat("0", 64), dir, nil); err == nil {
			t.Errorf("%s was unpacked", archive)
		}
		if _, err := os.Lstat(dir); err == nil {
			t.Errorf("%s left a directory", archive)
		}
	}
}

func TestUnpackBounds(t *testing.T) {
	t.Run("size", func(t *testing.T) {
		tree := &tree{kinds: map[string]entryKind{}, size: maxUnpacked}
		if err := tree.file("f", 1, false, nil); err == nil || !strings.Contains(err.Error(), "larger than") {
			t.Error(err)
		}
	})
	t.Run("names", func(t *testing.T) {
		tree := &tree{kinds: map[string]entryKind{}, names: maxNames}
		if err := tree.note("f", kindLeaf); err == nil || !strings.Contains(err.Error(), "longer than") {
			t.Error(err)
		}
	})
}

// Whatever the tar: nothing outside dir changes, and everything in it can be removed.
func FuzzUntar(f *testing.F) {
	f.Add("top/a", "top/b/c", "/etc", true)
	f.Add("../x", "top/../x", "", false)
	f.Add("top/l", "top/l/x", "../outside", true)
	f.Add("top/l/", "top/l", "top", true)
	f.Fuzz(func(t *testing.T, one, two, target string, link bool) {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		h := tar.Header{Name: one, Typeflag: tar.TypeReg}
		if link {
			h = tar.Header{Name: one, Typeflag: tar.TypeSymlink, Linkname: target}
		}
		for _, h := range []tar.Header{{Name: "top/", Typeflag: tar.TypeDir}, h, {Name: two, Typeflag: tar.TypeReg}} {
			if w.WriteHeader(&h) != nil {
				return
			}
		}
		_ = w.Close()
		above := t.TempDir()
		dir := filepath.Join(above, "a/dir")
		outside := filepath.Join(above, "a/outside")
		if err := errors.Join(os.MkdirAll(dir, 0o755), os.Mkdir(outside, 0o755)); err != nil {
			t.Fatal(err)
		}
		if tree, err := untar(&b, dir); err == nil {
			if err := tree.seal(); err != nil {
				t.Error(err)
			}
		}
		if err := removeTree(dir); err != nil {
			t.Error(err)
		}
		if got := listNames(t, above); !slices.Equal(got, []string{".", "a", "a/outside"}) {
			t.Errorf("%q, %q -> %q (%v): left %v", one, two, target, link, got)
		}
	})
}

// Whichever bit is wrong, the decoder survives and the digest tells.
func TestUnpackFlips(t *testing.T) {
	dir := freshDir(t)
	for _, args := range [][]string{nil, {"--x86", "--lzma2=preset=0"}, {"--threads=2", "--block-size=2KiB"}} {
		good := compress(t, makeTar(t, goodEntries()[:5]...), args...)
		_, goodDigest := archiveFile(t, good)
		for i := range good {
			data := slices.Clone(good)
			data[i] ^= 1 << (i % 8)
			archive, digest := archiveFile(t, data)
			err := Unpack(t.Context(), archive, goodDigest, dir, nil)
			if d, ok := errors.AsType[*DigestError](err); !ok || d.Got != digest {
				t.Errorf("byte %d of %d: %v", i, len(good), err)
			}
			if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
				t.Fatalf("byte %d: left %s", i, dir)
			}
		}
	}
}

// The lab's releases of Nix carry the hashes that Nix computed itself.
func TestUnpackRelease(t *testing.T) {
	for _, archive := range labReleases(t) {
		dir := freshDir(t)
		unpackRelease(t, archive, dir)
		reg, err := os.Open(filepath.Join(dir, ".reginfo"))
		if err != nil {
			t.Fatal(err)
		}
		infos, err := ParseRegInfo(reg)
		_ = reg.Close()
		if err != nil {
			t.Fatal(err)
		}
		for _, info := range infos {
			hash, size, err := NarHash(t.Context(), filepath.Join(dir, "store", filepath.Base(info.Path)))
			if err != nil || hash != info.NarHash || size != info.NarSize {
				t.Errorf("%s: %s, %d bytes, %v; want %s, %d", info.Path, hash, size, err, info.NarHash, info.NarSize)
			}
		}
		if entries, err := os.ReadDir(filepath.Join(dir, "store")); err != nil || len(entries) != len(infos) {
			t.Errorf("%d store paths, %v; registered %d", len(entries), err, len(infos))
		}
	}
}

// labReleases returns the release tarballs that testdata/lab/hosts/make-nix-release
// made in $HOSTLAB_WORK, and skips the test if there are none.
func labReleases(t testing.TB) []string {
	work, ok := os.LookupEnv("HOSTLAB_WORK")
	if !ok {
		t.Skip("HOSTLAB_WORK is not set")
	}
	archives, err := filepath.Glob(filepath.Join(work, "releases/nix/*/*.tar.xz"))
	if err != nil || len(archives) == 0 {
		t.Skipf("no releases in %s: %v", work, err)
	}
	return archives
}

func unpackRelease(t testing.TB, archive, dir string) {
	t.Helper()
	digest, err := os.ReadFile(archive + ".sha256")
	if err == nil {
		err = Unpack(t.Context(), archive, string(digest), dir, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func BenchmarkUnpackRelease(b *testing.B) {
	archives := labReleases(b)
	archive := archives[len(archives)-1]
	if info, err := os.Stat(archive); err == nil {
		b.SetBytes(info.Size())
	}
	dir := freshDir(b)
	for b.Loop() {
		unpackRelease(b, archive, dir)
		b.StopTimer()
		if err := removeTree(dir); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}
