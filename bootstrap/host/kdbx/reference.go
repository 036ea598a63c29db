package kdbx

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// A reference to a field of another entry, {REF:field@search in:text}, is as in
// https://keepass.info/help/base/fieldrefs.html. Other placeholders of KeePass
// ({TITLE}, {S:name} …) are left as they are.
var reference = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`(?i)\{REF:([TUPANI])@([TUPANIO]):([^}]+)\}`) })

// letters are the fields that a reference can name; I is the UUID and O any custom field.
var letters = map[string]string{"T": "Title", "U": "UserName", "P": "Password", "A": "URL", "N": "Notes"}

const (
	maxReferenceDepth = 10   // as in KeePassXC
	maxReferences     = 1000 // in one field, with those that they lead to
	maxReferenceSize  = 1 << 20
)

// A resolver resolves the references of one field.
type resolver struct {
	vault       *Vault
	depth, done int
}

// resolve returns text with what its references refer to.
func (r *resolver) resolve(text string) (string, error) {
	found := reference().FindAllStringSubmatchIndex(text, -1)
	if found == nil {
		return text, nil
	}
	if r.depth++; r.depth > maxReferenceDepth {
		return "", fmt.Errorf("%w: it leads in a circle, or over more than %d entries", ErrReference, maxReferenceDepth)
	}
	defer func() { r.depth-- }()
	var b strings.Builder
	end := 0
	for _, m := range found {
		b.WriteString(text[end:m[0]])
		end = m[1]
		value, err := r.target(strings.ToUpper(text[m[2]:m[3]]), strings.ToUpper(text[m[4]:m[5]]), text[m[6]:m[7]])
		if err != nil {
			return "", err
		}
		b.WriteString(value)
		if r.done++; r.done > maxReferences || b.Len() > maxReferenceSize {
			return "", fmt.Errorf("%w: there are too many", ErrReference)
		}
	}
	b.WriteString(text[end:])
	return b.String(), nil
}

// target is what one reference stands for. As in KeePassXC it is of the first entry that matches.
func (r *resolver) target(field, in, text string) (string, error) {
	for _, e := range r.vault.entries {
		if !e.matches(in, text) {
			continue
		}
		if field == "I" {
			return e.UUID(), nil
		}
		value, _ := e.raw(letters[field])
		return r.resolve(value)
	}
	return "", fmt.Errorf("%w: there is no such entry", ErrReference)
}

// matches reports whether a reference that searches in a field for text finds e. Entries
// in the recycle bin are found only by their UUID.
func (e *Entry) matches(in, text string) bool {
	switch {
	case in == "I":
		return strings.EqualFold(e.UUID(), text)
	case e.recycled:
		return false
	case in != "O":
		value, _ := e.raw(letters[in])
		return value == text
	}
	for _, f := range e.fields {
		if f.value.Reveal() == text && !slices.Contains(standard, f.name) {
			return true
		}
	}
	return false
}
