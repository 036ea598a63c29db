package secret

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Harden keeps what this process has in memory to itself: no core dump, and no
// process of the same user may read its memory or its environment. Children are as they
// always are, but for the limit of core dumps, which they inherit. undo takes it back.
//
// /proc/self belongs to root then: what is for the owner alone there, as environ, this
// process cannot open either; exe, fd and what is for all it can. Root can read everything.
func Harden() (undo func(), err error) {
	dumpable, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
	var core unix.Rlimit
	err = errors.Join(err, unix.Getrlimit(unix.RLIMIT_CORE, &core))
	if err == nil {
		err = errors.Join(unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0), unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{Max: core.Max}))
	}
	if err != nil {
		return func() {}, fmt.Errorf("keeping memory from being read: %w", err)
	}
	return func() {
		if dumpable == 1 { // 2 cannot be asked for
			unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0) //nolint:errcheck // it stays safer than it was
		}
		unix.Setrlimit(unix.RLIMIT_CORE, &core) //nolint:errcheck // as above
	}, nil
}
