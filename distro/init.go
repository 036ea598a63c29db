package distro

// setInit fills in what starts services. Init is "none" where nothing that
// movein knows does: in most containers, and under SysV init.
func (f *Facts) setInit(t *tree, mounts []mount) {
	comm := t.read("proc/1/comm")
	f.Systemd = isSystemd(t, comm, mounts)
	switch {
	case f.Systemd:
		f.Init = "systemd"
	case t.has("run/openrc"):
		f.Init = "openrc"
	case f.WSL > 0:
		f.Init = "wsl"
	case comm == "runit":
		f.Init = "runit"
	case comm == "s6-svscan":
		f.Init = "s6"
	default:
		f.Init = "none"
	}
}

// isSystemd reports whether systemd runs the host: as sd_booted(3) has it,
// /run/systemd/system exists. A Toolbx container has that directory, and PID 1,
// from its host but cannot reach the manager; there it is a mount point.
func isSystemd(t *tree, comm string, mounts []mount) bool {
	return t.has("run/systemd/system") &&
		!isMountPoint(mounts, "/run/systemd/system") &&
		(comm == "systemd" || comm == "init" || comm == "")
}
