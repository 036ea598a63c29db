package host

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"math/rand"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// origin serves one body. Each GET is answered by the next of answers, or whole and rightly when they are used up.
type origin struct {
	*httptest.Server
	body    []byte
	answers []http.HandlerFunc
	head    http.HandlerFunc // nil: rightly

	mu  sync.Mutex
	log []string // "GET", "GET bytes=5-", "HEAD"
}

func newOrigin(t *testing.T, answers ...http.HandlerFunc) *origin {
	t.Helper()
	o := &origin{body: make([]byte, 300_000), answers: answers}
	rand.New(rand.NewSource(1)).Read(o.body)
	o.Server = httptest.NewServer(http.HandlerFunc(o.serve))
	t.Cleanup(o.Close)
	return o
}

func (o *origin) serve(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	o.log = append(o.log, strings.TrimSpace(r.Method+" "+r.Header.Get("Range")))
	answer := http.HandlerFunc(o.whole)
	if r.Method == http.MethodHead && o.head != nil {
		answer = o.head
	} else if r.Method == http.MethodGet && len(o.answers) > 0 {
		answer, o.answers = o.answers[0], o.answers[1:]
	}
	o.mu.Unlock()
	answer(w, r)
}

func (o *origin) whole(w http.ResponseWriter, r *http.Request) {
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(o.body))
}

func (o *origin) requests() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return strings.Join(o.log, ", ")
}

func digestOf(b []byte) string { s := sha256.Sum256(b); return hex.EncodeToString(s[:]) }

// cut promises the whole body, sends n bytes and hangs up.
func cut(o **origin, n int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(len((*o).body)))
		w.Header().Set("Accept-Ranges", "bytes")
		w.Write((*o).body[:n])
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
}

func status(code int, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(code)
	}
}

// ignoring answers with the whole body whatever Range says, and claims in HEAD that it would not.
func ignoring(o **origin) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Accept-Ranges", "bytes")
		w.Header().Set("Content-Length", strconv.Itoa(len((*o).body)))
		w.Write((*o).body)
	}
}

func reset(w http.ResponseWriter, r *http.Request) {
	c, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		panic(err)
	}
	c.(*net.TCPConn).SetLinger(0)
	c.Close()
}

func quick() *Fetch {
	return &Fetch{Backoff: func(int) time.Duration { return time.Millisecond }, Stall: 5 * time.Second}
}

