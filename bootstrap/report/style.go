package report

import (
	"strings"

	"github.com/sirupsen/logrus"
)

// The colours, as parameters of ANSI's "select graphic rendition".
const (
	bold    = "1"
	dim     = "2"
	red     = "31"
	green   = "32"
	yellow  = "33"
	magenta = "35"
	cyan    = "36"
)

// style is how lines look.
type style struct {
	color  bool
	marks  marks
	indent int // columns before the title of a step
}

// marks are the signs that lines begin with.
type marks struct {
	ok, warn, fail, wait, none, ask string
	arrow, more, and                string
	fork, last, down                string // of a tree
}

func newStyle(color, unicode bool) style {
	if unicode {
		return style{color, marks{"✓", "!", "✗", "↻", "·", "?", "→", "…", "·", "├", "└", "│"}, 4}
	}
	return style{color, marks{"ok", "! ", "x ", "~ ", "- ", "? ", "->", "...", "+", "|", "`", "|"}, 5}
}

// paint returns s in a colour.
func (s style) paint(color, text string) string {
	if !s.color || text == "" || color == "" {
		return text
	}
	return "\x1b[" + color + "m" + text + "\x1b[0m"
}

// verb returns a verb in the colour of what it does to what was there: green
// adds, yellow changes, red takes away. Text is what to show for it.
func (s style) verb(verb, text string) string {
	first, _, _ := strings.Cut(verb, " ")
	switch first {
	case "create", "install", "write", "clone", "add", "make", "link", "enable", "start", "build",
		"fetch", "download", "unpack", "copy", "mount", "activate", "set":
		return s.paint(green, text)
	case "replace", "restart", "repair", "rewrite", "update", "upgrade", "change", "move", "rename", "back",
		"restore", "reset", "reload", "switch", "relabel", "chown", "chmod":
		return s.paint(yellow, text)
	case "remove", "delete", "stop", "disable", "unlink", "uninstall", "unmount", "drop", "prune":
		return s.paint(red, text)
	}
	return s.paint(cyan, text)
}

// lines is the formatter: the message is what a person is to see.
type lines struct{}

// Format implements logrus.Formatter.
func (lines) Format(e *logrus.Entry) ([]byte, error) { return []byte(e.Message + "\n"), nil }
