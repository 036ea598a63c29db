package cli

import (
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"movein/bootstrap"
	"movein/steps"
)

// noFlag are keys of movein.toml that are no flags: an argument, and tables.
var noFlag = []string{"home-repo", "verify", "hosts", "ownership", "chezmoi", "secrets"}

// keys are those of movein.toml.
func keys() (all []string) {
	file := reflect.TypeFor[steps.File]()
	for i := range file.NumField() {
		all = append(all, file.Field(i).Tag.Get("toml"))
	}
	return all
}

// TestEverySettingCanBeSaidEverywhere sets each flag of apply by its environment
// variable and by its key in a file, and sees that both are heard.
func TestEverySettingCanBeSaidEverywhere(t *testing.T) {
	flags := newApply(&IO{}).Flags()
	flags.VisitAll(func(f *pflag.Flag) {
		if slices.Contains(notSettings, f.Name) {
			return
		}
		if !slices.Contains(keys(), f.Name) {
			t.Errorf("--%s has no key in movein.toml", f.Name)
			return
		}
		value, text := sample(f)
		if got := loaded(t, f.Name, "MOVEIN_"+strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))+"="+value, ""); got != f.Name+"="+value {
			t.Errorf("by the environment: %s", got)
		}
		if got := loaded(t, f.Name, "", f.Name+" = "+text+"\n"); got != f.Name+"="+value {
			t.Errorf("by a file: %s", got)
		}
	})
	for _, key := range keys() {
		if flags.Lookup(key) == nil && !slices.Contains(noFlag, key) {
			t.Errorf("the key %s has no flag", key)
		}
	}
}

// sample is a value for a flag, and how it is written in TOML.
func sample(f *pflag.Flag) (value, text string) {
	switch f.Value.Type() {
	case "bool":
		return "true", "true"
	case "int":
		return "3", "3"
	case "duration":
		return "1m0s", `"1m0s"`
	case "stringSlice":
		return "preflight,home-repo", `["preflight", "home-repo"]`
	}
	value = map[string]string{
		"user": "ann", "on-diverged": "stop", "on-modified": "stop", "nix-source": "distro", "log-level": "warn",
		"nix-url": "https://example.org", "chezmoi-url": "https://example.org",
		"nix-sha256": strings.Repeat("0123456789abcdef", 4), "chezmoi-sha256": strings.Repeat("0123456789abcdef", 4),
		"vault-sha256": strings.Repeat("0123456789abcdef", 4),
	}[f.Name]
	if value == "" {
		value = "x"
	}
	return value, `"` + value + `"`
}

