package distro

import "strings"

// container names the container manager the host is a container of, "" for none.
// The sources are those of systemd's container interface
// (https://systemd.io/CONTAINER_INTERFACE): the file that a manager leaves, what
// PID 1 was told if that is systemd, and its environment, which only root may
// read. Docker and Podman follow with files of their own.
func container(t *tree, mounts []mount) string {
	for _, name := range []string{
		t.read("run/host/container-manager"),
		t.read("run/systemd/container"),
		variable(t.read("proc/1/environ"), "container"),
	} {
		// "oci" is what Podman calls itself to some, and WSL is a platform.
		if name != "" && name != "oci" && name != "wsl" {
			return name
		}
	}
	if !hasRuntimeMounts(mounts) {
		return ""
	}
	switch {
	case t.has("run/.containerenv"):
		return "podman"
	case t.has(".dockerenv"):
		return "docker"
	}
	return ""
}

// hasRuntimeMounts reports whether a container runtime has mounted its files
// into the tree, as Docker and Podman do for each container. A virtual machine
// or a WSL distribution whose disk was exported from a container still has
// /.dockerenv but none of these mounts. An unknown mount table counts as having
// them.
func hasRuntimeMounts(mounts []mount) bool {
	return len(mounts) == 0 ||
		isMountPoint(mounts, "/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/run/.containerenv")
}

// variable is the value of a variable in an environment as /proc/PID/environ has
// it, "" if it has none.
func variable(environ, name string) string {
	for assignment := range strings.SplitSeq(environ, "\x00") {
		if value, found := strings.CutPrefix(assignment, name+"="); found {
			return value
		}
	}
	return ""
}
