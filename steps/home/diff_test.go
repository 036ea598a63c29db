package home

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestDiff(t *testing.T) {
	for name, test := range map[string]struct{ old, new, want string }{
		"same":           {"a\nb\n", "a\nb\n", ""},
		"both empty":     {"", "", ""},
		"from nothing":   {"", "a\n", "--- old\n+++ new\n@@ -0,0 +1,1 @@\n+a\n"},
		"to nothing":     {"a\n", "", "--- old\n+++ new\n@@ -1,1 +0,0 @@\n-a\n"},
		"context":        {"1\n2\n3\n4\n5\n6\n7\n8\n", "1\n2\n3\n4\nfive\n6\n7\n8\n", "--- old\n+++ new\n@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+five\n 6\n 7\n 8\n"},
		"end of line":    {"a\nb", "a\nb\n", "--- old\n+++ new\n@@ -1,2 +1,2 @@\n a\n-b\n\\ No newline at end of file\n+b\n"},
		"binary":         {"a\x00", "b", "binary files differ\n"},
		"to binary":      {"a", "b\x00", "binary files differ\n"},
		"not UTF-8":      {"caf\xe9\n", "caf\xc3\xa9\n", "--- old\n+++ new\n@@ -1,1 +1,1 @@\n-caf\xe9\n+caf\xc3\xa9\n"},
		"large":          {strings.Repeat("a", maxDiff+1), "b", "large files differ (1048577 and 1 bytes)\n"},
		"large and same": {strings.Repeat("a", maxDiff+1), strings.Repeat("a", maxDiff+1), ""},
		"head in text":   {"+++ b\n", "+++ c\n", "--- old\n+++ new\n@@ -1,1 +1,1 @@\n-+++ b\n++++ c\n"},
	} {
		if got := Diff([]byte(test.old), []byte(test.new), "old", "new"); got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}

func TestDiffQuotesNames(t *testing.T) {
	got := Diff([]byte("a\n"), []byte("b\n"), "a b", "x\n+++ y\xff")
	if want := "--- a b\n+++ \"x\\n+++ y\\xff\"\n@@"; !strings.HasPrefix(got, want) {
		t.Errorf("%q begins not with %q", got, want)
	}
}

// TestDiffIsThatOfDiff compares with the real diff on texts whose lines are all
// different, where there is one shortest answer.
func TestDiffIsThatOfDiff(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 40 {
		var a, b bytes.Buffer
		for i := range r.IntN(60) {
			switch r.IntN(12) {
			case 0:
				fmt.Fprintf(&a, "only old %d\n", i)
			case 1:
				fmt.Fprintf(&b, "only new %d\n", i)
			default:
				fmt.Fprintf(&a, "line %d\n", i)
				fmt.Fprintf(&b, "line %d\n", i)
			}
		}
		old, new := cutEnd(r, a.Bytes()), cutEnd(r, b.Bytes())
		got, want := Diff(old, new, "old", "new"), real(t, old, new)
		if !slices.Equal(changes(got), changes(want)) {
			t.Fatalf("%q\n%q:\n%s\ndiff -u says:\n%s", old, new, got, want)
		}
	}
}

// TestDiffLeadsFromOldToNew does what a diff says, on texts with many lines alike.
func TestDiffLeadsFromOldToNew(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	text := func() []byte {
		var b bytes.Buffer
		for range r.IntN(30) {
			b.WriteString([]string{"a\n", "b\n", "\n", "}\n", "+x\n", "-y\n", " z\r\n", fmt.Sprintln(r.IntN(40))}[r.IntN(8)])
		}
		return cutEnd(r, b.Bytes())
	}
	for range 3000 {
		old, new := text(), text()
		got := Diff(old, new, "old", "new")
		if (got == "") != bytes.Equal(old, new) {
			t.Fatalf("%q and %q: %q", old, new, got)
		}
		if after := patched(t, string(old), got); after != string(new) {
			t.Fatalf("%q with\n%s\nis %q, not %q", old, got, after, new)
		}
	}
}

// cutEnd takes the last line's end away, half the time.
func cutEnd(r *rand.Rand, text []byte) []byte {
	if r.IntN(2) == 0 {
		return bytes.TrimSuffix(text, []byte("\n"))
	}
	return text
}

// head is the head of a hunk; diff leaves out a count of 1.
var head = regexp.MustCompile(`(?m)^@@ -(\d+)(,\d+)? \+(\d+)(,\d+)? @@`)

// real is what diff -u says.
func real(t *testing.T, old, new []byte) string {
	t.Helper()
	tool, err := exec.LookPath("diff")
	if err != nil {
		t.Skip("there is no diff here")
	}
	dir := t.TempDir()
	for name, text := range map[string][]byte{"old": old, "new": new} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(tool, "-d", "-u", "--label", "old", "--label", "new", "old", "new")
	cmd.Dir = dir
	out, err := cmd.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); err != nil && (!ok || exit.ExitCode() != 1) {
		t.Fatal(err)
	}
	return string(out)
}

// changes are the lines of a diff that are no context. Where hunks are near each other
// diff makes one of them sooner.
func changes(diff string) (all []string) {
	for line := range strings.Lines(diff) {
		if strings.ContainsAny(line[:1], "+-\\") {
			all = append(all, line)
		}
	}
	return all
}

// patched does what a unified diff says, and insists that it says it rightly.
func patched(t *testing.T, old, diff string) string {
	t.Helper()
	const noEnd = "\n\\ No newline at end of file\n"
	rest, out := strings.SplitAfter(old, "\n"), ""
	at := 0
	take := func() string { at++; return rest[at-1] }
	lines := strings.SplitAfter(strings.ReplaceAll(diff, noEnd, "\x00"), "\n")
	var flat []string
	for _, l := range lines { // a line without an end
		flat = append(flat, strings.SplitAfter(l, "\x00")...)
	}
	for i, l := range flat {
		if i < 2 || l == "" {
			continue
		}
		if m := head.FindStringSubmatch(l); m != nil {
			n, err := strconv.Atoi(m[1])
			if err != nil {
				t.Fatal(err)
			}
			if m[2] == ",0" {
				n++
			}
			for at < n-1 {
				out += take()
			}
			continue
		}
		text := strings.TrimSuffix(l[1:], "\x00")
		if l[0] != '+' && take() != text {
			t.Fatalf("line %d is not %q:\n%s", at, text, diff)
		}
		if l[0] != '-' {
			out += text
		}
	}
	for at < len(rest) {
		out += take()
	}
	return out
}
