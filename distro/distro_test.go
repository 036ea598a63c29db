package distro

import (
	"os"
	"reflect"
	"runtime"
	"strings"
	"testing"
)

// hosts are the trees of testdata/host and what Detect finds there. Arch and System are
// those of the machine that runs the test.
var hosts = []struct {
	tree  string
	users string // names, in the order of /etc/passwd
	facts Facts
}{
	{"nixos-25.05", "root nixbld1 alice", Facts{
		ID: "nixos", VersionID: "25.05", PrettyName: "NixOS 25.05 (Warbler)",
		Platform: NixOS, Packages: "nix",
		Init: "systemd", Systemd: true,
		RAM: 32760164 << 10, Hostname: "atlas", FQDN: "atlas.example.org", Short: "atlas",
	}},
	{"kinoite-41", "root alice", Facts{
		ID: "fedora", VariantID: "kinoite", VersionID: "41", PrettyName: "Fedora Linux 41.20251110.0 (Kinoite)",
		Platform: OSTree, OSTree: true, Packages: "rpm-ostree", SELinux: "enforcing",
		Init: "systemd", Systemd: true,
		RAM: 16238152 << 10, Hostname: "fedora", Short: "fedora",
	}},
	{"kinoite-43", "root alice", Facts{
		ID: "fedora", VariantID: "kinoite", VersionID: "43", PrettyName: "Fedora Linux 43.20251101.0 (Kinoite)",
		Platform: OSTree, OSTree: true, Composefs: true, ReadOnlyRoot: true, Packages: "rpm-ostree", SELinux: "enforcing",
		Init: "systemd", Systemd: true,
		RAM: 32639784 << 10, Hostname: "fedora", Short: "fedora",
	}},
	{"silverblue-43", "root alice", Facts{
		ID: "fedora", VariantID: "silverblue", VersionID: "43", PrettyName: "Fedora Linux 43.20251114.0 (Silverblue)",
		Platform: OSTree, OSTree: true, Composefs: true, ReadOnlyRoot: true, Packages: "rpm-ostree", SELinux: "enforcing",
		Init: "systemd", Systemd: true,
		RAM: 16238152 << 10, Hostname: "tern.example.org", FQDN: "tern.example.org", Short: "tern",
	}},
	{"fedora-workstation-43", "root alice", Facts{
		ID: "fedora", VariantID: "workstation", VersionID: "43", PrettyName: "Fedora Linux 43 (Workstation Edition)",
		Platform: Generic, Packages: "dnf", SELinux: "enforcing",
		Init: "systemd", Systemd: true,
		RAM: 16238152 << 10, Hostname: "fedora", Short: "fedora",
	}},
	{"bluefin-42", "root alice", Facts{
		ID: "bluefin", IDLike: []string{"fedora"}, VariantID: "bluefin", VersionID: "42", PrettyName: "Bluefin (Version: 42.20250930)",
		Platform: OSTree, OSTree: true, Composefs: true, ReadOnlyRoot: true, Packages: "rpm-ostree", SELinux: "enforcing",
		Init: "systemd", Systemd: true,
		RAM: 65603320 << 10, Hostname: "bluefin", Short: "bluefin",
	}},
	{"ubuntu-24.04-wsl", "root daemon alice", Facts{
		ID: "ubuntu", IDLike: []string{"debian"}, VersionID: "24.04", PrettyName: "Ubuntu 24.04.3 LTS",
		Platform: WSL, WSL: 2, Packages: "apt",
		Init: "wsl",
		RAM:  16268404 << 10, Hostname: "DESKTOP-4F2K9QX", Short: "DESKTOP-4F2K9QX",
	}},
	{"ubuntu-24.04-wsl-systemd", "root daemon alice", Facts{
		ID: "ubuntu", IDLike: []string{"debian"}, VersionID: "24.04", PrettyName: "Ubuntu 24.04.3 LTS",
		Platform: WSL, WSL: 2, Packages: "apt",
		Init: "systemd", Systemd: true,
		RAM: 16268404 << 10, Hostname: "DESKTOP-4F2K9QX", FQDN: "DESKTOP-4F2K9QX.corp.example.com", Short: "DESKTOP-4F2K9QX",
	}},
	{"nixos-wsl", "root nixbld1 nixos", Facts{
		ID: "nixos", VersionID: "25.05", PrettyName: "NixOS 25.05 (Warbler)",
		Platform: NixOS, WSL: 2, Packages: "nix",
		Init: "systemd", Systemd: true,
		RAM: 16268404 << 10, Hostname: "nixos", Short: "nixos",
	}},
	{"debian-12", "root daemon alice", Facts{
		ID: "debian", VersionID: "12", PrettyName: "Debian GNU/Linux 12 (bookworm)",
		Platform: Generic, Packages: "apt",
		Init: "systemd", Systemd: true,
		RAM: 8131640 << 10, Hostname: "heron", FQDN: "heron.example.org", Short: "heron",
	}},
	{"debian-13", "root daemon alice", Facts{
		ID: "debian", VersionID: "13", PrettyName: "Debian GNU/Linux 13 (trixie)",
		Platform: Generic, Packages: "apt",
		Init: "systemd", Systemd: true,
		RAM: 4011340 << 10, Hostname: "trixie", Short: "trixie",
	}},
	{"arch", "root alice", Facts{
		ID: "arch", VersionID: "20251116.0.453270", PrettyName: "Arch Linux",
		Platform: Generic, Packages: "pacman",
		Init: "systemd", Systemd: true,
		RAM: 16289460 << 10, Hostname: "archlinux", Short: "archlinux",
	}},
	{"opensuse-microos", "root alice", Facts{
		ID: "opensuse-microos", IDLike: []string{"suse", "opensuse", "opensuse-tumbleweed", "microos", "sl-micro"},
		VersionID: "20251115", PrettyName: "openSUSE MicroOS",
		Platform: OSTree, ReadOnlyRoot: true, Packages: "zypper", SELinux: "enforcing",
		Init: "systemd", Systemd: true,
		RAM: 4014596 << 10, Hostname: "microos", Short: "microos",
	}},
	{"alpine-3.22", "root bin alice", Facts{
		ID: "alpine", VersionID: "3.22.1", PrettyName: "Alpine Linux v3.22",
		Platform: Generic, Packages: "apk",
		Init: "openrc",
		RAM:  2013412 << 10, Hostname: "alpine", FQDN: "alpine.lan", Short: "alpine",
	}},
	{"docker-debian-12", "root daemon", Facts{
		ID: "debian", VersionID: "12", PrettyName: "Debian GNU/Linux 12 (bookworm)",
		Platform: Generic, Container: "docker", Packages: "apt",
		Init: "none",
		RAM:  32660192 << 10, Hostname: "3f2a9c1b7e44", Short: "3f2a9c1b7e44",
	}},
}

