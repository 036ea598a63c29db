package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
)

// repoPacker packs a repository that go-git reads.
type repoPacker struct {
	*gitRepo
	tips    []plumbing.Hash
	named   func(name string) error // refuses names of what is packed; may be nil
	objects *gitObjects
	chosen  *packPlan
}

// openBundle reads what references a repository has.
func openBundle(_ context.Context, dir string) (*gitBundle, error) {
	r, err := openGit(dir)
	if err != nil {
		return nil, err
	}
	if err := inWorkTree(dir); err != nil {
		r.close()
		return nil, err
	}
	p := &repoPacker{gitRepo: r}
	b := &gitBundle{format: "sha1", packer: p}
	if b.refs, err = p.refs(); err == nil {
		b.shallow, err = readShallow(r.commonDir)
	}
	if err != nil {
		r.close()
		return nil, err
	}
	return b, nil
}

// refs returns the lines "OID NAME" of HEAD and all references, older stashes included.
func (p *repoPacker) refs() (lines []string, err error) {
	iter, err := p.store.IterReferences()
	if err != nil {
		return nil, &DamagedRepoError{"a reference of " + p.commonDir, err}
	}
	all := map[plumbing.ReferenceName]*plumbing.Reference{}
	err = iter.ForEach(func(ref *plumbing.Reference) error {
		// Below refs/any, for a branch "-x" is one to git too.
		if name := ref.Name(); name == plumbing.HEAD || ("refs/any/"+name).Validate() == nil {
			all[name] = ref
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for name, ref := range all {
		for hops := 0; ref != nil && ref.Type() == plumbing.SymbolicReference && hops < 6; hops++ {
			ref = all[ref.Target()]
		}
		switch {
		case ref == nil: // a branch without a commit
			continue
		case ref.Hash().IsZero():
			return nil, &DamagedRepoError{name.String(), errors.New("it names no object")}
		}
		p.tips = append(p.tips, ref.Hash())
		lines = append(lines, ref.Hash().String()+" "+name.String())
	}
	if all[stashRef] == nil {
		return lines, nil
	}
	older, err := p.olderStashes()
	for i, h := range older {
		p.tips = append(p.tips, h)
		lines = append(lines, h.String()+" "+olderStash(i+1))
	}
	return lines, err
}

const stashRef = "refs/stash"

// olderStash is the reference in a bundle for stash@{n}.
func olderStash(n int) string { return fmt.Sprintf("refs/movein/stash/%d", n) }

// olderStashes returns stash@{1} and so on, which only the reflog has.
func (p *repoPacker) olderStashes() (all []plumbing.Hash, err error) {
	b, err := os.ReadFile(filepath.Join(p.commonDir, "logs", stashRef))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	for i := len(lines) - 2; i >= 0; i-- {
		if words := strings.Fields(lines[i]); len(words) > 1 && plumbing.IsHash(words[1]) {
			all = append(all, plumbing.NewHash(words[1]))
		}
	}
	return all, nil
}

func (p *repoPacker) plan(ctx context.Context) ([]string, error) {
	var err error
	if p.objects, err = openObjects(filepath.Join(p.commonDir, "objects")); err != nil {
		return nil, err
	}
	p.objects.named = p.named
	found, err := p.objects.reachFrom(ctx, p.tips, p.shallow)
	if err != nil {
		return nil, err
	}
	p.chosen, err = planPack(p.objects, found.found)
	return found.prerequisites(), err
}

func (p *repoPacker) write(ctx context.Context, f *os.File) error { return p.chosen.write(ctx, f) }

func (p *repoPacker) close() {
	p.gitRepo.close()
	if p.objects != nil {
		p.objects.close()
	}
}
