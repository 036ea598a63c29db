package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// realSources returns the arguments by which testdata/home/real.nix finds the sources of home-manager,
// plasma-manager and nixpkgs' lib, and has Nix keep what it makes in a store of this test's own.
func realSources(t *testing.T, home string) []string {
	t.Helper()
	sources := os.Getenv("MOVEIN_TEST_HOME_SOURCES")
	if sources == "" {
		t.Skip("MOVEIN_TEST_HOME_SOURCES names no directory with home-manager, plasma-manager and nixpkgs.lib")
	}
	dir := t.TempDir()
	nixpkgs := filepath.Join(dir, "nixpkgs")
	if err := os.CopyFS(nixpkgs, os.DirFS("testdata/home/nixpkgs")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(sources, "nixpkgs.lib/lib"), filepath.Join(nixpkgs, "lib")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { exec.Command("chmod", "-R", "u+w", dir).Run() }) //nolint:errcheck // what cannot be removed is said then
	for name, value := range map[string]string{
		"HOME": dir, "NIX_REMOTE": "", "NIX_STORE_DIR": dir + "/store", "NIX_STATE_DIR": dir + "/var", "NIX_LOG_DIR": dir + "/log",
		"NIX_CONF_DIR": dir, "NIX_CONFIG": "sandbox = false\nbuild-users-group =\nsubstituters =\nmax-jobs = 1\nkeep-build-log = false",
	} {
		t.Setenv(name, value)
	}
	return []string{"testdata/home/real.nix", "--argstr", "home", home, "--argstr", "nixpkgs", nixpkgs,
		"--argstr", "homeManager", filepath.Join(sources, "home-manager"), "--argstr", "plasmaManager", filepath.Join(sources, "plasma-manager")}
}

// runNix returns what a program of Nix says; it must say no warning.
func runNix(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil || strings.Contains(said.String(), "warning:") {
		t.Fatalf("%s: %v\n%s", name, err, said.String())
	}
	return string(out)
}

// What the stand-ins cannot show: the modules that home-manager and plasma-manager have today take every
// definition without a warning, and the home that they build has what is declared.
func TestHomeBuildsWithTheRealModules(t *testing.T) {
	args := realSources(t, written(t, "home", func(name, text string) string {
		if name == "flake.nix" {
			return strings.Replace(text, "wsl-workspace.system", "linux.system = \"x86_64-linux\";\n        wsl-workspace.system", 1)
		}
		return text
	}))
	warnings := map[string][]string{}
	if err := json.Unmarshal([]byte(runNix(t, "nix-instantiate", append(args, "--eval", "--strict", "--json", "-A", "warnings")...)), &warnings); err != nil {
		t.Fatal(err)
	}
	hosts := []string{"kinoite", "linux", "shoshin", "wsl-workspace"} // nix-build's order
	built := strings.Fields(runNix(t, "nix-build", append(args, "--no-out-link", "-A", "built")...))
	if len(warnings) != len(hosts) || len(built) != len(hosts) {
		t.Fatalf("evaluated: %v; built: %q", warnings, built)
	}
	for i, host := range hosts {
		if said, ok := warnings[host]; !ok || len(said) > 0 {
			t.Errorf("%s: home-manager warns: %q", host, said)
		}
		read := func(name string) string {
			data, _ := os.ReadFile(filepath.Join(built[i], "home-files", name)) //nolint:errcheck // then it has nothing
			return string(data)
		}
		aliases := []string{}
		for _, match := range regexp.MustCompile(`(?m)^alias -- ([^=]+)=`).FindAllStringSubmatch(read(".bashrc"), -1) {
			aliases = append(aliases, match[1])
		}
		if want := aliasesOn(host); !slices.Equal(aliases, want) {
			t.Errorf("aliases on %s are %q, want %q", host, aliases, want)
		}
		if git := read(".config/git/config"); !strings.Contains(git, `email = "mitsio@example.org"`) {
			t.Errorf("%s: git is %s", host, git)
		}
		unit, desktop := read(".config/systemd/user/rclone-gdrive.service"), host != "wsl-workspace"
		if strings.Contains(unit, "RCLONE_PASSWORD_COMMAND=movein secret get rclone config-password") != desktop ||
			(read(".config/VSCodium/User/settings.json") != "") != desktop {
			t.Errorf("%s: the unit is %q", host, unit)
		}
	}
}

// The record by which tests know names and types is what the real modules have.
func TestRecordedOptionsAreThoseOfTheRealModules(t *testing.T) {
	args := realSources(t, written(t, "home", same))
	var recorded, record map[string]any
	for name, value := range map[string]*map[string]any{"recorded": &recorded, "record": &record} {
		if err := json.Unmarshal([]byte(runNix(t, "nix-instantiate", append(args, "--eval", "--strict", "--json", "-A", name)...)), value); err != nil {
			t.Fatal(err)
		}
	}
	for group := range recorded {
		if !reflect.DeepEqual(recorded[group], record[group]) {
			t.Errorf("of %s there is recorded: %v\nbut it has: %v", group, recorded[group], record[group])
		}
	}
	if len(recorded) < 10 || len(record) != len(recorded) {
		t.Errorf("recorded are %d groups, and there are %d", len(recorded), len(record))
	}
}
