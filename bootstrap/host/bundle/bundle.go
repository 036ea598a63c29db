// Package bundle reads and writes bundles: one file with everything that a host without
// network needs. It only computes.
//
// A bundle is a tar archive in which not one byte is free: the manifest, its signature
// (empty if there is none), and the manifest's entries in its order, which is the order
// in which they are used. So it can be read as a stream, what is signed decides every
// byte, and "tar -xf FILE movein" gets at the program that reads it.
package bundle

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"strings"

	"movein/bootstrap/host/minisign"
)

// The first two entries, and the one that can be run.
const (
	manifestName  = "manifest.json"
	signatureName = manifestName + ".minisig"
	Program       = "movein"
)

// Schema is the version of the format.
const Schema = 1

const (
	block        = 512 // of tar; the content of each entry fills its last one up with zeros
	maxManifest  = 64 << 20
	maxSignature = 4 << 10
)

// Manifest is what a bundle says of itself. It holds no secret.
type Manifest struct {
	Schema        int      `json:"schema"`
	MadeBy        string   `json:"made_by"` // version of movein
	System        string   `json:"system"`  // "x86_64-linux"
	User          string   `json:"user"`
	Configuration string   `json:"configuration"` // homeConfigurations attribute
	NixVersion    string   `json:"nix_version"`
	NixSHA256     string   `json:"nix_sha256"` // of the release tarball
	Home          Repo     `json:"home"`
	Dotfiles      *Repo    `json:"dotfiles,omitempty"`
	Generation    string   `json:"generation"`       // store path
	Inputs        []string `json:"inputs,omitempty"` // store paths of the flake's inputs
	Entries       []Entry  `json:"entries"`
}

// Repo is a git repository.
type Repo struct {
	URL    string `json:"url"` // as it was given, without who logs in
	Branch string `json:"branch,omitempty"`
	Commit string `json:"commit,omitempty"`
	Entry  string `json:"entry,omitempty"` // the git bundle; "": there is none, as for the starter
}

// Entry is a file in a bundle.
type Entry struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// File is a bundle in a file.
type File struct {
	Name     string   `json:"name"`
	Start    int64    `json:"start"` // of the first entry of the manifest
	Size     int64    `json:"size"`
	SHA256   string   `json:"sha256"`
	SignedBy string   `json:"signed_by,omitempty"` // the key's id, as far as that was checked
	Manifest Manifest `json:"manifest"`
}

// Find returns the entry with a digest.
func (m Manifest) Find(sha256 string) (Entry, bool) {
	for _, e := range m.Entries {
		if e.SHA256 == sha256 {
			return e, true
		}
	}
	return Entry{}, false
}

// Offset is where the content of an entry begins.
func (f File) Offset(name string) (Entry, int64, error) {
	at := f.Start
	for _, e := range f.Manifest.Entries {
		if at += block; e.Name == name {
			return e, at, nil
		}
		at += e.Size + padding(e.Size)
	}
	return Entry{}, 0, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

// ErrDamaged says that a bundle is not what was made as one.
var ErrDamaged = errors.New("the bundle is damaged")

// ErrUntrusted says that a bundle may be whole, but nobody who is trusted says so.
var ErrUntrusted = errors.New("the bundle is not trusted")

// Trust is what a bundle must come up to. The zero value asks for nothing.
type Trust struct {
	Key    *minisign.Key // who must have signed it
	SHA256 string        // what the whole file must have
}

// Read reads a bundle to its end. With an error nothing of what was read may be used; as
// soon as the signature is seen to be wrong nothing more is read. Errors: ErrDamaged,
// ErrUntrusted, those of r.
func Read(r io.Reader, t Trust) (*File, error) {
	whole := sha256.New()
	in := &reader{in: io.TeeReader(r, whole)}
	manifest, err := in.text(manifestName, maxManifest)
	if err != nil {
		return nil, err
	}
	signature, err := in.text(signatureName, maxSignature)
	if err != nil {
		return nil, err
	}
	f := &File{Start: in.at}
	if t.Key != nil {
		if err := verify(*t.Key, manifest, signature); err != nil {
			return nil, err
		}
		f.SignedBy = t.Key.ID()
	}
	if f.Manifest, err = parse(manifest); err != nil {
		return nil, err
	}
	for _, e := range f.Manifest.Entries {
		if err := in.entry(e); err != nil {
			return nil, err
		}
	}
	if err := in.same(make([]byte, 2*block), "its end"); err != nil {
		return nil, err
	}
	if n, err := io.ReadFull(in.in, make([]byte, 1)); n > 0 {
		return nil, fmt.Errorf("%w: it goes on after its end", ErrDamaged)
	} else if !errors.Is(err, io.EOF) {
		return nil, err
	}
	f.Size, f.SHA256 = in.at, hex.EncodeToString(whole.Sum(nil))
	if t.SHA256 != "" && !strings.EqualFold(t.SHA256, f.SHA256) {
		return nil, fmt.Errorf("%w: its SHA-256 is %s, not %s", ErrUntrusted, f.SHA256, strings.ToLower(t.SHA256))
	}
	return f, nil
}

func verify(key minisign.Key, manifest, signature []byte) error {
	if len(signature) == 0 {
		return fmt.Errorf("%w: nobody signed it", ErrUntrusted)
	}
	if !bytes.HasPrefix(signature, []byte(minisign.Comment)) { // all that a signature does not sign
		return fmt.Errorf("%w: its signature was changed", ErrDamaged)
	}
	if err := key.Verify(manifest, signature); err != nil {
		return fmt.Errorf("%w: its signature: %w", ErrUntrusted, err)
	}
	return nil
}

// parse reads a manifest, and refuses names that would leave the directory that they are unpacked to.
func parse(data []byte) (m Manifest, err error) {
	if err := json.Unmarshal(data, &m); err != nil {
		return m, fmt.Errorf("%w: its manifest: %w", ErrDamaged, err)
	}
	if m.Schema != Schema {
		return m, fmt.Errorf("%w: it is of schema %d, and this movein knows %d: take the movein that is in it (tar -xf FILE %s)", ErrDamaged, m.Schema, Schema, Program)
	}
	seen := map[string]bool{}
	for _, e := range m.Entries {
		if !fs.ValidPath(e.Name) || e.Name == "." || seen[e.Name] || e.Size < 0 || len(e.SHA256) != 2*sha256.Size {
			return m, fmt.Errorf("%w: its manifest has an entry %q", ErrDamaged, e.Name)
		}
		seen[e.Name] = true
	}
	return m, nil
}

// reader reads what must be there.
type reader struct {
	in io.Reader
	at int64
}

// full reads all of p.
func (r *reader) full(p []byte) error {
	n, err := io.ReadFull(r.in, p)
	r.at += int64(n)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: it ends after %d bytes", ErrDamaged, r.at)
	}
	return err
}

