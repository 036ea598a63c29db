package home

import (
	"bytes"
	"fmt"
	"strconv"

	"github.com/rogpeppe/go-internal/diff"
)

// maxDiff is how many bytes the longer of two texts may have to be compared by lines.
const maxDiff = 1 << 20

// Diff returns what turns old into new, in the unified format with three lines of
// context, and "" when nothing does. It is anchored at lines that are in each text
// once: not always the shortest, but done in O(n log n). What is binary, or longer
// than a person reads, is only said to differ. A name that would not stay on its
// line is quoted.
func Diff(old, new []byte, oldName, newName string) string {
	switch {
	case bytes.Equal(old, new):
		return ""
	case binary(old) || binary(new):
		return "binary files differ\n"
	case max(len(old), len(new)) > maxDiff:
		return fmt.Sprintf("large files differ (%d and %d bytes)\n", len(old), len(new))
	}
	_, lines, _ := bytes.Cut(diff.Diff("a", old, "b", new), []byte("+++ b\n"))
	return "--- " + header(oldName) + "\n+++ " + header(newName) + "\n" + string(lines)
}

// binary reports whether a text is none, as diff and git find it: it has a zero byte near its beginning.
func binary(text []byte) bool { return bytes.IndexByte(text[:min(len(text), 8000)], 0) >= 0 }

// header returns a name as it stands in the head of a diff.
func header(name string) string {
	if quoted := strconv.Quote(name); quoted != `"`+name+`"` {
		return quoted
	}
	return name
}
