package kdbx

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// A Vault is what an unlocked vault has in it. Nothing changes it; it is safe for concurrent use.
type Vault struct {
	version  string
	entries  []*Entry // as in the document, with those in the recycle bin
	binaries map[string][]byte
}

// Version is that of the format, as in "4.1".
func (v *Vault) Version() string { return v.version }

// Entries returns the entries, without those in the recycle bin.
func (v *Vault) Entries() []*Entry {
	return v.which(func(*Entry) bool { return true })
}

// Lookup returns the entry at a path: the names of its groups below the root group and its
// title, with slashes between, as in "Group/Title". With a slash in front that is all it
// can be; without one it can also be the title of an entry in any group. If there is not
// exactly one such entry the error is ErrNotFound or ErrAmbiguous.
func (v *Vault) Lookup(path string) (*Entry, error) {
	full, title := "/"+path, path
	if strings.HasPrefix(path, "/") {
		full, title = path, ""
	}
	found := v.which(func(e *Entry) bool {
		t := e.Title()
		return strings.HasSuffix(full, t) && e.Path() == full || t == title && title != ""
	})
	return one(found, fmt.Sprintf("entry %q", path))
}

// Find returns the entry that has all these fields with exactly these values; for the
// Secret Service's convention that is service and key. Errors are as for Lookup; they
// say the names, not the values.
func (v *Vault) Find(fields map[string]string) (*Entry, error) {
	var names []string
	for name := range fields {
		names = append(names, name)
	}
	slices.Sort(names)
	if len(names) == 0 {
		return nil, fmt.Errorf("%w: an entry with no fields", ErrNotFound)
	}
	found := v.which(func(e *Entry) bool {
		for name, want := range fields {
			if got, ok := e.raw(name); !ok || got != want {
				return false
			}
		}
		return true
	})
	return one(found, "entry with the fields asked for ("+strings.Join(names, ", ")+")")
}

// which returns the entries that are not in the recycle bin and that match.
func (v *Vault) which(match func(*Entry) bool) []*Entry {
	var found []*Entry
	for _, e := range v.entries {
		if !e.recycled && match(e) {
			found = append(found, e)
		}
	}
	return found
}

// one returns the only entry of found.
func one(found []*Entry, what string) (*Entry, error) {
	switch len(found) {
	case 0:
		return nil, fmt.Errorf("%w: %s", ErrNotFound, what)
	case 1:
		return found[0], nil
	}
	var names []string
	for _, e := range found {
		names = append(names, fmt.Sprintf("%q (%s)", e.Path(), e.UUID()))
	}
	if len(names) > 10 {
		names = append(names[:10], "…")
	}
	return nil, fmt.Errorf("%w is %s: %s", ErrAmbiguous, what, strings.Join(names, ", "))
}

// An Entry has fields and attachments, both with names.
type Entry struct {
	vault       *Vault
	group       *group
	uuid        string // base64
	fields      []field
	attachments []attachment
	recycled    bool
}

type field struct {
	name  string
	value Secret
}

type attachment struct{ name, ref string }

// standard are the fields that every entry has, if only empty.
var standard = []string{"Title", "UserName", "Password", "URL", "Notes"}

// raw is the value of a field as it stands in the vault.
func (e *Entry) raw(name string) (value string, ok bool) {
	for _, f := range e.fields {
		if f.name == name {
			return f.value.Reveal(), true
		}
	}
	return "", false
}

// Title returns the title as it stands in the vault.
func (e *Entry) Title() string {
	title, _ := e.raw("Title")
	return title
}

// Path returns the names of the groups below the root group and the title, with a slash
// before each. Names with slashes in them can make two paths the same.
func (e *Entry) Path() string {
	path := "/" + e.Title()
	for g := e.group; g != nil && g.parent != nil; g = g.parent {
		path = "/" + g.name + path
	}
	return path
}

// String returns the path.
func (e *Entry) String() string { return e.Path() }

// UUID returns the identifier as hexadecimal digits.
func (e *Entry) UUID() string {
	b, err := base64.StdEncoding.DecodeString(e.uuid)
	if err != nil {
		return ""
	}
	return strings.ToUpper(hex.EncodeToString(b))
}

// Fields returns the names of the fields.
func (e *Entry) Fields() []string {
	var names []string
	for _, f := range e.fields {
		names = append(names, f.name)
	}
	return names
}

// Field returns the value of a field: Title, UserName, Password, URL, Notes (empty if not
// there) or a custom one (ErrNotFound). References to fields of other entries are
// resolved; if one cannot be the error is ErrReference.
func (e *Entry) Field(name string) (Secret, error) {
	value, ok := e.raw(name)
	if !ok && !slices.Contains(standard, name) {
		return Secret{}, fmt.Errorf("%w: field %q of entry %q, which has %s", ErrNotFound, name, e.Path(), strings.Join(e.Fields(), ", "))
	}
	value, err := (&resolver{vault: e.vault}).resolve(value)
	if err != nil {
		return Secret{}, fmt.Errorf("field %q of entry %q: %w", name, e.Path(), err)
	}
	return NewSecret(value), nil
}

// Attachments returns the names of the attachments.
func (e *Entry) Attachments() []string {
	var names []string
	for _, a := range e.attachments {
		names = append(names, a.name)
	}
	return names
}

// Attachment returns the content of an attachment.
func (e *Entry) Attachment(name string) (Secret, error) {
	var found []string
	for _, a := range e.attachments {
		if a.name == name {
			found = append(found, a.ref)
		}
	}
	if len(found) == 0 {
		return Secret{}, fmt.Errorf("%w: attachment %q of entry %q, which has %s", ErrNotFound, name, e.Path(), strings.Join(e.Attachments(), ", "))
	}
	b, ok := e.vault.binaries[found[0]]
	if !ok || len(found) > 1 {
		return Secret{}, damaged("attachment %q of entry %q has no content or several", name, e.Path())
	}
	return NewSecret(string(b)), nil
}
