package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"movein/bootstrap"
)

// groups are the flags that several commands have, by what they are about. A setting
// that is in none is about how it is done.
var groups = []struct {
	title string
	flags []string
}{
	{"Whose home, and from where", []string{"user", "host", "configuration", "branch", "dotfiles", "config"}},
	{"Secrets", unlocking},
	{"How it is done", nil},
	{"How it is told", []string{"json", "verbose", "no-progress", "log-level", "log-file"}},
}

// making are the commands that make a home, or tell what they would do; with the others
// it is not listed how it is done.
var making = []string{"apply", "plan"}

// shared marks flags as those of several commands.
func shared(f *pflag.FlagSet) {
	f.VisitAll(func(flag *pflag.Flag) {
		group := "How it is done"
		for _, g := range groups {
			if slices.Contains(g.flags, flag.Name) {
				group = g.title
			}
		}
		flag.Annotations = map[string][]string{"group": {group}}
	})
}

// writeUsage writes how a command is used: its own flags first, then those that it
// shares with others, in lines of at most width columns.
func writeUsage(w io.Writer, cmd *cobra.Command, width int) {
	fmt.Fprintln(w, "Usage:")
	if cmd.Runnable() {
		fmt.Fprintln(w, " ", cmd.UseLine())
	}
	if cmd.HasAvailableSubCommands() {
		fmt.Fprintf(w, "  %s [command]\n", cmd.CommandPath())
	}
	if cmd.HasExample() {
		fmt.Fprintf(w, "\nExamples:\n%s\n", cmd.Example)
	}
	list := func(title string, which func(*cobra.Command) bool) {
		for _, sub := range cmd.Commands() {
			if which(sub) {
				fmt.Fprintf(w, "%s  %-12s %s\n", title, sub.Name(), sub.Short)
				title = ""
			}
		}
	}
	list("\nCommands:\n", func(c *cobra.Command) bool { return c.IsAvailableCommand() || c.Name() == "help" })
	list("\nHelp topics (movein help TOPIC):\n", (*cobra.Command).IsAdditionalHelpTopicCommand)
	writeFlags(w, cmd, width)
	if cmd.HasAvailableSubCommands() {
		fmt.Fprintf(w, "\nMore about a command: movein help%s COMMAND\n", strings.TrimPrefix(cmd.CommandPath(), "movein"))
	}
}

func writeFlags(w io.Writer, cmd *cobra.Command, width int) {
	sets := map[string]*pflag.FlagSet{}
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		group := strings.Join(f.Annotations["group"], "")
		if sets[group] == nil {
			sets[group] = pflag.NewFlagSet(group, pflag.ContinueOnError)
		}
		sets[group].AddFlag(f)
	})
	write := func(title, group string) {
		if set := sets[group]; set != nil && set.HasAvailableFlags() {
			fmt.Fprintf(w, "\n%s:\n%s", title, set.FlagUsagesWrapped(width))
		}
	}
	write("Flags", "")
	short := !slices.Contains(making, cmd.Name())
	for _, g := range groups {
		if g.flags != nil || !short {
			write(g.title, g.title)
		}
	}
	switch {
	case short && len(sets) > 1:
		fmt.Fprintln(w, "\nIt also takes the other settings of apply; all of them: movein help config")
	case len(sets) > 1:
		fmt.Fprintln(w, "\nEach of these is also a variable and a key in movein.toml: movein help config")
	}
}

// newHelp returns the command that tells about the others.
func newHelp() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Tell about a command",
		Example: `  movein help apply
  movein help config                  where settings come from`,
		ValidArgsFunction: func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
			return names(cmd.Root()), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			about := cmd.Root()
			for _, name := range args {
				i := slices.IndexFunc(about.Commands(), func(c *cobra.Command) bool { return c.Name() == name && !c.Hidden })
				if i < 0 {
					err := noCommand(name, strings.Join(args, " "), names(about))
					return bootstrap.Exit(bootstrap.ExitUsage, bootstrap.Hint(err, "see: movein help"))
				}
				about = about.Commands()[i]
			}
			about.InitDefaultHelpFlag()
			return about.Help()
		},
	}
}

// names are those of a command's commands.
func names(cmd *cobra.Command) (all []string) {
	for _, c := range cmd.Commands() {
		if !c.Hidden {
			all = append(all, c.Name())
		}
	}
	return all
}

// noCommand says that there is no such command as all, for its name, and which was meant.
func noCommand(name, all string, names []string) error {
	if near := bootstrap.Meant(name, names); near != "" {
		return fmt.Errorf("there is no command %q; the nearest is %q", all, near)
	}
	return fmt.Errorf("there is no command %q", all)
}
