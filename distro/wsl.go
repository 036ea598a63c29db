package distro

import "strings"

// wsl is the version of the Windows Subsystem for Linux that the host runs in, 0
// for none. The kernel's release is "4.4.0-22621-Microsoft" in WSL 1 and
// "6.6.87.2-microsoft-standard-WSL2" in WSL 2, or anything with a kernel of the
// user's own. Containers in WSL 2 have the same kernel, so something that
// Microsoft's init leaves in a distribution has to be there too: sockets in
// /run/WSL, the mounts of WSLg, or the handler of Windows programs, of which
// either name has been in use.
func wsl(t *tree, container string) int {
	kernel := t.read("proc/sys/kernel/osrelease")
	switch {
	case t.has("run/WSL") && strings.Contains(kernel, "microsoft"):
		return 2 // in whatever else it is: containers do not get that directory
	case container != "":
		return 0
	case strings.Contains(kernel, "Microsoft"):
		return 1 // runs no containers
	case t.has("run/WSL"):
		return 2
	case !strings.Contains(kernel, "microsoft"):
		// Not looking for the handler saves other hosts from mounting
		// binfmt_misc, which systemd does on the first look.
		return 0
	case t.has("mnt/wslg", "proc/sys/fs/binfmt_misc/WSLInterop", "proc/sys/fs/binfmt_misc/WSLInterop-late"):
		return 2
	}
	return 0
}
