package host

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// The expected values are those of `nix hash path --base32` and
// `nix-store --dump | wc -c` of Nix 2.34.8 on the same files.
func TestNarHash(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string, mode fs.FileMode) {
		t.Helper()
		name = filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, []byte(text), mode), os.Chmod(name, mode)); err != nil {
			t.Fatal(err)
		}
	}
	link := func(target, name string) {
		t.Helper()
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	write("file", "hello\n", 0o644)
	write("emptyfile", "", 0o644)
	write("tree/run", "#!/bin/sh\n", 0o755)
	write("tree/eight", "12345678", 0o600)
	write("tree/a.b", "x", 0o644)
	write("tree/a", "y", 0o444)
	write("tree/ä", "z", 0o644)
	write("tree/B/groupexec", "q", 0o654) // executable for the group only: not executable to Nix
	if err := os.MkdirAll(filepath.Join(dir, "tree/sub/empty"), 0o755); err != nil {
		t.Fatal(err)
	}
	link("/nix/store/nowhere", "tree/sub/abs")
	link("../run", "tree/sub/rel")
	link("target", "link")

	for _, c := range []struct {
		name, hash string
		size       int64
	}{
		{"file", "04zwf782yjwnh3q6hz5izfd6jyip8kgw6g6yj43fiqhbyhdd0dqw", 120},
		{"emptyfile", "0ip26j2h11n1kgkz36rl4akv694yz65hr72q4kv4b3lxcbi65b3p", 112},
		{"tree", "0xis86gsivkc6ysgak4cqqprb6ynfiss9lf9j36jcljbiydmn0av", 2200},
		{"link", "0x67g3311ihxwarw846p2jc8wbxmv9bd8ryh7qjpp6d8yb56536b", 120},
	} {
		hash, size, err := NarHash(t.Context(), filepath.Join(dir, c.name))
		if err != nil || hash != "sha256:"+c.hash || size != c.size {
			t.Errorf("%s: %s, %d bytes, %v; want sha256:%s, %d", c.name, hash, size, err, c.hash, c.size)
		}
	}
}

