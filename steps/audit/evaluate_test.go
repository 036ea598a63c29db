package audit

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"movein/bootstrap/host"
)

// TestEvaluated has the real Nix evaluate a flake whose options are as the module system
// gives them, one of them an error. What the syntax does not show is told, and who has what.
func TestEvaluated(t *testing.T) {
	if _, err := exec.LookPath("nix"); err != nil {
		t.Skip("there is no nix")
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("../../testdata/audit/evaluated")); err != nil {
		t.Fatal(err)
	}
	tr, err := Read(&host.Real{}, dir)
	if err != nil {
		t.Fatal(err)
	}
	r := tr.Audit()
	view := &host.Real{Env: []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir()}}
	if err := tr.Evaluate(context.Background(), view, Evaluation{Offline: true}, &r); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, d := range r.Definitions {
		got = append(got, fmt.Sprint(said(d), " ", d.Hosts))
	}
	slices.Sort(got)
	want := []string{
		"home.nix:1 programs.kitty.enable done > programs.kitty.enable @kitty [me]",
		"made.nix:0 boot.tmp.useTmpfs system [one]",
		"made.nix:0 programs.git.enable home > programs.git.enable @git [one]",
		"made.nix:4 networking.hostName system [one two]",
		"made.nix:5 programs.tmux.enable home > programs.tmux.enable @shell [one]",
		"part/default.nix:1 services.tlp.enable system [one]",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if r.Source != "evaluated" {
		t.Errorf("source %q", r.Source)
	}
	if _, err := os.Stat(dir + "/flake.lock"); err == nil {
		t.Error("a lock file was written")
	}
}
