package kdbx

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// cli runs keepassxc-cli, with the password and what follows it on its standard input.
// If it is not installed the test is skipped; CI installs it.
func cli(t testing.TB, stdin string, args ...string) []byte {
	t.Helper()
	if _, err := exec.LookPath("keepassxc-cli"); err != nil {
		t.Skip("keepassxc-cli is not installed (Debian: keepassxc)")
	}
	cmd := exec.Command("keepassxc-cli", args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "QT_QPA_PLATFORM=offscreen", "HOME="+t.TempDir())
	cmd.Stdin = strings.NewReader(password + "\n" + stdin)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("keepassxc-cli %q: %v: %s", args, err, &stderr)
	}
	return out
}

// script runs testdata/vault.py, which needs pykeepass.
func script(t testing.TB, args ...string) {
	t.Helper()
	python := "/usr/bin/python3"
	if exec.Command(python, "-c", "import pykeepass").Run() != nil {
		t.Skip("pykeepass is not installed (Debian: python3-pykeepass)")
	}
	if out, err := exec.Command(python, append([]string{"testdata/vault.py"}, args...)...).CombinedOutput(); err != nil {
		t.Fatalf("vault.py %q: %v: %s", args, err, out)
	}
}

// unlock opens a vault that a test has made.
func unlock(t testing.TB, file string, c Credentials) *Vault {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	v, err := Open(context.Background(), b, c, Limits{})
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return v
}

// TestKeePassXC makes vaults with the keepassxc-cli that is installed, in every way that it
// has, and reads them and the ones in testdata as it does.
func TestKeePassXC(t *testing.T) {
	dir := t.TempDir()
	pw := Credentials{Password: []byte(password)}
	t.Run("testdata", func(t *testing.T) {
		for _, name := range vaults(t) {
			if !strings.HasPrefix(name, "cli31-") {
				compare(t, open(t, name), parseXML(t, cli(t, "", "export", "-q", "-f", "xml", "testdata/"+name)))
			}
		}
	})
	t.Run("db-create", func(t *testing.T) {
		file := filepath.Join(dir, "created.kdbx")
		cli(t, password+"\n", "db-create", "-q", "-p", "-t", "100", file)
		cli(t, "", "mkdir", "-q", file, "group")
		cli(t, "s3cret\n", "add", "-q", "-p", "-u", "me", "--url", "https://example.org", "--notes", "a\\nb", file, "group/one")
		cli(t, "", "add", "-q", "-g", "-L", "40", file, "two")
		compare(t, unlock(t, file, pw), parseXML(t, cli(t, "", "export", "-q", "-f", "xml", file)))
		cli(t, "", "mv", "-q", file, "two", "group")
		v := unlock(t, file, pw)
		compare(t, v, parseXML(t, cli(t, "", "export", "-q", "-f", "xml", file)))
		if e, err := v.Lookup("group/one"); err != nil || e.Title() != "one" {
			t.Errorf("%v, %v", e, err)
		}
		cli(t, "", "rm", "-q", file, "group/two")
		if _, err := unlock(t, file, pw).Lookup("two"); err == nil {
			t.Error("an entry is found after it was removed")
		}
	})
	for _, key := range []string{"made.keyx", "made.key", "raw.key", "hex.key", "any.key", "xml1.key"} {
		for _, with := range []string{"with a password", "alone"} {
			t.Run(key+" "+with, func(t *testing.T) {
				keyFile := filepath.Join(dir, key)
				if !strings.HasPrefix(key, "made") {
					if err := os.WriteFile(keyFile, read(t, key), 0o600); err != nil {
						t.Fatal(err)
					}
				}
				file := filepath.Join(dir, key+" "+with+".kdbx")
				args := []string{"import", "-q", "--set-key-file", keyFile, "testdata/vault.xml", file}
				if with != "alone" {
					args = append(args, "-p")
				}
				cli(t, password+"\n", args...)
				c := pw
				if with == "alone" {
					c.Password = nil
				}
				var err error
				if c.KeyFile, err = os.ReadFile(keyFile); err != nil {
					t.Fatal(err)
				}
				compare(t, unlock(t, file, c), parseXML(t, read(t, "vault.xml")))
			})
		}
	}
}

// TestKeePassXCShows compares what keepassxc-cli works out: one-time passwords and references.
func TestKeePassXCShows(t *testing.T) {
	v := open(t, "cli31.kdbx")
	for _, title := range []string{"otp uri", "otp legacy", "otp steam"} {
		e, err := v.Lookup("After/" + title)
		if err != nil {
			t.Fatal(err)
		}
		var got, again Secret
		var want string
		for range 3 { // until both were in the same half minute
			got, err = e.TOTP(time.Now())
			want = strings.TrimSpace(string(cli(t, "", "show", "-q", "-t", "testdata/cli31.kdbx", "/After/"+title)))
			if again, _ = e.TOTP(time.Now()); again.Reveal() == got.Reveal() {
				break
			}
		}
		if err != nil || got.Reveal() != want {
			t.Errorf("%s: %q, %v, want %q", title, got.Reveal(), err, want)
		}
	}
	e, err := v.Lookup("After/refers")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"UserName", "Password"} {
		want := strings.TrimSpace(string(cli(t, "", "show", "-q", "-s", "-a", name, "testdata/cli31.kdbx", "/After/refers")))
		if got, err := e.Field(name); err != nil || got.Reveal() != want {
			t.Errorf("%s: %q, %v, want %q", name, got.Reveal(), err, want)
		}
	}
}

// large makes a vault with 5,000 entries and 500 attachments of 20 kB.
func large(t testing.TB) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "large.kdbx")
	script(t, "large", file, "testdata/any.key", "5000", "500")
	return file
}

// TestLarge reads every value and attachment of a large vault as keepassxc-cli does.
func TestLarge(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a quarter of a minute")
	}
	file := large(t)
	v := unlock(t, file, Credentials{KeyFile: read(t, "any.key")})
	compare(t, v, parseXML(t, cli(t, "", "export", "-q", "--no-password", "-k", "testdata/any.key", "-f", "xml", file)))
	dir := t.TempDir()
	var commands strings.Builder
	contents := map[string]string{}
	for _, e := range v.Entries() {
		for _, name := range e.Attachments() {
			content, err := e.Attachment(name)
			if err != nil {
				t.Fatal(err)
			}
			to := filepath.Join(dir, fmt.Sprint(len(contents)))
			contents[to] = content.Reveal()
			fmt.Fprintf(&commands, "attachment-export %q %q %s\n", e.Path(), name, to)
		}
	}
	// With a password it would read the commands as a part of it.
	cli(t, commands.String(), "open", "-q", "--no-password", "-k", "testdata/any.key", file)
	for to, want := range contents {
		if got, err := os.ReadFile(to); err != nil || string(got) != want {
			t.Errorf("%s: %d bytes, %v, want %d", to, len(got), err, len(want))
		}
	}
	if len(v.Entries()) != 5014 || len(contents) != 500 {
		t.Errorf("%d entries, %d attachments", len(v.Entries()), len(contents))
	}
}

func BenchmarkOpen(b *testing.B) {
	for _, name := range []string{"cli31.kdbx", "py4-argon2-aes256.kdbx", "py4-aeskdf-aes256.kdbx"} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				open(b, name)
			}
		})
	}
	b.Run("large", func(b *testing.B) {
		file := large(b)
		b.ReportAllocs()
		for b.Loop() {
			unlock(b, file, Credentials{KeyFile: read(b, "any.key")})
		}
	})
}
