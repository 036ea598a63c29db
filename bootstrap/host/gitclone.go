package host

import (
	"context"
	"os"
	"path/filepath"
	"strconv"

	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/config"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/storage/filesystem"
)

// CloneMark is a file in each clone that movein made, and in no other.
const CloneMark = ".git/movein"

// cloneInto clones into an empty directory; depth 0 is everything.
func cloneInto(ctx context.Context, remote Remote, dir string, depth int, progress func(string)) error {
	w, err := dialGit(ctx, remote, true)
	if err != nil {
		return err
	}
	defer w.close()
	branch, tip, err := w.branch(remote.Branch)
	if err != nil {
		return err
	}
	if !w.shallow() {
		depth = 0
	}
	r, err := initGit(dir, BareURL(remote.URL), branch, depth > 0)
	if err != nil {
		return err
	}
	defer r.close()
	update, err := w.fetch(ctx, packRequest{want: tip, depth: depth, progress: progress}, r.store)
	if err != nil {
		return err
	}
	r.store.Reindex()
	shallow := map[plumbing.Hash]bool{}
	for _, h := range update.Shallows {
		shallow[h] = true
	}
	if err := r.setShallow(shallow); err != nil {
		return err
	}
	c, err := planCheckout(r, plumbing.ZeroHash, tip, func(string) {})
	if err != nil {
		return err
	}
	return c.apply(func() error {
		err := r.setRef(plumbing.NewRemoteReferenceName("origin", branch), tip)
		if err == nil {
			err = writeGitFile(r.gitDir, "refs/remotes/origin/HEAD", "ref: refs/remotes/origin/"+branch+"\n")
		}
		if err == nil {
			err = r.setRef(plumbing.NewBranchReferenceName(branch), tip)
		}
		if err == nil {
			err = writeGitFile(r.gitDir, filepath.Base(CloneMark), "movein made this clone: movein uninstall --home --purge may remove it.\n")
		}
		return err
	})
}

// initGit makes an empty repository on branch, with a remote "origin" unless url is
// empty. If it will be shallow, only that branch is to be fetched, for git would fetch
// the whole history of the others.
func initGit(dir, url, branch string, shallow bool) (*gitRepo, error) {
	store := filesystem.NewStorage(osfs.New(filepath.Join(dir, ".git")), cache.NewObjectLRUDefault())
	if err := store.Init(); err != nil {
		return nil, err
	}
	c := config.NewConfig()
	spec := config.RefSpec("+refs/heads/*:refs/remotes/origin/*")
	if shallow {
		spec = config.RefSpec("+refs/heads/" + branch + ":refs/remotes/origin/" + branch)
	}
	name := plumbing.NewBranchReferenceName(branch)
	if url != "" {
		c.Remotes["origin"] = &config.RemoteConfig{Name: "origin", URLs: []string{url}, Fetch: []config.RefSpec{spec}}
		c.Branches[branch] = &config.Branch{Name: branch, Remote: "origin", Merge: name}
	}
	c.Raw.SetOption("core", "", "repositoryformatversion", "0")
	c.Raw.SetOption("core", "", "filemode", strconv.FormatBool(keepsExecBits(dir)))
	c.Raw.SetOption("core", "", "logallrefupdates", "true")
	if err := store.SetConfig(c); err != nil {
		return nil, err
	}
	if err := store.SetReference(plumbing.NewSymbolicReference(plumbing.HEAD, name)); err != nil {
		return nil, err
	}
	return openGit(dir)
}

// keepsExecBits tries out whether the file system remembers exec bits, which those of Windows do not.
func keepsExecBits(dir string) bool {
	file := filepath.Join(dir, ".git", "movein-temp")
	defer os.Remove(file)
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		return true
	}
	before, err := os.Stat(file)
	if err != nil || os.Chmod(file, 0o700) != nil {
		return false
	}
	after, err := os.Stat(file)
	return err == nil && before.Mode()&0o100 == 0 && after.Mode()&0o100 != 0
}
