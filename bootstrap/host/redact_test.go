package host

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/url"
	"strings"
	"sync"
	"testing"
)

func newRedactor(secrets ...string) *Redactor {
	r := new(Redactor)
	for _, s := range secrets {
		r.Add(s)
	}
	return r
}

// redactAll writes the chunks and returns what came through.
func redactAll(t *testing.T, r *Redactor, chunks ...string) string {
	t.Helper()
	var b strings.Builder
	w := r.Writer(&b)
	for _, c := range chunks {
		if n, err := w.Write([]byte(c)); n != len(c) || err != nil {
			t.Fatalf("Write(%q) = %d, %v", c, n, err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestRedactString(t *testing.T) {
	for _, test := range []struct {
		name    string
		secrets []string
		in, out string
	}{
		{"none known", nil, "hunter2", "hunter2"},
		{"nothing to find", []string{"hunter2"}, "nothing here", "nothing here"},
		{"empty", []string{"hunter2"}, "", ""},
		{"whole", []string{"hunter2"}, "hunter2", "[redacted]"},
		{"within", []string{"hunter2"}, "a hunter2 b hunter2 c", "a [redacted] b [redacted] c"},
		{"in a word", []string{"hunter2"}, "https://me:hunter2@host/", "https://me:[redacted]@host/"},
		{"too short", []string{"abc"}, "abc", "abc"},
		{"four bytes", []string{"abcd"}, "abcde", "[redacted]e"},
		{"a part only", []string{"hunter2"}, "hunter", "hunter"},
		{"one begins another", []string{"hunter", "hunter22"}, "hunter hunter2 hunter22", "[redacted] [redacted]2 [redacted]"},
		{"overlapping", []string{"abcdef", "efghij"}, "_abcdefghij_", "_[redacted]_"},
		{"overlapping itself", []string{"aaaa"}, "_aaaaaaa_", "_[redacted]_"},
		{"one inside another", []string{"bcde", "abcdef"}, "_abcdef_bcde_", "_[redacted]_[redacted]_"},
		{"side by side", []string{"abcd", "wxyz"}, "_abcdwxyz_", "_[redacted]_"},
		{"white space around", []string{"hunter2\n"}, "hunter2 hunter2\nx", "[redacted] [redacted]x"},
		{"bytes that are no text", []string{"\xff\xfe\x00\x01"}, "a\xff\xfe\x00\x01b", "a[redacted]b"},
		{"more than ASCII", []string{"pässwörd"}, "der pässwörd ü", "der [redacted] ü"},
		{
			"line by line",
			[]string{"-----BEGIN KEY-----\nb3BlbnNzaC1rZXktdjE\nAAAA\n-----END KEY-----\n"},
			"-----BEGIN KEY-----; b3BlbnNzaC1rZXktdjE; AAAA; -----END KEY-----",
			"-----BEGIN KEY-----; [redacted]; AAAA; -----END KEY-----",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := newRedactor(test.secrets...).String(test.in); got != test.out {
				t.Errorf("String(%q) = %q, want %q", test.in, got, test.out)
			}
		})
	}
}

func TestRedactForms(t *testing.T) {
	const secret = "p<s&w \"ö\\r\nd>?/+!"
	r := newRedactor(secret)
	quoted, err := json.Marshal(map[string]string{"k": secret})
	if err != nil {
		t.Fatal(err)
	}
	texts := map[string]string{
		"plain":           secret,
		"JSON":            string(quoted),
		"query":           url.Values{"k": {secret}}.Encode(),
		"path":            url.PathEscape(secret),
		"base64":          base64.StdEncoding.EncodeToString([]byte(secret)),
		"base64 raw":      base64.RawStdEncoding.EncodeToString([]byte(secret)),
		"base64 URL":      base64.URLEncoding.EncodeToString([]byte(secret)),
		"base64 URL raw":  base64.RawURLEncoding.EncodeToString([]byte(secret)),
		"user:password":   base64.StdEncoding.EncodeToString([]byte("user:" + secret)),
		"username:passwd": base64.URLEncoding.EncodeToString([]byte("me:" + secret + "@")),
	}
	for name, text := range texts {
		got := r.String("<<" + text + ">>")
		if !strings.Contains(got, redacted) || len(got) > len("<<>>")+len(redacted)+14 {
			t.Errorf("%s: %q became %q", name, text, got)
		}
	}
}

func TestNilRedactor(t *testing.T) {
	var r *Redactor
	r.Add("hunter2")
	if got := r.String("hunter2"); got != "hunter2" {
		t.Errorf("String = %q", got)
	}
	if got := redactAll(t, r, "hun", "ter2"); got != "hunter2" {
		t.Errorf("wrote %q", got)
	}
}

func TestRedactWriterSplitEverywhere(t *testing.T) {
	r := newRedactor("hunter2", "ter2;xyz", "s3cr\nt!!", "aaaa")
	const text = "begin hunter2 hunter2;xyz s3cr\nt!! aaaaaaa hunter end hun"
	want := r.String(text)
	for i := range len(text) + 1 {
		for j := i; j <= len(text); j++ {
			if got := redactAll(t, r, text[:i], text[i:j], text[j:]); got != want {
				t.Fatalf("split at %d and %d: %q, want %q", i, j, got, want)
			}
		}
	}
	if got := redactAll(t, r, strings.Split(text, "")...); got != want {
		t.Errorf("byte by byte: %q, want %q", got, want)
	}
}

func TestRedactWriterDelaysNothingInnocent(t *testing.T) {
	var b strings.Builder
	w := newRedactor("hunter2", "word: x").Writer(&b)
	for _, step := range []struct{ in, out string }{
		{"Name: ", "Name: "},
		{"a line\n", "Name: a line\n"},
		{"x hunt", "Name: a line\nx "},
		{"ing", "Name: a line\nx hunting"},
		{" hunter2", "Name: a line\nx hunting [redacted]"},
		{".", "Name: a line\nx hunting [redacted]."},
	} {
		if _, err := io.WriteString(w, step.in); err != nil {
			t.Fatal(err)
		}
		if b.String() != step.out {
			t.Fatalf("after %q: %q, want %q", step.in, b.String(), step.out)
		}
	}
}

func TestRedactWriterFlush(t *testing.T) {
	var b strings.Builder
	w := newRedactor("hunter2", "r2;xyz").Writer(&b)
	for _, step := range []struct{ in, out string }{
		{"a hun", "a hun"},
		{"ter2", "a hun[redacted]"},
		{";", "a hun[redacted];"},
		{"b hunter2", "a hun[redacted];b [redacted]"},
		{";xyz", "a hun[redacted];b [redacted]"},
		{"hunt", "a hun[redacted];b [redacted]hunt"},
		{"!", "a hun[redacted];b [redacted]hunt!"},
	} {
		if _, err := io.WriteString(w, step.in); err != nil {
			t.Fatal(err)
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		if b.String() != step.out {
			t.Fatalf("after %q: %q, want %q", step.in, b.String(), step.out)
		}
	}
}

func TestRedactorLearnsWhileWriting(t *testing.T) {
	var b strings.Builder
	r := new(Redactor)
	w := r.Writer(&b)
	fmt.Fprint(w, "hunter2 ")
	r.Add("hunter2")
	fmt.Fprint(w, "hunter2 ")
	if got := b.String(); got != "hunter2 [redacted] " {
		t.Errorf("wrote %q", got)
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }

func TestRedactWriterTellsErrors(t *testing.T) {
	w := newRedactor("hunter2").Writer(brokenWriter{})
	if _, err := w.Write([]byte("hello")); err == nil {
		t.Error("no error")
	}
	if err := w.Close(); err != nil {
		t.Errorf("Close after a failed write: %v", err)
	}
}

func TestRedactorConcurrently(t *testing.T) {
	r := new(Redactor)
	w := r.Writer(io.Discard)
	var g sync.WaitGroup
	for i := range 8 {
		g.Go(func() {
			for j := range 200 {
				s := fmt.Sprintf("secret-%d-%d", i, j)
				r.Add(s)
				if got := r.String(s); got != redacted {
					t.Errorf("String(%q) = %q", s, got)
				}
				fmt.Fprintln(w, s)
			}
		})
	}
	g.Wait()
}

// TestRedactWriterIsString compares any cutting of any text over a small
// alphabet, where secrets overlap all the time, with String of the whole.
func TestRedactWriterIsString(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	word := func(n int) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = "abc"[rnd.IntN(3)]
		}
		return string(b)
	}
	for range 5000 {
		r := new(Redactor)
		var secrets []string
		for range 1 + rnd.IntN(4) {
			s := word(4 + rnd.IntN(6))
			secrets = append(secrets, s)
			r.Add(s)
		}
		text := word(rnd.IntN(60))
		if rnd.IntN(2) == 0 {
			text += secrets[0] // ends with a secret that may begin another
			r.Add(secrets[0] + word(2))
		}
		var chunks []string
		for rest := text; rest != ""; {
			n := 1 + rnd.IntN(min(8, len(rest)))
			chunks = append(chunks, rest[:n])
			rest = rest[n:]
		}
		want := r.String(text)
		if got := redactAll(t, r, chunks...); got != want {
			t.Fatalf("secrets %q, chunks %q: %q, want %q", secrets, chunks, got, want)
		}
		for _, s := range secrets {
			if strings.Contains(want, s) {
				t.Fatalf("secrets %q: %q became %q", secrets, text, want)
			}
		}
	}
}

func FuzzRedactWriter(f *testing.F) {
	f.Add("hunter2", "ter2 xyz", "a hunter2 xyz b", uint8(3))
	f.Add("0", "aaaa ", "aaaa", uint8(0))
	f.Add("aaaa", "aaaaab", "aaaaaaaaab", uint8(1))
	f.Add("päss\nwörd", "", "päss\nwörd", uint8(2))
	f.Fuzz(func(t *testing.T, a, b, text string, size uint8) {
		r := newRedactor(a, b)
		want := r.String(text)
		var chunks []string
		n := int(size%16) + 1
		for rest := text; rest != ""; {
			k := min(n, len(rest))
			chunks = append(chunks, rest[:k])
			rest = rest[k:]
		}
		if got := redactAll(t, r, chunks...); got != want {
			t.Fatalf("chunks %q: %q, want %q", chunks, got, want)
		}
		for _, s := range []string{a, b} {
			if len(s) < minSecret || strings.ContainsAny(s, "[]redact") {
				continue
			}
			if strings.Contains(want, s) {
				t.Fatalf("%q is in %q", s, want)
			}
		}
	})
}

func BenchmarkRedactWriter(b *testing.B) {
	r := new(Redactor)
	for i := range 200 {
		r.Add(fmt.Sprintf("a secret of some length %d", i*7919))
	}
	line := []byte(strings.Repeat("copying path '/nix/store/abc-hello' from cache\n", 20))
	w := r.Writer(io.Discard)
	b.SetBytes(int64(len(line)))
	for b.Loop() {
		if _, err := w.Write(line); err != nil {
			b.Fatal(err)
		}
	}
}
