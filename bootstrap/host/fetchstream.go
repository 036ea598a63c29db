package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/cavaliergopher/grab/v3"
)

// Stream reads what is at url, from its beginning to its end. A connection that breaks or
// stalls is taken up where it broke, so each byte comes once. Who reads it looks whether it
// can be trusted. Errors of Read: *UnreachableError after the tries of Get; the cause of ctx.
func (f *Fetch) Stream(ctx context.Context, url string) io.ReadCloser {
	client, done := f.client()
	client.Transport = &watchdog{next: client.Transport, stall: orElse(f.Stall, fetchStall), progress: f.Progress}
	return &stream{fetch: f, ctx: ctx, client: client, url: url, done: done}
}

type stream struct {
	fetch  *Fetch
	ctx    context.Context //nolint:containedctx // a Reader is given none
	client *http.Client
	url    string
	done   func()

	body  io.ReadCloser // nil: there is no connection
	at    int64         // bytes that were read
	etag  string        // of what the first of them came from
	tries int           // since the last byte came
}

// Read implements io.Reader.
func (s *stream) Read(p []byte) (int, error) {
	for {
		n, err := 0, error(nil)
		if s.body == nil {
			err = s.open()
		}
		if err == nil {
			n, err = s.body.Read(p)
			s.at += int64(n)
		}
		switch {
		case n > 0:
			s.tries = 0
			if err != nil && !errors.Is(err, io.EOF) {
				s.hangUp()
			}
			return n, nil
		case err == nil, errors.Is(err, io.EOF):
			return 0, err
		case s.ctx.Err() != nil:
			return 0, fmt.Errorf("downloading %s: %w", BareURL(s.url), context.Cause(s.ctx))
		}
		s.hangUp()
		if s.tries++; s.tries >= s.fetch.tries(judge(err)) {
			return 0, unreachable(s.url, err)
		}
		if err := pause(s.ctx, s.fetch.backoff(s.tries)); err != nil {
			return 0, fmt.Errorf("downloading %s: %w", BareURL(s.url), err)
		}
	}
}

// open asks for what was not read yet.
func (s *stream) open() error {
	req, err := http.NewRequestWithContext(s.ctx, http.MethodGet, s.url, nil)
	if err != nil {
		return err
	}
	req.Header.Set("User-Agent", "movein")
	want := http.StatusOK
	if s.at > 0 {
		want = http.StatusPartialContent
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", s.at))
		if s.etag != "" {
			req.Header.Set("If-Range", s.etag)
		}
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return err
	}
	switch resp.StatusCode {
	case want:
		s.body, s.etag = resp.Body, resp.Header.Get("ETag")
		return nil
	case http.StatusOK: // it is another file now, or has no parts
		err = grab.StatusCodeError(http.StatusNotFound)
		err = fmt.Errorf("it broke after %d bytes, and the server does not go on there: %w", s.at, err)
	default:
		err = grab.StatusCodeError(resp.StatusCode)
	}
	resp.Body.Close()
	return err
}

func (s *stream) hangUp() {
	if s.body != nil {
		s.body.Close()
		s.body = nil
	}
}

// Close ends the connection.
func (s *stream) Close() error {
	s.hangUp()
	s.done()
	return nil
}
