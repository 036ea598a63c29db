package distro

import "strings"

// packageManager names the package manager of the host, "" if it has none that
// movein knows. A distribution's own comes first, because people install others
// beside it; where os-release tells nothing, the one that is there counts. On an
// ostree host it is rpm-ostree or nothing: what else is there cannot write.
func packageManager(t *tree, f Facts) string {
	switch {
	case f.Platform == NixOS:
		return "nix"
	case f.OSTree, f.Composefs:
		if t.hasCommand("rpm-ostree") {
			return "rpm-ostree"
		}
		return ""
	}
	for _, id := range append([]string{f.ID}, f.IDLike...) {
		if manager := managerOf(id); manager != "" && t.hasCommand(command(manager)) {
			return manager
		}
	}
	for _, manager := range []string{"apt", "dnf", "zypper", "pacman", "apk"} {
		if t.hasCommand(command(manager)) {
			return manager
		}
	}
	return ""
}

// managerOf names the package manager of the distribution with that ID.
func managerOf(id string) string {
	switch {
	case id == "debian", id == "ubuntu":
		return "apt"
	case id == "fedora", id == "rhel", id == "centos":
		return "dnf"
	case id == "suse", id == "sles", id == "opensuse", strings.HasPrefix(id, "opensuse-"):
		return "zypper"
	case id == "arch":
		return "pacman"
	case id == "alpine":
		return "apk"
	}
	return ""
}

// command is the program by which a package manager is known. Not every program
// that is called apt is Debian's.
func command(manager string) string {
	if manager == "apt" {
		return "apt-get"
	}
	return manager
}
