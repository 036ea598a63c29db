// Docs writes movein's manual page, made from its commands, and the completions for
// shells: docs DIR DATE. A release has them beside the program, which does not carry the page.
package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"movein/bootstrap/cli"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: docs DIR DATE")
		os.Exit(64)
	}
	if err := docs(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "docs:", err)
		os.Exit(1)
	}
}

func docs(dir, date string) error {
	root := cli.Command()
	var page bytes.Buffer
	fmt.Fprintf(&page, ".TH MOVEIN 1 %q\n", date)
	write(&page, root)
	return errors.Join(
		os.WriteFile(filepath.Join(dir, "movein.1"), page.Bytes(), 0o644),
		root.GenBashCompletionFileV2(filepath.Join(dir, "movein.bash"), true),
		root.GenZshCompletionFile(filepath.Join(dir, "movein.zsh")),
		root.GenFishCompletionFile(filepath.Join(dir, "movein.fish"), true),
	)
}

func write(w io.Writer, root *cobra.Command) {
	fmt.Fprint(w, ".SH NAME\nmovein \\- ")
	fmt.Fprintln(w, lower(root.Short))
	fmt.Fprint(w, ".SH SYNOPSIS\n.B movein\n.I COMMAND\n[ARGUMENTS] [FLAGS]\n.SH DESCRIPTION\n")
	text(w, root.Long)
	fmt.Fprintln(w, ".SH COMMANDS")
	commands(w, root)
	fmt.Fprintln(w, ".SH SETTINGS")
	for _, topic := range root.Commands() {
		if topic.IsAdditionalHelpTopicCommand() && topic.Name() == "config" {
			about, _, _ := strings.Cut(topic.Long, "\nThe settings ")
			text(w, about)
		}
	}
	fmt.Fprintln(w, ".PP\nThe settings are the flags of apply:")
	apply, _, _ := root.Find([]string{"apply"}) //nolint:errcheck // it is there
	flags(w, apply, func(f *pflag.Flag) bool { return len(f.Annotations["group"]) > 0 })
	for _, topic := range root.Commands() {
		if topic.IsAdditionalHelpTopicCommand() && topic.Name() != "config" {
			fmt.Fprintf(w, ".SH %s\n", strings.ToUpper(topic.Name()))
			text(w, topic.Long)
		}
	}
}

// commands writes about the commands below cmd, and those below them.
func commands(w io.Writer, cmd *cobra.Command) {
	for _, sub := range cmd.Commands() {
		if sub.Hidden || sub.Name() == "help" || sub.IsAdditionalHelpTopicCommand() {
			continue
		}
		if sub.Runnable() && !sub.HasSubCommands() {
			sub.InitDefaultHelpFlag()
			fmt.Fprintf(w, ".SS %s\n", escape(strings.TrimPrefix(strings.TrimSuffix(sub.UseLine(), " [flags]"), "movein ")))
			text(w, cmp.Or(sub.Long, sub.Short+"."))
			flags(w, sub, func(f *pflag.Flag) bool { return len(f.Annotations["group"]) == 0 && f.Name != "help" })
			if sub.Example != "" {
				fmt.Fprintln(w, ".PP")
				text(w, sub.Example)
			}
		}
		commands(w, sub)
	}
}

// flags writes about those flags of cmd that are wanted.
func flags(w io.Writer, cmd *cobra.Command, wanted func(*pflag.Flag) bool) {
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if f.Hidden || !wanted(f) {
			return
		}
		value, usage := pflag.UnquoteUsage(f)
		name := `\fB` + escape("--"+f.Name) + `\fR`
		if f.Shorthand != "" {
			name = `\fB` + escape("-"+f.Shorthand) + `\fR, ` + name
		}
		if value != "" {
			name += ` \fI` + escape(value) + `\fR`
		}
		fmt.Fprintf(w, ".TP\n%s\n%s\n", name, line(usage))
	})
}

// text writes paragraphs; lines that are indented stay as they are.
func text(w io.Writer, s string) {
	example := false
	for l := range strings.Lines(strings.TrimRight(s, "\n") + "\n") {
		l = strings.TrimRight(l, "\n")
		if indented := strings.HasPrefix(l, "  "); indented != example && l != "" {
			example = indented
			fmt.Fprintln(w, map[bool]string{true: ".RS\n.nf", false: ".fi\n.RE"}[example])
		}
		switch {
		case l == "" && !example:
			fmt.Fprintln(w, ".PP")
		case l == "":
			fmt.Fprintln(w)
		default:
			fmt.Fprintln(w, line(strings.TrimPrefix(l, "  ")))
		}
	}
	if example {
		fmt.Fprint(w, ".fi\n.RE\n")
	}
}

// line is a line of text; at its beginning a dot or a quote would be a request.
func line(s string) string {
	s = escape(s)
	if strings.HasPrefix(s, ".") || strings.HasPrefix(s, "'") {
		s = `\&` + s
	}
	return s
}

func escape(s string) string {
	return strings.NewReplacer(`\`, `\e`, "-", `\-`, "…", `\[u2026]`, "→", `\[u2192]`).Replace(s)
}

func lower(s string) string { return strings.ToLower(s[:1]) + s[1:] }
