package steps

import (
	"strings"
	"testing"

	"movein/bootstrap"
	"movein/bootstrap/host"
	"os"
	"path/filepath"
)

func TestSecretsTable(t *testing.T) {
	name := filepath.Join(t.TempDir(), "movein.toml")
	for line, wrong := range map[string]string{
		`a = { service = "s", key = "k" }`:                "",
		`a = { entry = "Group/Title" }`:                   "",
		`a-b.c_1 = { entry = "T", field = "UserName" }`:   "unknown key",
		`"a-b.c_1" = { entry = "T", field = "UserName" }`: "",
		`a = { service = "s", key = "k", entry = "T", keyring = true, ssh = true, nix = "github.com", env = "TOKEN" }`: "",
		`a = { entry = "T", git = { host = "git.example.org:8443", user = "me" } }`:                                    "",
		`a = { entry = "T", file = { path = "x/y" } }`:                                                                 "",
		`a = { entry = "T", file = { path = "~/.x", persist = true, mode = "0400" } }`:                                 "",
		`a = { entry = "T", file = { path = "/etc/x", persist = true, mode = "600" } }`:                                "",
		`a = {}`:                                                                 "neither service and key nor entry",
		`a = { service = "s" }`:                                                  "belong together",
		`a = { key = "k", entry = "T" }`:                                         "belong together",
		`a = { entry = "T", keyring = true }`:                                    "service and key",
		`a = { entry = "T", env = "1X" }`:                                        `env "1X"`,
		`a = { entry = "T", env = "A=B" }`:                                       `env "A=B"`,
		`a = { entry = "T", nix = "https://x" }`:                                 `nix "https://x"`,
		`a = { entry = "T", git = { user = "me" } }`:                             "git.host",
		`a = { entry = "T", git = { host = "h", user = "a:b" } }`:                "git.user",
		`a = { entry = "T", file = {} }`:                                         "no path",
		`a = { entry = "T", file = { path = "/etc/x" } }`:                        "persist = true",
		`a = { entry = "T", file = { path = "../x" } }`:                          "persist = true",
		`a = { entry = "T", file = { path = "~/x" } }`:                           "persist = true",
		`a = { entry = "T", file = { path = "x", persist = true } }`:             "neither absolute",
		`a = { entry = "T", file = { path = "x", mode = "0640" } }`:              "file.mode",
		`a = { entry = "T", file = { path = "x", mode = "rw" } }`:                "file.mode",
		`a = { entry = "T", file = { path = "x", mode = "0200" } }`:              "file.mode",
		`"a b" = { entry = "T" }`:                                                "a name has",
		`a = { entry = "T", filed = "x" }`:                                       "unknown key",
		`a = { entry = "T", value = "hunter2" }`:                                 "unknown key",
		"a = { entry = \"T\", env = \"X\" }\nb = { entry = \"U\", env = \"X\" }": "env X is a's already",
		"a = { entry = \"T\", file = { path = \"x\" } }\nb = { entry = \"U\", file = { path = \"./x\" } }": "file x is a's already",
	} {
		if err := os.WriteFile(name, []byte("[secrets]\n"+line+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		_, _, err := ReadFile(&host.Real{}, name)
		switch {
		case wrong == "" && err != nil, wrong != "" && err == nil:
			t.Errorf("%s: %v", line, err)
		case err != nil && (!strings.Contains(err.Error(), wrong) || !strings.Contains(err.Error(), name) || bootstrap.ExitCode(err) != bootstrap.ExitConfig):
			t.Errorf("%s: %v, exit code %d", line, err, bootstrap.ExitCode(err))
		case err != nil && strings.Contains(err.Error(), "hunter2"):
			t.Errorf("%s: the error has the value: %v", line, err)
		}
	}
}

// TestSecretsLayers: the louder file's entry counts, whole.
func TestSecretsLayers(t *testing.T) {
	loud := File{Secrets: map[string]SecretEntry{"a": {Entry: "loud"}}}
	quiet := File{Secrets: map[string]SecretEntry{"a": {Entry: "quiet", Env: "X"}, "b": {Service: "s", Key: "k", Entry: "B"}}}
	c := (&Config{}).WithTables(loud).WithTables(quiet)
	if c.Secrets["a"] != (SecretEntry{Entry: "loud"}) || c.Secrets["b"].Entry != "B" {
		t.Errorf("%+v", c.Secrets)
	}
	for _, q := range []struct {
		names []string
		want  SecretEntry
	}{
		{[]string{"a"}, SecretEntry{Entry: "loud"}},
		{[]string{"s", "k"}, SecretEntry{Service: "s", Key: "k", Entry: "B"}},
		{[]string{"s", "other"}, SecretEntry{Service: "s", Key: "other"}},
	} {
		if e, err := c.Secret(q.names...); e != q.want || err != nil {
			t.Errorf("%q: %+v, %v", q.names, e, err)
		}
	}
	if _, err := c.Secret("nope"); bootstrap.ExitCode(err) != bootstrap.ExitConfig {
		t.Error(err)
	}
}
