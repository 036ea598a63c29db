package host

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"movein/bootstrap/host/bundle"
)

func TestStreamGoesOnWhereItBroke(t *testing.T) {
	var o *origin
	o = newOrigin(t, status(http.StatusServiceUnavailable), cut(&o, 100_000), reset)
	in := (&Fetch{Backoff: func(int) time.Duration { return 0 }}).Stream(t.Context(), o.URL)
	defer in.Close()
	got, err := io.ReadAll(in)
	if err != nil || !bytes.Equal(got, o.body) || o.requests() != "GET, GET, GET bytes=100000-, GET bytes=100000-" {
		t.Errorf("%d bytes, %v, after %s", len(got), err, o.requests())
	}
}

func TestStreamGivesUp(t *testing.T) {
	var o *origin
	for name, c := range map[string]struct {
		answers  []http.HandlerFunc
		requests string
	}{
		"it is not there":         {[]http.HandlerFunc{status(http.StatusNotFound)}, "GET"},
		"it breaks, and is whole": {[]http.HandlerFunc{cut(&o, 10), ignoring(&o)}, "GET, GET bytes=10-"},
		"it is reset for ever":    {[]http.HandlerFunc{reset, reset, reset, reset, reset}, "GET, GET, GET, GET, GET"},
	} {
		o = newOrigin(t, c.answers...)
		in := (&Fetch{Backoff: func(int) time.Duration { return 0 }}).Stream(t.Context(), o.URL)
		_, err := io.ReadAll(in)
		if !errors.As(err, new(*UnreachableError)) || o.requests() != c.requests {
			t.Errorf("%s: %v, after %s", name, err, o.requests())
		}
		in.Close()
	}
}

// newBundle makes a bundle and reads it.
func newBundle(t *testing.T, dir string) *bundle.File {
	t.Helper()
	from := filepath.Join(dir, "from")
	for name, text := range map[string]string{"movein": "program", "cache/a.narinfo": "about a", "cache/nar/a.nar": "a", "chezmoi/c": "c"} {
		must(t, os.MkdirAll(filepath.Dir(filepath.Join(from, name)), 0o700))
		must(t, os.WriteFile(filepath.Join(from, name), []byte(text), 0o600))
	}
	file := filepath.Join(dir, "b")
	must(t, WriteBundle(file, from, bundle.Manifest{}, nil))
	b, err := OpenBundle(t.Context(), file, bundle.Trust{})
	must(t, err)
	return b
}

func TestABundleReplacesNothingThatIsThereByThen(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "b")
	must(t, os.Mkdir(dir+"/from", 0o700))
	must(t, os.WriteFile(file, []byte("mine"), 0o600))
	err := WriteBundle(file, dir+"/from", bundle.Manifest{}, nil)
	if got, _ := os.ReadFile(file); !errors.Is(err, fs.ErrExist) || string(got) != "mine" {
		t.Errorf("%v, %q", err, got)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 2 {
		t.Errorf("%v, %v", left, err)
	}
}

