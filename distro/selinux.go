package distro

// selinux is the mode that the kernel is in now, "disabled" where SELinux is
// installed but off, and "" where it is not installed. What /etc/selinux/config
// asks for shows at the next boot only.
func selinux(t *tree) string {
	switch t.read("sys/fs/selinux/enforce") {
	case "1":
		return "enforcing"
	case "0":
		return "permissive"
	}
	if t.has("etc/selinux/config") {
		return "disabled"
	}
	return ""
}
