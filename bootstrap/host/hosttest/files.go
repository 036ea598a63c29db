package hosttest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"

	"movein/bootstrap/host"
)

// ReadFile implements host.Files.
func (h *Host) ReadFile(name string) ([]byte, error) {
	if err := h.fail("readfile", name); err != nil {
		return nil, err
	}
	return h.real.ReadFile(name)
}

// ReadHead implements host.Files.
func (h *Host) ReadHead(name string, n int) ([]byte, error) {
	if err := h.fail("readhead", name); err != nil {
		return nil, err
	}
	return h.real.ReadHead(name, n)
}

// Lstat implements host.Files. Its Sys is a *syscall.Stat_t with the owner that Owners says.
func (h *Host) Lstat(name string) (fs.FileInfo, error) {
	if err := h.fail("lstat", name); err != nil {
		return nil, err
	}
	info, err := h.real.Lstat(name)
	if err != nil {
		return nil, err
	}
	return owned{info, h.ownerOf(name)}, nil
}

// Readlink implements host.Files.
func (h *Host) Readlink(name string) (string, error) {
	if err := h.fail("readlink", name); err != nil {
		return "", err
	}
	return h.real.Readlink(name)
}

// ReadDir implements host.Files.
func (h *Host) ReadDir(name string) ([]fs.DirEntry, error) {
	if err := h.fail("readdir", name); err != nil {
		return nil, err
	}
	return h.real.ReadDir(name)
}

// Writable implements host.Files.
func (h *Host) Writable(name string) error {
	if err := h.fail("access", name); err != nil {
		return err
	}
	return h.real.Writable(name)
}

// List implements host.Files, by ReadDir and Lstat.
func (h *Host) List(name string) ([]fs.FileInfo, error) {
	entries, err := h.ReadDir(name)
	if err != nil {
		return nil, err
	}
	list := make([]fs.FileInfo, len(entries))
	for i, e := range entries {
		if list[i], err = h.Lstat(path.Join(name, e.Name())); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// Lstats implements host.Files, by Lstat.
func (h *Host) Lstats(dir string, names []string, each func(i int, info fs.FileInfo)) {
	for i, name := range names {
		info, err := h.Lstat(path.Join(dir, name))
		if err != nil {
			info = nil
		}
		each(i, info)
	}
}

// Free implements host.Files.
func (h *Host) Free(string) (int64, error) { return h.Space, nil }

// WriteFile implements host.Writer.
func (h *Host) WriteFile(name string, data []byte, perm fs.FileMode) error {
	return h.change("write", name, name, func() error { return h.real.WriteFile(name, data, perm) })
}

// MkdirAll implements host.Writer.
func (h *Host) MkdirAll(name string, perm fs.FileMode) error {
	return h.change("mkdir", name, name, func() error { return h.real.MkdirAll(name, perm) })
}

// Symlink implements host.Writer.
func (h *Host) Symlink(target, name string) error {
	return h.change("symlink", name, name+" -> "+target, func() error { return h.real.Symlink(target, name) })
}

// Rename implements host.Writer.
func (h *Host) Rename(from, to string) error {
	return h.change("rename", from, from+" -> "+to, func() error { return h.real.Rename(from, to) })
}

// Move implements host.Writer.
func (h *Host) Move(pairs ...[2]string) error {
	for _, p := range pairs {
		if err := h.Rename(p[0], p[1]); err != nil {
			return err
		}
	}
	return nil
}

// Sync implements host.Writer. It is not in the Log.
func (h *Host) Sync(string) error { return nil }

// Own implements host.Writer. The owner only goes into Owners.
func (h *Host) Own(name string, uid, _ int, perm fs.FileMode) error {
	return h.change("own", name, name, func() error {
		if _, err := h.real.Lstat(name); err != nil {
			return err
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		h.Owners[path.Clean(name)] = uid
		return h.real.Own(name, -1, -1, perm)
	})
}

// Remove implements host.Writer. Nothing there to remove is not in the Log.
func (h *Host) Remove(name string) error {
	if _, err := h.real.Lstat(name); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return h.change("remove", name, name, func() error { return h.real.Remove(name) })
}

// Look implements host.Looker, truly: not with the owner that Owners says.
func (h *Host) Look(ctx context.Context, at host.Place, content bool) (host.Kept, error) {
	if err := h.fail("look", at.String()); err != nil {
		return host.Kept{}, &fs.PathError{Op: "look", Path: at.String(), Err: err}
	}
	return h.real.Look(ctx, at, content)
}

// Keep implements host.Keeper, truly.
func (h *Host) Keep(ctx context.Context, at host.Place, dir string) (k host.Kept, err error) {
	err = h.change("keep", at.String(), at.String(), func() (err error) {
		k, err = h.real.Keep(ctx, at, dir)
		return err
	})
	return k, err
}

// PutBack implements host.Keeper, truly.
func (h *Host) PutBack(ctx context.Context, k host.Kept, dir string, at host.Place, twin string) (lacks []string, err error) {
	err = h.change("putback", at.String(), at.String(), func() (err error) {
		lacks, err = h.real.PutBack(ctx, k, dir, at, twin)
		return err
	})
	return lacks, err
}

// TakeAway implements host.Keeper, truly.
func (h *Host) TakeAway(ctx context.Context, at host.Place, tree bool) error {
	return h.change("takeaway", at.String(), at.String(), func() error { return h.real.TakeAway(ctx, at, tree) })
}

func (h *Host) change(op, name, what string, f func() error) error {
	if err := h.fail(op, name); err != nil {
		return &fs.PathError{Op: op, Path: name, Err: err}
	}
	h.note("%s %s", op, what)
	return f()
}

func (h *Host) fail(op, name string) error {
	if h.Fail == nil {
		return nil
	}
	return h.Fail(op, name)
}

// Tree lists all that is in the directories, or everywhere: a line of mode, name
// and text or target each, sorted by name.
func (h *Host) Tree(dirs ...string) string {
	h.t.Helper()
	if len(dirs) == 0 {
		dirs = []string{"/"}
	}
	var b strings.Builder
	for _, dir := range dirs {
		err := filepath.WalkDir(filepath.Join(h.root, dir), func(file string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := d.Info()
			if err != nil {
				return err
			}
			fmt.Fprintf(&b, "%v /%s", info.Mode(), strings.TrimPrefix(strings.TrimPrefix(file, h.root), "/"))
			if target, err := os.Readlink(file); err == nil {
				fmt.Fprintf(&b, " -> %s", target)
			} else if info.Mode().IsRegular() {
				data, err := os.ReadFile(file)
				fmt.Fprintf(&b, " %q %v", data, err)
			}
			b.WriteByte('\n')
			return nil
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			h.t.Fatalf("listing: %v", err)
		}
	}
	return b.String()
}

// ownerOf is the user id of the nearest name in Owners.
func (h *Host) ownerOf(name string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	for name = path.Clean(name); ; name = path.Dir(name) {
		if uid, ok := h.Owners[name]; ok || name == "/" || name == "." {
			return uid
		}
	}
}

// owned is a file with another owner.
type owned struct {
	fs.FileInfo
	uid int
}

func (o owned) Sys() any {
	st, ok := o.FileInfo.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	with := *st
	with.Uid = uint32(o.uid)
	return &with
}