func TestFetchGet(t *testing.T) {
	var o *origin
	wrongBody := func(w http.ResponseWriter, r *http.Request) { w.Write([]byte("a login page")) }
	stall := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(len(o.body)))
		w.Write(o.body[:1000])
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}
	noRange := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(len(o.body)))
		if r.Method == http.MethodGet {
			w.Write(o.body)
		}
	}
	for _, c := range []struct {
		name     string
		answers  []http.HandlerFunc
		head     http.HandlerFunc
		part     int // bytes of an earlier try; more than the body: rubbish at the end
		rubbish  bool
		stall    time.Duration
		requests string
		err      string // part of it; "": none
	}{
		{name: "plain", requests: "GET"},
		{name: "resume", part: 100_000, requests: "HEAD, GET bytes=100000-"},
		{name: "resume of a wrong part", part: 100_000, rubbish: true, requests: "HEAD, GET bytes=100000-, GET"},
		{name: "whole part", part: 300_000, requests: ""},
		{name: "longer part", part: 300_007, requests: "HEAD, GET"},
		{name: "part of the right size and wrong", part: 300_000, rubbish: true, requests: "HEAD, GET"},
		{name: "truncated", answers: []http.HandlerFunc{cut(&o, 1234)}, requests: "GET, HEAD, GET bytes=1234-"},
		{name: "reset", answers: []http.HandlerFunc{reset, reset}, requests: "GET, GET, GET"},
		{name: "stall", answers: []http.HandlerFunc{stall}, stall: 50 * time.Millisecond, requests: "GET, HEAD, GET bytes=1000-"},
		{name: "stall before the header", answers: []http.HandlerFunc{func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() }},
			stall: 50 * time.Millisecond, requests: "GET, GET"},
		{name: "503", answers: []http.HandlerFunc{status(503), status(429), status(408)}, requests: "GET, GET, GET, GET"},
		{name: "503 for ever", answers: []http.HandlerFunc{status(503), status(503), status(503), status(503), status(503), status(503)},
			requests: "GET, GET, GET, GET, GET", err: "503"},
		{name: "404", answers: []http.HandlerFunc{status(404)}, requests: "GET", err: "404 Not Found"},
		{name: "403", answers: []http.HandlerFunc{status(403)}, requests: "GET", err: "403"},
		{name: "410", answers: []http.HandlerFunc{status(410)}, requests: "GET", err: "410"},
		{name: "wrong once", answers: []http.HandlerFunc{wrongBody}, requests: "GET, GET"},
		{name: "wrong", answers: []http.HandlerFunc{wrongBody, wrongBody}, requests: "GET, GET", err: "has SHA-256 " + digestOf([]byte("a login page"))},
		{name: "no ranges", head: noRange, answers: []http.HandlerFunc{cut(&o, 10), noRange}, requests: "GET, HEAD, GET"},
		{name: "ranges claimed and ignored", part: 5000, answers: []http.HandlerFunc{ignoring(&o)}, requests: "HEAD, GET bytes=5000-, GET"},
		{name: "ranges claimed and ignored, and truncated",
			answers:  []http.HandlerFunc{cut(&o, 10), ignoring(&o), cut(&o, 20), ignoring(&o)},
			requests: "GET, HEAD, GET bytes=10-, GET, GET"},
		{name: "no HEAD", head: status(405), part: 5000, requests: "HEAD, GET"},
		{name: "416", head: nil, part: 5000, answers: []http.HandlerFunc{status(416)}, requests: "HEAD, GET bytes=5000-, GET"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o = newOrigin(t, c.answers...)
			o.head = c.head
			dir := t.TempDir()
			file, sum := filepath.Join(dir, "nix.tar.xz"), digestOf(o.body)
			if c.part > 0 {
				b := append(bytes.Clone(o.body), make([]byte, 100)...)[:c.part]
				if c.rubbish {
					b[7] ^= 1
				}
				must(t, os.WriteFile(filepath.Join(dir, sum+".part"), b, 0o644))
			}
			f := quick()
			if c.stall > 0 {
				f.Stall = c.stall
			}
			err := f.Get(t.Context(), o.URL, sum, file)
			if got := o.requests(); got != c.requests {
				t.Errorf("requests: %s\n    want: %s", got, c.requests)
			}
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Fatalf("error %v, want %q", err, c.err)
				}
				var u *UnreachableError
				var d *DigestError
				if !errors.As(err, &u) && !errors.As(err, &d) {
					t.Errorf("error is a %T", err)
				}
				absent(t, file)
				return
			}
			must(t, err)
			if got, _ := os.ReadFile(file); !bytes.Equal(got, o.body) {
				t.Errorf("file has %d bytes, digest %s", len(got), digestOf(got))
			}
			absent(t, filepath.Join(dir, sum+".part"))
		})
	}
}

func TestFetchPresent(t *testing.T) {
	o := newOrigin(t)
	file := filepath.Join(t.TempDir(), "f")
	must(t, os.WriteFile(file, o.body, 0o644))
	must(t, quick().Get(t.Context(), o.URL, digestOf(o.body), file))
	if o.requests() != "" {
		t.Errorf("asked %s for a file that is there", o.requests())
	}
	must(t, os.WriteFile(file, []byte("old"), 0o644))
	must(t, quick().Get(t.Context(), o.URL, digestOf(o.body), file))
	if got, _ := os.ReadFile(file); !bytes.Equal(got, o.body) {
		t.Error("wrong file was not replaced")
	}
}

func TestFetchRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for v, want := range map[string]time.Duration{
		"": 0, "2": 2 * time.Second, "3600": 30 * time.Second, "-5": 0, "soon": 0, "99999999999999999999": 0,
		"Fri, 02 Jan 2026 03:04:12 GMT": 7 * time.Second, "Fri, 02 Jan 2026 05:04:12 GMT": 30 * time.Second,
		"Fri, 02 Jan 2026 03:00:00 GMT": 0,
	} {
		if got := retryAfter(v, now); got != want {
			t.Errorf("retryAfter(%q) = %v, want %v", v, got, want)
		}
	}
	o := newOrigin(t, status(503, "Retry-After", "1"))
	begin := time.Now()
	must(t, quick().Get(t.Context(), o.URL, digestOf(o.body), filepath.Join(t.TempDir(), "f")))
	if d := time.Since(begin); d < time.Second {
		t.Errorf("asked again after %v", d)
	}
}

// An unknown host and a refused network get a second try only: being offline is common and must not look like work.
func TestFetchOffline(t *testing.T) {
	for _, err := range []error{
		&net.DNSError{Err: "no such host", Name: "x", IsNotFound: true},
		&net.DNSError{Err: "server misbehaving", Name: "x", IsTemporary: true},
		&net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ENETUNREACH)},
	} {
		dials := 0
		f := &Fetch{Client: &http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
			dials++
			return nil, err
		}}}}
		begin := time.Now()
		got := f.Get(t.Context(), "http://x.invalid/f", digestOf(nil), filepath.Join(t.TempDir(), "f"))
		var u *UnreachableError
		if !errors.As(got, &u) || !errors.Is(got, err) {
			t.Errorf("%v: got %v", err, got)
		}
		if d := time.Since(begin); dials != 2 || d > 2*time.Second {
			t.Errorf("%v: %d dials, %v", err, dials, d)
		}
	}
}

func TestFetchRefused(t *testing.T) {
	o := newOrigin(t)
	o.Close()
	n := 0
	f := &Fetch{Backoff: func(int) time.Duration { n++; return 0 }}
	err := f.Get(t.Context(), o.URL, digestOf(o.body), filepath.Join(t.TempDir(), "f"))
	if u := (*UnreachableError)(nil); !errors.As(err, &u) || n != 4 {
		t.Errorf("%v after %d pauses", err, n)
	}
}

func TestFetchHopeless(t *testing.T) {
	f := &Fetch{Backoff: func(int) time.Duration { t.Error("tried again"); return 0 }}
	tls := httptest.NewUnstartedServer(http.NotFoundHandler())
	tls.Config.ErrorLog = nil
	tls.StartTLS()
	defer tls.Close()
	for _, url := range []string{"gopher://x/", "http:///f", tls.URL} {
		err := f.Get(t.Context(), url, digestOf(nil), filepath.Join(t.TempDir(), "f"))
		if u := (*UnreachableError)(nil); !errors.As(err, &u) {
			t.Errorf("%s: %v", url, err)
		}
	}
	if err := f.Get(t.Context(), "http://x/", "abc", "/nonexistent/f"); err == nil {
		t.Error("accepted a digest that is none")
	}
	if err := f.Get(t.Context(), "http://x/", digestOf(nil), "/nonexistent/f"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no directory: %v", err)
	}
}

func TestFetchCancel(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	o := newOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "300000")
		w.(http.Flusher).Flush()
		cancel()
		<-r.Context().Done()
	})
	err := quick().Get(ctx, o.URL, digestOf(o.body), filepath.Join(t.TempDir(), "f"))
	if !errors.Is(err, context.Canceled) || o.requests() != "GET" {
		t.Errorf("%v after %s", err, o.requests())
	}
	for range 1_000_000 { // grab's gauge ends on its own a moment later
		if runtime.Gosched(); !strings.Contains(stacks(), "cavaliergopher/grab") {
			return
		}
	}
	t.Error("grab's goroutines go on:\n" + stacks())
}

