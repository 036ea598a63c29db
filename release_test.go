package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"movein/bootstrap/cli"
)

// The manual page is made of the commands, so what may go wrong is that it is not read whole.
func TestTheManualNamesEveryCommandAndFlag(t *testing.T) {
	dir := t.TempDir()
	if out, err := exec.Command("go", "run", "./testdata/release/docs", dir, "2026-11-23").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	name := filepath.Join(dir, "movein.1")
	page, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(string(page), `\-`, "-")
	var visit func(*cobra.Command)
	visit = func(cmd *cobra.Command) {
		for _, sub := range cmd.Commands() {
			visit(sub)
		}
		if cmd.Hidden || cmd.HasSubCommands() || cmd.Name() == "help" || cmd.IsAdditionalHelpTopicCommand() {
			return
		}
		if name := strings.TrimPrefix(cmd.CommandPath(), "movein "); !strings.Contains(text, "\n.SS "+name) {
			t.Errorf("the manual does not have %q", name)
		}
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if !f.Hidden && f.Name != "help" && !strings.Contains(text, `\fB--`+f.Name+`\fR`) {
				t.Errorf("the manual does not have --%s of %s", f.Name, cmd.CommandPath())
			}
		})
	}
	visit(cli.Command())
	if _, err := exec.LookPath("mandoc"); err != nil {
		return
	}
	if out, err := exec.Command("mandoc", "-T", "lint", "-W", "warning", name).CombinedOutput(); err != nil {
		t.Errorf("mandoc: %v\n%s", err, out)
	}
}
