package audit

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"movein/bootstrap/host"
	"movein/steps/audit/nixlang"
)

// TestDrafts drafts modules for the tree with the known answer: what moves without
// thought is set, the rest named, and each is Nix.
func TestDrafts(t *testing.T) {
	tr, err := Read(&host.Real{}, tree)
	if err != nil {
		t.Fatal(err)
	}
	r := tr.Audit()
	drafts := r.Drafts(tree)
	for name, text := range drafts {
		n, err := nixlang.Parse(text)
		if err != nil {
			t.Errorf("%s:%v\n%s", name, err, text)
		} else if free := slices.DeleteFunc(slices.Collect(maps.Keys(n.Free())), func(v string) bool { return v == "true" || v == "false" }); name != "home.nix" && !strings.Contains(text, "with pkgs") && len(free) > 0 {
			t.Errorf("%s: %v is bound nowhere", name, free)
		}
	}
	for file, want := range map[string][]string{
		"shell.nix": {"  # modules/shell.nix:5\n  home.shellAliases.ll = \"ls -l\";\n", "    ripgrep # modules/shell.nix:36\n",
			"  programs.zsh.initContent = \"setopt autocd\";\n", "  home.sessionVariables.EDITOR = \"nvim\";\n"},
		"git.nix":                {"  programs.git.enable = true;\n", "  programs.git.settings.init.defaultBranch = \"main\";\n"},
		"plasma.nix":             {"    kdePackages.kate # modules/desktop.nix:25\n", "  #   kdePackages.okular (modules/desktop.nix:25) > home.packages\n"},
		"syncthing-myspaces.nix": {"  #   services.syncthing.user (modules/services.nix:10)\n"},
		"home.nix":               {"    noto-fonts # modules/desktop.nix:11\n", "  #   systemd.user.services.rclone-gdrive (modules/services.nix:21) > systemd.user.services.rclone-gdrive\n"},
	} {
		for _, w := range want {
			if !strings.Contains(drafts[file], w) {
				t.Errorf("%s has no %q:\n%s", file, w, drafts[file])
			}
		}
	}
	for file, no := range map[string]string{"shell.nix": "pciutils", "home.nix": "obsidian"} {
		if strings.Contains(drafts[file], no) {
			t.Errorf("%s has %s", file, no)
		}
	}
}