func TestNarHashErrors(t *testing.T) {
	dir := t.TempDir()
	if _, _, err := NarHash(t.Context(), filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing path: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := NarHash(ctx, dir); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := NarHash(t.Context(), dir); err == nil || !strings.Contains(err.Error(), "neither") {
		t.Errorf("fifo: %v", err)
	}
}

func TestBase32(t *testing.T) {
	// SHA-256 of the empty string, in base-16 and as `nix hash to-base32` has it.
	b, _ := hex.DecodeString("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
	for _, c := range []struct {
		in   []byte
		want string
	}{
		{nil, ""},
		{[]byte{0x1f}, "0z"},
		{b, "0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73"},
	} {
		got := Base32(c.in)
		if got != c.want {
			t.Errorf("Base32(%x) = %q, want %q", c.in, got, c.want)
		}
		back, ok := decodeBase32(got, len(c.in))
		if !ok || !bytes.Equal(back, c.in) {
			t.Errorf("decodeBase32(%q) = %x, %v", got, back, ok)
		}
	}
	for _, bad := range []string{
		"zmdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73", // more than 256 bits
		"0edqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73", // e is no digit
		"0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c7",
	} {
		if _, ok := decodeBase32(bad, 32); ok {
			t.Errorf("decodeBase32(%q) is ok", bad)
		}
	}
}

const (
	regPathA  = "/nix/store/05bhv04knbhf3xw7yh007czpl3f6l1f5-a-1.0"
	regPathB  = "/nix/store/0xn1qizyj0b1dnbb2zdaz28kq93a1nsk-b+c_?=.x"
	regBase32 = "0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73"
	regBase16 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
)

func TestParseRegInfo(t *testing.T) {
	in := regPathA + "\nsha256:" + regBase32 + "\n120\n\n0\n" +
		regPathB + "\n" + regBase16 + "\n0\n" + regPathA + ".drv\n2\n" + regPathA + "\n" + regPathB + "\n"
	got, err := ParseRegInfo(strings.NewReader(in))
	if err != nil {
		t.Fatal(err)
	}
	want := []PathInfo{
		{Path: regPathA, NarHash: "sha256:" + regBase32, NarSize: 120},
		{Path: regPathB, NarHash: "sha256:" + regBase32, Deriver: regPathA + ".drv", References: []string{regPathA, regPathB}},
	}
	if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}

func TestParseRegInfoErrors(t *testing.T) {
	good := regPathA + "\nsha256:" + regBase32 + "\n120\n\n0\n"
	for _, c := range []struct{ name, in, want string }{
		{"empty", "", "line 1: unexpected EOF"},
		{"blank line", good + "\n", `line 6: "" is no store path`},
		{"other store", strings.Replace(good, "/nix/", "/gnu/", 1), "line 1: "},
		{"dots", strings.Replace(good, "-a-1.0", "-../x", 1), "line 1: "},
		{"no name", strings.Replace(good, "-a-1.0", "-", 1), "line 1: "},
		{"no hyphen", strings.Replace(good, "-a-1.0", "+a-1.0", 1), "line 1: "},
		{"bad digit", strings.Replace(good, "05bhv", "0ebhv", 1), "line 1: "},
		{"long name", strings.Replace(good, "-a-1.0", "-"+strings.Repeat("a", 212), 1), "line 1: "},
		{"long line", strings.Repeat("a", 2<<20), "line 1: longer than"},
		{"carriage return", strings.ReplaceAll(good, "\n", "\r\n"), "line 1: "},
		{"short hash", strings.Replace(good, regBase32, regBase32[1:], 1), "line 2: "},
		{"overflowing hash", strings.Replace(good, regBase32, "z"+regBase32[1:], 1), "line 2: "},
		{"other algorithm", strings.Replace(good, "sha256:", "sha1:", 1), "line 2: "},
		{"negative size", strings.Replace(good, "120", "-1", 1), "line 3: "},
		{"signed size", strings.Replace(good, "120", "+1", 1), "line 3: "},
		{"huge size", strings.Replace(good, "120", "99999999999999999999", 1), "line 3: "},
		{"bad deriver", strings.Replace(good, "\n\n", "\nx\n", 1), "line 4: "},
		{"too many references", strings.Replace(good, "\n0\n", "\n99999999\n", 1), "line 5: "},
		{"missing reference", strings.Replace(good, "\n0\n", "\n1\n", 1), "line 6: unexpected EOF"},
		{"cut in a reference", strings.Replace(good, "\n0\n", "\n1\n"+regPathB, 1), "line 6: unexpected EOF"},
		{"cut after the path", regPathA + "\n", "line 2: unexpected EOF"},
		{"twice", good + good, "line 6: " + regPathA + " is there twice"},
	} {
		_, err := ParseRegInfo(strings.NewReader(c.in))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

func FuzzParseRegInfo(f *testing.F) {
	f.Add(regPathA + "\nsha256:" + regBase32 + "\n120\n\n1\n" + regPathA + "\n")
	f.Add(regPathB + "\n" + regBase16 + "\n0\n" + regPathA + "\n0\n")
	f.Fuzz(func(t *testing.T, in string) {
		infos, err := ParseRegInfo(strings.NewReader(in))
		if err != nil {
			return
		}
		var b strings.Builder
		for _, i := range infos {
			lines := append([]string{i.Path, i.NarHash, fmt.Sprint(i.NarSize), i.Deriver, fmt.Sprint(len(i.References))}, i.References...)
			b.WriteString(strings.Join(lines, "\n") + "\n")
		}
		again, err := ParseRegInfo(strings.NewReader(b.String()))
		if err != nil || !slices.EqualFunc(infos, again, func(a, b PathInfo) bool { return fmt.Sprint(a) == fmt.Sprint(b) }) {
			t.Errorf("%q does not survive being written and read again: %v", in, err)
		}
	})
}

func BenchmarkNarHash(b *testing.B) {
	name := filepath.Join(b.TempDir(), "file")
	if err := os.WriteFile(name, make([]byte, 64<<20), 0o600); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(64 << 20)
	for b.Loop() {
		if _, _, err := NarHash(b.Context(), name); err != nil {
			b.Fatal(err)
		}
	}
}
