package host

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"syscall"

	"golang.org/x/term"
)

// LookupUser finds a user by name, or by number if name is one, as the system's
// name service has them.
func LookupUser(name string) (a Account, gid int, err error) {
	u, err := user.Lookup(name)
	if err != nil {
		if u, err = user.LookupId(name); err != nil {
			return a, 0, fmt.Errorf("looking up user %q: %w", name, err)
		}
	}
	uid, err1 := strconv.Atoi(u.Uid)
	gid, err2 := strconv.Atoi(u.Gid)
	return Account{Name: u.Username, UID: uid, Home: u.HomeDir}, gid, errors.Join(err1, err2)
}

// Credential is what a process needs to be account a: its user, group and
// supplementary groups.
func Credential(a Account, gid int) *syscall.Credential {
	c := &syscall.Credential{Uid: uint32(a.UID), Gid: uint32(gid)}
	if u, err := user.LookupId(strconv.Itoa(a.UID)); err == nil {
		ids, err := u.GroupIds()
		for _, id := range ids {
			if n, perr := strconv.ParseUint(id, 10, 32); err == nil && perr == nil {
				c.Groups = append(c.Groups, uint32(n))
			}
		}
	}
	return c
}

// TerminalWidth is the number of columns of the terminal that f is; 0 if it is none.
func TerminalWidth(f *os.File) int {
	if !term.IsTerminal(int(f.Fd())) {
		return 0
	}
	const usual = 80
	if w, _, err := term.GetSize(int(f.Fd())); err == nil && w > 0 {
		return w
	}
	return usual
}

// Executable is the program that runs now, to be started again.
func Executable() (string, error) { return os.Executable() }

// OpenLog opens a log file to append to; only its owner may read it.
func OpenLog(name string) (*os.File, error) {
	return os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY|syscall.O_NOFOLLOW, 0o600)
}