func stacks() string {
	b := make([]byte, 1<<20)
	return string(b[:runtime.Stack(b, true)])
}

func TestFetchProgress(t *testing.T) {
	o := newOrigin(t)
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, digestOf(o.body)+".part"), o.body[:1000], 0o644))
	var done, total int64
	f := quick()
	f.Progress = func(d, t int64) { done, total = d, t }
	must(t, f.Get(t.Context(), o.URL, digestOf(o.body), filepath.Join(dir, "f")))
	if done != 300_000 || total != 300_000 {
		t.Errorf("progress ended at %d of %d", done, total)
	}
}

func TestFetchDiskFull(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root to mount a small tmpfs")
	}
	for _, ranges := range []bool{true, false} {
		dir := t.TempDir()
		if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=128k"); err != nil {
			t.Skip("mounting a tmpfs: ", err)
		}
		defer unix.Unmount(dir, unix.MNT_DETACH)
		o := newOrigin(t)
		if !ranges {
			o.answers = []http.HandlerFunc{func(w http.ResponseWriter, r *http.Request) { w.Write(o.body) }}
		}
		err := quick().Get(t.Context(), o.URL, digestOf(o.body), filepath.Join(dir, "f"))
		if !errors.Is(err, syscall.ENOSPC) || o.requests() != "GET" {
			t.Errorf("%v after %s", err, o.requests())
		}
		if u := (*UnreachableError)(nil); errors.As(err, &u) {
			t.Errorf("a full disk is told as %v", err)
		}
		part := filepath.Join(dir, digestOf(o.body)+".part")
		if !ranges {
			absent(t, part)
			continue
		}
		if b, _ := os.ReadFile(part); len(b) == 0 || !bytes.HasPrefix(o.body, b) {
			t.Errorf("part has %d bytes", len(b))
		}
		must(t, unix.Mount("tmpfs", dir, "tmpfs", unix.MS_REMOUNT, "size=2m"))
		must(t, quick().Get(t.Context(), o.URL, digestOf(o.body), filepath.Join(dir, "f")))
		if !strings.Contains(o.requests(), "GET bytes=") {
			t.Errorf("not resumed: %s", o.requests())
		}
	}
}

func TestServerTime(t *testing.T) {
	want := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodHead || r.URL.Path != "/" {
			t.Errorf("%s %s", r.Method, r.URL)
		}
		w.Header().Set("Date", want.Format(http.TimeFormat))
		http.Redirect(w, r, "/elsewhere", http.StatusFound)
	}))
	defer srv.Close()
	got, err := new(Fetch).ServerTime(t.Context(), srv.URL)
	if err != nil || !got.Equal(want) {
		t.Errorf("%v, %v", got, err)
	}
	srv.Close()
	if _, err := new(Fetch).ServerTime(t.Context(), srv.URL); err == nil {
		t.Error("time of a server that is gone")
	} else if u := (*UnreachableError)(nil); !errors.As(err, &u) {
		t.Errorf("got a %T: %v", err, err)
	}
}

// roundTrip is an http.RoundTripper.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestServerTimeOfAClockThatIsWrong has a clock on which no certificate is valid.
func TestServerTimeOfAClockThatIsWrong(t *testing.T) {
	want := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	f := &Fetch{Client: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		if r.URL.Scheme == "https" {
			return nil, &tls.CertificateVerificationError{Err: x509.CertificateInvalidError{Reason: x509.Expired}}
		}
		return &http.Response{Body: http.NoBody, Header: http.Header{"Date": {want.Format(http.TimeFormat)}}}, nil
	})}}
	if got, err := f.ServerTime(t.Context(), "https://example.org/x"); err != nil || !got.Equal(want) {
		t.Errorf("%v, %v", got, err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func absent(t *testing.T, name string) {
	t.Helper()
	if _, err := os.Lstat(name); err == nil {
		t.Errorf("%s exists", name)
	}
}
