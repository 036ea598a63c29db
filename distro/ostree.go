package distro

import (
	"slices"
	"strings"
)

// setRoot fills in what the root file system is. ostree makes /run/ostree-booted
// when it has booted a deployment, and so do bootc hosts that have ostree below.
func (f *Facts) setRoot(t *tree, mounts []mount) {
	root := rootMount(mounts)
	f.OSTree = t.has("run/ostree-booted")
	f.Composefs = isComposefs(root)
	f.ReadOnlyRoot = root.readOnly || root.superReadOnly || f.Container == "" && isMicroOS(*f)
}

// isComposefs reports whether a root mount is a composefs. What mounts it gives
// "composefs" as its source, with the image's digest behind it where bootc does
// so without ostree; an ostree of before 2024 gave no name, but used the same
// lower directory.
func isComposefs(root mount) bool {
	return strings.HasPrefix(root.source, "composefs") ||
		strings.Contains(root.superOptions, "/run/ostree/.private/cfsroot-lower")
}

// isMicroOS reports whether os-release names a distribution whose root is a
// read-only btrfs snapshot: openSUSE MicroOS, Aeon, Kalpa and Leap Micro, SUSE
// Linux Micro. Aeon makes it so by a property of the subvolume that no mount
// option shows.
func isMicroOS(f Facts) bool {
	for _, id := range []string{"microos", "opensuse-microos", "suse-microos", "sle-micro", "sl-micro"} {
		if f.ID == id || slices.Contains(f.IDLike, id) {
			return true
		}
	}
	return false
}
