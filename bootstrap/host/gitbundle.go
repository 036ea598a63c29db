package host

import (
	"bufio"
	"context"
	"crypto/sha1" //nolint:gosec // what git ends its packs with
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"syscall"

	"github.com/go-git/go-git/v5/plumbing"
	"golang.org/x/sys/unix"
)

// Bundle writes what the repository of the work tree dir holds to one new file, mode
// 0600, in the existing directory into, and returns its name. The file is a git
// bundle (gitformat-bundle(5)) of HEAD, all references (branches, tags,
// remote-tracking branches, notes, the stash) and everything that can be reached
// from them. Older stashes, which only the reflog names, are refs/movein/stash/1
// and so on. Not in it: what was not committed, the index, ignored files,
// configuration, what only another reflog names, HEAD of other work trees, the
// repositories of submodules.
//
// To have it back:
//
//	git clone FILE DIR                                     # branches and tags
//	git -C DIR fetch FILE '+refs/*:refs/rescued/*'         # everything
//	git -C DIR stash apply refs/rescued/stash
//
// The history of a shallow clone ends at some commits, whose parents the bundle
// then has as prerequisites. A repository that has those takes it as it is:
//
//	git clone URL DIR && git -C DIR fetch FILE '+refs/*:refs/rescued/*'
//
// Where there is no such repository any more, all that the shallow clone had is
// taken from the file alone (with GNU sed; SHA-256 needs git init --object-format=sha256).
// Each prerequisite is "-PARENT COMMITS", so the file knows where its history ends:
//
//	git init DIR && cd DIR
//	sed -n '/^$/q; s/^-[0-9a-f]* //p' FILE | tr ' ' '\n' | sort -u >.git/shallow
//	sed '1,/^$/{/^-/d;}' FILE >../whole.bundle
//	git fetch ../whole.bundle '+refs/*:refs/rescued/*'
//	git checkout -B main refs/rescued/heads/main
//
// The name is NAME-DIGEST.bundle: the last of dir, and 12 hex digits over the
// references and where history ends, so that the same commits have the same name.
// If a file of reuse has that name, says the same and is whole, nothing is
// written: it is linked or, where links cannot be, its blocks are shared, if both
// are on one file system. Nobody may change a bundle afterwards.
//
// What go-git cannot read is bundled by the program git, which then runs no
// programs and fetches nothing.
//
// Errors: fs.ErrNotExist if dir does not exist; ErrNotRepo if it is no work tree;
// ErrNoCommits if there is no reference yet; ErrNeedsGit if only the program git,
// which is not here, could read it; *DamagedRepoError if something is missing
// (also in a partial clone) or not what it was; those of package os, with
// syscall.ENOSPC if there is no space; the context's. Nothing is left in into
// then. dir is never changed.
func Bundle(ctx context.Context, dir, into string, reuse []string) (file string, err error) {
	file, err = bundleRepo(ctx, dir, into, reuse, openBundle)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, plumbing.ErrObjectNotFound) {
		file, err = bundleRepo(ctx, dir, into, reuse, openBundle) // a `git gc` may have put it elsewhere meanwhile
	}
	if errors.Is(err, ErrNeedsGit) {
		if _, looking := exec.LookPath("git"); looking == nil {
			file, err = bundleRepo(ctx, dir, into, reuse, openBundleByGit)
		}
	}
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx) // rather than how the program git ended
		}
		return "", fmt.Errorf("bundling %s: %w", dir, err)
	}
	return file, nil
}

// gitBundle is what a bundle is made of.
type gitBundle struct {
	format  string   // of object names: "sha1", "sha256"
	refs    []string // "OID NAME"
	shallow []string // OIDs of commits whose parents are not there, as .git/shallow has them
	packer
}

// packer makes the pack in a bundle.
type packer interface {
	// plan finds everything that goes in, and returns the lines of prerequisites.
	plan(ctx context.Context) ([]string, error)
	// write writes the pack. It is called once, after plan.
	write(ctx context.Context, f *os.File) error
	close()
}

