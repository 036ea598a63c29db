package steps

import (
	"regexp"
	"sync"
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
	target, err := v.Readlink(name)
	return target, err == nil
}

// pattern is a regular expression that is compiled when it is first asked for: most runs ask for none.
func pattern(expr string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expr) })
}

// once is what look says of key, found out once as long as nothing is changed.
func once[T any](v host.Onlooker, key string, look func() (T, error)) (T, error) {
	what, err := v.Once(key, func() (any, error) { return look() })
	t, _ := what.(T)
	return t, err
}
