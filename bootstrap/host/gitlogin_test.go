package host

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// private puts a server before the upstream that wants this token.
func (u *upstream) private(t *testing.T, token string) {
	t.Helper()
	to, err := url.Parse(u.url)
	must(t, err)
	next := &http.Transport{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, got, _ := r.BasicAuth(); got != token {
			w.Header().Set("WWW-Authenticate", "Basic")
			http.Error(w, "who is there?", http.StatusUnauthorized)
			return
		}
		r.URL.Scheme, r.URL.Host, r.RequestURI = "http", to.Host, ""
		res, err := next.RoundTrip(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer res.Body.Close()
		w.Header().Set("Content-Type", res.Header.Get("Content-Type"))
		w.WriteHeader(res.StatusCode)
		io.Copy(w, res.Body) //nolint:errcheck // the client sees it
	}))
	t.Cleanup(srv.Close)
	u.url = srv.URL + to.Path
}

func token(value string) *Logins {
	return &Logins{Token: func(_ context.Context, server, name string, _ bool) (string, string, error) { return name, value, nil }}
}

func TestTokenClonesAndIsNotStored(t *testing.T) {
	u := newUpstream(t)
	tip := u.commit(t, map[string]string{"a": "1"})
	u.private(t, "s3cr3t-token")
	dir := filepath.Join(t.TempDir(), "home")
	if _, err := CloneRepo(t.Context(), Remote{URL: u.url}, dir, nil); !errors.Is(err, ErrLogin) {
		t.Errorf("without a token: %v", err)
	}
	if _, err := CloneRepo(t.Context(), Remote{URL: u.url, Logins: token("another")}, dir, nil); !errors.Is(err, ErrLogin) || strings.Contains(err.Error(), "another") {
		t.Errorf("with a wrong token: %v", err)
	}
	_, err := CloneRepo(t.Context(), Remote{URL: u.url, Logins: token("s3cr3t-token")}, dir, nil)
	must(t, err)
	sound(t, dir)
	if out, err := exec.Command("grep", "-r", "s3cr3t-token", dir).Output(); err == nil {
		t.Errorf("the token is in the clone: %s", out)
	}
	if got, err := RemoteTip(t.Context(), Remote{URL: u.url, Logins: token("s3cr3t-token")}); got.Commit != tip || err != nil {
		t.Errorf("tip %v, %v", got, err)
	}
}

func TestTokenIsNotSentInTheClear(t *testing.T) {
	for server, sent := range map[string]bool{"http://127.0.0.1:8080/x": true, "http://localhost/x": true, "http://example.org/x": false, "https://example.org/x": true} {
		login, err := token("s3cr3t").login(t.Context(), parseGitURL(server), true)
		if (login != nil) != sent || (err == nil) != sent {
			t.Errorf("%s: %v, %v", server, login, err)
		}
	}
}

func TestGitsCredentialHelpersAreAsked(t *testing.T) {
	u := newUpstream(t)
	u.commit(t, map[string]string{"a": "1"})
	u.private(t, "from-the-helper")
	run(t, ".", "config", "--global", "credential.helper", "!echo username=me; echo password=from-the-helper; true")
	_, err := CloneRepo(t.Context(), Remote{URL: u.url}, filepath.Join(t.TempDir(), "home"), nil)
	must(t, err)
}

// sshServer serves the upstream by ssh to whoever has the key, and returns its host key.
func (u *upstream) sshServer(t *testing.T, allowed ssh.PublicKey) ssh.PublicKey {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	hostKey, err := ssh.NewSignerFromKey(private)
	must(t, err)
	config := &ssh.ServerConfig{PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		if string(key.Marshal()) != string(allowed.Marshal()) {
			return nil, errors.New("unknown key")
		}
		return nil, nil
	}}
	config.AddHostKey(hostKey)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go serveSSH(c, config)
		}
	}()
	u.url = "ssh://git@" + l.Addr().String() + u.dir
	return hostKey.PublicKey()
}

func serveSSH(c net.Conn, config *ssh.ServerConfig) {
	defer c.Close()
	conn, channels, requests, err := ssh.NewServerConn(c, config)
	if err != nil {
		return
	}
	defer conn.Close()
	go ssh.DiscardRequests(requests)
	for ch := range channels {
		stream, reqs, err := ch.Accept()
		if err != nil {
			return
		}
		for r := range reqs {
			if r.Type != "exec" {
				r.Reply(false, nil) //nolint:errcheck // the client sees it
				continue
			}
			r.Reply(true, nil) //nolint:errcheck // the client sees it
			cmd := exec.Command("sh", "-c", string(r.Payload[4:]))
			cmd.Stdout, cmd.Stderr = stream, stream.Stderr()
			if in, err := cmd.StdinPipe(); err == nil {
				go io.Copy(in, stream) //nolint:errcheck // as long as the command reads
			}
			cmd.Run() //nolint:errcheck // the client sees it
			code := byte(cmd.ProcessState.ExitCode())
			stream.SendRequest("exit-status", false, []byte{0, 0, 0, code}) //nolint:errcheck // the client sees it
			stream.Close()
		}
	}
}

