package report

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// maxDetails is how much of what is wrong with a host is listed in a table.
const maxDetails = 3

// Table writes the report for a terminal, with what is wrong below each host.
func (f Fleet) Table(w io.Writer, now time.Time, o TextOptions) error {
	s := newStyle(o.Color, o.Unicode)
	table := [][]string{{"HOST", "STATE", "SINCE", "GENERATION", "NIX", "LOCK"}}
	for _, r := range f {
		c := r.cells(now)
		table = append(table, []string{c.host, c.state, c.since, c.generation, c.nix, c.lock})
	}
	widths := make([]int, len(table[0]))
	for _, cells := range table {
		for i, cell := range cells {
			widths[i] = max(widths[i], columns(cell))
		}
	}
	colors := map[string]string{"failed": red, "drifted": yellow, "empty": yellow, "in sync": green}
	var out strings.Builder
	for n, cells := range table {
		line := ""
		for i, cell := range cells {
			cell = pad(cell, widths[i])
			if n > 0 && i == 1 {
				cell = s.paint(colors[f[n-1].state], cell)
			}
			line += cell + "  "
		}
		fmt.Fprintln(&out, strings.TrimRight(line, " "))
		if n == 0 {
			continue
		}
		details := f[n-1].details()
		for i, d := range details {
			if i == maxDetails && len(details) > i+1 && !o.Verbose {
				fmt.Fprintf(&out, "  %s%d more\n", s.marks.and+" ", len(details)-i)
				break
			}
			fmt.Fprintf(&out, "  %s\n", d)
		}
	}
	fmt.Fprintf(&out, "%s: %s\n", count(len(f), "home"), f.counts())
	text := out.String()
	if !o.Unicode {
		text = ASCII(text)
	}
	_, err := io.WriteString(w, text)
	return err
}
