package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/cavaliergopher/grab/v3"
)

// smallPatience is how long Small waits for one answer, all of it.
const smallPatience = 30 * time.Second

// Small returns what url has, which is no more than limit bytes; who calls it looks
// whether it can be trusted. An answer that leads from https to another kind of address
// is refused. Errors: *UnreachableError after the tries of Get.
func (f *Fetch) Small(ctx context.Context, url string, limit int64) ([]byte, error) {
	client, done := f.client()
	defer done()
	client.Timeout = smallPatience
	client.CheckRedirect = func(req *http.Request, via []*http.Request) error {
		if len(via) > 10 || via[0].URL.Scheme == "https" && req.URL.Scheme != "https" {
			return fmt.Errorf("it leads on to %s", BareURL(req.URL.String()))
		}
		return nil
	}
	for n := 1; ; n++ {
		data, wait, err := small(ctx, client, url, limit)
		switch {
		case err == nil:
			return data, nil
		case ctx.Err() != nil:
			return nil, fmt.Errorf("downloading %s: %w", BareURL(url), context.Cause(ctx))
		case n >= f.tries(judge(err)):
			return nil, unreachable(url, err)
		}
		if err := pause(ctx, max(f.backoff(n), wait)); err != nil {
			return nil, fmt.Errorf("downloading %s: %w", BareURL(url), err)
		}
	}
}

// small makes one request. With an error it says how long the server wants to be left alone.
func small(ctx context.Context, client *http.Client, url string, limit int64) (data []byte, wait time.Duration, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, 0, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, 0, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, retryAfter(resp.Header.Get("Retry-After"), time.Now()), grab.StatusCodeError(resp.StatusCode)
	}
	data, err = io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = errors.New("the answer is too long")
	}
	return data, 0, err
}
