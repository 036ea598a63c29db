package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-git/go-billy/v5"
	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/config"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/storage/filesystem"
	"github.com/go-git/go-git/v5/storage/filesystem/dotgit"
)

// ErrNeedsGit ends the text of an error: a repository is of a kind that only the program git reads.
var ErrNeedsGit = errors.New("which needs the git program")

// errSHA256 says that go-git cannot read a repository.
var errSHA256 = fmt.Errorf("its object names are SHA-256, %w", ErrNeedsGit)

// gitRepo is an open repository. It is not safe for concurrent use.
type gitRepo struct {
	dir       string // work tree, or the repository itself if it is bare
	gitDir    string // HEAD and the index are here
	commonDir string // branches and objects are here; differs in a linked work tree only
	store     *filesystem.Storage
	config    *config.Config
	shallow   map[plumbing.Hash]bool // commits whose parents are not here
}

// openGit opens the repository whose work tree is dir, or the bare repository
// dir. ErrNotRepo if there is none; a repository above dir does not count.
func openGit(dir string) (*gitRepo, error) {
	if fi, err := os.Stat(dir); err != nil {
		return nil, err
	} else if !fi.IsDir() {
		return nil, fmt.Errorf("reading %s: %w", dir, ErrNotRepo)
	}
	r := &gitRepo{dir: dir}
	if err := r.findGitDir(); err != nil {
		return nil, err
	}
	if err := r.findCommonDir(); err != nil {
		return nil, err
	}
	var common billy.Filesystem
	if r.commonDir != r.gitDir {
		common = osfs.New(r.commonDir)
	}
	r.store = filesystem.NewStorageWithOptions(
		dotgit.NewRepositoryFilesystem(osfs.New(r.gitDir), common),
		cache.NewObjectLRUDefault(),
		filesystem.Options{KeepDescriptors: true, AlternatesFS: osfs.New("/")})
	if err := r.check(); err != nil {
		r.close()
		return nil, fmt.Errorf("reading the repository in %s: %w", dir, err)
	}
	return r, nil
}

func (r *gitRepo) close() { r.store.Close() }

func (r *gitRepo) findGitDir() error {
	dot := filepath.Join(r.dir, ".git")
	fi, err := os.Stat(dot)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if !exists(filepath.Join(r.dir, "HEAD")) || !exists(filepath.Join(r.dir, "objects")) {
			return fmt.Errorf("reading %s: %w", r.dir, ErrNotRepo)
		}
		r.gitDir = r.dir
	case err != nil:
		return err
	case fi.IsDir():
		r.gitDir = dot
	default:
		b, err := os.ReadFile(dot)
		if err != nil {
			return err
		}
		to, ok := strings.CutPrefix(strings.TrimSpace(string(b)), "gitdir: ")
		if !ok {
			return fmt.Errorf("reading %s: it names no repository", dot)
		}
		r.gitDir = absFrom(r.dir, to)
	}
	return nil
}

