package host

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/url"
	"strings"
	"sync"
)

// redacted is what stands in the place of a secret.
const redacted = "[redacted]"

// minSecret is the length in bytes below which a secret is not looked for: it
// would be found in every other word.
const minSecret = 4

// A Redactor takes secrets out of text. The zero value is ready to use and knows
// no secret; a nil *Redactor never does. It is safe for concurrent use.
//
// Every byte that belongs to an occurrence of a secret is taken out, also where
// occurrences overlap; "[redacted]" stands for each run of such bytes. What is
// not promised: a secret is not found when only a part of it is there, or in an
// encoding that Add does not name.
type Redactor struct {
	mu     sync.RWMutex
	known  map[string]bool              // every form of every secret
	byHead map[[minSecret]byte][]string // the same by their first bytes
	starts map[string]bool              // their beginnings that are shorter than minSecret
	first  [256]bool                    // their first bytes
	max    int                          // length of the longest
}

// Add makes s a secret from now on. It is also found in base64 (either alphabet,
// alone or inside something longer), URL-escaped and JSON-escaped, without the
// white space around it, and, when it has several lines, line by line. A secret
// shorter than 4 bytes is ignored.
func (r *Redactor) Add(s string) {
	if r == nil || len(s) < minSecret {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, form := range forms(s) {
		r.add(form)
	}
	trimmed := strings.TrimSpace(s)
	if len(trimmed) < minSecret {
		return
	}
	for _, form := range forms(trimmed) {
		r.add(form)
	}
	for line := range strings.Lines(trimmed) {
		line = strings.TrimSpace(line)
		// Short lines and the frame of a PEM block say nothing.
		if len(line) >= 8 && !strings.HasPrefix(line, "-----") {
			r.add(line)
		}
	}
}

// add remembers one form; r.mu is held.
func (r *Redactor) add(form string) {
	if len(form) < minSecret || r.known[form] {
		return
	}
	if r.known == nil {
		r.known = map[string]bool{}
		r.byHead = map[[minSecret]byte][]string{}
		r.starts = map[string]bool{}
	}
	r.known[form] = true
	head := [minSecret]byte([]byte(form[:minSecret]))
	r.byHead[head] = append(r.byHead[head], form)
	for n := 1; n < minSecret; n++ {
		r.starts[form[:n]] = true
	}
	r.first[form[0]] = true
	r.max = max(r.max, len(form))
}

// forms returns s as it is and in the encodings in which programs print it.
func forms(s string) []string {
	all := []string{
		s,
		base64.StdEncoding.EncodeToString([]byte(s)),
		base64.URLEncoding.EncodeToString([]byte(s)),
		url.QueryEscape(s),
		url.PathEscape(s),
		jsonEscape(s, true),
		jsonEscape(s, false),
	}
	// Inside something longer, as in the "user:password" of HTTP's basic
	// authentication, base64 has one of three looks. Its first and last character
	// can depend on the neighbours and are left off.
	for shift := range 3 {
		text := base64.RawStdEncoding.EncodeToString([]byte("\x00\x00"[:shift] + s))
		text = text[(shift*8+5)/6 : (shift+len(s))*8/6]
		all = append(all, text, strings.NewReplacer("+", "-", "/", "_").Replace(text))
	}
	return all
}

// jsonEscape returns s as it stands between the quotes of a JSON string, with or
// without <, > and & as \u escapes.
func jsonEscape(s string, html bool) string {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(html)
	if enc.Encode(s) != nil {
		return ""
	}
	return strings.TrimSuffix(strings.TrimPrefix(strings.TrimSuffix(b.String(), "\n"), `"`), `"`)
}

// String returns s without the secrets.
func (r *Redactor) String(s string) string {
	if r == nil {
		return s
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	w := RedactWriter{r: r}
	var b strings.Builder
	upto := 0 // s[:upto] ends with a secret
	for i := range len(s) {
		n := r.match(s[i:])
		if n > 0 && upto == 0 {
			b.WriteString(s[:i])
		}
		if n > 0 {
			upto = max(upto, i+n)
		}
		if upto > 0 {
			w.put(&b, s[i], i < upto)
		}
	}
	if upto == 0 {
		return s
	}
	return b.String()
}

// match returns the length of the longest secret that s begins with, 0 if none; r.mu is held.
func (r *Redactor) match(s string) int {
	if len(s) < minSecret || !r.first[s[0]] {
		return 0
	}
	n := 0
	for _, form := range r.byHead[[minSecret]byte{s[0], s[1], s[2], s[3]}] {
		if len(form) > n && strings.HasPrefix(s, form) {
			n = len(form)
		}
	}
	return n
}

// pending reports whether s is the beginning of a secret longer than s; r.mu is held.
func (r *Redactor) pending(s string) bool {
	if !r.first[s[0]] {
		return false
	}
	if len(s) < minSecret {
		return r.starts[s]
	}
	for _, form := range r.byHead[[minSecret]byte{s[0], s[1], s[2], s[3]}] {
		if len(form) > len(s) && strings.HasPrefix(form, s) {
			return true
		}
	}
	return false
}

// Writer returns a writer that passes on to w what is written to it, without the
// secrets. The caller closes it, or flushes it when no more comes.
func (r *Redactor) Writer(w io.Writer) *RedactWriter {
	return &RedactWriter{r: r, w: w}
}

// A RedactWriter takes secrets out of a stream. However a secret is cut into
// writes, it does not get through. Only text with which a secret may have begun
// waits for the next write; all else is passed on before Write returns, so
// prompts and lines appear at once. It is safe for concurrent use.
type RedactWriter struct {
	r *Redactor
	w io.Writer

	mu     sync.Mutex
	tail   string // the end of the stream, with which a secret may have begun
	secret int    // so many bytes of tail belong to a secret that began before it
	sent   int    // so many bytes of tail were passed on by Flush
	hiding bool   // what was passed on last was "[redacted]"
}

// Write takes all of p. The error is that of the writer behind; nothing waits after an error.
func (w *RedactWriter) Write(p []byte) (int, error) {
	if w.r == nil {
		return w.w.Write(p)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.pass(w.scan(w.tail + string(p))); err != nil {
		return 0, err
	}
	return len(p), nil
}

// pass passes s on.
func (w *RedactWriter) pass(s string) error {
	if s == "" {
		return nil
	}
	_, err := io.WriteString(w.w, s)
	if err != nil {
		w.tail, w.secret, w.sent, w.hiding = "", 0, 0, false
	}
	return err
}

// scan returns what can be passed on of s, which begins with the tail, and keeps the rest.
func (w *RedactWriter) scan(s string) string {
	w.r.mu.RLock()
	defer w.r.mu.RUnlock()
	cut := max(0, len(s)-w.r.max)
	for cut < len(s) && !w.r.pending(s[cut:]) {
		cut++
	}
	out, upto := w.emit(s, cut)
	w.tail, w.secret, w.sent = s[cut:], max(0, upto-cut), max(0, w.sent-cut)
	return out
}

// emit returns s[:cut] without the secrets and without what was sent, and where
// the last secret that begins there ends.
func (w *RedactWriter) emit(s string, cut int) (out string, upto int) {
	var b strings.Builder
	upto = w.secret
	for i := range cut {
		upto = max(upto, i+w.r.match(s[i:]))
		if i >= w.sent {
			w.put(&b, s[i], i < upto)
		}
	}
	return b.String(), upto
}

// put writes one byte, or "[redacted]" for the first of a run of secret ones.
func (w *RedactWriter) put(b *strings.Builder, c byte, secret bool) {
	switch {
	case !secret:
		b.WriteByte(c)
	case !w.hiding:
		b.WriteString(redacted)
	}
	w.hiding = secret
}

// Flush passes on what waits. Should it have been the first part of a secret
// after all, only the rest is taken out.
func (w *RedactWriter) Flush() error {
	if w.r == nil {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.r.mu.RLock()
	out, _ := w.emit(w.tail, len(w.tail))
	w.r.mu.RUnlock()
	w.sent = len(w.tail)
	return w.pass(out)
}

// Close flushes. It does not close the writer behind.
func (w *RedactWriter) Close() error { return w.Flush() }
