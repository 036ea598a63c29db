package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
)

const (
	maxDirty     = 20
	maxUntracked = 100
)

// RepoState reads the repository whose work tree is dir. It reads no file that
// the index vouches for, so that it takes milliseconds.
//
// Files that an interrupted FastForward or Attach has already brought to the new
// commit are not told as dirty or untracked. Submodules are not looked into, nor
// are filters of .gitattributes run: a filtered file is dirty if it was touched
// since git last refreshed its index.
//
// Errors: fs.ErrNotExist if dir does not exist, ErrNotRepo if it is something
// else, anything else if the repository is damaged or of a kind that cannot be read.
func RepoState(ctx context.Context, dir string) (Repo, error) {
	return (*Sight)(nil).repoState(ctx, dir)
}

func (s *Sight) repoState(ctx context.Context, dir string) (Repo, error) {
	if err := ctx.Err(); err != nil {
		return Repo{}, err
	}
	r, err := openGit(dir)
	if err != nil {
		return Repo{}, err
	}
	defer r.close()
	if r.gitDir == r.dir {
		return Repo{}, fmt.Errorf("reading %s: %w: it has no work tree", dir, ErrNotRepo)
	}
	out, err := r.state(s.list)
	if err != nil {
		return Repo{}, fmt.Errorf("reading the repository in %s: %w", dir, err)
	}
	return out, nil
}

func (r *gitRepo) state(read lister) (out Repo, err error) {
	branch, head, err := r.head()
	if err != nil {
		return out, err
	}
	out.Branch = branch
	if remote := r.config.Remotes["origin"]; remote != nil && len(remote.URLs) > 0 {
		out.URL = BareURL(remote.URLs[0])
	}
	if commits, _ := r.interrupted(head); len(commits) > 0 {
		out.Interrupted = commits[len(commits)-1].String()
	}
	out.Submodules = exists(filepath.Join(r.dir, ".gitmodules"))
	if !head.IsZero() {
		out.Commit = head.String()
		if branch == "" {
			out.Branches, err = r.branchesWith(head)
		} else {
			out.Ahead, err = r.ahead(branch, head)
		}
		if err != nil {
			return out, err
		}
	}
	out.Dirty, out.Untracked, err = r.changes(head, read)
	return out, err
}

// changes compares the work tree with HEAD.
func (r *gitRepo) changes(head plumbing.Hash, read lister) (dirty, untracked []string, err error) {
	w, err := readWorkTree(r)
	if err != nil {
		return nil, nil, err
	}
	w.read = read
	tree, err := w.headTree(head)
	if err != nil {
		return nil, nil, err
	}
	_, also := r.interrupted(head)
	diffs, err := w.differences(tree, also, maxDirty)
	if err != nil {
		return nil, nil, err
	}
	for _, d := range diffs {
		dirty = append(dirty, d.path)
	}
	known := func(name string, isDir bool) bool {
		if isDir {
			return w.staged(name).mode == filemode.Submodule
		}
		if w.index[name] != nil || w.conflicts[name] {
			return true
		}
		for _, t := range also {
			if e, ok := t[name]; ok {
				d, err := w.look(name)
				return err == nil && d.matches(e)
			}
		}
		return false
	}
	untracked, err = w.untracked(known, maxUntracked)
	return dirty, untracked, err
}

// branchesWith lists the local branches that contain a commit.
func (r *gitRepo) branchesWith(commit plumbing.Hash) ([]string, error) {
	refs, err := r.store.IterReferences()
	if err != nil {
		return nil, err
	}
	var names []string
	err = refs.ForEach(func(ref *plumbing.Reference) error {
		if !ref.Name().IsBranch() || ref.Type() != plumbing.HashReference {
			return nil
		}
		a, err := r.ancestor(commit, ref.Hash())
		if a == isAncestor {
			names = append(names, ref.Name().Short())
		}
		return err
	})
	slices.Sort(names)
	return names, err
}

// ahead tells whether HEAD has commits that its upstream, as last fetched, has
// not. False if there is no upstream, or if the history here is too short to tell.
func (r *gitRepo) ahead(branch string, head plumbing.Hash) (bool, error) {
	upstream := plumbing.NewRemoteReferenceName("origin", branch)
	if b := r.config.Branches[branch]; b != nil && b.Remote != "" && b.Merge.IsBranch() {
		upstream = plumbing.NewRemoteReferenceName(b.Remote, b.Merge.Short())
	}
	there, err := r.ref(upstream)
	if err != nil || there.IsZero() || there == head {
		return false, err
	}
	a, err := r.ancestor(head, there)
	return a == notAncestor, err
}

// markName is a file in the git directory that exists while a checkout is under
// way: the commit it began at, then the commits it was to end at, the last tried
// last, one in a line.
const markName = "movein-checkout"

// interrupted returns the commits to which a checkout, begun at head, has not
// been finished, and their trees. A mark that began elsewhere says nothing.
func (r *gitRepo) interrupted(head plumbing.Hash) (commits []plumbing.Hash, trees []map[string]gitEntry) {
	b, err := os.ReadFile(filepath.Join(r.gitDir, markName))
	if err != nil {
		return nil, nil
	}
	lines := strings.Fields(string(b))
	if len(lines) < 2 || plumbing.NewHash(lines[0]) != head {
		return nil, nil
	}
	for _, line := range lines[1:] {
		h := plumbing.NewHash(line)
		if t, err := r.tree(h); err == nil {
			commits, trees = append(commits, h), append(trees, t)
		}
	}
	return commits, trees
}

// unmark removes the mark of a checkout that has ended, if there is one.
func (r *gitRepo) unmark() error {
	err := os.Remove(filepath.Join(r.gitDir, markName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// writeGitFile writes a file below a git directory whole or not at all.
func writeGitFile(dir, name, content string) error {
	file := filepath.Join(dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
		return err
	}
	temp := filepath.Join(dir, "movein-temp")
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o666)
	if err != nil {
		return err
	}
	_, err = f.WriteString(content)
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(temp, file)
	}
	if err == nil {
		err = syncFile(filepath.Dir(file))
	}
	return err
}

// setRef moves a branch or another reference.
func (r *gitRepo) setRef(name plumbing.ReferenceName, to plumbing.Hash) error {
	if err := name.Validate(); err != nil {
		return fmt.Errorf("%q: %w", name, err)
	}
	return writeGitFile(r.commonDir, name.String(), to.String()+"\n")
}

// setHead makes HEAD name a branch.
func (r *gitRepo) setHead(branch plumbing.ReferenceName) error {
	return writeGitFile(r.gitDir, "HEAD", "ref: "+branch.String()+"\n")
}

// setShallow replaces the list of commits whose parents are not here.
func (r *gitRepo) setShallow(commits map[plumbing.Hash]bool) error {
	r.shallow = commits
	var lines []string
	for h := range commits {
		lines = append(lines, h.String()+"\n")
	}
	slices.Sort(lines)
	if len(lines) == 0 {
		err := os.Remove(filepath.Join(r.commonDir, "shallow"))
		if os.IsNotExist(err) {
			return nil
		}
		return err
	}
	return writeGitFile(r.commonDir, "shallow", strings.Join(lines, ""))
}
