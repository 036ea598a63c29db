package main

import (
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"movein/distro"
	"movein/embed"
	"movein/steps"
)

// homeSummary is what a home has, as the stand-in for home-manager tells it.
type homeSummary struct {
	Aliases, Files, Variables map[string]string
	Packages                  []string
}

// evaluator has Nix evaluate the homes of a flake with the stand-ins for its inputs. Each definition
// must be of an option that is in the recorded list, and fit its type.
const evaluator = `{ home, inputs }:
let
  input = name: (import (inputs + "/${name}/flake.nix")).outputs { };
  flake = (import (home + "/flake.nix")).outputs {
    nixpkgs = input "nixpkgs"; home-manager = input "home-manager"; plasma-manager = input "plasma-manager";
  };
in builtins.mapAttrs (_: h: builtins.seq h.config h.summary) flake.homeConfigurations`

// evaluate returns the homes of the flake in dir, or what Nix says of it.
func evaluate(t *testing.T, dir string) (map[string]homeSummary, string) {
	t.Helper()
	nix, err := exec.LookPath("nix-instantiate")
	if err != nil {
		t.Skip("there is no nix-instantiate here")
	}
	inputs, err := filepath.Abs("testdata/lab/lib/inputs")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(nix, "--eval", "--strict", "--json", "--readonly-mode", "--expr", evaluator, "--argstr", "home", dir, "--argstr", "inputs", inputs)
	cmd.Env = []string{"HOME=" + t.TempDir(), "NIX_REMOTE=dummy://"}
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return nil, said.String()
	}
	var homes map[string]homeSummary
	if err := json.Unmarshal(out, &homes); err != nil {
		t.Fatal(err)
	}
	return homes, said.String()
}

