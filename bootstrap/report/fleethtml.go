package report

import (
	"fmt"
	"html"
	"io"
	"strings"
	"time"
)

// page is the head of the report: it needs nothing but itself, and no script.
const page = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<link rel="icon" href="data:,">
<title>movein: %[1]s</title>
<style>
:root { color-scheme: light dark; --line: #8884; --soft: #888; --bad: #c62828; --warn: #b26a00; --good: #2e7d32 }
@media (prefers-color-scheme: dark) { :root { --bad: #ff8a80; --warn: #ffc46b; --good: #7fd188 } }
body { font: 16px/1.45 system-ui, sans-serif; margin: 0 auto; max-width: 72rem; padding: 1.5rem 1rem 4rem }
h1 { font-size: 1.5rem; margin: 0 } p { margin: .2rem 0 1.5rem; color: var(--soft) }
table { border-collapse: collapse; width: 100%% }
th, td { text-align: left; vertical-align: top; padding: .55rem .9rem .55rem 0; border-bottom: 1px solid var(--line) }
th { font-weight: 600; font-size: .8rem; color: var(--soft) } td { font-variant-numeric: tabular-nums }
th[scope=row] { font-size: 1rem; color: inherit; overflow-wrap: anywhere }
.s { font-weight: 600; white-space: nowrap } .failed { color: var(--bad) } .drifted, .empty { color: var(--warn) } .in { color: var(--good) }
code { font: .85em ui-monospace, monospace; overflow-wrap: anywhere }
summary { cursor: pointer; font-weight: 400; font-size: .85rem; color: var(--soft) } ul { margin: .3rem 0; padding-left: 1.1rem; font-weight: 400 }
@media (max-width: 44rem) {
  thead { display: none } tr { display: block; border-bottom: 1px solid var(--line); padding: .6rem 0 }
  th, td { display: flex; justify-content: space-between; gap: 1rem; border: 0; padding: .12rem 0 } td:empty { display: none }
  th[scope=row] { display: block } td::before { content: attr(data-of); color: var(--soft) }
}
</style>
<h1>%[1]s</h1>
<p>Seen by movein, <time datetime="%[2]s">%[3]s</time></p>
<table>
<thead><tr><th>Host<th>State<th>Since<th>Generation<th>Nix<th>Lock</tr></thead>
<tbody>
`

// HTML writes the report as one page that needs nothing else.
func (f Fleet) HTML(w io.Writer, now time.Time) error {
	var out strings.Builder
	title := html.EscapeString(count(len(f), "home") + ": " + f.counts())
	fmt.Fprintf(&out, page, title, now.UTC().Format(time.RFC3339), now.Format("2 January 2006, 15:04"))
	for _, r := range f {
		c := r.cells(now)
		out.WriteString(`<tr><th scope="row">` + html.EscapeString(c.host))
		r.list(&out)
		state, _, _ := strings.Cut(c.state, " ")
		fmt.Fprintf(&out, `<td data-of="State"><span class="s %s">%s</span>`, state, c.state)
		cell(&out, "Since", c.since, r.since)
		cell(&out, "Generation", c.generation, r.Activated)
		cell(&out, "Nix", c.nix, time.Time{})
		cell(&out, "Lock", c.lock, r.Locked)
		out.WriteString("</tr>\n")
	}
	out.WriteString("</tbody>\n</table>\n</html>\n")
	_, err := io.WriteString(w, out.String())
	return err
}

// list writes what is wrong with a host, to be opened if it is more than a few lines.
func (r member) list(out *strings.Builder) {
	details := r.details()
	if len(details) == 0 {
		return
	}
	open := ""
	if len(details) <= maxDetails {
		open = " open"
	}
	fmt.Fprintf(out, "<details%s><summary>%s</summary><ul>", open, count(len(details), "finding"))
	for _, d := range details {
		out.WriteString("<li><code>" + html.EscapeString(d) + "</code>")
	}
	out.WriteString("</ul></details>")
}

// cell writes a column; when tells its moment, if it has one.
func cell(out *strings.Builder, of, text string, when time.Time) {
	out.WriteString(`<td data-of="` + of + `">`)
	if text == "" {
		return
	}
	text = html.EscapeString(text)
	if !when.IsZero() {
		text = fmt.Sprintf(`<time datetime="%s" title="%s">%s</time>`, when.UTC().Format(time.RFC3339), when.Format("2 January 2006, 15:04"), text)
	}
	out.WriteString("<span>" + text + "</span>")
}
