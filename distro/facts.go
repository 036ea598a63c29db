// Package distro finds out what host this is. It reads a file tree and changes nothing.
package distro

// Facts is what was found out about the host. Everything is read from files;
// what could not be read is the zero value.
type Facts struct {
	ID         string   `json:"id"`                    // os-release ID: "fedora"
	IDLike     []string `json:"id_like,omitempty"`     // os-release ID_LIKE
	VariantID  string   `json:"variant_id,omitempty"`  // "kinoite"
	VersionID  string   `json:"version_id,omitempty"`  // "43"
	PrettyName string   `json:"pretty_name,omitempty"` // "Fedora Linux 43.20251101.0 (Kinoite)"

	Platform     Platform `json:"platform"`                 // what the host is to movein
	WSL          int      `json:"wsl,omitempty"`            // 1, 2, or 0: no WSL
	OSTree       bool     `json:"ostree,omitempty"`         // booted from an ostree deployment
	Composefs    bool     `json:"composefs,omitempty"`      // the root is a composefs (read-only) overlay
	ReadOnlyRoot bool     `json:"read_only_root,omitempty"` // / is mounted read-only or is a read-only snapshot; chattr +i does not count
	Container    string   `json:"container,omitempty"`      // "docker", "podman", "systemd-nspawn", "lxc", …

	Init     string `json:"init"`               // "systemd", "openrc", "runit", "s6", "wsl", "none"
	Systemd  bool   `json:"systemd"`            // systemd runs as PID 1 now
	Packages string `json:"packages,omitempty"` // package manager: "apt", "dnf", "rpm-ostree", "pacman", "zypper", "apk", "nix"
	SELinux  string `json:"selinux,omitempty"`  // "enforcing", "permissive", "disabled", "": no SELinux

	Arch   string `json:"arch"`   // Go's name: "amd64", "arm64"
	System string `json:"system"` // Nix's name: "x86_64-linux"
	RAM    int64  `json:"ram"`    // bytes

	Hostname string `json:"hostname"`       // as /proc/sys/kernel/hostname has it
	FQDN     string `json:"fqdn,omitempty"` // from /etc/hosts, or Hostname if that has a dot; "" when there is none
	Short    string `json:"short"`          // up to the first dot

	Users []User `json:"-"` // of /etc/passwd
}

// Platform is the kind of host, by what movein does differently on it.
type Platform string

// The platforms.
const (
	NixOS   Platform = "nixos"   // also NixOS-WSL
	OSTree  Platform = "ostree"  // Kinoite, Silverblue, Bluefin, … and MicroOS-like read-only roots
	WSL     Platform = "wsl"     // any other distribution under WSL
	Generic Platform = "generic" // everything else
)

// User is a line of /etc/passwd.
type User struct {
	Name  string
	UID   int
	GID   int
	Home  string
	Shell string // "/bin/sh" where the line leaves it empty, as passwd(5) says
}
