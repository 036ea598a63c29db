package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// errNotHTTPS is why a request is not made.
var errNotHTTPS = errors.New("it is not https, so anybody on the way could read and change it")

// Read returns what is at an https URL, in memory: for what must not be on the disk before
// it was looked at. It takes most bytes at the most, follows redirects to https only,
// and is tried three times. Errors: *UnreachableError; the cause of ctx.
func (f *Fetch) Read(ctx context.Context, url string, most int64) ([]byte, error) {
	if !strings.HasPrefix(url, "https://") {
		return nil, unreachable(url, errNotHTTPS)
	}
	client, done := f.client()
	defer done()
	client.Transport = &watchdog{next: client.Transport, stall: orElse(f.Stall, fetchStall), progress: f.Progress}
	client.CheckRedirect = func(r *http.Request, via []*http.Request) error {
		if r.URL.Scheme != "https" {
			return fmt.Errorf("it leads to %s: %w", BareURL(r.URL.String()), errNotHTTPS)
		}
		if len(via) == 10 {
			return errors.New("it leads on and on")
		}
		return nil
	}
	const tries = 3
	for n := 1; ; n++ {
		data, again, err := readOnce(ctx, client, url, most)
		if ctx.Err() != nil {
			return nil, fmt.Errorf("downloading %s: %w", BareURL(url), context.Cause(ctx))
		}
		if err == nil {
			return data, nil
		}
		if !again || n == tries {
			return nil, unreachable(url, err)
		}
		if err := pause(ctx, f.backoff(n)); err != nil {
			return nil, fmt.Errorf("downloading %s: %w", BareURL(url), err)
		}
	}
}

// readOnce makes one request. again: another one may do better.
func readOnce(ctx context.Context, client *http.Client, url string, most int64) (data []byte, again bool, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, false, err
	}
	req.Header.Set("User-Agent", "movein")
	resp, err := client.Do(req)
	if err != nil {
		return nil, !errors.Is(err, errNotHTTPS), err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, resp.StatusCode >= 500, fmt.Errorf("the server says: %s", resp.Status)
	}
	data, err = io.ReadAll(io.LimitReader(resp.Body, most+1))
	if int64(len(data)) > most {
		return nil, false, fmt.Errorf("it is larger than %d bytes", most)
	}
	return data, true, err
}
