package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// lockText is in an index.lock that movein made: while movein lives, it also
// holds a flock on it, so that a lock left by a killed run is told from a held one.
const lockText = "movein\n"

// lockIndex keeps git, which only looks whether index.lock exists, and other
// runs of movein from changing the work tree. unlock may be called twice.
func lockIndex(gitDir string) (unlock func(), err error) {
	name := filepath.Join(gitDir, "index.lock")
	f, err := newLock(name)
	if errors.Is(err, fs.ErrExist) {
		f, err = takeOver(name)
	}
	if err != nil {
		return nil, err
	}
	return sync.OnceFunc(func() { os.Remove(name); f.Close() }), nil
}

// newLock makes the lock under another name and links it into place when it is
// whole, so that a kill never leaves one that nobody can tell for movein's. The
// error is fs.ErrExist if there is a lock.
func newLock(name string) (*os.File, error) {
	temp := fmt.Sprintf("%s.movein-%d", name, os.Getpid())
	f, err := os.OpenFile(temp, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o666)
	if err != nil {
		return nil, err
	}
	defer os.Remove(temp)
	_, err = f.WriteString(lockText)
	if err == nil {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	}
	if err == nil {
		err = os.Link(temp, name)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("locking %s: %w", name, err)
	}
	return f, nil
}

// takeOver opens a lock that a killed movein left.
func takeOver(name string) (*os.File, error) {
	held := fmt.Errorf("%s exists: another program is changing the repository, or one was killed while it did", name)
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return nil, held
	}
	text := make([]byte, len(lockText)+1)
	n, _ := f.ReadAt(text, 0)
	if string(text[:n]) != lockText || unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil {
		f.Close()
		return nil, held
	}
	ours, err := f.Stat()
	if err == nil {
		var there fs.FileInfo
		if there, err = os.Lstat(name); err == nil && os.SameFile(ours, there) {
			return f, nil
		}
	}
	f.Close()
	return nil, held
}

func timeOf(ts syscall.Timespec) time.Time { return time.Unix(ts.Sec, ts.Nsec) }