func TestUnbundleWritesWhatTheManifestSays(t *testing.T) {
	dir := t.TempDir()
	b, r := newBundle(t, dir), Real{}
	must(t, r.Unbundle(t.Context(), *b, "chezmoi/c", dir+"/c"))
	must(t, r.Unbundle(t.Context(), *b, "cache/", dir+"/cache"))
	for name, want := range map[string]string{"c": "c", "cache/a.narinfo": "about a", "cache/nar/a.nar": "a"} {
		if got, err := os.ReadFile(filepath.Join(dir, name)); string(got) != want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if err := r.Unbundle(t.Context(), *b, "none", dir+"/none"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	// Somebody changes the file once it was read, and trusted.
	data, err := os.ReadFile(b.Name)
	must(t, err)
	_, at, err := b.Offset("cache/nar/a.nar")
	must(t, err)
	data[at] = 'b'
	must(t, os.WriteFile(b.Name, data, 0o600))
	for _, name := range []string{"cache/", "cache/nar/a.nar"} {
		if err := r.Unbundle(t.Context(), *b, name, dir+"/other"); !errors.As(err, new(*DigestError)) {
			t.Errorf("%s: %v", name, err)
		}
		if exists(dir + "/other") {
			t.Errorf("%s: something is left of it", name)
		}
	}
}

func TestOnlyAWholeBundleIsKept(t *testing.T) {
	dir := t.TempDir()
	data, err := os.ReadFile(newBundle(t, dir).Name)
	must(t, err)
	o := newOrigin(t)
	to := filepath.Join(dir, "kept")
	for _, body := range [][]byte{data[:len(data)-1], append(bytes.Clone(data), 0)} {
		o.body = body
		if _, err := FetchBundle(t.Context(), o.URL, to, bundle.Trust{}); !errors.Is(err, bundle.ErrDamaged) || exists(to) {
			t.Errorf("%d of %d bytes: %v", len(body), len(data), err)
		}
	}
	o.body = data
	b, err := FetchBundle(t.Context(), o.URL, to, bundle.Trust{})
	must(t, err)
	if kept, err := os.ReadFile(b.Name); !bytes.Equal(kept, data) {
		t.Error(err)
	}
}

func TestABranchInABundleIsClonedAndFollowed(t *testing.T) {
	dir := newRepo(t)
	commit(t, dir, map[string]string{"a": "1"})
	first := commit(t, dir, map[string]string{"a": "2"})
	run(t, dir, "branch", "other")
	shallow := filepath.Join(t.TempDir(), "shallow")
	run(t, "/", "clone", "-q", "--depth=1", "file://"+dir, shallow)
	write(t, dir, map[string]string{"a": "not to be seen"})
	run(t, dir, "stash")
	for name, from := range map[string]string{"whole": dir, "shallow": shallow} {
		t.Run(name, func(t *testing.T) {
			file, clone := filepath.Join(t.TempDir(), "b"), filepath.Join(t.TempDir(), "clone")
			must(t, BundleBranch(t.Context(), from, file))
			if got := run(t, "/", "bundle", "list-heads", file); got != first+" HEAD\n"+first+" refs/heads/main" {
				t.Errorf("it has %s", got)
			}
			remote := Remote{URL: "https://example.org/mine.git", Bundle: file}
			if _, err := CloneRepo(t.Context(), remote, clone, nil); err != nil {
				t.Fatal(err)
			}
			run(t, clone, "fsck", "--full", "--strict")
			if got := run(t, clone, "status", "--porcelain", "--branch"); got != "## main...origin/main" {
				t.Error(got)
			}
			if got, want := run(t, clone, "rev-list", "HEAD"), run(t, from, "rev-list", "main"); got != want {
				t.Errorf("its history is %s, not %s", got, want)
			}
			if got := run(t, clone, "config", "remote.origin.url"); got != remote.URL {
				t.Error(got)
			}
			// A later bundle moves it forward.
			next := commit(t, from, map[string]string{"a": "3"})
			must(t, BundleBranch(t.Context(), from, file))
			must(t, FastForward(t.Context(), clone, Remote{URL: remote.URL, Branch: "main", Bundle: file}, next))
			run(t, clone, "fsck", "--full", "--strict")
			if got := run(t, clone, "rev-parse", "HEAD"); got != next {
				t.Errorf("it is at %s, not %s", got, next)
			}
		})
	}
}

func TestNoVaultIsBundled(t *testing.T) {
	dir := newRepo(t)
	commit(t, dir, map[string]string{"keys/my.KDBX": "vault"})
	commit(t, dir, map[string]string{"keys/my.KDBX": "", "b": "b"})
	file := filepath.Join(t.TempDir(), "b")
	if err := BundleBranch(t.Context(), dir, file); !errors.Is(err, ErrHasVault) || exists(file) {
		t.Errorf("what was removed since is still in its history: %v", err)
	}
}
