package host

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
)

// ErrHasVault says that a repository has a KeePass vault, or the key of one, in its history.
var ErrHasVault = errors.New("it has a vault")

// BundleBranch makes file a git bundle, as Bundle's are, of HEAD and its branch alone: no
// other branch, tag or stash. Errors: those of Bundle; ErrHasVault; ErrNoBranch if HEAD is on none.
func BundleBranch(ctx context.Context, dir, file string) error {
	err := bundleBranch(ctx, dir, file)
	if err != nil {
		return fmt.Errorf("bundling %s: %w", dir, err)
	}
	return nil
}

func bundleBranch(ctx context.Context, dir, file string) error {
	r, err := openGit(dir)
	if err != nil {
		return err
	}
	p := &repoPacker{gitRepo: r, named: noVault}
	defer p.close()
	branch, commit, err := r.head()
	switch {
	case err != nil:
		return err
	case branch == "":
		return fmt.Errorf("%w: HEAD is detached", ErrNoBranch)
	case commit.IsZero():
		return ErrNoCommits
	}
	p.tips = []plumbing.Hash{commit}
	b := &gitBundle{format: "sha1", refs: []string{commit.String() + " HEAD", commit.String() + " refs/heads/" + branch}, packer: p}
	prerequisites, err := p.plan(ctx)
	if err != nil {
		return err
	}
	return replaceFile(file, 0o600, func(f *os.File) error {
		if _, err := f.WriteString(b.header(prerequisites)); err != nil {
			return err
		}
		return p.write(ctx, f)
	})
}

func noVault(name string) error {
	if slices.Contains([]string{".kdbx", ".kdb", ".keyx"}, strings.ToLower(path.Ext(name))) {
		return fmt.Errorf("%w: %s", ErrHasVault, name)
	}
	return nil
}

// bundleRemote is the upload-pack of what BundleBranch wrote.
type bundleRemote struct {
	file    *os.File
	pack    io.Reader
	refs    *packp.AdvRefs
	shallow []plumbing.Hash // commits whose parents are not in it
}

func openBundleRemote(name string) (uploadPack, error) {
	f, err := openRegular(name)
	if err != nil {
		return nil, err
	}
	b := &bundleRemote{file: f, refs: packp.NewAdvRefs()}
	if err := b.head(); err != nil {
		f.Close()
		return nil, fmt.Errorf("reading the git bundle %s: %w", name, err)
	}
	return b, nil
}

// head reads all that comes before the pack.
func (b *bundleRemote) head() error {
	in := bufio.NewReader(b.file)
	b.pack = in
	if line, err := in.ReadString('\n'); err != nil || line != "# v2 git bundle\n" {
		return errors.New("it is none of version 2")
	}
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return err
		}
		words := strings.Fields(line)
		switch {
		case line == "\n":
			if len(b.shallow) > 0 {
				return b.refs.Capabilities.Set(capability.Shallow)
			}
			return nil
		case len(words) > 0 && strings.HasPrefix(line, "-"):
			for _, w := range words[1:] {
				b.shallow = append(b.shallow, plumbing.NewHash(w))
			}
		case len(words) != 2 || !plumbing.IsHash(words[0]):
			return fmt.Errorf("%q is no reference", strings.TrimSpace(line))
		case words[1] == "HEAD":
			h := plumbing.NewHash(words[0])
			b.refs.Head = &h
		default:
			b.refs.References[words[1]] = plumbing.NewHash(words[0])
		}
	}
}

// Close closes the file.
func (b *bundleRemote) Close() error { return b.file.Close() }

// AdvertisedReferencesContext returns HEAD and the branch.
func (b *bundleRemote) AdvertisedReferencesContext(context.Context) (*packp.AdvRefs, error) {
	return b.refs, nil
}

// UploadPack returns all that there is, whatever is wanted.
func (b *bundleRemote) UploadPack(_ context.Context, req *packp.UploadPackRequest) (*packp.UploadPackResponse, error) {
	resp := packp.NewUploadPackResponseWithPackfile(req, io.NopCloser(b.pack))
	resp.Shallows = b.shallow
	return resp, nil
}
