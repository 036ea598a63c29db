package host

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// createTemp makes a temporary file beside name and locks it for as long as it is
// open. Those for the same name that nobody has locked are removed: a killed run left them.
func createTemp(name string) (*os.File, error) {
	dir, prefix := filepath.Dir(name), "."+filepath.Base(name)+".movein-"
	entries, _ := os.ReadDir(dir) //nolint:errcheck // a directory may be for writing only
	for _, e := range entries {
		if e.Type().IsRegular() && strings.HasPrefix(e.Name(), prefix) {
			removeUnlocked(filepath.Join(dir, e.Name()))
		}
	}
	for {
		f, err := os.CreateTemp(dir, prefix+"*")
		if err != nil {
			return nil, err
		}
		unix.Flock(int(f.Fd()), unix.LOCK_EX) //nolint:errcheck // where there are no locks, nothing is removed
		info, err := f.Stat()
		if err == nil && linked(info) {
			return f, nil
		}
		f.Close() // another took it for a killed run's before it was locked
		if err != nil {
			os.Remove(f.Name())
			return nil, err
		}
	}
}

// replaceFile makes name a file with what fill writes, whole or not at all:
// temporary file, fsync, rename, fsync of the directory.
func replaceFile(name string, perm fs.FileMode, fill func(*os.File) error) error {
	return putFile(name, perm, fill, os.Rename)
}

// makeFile is replaceFile where nothing is: fs.ErrExist if something is there by then.
func makeFile(name string, perm fs.FileMode, fill func(*os.File) error) error {
	return putFile(name, perm, fill, func(from, to string) error {
		err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
		if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) { // not on this file system
			if _, err = os.Lstat(to); errors.Is(err, fs.ErrNotExist) {
				return os.Rename(from, to)
			} else if err == nil {
				err = fs.ErrExist
			}
		}
		if err != nil {
			return &fs.PathError{Op: "rename", Path: to, Err: err}
		}
		return nil
	})
}

func putFile(name string, perm fs.FileMode, fill func(*os.File) error, rename func(from, to string) error) (err error) {
	f, err := createTemp(name)
	if err != nil {
		return err
	}
	defer f.Close() // not before it is renamed: it is locked as long
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	if err := errors.Join(fill(f), f.Chmod(perm), f.Sync()); err != nil {
		return err
	}
	if err := rename(f.Name(), name); err != nil {
		return err
	}
	return syncDir(filepath.Dir(name))
}

// removeUnlocked removes a file unless a process that lives has locked it.
func removeUnlocked(name string) {
	f, err := os.OpenFile(name, os.O_RDWR|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return
	}
	defer f.Close()
	if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil {
		return
	}
	if info, err := f.Stat(); err == nil && info.Mode().IsRegular() && linked(info) {
		os.Remove(name)
	}
}

func linked(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return !ok || st.Nlink > 0
}
