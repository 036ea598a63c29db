package host

import (
	"context"
	"errors"
	"io"
	"path/filepath"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/transport"
)

// localRemote is the upload-pack of a repository on this machine. It has none of
// the protocol's capabilities: what is asked for comes whole, as one pack.
type localRemote struct{ *gitRepo }

func openLocal(dir string) (uploadPack, error) {
	r, err := openGit(dir)
	if errors.Is(err, ErrNotRepo) {
		return nil, transport.ErrRepositoryNotFound
	}
	if err != nil {
		return nil, err
	}
	return localRemote{r}, nil
}

// Close closes the repository.
func (l localRemote) Close() error { return l.store.Close() }

// AdvertisedReferencesContext returns the references, and what HEAD names.
func (l localRemote) AdvertisedReferencesContext(context.Context) (*packp.AdvRefs, error) {
	refs := packp.NewAdvRefs()
	iter, err := l.store.IterReferences()
	if err != nil {
		return nil, err
	}
	err = iter.ForEach(func(ref *plumbing.Reference) error {
		if ref.Type() == plumbing.HashReference {
			refs.References[ref.Name().String()] = ref.Hash()
		}
		return nil
	})
	if err == nil && len(refs.References) == 0 {
		err = transport.ErrEmptyRemoteRepository
	}
	if err != nil {
		return nil, err
	}
	head, err := l.store.Reference(plumbing.HEAD)
	if err == nil && head.Type() == plumbing.SymbolicReference {
		return refs, refs.AddReference(head)
	} else if err == nil {
		h := head.Hash()
		refs.Head = &h
	}
	return refs, nil
}

// UploadPack packs what can be reached from what is wanted and not from what is had already.
func (l localRemote) UploadPack(ctx context.Context, req *packp.UploadPackRequest) (*packp.UploadPackResponse, error) {
	objects, err := openObjects(filepath.Join(l.commonDir, "objects"))
	if err != nil {
		return nil, err
	}
	plan, err := objects.planMissing(ctx, req.Wants, req.Haves)
	if err != nil {
		objects.close()
		return nil, err
	}
	out, in := io.Pipe()
	go func() {
		in.CloseWithError(plan.write(ctx, in))
		objects.close()
	}()
	return packp.NewUploadPackResponseWithPackfile(req, out), nil
}

// planMissing plans a pack with all that wants need and who has haves has not.
func (o *gitObjects) planMissing(ctx context.Context, wants, haves []plumbing.Hash) (*packPlan, error) {
	want, err := o.reachFrom(ctx, wants, nil)
	if err != nil {
		return nil, err
	}
	var known []plumbing.Hash
	for _, h := range haves {
		if o.has(h) {
			known = append(known, h)
		}
	}
	had, err := o.reachFrom(ctx, known, nil)
	if err != nil {
		return nil, err
	}
	for h := range had.found {
		delete(want.found, h)
	}
	return planPack(o, want.found)
}
