package secret

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"

	"movein/bootstrap/host"
	"movein/bootstrap/host/kdbx"
)

// ErrNoVault says that there is no vault where one is looked for.
var ErrNoVault = errors.New("no vault was found")

// SeveralError says that there are several vaults, and nobody to say which is meant.
type SeveralError struct{ Names []string }

func (e *SeveralError) Error() string {
	return "there are several vaults: " + strings.Join(e.Names, ", ")
}

// UnconfirmedError says that nobody said whether what a server sent is the vault.
type UnconfirmedError struct{ URL, SHA256 string }

func (e *UnconfirmedError) Error() string {
	return fmt.Sprintf("nobody confirmed that the vault at %s is the right one; its SHA-256 is %s", e.URL, e.SHA256)
}

// Limits of files, in bytes.
const (
	mostVault = 256 << 20
	mostKey   = 16 << 20
)

// Place says where the vault is.
type Place struct {
	Given  string // a file, a directory, an https URL, an address on an ssh server; "": it is looked for
	SHA256 string // of what the URL brings, in hex; "": of an https URL, somebody is asked
	Home   string
	User   string
	WSL    bool   // look on the Windows drives too
	Memory string // the file that remembers which vault it is
	Store  string // the directory for what was downloaded

	Ask    bool                          // somebody may be asked, on the terminal
	Asking func()                        // called before; may be nil
	Warn   func(format string, a ...any) // may be nil
	Host   *host.Real
	Fetch  *host.Fetch // nil: the usual
	SSH    *host.Logins

	tty string
}

// Found is a vault.
type Found struct {
	File   string `json:"file"`
	URL    string `json:"url,omitempty"` // that it was downloaded from, without who logs in there
	SHA256 string `json:"sha256,omitempty"`
}

// Find finds the vault: the given one; else the one remembered, if it is there still; else
// the only one in the places where people have it, or that which somebody chooses.
// Errors: ErrNoVault, *SeveralError, *UnconfirmedError, ErrLater; *host.UnreachableError
// and *host.DigestError of a URL.
func (p *Place) Find(ctx context.Context) (Found, error) {
	last := p.remembered()
	switch {
	case strings.HasPrefix(p.Given, "https://"), host.IsSSH(p.Given):
		return p.download(ctx, last)
	case strings.Contains(p.Given, "://"):
		return Found{}, fmt.Errorf("%w at %s: a vault is a file or at an address that begins with https:// or ssh://", ErrNoVault, p.Given)
	case p.Given != "":
		return p.given(ctx)
	case last.File != "" && p.isVault(last.File):
		p.warnOfCopies(last.File)
		return last, nil
	}
	names, copies := p.look(p.usual())
	p.warn(copies)
	if len(names) == 0 && last.File != "" {
		return Found{}, fmt.Errorf("%w: %s, which was used here before, is not there now", ErrNoVault, last.File)
	} else if len(names) == 0 {
		return Found{}, fmt.Errorf("%w in ~/MyVault or on removable media", ErrNoVault)
	}
	return p.choose(ctx, names)
}

// given is the vault that the user has named.
func (p *Place) given(ctx context.Context) (Found, error) {
	name := p.Given
	if rest, ok := strings.CutPrefix(name, "~/"); ok {
		name = filepath.Join(p.Home, rest)
	}
	if _, err := p.Host.ReadDir(name); err == nil {
		names, copies := p.look([]string{name})
		p.warn(copies)
		if len(names) == 0 {
			return Found{}, fmt.Errorf("%w in %s", ErrNoVault, name)
		}
		return p.choose(ctx, names)
	}
	if _, err := p.Host.ReadHead(name, 1); err != nil {
		return Found{}, fmt.Errorf("%w: %w", ErrNoVault, err)
	}
	p.warnOfCopies(name)
	return Found{File: name}, nil
}

// usual are the directories where people have their vault.
func (p *Place) usual() []string {
	dirs := []string{filepath.Join(p.Home, "MyVault")}
	below := func(parent string, subs ...string) {
		entries, err := p.Host.ReadDir(parent)
		if err != nil {
			return
		}
		for _, e := range entries {
			for _, sub := range subs {
				dirs = append(dirs, filepath.Join(parent, e.Name(), sub))
			}
		}
	}
	below("/run/media/"+p.User, "", "MyVault")
	below("/media/"+p.User, "", "MyVault")
	below("/media", "", "MyVault")
	if p.WSL {
		below("/mnt/c/Users", "MyVault", "Documents", "Documents/MyVault", "Desktop", "Downloads")
	}
	return dirs
}

