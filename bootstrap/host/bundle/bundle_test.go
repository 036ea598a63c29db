package bundle_test

import (
	"archive/tar"
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"golang.org/x/crypto/blake2b"

	"movein/bootstrap/host/bundle"
	"movein/bootstrap/host/minisign"
)

// keys are a pair of minisign's, without a password.
func keys(t *testing.T) (minisign.SecretKey, minisign.Key) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	body := slices.Concat([]byte("12345678"), private)
	sum := blake2b.Sum256(append([]byte("Ed"), body...))
	secret, err := minisign.ParseSecretKey("untrusted comment: x\n" + base64.StdEncoding.EncodeToString(slices.Concat([]byte("Ed\x00\x00B2"), make([]byte, 48), body, sum[:])))
	if err != nil {
		t.Fatal(err)
	}
	key, err := minisign.ParseKey(base64.StdEncoding.EncodeToString(slices.Concat([]byte("Ed12345678"), public)))
	if err != nil {
		t.Fatal(err)
	}
	return secret, key
}

var files = fstest.MapFS{
	"chezmoi/chezmoi.tar.gz":  {Data: []byte("chezmoi")},
	"cache/nix-cache-info":    {Data: []byte("StoreDir: /nix/store\n")},
	"cache/nar/0abc.nar.zst":  {Data: bytes.Repeat([]byte("nar"), 500)},
	"cache/0abc.narinfo":      {Data: []byte("StorePath: /nix/store/0abc\n")},
	"repos/home-repo.bundle":  {Data: bytes.Repeat([]byte("g"), 512)},
	"nix/nix-2.34.8.tar.xz":   {Data: bytes.Repeat([]byte("n"), 1025)},
	"movein":                  {Data: []byte("\x7fELF")},
	"cache/nar/empty.nar.zst": {},
}

