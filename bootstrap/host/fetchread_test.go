package host

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestRead(t *testing.T) {
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("anybody's")) }))
	defer plain.Close()
	n := map[string]int{}
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n[r.URL.Path]++
		switch r.URL.Path {
		case "/down":
			http.Redirect(w, r, plain.URL, http.StatusFound)
		case "/on":
			http.Redirect(w, r, "/", http.StatusFound)
		case "/round":
			http.Redirect(w, r, "/round", http.StatusFound)
		case "/busy":
			if n["/busy"] < 3 {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
		case "/gone":
			w.WriteHeader(http.StatusNotFound)
		}
		w.Write([]byte("1234567890"))
	}))
	defer srv.Close()
	f := &Fetch{Client: srv.Client(), Backoff: func(int) time.Duration { return 0 }}
	for _, c := range []struct {
		url  string
		most int64
		ok   bool
		n    int
	}{
		{srv.URL + "/", 10, true, 1},
		{srv.URL + "/", 9, false, 1},
		{srv.URL + "/on", 10, true, 1},
		{srv.URL + "/busy", 10, true, 3},
		{srv.URL + "/gone", 10, false, 1},
		{srv.URL + "/down", 10, false, 1},
		{srv.URL + "/round", 10, false, 30},
		{plain.URL + "/no", 10, false, 0},
	} {
		clear(n)
		data, err := f.Read(t.Context(), c.url, c.most)
		_, path, _ := strings.Cut(c.url[8:], "/")
		path = "/" + path
		if (err == nil) != c.ok || c.ok && string(data) != "1234567890" || n[path] != c.n {
			t.Errorf("%s: %q, %v, %d requests", c.url, data, err, n[path])
		}
		if err != nil && !errors.As(err, new(*UnreachableError)) {
			t.Errorf("%s: %v", c.url, err)
		}
	}
}

func TestWhoLogsInIsNotInErrors(t *testing.T) {
	for _, who := range []string{"ann:hush", "hush"} { // a token may be the name
		url := "https://" + who + "@127.0.0.1:1/a"
		f := Fetch{Backoff: func(int) time.Duration { return 0 }}
		_, read := f.Read(t.Context(), url, 1)
		get := f.Get(t.Context(), url, strings.Repeat("0", 64), t.TempDir()+"/a")
		if read == nil || get == nil || strings.Contains(read.Error()+get.Error(), "hush") {
			t.Errorf("%v; %v", read, get)
		}
	}
}