func bundleRepo(ctx context.Context, dir, into string, reuse []string, open func(context.Context, string) (*gitBundle, error)) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	b, err := open(ctx, dir)
	if err != nil {
		return "", err
	}
	defer b.close()
	if len(b.refs) == 0 {
		return "", ErrNoCommits
	}
	sort.Slice(b.refs, func(i, j int) bool { return refName(b.refs[i]) < refName(b.refs[j]) })
	slices.Sort(b.shallow)
	file := filepath.Join(into, b.name(dir))
	if b.isIn(ctx, file) {
		return file, nil
	}
	for _, old := range reuse {
		if filepath.Base(old) == filepath.Base(file) && b.isIn(ctx, old) && shareFile(old, file) == nil {
			return file, nil
		}
	}
	prerequisites, err := b.plan(ctx)
	if err != nil {
		return "", err
	}
	return file, replaceFile(file, 0o600, func(f *os.File) error {
		if _, err := f.WriteString(b.header(prerequisites)); err != nil {
			return err
		}
		return b.write(ctx, f)
	})
}

func refName(line string) string {
	_, name, _ := strings.Cut(line, " ")
	return name
}

// name is the name of the file.
func (b *gitBundle) name(dir string) string {
	digest := sha256.New()
	fmt.Fprintln(digest, b.format)
	for _, line := range b.refs {
		fmt.Fprintln(digest, line)
	}
	for _, commit := range b.shallow {
		fmt.Fprintln(digest, "shallow", commit)
	}
	base := strings.TrimLeft(filepath.Base(filepath.Clean(dir)), "./")
	return orElse(base, "repository") + "-" + hex.EncodeToString(digest.Sum(nil))[:12] + ".bundle"
}

// signature is the first lines. Only version 3 can tell the format of object names.
func (b *gitBundle) signature() string {
	if b.format == "sha1" {
		return "# v2 git bundle\n"
	}
	return "# v3 git bundle\n@object-format=" + b.format + "\n"
}

func (b *gitBundle) header(prerequisites []string) string {
	lines := append(slices.Clone(prerequisites), b.refs...)
	return b.signature() + strings.Join(lines, "\n") + "\n\n"
}

// newHash is the digest that packs end with.
func (b *gitBundle) newHash() hash.Hash {
	if b.format == "sha1" {
		return sha1.New()
	}
	return sha256.New()
}

// isIn tells whether file is this bundle, whole, and readable by its owner only.
func (b *gitBundle) isIn(ctx context.Context, file string) bool {
	f, err := os.OpenFile(file, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return false
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() || info.Mode().Perm() != 0o600 {
		return false
	}
	in := bufio.NewReaderSize(ctxReader{ctx, f}, 1<<16)
	var said strings.Builder
	size := info.Size()
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return false
		}
		size -= int64(len(line))
		if line == "\n" {
			break
		}
		if !strings.HasPrefix(line, "-") {
			said.WriteString(line)
		}
	}
	if said.String()+"\n" != b.header(nil) {
		return false
	}
	sum := b.newHash()
	if _, err := io.CopyN(sum, in, size-int64(sum.Size())); err != nil {
		return false
	}
	end, err := io.ReadAll(in)
	return err == nil && string(end) == string(sum.Sum(nil))
}

// shareFile makes to another name of the file from, or a file that shares its blocks.
func shareFile(from, to string) error {
	if os.Link(from, to) == nil {
		return syncDir(filepath.Dir(to))
	}
	f, err := os.Open(from)
	if err != nil {
		return err
	}
	defer f.Close()
	return replaceFile(to, 0o600, func(t *os.File) error { return unix.IoctlFileClone(int(t.Fd()), int(f.Fd())) })
}

// ctxReader is a reader that ends with its context.
type ctxReader struct {
	ctx context.Context
	r   io.Reader
}

func (c ctxReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

// readShallow reads .git/shallow.
func readShallow(commonDir string) ([]string, error) {
	b, err := os.ReadFile(filepath.Join(commonDir, "shallow"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return strings.Fields(string(b)), err
}

// inWorkTree refuses a bare repository.
func inWorkTree(dir string) error {
	if !exists(filepath.Join(dir, ".git")) {
		return fmt.Errorf("%w: it has no work tree", ErrNotRepo)
	}
	return nil
}
