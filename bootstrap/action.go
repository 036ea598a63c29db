package bootstrap

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"
)

// plain is an Action as it is; the other fields are for what JSON cannot say.
type plain Action

// exact has, beside a text that is not all UTF-8 and in which JSON has U+FFFD for
// each byte that is none, its bytes in base64. File names may be like that, and texts.
type exact struct {
	plain
	Target []byte `json:"target_base64,omitempty"`
	Source []byte `json:"source_base64,omitempty"`
	Diff   []byte `json:"diff_base64,omitempty"`
}

// MarshalJSON implements json.Marshaler.
func (a Action) MarshalJSON() ([]byte, error) {
	beside := func(s string) []byte {
		if utf8.ValidString(s) {
			return nil
		}
		return []byte(s)
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // whoever encodes the whole decides
	err := enc.Encode(exact{plain(a), beside(a.Target), beside(a.Source), beside(a.Diff)})
	return b.Bytes(), err
}

// UnmarshalJSON implements json.Unmarshaler: it gives back what MarshalJSON was given.
func (a *Action) UnmarshalJSON(data []byte) error {
	e := exact{plain: plain(*a)}
	if err := json.Unmarshal(data, &e); err != nil {
		return err
	}
	*a = Action(e.plain)
	for _, f := range []struct {
		text  *string
		bytes []byte
	}{{&a.Target, e.Target}, {&a.Source, e.Source}, {&a.Diff, e.Diff}} {
		if f.bytes != nil {
			*f.text = string(f.bytes)
		}
	}
	return nil
}
