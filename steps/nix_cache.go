package steps

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"movein/bootstrap/host"
)

// brokenSQLite matches what SQLite says of a database that was cut short, and
// where Nix says it is.
var brokenSQLite = pattern(`(?s)(?:is not a database|is malformed).*?\(in '([^']+)'\)`)

// setCacheAside moves away a database of Nix's own cache in the user's home that
// err says cannot be read, and reports whether it did. Nix never syncs these, so a
// power loss leaves such; and it makes them again.
func (s homeBuild) setCacheAside(h host.Host, err error) bool {
	e, ok := errors.AsType[*host.CommandError](err)
	if !ok {
		return false
	}
	m := brokenSQLite().FindStringSubmatch(e.Stderr)
	if m == nil || !strings.HasPrefix(filepath.Clean(m[1]), filepath.Join(s.c.CacheHome, "nix")+"/") {
		return false
	}
	aside := fmt.Sprintf("%s.movein-broken-%d", m[1], h.Now().Unix())
	if h.Rename(m[1], aside) != nil {
		return false
	}
	h.Warn("a cache of Nix cannot be read and is kept as %s", aside)
	for _, suffix := range []string{"-wal", "-shm", "-journal"} { // of the same database
		if err := h.Rename(m[1]+suffix, aside+suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return false
		}
	}
	return true
}