// written are the embedded home repo's files in a directory of that name, some of them edited.
func written(t *testing.T, name string, edit func(name, text string) string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), name)
	if err := os.CopyFS(dir, embed.Home()); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(dir + "/*.nix")
	hosts, herr := filepath.Glob(dir + "/hosts/*.nix")
	for _, file := range append(files, hosts...) {
		data, err := os.ReadFile(file)
		if err == nil {
			err = os.WriteFile(file, []byte(edit(strings.TrimPrefix(file, dir+"/"), string(data))), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err != nil || herr != nil || len(files) < 15 || len(hosts) != 4 {
		t.Fatal(files, hosts, err, herr)
	}
	return dir
}

func same(_, text string) string { return text }

// aliasesOn are the names of the aliases that the embedded home has on a host.
func aliasesOn(host string) []string {
	own := map[string][]string{
		"shoshin": {"cd-nixos", "nrs", "nrt", "nru"}, "kinoite": {"rpm-status", "rpm-update"}, "wsl-workspace": {"open", "pbcopy", "pbpaste"},
	}
	return slices.Sorted(slices.Values(append(own[host], "..", "hm", "la", "ll")))
}

func TestHomeEvaluates(t *testing.T) {
	homes, said := evaluate(t, written(t, "home", same))
	if names := slices.Sorted(maps.Keys(homes)); !slices.Equal(names, []string{"mitsio@kinoite", "mitsio@shoshin", "mitsio@wsl-workspace"}) || said != "" {
		t.Fatalf("configurations are %q\n%s", names, said)
	}
	for _, host := range []string{"shoshin", "kinoite", "wsl-workspace"} {
		if got, want := slices.Sorted(maps.Keys(homes["mitsio@"+host].Aliases)), aliasesOn(host); !slices.Equal(got, want) {
			t.Errorf("aliases on %s are %q, want %q", host, got, want)
		}
	}
	shoshin, wsl := homes["mitsio@shoshin"], homes["mitsio@wsl-workspace"]
	if got := shoshin.Aliases["nru"]; got != "nix flake update --flake ~/.config/nixos && nrs" {
		t.Errorf("nru is %q", got)
	}
	const unit = ".config/systemd/user/rclone-gdrive.service"
	if !strings.Contains(shoshin.Files[unit], "RCLONE_PASSWORD_COMMAND=movein secret get rclone config-password") || wsl.Files[unit] != "" || wsl.Variables["BROWSER"] != "wslview" {
		t.Errorf("units: %q, %q; the browser is %q", shoshin.Files[unit], wsl.Files[unit], wsl.Variables["BROWSER"])
	}
}

// elsewhere is a home with its paths and its user made those of mitsio in /home.
func elsewhere(t *testing.T, h homeSummary, home, user string) homeSummary {
	t.Helper()
	data, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(strings.ReplaceAll(string(data), home, "/home/mitsio"), user, "mitsio")
	text = regexp.MustCompile(`/nix/store/[0-9a-z]{32}-`).ReplaceAllString(text, "/nix/store/…-")
	h = homeSummary{}
	if err := json.Unmarshal([]byte(text), &h); err != nil {
		t.Fatal(err)
	}
	return h
}

func TestHomesDifferOnlyByTheirHostsFiles(t *testing.T) {
	homes, said := evaluate(t, written(t, "home", func(name, text string) string {
		if strings.HasPrefix(name, "hosts/") {
			return "{ my.desktop = true; my.npm.enable = true; home.shellAliases.x = \"y\"; }"
		}
		return text
	}))
	shoshin := elsewhere(t, homes["mitsio@shoshin"], "/home/mitsio", "mitsio")
	for host, home := range map[string]string{"mitsio@kinoite": "/var/home/mitsio", "mitsio@wsl-workspace": "/home/mitsio"} {
		if got := elsewhere(t, homes[host], home, "mitsio"); !reflect.DeepEqual(got, shoshin) {
			t.Errorf("%s is %+v\nmitsio@shoshin is %+v\n%s", host, got, shoshin, said)
		}
	}
	if shoshin.Aliases["x"] != "y" || len(shoshin.Files) < 15 {
		t.Errorf("mitsio@shoshin is %+v", shoshin)
	}
}

func TestHomeIsTheSameOfAnotherUserInAnotherDirectory(t *testing.T) {
	homes, _ := evaluate(t, written(t, "home", same))
	others, said := evaluate(t, written(t, "somewhere else", func(name, text string) string {
		if name == "flake.nix" {
			return strings.ReplaceAll(text, `"mitsio"`, `"ada.l"`)
		}
		return text
	}))
	got := elsewhere(t, others["ada.l@shoshin"], "/home/ada.l", "ada.l")
	if want := elsewhere(t, homes["mitsio@shoshin"], "/home/mitsio", "mitsio"); len(want.Files) < 15 || !reflect.DeepEqual(got, want) {
		t.Errorf("it is %+v\nwant %+v\n%s", got, want, said)
	}
}

// What "movein init" writes for each kind of host is a home.
func TestNewHomesEvaluate(t *testing.T) {
	for _, platform := range []distro.Platform{distro.NixOS, distro.OSTree, distro.WSL, distro.Generic} {
		files, err := steps.NewHomeRepo(steps.Person{Username: "ada", Name: `A "${b}" ''c`, Email: "ada@example.org"}, steps.NewHost{Name: "my.host-1", Platform: platform, System: "aarch64-linux", Home: "/x/ada"}, "")
		if err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		for name, data := range files {
			if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		homes, said := evaluate(t, dir)
		if git := homes["ada@my.host-1"].Files[".config/settings/git.json"]; !strings.Contains(git, `"name":"A \"${b}\" ''c"`) {
			t.Errorf("%s: git is %q\n%s", platform, git, said)
		}
	}
}

// The stand-in says no where the real one would: else it would show nothing.
func TestStandInKnowsOptionsAndTypes(t *testing.T) {
	for wrong, says := range map[string]string{
		`programs.bash.enabel = true;`:                               "The option `programs.bash.enabel' does not exist",
		`programs.semantic-grep.enable = true;`:                      "The option `programs.semantic-grep' does not exist",
		`programs.git.userName = "x";`:                               "The option `programs.git.userName' does not exist",
		`programs.vscodium.userSettings = { };`:                      "The option `programs.vscodium.userSettings' does not exist",
		`programs.bash.historySize = "many";`:                        "The option `programs.bash.historySize' is not of type",
		`programs.bash.historyControl = [ "never" ];`:                "The option `programs.bash.historyControl' is not of type",
		`services.syncthing.settings.options.urAccepted = "no";`:     "The option `services.syncthing.settings.options.urAccepted' is not of type",
		`programs.plasma.panels = [ { location = "middle"; } ];`:     "The option `programs.plasma.panels.location' is not of type",
		`programs.brave.extensions = [ { name = "x"; } ];`:           "The option `programs.brave.extensions.name' does not exist",
		`home.stateVersion = "26.05"; programs.kitty.package = "x";`: "The option `programs.kitty.package' is not of type",
		`my.nothing = true;`:                                         "The option `my.nothing' does not exist",
		`systemd.user.services.x.Service.ExecStart = { a = 1; };`:    "The option `systemd.user.services.x.Service.ExecStart' is not of type",
		`programs.git.settings.init.defaultBranch = "trunk";`:        "has conflicting definition values",
	} {
		_, said := evaluate(t, written(t, "home", func(name, text string) string {
			if name == "hosts/shoshin.nix" {
				return "{ lib, ... }: { my.desktop = true; " + wrong + " }"
			}
			return text
		}))
		if !strings.Contains(said, says) {
			first, _, _ := strings.Cut(said, "\n\n")
			t.Errorf("%s: it says %q", wrong, first)
		}
	}
}
