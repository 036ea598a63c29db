package report

import (
	"slices"
	"testing"
	"time"
)

func TestDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0:                        "0 ms",
		31 * time.Millisecond:    "31 ms",
		999 * time.Millisecond:   "999 ms",
		4120 * time.Millisecond:  "4.1 s",
		59940 * time.Millisecond: "59.9 s",
		59999 * time.Millisecond: "1 min 0 s",
		64 * time.Second:         "1 min 4 s",
		3599 * time.Second:       "59 min 59 s",
		3725 * time.Second:       "1 h 2 min",
	} {
		if got := duration(d); got != want {
			t.Errorf("duration(%v) = %q, want %q", d, got, want)
		}
	}
}

func TestAmount(t *testing.T) {
	for _, test := range []struct {
		done, total int64
		unit, want  string
	}{
		{0, 27_100_000, "bytes", "0.0 of 27.1 MB"},
		{12_300_000, 27_100_000, "bytes", "12.3 of 27.1 MB"},
		{5, 999, "bytes", "5 of 999 B"},
		{5, 1000, "bytes", "0.0 of 1.0 kB"},
		{999_950, 0, "bytes", "1.0 MB"},
		{12, 59, "paths", "12 of 59 paths"},
		{12, 0, "paths", "12 paths"},
		{12, 13, "", "12 of 13"},
		{5_000_000_000_000_000, 0, "bytes", "5000.0 TB"},
	} {
		if got := amount(test.done, test.total, test.unit); got != test.want {
			t.Errorf("amount(%d, %d, %q) = %q, want %q", test.done, test.total, test.unit, got, test.want)
		}
	}
}

func TestPast(t *testing.T) {
	for verb, want := range map[string]string{
		"write": "wrote", "run": "ran", "forget": "forgot", "clone": "cloned", "link": "linked", "back up": "backed up", "set up": "set up",
		"build": "built", "copy": "copied", "deploy": "deployed", "stop": "stopped", "unpack": "unpacked",
		"make": "made", "take over": "took over", "switch": "switched", "": "", "x": "xed",
	} {
		if got := past(verb); got != want {
			t.Errorf("past(%q) = %q, want %q", verb, got, want)
		}
	}
}

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"plain ü ✓":                  "plain ü ✓",
		"a\nb\tc\rd":                 "a\nb c d",
		"\x1b[1;31mred\x1b[0m":       "red",
		"\x1b]0;title\x07x":          "x",
		"\x1b]0;title\x1b\\x":        "x",
		"\x1b(Bx\x1bcy\x1b":          "xy",
		"\x1b[12":                    "",
		"\x1b[1\nnext":               "\nnext",
		"bell\a bidi\u202e c1\u009b": "bell bidi c1",
		"\xff":                       "\ufffd",
	} {
		if got := clean(in); got != want {
			t.Errorf("clean(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestCut(t *testing.T) {
	for _, test := range []struct {
		in   string
		n    int
		want string
	}{{"abcdef", 6, "abcdef"}, {"abcdef", 5, "abcd…"}, {"ab  ef", 5, "ab…"}, {"漢字漢字", 5, "漢字…"}, {"abc", 0, "…"}} {
		if got := cut(test.in, test.n, "…"); got != test.want {
			t.Errorf("cut(%q, %d) = %q, want %q", test.in, test.n, got, test.want)
		}
	}
}

func TestWrap(t *testing.T) {
	for _, test := range []struct {
		in   string
		want []string
	}{
		{"", []string{""}},
		{"one two three", []string{"one two", "three"}},
		{"muchlongerthanthat a", []string{"muchlongerthanthat", "a"}},
		{"a\n\n  left as it is, whole\nb\n", []string{"a", "", "  left as it is, whole", "b"}},
	} {
		if got := wrap(test.in, 8); !slices.Equal(got, test.want) {
			t.Errorf("wrap(%q) = %q, want %q", test.in, got, test.want)
		}
	}
}
