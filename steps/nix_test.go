package steps

import (
	"context"
	"strings"
	"testing"

	"movein/bootstrap"
	"movein/bootstrap/host"
	"movein/bootstrap/host/hosttest"
	"movein/distro"
)

func TestEachKindOfNixIsToldApart(t *testing.T) {
	lix := storePath('d', "lix-2.94.0")
	ostree := testFacts()
	ostree.OSTree, ostree.Platform = true, distro.OSTree
	nixos := testFacts()
	nixos.Platform = distro.NixOS
	receipt := files{receiptFile: `{"version": "2.34.7", "nix": "` + theNix + `"}`}
	for _, test := range []struct {
		name    string
		files   files
		facts   *distro.Facts
		query   string // what --version says of version[0]
		bin     string
		owner   int // of /nix
		want    nixKind
		version string
	}{
		{name: "NixOS", files: files{"/run/current-system/sw/bin/nix": "-> " + theNix + "/bin/nix", theNix + "/bin/nix": "nix"}, facts: nixos, want: nixNixOS, version: "2.34.7"},
		{name: "distro", files: files{"/usr/bin/nix": "nix", nixStore + "/": ""}, facts: testFacts(), bin: "/usr/bin/nix", query: "nix (Nix) 2.26.3\n", want: nixDistro, version: "2.26.3"},
		{name: "Determinate by its daemon", files: with(nixFiles(), files{"/usr/local/bin/determinate-nixd": "d", "/nix/receipt.json": "{}"}), facts: testFacts(), want: nixDeterminate, version: "2.34.7"},
		{name: "Determinate by what it says", files: files{"/usr/bin/nix": "nix", nixStore + "/": ""}, facts: testFacts(), bin: "/usr/bin/nix", query: "nix (Determinate Nix 3.15.1) 2.33.0\n", want: nixDeterminate, version: "2.33.0"},
		{name: "Lix by what it says", files: files{defaultProfile + "/bin/nix": "-> " + lix + "/bin/nix", lix + "/bin/nix": "nix"}, facts: testFacts(), bin: defaultProfile + "/bin/nix", query: "nix (Lix, like Nix) 2.94.0\n", want: nixLix, version: "2.94.0"},
		{name: "Lix by its installer", files: with(nixFiles(), files{"/nix/lix-installer": "l"}), facts: testFacts(), want: nixLix, version: "2.34.7"},
		{name: "peer", files: with(nixFiles(), files{"/nix/receipt.json": "{}"}), facts: testFacts(), want: nixPeer, version: "2.34.7"},
		{name: "single-user", files: files{"/home/ann/.nix-profile/bin/nix": "-> " + theNix + "/bin/nix", theNix + "/bin/nix": "nix"}, facts: testFacts(), owner: 1000, want: nixSingle, version: "2.34.7"},
		{name: "official", files: nixFiles(), facts: testFacts(), want: nixOfficial, version: "2.34.7"},
		{name: "movein", files: with(nixFiles(), receipt), facts: testFacts(), want: nixOurs, version: "2.34.7"},
		{name: "movein, /nix lost", files: receipt, facts: testFacts(), want: nixOurs},
		{name: "broken", files: files{theNix + "/bin/nix-daemon": "d"}, facts: testFacts(), want: nixBroken},
		{name: "unmounted", files: files{"/var/lib/nix/store/x": "", "/nix/": ""}, facts: ostree, want: nixUnmounted},
		{name: "rootless", files: files{"/home/ann/.local/share/nix/root/nix/store/": ""}, facts: testFacts(), want: nixRootless},
		{name: "remains", files: files{
			"/etc/group": "nixbld:x:30000:nixbld1\n", "/etc/bash.bashrc.backup-before-nix": "", "/etc/nix/nix.conf": "",
			"/etc/systemd/system/nix-daemon.socket": "-> " + defaultProfile + "/lib/systemd/system/nix-daemon.socket",
			defaultProfile:                          "-> default-1-link", defaultProfile + "-1-link": "-> " + theEnv,
			"/usr/local/bin/nix": "-> " + defaultProfile + "/bin/nix",
		}, facts: testFacts(), want: nixNone},
		{name: "nothing", facts: testFacts(), want: nixNone},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := hosttest.New(t, test.files)
			h.Path = append(h.Path, "/home/ann/.nix-profile/bin")
			h.Owners["/nix"] = test.owner
			if test.query != "" {
				h.OnQuery(test.bin+" --version", hosttest.Says(test.query))
			}
			got := detectNix(context.Background(), h.View(), test.facts, testConfig())
			if got.Kind != test.want || got.Version != test.version {
				t.Errorf("%s Nix %q, want %s %q", got.Kind, got.Version, test.want, test.version)
			}
		})
	}
}

