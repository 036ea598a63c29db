package secret

import (
	"cmp"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestMain makes this program keepassxc-cli when it is started under that name.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == Shim {
		os.Exit(RunShim(context.Background(), []string{RuntimeDir(os.Getenv("XDG_RUNTIME_DIR"))}, os.Args[1:], os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// TestChezmoi: the real chezmoi renders templates of keepassxc from the agent, though the
// password that it passes on is none.
func TestChezmoi(t *testing.T) {
	chezmoi, err := exec.LookPath(cmp.Or(os.Getenv("MOVEIN_TEST_CHEZMOI"), "chezmoi"))
	if err != nil {
		t.Skip("there is no chezmoi: set MOVEIN_TEST_CHEZMOI")
	}
	a, dir, handed := agent(t)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	bin, err := a.Link(exe, Shim)
	if err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	vault, _ := filepath.Abs(testVault)
	for name, text := range map[string]string{
		"chezmoi.toml":   "[keepassxc]\ndatabase = \"" + vault + "\"\n",
		"src/dot_x.tmpl": `{{ (keepassxc "Cloud/rclone").Password }}|{{ keepassxcAttribute "Cloud/rclone" "token" }}|{{ keepassxcAttachment "Cloud/rclone" "conf" }}|{{ (keepassxc "top").UserName }}|{{ (keepassxc "Cloud/rclone").Notes }}`,
	} {
		os.MkdirAll(filepath.Dir(filepath.Join(home, name)), 0o755)
		if err := os.WriteFile(filepath.Join(home, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(chezmoi, "--no-tty", "--config", home+"/chezmoi.toml", "--source", home+"/src", "--destination", home, "cat", home+"/.x")
	cmd.Env = []string{"HOME=" + home, "XDG_RUNTIME_DIR=" + filepath.Dir(dir), "PATH=" + bin + ":/usr/bin:/bin"}
	cmd.Stdin = strings.NewReader("unused\n")
	var diag strings.Builder
	cmd.Stderr = &diag
	out, err := cmd.Output()
	text := strings.TrimPrefix(string(out), "Enter password to unlock "+vault+": ") // which steps take off
	if err != nil || text != "canary-rclone-\"1\" ü|canary-token|x|topuser|one\ntwo" {
		t.Errorf("%q, %v: %s", out, err, diag.String())
	}
	if got := strings.Join(handed(), " "); !strings.Contains(got, "canary-rclone") || !strings.Contains(got, "canary-token") || strings.Contains(got, "topuser") {
		t.Errorf("told of %q", got)
	}
}
