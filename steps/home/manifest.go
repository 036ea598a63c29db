package home

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"movein/bootstrap/host"
)

// manifestSchema is the version of the manifest's format.
const manifestSchema = 1

// Manifest is what a backup holds: the first part as it was begun, then one entry for
// each path, sorted.
type Manifest struct {
	Schema     int       `json:"schema"`
	Run        string    `json:"run"`
	Time       time.Time `json:"time"`
	Home       string    `json:"home"`
	Version    string    `json:"version"`              // of movein
	Reason     string    `json:"reason"`               // "before apply"
	Generation string    `json:"generation,omitempty"` // the active one at that time
	Part       bool      `json:"part,omitempty"`       // of a change that has an older one
	Aside      bool      `json:"aside,omitempty"`      // it is no part of the way back to an earlier run
	Bundles    []string  `json:"bundles,omitempty"`    // names of git bundles beside the manifest
	Entries    []Entry   `json:"entries"`
}

// Entry is one path of the home, as it was before the run.
type Entry struct {
	host.Kept
	// Parent says that the path was saved only because it is on the way to others. What
	// else is in such a directory now is nobody's business.
	Parent bool
}

// Name is a file's name in JSON: a string, or if it is not valid UTF-8 {"base64": "…"}.
type Name string

// MarshalJSON implements json.Marshaler.
func (n Name) MarshalJSON() ([]byte, error) {
	if utf8.ValidString(string(n)) {
		return json.Marshal(string(n))
	}
	return json.Marshal(map[string]string{"base64": base64.StdEncoding.EncodeToString([]byte(n))})
}

// UnmarshalJSON implements json.Unmarshaler.
func (n *Name) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '"' {
		return json.Unmarshal(data, (*string)(n))
	}
	var coded struct{ Base64 *string }
	if err := json.Unmarshal(data, &coded); err != nil {
		return err
	}
	if coded.Base64 == nil {
		return fmt.Errorf("%s is no name", data)
	}
	raw, err := base64.StdEncoding.DecodeString(*coded.Base64)
	*n = Name(raw)
	return err
}

// entryJSON is an Entry in a manifest.
type entryJSON struct {
	Path   Name      `json:"path"`
	Type   host.Kind `json:"type"`
	Parent bool      `json:"parent,omitempty"`
	Mode   string    `json:"mode,omitempty"` // octal, with setuid, setgid and sticky
	UID    int       `json:"uid"`
	GID    int       `json:"gid"`
	MTime  string    `json:"mtime,omitempty"` // seconds since 1970 and nanoseconds: "1767322800.000000001"
	Size   int64     `json:"size,omitempty"`
	SHA256 string    `json:"sha256,omitempty"`
	Target Name      `json:"target,omitempty"`
	Rdev   uint64    `json:"rdev,omitempty"`
	Xattrs []xattr   `json:"xattrs,omitempty"`
	Links  uint64    `json:"links,omitempty"`
	Inode  string    `json:"inode,omitempty"`
	Held   string    `json:"held,omitempty"`
}

type xattr struct {
	Name  Name   `json:"name"`
	Value []byte `json:"value"`
}

// MarshalJSON implements json.Marshaler.
func (e Entry) MarshalJSON() ([]byte, error) {
	if e.Kind == host.KindAbsent {
		return json.Marshal(struct {
			Path   Name      `json:"path"`
			Type   host.Kind `json:"type"`
			Parent bool      `json:"parent,omitempty"`
		}{Name(e.Name), e.Kind, e.Parent})
	}
	j := entryJSON{
		Path: Name(e.Name), Type: e.Kind, Parent: e.Parent, Mode: octal(e.Mode), UID: e.UID, GID: e.GID,
		MTime: fmt.Sprintf("%d.%09d", e.MTime.Unix(), e.MTime.Nanosecond()), Size: e.Size, SHA256: e.SHA256,
		Target: Name(e.Target), Rdev: e.Rdev, Links: e.Links, Inode: e.Inode, Held: e.Held,
	}
	for _, name := range slices.Sorted(maps.Keys(e.Xattrs)) {
		j.Xattrs = append(j.Xattrs, xattr{Name(name), e.Xattrs[name]})
	}
	return json.Marshal(j)
}

// UnmarshalJSON implements json.Unmarshaler.
func (e *Entry) UnmarshalJSON(data []byte) (err error) {
	var j entryJSON
	if err := json.Unmarshal(data, &j); err != nil {
		return err
	}
	*e = Entry{Parent: j.Parent, Kept: host.Kept{
		Name: string(j.Path), Kind: j.Type, UID: j.UID, GID: j.GID, Size: j.Size, SHA256: j.SHA256,
		Target: string(j.Target), Rdev: j.Rdev, Links: j.Links, Inode: j.Inode, Held: j.Held,
	}}
	if j.Type == host.KindAbsent {
		return nil
	}
	if e.Mode, err = fromOctal(j.Mode); err != nil {
		return fmt.Errorf("%q: mode %q: %w", j.Path, j.Mode, err)
	}
	sec, nsec, _ := strings.Cut(j.MTime, ".")
	s, err := strconv.ParseInt(sec, 10, 64)
	if err != nil {
		return fmt.Errorf("%q: mtime %q: %w", j.Path, j.MTime, err)
	}
	n, err := strconv.ParseInt(nsec, 10, 64)
	if err != nil {
		return fmt.Errorf("%q: mtime %q: %w", j.Path, j.MTime, err)
	}
	e.MTime = time.Unix(s, n)
	for _, x := range j.Xattrs {
		if e.Xattrs == nil {
			e.Xattrs = map[string][]byte{}
		}
		e.Xattrs[string(x.Name)] = x.Value
	}
	return nil
}

// special are the bits of a mode beside the permissions, as chmod has them.
var special = []struct {
	mode fs.FileMode
	bit  uint64
}{{fs.ModeSetuid, 0o4000}, {fs.ModeSetgid, 0o2000}, {fs.ModeSticky, 0o1000}}

func octal(mode fs.FileMode) string {
	bits := uint64(mode.Perm())
	for _, s := range special {
		if mode&s.mode != 0 {
			bits |= s.bit
		}
	}
	return fmt.Sprintf("%04o", bits)
}

func fromOctal(text string) (fs.FileMode, error) {
	bits, err := strconv.ParseUint(text, 8, 12)
	mode := fs.FileMode(bits & 0o777)
	for _, s := range special {
		if bits&s.bit != 0 {
			mode |= s.mode
		}
	}
	return mode, err
}

// check refuses a manifest that no movein has written: what it says is done.
func (m Manifest) check() error {
	for i, e := range m.Entries {
		switch {
		case i > 0 && m.Entries[i-1].Name >= e.Name:
			return fmt.Errorf("entry %q is out of order", e.Name)
		case !clean(e.Name):
			return fmt.Errorf("entry %q is no path below the home", e.Name)
		case e.Kind == host.KindFile && !isDigest(e.SHA256):
			return fmt.Errorf("entry %q has no SHA-256", e.Name)
		case e.Held != "" && (!clean(e.Held) || !strings.HasPrefix(e.Held, "held/")):
			return fmt.Errorf("entry %q is held as %q", e.Name, e.Held)
		}
	}
	return nil
}

func isDigest(s string) bool {
	return len(s) == 64 && strings.Trim(s, "0123456789abcdef") == ""
}
