package steps

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"movein/bootstrap"
	"movein/bootstrap/host"
	"movein/steps/home"
)

// sourced is what the name of a file or directory of the source says of its target.
type sourced struct {
	path     string // absolute
	script   bool
	when     string // of a script: "always", "once", "onchange"
	order    string // of a script: "before", "after", or "" among the files
	template bool
	secret   bool // encrypted
	exact    bool // of a directory
	modify   bool
	opens    bool // chezmoi reads the target to know what it is to be
}

// sourcePrefixes are the attributes in names, but those of scripts and of the name itself.
var sourcePrefixes = []string{"remove_", "external_", "exact_", "create_", "modify_", "symlink_", "encrypted_", "private_", "readonly_", "empty_", "executable_"}

// readSourceName reads the attributes in a name of the source state
// (chezmoi's reference, "Source state attributes").
func readSourceName(path string) sourced {
	s := sourced{path: path}
	name := filepath.Base(path)
	if rest, ok := strings.CutPrefix(name, "run_"); ok {
		s.script, s.when = true, "always"
		for _, when := range []string{"once", "onchange"} {
			if after, ok := strings.CutPrefix(rest, when+"_"); ok {
				s.when, rest = when, after
			}
		}
		for _, order := range []string{"before", "after"} {
			if strings.HasPrefix(rest, order+"_") {
				s.order = order
			}
		}
	}
	for rest, found := name, true; found; {
		found = false
		for _, prefix := range sourcePrefixes {
			if after, ok := strings.CutPrefix(rest, prefix); ok {
				rest, found = after, true
				s.secret = s.secret || prefix == "encrypted_"
				s.exact = s.exact || prefix == "exact_"
				s.modify = s.modify || prefix == "modify_"
				s.opens = s.opens || prefix == "modify_" || prefix == "create_"
			}
		}
	}
	for _, suffix := range []string{".age", ".asc"} {
		if s.secret {
			name = strings.TrimSuffix(name, suffix)
		}
	}
	s.template = strings.HasSuffix(name, ".tmpl")
	return s
}

// blocked refuses what chezmoi would wait for for ever, read without an end, or cannot
// read: a pipe, device or directory where it reads a file of the home to know what
// that is to be, or something else than directories on the way there.
func (z chezmoi) blocked(v host.View, files []string) error {
	root := z.root(v)
	for _, file := range files {
		rel, err := filepath.Rel(root, file)
		if err != nil || !filepath.IsLocal(rel) || !readSourceName(file).opens {
			continue
		}
		if name, why := inReadersWay(v, z.c.Home, targetPath(rel)); name != "" {
			return bootstrap.Hint(bootstrap.Refuse("%s %s: %s has chezmoi read a file there", home.Shown(name), why, home.Shown(file)), "move it away and run the same command again")
		}
	}
	return nil
}

// unread refuses links of home-manager's to where chezmoi could not read the file any more
// that its source has it read there, also if it does not apply that.
func (z chezmoi) unread(v host.View, files []string, links []home.Claim) error {
	root := z.root(v)
	for _, file := range files {
		rel, err := filepath.Rel(root, file)
		if err != nil || !filepath.IsLocal(rel) || !readSourceName(file).opens {
			continue
		}
		for _, l := range links {
			rest, below := strings.CutPrefix(targetPath(rel)+"/", l.Path+"/")
			if !below {
				continue
			}
			if name, why := inReadersWay(v, filepath.Dir(l.Target), filepath.Join(filepath.Base(l.Target), rest)); name != "" {
				return bootstrap.Hint(bootstrap.Refuse("%s is to be a link of home-manager's, but where it leads, %s %s: %s has chezmoi read a file there",
					home.Shown("~/"+l.Path), home.Shown(name), why, home.Shown(file)), "take one of them away, in the home repo or in the dotfiles")
			}
		}
	}
	return nil
}

// inReadersWay is what keeps the file at path below dir from being read, and how; "" if
// nothing does, or nothing is there.
func inReadersWay(v host.View, dir, path string) (name, why string) {
	name = dir
	for part, more := "", true; more; {
		part, path, more = strings.Cut(path, "/")
		name = filepath.Join(name, part)
		end := endOf(v, name)
		info, err := v.Lstat(end)
		switch {
		case errors.Is(err, fs.ErrPermission):
			return filepath.Dir(end), "may not be entered"
		case err != nil:
			return "", ""
		case more && !info.IsDir(), !more && end != "/dev/null" && !info.Mode().IsRegular():
			return name, "is in the way"
		case more:
		default:
			if _, err := v.ReadHead(end, 0); errors.Is(err, fs.ErrPermission) {
				return name, "may not be read"
			}
		}
	}
	return "", ""
}

// targetPath is where in the home a path of the source state belongs.
func targetPath(rel string) string {
	parts := strings.Split(rel, "/")
	for i, part := range parts {
		if i == len(parts)-1 {
			for _, suffix := range []string{".age", ".asc"} {
				if strings.Contains(part, "encrypted_") {
					part = strings.TrimSuffix(part, suffix)
				}
			}
			part = strings.TrimSuffix(strings.TrimSuffix(part, ".tmpl"), ".literal")
		}
		for found := true; found; {
			found = false
			for _, prefix := range sourcePrefixes {
				if after, ok := strings.CutPrefix(part, prefix); ok {
					part, found = after, true
				}
			}
		}
		if after, ok := strings.CutPrefix(part, "dot_"); ok {
			part = "." + after
		}
		parts[i] = strings.TrimPrefix(part, "literal_")
	}
	return filepath.Join(parts...)
}

// asJSON is a name as chezmoi's JSON output has it: each byte that is no UTF-8
// becomes a replacement character.
func asJSON(name string) string {
	if utf8.ValidString(name) {
		return name
	}
	var b strings.Builder
	for len(name) > 0 {
		r, n := utf8.DecodeRuneInString(name)
		b.WriteRune(r)
		name = name[n:]
	}
	return b.String()
}
