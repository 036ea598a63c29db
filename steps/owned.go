package steps

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"movein/bootstrap/host"
)

// Files of the system that movein writes. What it wrote is remembered by digest,
// so that a file which is not movein's is never taken for one, and what was there
// before, or was edited since, is kept.
const (
	ownedFile   = "/var/lib/movein/files.json"
	rootBackups = "/var/lib/movein/backups"
)

func ownedFiles(v host.View) map[string]string {
	owned := map[string]string{}
	if data, err := v.ReadFile(ownedFile); err == nil {
		json.Unmarshal(data, &owned) //nolint:errcheck // nothing is owned then
	}
	return owned
}

// isOwned reports whether movein wrote the file once, or the text says so itself.
func isOwned(v host.View, name string) bool {
	return wroteOnce(v, name) || strings.HasPrefix(readText(v, name), ownMark)
}

// wroteOnce reports whether movein wrote the file once, as far as it remembers.
func wroteOnce(v host.View, name string) bool {
	_, ok := ownedFiles(v)[name]
	return ok
}

// ownMark begins each file that movein writes whole.
const ownMark = "# Written by movein"

// writeOwned makes the file hold text. Whatever else was there is kept below rootBackups.
func writeOwned(h host.Host, name, text string, perm fs.FileMode) error {
	owned := ownedFiles(h)
	old, err := h.ReadFile(name)
	target, link := isLink(h, name)
	switch {
	case link:
		err = backUp(h, name, []byte("symlink to "+target+"\n"))
	case errors.Is(err, fs.ErrNotExist):
		err = nil
	case err == nil && digest(old) != owned[name] && string(old) != text:
		err = backUp(h, name, old)
	}
	if err != nil {
		return err
	}
	if err := h.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	owned[name] = digest([]byte(text))
	data, err := json.MarshalIndent(owned, "", "  ")
	if err != nil {
		return err
	}
	if err := h.MkdirAll(filepath.Dir(ownedFile), 0o755); err != nil {
		return err
	}
	// First the memory, then the file: one that is ours and not remembered would
	// be kept as a stranger's, the other way round is harmless.
	if err := h.WriteFile(ownedFile, append(data, '\n'), 0o644); err != nil {
		return err
	}
	return h.WriteFile(name, []byte(text), perm)
}

func backUp(h host.Host, name string, data []byte) error {
	to := filepath.Join(rootBackups, h.Now().UTC().Format("20060102T150405.000Z"), name)
	if err := h.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}
	if err := h.WriteFile(to, data, 0o600); err != nil {
		return fmt.Errorf("keeping a copy of %s: %w", name, err)
	}
	h.Warn("what was in %s is kept as %s", name, to)
	return nil
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