// isVault reports whether there is a file that is not empty.
func (p *Place) isVault(name string) bool {
	head, err := p.Host.ReadHead(name, 1)
	return err == nil && len(head) == 1
}

// conflict is what programs that synchronise add to the name of a file that was changed in
// two places: Syncthing; Dropbox and Nextcloud.
var conflict = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`\.sync-conflict-\d{8}-\d{6}(-[A-Z0-9]+)?|(?i) ?\([^()]*conflicted copy[^()]*\)`)
})

// look lists the vaults in dirs, each file once, and the copies that conflicts have left.
func (p *Place) look(dirs []string) (names, copies []string) {
	seen := map[string]bool{}
	for _, dir := range dirs {
		entries, err := p.Host.ReadDir(dir)
		if err != nil {
			continue
		}
		for _, e := range entries {
			name := filepath.Join(dir, e.Name())
			real := p.Host.Resolve(name)
			if !strings.EqualFold(filepath.Ext(name), ".kdbx") || strings.HasPrefix(e.Name(), ".") || seen[real] || !p.isVault(name) {
				continue
			}
			seen[real] = true
			if conflict().MatchString(e.Name()) {
				copies = append(copies, name)
			} else {
				names = append(names, name)
			}
		}
	}
	return names, copies
}

// warnOfCopies warns of what conflicts have left of one vault.
func (p *Place) warnOfCopies(vault string) {
	_, copies := p.look([]string{filepath.Dir(vault)})
	p.warn(slices.DeleteFunc(copies, func(name string) bool {
		return conflict().ReplaceAllString(filepath.Base(name), "") != filepath.Base(vault)
	}))
}

func (p *Place) warn(copies []string) {
	for _, name := range copies {
		if p.Warn != nil {
			p.Warn("%s was left by two changes of the vault at the same time, and may have entries that the vault has not: merge it in KeePassXC, then remove it", name)
		}
	}
}

// choose is the only one of names, or the one that somebody chooses.
func (p *Place) choose(ctx context.Context, names []string) (Found, error) {
	if len(names) == 1 {
		return Found{File: names[0]}, nil
	}
	if !p.Ask {
		return Found{}, &SeveralError{names}
	}
	var text strings.Builder
	text.WriteString("There are several vaults:\n")
	for i, name := range names {
		fmt.Fprintf(&text, "  %d  %s\n", i+1, name)
	}
	if p.Asking != nil {
		p.Asking()
	}
	question := fmt.Sprintf("%sWhich is yours? [1-%d, empty: none now] ", text.String(), len(names))
	for range tries {
		answer, err := answerTTY(ctx, p.tty, question)
		if errors.Is(err, errNoTTY) {
			return Found{}, &SeveralError{names}
		} else if err != nil {
			return Found{}, err
		}
		if answer == "" {
			return Found{}, ErrLater
		}
		for i := range names {
			if answer == fmt.Sprint(i+1) {
				return Found{File: names[i]}, nil
			}
		}
		question = fmt.Sprintf("A number from 1 to %d: ", len(names))
	}
	return Found{}, ErrLater
}

