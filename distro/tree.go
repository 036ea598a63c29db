package distro

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

// A tree is the host's file tree and the errors met while reading it.
type tree struct {
	root fs.FS
	errs []error
}

// read returns the content of the named file without surrounding white space.
// A file that is missing or that this user may not read counts as empty; any
// other error is kept.
func (t *tree) read(name string) string {
	data, err := fs.ReadFile(t.root, name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission) {
		t.errs = append(t.errs, fmt.Errorf("reading %s: %w", name, err))
	}
	return strings.TrimSpace(string(data))
}

// has reports whether one of the names exists. A name that cannot be looked up
// does not exist.
func (t *tree) has(names ...string) bool {
	for _, name := range names {
		if _, err := fs.Stat(t.root, name); err == nil {
			return true
		}
	}
	return false
}

// hasCommand reports whether a program of that name is in one of the
// directories where distributions install theirs.
func (t *tree) hasCommand(name string) bool {
	return t.has("usr/bin/"+name, "bin/"+name, "sbin/"+name, "usr/sbin/"+name)
}
