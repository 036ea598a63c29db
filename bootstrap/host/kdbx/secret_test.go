package kdbx

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

// TestSecretIsNotPrinted prints a secret, what holds one, and a vault in every way.
func TestSecretIsNotPrinted(t *testing.T) {
	const value = "hunter2"
	s := NewSecret(value)
	if s.Reveal() != value || (Secret{}).Reveal() != "" {
		t.Fatal("Reveal does not")
	}
	v := open(t, "cli4.kdbx")
	e, err := v.Lookup("Anthropic")
	if err != nil {
		t.Fatal(err)
	}
	type holder struct {
		Open   Secret
		hidden Secret
		list   []Secret
		byName map[string]*Secret
	}
	h := holder{s, s, []Secret{s}, map[string]*Secret{"x": &s}}
	var out bytes.Buffer
	for _, x := range []any{s, &s, h, &h, []Secret{s}, map[string]Secret{"x": s}, v, *v, e, *e, e.fields, e.fields[0]} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%20s", "%t"} {
			fmt.Fprintf(&out, verb+"\n", x)
		}
		b, err := json.Marshal(x)
		if err != nil {
			t.Fatal(err)
		}
		out.Write(b)
		slog.New(slog.NewTextHandler(&out, nil)).Info("x", "x", x)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "x", x)
	}
	for _, secret := range []string{value, fmt.Sprintf("%x", value), fmt.Sprintf("%d", []byte(value)), "sk-ant"} {
		if strings.Contains(strings.ToLower(out.String()), secret) {
			t.Errorf("printed %q: %.2000s", secret, out.String())
		}
	}
	if fmt.Sprint(s) != "***" || !strings.Contains(out.String(), `{"Open":"***"}`) {
		t.Errorf("%v, %.500s", s, out.String())
	}
}
