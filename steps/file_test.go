package steps

import (
	"errors"
	"io/fs"
	"reflect"
	"testing"

	"movein/bootstrap"
	"movein/bootstrap/host/hosttest"
)

func TestErrorsInAFileNameFileLineColumnAndKey(t *testing.T) {
	for _, test := range []struct{ name, text, at, what string }{
		{"an unknown key", "user = \"ann\"\nhome_repo = \"x\"\n", "/m.toml:2:1", `"home_repo"`},
		{"an unknown key in a table", "[hosts.desk]\nalias = [\"a\"]\n", "/m.toml:2:1", `"hosts.desk.alias"`},
		{"an unknown key in a list", "[[verify]]\nname = \"x\"\nrun = [\"x\"]\nhints = \"h\"\n", "/m.toml:4:1", `"verify.hints"`},
		{"a wrong type", "user = 5\n", "/m.toml:1:8", `"user"`},
		{"a wrong type in a table", "[hosts.desk]\naliases = \"a\"\n", "/m.toml:2:11", `"hosts.desk.aliases"`},
		{"a wrong type in a list", "only = [1]\n", "/m.toml:1:9", `"only"`},
		{"no TOML", "user = \n", "/m.toml:1:8", ""},
		{"an open string", "user = \"ann\n", "/m.toml:1:", ""},
		{"a key twice", "user = \"a\"\nuser = \"b\"\n", "/m.toml:2:", `user`},
		{"CRLF", "user = \"ann\"\r\nnope = 1\r\n", "/m.toml:2:1", `"nope"`},
		{"bytes that are no UTF-8", "user = \"\xff\"\n", "/m.toml:1:", ""},
		{"a check without a command", "user = \"x\"\n[[verify]]\nname = \"editor\"\n", "/m.toml:", `"run"`},
		{"a check without a name", "[[verify]]\nrun = [\"true\"]\n", "/m.toml:", `"name"`},
		{"a check with an empty command", "[[verify]]\nname = \"editor\"\nrun = []\n", "/m.toml:", `"run"`},
		{"a check of an empty word", "[[verify]]\nname = \"editor\"\nrun = [\"\"]\n", "/m.toml:", `"run"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, _, err := ReadFile(hosttest.New(t, files{"/m.toml": test.text}), "/m.toml")
			refuses(t, err, bootstrap.ExitConfig, test.at, test.what)
		})
	}
}

func TestAFileThatIsNotThereOrCannotBeReadIsSaidSo(t *testing.T) {
	h := hosttest.New(t, files{"/m.toml": "user = \"ann\"\n"})
	if _, _, err := ReadFile(h, "/gone.toml"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
	h.Fail = denied("readfile", "/m.toml", fs.ErrPermission)
	if _, _, err := ReadFile(h, "/m.toml"); bootstrap.ExitCode(err) != bootstrap.ExitPermission {
		t.Errorf("%v", err)
	}
}

func TestAGoodFileIsReadWhole(t *testing.T) {
	h := hosttest.New(t, files{"/m.toml": "user = \"ann\"\njobs = 3\nyes = true\nonly = [\"a\", \"b\"]\n[hosts.desk]\naliases = [\"d\"]\n[[verify]]\nname = \"n\"\nrun = [\"r\", \"s\"]\nhint = \"h\"\n"})
	f, keys, err := ReadFile(h, "/m.toml")
	if err != nil {
		t.Fatal(err)
	}
	if *f.User != "ann" || *f.Jobs != 3 || !*f.Yes || !reflect.DeepEqual(f.Only, []string{"a", "b"}) ||
		!reflect.DeepEqual(f.Hosts, map[string]HostTable{"desk": {Aliases: []string{"d"}}}) || !reflect.DeepEqual(f.Verify, []Check{{"n", []string{"r", "s"}, "h"}}) {
		t.Errorf("%+v", f)
	}
	if len(keys) != 6 || keys["user"] != "ann" {
		t.Errorf("keys: %v", keys)
	}
}

func TestTheReposFileSaysWhatNobodySaidLouder(t *testing.T) {
	h := hosttest.New(t, files{testRepo + "/movein.toml": "dotfiles = \"theirs\"\nconfiguration = \"theirs\"\n"})
	c, err := testConfig().withRepo(h)
	if err != nil || c.Dotfiles != "theirs" || c.Configuration != "theirs" {
		t.Errorf("%+v, %v", c, err)
	}
	loud := testConfig()
	loud.Dotfiles, loud.Configuration, loud.Given = "mine", "mine", []string{"dotfiles", "configuration"}
	if c, err := loud.withRepo(h); err != nil || c.Dotfiles != "mine" || c.Configuration != "mine" {
		t.Errorf("%+v, %v", c, err)
	}
	if c, err := testConfig().withRepo(hosttest.New(t, nil)); err != nil || c.Dotfiles != "" {
		t.Errorf("without a file: %+v, %v", c, err)
	}
}

func TestTablesAreAddedAndNeverLost(t *testing.T) {
	c := Config{Verify: []Check{{Name: "a", Run: []string{"mine"}}}, Aliases: map[string][]string{"desk": {"mine"}}}
	f := File{Verify: []Check{{Name: "a", Run: []string{"theirs"}}, {Name: "b", Run: []string{"1"}}, {Name: "b", Run: []string{"2"}}}, Hosts: map[string]HostTable{"desk": {Aliases: []string{"theirs"}}, "lap": {Aliases: []string{"l"}}}}
	got := c.WithTables(f)
	want := []Check{{Name: "a", Run: []string{"mine"}}, {Name: "b", Run: []string{"1"}}, {Name: "b", Run: []string{"2"}}}
	if !reflect.DeepEqual(got.Verify, want) {
		t.Errorf("checks: %+v", got.Verify)
	}
	if !reflect.DeepEqual(got.Aliases, map[string][]string{"desk": {"mine"}, "lap": {"l"}}) {
		t.Errorf("aliases: %v", got.Aliases)
	}
	if again := got.WithTables(f); !reflect.DeepEqual(again, got) {
		t.Errorf("added twice: %+v", again)
	}
	if len(c.Verify) != 1 || len(c.Aliases) != 1 {
		t.Errorf("the original changed: %+v", c)
	}
}

func TestTheLastRepoIsTheOneThatWasUsedOrThatIsAtTheUsualPlace(t *testing.T) {
	c := testConfig()
	if got := LastRepo(hosttest.New(t, nil), c); got != "" {
		t.Error(got)
	}
	if got := LastRepo(hosttest.New(t, files{testRepo + "/flake.nix": ""}), c); got != testRepo {
		t.Error(got)
	}
	if got := LastRepo(hosttest.New(t, files{testRepo + "/flake.nix": "", "/home/ann/.local/state/movein/home.json": `{"repo": "r"}`}), c); got != "r" {
		t.Error(got)
	}
}

func TestOwnershipNamesPathsOfTheHome(t *testing.T) {
	for text, want := range map[string]string{
		`"~/.config/kitty" = "home-manager"`: "",
		`".config//x/" = "through"`:          "",
		`"/etc/x" = "chezmoi"`:               `[ownership] "/etc/x": the path is none below the home`,
		`"../x" = "chezmoi"`:                 `[ownership] "../x": the path is none below the home`,
		`"x" = "me"`:                         `[ownership] "x": "me" is none of home-manager, chezmoi, through`,
	} {
		h := hosttest.New(t, map[string]string{"/m.toml": "[ownership]\n" + text + "\n"})
		f, _, err := ReadFile(h, "/m.toml")
		if want != "" {
			refuses(t, err, bootstrap.ExitConfig, want)
		} else if err != nil || f.Ownership[".config/kitty"] == "" && f.Ownership[".config/x"] == "" {
			t.Errorf("%s: %v, %v", text, f.Ownership, err)
		}
	}
}
