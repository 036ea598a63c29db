package host

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// kinds are the kinds of objects by their bits of the mode.
var kinds = map[uint32]Kind{
	unix.S_IFREG: KindFile, unix.S_IFDIR: KindDir, unix.S_IFLNK: KindLink, unix.S_IFIFO: KindFifo,
	unix.S_IFSOCK: KindSocket, unix.S_IFCHR: KindChar, unix.S_IFBLK: KindBlock,
}

// special are the bits of a mode beside the permissions.
var special = map[fs.FileMode]uint32{fs.ModeSetuid: unix.S_ISUID, fs.ModeSetgid: unix.S_ISGID, fs.ModeSticky: unix.S_ISVTX}

func modeOf(bits uint32) fs.FileMode {
	mode := fs.FileMode(bits & 0o777)
	for m, bit := range special {
		if bits&bit != 0 {
			mode |= m
		}
	}
	return mode
}

func bitsOf(mode fs.FileMode) uint32 {
	bits := uint32(mode.Perm())
	for m, bit := range special {
		if mode&m != 0 {
			bits |= bit
		}
	}
	return bits
}

// look is what the object is, but for a file's content.
func (o *thing) look(name string) (k Kept, err error) {
	k = Kept{
		Name: name, Kind: kinds[o.st.Mode&unix.S_IFMT], Mode: modeOf(o.st.Mode), UID: int(o.st.Uid), GID: int(o.st.Gid),
		MTime: time.Unix(o.st.Mtim.Unix()), Inode: o.inode(), Disk: o.st.Blocks * 512,
	}
	switch k.Kind {
	case KindFile:
		k.Size, k.Links = o.st.Size, uint64(o.st.Nlink) //nolint:unconvert // it has another size elsewhere
	case KindLink:
		if k.Target, err = o.readlink(); err != nil {
			return k, err
		}
	case KindChar, KindBlock:
		k.Rdev = uint64(o.st.Rdev) //nolint:unconvert // as above
	}
	k.Xattrs, err = o.xattrs()
	return k, err
}

func (o *thing) readlink() (string, error) {
	for buf := make([]byte, 256); ; buf = make([]byte, 2*len(buf)) {
		n, err := unix.Readlinkat(o.fd, "", buf)
		if err != nil {
			return "", o.wrap("readlink", err)
		}
		if n < len(buf) {
			return string(buf[:n]), nil
		}
	}
}

// xattrs are the object's extended attributes. The value of one that may not be read is nil.
func (o *thing) xattrs() (map[string][]byte, error) {
	list, err := sized(func(buf []byte) (int, error) { return unix.Listxattr(o.proc(), buf) })
	if errors.Is(err, unix.ENOTSUP) || len(list) == 0 && err == nil {
		return nil, nil
	} else if err != nil {
		return nil, o.wrap("listxattr", err)
	}
	all := map[string][]byte{}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(list), "\x00"), "\x00") {
		value, err := sized(func(buf []byte) (int, error) { return unix.Getxattr(o.proc(), name, buf) })
		switch {
		case errors.Is(err, unix.ENODATA): // gone since
		case errors.Is(err, fs.ErrPermission), errors.Is(err, unix.ENOTSUP):
			all[name] = nil
		case err != nil:
			return nil, o.wrap("getxattr", err)
		default:
			all[name] = append([]byte{}, value...)
		}
	}
	return all, nil
}

// sized calls a function that fills a buffer with one that is large enough.
func sized(fill func([]byte) (int, error)) ([]byte, error) {
	for size := 256; ; size *= 4 {
		buf := make([]byte, size)
		n, err := fill(buf)
		if !errors.Is(err, unix.ERANGE) || size > 1<<20 {
			return buf[:max(n, 0)], err
		}
	}
}

// unlock makes what is our own and closed to ourselves readable, until lock is called.
func (o *thing) unlock() (lock func() error, err error) {
	kind := kinds[o.st.Mode&unix.S_IFMT]
	bits := o.st.Mode & 0o7777
	if bits&0o400 != 0 || int(o.st.Uid) != os.Geteuid() || os.Geteuid() == 0 || kind != KindFile && kind != KindDir {
		return func() error { return nil }, nil
	}
	if err := o.chmod(bits | 0o400); err != nil {
		return nil, err
	}
	return func() error { return o.chmod(bits) }, nil
}

