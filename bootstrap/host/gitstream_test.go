package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// daemon serves the upstream by git's own protocol.
func (u *upstream) daemon(t *testing.T) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				cmd := exec.Command("git", "daemon", "--inetd", "--export-all", "--base-path=/")
				cmd.Stdin, cmd.Stdout = c, c
				cmd.Run() //nolint:errcheck // the client sees it
			}()
		}
	}()
	u.url = "git://" + l.Addr().String() + u.dir
}

// TestStreams: by ssh and by git's own protocol a repository is cloned and followed, and
// one that is not there, or empty, is named so.
func TestStreams(t *testing.T) {
	for _, kind := range []string{"ssh", "git"} {
		t.Run(kind, func(t *testing.T) {
			u := newUpstream(t)
			u.commit(t, map[string]string{"a": "1"})
			key, public := newKey(t, "")
			l := keys(t.TempDir(), key)
			l.Trust = func(context.Context, string, string, string) error { return nil }
			if u.daemon(t); kind == "ssh" {
				u.sshServer(t, public)
			}
			dir := filepath.Join(t.TempDir(), "clone")
			_, err := CloneRepo(t.Context(), Remote{URL: u.url, Logins: l}, dir, nil)
			must(t, err)
			u.commit(t, map[string]string{"b": "2"})
			tip := u.commit(t, map[string]string{"b": "3"})
			must(t, FastForward(t.Context(), dir, Remote{URL: u.url, Logins: l}, tip))
			if got := run(t, dir, "show", "HEAD:b"); got != "3" {
				t.Errorf("b is %q", got)
			}
			sound(t, dir)
			if _, err := RemoteTip(t.Context(), Remote{URL: u.url + "/none", Logins: l}); !errors.Is(err, ErrNoRemote) {
				t.Errorf("none: %v", err)
			}
			run(t, filepath.Dir(u.dir), "init", "-q", "--bare", "empty.git")
			if _, err := RemoteTip(t.Context(), Remote{URL: strings.TrimSuffix(u.url, "up") + "empty.git", Logins: l}); err == nil || !strings.Contains(err.Error(), "empty") {
				t.Errorf("empty: %v", err)
			}
			if kind != "ssh" {
				return
			}
			u.commit(t, map[string]string{"b": "4"})
			if _, err := RemoteTip(t.Context(), Remote{URL: u.url, Logins: keys(l.Home)}); !errors.Is(err, ErrLogin) {
				t.Errorf("with no key: %v", err)
			}
		})
	}
}

// TestSilentServer: who takes the connection and says nothing is not waited for after an interrupt.
func TestSilentServer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	stop := errors.New("interrupted")
	for _, scheme := range []string{"git", "ssh"} {
		ctx, cancel := context.WithCancelCause(t.Context())
		go func() {
			c, err := l.Accept()
			if err != nil {
				return
			}
			defer c.Close()
			io.ReadFull(c, make([]byte, 4)) //nolint:errcheck // it has begun
			cancel(stop)
			io.Copy(io.Discard, c) //nolint:errcheck // until it hangs up
		}()
		if _, err := RemoteTip(ctx, Remote{URL: scheme + "://" + l.Addr().String() + "/x", Logins: keys(t.TempDir())}); !errors.Is(err, stop) {
			t.Errorf("%s: %v", scheme, err)
		}
	}
}

// TestSSHConfigKnowsTheServer: a name of the ssh configuration leads where that says.
func TestSSHConfigKnowsTheServer(t *testing.T) {
	home, bin := t.TempDir(), t.TempDir()
	write(t, home, map[string]string{".ssh/config": "Host forge\n"})
	script := "#!/bin/sh\nexec >&1; echo \"$*\" >" + home + "/args\n" +
		"printf 'host forge\\nuser forger\\nhostname 10.0.0.1\\nport 2222\\nidentityfile ~/.ssh/forge key\\nidentityfile /k\\n'\n"
	must(t, os.WriteFile(bin+"/ssh", []byte(script), 0o755))
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	for url, args := range map[string]string{"forge:x": "-G -- forge", "ssh://forge:99/x": "-G -p 99 -- forge", "git@forge:x": "-G -l git -- forge"} {
		l := &Logins{Home: home}
		got := fmt.Sprint(l.lookUp(t.Context(), parseGitURL(url)))
		if want := "{10.0.0.1:2222 forger [" + home + "/.ssh/forge key /k]}"; got != want {
			t.Errorf("%s: %s, not %s", url, got, want)
		}
		if asked, _ := os.ReadFile(home + "/args"); string(asked) != args+"\n" {
			t.Errorf("%s: ssh %s, not %s", url, asked, args)
		}
	}
	if got := fmt.Sprint((&Logins{Home: t.TempDir()}).lookUp(t.Context(), parseGitURL("ssh://[::1]/x"))); !strings.HasPrefix(got, "{[::1]:22 git ") {
		t.Errorf("without a configuration: %s", got)
	}
}

func TestShellQuote(t *testing.T) {
	for s, want := range map[string]string{"/a b": "'/a b'", "it's!": `'it'\''s'\!''`, "": "''"} {
		if got := shellQuote(s); got != want {
			t.Errorf("%q: %s", s, got)
		}
		if out, err := exec.Command("sh", "-c", "printf %s "+shellQuote(s)).Output(); err != nil || string(out) != s {
			t.Errorf("%q: %q, %v", s, out, err)
		}
	}
}
