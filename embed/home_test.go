package embed_test

import (
	"io/fs"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"movein/embed"
)

// texts are the files of a tree by their names.
func texts(t *testing.T, files fs.FS) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(files, name)
		all[name] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestHomeIsInTheReferenceLayout(t *testing.T) {
	all := texts(t, embed.Home())
	for _, name := range strings.Fields(`flake.nix home.nix shell.nix git.nix kitty.nix vscodium.nix brave.nix keepassxc.nix
		syncthing-myspaces.nix rclone-gdrive.nix plasma.nix plasma-full.nix claude-code.nix npm-tools.nix semantic-grep.nix
		hosts/shoshin.nix hosts/kinoite.nix hosts/wsl-workspace.nix hosts/linux.nix .gitignore .editorconfig README.md movein.toml`) {
		if all[name] == "" {
			t.Errorf("there is no %s", name)
		}
	}
	for name := range all {
		if strings.HasSuffix(name, ".nix") && !strings.Contains(name, "/") && name != "flake.nix" && name != "home.nix" &&
			!strings.Contains(all["home.nix"], "./"+name) {
			t.Errorf("home.nix does not import %s", name)
		}
	}
}

// The flake says whose home it is, and nothing else does: the same modules are anybody's.
func TestHomeNamesNobodyOutsideTheFlake(t *testing.T) {
	personal := regexp.MustCompile(`mitsio|Mitsio|shoshin|/home/[a-z]`)
	for name, text := range texts(t, embed.Home()) {
		if !strings.HasSuffix(name, ".nix") || name == "flake.nix" {
			continue
		}
		if found := personal.FindString(text); found != "" {
			t.Errorf("%s says %q", name, found)
		}
	}
}

// Each module that is not the frame has a switch of its own.
func TestHomeModulesHaveSwitches(t *testing.T) {
	option := regexp.MustCompile(`options\.my\.[a-z-]+(\.enable = lib\.mkEnableOption| = \{\s+enable = lib\.mkEnableOption)`)
	for name, text := range texts(t, embed.Home()) {
		if strings.HasSuffix(name, ".nix") && !strings.Contains(name, "/") && name != "flake.nix" && name != "home.nix" && !option.MatchString(text) {
			t.Errorf("%s has no option my.NAME.enable", name)
		}
	}
}

func TestHomeParses(t *testing.T) {
	nix, err := exec.LookPath("nix-instantiate")
	if err != nil {
		t.Skip("there is no nix-instantiate here")
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, embed.Home()); err != nil {
		t.Fatal(err)
	}
	for name := range texts(t, embed.Home()) {
		if !strings.HasSuffix(name, ".nix") {
			continue
		}
		cmd := exec.Command(nix, "--parse", dir+"/"+name)
		cmd.Env = append(os.Environ(), "HOME="+dir)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}

// What is shipped to be read and edited is as nixfmt writes it.
func TestNixIsFormatted(t *testing.T) {
	nixfmt, err := exec.LookPath("nixfmt")
	if err != nil {
		t.Skip("there is no nixfmt here")
	}
	for _, tree := range []fs.FS{embed.Home(), embed.Starter()} {
		for name, text := range texts(t, tree) {
			if !strings.HasSuffix(name, ".nix") {
				continue
			}
			cmd := exec.Command(nixfmt, "--check", "-")
			cmd.Stdin = strings.NewReader(text)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%s: %v\n%s", name, err, out)
			}
		}
	}
}

// What one of them makes, the other must not: movein would refuse both.
func TestDotfilesOwnNothingOfTheHome(t *testing.T) {
	ofHome := strings.Fields(`.bashrc .profile .bash_profile .npmrc .config/git .config/kitty .config/VSCodium .config/mimeapps.list
		.config/ripgrep .config/rclone .config/syncthing .claude .config/systemd`)
	attributes := regexp.MustCompile(`(^|/)(private_|create_|executable_|readonly_|exact_|empty_)+`)
	for name := range texts(t, embed.Dotfiles()) {
		target := strings.TrimSuffix(attributes.ReplaceAllString(name, "$1"), ".tmpl")
		target = strings.ReplaceAll("/"+target, "/dot_", "/.")[1:]
		if slices.ContainsFunc(ofHome, func(own string) bool { return target == own || strings.HasPrefix(target, own+"/") }) {
			t.Errorf("%s is %s, which is the home's", name, target)
		}
	}
}
