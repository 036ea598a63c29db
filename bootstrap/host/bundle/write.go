package bundle

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"sort"
	"strings"
)

// order is that in which the entries are used, by the beginning of their names.
var order = []string{Program, "nix/", "repos/", "cache/", "chezmoi/"}

// Write writes a bundle of all files of dir, whose entries the manifest does not have
// yet. sign returns the signature of the manifest; nil: it stays unsigned.
func Write(w io.Writer, dir fs.FS, m Manifest, sign func(manifest []byte) []byte) error {
	m.Schema = Schema
	entries, err := list(dir)
	if err != nil {
		return err
	}
	m.Entries = entries
	manifest, err := json.Marshal(m)
	if err != nil {
		return err
	}
	var signature []byte
	if sign != nil {
		signature = sign(manifest)
	}
	for _, e := range []struct {
		name string
		data []byte
	}{{manifestName, manifest}, {signatureName, signature}} {
		if _, err := writeEntry(w, e.name, int64(len(e.data)), bytes.NewReader(e.data)); err != nil {
			return err
		}
	}
	for _, e := range m.Entries {
		f, err := dir.Open(e.Name)
		if err != nil {
			return err
		}
		sum, err := writeEntry(w, e.Name, e.Size, f)
		f.Close()
		if err != nil {
			return err
		}
		if sum != e.SHA256 {
			return fmt.Errorf("%s changed while it was bundled", e.Name)
		}
	}
	_, err = w.Write(make([]byte, 2*block))
	return err
}

// list finds the files of dir.
func list(dir fs.FS) (entries []Entry, err error) {
	err = fs.WalkDir(dir, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if !d.Type().IsRegular() {
			return fmt.Errorf("%s is no regular file", name)
		}
		f, err := dir.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		sum := sha256.New()
		size, err := io.Copy(sum, f)
		entries = append(entries, Entry{name, size, hex.EncodeToString(sum.Sum(nil))})
		return err
	})
	sort.SliceStable(entries, func(i, j int) bool { return place(entries[i].Name) < place(entries[j].Name) }) // by name already
	return entries, err
}

func place(name string) int {
	i := slices.IndexFunc(order, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
	if i < 0 {
		return len(order)
	}
	return i
}

// writeEntry writes an entry, and returns its digest.
func writeEntry(w io.Writer, name string, size int64, r io.Reader) (string, error) {
	head, err := header(name, size)
	if err != nil {
		return "", err
	}
	if _, err := w.Write(head); err != nil {
		return "", err
	}
	sum := sha256.New()
	if _, err := io.CopyN(io.MultiWriter(w, sum), r, size); err != nil {
		return "", fmt.Errorf("bundling %s: %w", name, err)
	}
	_, err = w.Write(make([]byte, padding(size)))
	return hex.EncodeToString(sum.Sum(nil)), err
}