// made is a signed bundle of files.
func made(t *testing.T, secret minisign.SecretKey) []byte {
	t.Helper()
	var b bytes.Buffer
	m := bundle.Manifest{System: "x86_64-linux", Home: bundle.Repo{URL: "https://example.org/home.git", Entry: "repos/home-repo.bundle"}}
	sign := func(m []byte) []byte { return secret.Sign(m, "a comment") }
	if err := bundle.Write(&b, files, m, sign); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestWhatIsWrittenIsReadInTheOrderOfUse(t *testing.T) {
	secret, key := keys(t)
	data := made(t, secret)
	b, err := bundle.Read(bytes.NewReader(data), bundle.Trust{Key: &key})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range b.Manifest.Entries {
		names = append(names, e.Name)
		_, at, err := b.Offset(e.Name)
		if got := data[at : at+e.Size]; err != nil || !bytes.Equal(got, files[e.Name].Data) {
			t.Errorf("%s is %q, %v", e.Name, got, err)
		}
	}
	if got := strings.Join(names, " "); got != "movein nix/nix-2.34.8.tar.xz repos/home-repo.bundle cache/0abc.narinfo cache/nar/0abc.nar.zst cache/nar/empty.nar.zst cache/nix-cache-info chezmoi/chezmoi.tar.gz" {
		t.Error(got)
	}
	if b.Size != int64(len(data)) || b.Manifest.Home.URL != "https://example.org/home.git" || b.SignedBy != key.ID() {
		t.Errorf("%+v", b)
	}
	for in := tar.NewReader(bytes.NewReader(data)); ; { // any tar can read it
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if f := files[h.Name]; f == nil && !strings.HasPrefix(h.Name, "manifest.json") {
			t.Errorf("tar sees %q", h.Name)
		}
	}
	if !bytes.Equal(data, made(t, secret)) {
		t.Error("the same files make another bundle")
	}
}

// Every byte counts: that of a header and of the padding too.
func TestNoByteMayBeAnother(t *testing.T) {
	secret, key := keys(t)
	data := made(t, secret)
	for at := range data {
		bad := slices.Clone(data)
		bad[at] ^= byte(1 + rand.IntN(255)) //nolint:gosec // any
		if _, err := bundle.Read(bytes.NewReader(bad), bundle.Trust{Key: &key}); !errors.Is(err, bundle.ErrDamaged) && !errors.Is(err, bundle.ErrUntrusted) {
			t.Fatalf("byte %d of %d may be %q instead of %q: %v", at, len(data), bad[at], data[at], err)
		}
	}
}

func TestWhatWasCutOffOrGoesOnIsRefused(t *testing.T) {
	secret, key := keys(t)
	data := made(t, secret)
	for size := range data {
		if _, err := bundle.Read(bytes.NewReader(data[:size]), bundle.Trust{Key: &key}); !errors.Is(err, bundle.ErrDamaged) {
			t.Fatalf("the first %d of %d bytes: %v", size, len(data), err)
		}
	}
	if _, err := bundle.Read(bytes.NewReader(append(data, 0)), bundle.Trust{Key: &key}); !errors.Is(err, bundle.ErrDamaged) {
		t.Errorf("with one byte more: %v", err)
	}
}

func TestOnlyWhoIsTrustedIsBelieved(t *testing.T) {
	secret, key := keys(t)
	_, other := keys(t)
	data := made(t, secret)
	var unsigned bytes.Buffer
	if err := bundle.Write(&unsigned, files, bundle.Manifest{}, nil); err != nil {
		t.Fatal(err)
	}
	digest := func(data []byte) string {
		b, err := bundle.Read(bytes.NewReader(data), bundle.Trust{})
		if err != nil {
			t.Fatal(err)
		}
		return b.SHA256
	}
	for _, c := range []struct {
		what  string
		data  []byte
		trust bundle.Trust
		ok    bool
	}{
		{"its key", data, bundle.Trust{Key: &key}, true},
		{"another key", data, bundle.Trust{Key: &other}, false},
		{"a key, and nobody signed it", unsigned.Bytes(), bundle.Trust{Key: &key}, false},
		{"its digest", unsigned.Bytes(), bundle.Trust{SHA256: strings.ToUpper(digest(unsigned.Bytes()))}, true},
		{"another's digest", unsigned.Bytes(), bundle.Trust{SHA256: digest(data)}, false},
		{"its key, and another's digest", data, bundle.Trust{Key: &key, SHA256: digest(unsigned.Bytes())}, false},
	} {
		if _, err := bundle.Read(bytes.NewReader(c.data), c.trust); (err == nil) != c.ok || err != nil && !errors.Is(err, bundle.ErrUntrusted) {
			t.Errorf("%s: %v", c.what, err)
		}
	}
}

// A manifest may be signed and be wrong all the same.
func TestNamesThatLeaveTheDirectoryAreRefused(t *testing.T) {
	for _, name := range []string{"../x", "/x", "a/../../x", "", ".", "a//b", "movein"} {
		var b bytes.Buffer
		write := func(name, text string) {
			w := tar.NewWriter(&b)
			if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: int64(len(text)), Mode: 0o644, Format: tar.FormatUSTAR}); err != nil {
				t.Fatal(err)
			}
			io.WriteString(w, text) //nolint:errcheck // to memory
			w.Flush()               //nolint:errcheck // to memory
		}
		const none = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
		write("manifest.json", fmt.Sprintf(`{"schema":1,"entries":[{"name":"movein","size":0,"sha256":%q},{"name":%q,"size":0,"sha256":%[1]q}]}`, none, name))
		write("manifest.json.minisig", "")
		_, err := bundle.Read(&b, bundle.Trust{})
		if !errors.Is(err, bundle.ErrDamaged) || !strings.Contains(err.Error(), "its manifest has an entry") {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// The program minisign, where it is, finds the signature to be of the manifest.
func TestMinisignVerifiesTheManifest(t *testing.T) {
	program, err := exec.LookPath("minisign")
	if err != nil {
		t.Skip("no minisign on this machine")
	}
	dir := t.TempDir()
	run := func(name string, args ...string) {
		cmd := exec.Command(name, args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s %v: %v\n%s", name, args, err, out)
		}
	}
	run(program, "-G", "-W", "-p", "pub", "-s", "sec")
	text, err := os.ReadFile(filepath.Join(dir, "sec"))
	if err != nil {
		t.Fatal(err)
	}
	secret, err := minisign.ParseSecretKey(string(text))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "b"), made(t, secret), 0o600); err != nil {
		t.Fatal(err)
	}
	run("tar", "-xf", "b")
	run(program, "-V", "-p", "pub", "-m", "manifest.json")
}
