package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// updating is a program that is to update itself, and the release that it is shown.
type updating struct {
	program string            // its own copy
	files   map[string]string // of the release
	seen    sync.Mutex        // the server sees what they are when the program runs
	url     string
	key     ed25519.PrivateKey
	as      string // who runs it: as in movein
}

// next is the program of the release.
const next = "#!/bin/sh\necho movein v9 go1.99\n"

func newUpdate(t *testing.T) *updating {
	t.Helper()
	exe, err := os.Executable() // it is movein where that is its name, and nowhere else: see TestMain
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(exe)
	if err != nil {
		t.Fatal(err)
	}
	u := &updating{program: filepath.Join(t.TempDir(), "movein"), key: ed25519.NewKeyFromSeed(make([]byte, 32)), as: "root"}
	if err := os.WriteFile(u.program, data, 0o755); err != nil {
		t.Fatal(err)
	}
	asset := "movein-linux-" + runtime.GOARCH
	u.files = map[string]string{asset: next, "SHA256SUMS": fmt.Sprintf("%064d  other\n%x  %s\n", 0, sha256.Sum256([]byte(next)), asset)}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		dir, name := filepath.Split(r.URL.Path)
		u.seen.Lock()
		defer u.seen.Unlock()
		content, ok := u.files[name]
		if !ok || dir != "/latest/download/" && dir != "/download/v9/" {
			http.NotFound(w, r)
			return
		}
		fmt.Fprint(w, content)
	}))
	t.Cleanup(server.Close)
	u.url = server.URL
	return u
}

// sign signs the release's list, and returns the public key.
func (u *updating) sign() string {
	id, comment := "12345678", "of a test"
	sig := ed25519.Sign(u.key, []byte(u.files["SHA256SUMS"]))
	global := ed25519.Sign(u.key, append(append([]byte(nil), sig...), comment...))
	b64 := base64.StdEncoding.EncodeToString
	u.files["SHA256SUMS.minisig"] = fmt.Sprintf("untrusted comment: x\n%s\ntrusted comment: %s\n%s\n", b64(append([]byte("Ed"+id), sig...)), comment, b64(global))
	return b64(append([]byte("Ed"+id), u.key.Public().(ed25519.PublicKey)...))
}

