package secret

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"movein/bootstrap/host"
	"movein/bootstrap/host/kdbx"
)

// place is a host with these files, as seen by mitsio.
func place(t *testing.T, files ...string) (p Place, warnings *[]string) {
	t.Helper()
	root := t.TempDir()
	warnings = new([]string)
	for _, name := range files {
		name, link, isLink := strings.Cut(name, " -> ")
		name = filepath.Join(root, name)
		err := os.MkdirAll(filepath.Dir(name), 0o755)
		if isLink {
			err = errors.Join(err, os.Symlink(link, name))
		} else {
			err = errors.Join(err, os.WriteFile(name, []byte("vault"), 0o600))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return Place{Home: "/home/mitsio", User: "mitsio", Memory: "/home/mitsio/.local/state/movein/vault", Store: "/home/mitsio/.local/share/movein/vaults",
		Host: &host.Real{Root: root}, Warn: func(f string, a ...any) { *warnings = append(*warnings, fmt.Sprintf(f, a...)) }}, warnings
}

func TestFind(t *testing.T) {
	for name, c := range map[string]struct {
		files []string
		set   func(*Place)
		want  string // the file; else the error
		warns int
	}{
		"in MyVault":           {[]string{"home/mitsio/MyVault/my.kdbx", "home/mitsio/MyVault/notes.txt", "home/mitsio/MyVault/.hidden.kdbx"}, nil, "/home/mitsio/MyVault/my.kdbx", 0},
		"MyVault is a link":    {[]string{"data/sync/my.kdbx", "home/mitsio/MyVault -> ../../data/sync"}, nil, "/home/mitsio/MyVault/my.kdbx", 0},
		"the vault is a link":  {[]string{"data/my.kdbx", "home/mitsio/MyVault/my.kdbx -> /data/my.kdbx"}, nil, "/home/mitsio/MyVault/my.kdbx", 0},
		"a link to nowhere":    {[]string{"home/mitsio/MyVault/my.kdbx -> /data/my.kdbx"}, nil, "error: no vault was found in ~/MyVault or on removable media", 0},
		"on a stick":           {[]string{"run/media/mitsio/STICK/My.KDBX"}, nil, "/run/media/mitsio/STICK/My.KDBX", 0},
		"on an older one":      {[]string{"media/mitsio/STICK/MyVault/my.kdbx"}, nil, "/media/mitsio/STICK/MyVault/my.kdbx", 0},
		"on a disk":            {[]string{"media/disk/my.kdbx"}, nil, "/media/disk/my.kdbx", 0},
		"another user's stick": {[]string{"run/media/other/STICK/my.kdbx"}, nil, "error: no vault was found", 0},
		"Windows, and no WSL":  {[]string{"mnt/c/Users/Mitsi/MyVault/my.kdbx"}, nil, "error: no vault was found", 0},
		"Windows":              {[]string{"mnt/c/Users/Mitsi/Documents/my.kdbx"}, func(p *Place) { p.WSL = true }, "/mnt/c/Users/Mitsi/Documents/my.kdbx", 0},
		"one, by two ways":     {[]string{"mnt/c/Users/Mitsi/MyVault/my.kdbx", "home/mitsio/MyVault -> /mnt/c/Users/Mitsi/MyVault"}, func(p *Place) { p.WSL = true }, "/home/mitsio/MyVault/my.kdbx", 0},
		"none":                 {nil, nil, "error: no vault was found", 0},
		"two":                  {[]string{"home/mitsio/MyVault/a.kdbx", "run/media/mitsio/S/b.kdbx"}, nil, "error: there are several vaults: /home/mitsio/MyVault/a.kdbx, /run/media/mitsio/S/b.kdbx", 0},
		"copies of conflicts":  {[]string{"home/mitsio/MyVault/my.kdbx", "home/mitsio/MyVault/my.sync-conflict-20260102-150405-ABCDEFG.kdbx", "home/mitsio/MyVault/my (mitsi's conflicted copy 2026-01-02).kdbx"}, nil, "/home/mitsio/MyVault/my.kdbx", 2},
		"given":                {[]string{"data/x", "home/mitsio/MyVault/my.kdbx"}, func(p *Place) { p.Given = "/data/x" }, "/data/x", 0},
		"given below the home": {[]string{"home/mitsio/v/x.kdbx", "home/mitsio/v/x.sync-conflict-20260102-150405-ABCDEFG.kdbx", "home/mitsio/v/other.sync-conflict-20260102-150405-ABCDEFG.kdbx"}, func(p *Place) { p.Given = "~/v/x.kdbx" }, "/home/mitsio/v/x.kdbx", 1},
		"given a directory":    {[]string{"data/x.kdbx"}, func(p *Place) { p.Given = "/data" }, "/data/x.kdbx", 0},
		"given an empty one":   {[]string{"data/x"}, func(p *Place) { p.Given = "/data" }, "error: no vault was found in /data", 0},
		"given, and not there": {[]string{"home/mitsio/MyVault/my.kdbx"}, func(p *Place) { p.Given = "/data/x" }, "error: no vault was found: open ", 0},
		"given as http":        {nil, func(p *Place) { p.Given = "http://example.org/x.kdbx" }, "error: no vault was found at http://example.org/x.kdbx", 0},
	} {
		p, warnings := place(t, c.files...)
		if c.set != nil {
			c.set(&p)
		}
		f, err := p.Find(t.Context())
		if wrong, ok := strings.CutPrefix(c.want, "error: "); ok {
			if err == nil || !strings.HasPrefix(err.Error(), wrong) {
				t.Errorf("%s: %v, %v", name, f, err)
			}
		} else if f.File != c.want || err != nil {
			t.Errorf("%s: %v, %v", name, f, err)
		}
		if len(*warnings) != c.warns {
			t.Errorf("%s: %q", name, *warnings)
		}
	}
}

// TestRemember: the choice is not asked for again, unless the vault is gone.
func TestRemember(t *testing.T) {
	p, _ := place(t, "home/mitsio/MyVault/a.kdbx", "run/media/mitsio/S/b.kdbx")
	b := Found{File: "/run/media/mitsio/S/b.kdbx"}
	if err := p.Remember(b); err != nil {
		t.Fatal(err)
	}
	if f, err := p.Find(t.Context()); f != b || err != nil {
		t.Errorf("%v, %v", f, err)
	}
	info, err := os.Stat(filepath.Join(p.Host.Root, p.Memory))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	os.Remove(filepath.Join(p.Host.Root, b.File))
	if f, err := p.Find(t.Context()); f.File != "/home/mitsio/MyVault/a.kdbx" || err != nil {
		t.Errorf("the stick was pulled out: %v, %v", f, err)
	}
	os.Remove(filepath.Join(p.Host.Root, "home/mitsio/MyVault/a.kdbx"))
	if _, err := p.Find(t.Context()); !errors.Is(err, ErrNoVault) || !strings.Contains(err.Error(), b.File) {
		t.Error(err)
	}
}

func TestChoose(t *testing.T) {
	m, tty := terminal(t)
	for _, c := range []struct {
		typed []string
		want  string
		err   error
	}{
		{[]string{"2"}, "/run/media/mitsio/S/b.kdbx", nil},
		{[]string{"3", "x", "1"}, "/home/mitsio/MyVault/a.kdbx", nil},
		{[]string{""}, "", ErrLater},
		{[]string{"0", "7", "-1"}, "", ErrLater},
	} {
		p, _ := place(t, "home/mitsio/MyVault/a.kdbx", "run/media/mitsio/S/b.kdbx")
		p.Ask, p.tty = true, tty
		type result struct {
			f   Found
			err error
		}
		end := make(chan result, 1)
		go func() {
			f, err := p.Find(t.Context())
			end <- result{f, err}
		}()
		for i, typed := range c.typed {
			if i == 0 {
				if shown := await(t, m, "empty: none now] "); !strings.Contains(shown, "2  /run/media/mitsio/S/b.kdbx") {
					t.Errorf("shown is %q", shown)
				}
			} else {
				await(t, m, "A number from 1 to 2: ")
			}
			m.WriteString(typed + "\n")
		}
		if r := <-end; r.f.File != c.want || !errors.Is(r.err, c.err) {
			t.Errorf("%q: %v, %v", c.typed, r.f, r.err)
		}
	}
}

func TestDownload(t *testing.T) {
	content, asked := "the vault", 0
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		if user, pw, _ := r.BasicAuth(); r.URL.Path == "/private" && (user != "me" || pw != canary) {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Write([]byte(content))
	}))
	defer srv.Close()
	p, _ := place(t)
	p.Given, p.Fetch = srv.URL+"/my.kdbx", &host.Fetch{Client: srv.Client()}
	sum := digest([]byte(content))

	// Nobody has said that it is the right one.
	_, err := p.Find(t.Context())
	if u, ok := errors.AsType[*UnconfirmedError](err); !ok || u.SHA256 != sum {
		t.Errorf("unconfirmed: %v", err)
	}
	p.SHA256 = strings.Repeat("0", 64)
	if _, err := p.Find(t.Context()); !errors.As(err, new(*host.DigestError)) {
		t.Errorf("another digest: %v", err)
	}
	if left, err := p.Host.ReadDir(p.Store); len(left) > 0 {
		t.Errorf("it was kept: %v, %v", left, err)
	}

	p.SHA256 = strings.ToUpper(sum)
	f, err := p.Find(t.Context())
	if err != nil || f != (Found{File: p.Store + "/" + sum + ".kdbx", URL: srv.URL + "/my.kdbx", SHA256: sum}) {
		t.Fatalf("%+v, %v", f, err)
	}
	if info, err := p.Host.Lstat(f.File); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if err := p.Remember(f); err != nil {
		t.Fatal(err)
	}

	// Remembered, it is not asked for again, nor downloaded, unless the copy is damaged.
	p.SHA256, asked = "", 0
	for _, given := range []string{p.Given, ""} {
		p.Given = given
		if again, err := p.Find(t.Context()); again != f || err != nil || asked != 0 {
			t.Errorf("%+v, %v, %d requests", again, err, asked)
		}
	}
	p.Given = srv.URL + "/another.kdbx"
	if again, err := p.Find(t.Context()); !errors.As(err, new(*UnconfirmedError)) {
		t.Errorf("what was confirmed of another address: %+v, %v", again, err)
	}
	p.Given, asked = f.URL, 0
	os.WriteFile(filepath.Join(p.Host.Root, f.File), []byte("damaged"), 0o600)
	if again, err := p.Find(t.Context()); again != f || err != nil || asked != 1 {
		t.Errorf("%+v, %v, %d requests", again, err, asked)
	}
	// Another one in its place is not taken without a word.
	os.Remove(filepath.Join(p.Host.Root, f.File))
	content = "another vault"
	if _, err := p.Find(t.Context()); !errors.As(err, new(*UnconfirmedError)) {
		t.Error(err)
	}

	// Who logs in is told to nobody.
	p.Given = strings.Replace(srv.URL, "https://", "https://me:canary-Qm7-%C3%A4%20x@", 1) + "/private"
	if f, err := p.Find(t.Context()); err == nil || strings.Contains(fmt.Sprint(f, err), "canary") {
		t.Errorf("%v, %v", f, err)
	} else if _, ok := errors.AsType[*UnconfirmedError](err); !ok {
		t.Errorf("logging in: %v", err)
	}
	p.Given = strings.Replace(p.Given, "me:", "you:", 1)
	if _, err := p.Find(t.Context()); !errors.As(err, new(*host.UnreachableError)) || strings.Contains(err.Error(), "canary") {
		t.Errorf("not let in: %v", err)
	}
}