// same reads exactly want.
func (r *reader) same(want []byte, what string) error {
	got := make([]byte, len(want))
	if err := r.full(got); err != nil {
		return err
	}
	if !bytes.Equal(got, want) {
		return fmt.Errorf("%w: %s, before byte %d", ErrDamaged, what, r.at)
	}
	return nil
}

// text reads an entry that is in no manifest.
func (r *reader) text(name string, most int64) ([]byte, error) {
	head := make([]byte, block)
	if err := r.full(head); err != nil {
		return nil, err
	}
	size, err := strconv.ParseInt(string(head[124:135]), 8, 64)
	if err != nil || size < 0 || size > most {
		return nil, fmt.Errorf("%w: it does not have %s where a bundle has it", ErrDamaged, name)
	}
	if want, err := header(name, size); err != nil || !bytes.Equal(head, want) {
		return nil, fmt.Errorf("%w: the header of %s", ErrDamaged, name)
	}
	data := make([]byte, size)
	if err := r.full(data); err != nil {
		return nil, err
	}
	return data, r.same(make([]byte, padding(size)), "what follows "+name)
}

// entry reads an entry of the manifest.
func (r *reader) entry(e Entry) error {
	want, err := header(e.Name, e.Size)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if err := r.same(want, "the header of "+e.Name); err != nil {
		return err
	}
	sum := sha256.New()
	n, err := io.CopyN(sum, r.in, e.Size)
	r.at += n
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: it ends after %d bytes", ErrDamaged, r.at)
	} else if err != nil {
		return err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != e.SHA256 {
		return fmt.Errorf("%w: %s has the SHA-256 %s, not %s", ErrDamaged, e.Name, got, e.SHA256)
	}
	return r.same(make([]byte, padding(e.Size)), "what follows "+e.Name)
}

// header is the only one that an entry may have: a regular file's of the year 1970, in the
// ustar format of pax(1).
func header(name string, size int64) ([]byte, error) {
	const maxName, maxSize = 100, 1<<33 - 1 // what fits in
	if len(name) > maxName || size > maxSize {
		return nil, fmt.Errorf("%q has too long a name, or more than 8 GiB", name)
	}
	mode := 0o644
	if name == Program {
		mode = 0o755
	}
	b := make([]byte, block)
	copy(b, name)
	copy(b[100:], fmt.Sprintf("%07o\x00%07o\x00%07o\x00%011o\x00%011o\x00        0", mode, 0, 0, size, 0)) // owner, group, size, time, checksum, type
	copy(b[257:], "ustar\x0000")
	copy(b[329:], "0000000\x000000000\x00") // device
	sum := 0
	for _, c := range b {
		sum += int(c)
	}
	copy(b[148:], fmt.Sprintf("%06o\x00 ", sum))
	return b, nil
}

func padding(size int64) int64 { return -size & (block - 1) }
