package steps

import (
	"bytes"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"movein/bootstrap"
	"movein/distro"
	"movein/embed"
)

var (
	somebody = Person{Username: "ada", Name: `Ada "${x}" Lovelace`, Email: "ada@example.org"}
	laptop   = NewHost{Name: "laptop", Platform: distro.Generic, System: "aarch64-linux"}
)

// reader reads files of a map.
func reader(files map[string][]byte) func(string) ([]byte, error) {
	return func(name string) ([]byte, error) {
		if data, ok := files[name]; ok {
			return data, nil
		}
		return nil, fs.ErrNotExist
	}
}

func TestNewHomeRepoIsOfThisPersonAndHost(t *testing.T) {
	files, err := NewHomeRepo(somebody, laptop, "~/dotfiles")
	if err != nil {
		t.Fatal(err)
	}
	hosts := slices.DeleteFunc(slices.Collect(maps.Keys(files)), func(name string) bool { return !strings.HasPrefix(name, "hosts/") })
	if !slices.Equal(hosts, []string{"hosts/laptop.nix"}) {
		t.Errorf("hosts are %q", hosts)
	}
	for _, line := range []string{`        username = "ada";`, `        name = "Ada \"\${x}\" Lovelace";`, `        email = "ada@example.org";`, `        laptop.system = "aarch64-linux";`} {
		if !strings.Contains(string(files["flake.nix"]), "\n"+line+"\n") {
			t.Errorf("flake.nix does not say %s:\n%s", line, files["flake.nix"])
		}
	}
	if !strings.Contains(string(files["movein.toml"]), "\ndotfiles = \"~/dotfiles\"\n") {
		t.Errorf("movein.toml is %s", files["movein.toml"])
	}
	for name, data := range files {
		if at := bytes.Index(bytes.ToLower(data), []byte("mitsio")); at >= 0 && name != "movein.toml" {
			t.Errorf("%s names another person", name)
		}
	}
}

func TestNewHomeRepoTakesThePlatformsHostFile(t *testing.T) {
	for platform, like := range hostTemplates {
		files, err := NewHomeRepo(somebody, NewHost{Name: "new", Platform: platform, System: "x86_64-linux"}, "")
		want, rerr := fs.ReadFile(embed.Home(), like)
		if err != nil || rerr != nil || !bytes.Equal(files["hosts/new.nix"], want) || len(want) == 0 {
			t.Errorf("%s: hosts/new.nix is not as %s: %v, %v", platform, like, err, rerr)
		}
	}
}

func TestNewDotfilesAreOfThisPersonAndHost(t *testing.T) {
	files, err := NewDotfiles(somebody, NewHost{Name: "desk.example.org", Platform: distro.OSTree})
	if err != nil {
		t.Fatal(err)
	}
	if got := string(files[".chezmoidata/hosts.toml"]); !strings.HasSuffix(got, "here.\n\n[hosts.\"desk\"]\nplatform = \"ostree\"\ndesktop = true\n") || strings.Count(got, "[hosts.") != 1 {
		t.Errorf("hosts.toml is %s", got)
	}
	if got := string(files[".chezmoidata/user.toml"]); !strings.HasSuffix(got, "[user]\nname = \"Ada \\\"${x}\\\" Lovelace\"\nemail = \"ada@example.org\"\n") {
		t.Errorf("user.toml is %s", got)
	}
}

// hosts = { in a comment or a string is none; braces in those do not count.
const oddFlake = `{
  # hosts = {
  outputs = { nixpkgs, ... }: let
      text = ''
        hosts = {
        ''${ } '${"}"}
      '';
      user = {
        username = "ada";
      };
      hosts = {
        # a } here
        one = { system = "x86_64-linux"; note = "}"; };
        "two" = {
          laptop = 1;
        };
      };
  in { };
}
`