func (o *thing) chmod(bits uint32) error { return o.wrap("chmod", unix.Chmod(o.proc(), bits)) }

// dress gives the object the metadata of k, and says what it could not be given.
func (o *thing) dress(k Kept) (lacks []string, err error) {
	if int(o.st.Uid) != k.UID || int(o.st.Gid) != k.GID {
		if err := unix.Fchownat(o.fd, "", k.UID, k.GID, unix.AT_EMPTY_PATH); errors.Is(err, unix.EPERM) {
			unix.Fchownat(o.fd, "", -1, k.GID, unix.AT_EMPTY_PATH) //nolint:errcheck // it is told below
		} else if err != nil {
			return nil, o.wrap("chown", err)
		}
	}
	bad, err := o.dressXattrs(k)
	if err != nil {
		return nil, err
	}
	if err := o.stat(); err != nil {
		return nil, err
	}
	bits := bitsOf(k.Mode)
	if k.Kind == KindFile && int(o.st.Uid) != k.UID {
		bits &^= unix.S_ISUID // it would act for who has it now
	}
	if k.Kind == KindFile && int(o.st.Gid) != k.GID {
		bits &^= unix.S_ISGID
	}
	if k.Kind != KindLink && o.st.Mode&0o7777 != bits {
		if err := ignore(o.chmod(bits), fs.ErrPermission); err != nil {
			return nil, err
		}
	}
	if !time.Unix(o.st.Mtim.Unix()).Equal(k.MTime) {
		ts := []unix.Timespec{{Nsec: unix.UTIME_OMIT}, {Sec: k.MTime.Unix(), Nsec: int64(k.MTime.Nanosecond())}}
		if err := ignore(unix.UtimesNanoAt(unix.AT_FDCWD, o.proc(), ts, 0), fs.ErrPermission); err != nil {
			return nil, o.wrap("utimens", err)
		}
	}
	if err := o.stat(); err != nil {
		return nil, err
	}
	return append(o.lacks(k), bad...), nil
}

// lacks says in what the object is not as k was.
func (o *thing) lacks(k Kept) (all []string) {
	if int(o.st.Uid) != k.UID || int(o.st.Gid) != k.GID {
		all = append(all, fmt.Sprintf("owner %d:%d", k.UID, k.GID))
	}
	if k.Kind != KindLink && o.st.Mode&0o7777 != bitsOf(k.Mode) {
		all = append(all, fmt.Sprintf("mode %04o", bitsOf(k.Mode)))
	}
	if !time.Unix(o.st.Mtim.Unix()).Equal(k.MTime) {
		all = append(all, "time "+k.MTime.Format(time.RFC3339Nano))
	}
	return all
}

// dressXattrs gives the object the extended attributes of k, and no others.
func (o *thing) dressXattrs(k Kept) (lacks []string, err error) {
	have, err := o.xattrs()
	if err != nil {
		return nil, err
	}
	try := func(f func() error) error {
		err := f()
		if errors.Is(err, unix.EACCES) && k.Kind != KindLink && o.chmod(o.st.Mode&0o7777|0o600) == nil {
			err = f() // those of users are for who may write the file
		}
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(have)) {
		if _, ok := k.Xattrs[name]; ok || labels[name] {
			continue
		}
		if err := try(func() error { return unix.Removexattr(o.proc(), name) }); err != nil && !errors.Is(err, unix.ENODATA) {
			lacks = append(lacks, "no "+name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(k.Xattrs)) {
		value := k.Xattrs[name]
		if now, ok := have[name]; value == nil || ok && now != nil && bytes.Equal(now, value) {
			continue
		}
		if err := try(func() error { return unix.Setxattr(o.proc(), name, value, 0) }); err != nil && !labels[name] {
			lacks = append(lacks, name)
		}
	}
	return lacks, nil
}
