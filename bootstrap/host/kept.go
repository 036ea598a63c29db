package host

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"time"
)

// Looker sees all there is to know of a file.
type Looker interface {
	// Look returns what is at a place, of KindAbsent if nothing is. With content, the
	// content of a file is digested; SHA256 stays empty if it may not be read.
	// A *ThroughLinkError says that the place is not where its name says.
	Look(ctx context.Context, at Place, content bool) (Kept, error)
}

// Keeper copies files with all that is to know of them, and puts them back.
type Keeper interface {
	// Keep copies the one object at a place into the directory dir: a file's
	// content to dir/objects/SHA256, once for equal ones. A file that has other names,
	// or that could not be made again like this, is also linked below dir/held, if that
	// can be. Nothing is synced. What changes while it is copied is copied again,
	// a few times.
	Keep(ctx context.Context, at Place, dir string) (Kept, error)
	// PutBack makes what is at a place what Keep found, out of dir. What is there may
	// be anything but a directory, or nothing; for a directory, a directory, whose entries stay.
	// It is replaced in one step, or only its metadata is set if that is all. A file
	// with other names is linked to the held one or to twin, a name below the same
	// base (or empty), if that has its content. Lacks names the metadata that could not be
	// set. The parent's mtime changes: put directories back last, deepest first.
	PutBack(ctx context.Context, k Kept, dir string, at Place, twin string) (lacks []string, err error)
	// TakeAway removes what is at a place; of directories only empty ones, unless
	// tree says that all below goes too. It stays on one file system.
	TakeAway(ctx context.Context, at Place, tree bool) error
}

// Place is a name below a directory. The directory is taken as it is, links
// followed; on the way from there to the name no link is followed.
type Place struct {
	Base string // absolute
	Name string // relative and clean; ".": Base itself
}

func (p Place) String() string { return filepath.Join(p.Base, p.Name) }

// Kind is what an object of a file system is.
type Kind string

// The kinds of objects.
const (
	KindAbsent Kind = "absent" // there is none
	KindFile   Kind = "file"
	KindDir    Kind = "directory"
	KindLink   Kind = "link"
	KindFifo   Kind = "fifo"
	KindSocket Kind = "socket"
	KindChar   Kind = "character device"
	KindBlock  Kind = "block device"
)

// Kept is an object of a file system, as it was. Of an absent one there is only the name.
type Kept struct {
	Name     string // of the Place
	Kind     Kind
	Mode     fs.FileMode // permission bits, ModeSetuid, ModeSetgid, ModeSticky
	UID, GID int
	MTime    time.Time
	Xattrs   map[string][]byte // POSIX ACLs are among them; nil value: could not be read
	Target   string            // of a link
	Rdev     uint64            // of a device

	// Of a file:
	Size   int64
	SHA256 string // hex
	Links  uint64 // how many names it has

	Inode string // "DEVICE-INODE", hex
	Disk  int64  // bytes that it takes up
	Held  string // where it is linked, below the directory it is kept in; or ""
}

// labels are extended attributes that the kernel gives a file by where it is, and
// that nobody misses: policies relabel at will.
var labels = map[string]bool{"security.selinux": true, "security.SMACK64": true, "security.ima": true, "security.evm": true}

// Same reports whether two objects cannot be told apart, but by inode and name.
func (k Kept) Same(o Kept) bool {
	return k.SameContent(o) && k.UID == o.UID && k.GID == o.GID && k.Mode == o.Mode && k.MTime.Equal(o.MTime) &&
		maps.EqualFunc(missed(k.Xattrs), missed(o.Xattrs), func(a, b []byte) bool { return bytes.Equal(a, b) && (a == nil) == (b == nil) })
}

// SameContent is Same without the metadata.
func (k Kept) SameContent(o Kept) bool {
	return k.Kind == o.Kind && k.Size == o.Size && k.Target == o.Target && k.Rdev == o.Rdev &&
		k.SHA256 == o.SHA256 && (k.Kind != KindFile || k.SHA256 != "")
}

// missed are the attributes that somebody would miss.
func missed(all map[string][]byte) map[string][]byte {
	some := maps.Clone(all)
	maps.DeleteFunc(some, func(name string, _ []byte) bool { return labels[name] })
	return some
}

// ThroughLinkError says that a name is reached through a symlink, so that it is
// not where it seems to be.
type ThroughLinkError struct {
	Path string
	Link string
}

func (e *ThroughLinkError) Error() string {
	return fmt.Sprintf("%s is reached through %s, which is a symlink", e.Path, e.Link)
}
