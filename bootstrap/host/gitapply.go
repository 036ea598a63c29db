package host

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/format/index"
	"golang.org/x/sys/unix"
)

// apply does what was planned; done moves HEAD's commit. After an error the
// work tree is between the commits, as after a kill, and the next checkout goes on.
func (c *checkout) apply(done func() error) error {
	r := c.w.repo
	defer c.unlock()
	if err := c.openStaging(); err != nil {
		return err
	}
	defer c.root.Close()
	c.cut("staging")
	if err := writeGitFile(r.gitDir, markName, c.mark()); err != nil {
		return err
	}
	c.cut("mark")
	for _, name := range c.deletes {
		if err := c.remove(name); err != nil {
			return err
		}
	}
	for i, name := range c.writes {
		if err := c.write(i, name); err != nil {
			return err
		}
	}
	if err := c.root.RemoveAll(c.staging); err != nil {
		return err
	}
	c.cut("unstaging")
	if err := syncFileSystem(r.dir); err != nil {
		return err
	}
	if err := c.writeIndex(); err != nil {
		return err
	}
	c.cut("index")
	// Once HEAD's commit has moved nobody may call again, so nothing may be left by then that would hinder git.
	c.unlock()
	c.cut("unlock")
	if err := done(); err != nil {
		return err
	}
	c.cut("commit")
	return r.unmark()
}

// mark is the content of the mark: the commits that were pending, and now this one.
func (c *checkout) mark() string {
	lines := c.from.String() + "\n"
	for _, h := range c.pending {
		if h != c.to {
			lines += h.String() + "\n"
		}
	}
	return lines + c.to.String() + "\n"
}

// openStaging makes an empty directory on the work tree's file system.
func (c *checkout) openStaging() (err error) {
	if c.root, err = os.OpenRoot(c.w.repo.dir); err != nil {
		return err
	}
	c.staging = stagingName
	if fi, err := c.root.Lstat(".git"); err == nil && fi.IsDir() {
		c.staging = ".git/movein-checkout.d"
	}
	if err := c.root.RemoveAll(c.staging); err != nil {
		return err
	}
	return c.root.Mkdir(c.staging, 0o777)
}

// unchanged makes sure that a path still is what it was when it was checked.
func (c *checkout) unchanged(name string) error {
	was := c.seen[name].info
	fi, err := c.root.Lstat(name)
	switch {
	case err != nil && errors.Is(err, fs.ErrNotExist):
		return nil // nothing to lose
	case err != nil:
		return err
	case was == nil, !os.SameFile(was, fi), !fi.IsDir() && !was.ModTime().Equal(fi.ModTime()), !fi.IsDir() && was.Size() != fi.Size():
		return fmt.Errorf("%s changed meanwhile", name)
	}
	return nil
}

func (c *checkout) remove(name string) error {
	if err := c.unchanged(name); err != nil {
		return err
	}
	if err := c.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	c.cut("delete " + name)
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		if c.root.Remove(dir) != nil { // it is not empty
			break
		}
		c.cut("rmdir " + dir)
	}
	return nil
}

// write puts one path of the target in place.
func (c *checkout) write(i int, name string) error {
	if err := c.makeDir(path.Dir(name)); err != nil {
		return err
	}
	e := c.target[name]
	if e.mode == filemode.Submodule {
		return c.makeDir(name)
	}
	temp := c.staging + "/" + strconv.Itoa(i)
	if err := c.create(temp, e); err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	c.cut("create " + name)
	if c.seen[name].place == aDirectory {
		if err := c.removeEmpty(name); err != nil {
			return err
		}
	} else if c.seen[name].place != behindLink { // else its parent has just been made
		if err := c.unchanged(name); err != nil {
			return err
		}
	}
	was, err := c.root.Lstat(temp)
	if err != nil {
		return err
	}
	if err := c.root.Rename(temp, name); err != nil {
		return err
	}
	c.cut("write " + name)
	fi, err := c.root.Lstat(name)
	if err == nil && os.SameFile(was, fi) && was.ModTime().Equal(fi.ModTime()) && was.Size() == fi.Size() {
		c.seen[name] = onDisk{gitEntry: e, place: aFile, info: fi}
	} else {
		c.seen[name] = onDisk{} // it has been edited already: the index must not vouch for it
	}
	return nil
}

// makeDir makes a directory and its parents; it goes through no symlink.
func (c *checkout) makeDir(dir string) error {
	if dir == "." {
		return nil
	}
	if fi, err := c.root.Lstat(dir); err == nil && fi.IsDir() {
		return c.makeDir(path.Dir(dir))
	}
	if err := c.makeDir(path.Dir(dir)); err != nil {
		return err
	}
	if err := c.root.Mkdir(dir, 0o777); err != nil {
		return err
	}
	c.cut("mkdir " + dir)
	return nil
}

// removeEmpty removes a directory in which there are only empty directories.
func (c *checkout) removeEmpty(dir string) error {
	entries, err := fs.ReadDir(c.root.FS(), dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !e.IsDir() {
			return fmt.Errorf("%s changed meanwhile", path.Join(dir, e.Name()))
		}
		if err := c.removeEmpty(path.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return c.root.Remove(dir)
}

// create writes a blob to a new file or symlink.
func (c *checkout) create(temp string, e gitEntry) error {
	blob, err := c.w.repo.store.EncodedObject(plumbing.BlobObject, e.hash)
	if err != nil {
		return fmt.Errorf("reading blob %s: %w", e.hash, err)
	}
	in, err := blob.Reader()
	if err != nil {
		return err
	}
	defer in.Close()
	if e.mode == filemode.Symlink {
		to, err := io.ReadAll(in)
		if err != nil {
			return err
		}
		return c.root.Symlink(string(to), temp)
	}
	perm := fs.FileMode(0o666)
	if e.mode == filemode.Executable {
		perm = 0o777
	}
	out, err := c.root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// writeIndex writes an index of the target, which vouches for what was seen on disk.
func (c *checkout) writeIndex() error {
	idx := &index.Index{Version: 2}
	for name, e := range c.target {
		entry := &index.Entry{Name: name, Mode: e.mode, Hash: e.hash}
		if d := c.seen[name]; d.place == aFile && d.gitEntry == e {
			vouch(entry, d.info)
		}
		idx.Entries = append(idx.Entries, entry)
	}
	b, err := c.w.repo.encodeIndex(idx, c.to)
	if err != nil {
		return fmt.Errorf("writing the index: %w", err)
	}
	temp := filepath.Join(c.w.repo.gitDir, "movein-index")
	f, err := os.Create(temp)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("writing the index: %w", err)
	}
	c.cut("new index")
	return os.Rename(temp, filepath.Join(c.w.repo.gitDir, "index"))
}

func vouch(e *index.Entry, fi fs.FileInfo) {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok || st.Mtim.Sec < 0 || st.Ctim.Sec < 0 { // the index has no times before 1970
		return
	}
	e.ModifiedAt, e.CreatedAt = fi.ModTime(), timeOf(st.Ctim)
	e.Dev, e.Inode, e.UID, e.GID = uint32(st.Dev), uint32(st.Ino), st.Uid, st.Gid
	e.Size = uint32(fi.Size())
}

// syncFileSystem makes everything written so far durable, on the file system that dir is on.
func syncFileSystem(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.Syncfs(int(f.Fd()))
}
