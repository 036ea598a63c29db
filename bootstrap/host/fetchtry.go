package host

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	neturl "net/url"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/cavaliergopher/grab/v3"
)

// errStalled says that the other side sent nothing for too long.
var errStalled = errors.New("connection stalled")

// errIgnoredRange says that the server answered a request for the rest of a file with something else.
var errIgnoredRange = errors.New("server ignored the range that was asked for")

const (
	offlineTries  = 2                // of fetchTries, if there seems to be no network at all
	maxRetryAfter = 30 * time.Second // a server that wants a longer pause gets this one
)

// verdict says what a failed try means for the next.
type verdict int

const (
	passing      verdict = iota // worth another try
	offline                     // worth one other try
	final                       // the answer will not change
	local                       // our side failed
	ignoredRange                // resuming does not work here
	wrongContent                // what is on disk is not a beginning of the file that was asked for
)

// outcome is how one try ended.
type outcome struct {
	err        error
	verdict    verdict
	got        []byte // SHA-256 of a whole download that had the wrong one
	retryAfter time.Duration
}

// attempt makes one request to fill part, or the rest of it.
func attempt(ctx context.Context, g *grab.Client, url string, want []byte, part string) outcome {
	req, err := grab.NewRequest(part, url)
	if err != nil {
		return outcome{err: err, verdict: final}
	}
	digest := sha256.New()
	req.SetChecksum(digest, want, true)
	req.NoCreateDirectories = true
	req.IgnoreRemoteTime = true
	req.BeforeCopy = func(r *grab.Response) error {
		if r.DidResume && r.HTTPResponse.StatusCode != http.StatusPartialContent {
			return errIgnoredRange
		}
		return nil
	}
	// Err waits for grab's goroutine, which has then cancelled its own context.
	resp := g.Do(req.WithContext(ctx))
	o := outcome{err: resp.Err()}
	if o.err == nil {
		return o
	}
	o.verdict = judge(o.err)
	if errors.Is(o.err, grab.ErrBadChecksum) {
		o.got = digest.Sum(nil)
	}
	var status grab.StatusCodeError
	if resp.HTTPResponse != nil {
		if errors.As(o.err, &status) {
			o.retryAfter = retryAfter(resp.HTTPResponse.Header.Get("Retry-After"), time.Now())
		}
		if o.verdict == local && !resumable(resp.HTTPResponse) {
			os.Remove(part)
		}
	}
	return o
}

func resumable(r *http.Response) bool {
	return r.Header.Get("Accept-Ranges") == "bytes" || r.StatusCode == http.StatusPartialContent
}

// judge sorts the error of a try.
func judge(err error) verdict {
	var status grab.StatusCodeError
	var dns *net.DNSError
	var url *neturl.Error
	var cert *tls.CertificateVerificationError
	var path *fs.PathError
	switch {
	case errors.Is(err, errIgnoredRange):
		return ignoredRange
	case errors.Is(err, grab.ErrBadChecksum), errors.Is(err, grab.ErrBadLength):
		return wrongContent
	case errors.As(err, &status):
		return judgeStatus(int(status))
	case errors.As(err, &cert):
		return final
	case errors.As(err, &dns), errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH):
		return offline
	case errors.As(err, &url):
		if strings.Contains(url.Err.Error(), "unsupported protocol scheme") || strings.Contains(url.Err.Error(), "no Host in request URL") {
			return final // net/http has no typed errors for these
		}
		return passing
	case errors.As(err, &path), errors.Is(err, io.ErrShortWrite):
		return local
	}
	return passing
}

func judgeStatus(code int) verdict {
	switch {
	case code >= 500, code == http.StatusTooManyRequests, code == http.StatusRequestTimeout:
		return passing
	case code == http.StatusRequestedRangeNotSatisfiable:
		return wrongContent
	}
	return final
}

func (f *Fetch) tries(v verdict) int {
	n := orElse(f.Tries, fetchTries)
	switch v {
	case final:
		return 1
	case offline:
		return min(n, offlineTries)
	}
	return n
}

func (f *Fetch) backoff(n int) time.Duration {
	if f.Backoff != nil {
		return f.Backoff(n)
	}
	return 500 * time.Millisecond << min(n-1, 6)
}

// retryAfter reads the header of that name (RFC 9110, 10.2.3): seconds or a date.
func retryAfter(v string, now time.Time) time.Duration {
	var d time.Duration
	if n, err := strconv.Atoi(strings.TrimSpace(v)); err == nil {
		d = time.Duration(min(max(n, 0), int(maxRetryAfter/time.Second))) * time.Second
	} else if t, err := http.ParseTime(v); err == nil {
		d = t.Sub(now)
	}
	return min(max(d, 0), maxRetryAfter)
}

// pause waits, or returns the cause of ctx.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// unreachable makes an *UnreachableError that tells the URL once and no password.
func unreachable(url string, err error) error {
	var u *neturl.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	return &UnreachableError{URL: BareURL(url), Err: err}
}

// watchdog is a transport that gives up a request which brings no byte, of the
// header or of the body, for the duration stall, and tells how far a body is.
type watchdog struct {
	next     http.RoundTripper
	stall    time.Duration
	progress func(done, total int64) // of GET requests; may be nil
}

func (w *watchdog) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(req.Context())
	timer := time.AfterFunc(w.stall, func() { cancel(errStalled) })
	resp, err := w.next.RoundTrip(req.WithContext(ctx))
	if err != nil {
		timer.Stop()
		if context.Cause(ctx) == errStalled {
			err = fmt.Errorf("%w: no answer for %v", errStalled, w.stall)
		}
		cancel(nil)
		return nil, err
	}
	b := &watchedBody{ReadCloser: resp.Body, ctx: ctx, cancel: cancel, timer: timer, stall: w.stall}
	if req.Method == http.MethodGet && w.progress != nil && resp.StatusCode < 300 {
		b.progress = w.progress
		b.start(req, resp)
	}
	resp.Body = b
	return resp, nil
}

// watchedBody runs the watchdog's timer while something waits for bytes.
type watchedBody struct {
	io.ReadCloser
	ctx         context.Context
	cancel      context.CancelCauseFunc
	timer       *time.Timer
	stall       time.Duration
	progress    func(done, total int64)
	done, total int64
	told        time.Time
}

// start finds out how many bytes came before this body.
func (b *watchedBody) start(req *http.Request, resp *http.Response) {
	if resp.StatusCode == http.StatusPartialContent {
		if rest, ok := bytes.CutPrefix([]byte(req.Header.Get("Range")), []byte("bytes=")); ok {
			from, _, _ := strings.Cut(string(rest), "-")
			b.done, _ = strconv.ParseInt(from, 10, 64)
		}
	}
	if resp.ContentLength >= 0 {
		b.total = b.done + resp.ContentLength
	}
}

func (b *watchedBody) Read(p []byte) (int, error) {
	b.timer.Reset(b.stall) // time the reader spends elsewhere, on a slow disk say, does not count
	n, err := b.ReadCloser.Read(p)
	b.timer.Stop()
	b.done += int64(n)
	if b.progress != nil && (err == io.EOF || n > 0 && time.Since(b.told) > 100*time.Millisecond) {
		b.told = time.Now()
		b.progress(b.done, b.total)
	}
	if err != nil && err != io.EOF && context.Cause(b.ctx) == errStalled {
		err = fmt.Errorf("%w: no byte for %v", errStalled, b.stall)
	}
	return n, err
}

func (b *watchedBody) Close() error {
	b.timer.Stop()
	err := b.ReadCloser.Close()
	b.cancel(nil)
	return err
}
