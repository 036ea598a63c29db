package embed_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"movein/embed"
)

func TestTheStarterRefusesOptionsThatItDoesNotHave(t *testing.T) {
	nix, err := exec.LookPath("nix-instantiate")
	if err != nil {
		t.Skip("there is no nix-instantiate here (Debian: nix-bin)")
	}
	for replaced, want := range map[string]string{
		"home.shellAliases":             `ll = "ls -l"`,
		"home.shellAliass":              "there is no option home.shellAliass",
		"programs.git = { }; home.file": "there is no option programs",
	} {
		dir := t.TempDir()
		if err := os.CopyFS(dir, embed.Starter()); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(dir, "home.nix")
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		old := "home.shellAliases"
		if strings.HasSuffix(replaced, "home.file") {
			old = "home.file"
		}
		if err := os.WriteFile(file, []byte(strings.Replace(string(text), "\n  "+old, "\n  "+replaced, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(nix, "--eval", "--expr", `{ host }: (import ./lib/generation.nix { inherit host; home = import ./home.nix host; }).config.home.shellAliases`, "--strict",
			"--arg", "host", `{ user = "ann"; home = "/home/ann"; system = "x86_64-linux"; hostname = "host"; }`)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "NIX_STORE_DIR="+dir+"/store", "NIX_STATE_DIR="+dir+"/state", "NIX_LOG_DIR="+dir+"/log", "NIX_LOCALSTATE_DIR="+dir, "NIX_REMOTE=", "HOME="+dir)
		if out, _ := cmd.CombinedOutput(); !strings.Contains(string(out), want) {
			t.Errorf("%s:\n%s", replaced, out)
		}
	}
}
