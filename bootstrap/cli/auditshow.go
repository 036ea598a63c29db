package cli

import (
	"cmp"
	"fmt"
	"slices"
	"sort"
	"strings"

	"movein/bootstrap/report"
	"movein/steps/audit"
)

// auditTable prints what is left, by where it goes, and what is undecided; with -v also what stays.
func (s *session) auditTable(r *audited) {
	w := s.io.Out
	left := slices.DeleteFunc(slices.Clone(r.Definitions), func(d *audit.Definition) bool { return !d.Left() })
	sort.SliceStable(left, func(i, j int) bool { return left[i].Module < left[j].Module })
	for i, d := range left {
		if i == 0 || d.Module != left[i-1].Module {
			fmt.Fprintf(w, "%s.nix\n", d.Module)
		}
		s.auditLine(d)
	}
	for _, class := range []audit.Class{audit.Undecided, audit.System} {
		title := string(class)
		for _, d := range r.Definitions {
			if d.Class != class || class == audit.System && !s.opt.verbose {
				continue
			}
			if title != "" {
				fmt.Fprintln(w, title)
				title = ""
			}
			s.auditLine(d)
		}
	}
	for _, p := range r.Problems {
		fmt.Fprintf(w, "not read: %s: %s\n", printable(place(p.File, p.Line)), printable(p.Why))
	}
	s.auditSum(r)
}

func place(file string, line int) string {
	if line == 0 {
		return file
	}
	return fmt.Sprintf("%s:%d", file, line)
}

func (s *session) auditLine(d *audit.Definition) {
	text := fmt.Sprintf("  %-34s %s", printable(place(d.File, d.Line)), printable(d.Option))
	if d.Target != "" && d.Target != d.Option && d.Class == audit.Home {
		text += " " + s.io.arrow() + " " + printable(d.Target)
	}
	for _, word := range []string{packages(d, audit.Home, ""), packages(d, audit.System, "stay: ")} {
		text += word
	}
	if d.Class != audit.Home || d.Target == "" {
		text += " (" + d.Why + ")"
	}
	fmt.Fprintln(s.io.Out, s.io.shown(text))
}

// packages are those of d that are of a class, and where they go if that is not where d does.
func packages(d *audit.Definition, class audit.Class, prefix string) string {
	var all []string
	for _, p := range d.Packages {
		if p.Class != class || d.Class == audit.System {
			continue
		}
		if name := printable(p.Name); p.Module != "" && p.Module != d.Module {
			all = append(all, name+" @"+p.Module)
		} else {
			all = append(all, name)
		}
	}
	if len(all) == 0 {
		return ""
	}
	return " [" + prefix + strings.Join(all, " ") + "]"
}

// auditSum is the last lines: how the repo was read, and how far it is.
func (s *session) auditSum(r *audited) {
	w := s.io.Out
	how := "read, and evaluated"
	if r.Source == "syntax" {
		how = "read by its syntax"
		if r.Unevaluated != "" {
			how += "; not evaluated: " + report.OneLine(r.Unevaluated)
		}
	}
	fmt.Fprintln(w, s.io.shown(fmt.Sprintf("%s: %d %s, %s", printable(r.Repo), len(r.Files), plural(len(r.Files), "file"), printable(how))))
	fmt.Fprintf(w, "%d %s: %d of the system, %d of the user, %d undecided.\n",
		len(r.Definitions), plural(len(r.Definitions), "definition"), r.System, r.Home, r.Undecided)
	if r.Left == 0 {
		fmt.Fprintln(w, "Nothing of the user's is left in it.")
	} else {
		fmt.Fprintf(w, "%d of the user's %s left in it: %d %% done.\n", r.Left, map[bool]string{true: "is", false: "are"}[r.Left == 1], r.Percent)
	}
	if len(r.Drafts) > 0 {
		fmt.Fprintf(w, "%d %s to review:\n", len(r.Drafts), plural(len(r.Drafts), "draft"))
		for _, name := range r.Drafts {
			fmt.Fprintf(w, "  %s\n", printable(name))
		}
	}
}

// auditMarkdown prints a migration table: the files, then every definition of the user's and every undecided one.
func (s *session) auditMarkdown(r *audited) {
	w := s.io.Out
	fmt.Fprintf(w, "# Migration of %s\n\n**%d %% done**: %d of the user's definitions are left in the system's configuration, %d are in a home of their own; %d are undecided, %d are the system's.\n\n",
		code(r.Repo), r.Percent, r.Left, r.Home-r.Left+r.AtHome, r.Undecided, r.System)
	fmt.Fprintln(w, "| file | class | user | system | undecided | left |\n|---|---|---|---|---|---|")
	for _, f := range r.Files {
		if f.Home+f.System+f.Undecided > 0 || f.Class == audit.Home {
			fmt.Fprintf(w, "| %s | %s | %d | %d | %d | %d |\n", code(f.Name), f.Class, f.Home, f.System, f.Undecided, f.Left)
		}
	}
	fmt.Fprintln(w, "\n| done | where | option | module | home-manager | note |\n|---|---|---|---|---|---|")
	for _, d := range r.Definitions {
		if d.Class == audit.System {
			continue
		}
		done := map[bool]string{true: "[ ]", false: "[x]"}[d.Left() || d.Class == audit.Undecided]
		note := d.Why
		if list := packages(d, audit.Home, "") + packages(d, audit.System, "stay: "); list != "" {
			note = strings.TrimSpace(list)
		}
		fmt.Fprintf(w, "| %s | %s | %s | %s | %s | %s |\n", done, code(place(d.File, d.Line)), code(d.Option), cmp.Or(d.Module, string(d.Class)), code(d.Target), cell(note))
	}
}

// code is a text as code in a cell of a Markdown table.
func code(s string) string {
	if s == "" {
		return ""
	}
	return "`" + strings.ReplaceAll(cell(s), "`", "'") + "`"
}

func cell(s string) string { return strings.ReplaceAll(printable(s), "|", `\|`) }