// run updates, and returns the exit code and all output.
func (u *updating) run(t *testing.T, args ...string) (int, string) {
	t.Helper()
	u.seen.Lock()
	u.seen.Unlock() //nolint:staticcheck // what was written before is seen after it
	cmd := exec.Command(u.program, append([]string{"self-update"}, args...)...)
	cmd.Env = []string{"MOVEIN_BASE_URL=" + u.url, "PATH=" + os.Getenv("PATH"), "AS=" + u.as}
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

// has checks what is where the program was, and beside it.
func (u *updating) has(t *testing.T, want string, beside ...string) {
	t.Helper()
	data, err := os.ReadFile(u.program)
	if err != nil {
		t.Fatal(err)
	}
	if updated := string(data) == next; updated != (want == "next") {
		t.Errorf("the program is the next one: %v", updated)
	}
	entries, err := os.ReadDir(filepath.Dir(u.program))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if got, want := strings.Join(names, " "), strings.Join(append([]string{"movein"}, beside...), " "); got != want {
		t.Errorf("there are %s, want %s", got, want)
	}
}

func TestSelfUpdatePutsTheReleaseInPlaceAndKeepsTheOldOne(t *testing.T) {
	u := newUpdate(t)
	if code, out := u.run(t, "--dry-run"); code != 0 || !strings.Contains(out, "would fetch "+u.url+"/latest/download/movein-linux-") {
		t.Errorf("exit code %d:\n%s", code, out)
	}
	u.has(t, "old")
	if code, out := u.run(t, "--version", "v9", "--key", u.sign()); code != 0 {
		t.Errorf("exit code %d:\n%s", code, out)
	}
	u.has(t, "next", "movein.old")
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	was, err := os.ReadFile(exe)
	kept, kerr := os.ReadFile(u.program + ".old")
	if err != nil || kerr != nil || !bytes.Equal(was, kept) {
		t.Errorf("the old one is not what it was: %v, %v", err, kerr)
	}
}

func TestSelfUpdateFindsThatItIsTheRelease(t *testing.T) {
	u := newUpdate(t)
	data, err := os.ReadFile(u.program)
	if err != nil {
		t.Fatal(err)
	}
	u.files["SHA256SUMS"] = fmt.Sprintf("%x  movein-linux-%s\n", sha256.Sum256(data), runtime.GOARCH)
	if code, out := u.run(t); code != 0 || !strings.Contains(out, "is that release already") {
		t.Errorf("exit code %d:\n%s", code, out)
	}
	u.has(t, "old")
}

func TestSelfUpdateRefusesWhatIsNotTheRelease(t *testing.T) {
	other := func(u *updating) string {
		u.sign()
		u.key = ed25519.NewKeyFromSeed([]byte(strings.Repeat("x", 32)))
		key := u.sign()
		u.key = ed25519.NewKeyFromSeed(make([]byte, 32))
		u.sign()
		return key
	}
	for _, c := range []struct {
		name   string
		change func(*updating) (key string)
		code   int
		says   string
	}{
		{"another program", func(u *updating) string { u.files["movein-linux-"+runtime.GOARCH] += "#"; return "" }, 76, "has SHA-256"},
		{"no list", func(u *updating) string { delete(u.files, "SHA256SUMS"); return "" }, 69, "404"},
		{"not in the list", func(u *updating) string { u.files["SHA256SUMS"] = "\n"; return "" }, 76, "name another release"},
		{"no digest", func(u *updating) string {
			u.files["SHA256SUMS"] = "x  movein-linux-" + runtime.GOARCH + "\n"
			return ""
		}, 76, "does not list a digest"},
		{"no signature", func(u *updating) string { key := u.sign(); delete(u.files, "SHA256SUMS.minisig"); return key }, 69, "404"},
		{"a list that was changed", func(u *updating) string { key := u.sign(); u.files["SHA256SUMS"] += "\n"; return key }, 76, "checking the signature"},
		{"another's signature", other, 76, "checking the signature"},
		{"no key", func(*updating) string { return "RWnone" }, 78, "no public key"},
		{"a program that does not start", func(u *updating) string {
			bad := "#!/bin/sh\nexit 3\n"
			u.files["movein-linux-"+runtime.GOARCH] = bad
			u.files["SHA256SUMS"] = fmt.Sprintf("%x  movein-linux-%s\n", sha256.Sum256([]byte(bad)), runtime.GOARCH)
			return ""
		}, 1, "does not start here"},
	} {
		t.Run(c.name, func(t *testing.T) {
			u := newUpdate(t)
			args := []string{}
			if key := c.change(u); key != "" {
				args = []string{"--key", key}
			}
			if code, out := u.run(t, args...); code != c.code || !strings.Contains(out, c.says) {
				t.Errorf("exit code %d, want %d, and %q in:\n%s", code, c.code, c.says, out)
			}
			u.has(t, "old")
		})
	}
}

// Nobody but its owner may give a program another name.
func TestSelfUpdateOfAnothersProgramSaysWhoMay(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	u := newUpdate(t)
	u.as = ""
	if err := errors.Join(os.Chown(filepath.Dir(u.program), user, user), os.Chmod(filepath.Dir(filepath.Dir(u.program)), 0o755)); err != nil {
		t.Fatal(err)
	}
	if code, out := u.run(t); code != 77 || !strings.Contains(out, "sudo movein self-update") {
		t.Errorf("exit code %d:\n%s", code, out)
	}
	u.has(t, "old")
}

func TestSelfUpdateTakesNoAddressThatAnybodyMayAnswerFor(t *testing.T) {
	u := newUpdate(t)
	u.url = "http://releases.example.org"
	if code, out := u.run(t); code != 78 || !strings.Contains(out, "there is no key to tell") {
		t.Errorf("exit code %d:\n%s", code, out)
	}
	u.has(t, "old")
}
