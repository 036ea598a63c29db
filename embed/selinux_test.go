package embed

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// basePolicy is the least that a policy needs, with types of the reference policy.
func basePolicy(types ...string) string {
	var b strings.Builder
	b.WriteString(`(handleunknown allow)(mls true)
(class file (read))(class dir (search))(classorder (file dir))
(sid kernel)(sidorder (kernel))
(sensitivity s0)(sensitivityorder (s0))(category c0)(categoryorder (c0))(sensitivitycategory s0 (c0))
(user system_u)(role object_r)(role system_r)(userrole system_u object_r)(userrole system_u system_r)
(level low (s0))(levelrange all ((s0) (s0 (c0))))(userlevel system_u low)(userrange system_u all)
(type kernel_t)(roletype system_r kernel_t)(sidcontext kernel (system_u system_r kernel_t ((s0) (s0))))
(typeattribute cil_gen_require)(roleattribute cil_gen_require)(allow kernel_t kernel_t (file (read)))
(filecon "/var/lib(/.*)?" any (system_u object_r var_lib_t ((s0) (s0))))
`)
	for _, t := range types {
		b.WriteString("(type " + t + ")(roletype object_r " + t + ")\n")
	}
	if slices.Contains(types, "unconfined_t") {
		b.WriteString("(class service (start stop status reload enable disable))(classorder (unordered service))\n")
	}
	return b.String()
}

// refTypes are the types that the module uses of every policy; unit files have another in each.
const refTypes = "usr_t bin_t lib_t etc_t man_t var_lib_t var_run_t default_t"

// compiled compiles our module over a base with these types and returns the file contexts.
func compiled(t *testing.T, types string, stores ...string) (contexts string) {
	t.Helper()
	for _, tool := range []string{"secilc", "checkpolicy", "matchpathcon"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed: apt-get install secilc checkpolicy selinux-utils", tool)
		}
	}
	dir := t.TempDir()
	for name, text := range map[string]string{"base.cil": basePolicy(strings.Fields(types)...), "movein-nix.cil": Policy(stores...)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{
		{"secilc", "-c", "31", "-o", "policy", "-f", "file_contexts", "base.cil", "movein-nix.cil"},
		{"checkpolicy", "-M", "-b", "policy", "-o", "/dev/null"}, // reads it as the kernel would
	} {
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%q: %v\n%s", args, err, out)
		}
	}
	return filepath.Join(dir, "file_contexts")
}

func TestThePolicyLabelsWhatNixNeeds(t *testing.T) {
	for _, units := range []string{"systemd_unit_file_t", "systemd_unit_t"} { // Fedora's, and the reference policy's
		labels(t, compiled(t, refTypes+" "+units, "/nix", "/var/lib/nix"), units)
	}
}

// labels checks the file contexts of a policy where unit files are of type units.
func labels(t *testing.T, contexts, units string) {
	t.Helper()
	const path = "/store/00000000000000000000000000000000-nix-2.34.7"
	for _, root := range []string{"/nix", "/var/lib/nix"} {
		for name, want := range map[string]string{
			"":                                        "usr_t",
			"/store":                                  "usr_t",
			path:                                      "usr_t",
			path + "/bin":                             "bin_t",
			path + "/bin/nix-daemon":                  "bin_t",
			path + "/sbin/x":                          "bin_t",
			path + "/libexec/x":                       "bin_t",
			path + "/lib/libnix.so":                   "lib_t",
			path + "/lib/systemd/system/x.service":    units,
			path + "/etc/profile.d/nix.sh":            "etc_t",
			path + "/share/man/man1/nix.1":            "man_t",
			path + "/share/applications/x.desktop":    "usr_t",
			"/var/nix/db/db.sqlite":                   "var_lib_t",
			"/var/nix/profiles/default":               "usr_t",
			"/var/nix/profiles/per-user/root/profile": "usr_t",
			"/var/nix/daemon-socket/socket":           "var_run_t",
			"/var/log/nix/drvs":                       "var_lib_t",
		} {
			out, err := exec.Command("matchpathcon", "-f", contexts, "-N", "-n", root+name).CombinedOutput()
			if got := strings.TrimSpace(string(out)); err != nil || got != "system_u:object_r:"+want+":s0" {
				t.Errorf("%s%s is %s, not %s (%v)", root, name, got, want, err)
			}
		}
	}
}

func TestThePolicyIsInTheWayOfNoPolicyThatLacksItsTypes(t *testing.T) {
	compiled(t, refTypes, "/nix")
	compiled(t, strings.ReplaceAll(refTypes, "man_t ", ""), "/nix", "/var/lib/nix")
}

func TestWhoIsUnconfinedMayStartAUnitThatABuildBrought(t *testing.T) {
	dir := filepath.Dir(compiled(t, refTypes+" unconfined_t", "/nix"))
	out, err := exec.Command("checkpolicy", "-M", "-b", "-C", filepath.Join(dir, "policy"), "-o", "-").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "(allow unconfined_t usr_t (service (start stop status reload enable disable)))") {
		t.Errorf("%v\n%s", err, out)
	}
}
