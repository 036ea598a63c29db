package host

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh/knownhosts"
)

func TestReadSSH(t *testing.T) {
	u := newUpstream(t)
	key, public := newKey(t, "")
	hostKey := u.sshServer(t, public)
	at := strings.TrimPrefix(strings.TrimSuffix(u.url, u.dir), "ssh://git@")
	l := keys(t.TempDir(), key)
	l.Pinned = knownhosts.Line([]string{at}, hostKey)
	name := filepath.Join(t.TempDir(), "-it's $HOME.kdbx")
	must(t, os.WriteFile(name, []byte("the vault"), 0o600))

	url := "ssh://me@" + at + strings.ReplaceAll(name, " ", "%20")
	if data, err := l.ReadSSH(t.Context(), url, 9); string(data) != "the vault" || err != nil {
		t.Errorf("%q, %v", data, err)
	}
	if data, err := l.ReadSSH(t.Context(), url, 8); data != nil || err == nil || !strings.Contains(err.Error(), "larger than 8 bytes") {
		t.Errorf("one byte too many: %q, %v", data, err)
	}
	if _, err := l.ReadSSH(t.Context(), url+"x", 9); err == nil || !strings.Contains(err.Error(), "No such file") || !strings.Contains(err.Error(), at) {
		t.Errorf("what is not there: %v", err)
	}
	if _, err := (&Logins{Pinned: l.Pinned}).ReadSSH(t.Context(), url, 9); !errors.Is(err, ErrLogin) {
		t.Errorf("without a key: %v", err)
	}
	l.Pinned = ""
	if _, err := l.ReadSSH(t.Context(), url, 9); !errors.Is(err, ErrHostKey) {
		t.Errorf("of a server that nobody knows: %v", err)
	}
}

func TestIsSSH(t *testing.T) {
	for name, is := range map[string]bool{
		"ssh://host/~/my.kdbx": true, "me@host:MyVault/my.kdbx": true, "host:my.kdbx": true,
		"/run/media/a:b/my.kdbx": false, "./a:b": false, "~/MyVault/my.kdbx": false, "https://host/my.kdbx": false, "none": false, "": false,
	} {
		if IsSSH(name) != is {
			t.Errorf("%q", name)
		}
	}
}
