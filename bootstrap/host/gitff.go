package host

import (
	"context"
	"fmt"

	"github.com/go-git/go-git/v5/plumbing"
)

// FastForward moves the current branch, and the index and the work tree with it,
// forward to commit, which must be on the remote's branch. What is not here yet
// is fetched; if all of it is, there is no network traffic. An unborn branch is
// moved from nothing.
//
// Nothing of the work tree is changed if the branch has commits that the remote
// has not (ErrDiverged), if tracked files differ from HEAD (the error names
// them), if files that git does not track are where new ones would go, also ones
// that git ignores or that have the same content (*CollisionError), or if a
// directory of tracked files has been replaced by a symlink (the same, naming the link).
//
// If it is killed at any point, calling it again for the same or a later commit
// loses nothing and ends as if it had not been; see checkout.
//
// Blobs are written as they are: line ends are not converted, filters not run,
// submodules not updated.
func FastForward(ctx context.Context, dir string, r Remote, commit string) error {
	return fastForward(ctx, dir, r, commit, func(string) {})
}

func fastForward(ctx context.Context, dir string, remote Remote, commit string, cut func(at string)) error {
	r, err := openGit(dir)
	if err != nil {
		return err
	}
	defer r.close()
	if err := r.fastForward(ctx, remote, commit, cut); err != nil {
		return fmt.Errorf("updating %s: %w", dir, err)
	}
	return nil
}

func (r *gitRepo) fastForward(ctx context.Context, remote Remote, commit string, cut func(string)) error {
	if !plumbing.IsHash(commit) {
		return fmt.Errorf("%q is not a commit's name", commit)
	}
	to := plumbing.NewHash(commit)
	branch, from, err := r.head()
	if err != nil {
		return err
	}
	if branch == "" {
		return fmt.Errorf("HEAD is detached at %s", from)
	}
	if err := r.obtain(ctx, remote, from, to, cut); err != nil {
		return err
	}
	if pending, _ := r.interrupted(from); from == to && len(pending) == 0 {
		return r.unmark() // a run may have been killed when only that was left to do
	}
	c, err := planCheckout(r, from, to, cut)
	if err != nil {
		return err
	}
	name := plumbing.NewBranchReferenceName(branch)
	return c.apply(func() error { return r.moveBranch(name, from, to) })
}

func (r *gitRepo) moveBranch(name plumbing.ReferenceName, from, to plumbing.Hash) error {
	if now, err := r.ref(name); err != nil {
		return err
	} else if now != from {
		return fmt.Errorf("%s moved meanwhile", name)
	}
	return r.setRef(name, to)
}

// obtain makes sure that commit to is here and a descendant of from.
func (r *gitRepo) obtain(ctx context.Context, remote Remote, from, to plumbing.Hash, cut func(string)) error {
	if r.has(to) {
		switch a, err := r.ancestor(from, to); {
		case err != nil:
			return err
		case a == isAncestor:
			return nil
		case a == notAncestor:
			return ErrDiverged
		}
	}
	for _, depth := range []int{0, infiniteDepth} {
		if err := r.fetch(ctx, remote, from, depth, cut); err != nil {
			return err
		}
		if !r.has(to) {
			return fmt.Errorf("%s is not on the branch of %s", to, BareURL(remote.URL))
		}
		switch a, err := r.ancestor(from, to); {
		case err != nil:
			return err
		case a == isAncestor:
			return nil
		case a == notAncestor:
			return ErrDiverged
		}
	}
	return fmt.Errorf("the history of %s is too short to tell whether it follows %s", to, from)
}

// fetch gets the remote's branch, with its history back to what is here, or
// whole if depth is infinite.
func (r *gitRepo) fetch(ctx context.Context, remote Remote, from plumbing.Hash, depth int, cut func(string)) error {
	w, err := dialGit(ctx, remote, true)
	if err != nil {
		return err
	}
	defer w.close()
	branch, tip, err := w.branch(remote.Branch)
	if err != nil {
		return err
	}
	req := packRequest{want: tip, depth: depth}
	tracking := plumbing.NewRemoteReferenceName("origin", branch)
	for _, h := range []plumbing.Hash{from, r.refOrZero(tracking)} {
		if !h.IsZero() && r.has(h) {
			req.haves = append(req.haves, h)
		}
	}
	for h := range r.shallow {
		req.shallows = append(req.shallows, h)
	}
	if !w.shallow() {
		// Haves without shallows would claim history that is not here.
		req.depth = 0
		if len(req.shallows) > 0 || depth > 0 {
			req.haves, req.shallows = nil, nil
		}
	}
	if depth == 0 && r.has(tip) {
		return nil
	}
	update, err := w.fetch(ctx, req, r.store)
	if err != nil {
		return err
	}
	r.store.Reindex()
	cut("fetch")
	shallow := map[plumbing.Hash]bool{}
	for h := range r.shallow {
		shallow[h] = true
	}
	for _, h := range update.Shallows {
		shallow[h] = true
	}
	for _, h := range update.Unshallows {
		delete(shallow, h)
	}
	if !w.shallow() {
		shallow = r.stillShallow(shallow)
	}
	if err := r.setShallow(shallow); err != nil {
		return err
	}
	cut("shallow")
	return r.setRef(tracking, tip)
}

// stillShallow keeps those commits of which a parent is missing.
func (r *gitRepo) stillShallow(commits map[plumbing.Hash]bool) map[plumbing.Hash]bool {
	out := map[plumbing.Hash]bool{}
	for h := range commits {
		if !r.hasParents(h) {
			out[h] = true
		}
	}
	return out
}

func (r *gitRepo) refOrZero(name plumbing.ReferenceName) plumbing.Hash {
	h, err := r.ref(name)
	if err != nil {
		return plumbing.ZeroHash
	}
	return h
}

// Attach puts a detached HEAD on a local branch: at once if the branch is at
// HEAD's commit; if it is ahead of it, the work tree is brought there as by
// FastForward, with the same errors. ErrDiverged if the commit is not on the
// branch. A HEAD that is on the branch already is left alone.
func Attach(ctx context.Context, dir, branch string) error {
	return attach(ctx, dir, branch, func(string) {})
}

func attach(ctx context.Context, dir, branch string, cut func(string)) error {
	r, err := openGit(dir)
	if err != nil {
		return err
	}
	defer r.close()
	if err := r.attach(ctx, branch, cut); err != nil {
		return fmt.Errorf("putting %s on branch %s: %w", dir, branch, err)
	}
	return nil
}

func (r *gitRepo) attach(ctx context.Context, branch string, cut func(string)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	name := plumbing.NewBranchReferenceName(branch)
	on, from, err := r.head()
	if err != nil {
		return err
	}
	if on == branch {
		return nil
	}
	if on != "" {
		return fmt.Errorf("HEAD is on branch %s", on)
	}
	to, err := r.ref(name)
	if err != nil {
		return err
	}
	if to.IsZero() {
		return fmt.Errorf("there is no such branch")
	}
	if a, err := r.ancestor(from, to); err != nil {
		return err
	} else if a != isAncestor {
		return ErrDiverged
	}
	if from == to {
		return r.setHead(name)
	}
	c, err := planCheckout(r, from, to, cut)
	if err != nil {
		return err
	}
	return c.apply(func() error { return r.setHead(name) })
}