// newKey is a private key in PEM, and its public half.
func newKey(t *testing.T, passphrase string) (string, ssh.PublicKey) {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	block, err := ssh.MarshalPrivateKey(private, "")
	if passphrase != "" {
		block, err = ssh.MarshalPrivateKeyWithPassphrase(private, "", []byte(passphrase))
	}
	must(t, err)
	signer, err := ssh.NewSignerFromKey(private)
	must(t, err)
	return string(pem.EncodeToMemory(block)), signer.PublicKey()
}

func keys(home string, pems ...string) *Logins {
	return &Logins{Home: home, Known: filepath.Join(home, "known_hosts"), Keys: func(context.Context, string, bool) ([]string, error) { return pems, nil }}
}

func TestSSHKeysFromVaultAndHome(t *testing.T) {
	u := newUpstream(t)
	u.commit(t, map[string]string{"a": "1"})
	key, public := newKey(t, "")
	other, _ := newKey(t, "")
	hostKey := u.sshServer(t, public)
	home := t.TempDir()
	l := keys(home, other, key)
	l.Pinned = knownhosts.Line([]string{strings.TrimPrefix(strings.TrimSuffix(u.url, u.dir), "ssh://git@")}, hostKey)
	_, err := CloneRepo(t.Context(), Remote{URL: u.url, Logins: l}, filepath.Join(t.TempDir(), "a"), nil)
	must(t, err)

	l.Keys = nil
	if _, err := RemoteTip(t.Context(), Remote{URL: u.url, Logins: l}); !errors.Is(err, ErrLogin) {
		t.Errorf("without a key: %v", err)
	}
	write(t, home, map[string]string{".ssh/id_ed25519": key})
	_, err = RemoteTip(t.Context(), Remote{URL: u.url, Logins: l})
	must(t, err)

	locked, _ := newKey(t, "correct horse")
	if _, err := RemoteTip(t.Context(), Remote{URL: u.url, Logins: keys(home, locked)}); err == nil {
		t.Error("a key with a passphrase")
	}
}

func TestUnknownSSHServerIsAskedAboutOnce(t *testing.T) {
	u := newUpstream(t)
	u.commit(t, map[string]string{"a": "1"})
	key, public := newKey(t, "")
	hostKey := u.sshServer(t, public)
	l := keys(t.TempDir(), key)
	asked := 0
	l.Trust = func(_ context.Context, _, _, fingerprint string) error {
		if asked++; fingerprint != ssh.FingerprintSHA256(hostKey) {
			t.Errorf("asked about %s", fingerprint)
		}
		return nil
	}
	if _, err := RemoteTip(t.Context(), Remote{URL: u.url, Logins: l}); !errors.Is(err, ErrHostKey) || asked != 0 {
		t.Errorf("who only looks: %v, asked %d times", err, asked)
	}
	for _, name := range []string{"a", "b"} {
		_, err := CloneRepo(t.Context(), Remote{URL: u.url, Logins: l}, filepath.Join(t.TempDir(), name), nil)
		must(t, err)
	}
	_, err := RemoteTip(t.Context(), Remote{URL: u.url, Logins: l})
	must(t, err)
	if asked != 1 {
		t.Errorf("asked %d times", asked)
	}
}

func TestAnotherSSHServerIsRefused(t *testing.T) {
	u := newUpstream(t)
	u.commit(t, map[string]string{"a": "1"})
	key, public := newKey(t, "")
	u.sshServer(t, public)
	address := strings.TrimPrefix(strings.TrimSuffix(u.url, u.dir), "ssh://git@")
	_, wrong := newKey(t, "")
	line := knownhosts.Line([]string{address}, wrong)
	trusting := func(context.Context, string, string, string) error { return nil }
	for _, where := range []string{"known_hosts", ".ssh/known_hosts", "pinned"} {
		l := keys(t.TempDir(), key)
		l.Trust = trusting
		if where == "pinned" {
			l.Pinned = line
		} else {
			write(t, l.Home, map[string]string{where: line})
		}
		_, err := CloneRepo(t.Context(), Remote{URL: u.url, Logins: l}, filepath.Join(t.TempDir(), "a"), nil)
		if !errors.Is(err, ErrHostKey) {
			t.Errorf("%s: %v", where, err)
		}
		if text, _ := os.ReadFile(l.Known); where != "known_hosts" && len(text) > 0 {
			t.Errorf("%s: remembered %s", where, text)
		}
	}
}
