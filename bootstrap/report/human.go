package report

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// duration returns d with two or three figures: "31 ms", "4.1 s", "2 min 5 s", "1 h 2 min".
func duration(d time.Duration) string {
	switch {
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < 59950*time.Millisecond:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < time.Hour:
		d = d.Round(time.Second)
		return fmt.Sprintf("%d min %d s", d/time.Minute, d%time.Minute/time.Second)
	}
	d = d.Round(time.Minute)
	return fmt.Sprintf("%d h %d min", d/time.Hour, d%time.Hour/time.Minute)
}

// scale returns the power of 1000 that suits n bytes, and its name.
func scale(n int64) (divisor float64, unit string) {
	divisor, unit = 1, "B"
	for _, u := range []string{"kB", "MB", "GB", "TB"} {
		if float64(n) < 999.5*divisor {
			break
		}
		divisor, unit = divisor*1000, u
	}
	return divisor, unit
}

// figure returns n in units of divisor, with one decimal unless these are single bytes.
func figure(n int64, divisor float64) string {
	if divisor == 1 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%.1f", float64(n)/divisor)
}

// size returns n bytes in the unit that suits: "27.1 MB".
func size(n int64) string {
	div, unit := scale(n)
	return figure(n, div) + " " + unit
}

// amount returns how far a thing is: "12.3 of 27.1 MB", "12 of 59 paths", "12.3 MB".
func amount(done, total int64, unit string) string {
	switch {
	case unit != "bytes" && total > 0:
		return strings.TrimSpace(fmt.Sprintf("%d of %d %s", done, total, unit))
	case unit != "bytes":
		return strings.TrimSpace(fmt.Sprintf("%d %s", done, unit))
	case total > 0:
		div, name := scale(total)
		return figure(done, div) + " of " + figure(total, div) + " " + name
	}
	return size(done)
}

// count returns "1 step" or "5 steps".
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// past returns a verb, or a verb and more words, in the past tense: "wrote", "backed up".
func past(verb string) string {
	first, rest, _ := strings.Cut(verb, " ")
	if rest != "" {
		rest = " " + rest
	}
	switch first {
	case "":
		return verb
	case "write", "rewrite":
		return strings.TrimSuffix(first, "ite") + "ote" + rest
	case "run", "rerun":
		return strings.TrimSuffix(first, "un") + "an" + rest
	case "build", "rebuild", "send":
		return strings.TrimSuffix(first, "d") + "t" + rest
	case "set", "reset", "put", "let", "cut", "read":
		return verb
	case "make", "remake":
		return strings.TrimSuffix(first, "ke") + "de" + rest
	case "take":
		return "took" + rest
	case "bring":
		return "brought" + rest
	case "get", "forget":
		return strings.TrimSuffix(first, "et") + "ot" + rest
	case "keep":
		return "kept" + rest
	case "stop", "drop", "pin", "swap", "plan", "commit", "wrap", "trim", "ship":
		return first + first[len(first)-1:] + "ed" + rest
	}
	switch n := len(first); {
	case first[n-1] == 'e':
		return first + "d" + rest
	case n > 1 && first[n-1] == 'y' && !strings.ContainsRune("aeiou", rune(first[n-2])):
		return first[:n-1] + "ied" + rest
	}
	return first + "ed" + rest
}

// clean takes out of s what a terminal would act on: escape sequences, control
// characters other than newline, what has no shape, and bytes that are no UTF-8. A tab or carriage return becomes a space.
func clean(s string) string {
	s = strings.ToValidUTF8(s, "\ufffd")
	plain := func(r rune) bool { return r == '\n' || unicode.IsPrint(r) }
	if strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	var b strings.Builder
	for s != "" {
		s = strings.TrimLeftFunc(s, func(r rune) bool {
			if plain(r) {
				b.WriteRune(r)
			}
			if r == '\t' || r == '\r' {
				b.WriteByte(' ')
			}
			return r != '\x1b'
		})
		s = afterEscape(s)
	}
	return b.String()
}

// quoted returns a name as it is, or quoted as in Go if a terminal would act on it,
// if it is no UTF-8, or if one would not see where it begins and ends.
func quoted(name string) string {
	if q := strconv.Quote(name); q != `"`+name+`"` || name != strings.TrimSpace(name) || name == "" {
		return q
	}
	return name
}

// visible returns a line of a text with everything in it that has no shape as an
// escape of Go's, such as \r. A tab is four spaces.
func visible(line string) string {
	var b strings.Builder
	for i, r := range line {
		switch {
		case r == '\t':
			b.WriteString("    ")
		case r == utf8.RuneError && !strings.HasPrefix(line[i:], "\ufffd"):
			fmt.Fprintf(&b, `\x%02x`, line[i])
		case unicode.IsPrint(r):
			b.WriteRune(r)
		default:
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		}
	}
	return b.String()
}

// afterEscape returns s without the escape sequence that it begins with (ECMA-48:
// a control sequence, a string up to BEL or ST, or one character).
func afterEscape(s string) string {
	if len(s) < 2 {
		return ""
	}
	switch s[1] {
	case '[':
		return afterFinal(s[2:], 0x20, 0x40)
	case ']', 'P', 'X', '^', '_':
		end := strings.IndexAny(s[2:], "\a\x1b")
		if end < 0 {
			return ""
		}
		return strings.TrimPrefix(s[2+end+1:], `\`)
	}
	return afterFinal(s[1:], 0x20, 0x30)
}

// afterFinal skips the bytes from low to below final, and one more unless that ends the line.
func afterFinal(s string, low, final byte) string {
	i := 0
	for i < len(s) && s[i] >= low && s[i] < final {
		i++
	}
	if i < len(s) && s[i] >= final && s[i] < 0x7f {
		i++
	}
	return s[i:]
}

// columns returns how many columns s takes, rather more than less. Colours take none.
func columns(s string) int {
	n := 0
	for _, r := range clean(s) {
		n++
		if r >= 0x1100 && (r < 0x2000 || r >= 0x2e80) {
			n++
		}
	}
	return n
}

// pad fills s with spaces to n columns.
func pad(s string, n int) string {
	return s + strings.Repeat(" ", max(0, n-columns(s)))
}

// cut shortens s to n columns, the last of which say that there was more.
func cut(s string, n int, more string) string {
	if columns(s) <= n {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if columns(b.String())+columns(string(r))+columns(more) > n {
			break
		}
		b.WriteRune(r)
	}
	return strings.TrimRight(b.String(), " ") + more
}

// wrap breaks s into lines of at most n columns where it has spaces. Line breaks
// stay; a line that begins with white space, such as a command, is left whole.
func wrap(s string, n int) []string {
	var lines []string
	for line := range strings.SplitSeq(strings.Trim(s, "\n"), "\n") {
		if line == "" || line[0] == ' ' {
			lines = append(lines, line)
			continue
		}
		now := ""
		for word := range strings.FieldsSeq(line) {
			switch {
			case now == "":
				now = word
			case columns(now)+1+columns(word) > n:
				lines = append(lines, now)
				now = word
			default:
				now += " " + word
			}
		}
		lines = append(lines, now)
	}
	return lines
}

// ASCII returns a text of ours with the signs that are not ASCII as others. What
// somebody else's words are in it, such as names, stays as it is.
func ASCII(s string) string {
	return strings.NewReplacer("…", "...", "→", "->", "–", "-").Replace(s)
}

// Wrap breaks s into lines of at most n columns where it has spaces.
func Wrap(s string, n int) []string { return wrap(s, n) }

// OneLine returns s without line breaks and what a terminal would act on.
func OneLine(s string) string { return oneLine(s) }
