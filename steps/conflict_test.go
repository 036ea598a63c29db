package steps

import (
	"testing"

	"movein/bootstrap/host/hosttest"
	"movein/steps/home"
)

func TestALineOfTheHomeRepoNamesAFile(t *testing.T) {
	for path, want := range map[string]string{
		".bashrc": "/repo/home.nix:3", ".config/kitty/kitty.conf": "/repo/modules/term.nix:2", ".config/git": "/repo/home.nix:4", ".config/none": "", ".local/share/git": "",
		".config/store": "/nix/store/files/.config/store",
	} {
		h := hosttest.New(t, files{
			"/repo/home.nix":         "{ # \".bashrc\"\n home.file = {\n  \".bashrc\".source = ./bashrc;\n  \".config/git\".text = \"\"; }; }\n",
			"/repo/modules/term.nix": "{ packages = [ \"kitty\" ];\n xdg.configFile.\"kitty\" = { source = ./kitty; recursive = true; }; }\n",
			"/repo/.git/x.nix":       "\".config/none\" \".config/store\"",
		})
		c := testConfig()
		c.HomeRepo = "/repo"
		claim := home.Claim{Path: path, Owner: home.HomeManager}
		if path == ".config/store" {
			claim.Source = want
		}
		if got := (homeActivate{c: c}).broughtBy(h, claim); got != want {
			t.Errorf("%s: %q", path, got)
		}
	}
}
