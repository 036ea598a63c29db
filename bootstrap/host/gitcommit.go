package host

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"golang.org/x/sys/unix"
)

// Commit is what is to be committed: files by their slash-separated names, and who says what of it.
type Commit struct {
	Files       map[string][]byte
	Name, Email string
	When        time.Time
	Message     string
}

// InitRepo makes dir a git repository, on the branch main, whose one commit has
// the files: in a directory beside it, renamed when it is complete and durable.
// dir must not exist or be an empty directory; a symlink to one is followed.
// Errors are those of package os.
func InitRepo(ctx context.Context, dir string, c Commit) error {
	err := initRepo(ctx, dir, c)
	if err != nil {
		return fmt.Errorf("making the repository %s: %w", dir, err)
	}
	return nil
}

func initRepo(ctx context.Context, dir string, c Commit) error {
	dir, perm, err := emptyTarget(dir)
	if err != nil {
		return err
	}
	staging, err := newStaging(dir, perm)
	if err != nil {
		return err
	}
	defer os.RemoveAll(staging) // gone already if all went well
	r, err := initGit(staging, "", "main", false)
	if err != nil {
		return err
	}
	err = r.record(ctx, c)
	r.close()
	if err == nil {
		err = syncFileSystem(staging)
	}
	if err == nil {
		err = unix.Rename(staging, dir) // os.Rename would refuse an empty directory
	}
	if err == nil {
		err = syncFile(filepath.Dir(dir))
	}
	return err
}

// CommitFiles adds a commit to the branch of the clean work tree dir that writes
// the files, over those of their names, and touches no other. Nothing is changed
// when tracked files differ from HEAD, when it is detached (ErrDetached), or when a
// file that git does not track would be overwritten (*CollisionError). It may be
// killed at any time, and begun again.
func CommitFiles(ctx context.Context, dir string, c Commit) error {
	r, err := openGit(dir)
	if err != nil {
		return err
	}
	defer r.close()
	if err := r.record(ctx, c); err != nil {
		return fmt.Errorf("committing to %s: %w", dir, err)
	}
	return nil
}

// ErrDetached says that HEAD is on no branch.
var ErrDetached = errors.New("its HEAD is on no branch")

func (r *gitRepo) record(ctx context.Context, c Commit) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	branch, from, err := r.head()
	if err != nil {
		return err
	}
	if branch == "" {
		return ErrDetached
	}
	files, err := r.committable(from, c)
	if err != nil {
		return err
	}
	for name, data := range c.Files {
		hash, err := r.put(plumbing.BlobObject, data)
		if err != nil {
			return err
		}
		files[name] = gitEntry{cmp.Or(files[name].mode, filemode.Regular), hash}
	}
	tree, err := r.putTree(files, "")
	if err != nil {
		return err
	}
	text := fmt.Sprintf("tree %s\n", tree)
	if !from.IsZero() {
		text += fmt.Sprintf("parent %s\n", from)
	}
	who := fmt.Sprintf("%s <%s> %d %s", identity(c.Name), identity(c.Email), c.When.Unix(), c.When.Format("-0700"))
	text += fmt.Sprintf("author %s\ncommitter %[1]s\n\n%s\n", who, c.Message)
	to, err := r.put(plumbing.CommitObject, []byte(text))
	if err != nil {
		return err
	}
	checkout, err := planCheckout(r, from, to, func(string) {})
	if err != nil {
		return err
	}
	return checkout.apply(func() error { return r.moveBranch(plumbing.NewBranchReferenceName(branch), from, to) })
}

// committable is the tree of HEAD's commit, if what is to be committed loses nothing.
// It is looked at again when it is checked out; this is before anything is written.
func (r *gitRepo) committable(head plumbing.Hash, c Commit) (map[string]gitEntry, error) {
	clean, err := planCheckout(r, head, head, func(string) {})
	if err != nil {
		return nil, err
	}
	clean.unlock()
	files, err := r.tree(head)
	var inTheWay []string
	for _, name := range slices.Sorted(maps.Keys(c.Files)) {
		if _, tracked := files[name]; !tracked && exists(filepath.Join(r.dir, name)) {
			inTheWay = append(inTheWay, name)
		}
	}
	if len(inTheWay) > 0 {
		return nil, &CollisionError{Dir: r.dir, Files: inTheWay}
	}
	return files, err
}

// identity is a name or an address as a commit can have it.
func identity(s string) string { return strings.NewReplacer("<", "", ">", "", "\n", " ").Replace(s) }

// put stores one object.
func (r *gitRepo) put(kind plumbing.ObjectType, data []byte) (plumbing.Hash, error) {
	o := r.store.NewEncodedObject()
	o.SetType(kind)
	w, err := o.Writer()
	if err != nil {
		return plumbing.ZeroHash, err
	}
	if _, err := w.Write(data); err != nil {
		return plumbing.ZeroHash, err
	}
	if err := w.Close(); err != nil {
		return plumbing.ZeroHash, err
	}
	return r.store.SetEncodedObject(o)
}

// putTree stores the trees of the files below a directory, whose name ends in a slash or is empty.
func (r *gitRepo) putTree(files map[string]gitEntry, dir string) (plumbing.Hash, error) {
	entries := map[string]gitEntry{} // by the name that git sorts by: a directory's ends in a slash
	for name, e := range files {
		rest, ok := strings.CutPrefix(name, dir)
		base, _, isDir := strings.Cut(rest, "/")
		if !ok {
			continue
		}
		if isDir {
			base, e = base+"/", entries[base+"/"]
		}
		if isDir && e.hash.IsZero() {
			hash, err := r.putTree(files, dir+base)
			if err != nil {
				return hash, err
			}
			e = gitEntry{filemode.Dir, hash}
		}
		entries[base] = e
	}
	var data []byte
	for _, name := range slices.Sorted(maps.Keys(entries)) {
		e := entries[name]
		data = fmt.Appendf(data, "%o %s\x00", uint32(e.mode), strings.TrimSuffix(name, "/"))
		data = append(data, e.hash[:]...)
	}
	return r.put(plumbing.TreeObject, data)
}

// InitRepo is InitRepo of the directory dir of this host.
func (r *Real) InitRepo(ctx context.Context, dir string, c Commit) error {
	return InitRepo(ctx, r.path(dir), c)
}

// CommitFiles is CommitFiles to the work tree dir of this host.
func (r *Real) CommitFiles(ctx context.Context, dir string, c Commit) error {
	return CommitFiles(ctx, r.path(dir), c)
}