func TestDetectKnowsTheHosts(t *testing.T) {
	for _, host := range hosts {
		t.Run(host.tree, func(t *testing.T) {
			got, err := Detect(os.DirFS("../testdata/host/" + host.tree))
			if err != nil {
				t.Fatal(err)
			}
			if users := userNames(got.Users); users != host.users {
				t.Errorf("users: got %s, want %s", users, host.users)
			}
			want := host.facts
			want.Arch, want.System, want.Users = runtime.GOARCH, nixSystem(runtime.GOARCH), got.Users
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
		})
	}
}

func TestEveryHostTreeIsTested(t *testing.T) {
	entries, err := os.ReadDir("../testdata/host")
	if err != nil {
		t.Fatal(err)
	}
	tested := make(map[string]bool)
	for _, host := range hosts {
		tested[host.tree] = true
	}
	for _, entry := range entries {
		if entry.IsDir() && !tested[entry.Name()] {
			t.Errorf("no facts for the tree %s", entry.Name())
		}
	}
}

func userNames(users []User) string {
	var names []string
	for _, u := range users {
		names = append(names, u.Name)
	}
	return strings.Join(names, " ")
}

func BenchmarkDetect(b *testing.B) {
	root := os.DirFS("/")
	for b.Loop() {
		if _, err := Detect(root); err != nil {
			b.Fatal(err)
		}
	}
}
