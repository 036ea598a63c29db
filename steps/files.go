package steps

import (
	"io/fs"
	"syscall"

	"movein/bootstrap/host"
)

// owner returns the user id that a file belongs to, and whether there is such a file.
func owner(v host.View, name string) (uid int, ok bool) {
	info, err := v.Lstat(name)
	if err != nil {
		return 0, false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, true
	}
	return int(st.Uid), true
}

// readText is the text of a file; "" if it cannot be read.
func readText(v host.View, name string) string {
	data, err := v.ReadFile(name)
	if err != nil {
		return ""
	}
	return string(data)
}

// isLink reports whether name is a symlink, and where to.
func isLink(v host.View, name string) (target string, ok bool) {
	info, err := v.Lstat(name)
	if err != nil || info.Mode()&fs.ModeSymlink == 0 {
		return "", false
	}
	target, err = v.Readlink(name)
	return target, err == nil
}
