// Package cli is the command line: it reads flags, environment and files, puts
// the parts of the program together, and turns what came of it into an exit code.
package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"movein/bootstrap"
	"movein/bootstrap/host"
	"movein/bootstrap/host/secret"
	"movein/bootstrap/report"
)

// IO is what the program has of the process that it is: streams, environment, identity.
type IO struct {
	In       io.Reader
	Out, Err io.Writer
	Environ  []string
	Dir      string // the working directory; "": unknown
	EUID     int
	Width    int  // of the terminal that Err is; 0: it is none
	OutTTY   bool // Out is a terminal

	Name string   // that the program was started under
	Root string   // what to take for /; empty but in tests
	Self []string // the command that starts this program again; empty but in tests: the executable
}

// Std is the real process.
func Std() *IO {
	dir, err := os.Getwd()
	if err != nil { // it was removed; who names a relative path is told
		dir = ""
	}
	return &IO{Name: filepath.Base(os.Args[0]), In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Environ: os.Environ(), Dir: dir, EUID: os.Geteuid(), Width: host.TerminalWidth(os.Stderr), OutTTY: host.TerminalWidth(os.Stdout) > 0}
}

// abs makes name absolute, as seen from the working directory.
func (io *IO) abs(name string) (string, error) {
	switch {
	case filepath.IsAbs(name):
		return filepath.Clean(name), nil
	case io.Dir == "":
		return "", fmt.Errorf("finding %s: the working directory is gone", name)
	}
	return filepath.Join(io.Dir, name), nil
}

// self is the command that starts this program again.
func (io *IO) self() ([]string, error) {
	if len(io.Self) > 0 {
		return io.Self, nil
	}
	exe, err := host.Executable()
	return []string{exe}, err
}

func (io *IO) fs() fs.FS {
	if io.Root == "" {
		return os.DirFS("/")
	}
	return os.DirFS(io.Root)
}

func (io *IO) getenv(name string) string {
	for _, kv := range io.Environ {
		if v, ok := strings.CutPrefix(kv, name+"="); ok {
			return v
		}
	}
	return ""
}

// unicode reports whether the locale can show signs that are not ASCII.
func (io *IO) unicode() bool {
	locale := cmp.Or(io.getenv("LC_ALL"), io.getenv("LC_CTYPE"), io.getenv("LANG"))
	return strings.Contains(strings.ToUpper(strings.ReplaceAll(locale, "-", "")), "UTF8")
}

// arrow comes before what can be done.
func (io *IO) arrow() string {
	if io.unicode() {
		return "→"
	}
	return "->"
}

// shown is a text of ours as this locale can show it, and without what a URL says of who logs in.
func (io *IO) shown(s string) string {
	s = withoutLogin(s)
	if io.unicode() {
		return s
	}
	return report.ASCII(s)
}

// withoutLogin is a text without what a URL in it says of who logs in.
func withoutLogin(s string) string {
	if !strings.Contains(s, "://") {
		return s
	}
	return login().ReplaceAllString(s, "$1")
}

// login is who logs in at a web server, with a password or a token, in a URL.
var login = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`\b(https?://)[^/@\s"']+@`) })

// wantsJSON reports whether events are asked for, by a command line that may be wrong.
func (io *IO) wantsJSON(args []string) bool {
	on, err := strconv.ParseBool(io.getenv("MOVEIN_JSON"))
	for _, arg := range args {
		if value, ok := strings.CutPrefix(arg, "--json"); ok && (value == "" || value[0] == '=') {
			on, err = strconv.ParseBool(cmp.Or(strings.TrimPrefix(value, "="), "true"))
		}
	}
	return on && err == nil
}

