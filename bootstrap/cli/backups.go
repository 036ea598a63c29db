package cli

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"movein/bootstrap"
	"movein/bootstrap/host"
	"movein/steps/home"
)

func newBackups(io *IO) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "backups",
		Short: "What was kept before it was replaced: list, restore, prune",
		Long: `Before movein replaces or removes anything in your home, it keeps what is there:
content, mode, owner, times, links, ACLs and other attributes. Each run has a
backup of its own, which is named after its time.`,
		Example: `  movein backups list
  movein backups restore latest ~/.bashrc`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usage(cmd, fmt.Errorf("there is no command %q", "backups "+args[0]))
			}
			return cmd.Help()
		},
		Args: cobra.ArbitraryArgs,
	}
	cmd.AddCommand(newBackupsList(io), newBackupsRestore(io), newBackupsPrune(io))
	return cmd
}

func newBackupsList(io *IO) *cobra.Command {
	s := &session{io: io, opt: options{dryRun: true}}
	cmd := &cobra.Command{
		Use:   "list [RUN]",
		Short: "The backups, newest first; or what is in one",
		Example: `  movein backups list
  movein backups list latest`,
		Args: oneArg,
		RunE: func(cmd *cobra.Command, args []string) error {
			b, err := s.backups(cmd)
			if err != nil {
				return err
			}
			if len(args) == 1 {
				return s.listEntries(b, args[0])
			}
			return s.listRuns(b)
		},
		ValidArgsFunction: s.completeRuns,
	}
	s.addFlags(cmd.Flags())
	s.completions(cmd)
	return cmd
}

// backups are those of the user whose home it is.
func (s *session) backups(cmd *cobra.Command) (home.Backups, error) {
	if err := s.load(cmd, nil, false); err != nil {
		return home.Backups{}, err
	}
	b := home.Backups{Dir: filepath.Join(s.config.State(), "backups"), Home: s.config.Home}
	if s.io.EUID != s.config.UID { // root must not write what another may lead elsewhere
		err := bootstrap.Exit(bootstrap.ExitPermission, fmt.Errorf("the backups are those of %s", s.config.User))
		return b, bootstrap.Hint(err, "run it as that user: sudo -u %s -H movein backups %s", s.config.User, cmd.Name())
	}
	return b, nil
}

// completeRuns completes the names of runs.
func (s *session) completeRuns(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveDefault
	}
	b, err := s.backups(cmd)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	runs, _, err := b.List(&s.view)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	names := []string{home.Latest}
	for _, r := range slices.Backward(runs) {
		names = append(names, r.Run+"\t"+r.Reason)
	}
	return names, cobra.ShellCompDirectiveDefault
}

// runJSON is a backup in "movein backups list --json".
type runJSON struct {
	Run        string    `json:"run"`
	Time       time.Time `json:"time"`
	Reason     string    `json:"reason"`
	Version    string    `json:"version"`
	Generation string    `json:"generation,omitempty"`
	Files      int       `json:"files"`
	Bytes      int64     `json:"bytes"`
	Dir        string    `json:"dir"`
	Error      string    `json:"error,omitempty"`
}

func (s *session) listRuns(b home.Backups) error {
	runs, broken, err := b.List(&s.view)
	if err != nil {
		return err
	}
	all := []runJSON{}
	for _, r := range runs {
		all = append(all, runJSON{r.Run, r.Time, r.Reason, r.Version, r.Generation, r.Count(), r.Size(), r.Dir, ""})
	}
	for run, err := range broken {
		all = append(all, runJSON{Run: run, Dir: filepath.Join(b.Dir, run), Error: err.Error()})
	}
	sort.Slice(all, func(i, j int) bool { return all[i].Run > all[j].Run })
	if s.opt.json {
		return json.NewEncoder(s.io.Out).Encode(map[string]any{"schema": bootstrap.Schema, "event": "backups", "backups": all})
	}
	if len(all) == 0 {
		fmt.Fprintln(s.io.Out, "There are no backups: nothing of yours was replaced.")
	}
	for _, r := range all {
		if r.Error != "" {
			fmt.Fprintf(s.io.Out, "%s  cannot be read: %s\n", r.Run, r.Error)
			continue
		}
		fmt.Fprintf(s.io.Out, "%s  %s  %5d %-5s  %9s  %s\n", r.Run, r.Time.Local().Format(time.DateTime), r.Files, plural(r.Files, "file"), home.Bytes(r.Bytes), r.Reason)
	}
	return nil
}

func (s *session) listEntries(b home.Backups, run string) error {
	r, err := b.Open(&s.view, run)
	if err != nil {
		return err
	}
	if s.opt.json {
		return json.NewEncoder(s.io.Out).Encode(map[string]any{"schema": bootstrap.Schema, "event": "backup", "backup": r.Manifest})
	}
	for _, e := range r.Entries {
		if e.Parent {
			continue
		}
		line := fmt.Sprintf("%-10s %9s  %s", e.Kind, size(e), printable(filepath.Join(b.Home, e.Name)))
		if e.Target != "" {
			line += " " + s.io.arrow() + " " + printable(e.Target)
		}
		fmt.Fprintln(s.io.Out, line)
	}
	return nil
}

func size(e home.Entry) string {
	if e.Kind != host.KindFile {
		return ""
	}
	return home.Bytes(e.Size)
}

// printable is a name as it can be shown on a terminal.
func printable(name string) string {
	if !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return strconv.Quote(name)
	}
	return name
}

// plural is a word for n things.
func plural(n int, word string) string {
	if n == 1 {
		return word
	}
	return word + "s"
}
