package steps

import (
	"path/filepath"
	"strings"
	"unicode/utf8"
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
}

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
		for _, prefix := range []string{"remove_", "external_", "exact_", "create_", "modify_", "symlink_", "encrypted_", "private_", "readonly_", "empty_", "executable_"} {
			if after, ok := strings.CutPrefix(rest, prefix); ok {
				rest, found = after, true
				s.secret = s.secret || prefix == "encrypted_"
				s.exact = s.exact || prefix == "exact_"
				s.modify = s.modify || prefix == "modify_"
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
