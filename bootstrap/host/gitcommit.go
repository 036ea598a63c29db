package host

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
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
	err = r.commit(ctx, c)
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
	if err := r.commit(ctx, c); err != nil {
		return fmt.Errorf("committing to %s: %w", dir, err)
	}
	return nil
}

// ErrDetached says that HEAD is on no branch.
var ErrDetached = errors.New("its HEAD is on no branch")

func (r *gitRepo) commit(ctx context.Context, c Commit) error {
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
		hash, err := r.put(plumbing.BlobObject, func(o plumbing.EncodedObject) error {
			w, err := o.Writer()
			if err == nil {
				_, err = w.Write(data)
			}
			return cmp.Or(err, w.Close())
		})
		if err != nil {
			return err
		}
		files[name] = gitEntry{cmp.Or(files[name].mode, filemode.Regular), hash}
	}
	tree, err := r.putTree(files, "")
	if err != nil {
		return err
	}
	who := object.Signature{Name: c.Name, Email: c.Email, When: c.When}
	made := &object.Commit{Author: who, Committer: who, Message: c.Message + "\n", TreeHash: tree}
	if !from.IsZero() {
		made.ParentHashes = []plumbing.Hash{from}
	}
	to, err := r.put(plumbing.CommitObject, made.Encode)
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

// put stores one object.
func (r *gitRepo) put(kind plumbing.ObjectType, encode func(plumbing.EncodedObject) error) (plumbing.Hash, error) {
	o := r.store.NewEncodedObject()
	o.SetType(kind)
	if err := encode(o); err != nil {
		return plumbing.ZeroHash, err
	}
	return r.store.SetEncodedObject(o)
}

// putTree stores the trees of the files below a directory, whose name ends in a slash or is empty.
func (r *gitRepo) putTree(files map[string]gitEntry, dir string) (plumbing.Hash, error) {
	entries := map[string]object.TreeEntry{}
	for name, e := range files {
		rest, ok := strings.CutPrefix(name, dir)
		if !ok {
			continue
		}
		base, _, isDir := strings.Cut(rest, "/")
		if _, known := entries[base]; known {
			continue
		}
		entry := object.TreeEntry{Name: base, Mode: e.mode, Hash: e.hash}
		if isDir {
			hash, err := r.putTree(files, path.Join(dir, base)+"/")
			if err != nil {
				return hash, err
			}
			entry.Mode, entry.Hash = filemode.Dir, hash
		}
		entries[base] = entry
	}
	sorted := slices.SortedFunc(maps.Values(entries), func(a, b object.TreeEntry) int { return strings.Compare(sortName(a), sortName(b)) })
	return r.put(plumbing.TreeObject, (&object.Tree{Entries: sorted}).Encode)
}

// sortName is by what git sorts: a directory's name as if it ended in a slash.
func sortName(e object.TreeEntry) string {
	if e.Mode == filemode.Dir {
		return e.Name + "/"
	}
	return e.Name
}

// InitRepo is InitRepo of the directory dir of this host.
func (r Real) InitRepo(ctx context.Context, dir string, c Commit) error {
	return InitRepo(ctx, r.path(dir), c)
}

// CommitFiles is CommitFiles to the work tree dir of this host.
func (r Real) CommitFiles(ctx context.Context, dir string, c Commit) error {
	return CommitFiles(ctx, r.path(dir), c)
}