// download is the vault at a URL: the one that was downloaded before, or what the server sends,
// if that has the given digest, or somebody says that its digest is right, or the server is
// one that is known by its ssh key. It is kept under its digest, so that none replaces another.
func (p *Place) download(ctx context.Context, last Found) (Found, error) {
	overSSH := host.IsSSH(p.Given)
	if at, err := url.Parse(p.Given); !overSSH && (err != nil || at.Host == "") {
		return Found{}, fmt.Errorf("%w: that is no address", ErrNoVault)
	}
	f := Found{URL: host.BareURL(p.Given), SHA256: strings.ToLower(p.SHA256)}
	if f.SHA256 == "" && last.URL == f.URL {
		f.SHA256 = last.SHA256
	}
	if f.SHA256 != "" {
		f.File = p.stored(f.SHA256)
		if data, err := p.Host.ReadHead(f.File, mostVault); err == nil && digest(data) == f.SHA256 {
			return f, nil
		}
	}
	read := p.SSH.ReadSSH
	if !overSSH {
		read = cmp.Or(p.Fetch, new(host.Fetch)).Read
	}
	data, err := read(ctx, p.Given, mostVault)
	if err != nil {
		return Found{}, err
	}
	switch got := digest(data); {
	case p.SHA256 != "" && got != f.SHA256:
		return Found{}, &host.DigestError{Name: f.URL, Want: f.SHA256, Got: got}
	case got != f.SHA256:
		f.SHA256 = got
		if overSSH {
			break
		}
		if err := p.confirm(ctx, f); err != nil {
			return Found{}, err
		}
	}
	f.File = p.stored(f.SHA256)
	if err := errors.Join(p.Host.MkdirAll(p.Store, 0o700), p.Host.WriteFile(f.File, data, 0o600)); err != nil {
		return Found{}, fmt.Errorf("keeping the vault: %w", err)
	}
	return f, nil
}

func (p *Place) stored(sha256 string) string { return filepath.Join(p.Store, sha256+".kdbx") }

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// confirm asks whether a digest is the right one.
func (p *Place) confirm(ctx context.Context, f Found) error {
	if !p.Ask {
		return &UnconfirmedError{f.URL, f.SHA256}
	}
	if p.Asking != nil {
		p.Asking()
	}
	answer, err := answerTTY(ctx, p.tty, fmt.Sprintf("The vault at %s has the SHA-256\n  %s\nIs that yours? [y/N] ", f.URL, f.SHA256))
	if ctx.Err() != nil {
		return err
	}
	if answer = strings.ToLower(answer); err != nil || answer != "y" && answer != "yes" {
		return &UnconfirmedError{f.URL, f.SHA256}
	}
	return nil
}

// remembered is the vault that was opened here before.
func (p *Place) remembered() (f Found) {
	data, err := p.Host.ReadHead(p.Memory, 64<<10)
	if err != nil || json.Unmarshal(data, &f) != nil {
		return Found{}
	}
	return f
}

// Remember remembers a vault that could be opened.
func (p *Place) Remember(f Found) error {
	if p.Memory == "" || p.remembered() == f {
		return nil
	}
	data, err := json.Marshal(f)
	if err != nil {
		return err
	}
	if err := errors.Join(p.Host.MkdirAll(filepath.Dir(p.Memory), 0o700), p.Host.WriteFile(p.Memory, append(data, '\n'), 0o600)); err != nil {
		return fmt.Errorf("remembering the vault: %w", err)
	}
	return nil
}

// Files are the bytes of a vault and of its key file.
type Files struct {
	name       string
	vault, key []byte
}

// Read reads a vault, and its key file unless that is "". Nothing is ever written to either.
func Read(r *host.Real, vault, keyFile string) (f Files, err error) {
	f.name = vault
	if f.vault, err = readMost(r, vault, mostVault); err != nil {
		return f, fmt.Errorf("reading the vault: %w", err)
	}
	if keyFile != "" {
		if f.key, err = readMost(r, keyFile, mostKey); err != nil {
			return f, fmt.Errorf("reading the vault's key file: %w", err)
		}
	}
	return f, nil
}

func readMost(r *host.Real, name string, most int) ([]byte, error) {
	data, err := r.ReadHead(name, most+1)
	if err != nil {
		return nil, err
	}
	if len(data) > most {
		return nil, &fs.PathError{Op: "read", Path: name, Err: fmt.Errorf("it is larger than %d bytes", most)}
	}
	if len(data) == 0 {
		return nil, &fs.PathError{Op: "read", Path: name, Err: errors.New("it is empty")}
	}
	return data, nil
}

// Open opens the vault. password nil: its key is the key file alone.
func (f Files) Open(ctx context.Context, password *kdbx.Secret) (*kdbx.Vault, error) {
	c := kdbx.Credentials{KeyFile: f.key}
	if password != nil {
		c.Password = []byte(password.Reveal())
		defer clear(c.Password)
	}
	v, err := kdbx.Open(ctx, f.vault, c, kdbx.Limits{})
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", f.name, err)
	}
	return v, nil
}
