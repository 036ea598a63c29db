package distro

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

// setRelease fills in what os-release(5) says. The file in /etc alone counts if
// there is one; without any the ID is "linux", the default that os-release(5)
// gives. Unlike other files it must not be unreadable: a wrong ID would make
// movein treat the host as what it is not.
func (f *Facts) setRelease(t *tree) {
	text, err := releaseText(t.root)
	if err != nil {
		t.errs = append(t.errs, err)
	}
	release := parseOSRelease(text)
	f.ID = release["ID"]
	if f.ID == "" {
		f.ID = "linux"
	}
	if like := strings.Fields(release["ID_LIKE"]); len(like) > 0 {
		f.IDLike = like
	}
	f.VariantID = release["VARIANT_ID"]
	f.VersionID = release["VERSION_ID"]
	f.PrettyName = release["PRETTY_NAME"]
}

// releaseText is the content of the file that os-release(5) says to read, "" if
// the host has none.
func releaseText(root fs.FS) (string, error) {
	for _, name := range []string{"etc/os-release", "usr/lib/os-release"} {
		data, err := fs.ReadFile(root, name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", fmt.Errorf("reading %s: %w", name, err)
		}
		return string(data), nil
	}
	return "", nil
}

// parseOSRelease returns the assignments in text, which is in the format of
// os-release(5): one NAME=value a line, comments, blank lines; lines may end in
// CR LF. Of several assignments to a name the last one counts. What is not an
// assignment is ignored, and so is a line with anything but a comment behind
// its value: the format knows no concatenation of quoted strings and no
// unquoted spaces.
func parseOSRelease(text string) map[string]string {
	release := make(map[string]string)
	for line := range strings.Lines(text) {
		name, rest, found := strings.Cut(strings.TrimSpace(line), "=")
		if !found || !isVariableName(name) {
			continue
		}
		if value, rest, ok := cutValue(rest); ok && isBlankOrComment(rest) {
			release[name] = value
		}
	}
	return release
}

// isVariableName reports whether a shell would take s as the name of a variable.
func isVariableName(s string) bool {
	for i, r := range s {
		letter := r == '_' || 'A' <= r && r <= 'Z' || 'a' <= r && r <= 'z'
		if !letter && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return s != ""
}

// isBlankOrComment reports whether s, found behind a value, says nothing.
func isBlankOrComment(s string) bool {
	trimmed := strings.TrimLeft(s, " \t")
	return trimmed == "" || trimmed[0] == '#' && trimmed != s
}

// cutValue takes the value off the front of s, with its quotes and escapes
// resolved as os-release(5) has them from the shell; it fails on a quote that is
// not closed. Variables are not expanded, an unescaped $ stands for itself.
func cutValue(s string) (value, rest string, ok bool) {
	switch {
	case strings.HasPrefix(s, `'`):
		return strings.Cut(s[1:], `'`)
	case strings.HasPrefix(s, `"`):
		return cutDoubleQuoted(s[1:])
	}
	return cutUnquoted(s)
}

// cutDoubleQuoted takes a value and the quote that ends it off the front of s. A
// backslash escapes " $ \ and ` and is itself elsewhere.
func cutDoubleQuoted(s string) (value, rest string, ok bool) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '"':
			return b.String(), s[i+1:], true
		case s[i] == '\\' && i+1 < len(s) && strings.IndexByte("\"$\\`", s[i+1]) >= 0:
			i++
		}
		b.WriteByte(s[i])
	}
	return "", "", false
}

// cutUnquoted takes a value up to white space or a quote off the front of s. A
// backslash escapes any character.
func cutUnquoted(s string) (value, rest string, ok bool) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case strings.IndexByte(" \t\"'", s[i]) >= 0:
			return b.String(), s[i:], true
		case s[i] == '\\' && i+1 < len(s):
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String(), "", true
}
