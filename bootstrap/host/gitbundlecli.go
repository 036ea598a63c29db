package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
)

// cliPacker packs a repository by the program git.
type cliPacker struct {
	repo    gitRepo // only the names of its directories
	tips    []string
	shallow []string
}

// openBundleByGit reads what references a repository has, by the program git.
func openBundleByGit(ctx context.Context, dir string) (*gitBundle, error) {
	p := &cliPacker{repo: gitRepo{dir: dir}}
	err := inWorkTree(dir)
	if err == nil {
		err = p.repo.findGitDir()
	}
	if err == nil {
		err = p.repo.findCommonDir()
	}
	if err != nil {
		return nil, err
	}
	format, err := p.ask(ctx, "", "rev-parse", "--show-object-format")
	if err != nil {
		return nil, err
	}
	b := &gitBundle{format: strings.TrimSpace(format), packer: p}
	if b.refs, err = p.refs(ctx); err != nil {
		return nil, err
	}
	for _, line := range b.refs {
		oid, _, _ := strings.Cut(line, " ")
		p.tips = append(p.tips, oid)
	}
	p.shallow, err = readShallow(p.repo.commonDir)
	b.shallow = slices.Clone(p.shallow)
	return b, err
}

// refs returns the lines "OID NAME" of HEAD and all references, older stashes included.
func (p *cliPacker) refs(ctx context.Context) ([]string, error) {
	out, err := p.ask(ctx, "", "for-each-ref", "--format=%(objectname) %(refname)")
	if err != nil {
		return nil, err
	}
	refs := slices.Collect(func(yield func(string) bool) {
		for line := range strings.Lines(out) {
			if !yield(strings.TrimSuffix(line, "\n")) {
				return
			}
		}
	})
	// It says nothing and 1 if HEAD is a branch without a commit.
	head, err := p.ask(ctx, "", "rev-parse", "--verify", "--quiet", "HEAD")
	var failed *CommandError
	if err != nil && (!errors.As(err, &failed) || failed.Code != 1) {
		return nil, err
	}
	if head = strings.TrimSpace(head); head != "" {
		refs = append(refs, head+" HEAD")
	}
	if !slices.ContainsFunc(refs, func(line string) bool { return refName(line) == stashRef }) {
		return refs, nil
	}
	if out, err = p.ask(ctx, "", "rev-list", "--walk-reflogs", stashRef); err != nil {
		return nil, err
	}
	for i, oid := range strings.Fields(out) {
		if i > 0 {
			refs = append(refs, oid+" "+olderStash(i))
		}
	}
	return refs, nil
}

// plan leaves finding everything to write; it looks for where a shallow history ends.
func (p *cliPacker) plan(ctx context.Context) (lines []string, err error) {
	if len(p.shallow) == 0 {
		return nil, nil
	}
	out, err := p.ask(ctx, strings.Join(p.tips, "\n")+"\n", "rev-list", "--stdin")
	if err != nil {
		return nil, err
	}
	found := map[string]bool{}
	for _, oid := range strings.Fields(out) {
		found[oid] = true
	}
	cut := map[string]string{}
	for _, commit := range p.shallow {
		if !found[commit] {
			continue
		}
		text, err := p.ask(ctx, "", "cat-file", "commit", commit)
		if err != nil {
			return nil, err
		}
		head, _, _ := strings.Cut(text, "\n\n")
		for line := range strings.Lines(head) {
			if oid, ok := strings.CutPrefix(strings.TrimSpace(line), "parent "); ok && !found[oid] {
				cut[oid] += " " + commit
			}
		}
	}
	for parent, commits := range cut {
		lines = append(lines, "-"+parent+commits)
	}
	slices.Sort(lines)
	return lines, nil
}

func (p *cliPacker) write(ctx context.Context, f *os.File) error {
	cmd := p.command(ctx, "pack-objects", "--quiet", "--revs", "--stdout", "--delta-base-offset")
	cmd.Stdin = strings.NewReader(strings.Join(p.tips, "\n") + "\n")
	cmd.Stdout = f
	_, err := waitGit(cmd)
	return p.judge(err)
}

func (p *cliPacker) close() {}

// ask runs git with this on its standard input and returns what it prints. That
// it leaves out a broken reference is only a warning to git.
func (p *cliPacker) ask(ctx context.Context, stdin string, args ...string) (string, error) {
	cmd := p.command(ctx, args...)
	var out strings.Builder
	cmd.Stdin, cmd.Stdout = strings.NewReader(stdin), &out
	said, err := waitGit(cmd)
	if err == nil && strings.Contains(said, "broken ref") {
		err = &DamagedRepoError{"a reference of " + p.repo.commonDir, errors.New(gist(said, 1))}
	}
	return out.String(), p.judge(err)
}

// command is git on this repository and no other. It runs no program that the
// configuration names and gets nothing from a remote, also in a partial clone.
func (p *cliPacker) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := gitCommand(ctx, p.repo.dir, append([]string{"--git-dir=" + p.repo.gitDir, "-c", "core.hooksPath=/dev/null",
		"-c", "core.fsmonitor=false", "-c", "protocol.allow=never"}, args...)...)
	cmd.Env = append(cmd.Env, "GIT_NO_LAZY_FETCH=1", "GIT_NO_REPLACE_OBJECTS=1", "GIT_OPTIONAL_LOCKS=0")
	return cmd
}

// judge says what a failure of git means. 128 is how it ends when it cannot go on.
func (p *cliPacker) judge(err error) error {
	var failed *CommandError
	switch {
	case !errors.As(err, &failed) || failed.Code != 128:
		return err
	case strings.Contains(failed.Stderr, "No space left"), strings.Contains(failed.Stderr, "Out of diskspace"):
		return fmt.Errorf("%w (%w)", syscall.ENOSPC, err)
	}
	return &DamagedRepoError{"the repository", err}
}
