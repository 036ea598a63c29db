package host

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/cavaliergopher/grab/v3"
)

const (
	fetchTries     = 5                // requests in all, the first one counted
	fetchStall     = 30 * time.Second // without one byte
	connectTimeout = 10 * time.Second // for the TCP connection, and again for the TLS handshake
	headTimeout    = 5 * time.Second  // for the whole of ServerTime
)

// Fetch downloads files over HTTP. The zero value works; one value may be used
// by several goroutines for different files.
type Fetch struct {
	Client   *http.Client              // nil: a client that honours http_proxy, https_proxy and no_proxy
	Stall    time.Duration             // a request that brings no byte for so long is given up; 0: 30 s
	Backoff  func(n int) time.Duration // the pause after the n-th try, n from 1; nil: 0.5, 1, 2, 4 s …
	Tries    int                       // 0: 5
	Progress func(done, total int64)   // in bytes; total 0: unknown. Called at most ten times a second; may be nil
}

// Get downloads url to file and returns only if its SHA-256 is sha256hex. The
// directory of file exists; the bytes are collected in <sha256hex>.part beside
// file, which an interrupted download leaves behind and the next Get resumes. A
// file that already has the digest costs no request; one that has not is replaced.
//
// Errors: *UnreachableError if the server cannot be reached or refuses,
// *DigestError if two whole downloads had another digest; an error of package os,
// wrapped, if the file cannot be written; the cause of ctx.
func (f *Fetch) Get(ctx context.Context, url, sha256hex, file string) error {
	want, err := hex.DecodeString(sha256hex)
	if err != nil || len(want) != sha256.Size {
		return fmt.Errorf("reading digest of %s: %q is not a SHA-256 in hex", BareURL(url), sha256hex)
	}
	if fi, err := os.Stat(filepath.Dir(file)); err != nil {
		return fmt.Errorf("downloading %s: %w", BareURL(url), err)
	} else if !fi.IsDir() {
		return fmt.Errorf("downloading %s: %w", BareURL(url), &fs.PathError{Op: "open", Path: filepath.Dir(file), Err: fs.ErrInvalid})
	}
	if hasDigest(file, want) {
		return nil
	}
	part := filepath.Join(filepath.Dir(file), hex.EncodeToString(want)+".part")
	if !hasDigest(part, want) {
		if err := f.download(ctx, url, want, part); err != nil {
			return err
		}
	}
	return publish(part, file)
}

// ServerTime returns the Date of the answer to a HEAD request, whatever its
// status; redirects are not followed. It takes 5 s at most. A server whose certificate
// is not valid now is asked again without TLS: the clock may be what is wrong.
func (f *Fetch) ServerTime(ctx context.Context, url string) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, headTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, url, nil)
	if err != nil {
		return time.Time{}, fmt.Errorf("asking for the time: %w", err)
	}
	client, done := f.client()
	defer done()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	resp, err := client.Do(req)
	if err != nil {
		if plain, ok := strings.CutPrefix(url, "https://"); ok && IsExpired(err) {
			return f.ServerTime(ctx, "http://"+plain)
		}
		return time.Time{}, unreachable(url, err)
	}
	resp.Body.Close()
	t, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil {
		return time.Time{}, fmt.Errorf("reading the date that %s sent: %w", url, err)
	}
	return t, nil
}

// download fills part, over as many requests as it takes and the limits allow.
func (f *Fetch) download(ctx context.Context, url string, want []byte, part string) error {
	client, done := f.client()
	defer done()
	client.Transport = &watchdog{next: client.Transport, stall: orElse(f.Stall, fetchStall), progress: f.Progress}
	g := &grab.Client{HTTPClient: client, UserAgent: "movein", BufferSize: 64 << 10}

	restarted, noResume := false, false
	for n := 1; ; n++ {
		if noResume {
			if err := os.Remove(part); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("downloading %s: %w", url, err)
			}
		}
		a := attempt(ctx, g, url, want, part)
		switch {
		case a.err == nil:
			return nil
		case ctx.Err() != nil:
			return fmt.Errorf("downloading %s: %w", url, context.Cause(ctx))
		case a.verdict == local:
			return fmt.Errorf("downloading %s: %w", url, a.err)
		case a.verdict == ignoredRange && !noResume:
			noResume, n = true, n-1 // the next request is the same try, begun anew
			continue
		case a.verdict == wrongContent && !restarted:
			restarted, n = true, n-1
			if err := os.Remove(part); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("downloading %s: %w", url, err)
			}
			continue
		case a.verdict == wrongContent:
			return f.wrong(url, want, a)
		case n >= f.tries(a.verdict):
			return unreachable(url, a.err)
		}
		if err := pause(ctx, max(f.backoff(n), a.retryAfter)); err != nil {
			return fmt.Errorf("downloading %s: %w", url, err)
		}
	}
}

func (f *Fetch) wrong(url string, want []byte, a outcome) error {
	if a.got == nil { // never a whole body to take a digest of
		return unreachable(url, a.err)
	}
	return &DigestError{Name: BareURL(url), Want: hex.EncodeToString(want), Got: hex.EncodeToString(a.got)}
}

// client returns a client of the caller's own and what to call when it is done.
func (f *Fetch) client() (*http.Client, func()) {
	if f.Client != nil {
		c := *f.Client
		if c.Transport == nil {
			c.Transport = http.DefaultTransport
		}
		return &c, func() {}
	}
	t := newTransport()
	return &http.Client{Transport: t}, t.CloseIdleConnections
}

// newTransport is what every HTTP connection of this package goes through.
func newTransport() *http.Transport {
	return &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: connectTimeout}).DialContext,
		TLSHandshakeTimeout: connectTimeout,
		ForceAttemptHTTP2:   true,
		DisableCompression:  true, // digests and lengths are those of the file, and ranges count its bytes
	}
}

// hasDigest tells whether file can be read and has the SHA-256.
func hasDigest(file string, want []byte) bool {
	in, err := os.Open(file)
	if err != nil {
		return false
	}
	defer in.Close()
	h := sha256.New()
	if _, err := io.Copy(h, in); err != nil {
		return false
	}
	return string(h.Sum(nil)) == string(want)
}

// publish makes part durable under its final name.
func publish(part, file string) error {
	if err := syncFile(part); err != nil {
		return fmt.Errorf("writing %s: %w", file, err)
	}
	if err := os.Rename(part, file); err != nil {
		return fmt.Errorf("writing %s: %w", file, err)
	}
	if err := syncFile(filepath.Dir(file)); err != nil {
		return fmt.Errorf("writing %s: %w", file, err)
	}
	return nil
}

// syncFile makes a file or directory durable.
func syncFile(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

func orElse[T comparable](v, fallback T) T {
	var zero T
	if v == zero {
		return fallback
	}
	return v
}