// loaded is a setting after everything is read, with this environment and user's file.
func loaded(t *testing.T, name, environ, file string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range map[string]string{
		"etc/passwd":                          "root:x:0:0::/root:/bin/sh\nann:x:4242:4242::/home/ann:/bin/sh\n",
		"root/.config/movein/movein.toml":     file,
		"home/ann/.config/movein/movein.toml": file,
	} {
		name = filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s := &session{io: &IO{Root: root, Environ: []string{environ}, Dir: "/", Out: io.Discard, Err: io.Discard}}
	cmd := &cobra.Command{Use: "apply"}
	s.addFlags(cmd.Flags())
	if err := s.load(cmd, nil, false); err != nil {
		t.Errorf("%s %s: %v", environ, file, err)
		return ""
	}
	f := cmd.Flags().Lookup(name)
	value := strings.Trim(f.Value.String(), "[]")
	if f.Value.Type() == "bool" || f.Changed {
		return name + "=" + value
	}
	return name + " was not set"
}

// TestHelpHasExamplesThatParse looks at every command: what it is for in one line,
// and examples, each of which is a command line that is understood.
func TestHelpHasExamplesThatParse(t *testing.T) {
	var visit func(cmd *cobra.Command)
	visit = func(cmd *cobra.Command) {
		for _, sub := range cmd.Commands() {
			visit(sub)
		}
		if cmd.Hidden {
			return
		}
		if cmd.Short == "" || strings.HasSuffix(cmd.Short, ".") {
			t.Errorf("%s: what it is for is %q", cmd.CommandPath(), cmd.Short)
		}
		text := cmd.Example
		if text == "" && !cmd.HasParent() {
			text = cmd.Long
		}
		n := 0
		for line := range strings.Lines(text) {
			line, _, _ = strings.Cut(strings.TrimSpace(line), "   ") // what it does comes after it
			_, args, ok := strings.Cut(line, "movein ")
			if !ok || strings.Contains(args, "takes") {
				continue
			}
			n++
			parse(t, strings.Fields(args))
		}
		if n == 0 {
			t.Errorf("%s has no example", cmd.CommandPath())
		}
	}
	visit(newRoot(&IO{}))
}

func parse(t *testing.T, args []string) {
	t.Helper()
	cmd, rest, err := newRoot(&IO{}).Find(args)
	if err == nil {
		err = cmd.ParseFlags(rest)
	}
	if err == nil {
		err = cmd.ValidateArgs(cmd.Flags().Args())
	}
	if err != nil {
		t.Errorf("movein %s: %v", strings.Join(args, " "), err)
	}
}

// TestCommandAloneIsAsAmongAll compares each command with what is made when it alone is called.
func TestCommandAloneIsAsAmongAll(t *testing.T) {
	all := newRoot(&IO{}).Commands()
	for _, want := range all {
		root := newRoot(&IO{}, want.Name())
		got, _, err := root.Find([]string{want.Name()})
		if err != nil || got.UsageString() != want.UsageString() || got.Long != want.Long {
			t.Errorf("movein %s alone is used\n%s\nand among all\n%s", want.Name(), got.UsageString(), want.UsageString())
		}
		if topic := !want.Runnable(); topic == (len(root.Commands()) < len(all)) {
			t.Errorf("movein %s makes %q too", want.Name(), names(root))
		}
	}
}

// TestHelpNamesEveryFieldOfEvents compares the reference of --json with the types.
func TestHelpNamesEveryFieldOfEvents(t *testing.T) {
	words := strings.FieldsFunc(newEventsHelp().Long, func(r rune) bool { return !unicode.IsLetter(r) && r != '_' && !unicode.IsDigit(r) })
	for _, of := range []reflect.Type{reflect.TypeFor[bootstrap.Event](), reflect.TypeFor[bootstrap.Summary](), reflect.TypeFor[bootstrap.Action]()} {
		for i := range of.NumField() {
			name, _, _ := strings.Cut(of.Field(i).Tag.Get("json"), ",")
			if name != "" && name != "-" && !slices.Contains(words, name) {
				t.Errorf("movein help events does not name %s, a field of %s", name, of)
			}
		}
	}
}

// TestLoginIsNotTold: what a URL says of who logs in at a web server; ssh needs its user.
func TestLoginIsNotTold(t *testing.T) {
	for in, want := range map[string]string{
		"https://me:secret@git.example.org/x": "https://git.example.org/x",
		"a clone of http://token@h, not":      "a clone of http://h, not",
		"ssh://git@example.org/x":             "ssh://git@example.org/x",
		"git@example.org:x":                   "git@example.org:x",
		"https://example.org/a@b":             "https://example.org/a@b",
		"https://a and me@b":                  "https://a and me@b",
	} {
		if got := withoutLogin(in); got != want {
			t.Errorf("%s is told as %s", in, got)
		}
	}
}

// The run that goes on after a restart is in another directory, and has nothing of what is open in this one.
func TestWhatIsKeptForAfterARestartIsFoundThere(t *testing.T) {
	for _, test := range [][2]string{
		{"--vault=my.kdbx", "/there/my.kdbx"}, {"--vault=~/my.kdbx", "/home/ann/my.kdbx"}, {"--vault=none", "none"},
		{"--vault=https://example.org/my.kdbx", "https://example.org/my.kdbx"}, {"--vault=you@example.org:my.kdbx", "you@example.org:my.kdbx"},
		{"--password-file=~/pw", "/home/ann/pw"}, {"--key-file=key", "/there/key"}, {"--log-file=log", "/there/log"},
		{"--password-file=-", ""}, {"--password-file=/dev/fd/3", ""},
	} {
		s := &session{io: &IO{Dir: "/there"}, config: steps.Config{Home: "/home/ann"}, flags: pflag.NewFlagSet("", pflag.ContinueOnError)}
		s.addFlags(s.flags)
		if err := s.flags.Parse([]string{test[0]}); err != nil {
			t.Fatal(err)
		}
		name, _, _ := strings.Cut(test[0][2:], "=")
		if got := s.settings()[name]; got != test[1] {
			t.Errorf("%s is kept as %q, want %q", test[0], got, test[1])
		}
	}
}

func TestWhoLogsInIsNotInWhatUninstallSays(t *testing.T) {
	for repo, want := range map[string]string{
		"https://me:secret@git.example.org/x.git": "movein apply https://git.example.org/x.git;",
		"": "movein apply;",
	} {
		var out strings.Builder
		s := &session{io: &IO{Out: &out}, config: steps.Config{HomeRepo: repo}}
		if err := s.printUninstalled(uninstalled{Undo: "20260102"}, false); err != nil || !strings.Contains(out.String(), want) {
			t.Errorf("%s: %q, %v", repo, out.String(), err)
		}
	}
}