func (r *gitRepo) findCommonDir() error {
	r.commonDir = r.gitDir
	b, err := os.ReadFile(filepath.Join(r.gitDir, "commondir"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	r.commonDir = absFrom(r.gitDir, strings.TrimSpace(string(b)))
	return err
}

// check refuses what go-git would misread, and reads what is always needed.
func (r *gitRepo) check() (err error) {
	if r.config, err = r.store.Config(); err != nil {
		return err
	}
	if err := checkFormat(r.config); err != nil {
		return err
	}
	if _, err := r.store.Reference(plumbing.HEAD); errors.Is(err, plumbing.ErrReferenceNotFound) {
		return errors.New("it has no HEAD")
	} else if err != nil {
		return fmt.Errorf("reading HEAD: %w", err)
	}
	shallow, err := r.store.Shallow()
	r.shallow = map[plumbing.Hash]bool{}
	for _, h := range shallow {
		r.shallow[h] = true
	}
	return err
}

// checkFormat refuses extensions (gitrepository-layout(5), git-config(1)) that change how a repository is read.
func checkFormat(c *config.Config) error {
	for _, o := range c.Raw.Section("extensions").Options {
		key, value := strings.ToLower(o.Key), strings.ToLower(o.Value)
		switch key {
		case "noop", "noop-v1", "preciousobjects", "partialclone", "worktreeconfig", "relativeworktrees":
		case "objectformat":
			if value != "sha1" {
				return errSHA256
			}
		case "refstorage":
			if value != "files" {
				return fmt.Errorf("its references are stored as %s, %w", value, ErrNeedsGit)
			}
		default:
			return fmt.Errorf("it has the extension %s, %w", o.Key, ErrNeedsGit)
		}
	}
	return nil
}

// head returns the branch that HEAD names, "" if it is detached, and the commit, zero if there is none yet.
func (r *gitRepo) head() (branch string, commit plumbing.Hash, err error) {
	ref, err := r.store.Reference(plumbing.HEAD)
	if err != nil {
		return "", commit, err
	}
	if ref.Type() == plumbing.HashReference {
		return "", ref.Hash(), nil
	}
	if !ref.Target().IsBranch() {
		return "", commit, fmt.Errorf("HEAD names %s, which is no branch", ref.Target())
	}
	commit, err = r.ref(ref.Target())
	return ref.Target().Short(), commit, err
}

// ref returns what a reference points at, zero if it does not exist.
func (r *gitRepo) ref(name plumbing.ReferenceName) (plumbing.Hash, error) {
	ref, err := r.store.Reference(name)
	if errors.Is(err, plumbing.ErrReferenceNotFound) {
		// An empty file, as a power cut leaves it, must not pass for a branch without a commit.
		if fi, err := os.Stat(filepath.Join(r.commonDir, name.String())); err == nil && !fi.IsDir() {
			return plumbing.ZeroHash, fmt.Errorf("%s is empty or damaged", name)
		}
		return plumbing.ZeroHash, nil
	}
	if err != nil {
		return plumbing.ZeroHash, err
	}
	if ref.Type() != plumbing.HashReference {
		return plumbing.ZeroHash, fmt.Errorf("%s is not a commit", name)
	}
	if ref.Hash().IsZero() {
		return plumbing.ZeroHash, fmt.Errorf("%s is empty or damaged", name)
	}
	return ref.Hash(), nil
}

// has tells whether the commit itself is here.
func (r *gitRepo) has(commit plumbing.Hash) bool {
	_, err := r.commit(commit)
	return err == nil
}

// hasParents tells whether a commit and all its parents are here.
func (r *gitRepo) hasParents(commit plumbing.Hash) bool {
	c, err := r.commit(commit)
	if err != nil {
		return false
	}
	for _, p := range c.parents {
		if !r.has(p) {
			return false
		}
	}
	return true
}

// ancestry is what is known of two commits.
type ancestry int

const (
	isAncestor ancestry = iota
	notAncestor
	unknownAncestry // the history ends, shallow, before it is decided
)

// ancestor asks whether old is new or an ancestor of it.
func (r *gitRepo) ancestor(old, new plumbing.Hash) (ancestry, error) {
	if old.IsZero() {
		return isAncestor, nil
	}
	found, cut, err := r.history(new, old)
	if err != nil {
		return unknownAncestry, err
	}
	if found[old] {
		return isAncestor, nil
	}
	if len(cut) == 0 {
		return notAncestor, nil
	}
	// Where history was cut at an ancestor of old, old cannot be behind the cut.
	before, _, err := r.history(old, plumbing.ZeroHash)
	for _, h := range cut {
		if err == nil && !before[h] {
			return unknownAncestry, nil
		}
	}
	return notAncestor, err
}

// history returns the commits that can be reached from one, itself included,
// until stop is found, and those of them whose parents are not here.
func (r *gitRepo) history(from, stop plumbing.Hash) (seen map[plumbing.Hash]bool, cut []plumbing.Hash, err error) {
	seen = map[plumbing.Hash]bool{from: true}
	for todo := []plumbing.Hash{from}; len(todo) > 0 && !seen[stop]; todo = todo[1:] {
		c, err := r.commit(todo[0])
		if err != nil {
			return nil, nil, err
		}
		if r.shallow[todo[0]] {
			cut = append(cut, todo[0])
			continue
		}
		for _, p := range c.parents {
			if !seen[p] {
				seen[p] = true
				todo = append(todo, p)
			}
		}
	}
	return seen, cut, nil
}

func exists(name string) bool {
	_, err := os.Lstat(name)
	return err == nil
}

func absFrom(dir, name string) string {
	if filepath.IsAbs(name) {
		return filepath.Clean(name)
	}
	return filepath.Join(dir, name)
}