// Main runs the program and returns its exit code.
func Main(args []string, io *IO) int {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	sigs := make(chan os.Signal, 2)
	signal.Notify(sigs, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(sigs)
	go func() {
		<-sigs
		cancel(bootstrap.ErrInterrupted)
		signal.Stop(sigs) // a second one kills
	}()

	if io.Name == secret.Shim { // chezmoi asks for secrets
		return secret.RunShim(ctx, io.agentDirs(), args, io.Out, io.Err)
	}
	root := newRoot(io, args...)
	root.SetArgs(args)
	root.SetIn(io.In)
	root.SetOut(io.Out)
	root.SetErr(io.Err)
	cmd, err := root.ExecuteContextC(ctx)
	if silent, ok := errors.AsType[exitStatus](err); ok {
		return int(silent)
	}
	if err != nil {
		fmt.Fprintln(io.Err, "movein:", io.shown(err.Error()))
		if hint := bootstrap.HintOf(err); hint != "" {
			fmt.Fprintln(io.Err, " ", io.arrow(), io.shown(hint))
		}
		if _, done := errors.AsType[told](err); !done && io.wantsJSON(args) && slices.Contains(summing, cmd.Name()) {
			report.JSON(io.Out)(refused(err))
		}
		return bootstrap.ExitCode(err)
	}
	return bootstrap.ExitOK
}

// summing are the commands whose last line is a summary, with --json.
var summing = []string{"apply", "plan", "rollback", "update", "uninstall"}

// refused is the summary of a run that a wrong command line kept from beginning.
func refused(err error) bootstrap.Event {
	sum := bootstrap.Summary{Failed: []string{}, Error: err.Error(), ExitCode: bootstrap.ExitCode(err)}
	return bootstrap.Event{Schema: bootstrap.Schema, Time: time.Now(), Event: "summary", Hint: bootstrap.HintOf(err), Summary: &sum}
}

// exitStatus ends the program with a code; all has been said.
type exitStatus int

func (e exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

// usage makes an error one of the command line's use.
func usage(cmd *cobra.Command, err error) error {
	return bootstrap.Exit(bootstrap.ExitUsage, bootstrap.Hint(err, "see: %s --help", cmd.CommandPath()))
}

// flagError says what is wrong with a flag, and which one was meant.
func flagError(cmd *cobra.Command, err error) error {
	if unknown, ok := errors.AsType[*pflag.NotExistError](err); ok && len(unknown.GetSpecifiedName()) > 1 {
		names := []string{}
		cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
		if near := bootstrap.Meant(unknown.GetSpecifiedName(), names); near != "" {
			err = fmt.Errorf("%w; the nearest is %q", err, "--"+near)
		}
	}
	return usage(cmd, err)
}

// Command returns all commands, for who writes about them; none of them is to be run.
func Command() *cobra.Command { return newRoot(&IO{}) }

// newRoot is the program's command. If args begin with the name of another one it has that
// one alone: to make all of them takes longer than some of them run.
func newRoot(io *IO, args ...string) *cobra.Command {
	var version bool
	root := &cobra.Command{
		Use:   "movein",
		Short: "Your own home on a fresh Linux host, in one command",
		Long: `movein takes a fresh Linux install to your own home: it installs Nix, or adopts the
one that is there, clones your home-manager flake and dotfiles, and applies the
configuration for this user and host. The same command, run again, repairs it.

  movein apply starter                        try it with a tiny built-in home
  movein apply https://example.org/home.git   your own
  movein plan                                 what would change, and nothing else`,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usage(cmd, noCommand(args[0], args[0], names(cmd)))
			}
			if version {
				return newVersion(io).RunE(cmd, args)
			}
			return cmd.Help()
		},
		Args: cobra.ArbitraryArgs,
	}
	root.Flags().BoolVar(&version, "version", false, "print the version")
	root.SetFlagErrorFunc(flagError)
	root.SetUsageFunc(func(cmd *cobra.Command) error {
		writeUsage(cmd.OutOrStderr(), cmd, max(80, cmp.Or(io.Width, 100)))
		return nil
	})
	root.SetHelpCommand(newHelp())
	root.CompletionOptions.HiddenDefaultCmd = false
	own := map[string]func(*IO) *cobra.Command{
		"apply": newApply, "plan": newPlan, "status": newStatus, "doctor": newDoctor, "generations": newGenerations,
		"rollback": newRollback, "packages": newPackages, "update": newUpdate, "uninstall": newUninstall, "backups": newBackups,
		"secret": newSecret, "version": newVersion, halfCommand: newHalf, agentCommand: newAgent, "audit": newAudit, "init": newInit, resumeCommand: newResume,
		"ansible": newAnsible, "report": newReport, "self-update": newSelfUpdate, "bundle": newBundle,
	}
	if len(args) > 0 && own[args[0]] != nil {
		root.CompletionOptions.DisableDefaultCmd = true
		root.AddCommand(own[args[0]](io))
		return root
	}
	for _, c := range own {
		root.AddCommand(c(io))
	}
	root.AddCommand(newConfigHelp(), newEventsHelp())
	return root
}

func newVersion(io *IO) *cobra.Command {
	asJSON := false
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Example: `  movein version
  movein version --json`,
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			if !asJSON {
				fmt.Fprintln(io.Out, "movein", Version())
				return nil
			}
			version, goVersion, _ := strings.Cut(Version(), " go")
			return json.NewEncoder(io.Out).Encode(map[string]any{"schema": bootstrap.Schema, "event": "version",
				"version": version, "go": "go" + goVersion, "system": runtime.GOARCH + "-" + runtime.GOOS})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "as one JSON object")
	return cmd
}

// Version is the program's version, from the build information.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	version := info.Main.Version
	revision, dirty := "", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			revision = s.Value[:min(12, len(s.Value))]
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = "-dirty"
		}
	}
	switch version {
	case "", "(devel)":
		version = "devel"
		if revision != "" {
			version += " (" + revision + dirty + ")"
		}
	}
	return version + " " + info.GoVersion
}

func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usage(cmd, fmt.Errorf("unexpected argument %q", args[0]))
	}
	return nil
}

func oneArg(cmd *cobra.Command, args []string) error {
	if len(args) > 1 {
		return usage(cmd, fmt.Errorf("unexpected argument %q", args[1]))
	}
	return nil
}