// TestConfirm: a digest is confirmed by yes, and by nothing else.
func TestConfirm(t *testing.T) {
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("vault")) }))
	defer srv.Close()
	m, tty := terminal(t)
	for answer, ok := range map[string]bool{"y": true, "YES": true, "": false, "n": false, "yess": false} {
		p, _ := place(t)
		p.Given, p.Fetch, p.Ask, p.tty = srv.URL, &host.Fetch{Client: srv.Client()}, true, tty
		end := make(chan error, 1)
		go func() {
			_, err := p.Find(context.Background())
			end <- err
		}()
		if shown := await(t, m, "[y/N] "); !strings.Contains(shown, digest([]byte("vault"))) {
			t.Errorf("shown is %q", shown)
		}
		m.WriteString(answer + "\n")
		if err := <-end; (err == nil) != ok {
			t.Errorf("%q: %v", answer, err)
		}
	}
}

// TestOpen opens vaults that KeePassXC has made.
func TestOpen(t *testing.T) {
	const dir = "../kdbx/testdata/"
	right, wrong := kdbx.NewSecret("correct horse ü"), kdbx.NewSecret("wrong")
	for _, c := range []struct {
		vault, key string
		pw         *kdbx.Secret
		err        error
	}{
		{"cli4.kdbx", "", &right, nil},
		{"cli4.kdbx", "", &wrong, kdbx.ErrWrongKey},
		{"cli4.kdbx", "", nil, kdbx.ErrNoKey},
		{"cli31-any-key.kdbx", "any.key", &right, nil},
		{"cli31-any-key.kdbx", "", &right, kdbx.ErrWrongKey},
		{"cli31-only-key.kdbx", "any.key", nil, nil},
		{"any.key", "", &right, kdbx.ErrNotVault},
	} {
		key := ""
		if c.key != "" {
			key = dir + c.key
		}
		f, err := Read(&host.Real{}, dir+c.vault, key)
		if err != nil {
			t.Fatal(err)
		}
		v, err := f.Open(t.Context(), c.pw)
		if !errors.Is(err, c.err) || (err == nil) != (v != nil) {
			t.Errorf("%s with %s: %v", c.vault, c.key, err)
		}
	}
	for _, names := range [][2]string{{dir + "no.kdbx", ""}, {dir + "cli4.kdbx", dir + "no.key"}, {dir, ""}, {dir + "cli4.kdbx", "/dev/null"}} {
		if _, err := Read(&host.Real{}, names[0], names[1]); err == nil {
			t.Errorf("%q can be read", names)
		}
	}
}

// TestReadOnly: whoever opens a vault leaves it, and what is beside it, as it is.
func TestReadOnly(t *testing.T) {
	p, _ := place(t)
	data, err := os.ReadFile("../kdbx/testdata/cli4.kdbx")
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(p.Host.Root, "home/mitsio/MyVault")
	if err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(dir+"/my.kdbx", data, 0o400)); err != nil {
		t.Fatal(err)
	}
	before, _ := os.Stat(dir + "/my.kdbx")
	found, err := p.Find(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	f, err := Read(p.Host, found.File, "")
	if err != nil {
		t.Fatal(err)
	}
	pw := kdbx.NewSecret("correct horse ü")
	if _, err := f.Open(t.Context(), &pw); err != nil {
		t.Fatal(err)
	}
	after, _ := os.Stat(dir + "/my.kdbx")
	now, err := os.ReadFile(dir + "/my.kdbx")
	names, _ := os.ReadDir(dir)
	if err != nil || !slices.Equal(now, data) || !before.ModTime().Equal(after.ModTime()) || !os.SameFile(before, after) || len(names) != 1 {
		t.Errorf("it was written: %v, %v, %v", before, after, names)
	}
}
