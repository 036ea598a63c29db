package kdbx

import (
	"encoding/json"
	"fmt"
	"io"
)

// hidden is what is printed of a Secret.
const hidden = "***"

// A Secret is a value that does not print itself: not by fmt with any verb, not in
// JSON, not in a log. The zero value is the empty one. Only Reveal gives it away.
//
// It cannot be wiped: a string stays in memory until it is collected, and longer.
type Secret struct {
	// A pointer, because fmt does not call the methods of what is in unexported
	// fields of other types: there it prints an address.
	text *string
}

// NewSecret makes s a secret.
func NewSecret(s string) Secret { return Secret{&s} }

// Reveal returns the value.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// String returns "***".
func (s Secret) String() string { return hidden }

// Format writes "***" for every verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, hidden) }

// MarshalText returns "***".
func (s Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// MarshalJSON returns "***" as JSON.
func (s Secret) MarshalJSON() ([]byte, error) { return json.Marshal(hidden) }