func TestNixIsAskedForItsVersionOnlyAgainWhenItsFileChanged(t *testing.T) {
	h := hosttest.New(t, files{"/usr/bin/nix": "nix", nixStore + "/": ""})
	h.OnQuery("/usr/bin/nix --version", hosttest.Says("nix (Nix) 2.26.3\n"))
	for range 3 {
		detectNix(context.Background(), h.View(), testFacts(), testConfig())
	}
	if n := len(h.Calls()); n != 1 {
		t.Errorf("asked %d times", n)
	}
	h.Put("/usr/bin/nix", "another nix")
	h.OnQuery("/usr/bin/nix --version", hosttest.Says("nix (Nix) 2.28.0\n"))
	if got := detectNix(context.Background(), h.View(), testFacts(), testConfig()); got.Version != "2.28.0" {
		t.Errorf("after an upgrade: %s", got.Version)
	}
}

func TestAStoreOfNewerSchemaIsLeftAlone(t *testing.T) {
	h := hosttest.New(t, with(nixFiles(), files{nixDB + "/schema": "11", nixDB + "/db.sqlite": "SQLite format 3\x00"}))
	nothingToDo(t, h, nixInstall{testFacts(), testConfig()})
}

func TestAStoreOfNewerSchemaWithoutNixIsRefused(t *testing.T) {
	h := hosttest.New(t, files{nixDB + "/schema": "11", nixStore + "/": ""})
	_, err := plan(t, h, nixInstall{testFacts(), testConfig()})
	refuses(t, err, bootstrap.ExitRefused, "schema 11", "up to 10")
}

func TestANixThatIsTooOldIsRefused(t *testing.T) {
	old := storePath('e', "nix-2.3")
	h := hosttest.New(t, files{defaultProfile + "/bin/nix": "-> " + old + "/bin/nix", old + "/bin/nix": "nix"})
	_, err := plan(t, h, nixInstall{testFacts(), testConfig()})
	refuses(t, err, bootstrap.ExitConfig, defaultProfile+"/bin/nix", "2.3", minNix, "run the same command again")
}

func TestAnUnmountedStoreIsNotInstalledOver(t *testing.T) {
	f := testFacts()
	f.OSTree = true
	h := hosttest.New(t, files{"/var/lib/nix/store/x": ""})
	if got := planned(t, h, nixInstall{f, testConfig()}); got != "check Nix" {
		t.Errorf("planned %q", got)
	}
	refuses(t, nixInstall{f, testConfig()}.Apply(context.Background(), h, nil), bootstrap.ExitFailed, "not mounted", "nix-mount")
}

func TestWhatIsWrongWithNixIsFound(t *testing.T) {
	for _, test := range []struct {
		name  string
		files files
		owner int
		want  string
	}{
		{"no database", files{nixDB + "/db.sqlite": "-> /gone"}, 0, "restore " + nixDB + "/db.sqlite"},
		{"garbage for a database", files{nixDB + "/db.sqlite": "garbage garbage garbage"}, 0, "restore " + nixDB + "/db.sqlite"},
		{"garbage for a schema", files{nixDB + "/schema": "ten"}, 0, "restore " + nixDB + "/db.sqlite"},
		{"no profile", files{defaultProfile: "-> gone"}, 0, "repair " + defaultProfile},
		{"no group", files{"/etc/group": "root:x:0:\n"}, 0, "create group nixbld with 32 build users"},
		{"no members", files{"/etc/group": "nixbld:x:30000:\n"}, 0, "repair group nixbld"},
		{"no group is needed", files{"/etc/group": "", "/etc/nix/nix.conf": "auto-allocate-uids = true\n"}, 0, ""},
		{"no group is needed for a user's own store", files{"/etc/group": ""}, 1000, ""},
		{"other ids", files{"/etc/group": "nixbld:x:966:me\n", "/etc/passwd": "me:x:966:966::/:/bin/false\n"}, 0, ""},
		{"remains of a run", files{nixStaging + "/": "", nixTrash + "/": ""}, 0, "remove " + nixStaging + "; remove " + nixTrash},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := hosttest.New(t, with(nixFiles(), test.files))
			h.OnDaemon = answering
			h.Owners["/nix"] = test.owner
			if got := planned(t, h, nixInstall{testFacts(), testConfig()}); got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}

func TestADatabaseThatDoesNotKnowNixIsFound(t *testing.T) {
	h := hosttest.New(t, nixFiles())
	h.OnDaemon = func(_ string, paths []string) (host.Daemon, error) {
		if strings.Join(paths, " ") != theNix+" "+theEnv {
			t.Errorf("asked for %q", paths)
		}
		return host.Daemon{Unknown: []string{theEnv}}, nil
	}
	if got, want := planned(t, h, nixInstall{testFacts(), testConfig()}), "restore "+nixDB+"/db.sqlite"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestVersionsAreComparedByNumber(t *testing.T) {
	for _, test := range []struct {
		a, b string
		want bool
	}{{"2.3", "2.8", true}, {"2.34.7", "2.8", false}, {"2.8", "2.8", false}, {"2.8.0", "2.8", false}, {"2.10pre20220801_abc", "2.8", false}, {"2.7.9", "2.8", true}} {
		if older(test.a, test.b) != test.want {
			t.Errorf("older(%s, %s) is not %v", test.a, test.b, test.want)
		}
	}
}
