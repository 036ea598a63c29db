package embed_test

import (
	"io/fs"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"movein/embed"
)

func ansible(t *testing.T, name string) string {
	t.Helper()
	data, err := fs.ReadFile(embed.Ansible(), name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestEveryVariableOfTheRoleIsInItsSpecAndInTheReadme(t *testing.T) {
	spec, readme := ansible(t, "roles/movein/meta/argument_specs.yml"), ansible(t, "README.md")
	names := regexp.MustCompile(`\{\{ (movein_\w+)`).FindAllStringSubmatch(ansible(t, "roles/movein/tasks/main.yml"), -1)
	if len(names) < 10 {
		t.Fatalf("the role has %d variables", len(names))
	}
	for _, name := range names {
		if !strings.Contains(spec, "\n      "+name[1]+":\n") {
			t.Errorf("argument_specs.yml does not have %s", name[1])
		}
		if name[1] != "movein_reboot_timeout" && !strings.Contains(readme, "`"+name[1]+"`") {
			t.Errorf("README.md does not have %s", name[1])
		}
	}
}

func TestEveryOptionOfTheModuleIsDocumented(t *testing.T) {
	_, options, _ := strings.Cut(ansible(t, "plugins/action/movein.py"), "OPTIONS = dict(\n")
	options, _, _ = strings.Cut(options, "\n)\n")
	docs := ansible(t, "plugins/modules/movein.py")
	names := regexp.MustCompile(`(?m)^    (\w+)=dict\(type="(\w+)"`).FindAllStringSubmatch(options, -1)
	if len(names) < 10 {
		t.Fatalf("the module has %d options", len(names))
	}
	for _, name := range names {
		_, about, ok := strings.Cut(docs, "\n  "+name[1]+":\n    description:")
		about, _, _ = strings.Cut(about, "\n  "+"\n")
		if !ok || !strings.Contains(about, "\n    type: "+name[2]+"\n") {
			t.Errorf("the documentation does not have %s, of type %s", name[1], name[2])
		}
	}
}

// The program finds the programs of a release by these names, and so does install.sh.
func TestTheCollectionAndTheInstallerNameProgramsAlike(t *testing.T) {
	plugin := ansible(t, "plugins/action/movein.py")
	for _, word := range []string{`"x86_64": "amd64"`, `"aarch64": "arm64"`, "movein-linux-", "SHA256SUMS"} {
		if !strings.Contains(plugin, word) {
			t.Errorf("the plugin does not say %s", word)
		}
	}
	for _, word := range []string{"movein-linux-amd64", "movein-linux-arm64", "SHA256SUMS"} {
		if !strings.Contains(string(embed.InstallScript()), word) {
			t.Errorf("install.sh does not say %s", word)
		}
	}
}

// In a directory that all may write to, root would follow another's link.
func TestARunUnderAnsibleWritesWhereNobodyElseDoes(t *testing.T) {
	_, script, _ := strings.Cut(ansible(t, "plugins/action/movein.py"), "RUN = \"\"\"\\\n")
	script, _, _ = strings.Cut(script, `"""`)
	tmp := t.TempDir()
	cmd := exec.Command("sh", "-euc", "umask 022\n"+strings.Replace(script, "%s", `find "$TMPDIR" -mindepth 1 -maxdepth 1 -perm /077`, 1))
	cmd.Env = append(os.Environ(), "TMPDIR="+tmp)
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("%v; others may look into %s", err, out)
	}
	if left, err := os.ReadDir(tmp); err != nil || len(left) > 0 {
		t.Errorf("%v, %v is left", err, left)
	}
}