func TestAddToHomeTouchesNothingElse(t *testing.T) {
	repo := map[string][]byte{"flake.nix": []byte(oddFlake), "home.nix": []byte("{ imports = [ ./hosts/x.nix ]; }")}
	h := NewHost{Name: "laptop", Platform: distro.OSTree, System: "x86_64-linux", Username: "bob", Home: "/var/home/bob"}
	got, err := AddToHome(h, reader(repo))
	if err != nil {
		t.Fatal(err)
	}
	added := `        laptop = {
          system = "x86_64-linux";
          user = {
            username = "bob";
            home = "/var/home/bob";
          };
        };
`
	if want := strings.Replace(oddFlake, "        };\n      };\n  in", "        };\n"+added+"      };\n  in", 1); string(got["flake.nix"]) != want {
		t.Errorf("flake.nix is %s", got["flake.nix"])
	}
	if len(got) != 2 || len(got["hosts/laptop.nix"]) == 0 {
		t.Errorf("%d files are written", len(got))
	}
	maps.Copy(repo, got)
	if again, err := AddToHome(h, reader(repo)); err != nil || len(again) > 0 {
		t.Errorf("once more: %d files, %v", len(again), err)
	}
}

func TestAddToHomeSaysWhatItCannotPlace(t *testing.T) {
	for name, flake := range map[string]string{
		"no hosts":  `{ outputs = { }: { homeConfigurations."a@b" = { }; }; }`,
		"two hosts": "{\nhosts = {\n};\nhosts = {\n};\n}",
		"not ended": "{\nhosts = {\n",
		"one line":  "{\nhosts = {\n a = 1; };\n}",
	} {
		got, err := AddToHome(laptop, reader(map[string][]byte{"flake.nix": []byte(flake), "home.nix": []byte("./hosts")}))
		if got != nil || bootstrap.ExitCode(err) != bootstrap.ExitConfig || !strings.Contains(bootstrap.HintOf(err), `homeConfigurations."USER@laptop"`) {
			t.Errorf("%s: %d files, %v (%s)", name, len(got), err, bootstrap.HintOf(err))
		}
	}
}

func TestAddToDotfilesAddsAHostOnce(t *testing.T) {
	repo := map[string][]byte{".chezmoidata/hosts.toml": []byte("# mine\n[hosts.desk]\nx = 1\n")}
	got, err := AddToDotfiles(laptop, reader(repo))
	if want := "# mine\n[hosts.desk]\nx = 1\n\n[hosts.\"laptop\"]\nplatform = \"linux\"\ndesktop = true\n"; err != nil || string(got[".chezmoidata/hosts.toml"]) != want {
		t.Errorf("hosts.toml is %s, %v", got[".chezmoidata/hosts.toml"], err)
	}
	for _, name := range []string{"laptop", "desk"} {
		maps.Copy(repo, got)
		if again, err := AddToDotfiles(NewHost{Name: name}, reader(repo)); err != nil || len(again) > 0 {
			t.Errorf("%s once more: %q, %v", name, again, err)
		}
	}
}

// What is written is as its formatter writes it, and Nix reads it.
func TestNewHomeRepoIsNix(t *testing.T) {
	for name, args := range map[string][]string{"nixfmt": {"--check"}, "nix-instantiate": {"--parse"}} {
		program, err := exec.LookPath(name)
		if err != nil {
			t.Logf("there is no %s here", name)
			continue
		}
		for _, h := range []NewHost{laptop, {Name: "1.example", System: "x86_64-linux", Home: "/x"}, {Name: "b", System: "x86_64-linux", Home: "/x", Username: "u"}, {Name: "c", System: "x86_64-linux", Username: "u"}} {
			h.Platform = distro.Generic
			files, err := NewHomeRepo(somebody, h, "")
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(t.TempDir(), "flake.nix")
			if err := os.WriteFile(file, files["flake.nix"], 0o644); err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(program, append(args, file)...)
			cmd.Env = append(os.Environ(), "HOME="+t.TempDir())
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%s, host %s: %v\n%s", name, h.Name, err, out)
			}
		}
	}
}
