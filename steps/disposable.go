package steps

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"movein/bootstrap"
	"movein/bootstrap/host"
)

// ours reports whether movein made the directory: the starter, or a clone with its mark.
// Only such a one is ever removed.
func (u *Uninstall) ours(v host.View, dir string) (bool, error) {
	if info, err := v.Lstat(dir); err != nil || !info.IsDir() {
		return false, err
	}
	git, err := v.Lstat(dir + "/.git")
	switch {
	case errors.Is(err, fs.ErrNotExist):
		starter, _ := u.s.c.HomeDir()
		return u.s.c.HomeRepo == Starter && dir == starter, nil
	case err != nil:
		return false, err
	}
	return git.IsDir() && exists(v, filepath.Join(dir, host.CloneMark)), nil
}

// disposable refuses to remove a directory of ours that has something that is nowhere else.
func (u *Uninstall) disposable(ctx context.Context, v host.View, dir string) error {
	var what string
	var err error
	if exists(v, dir+"/.git") {
		what, err = workInClone(ctx, v, dir)
	} else {
		what, err = u.workInStarter(ctx, v, dir, ".")
	}
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return bootstrap.Hint(bootstrap.Refuse("looking for work of yours in %s: %w", dir, err), "nothing was changed; leave it: the same without --purge")
	case what != "":
		return bootstrap.Hint(bootstrap.Refuse("%s has work of yours that is nowhere else: %s", dir, what),
			"nothing was changed; push it, or move it away; or leave it: the same without --purge")
	}
	return nil
}

// workInStarter names something below dir that is not the starter's, or not as movein wrote it.
func (u *Uninstall) workInStarter(ctx context.Context, v host.View, dir, below string) (string, error) {
	files, err := homeRepo{u.s.f, u.s.c}.starterFiles()
	if err != nil {
		return "", err
	}
	entries, err := v.ReadDir(filepath.Join(dir, below))
	if err != nil {
		return "", err
	}
	for _, e := range entries {
		name := filepath.Join(below, e.Name())
		if e.IsDir() {
			if what, err := u.workInStarter(ctx, v, dir, name); what != "" || err != nil {
				return what, err
			}
			continue
		}
		if name == lockFile && updatedHere(ctx, v, u.s.c) {
			continue
		}
		data, ours := files[name]
		if !ours || !e.Type().IsRegular() {
			return name, nil
		}
		now, err := v.ReadFile(filepath.Join(dir, name))
		if err != nil || string(now) != string(data) {
			return name, err
		}
	}
	return "", nil
}

// workInClone names something of a clone that no remote is known to have. It is asked
// of git itself, and what cannot be told counts as work.
func workInClone(ctx context.Context, v host.View, dir string) (string, error) {
	for _, more := range []string{".git/worktrees", ".git/modules", ".gitmodules"} {
		if name := filepath.Join(dir, more); exists(v, name) && (more == ".gitmodules" || nonEmpty(v, name)) {
			return "other work trees or submodules (" + more + ")", nil
		}
	}
	git := func(args ...string) (lines []string, err error) {
		all := append([]string{"git", "-c", "core.fsmonitor=false", "-c", "core.untrackedCache=false", "--git-dir=" + dir + "/.git", "--work-tree=" + dir}, args...)
		res, err := v.Query(ctx, &host.Cmd{Args: all, Dir: dir, Env: []string{"GIT_OPTIONAL_LOCKS=0", "LC_ALL=C"}})
		if err != nil {
			return nil, err
		}
		return strings.FieldsFunc(string(res.Stdout), func(r rune) bool { return r == '\n' || r == 0 }), nil
	}
	files, err := git("status", "--porcelain", "-z", "--no-renames", "--untracked-files=all", "--ignored=matching")
	if err != nil {
		return "", err
	}
	marked, err := git("ls-files", "-v", "-z")
	if err != nil {
		return "", err
	}
	for _, line := range marked { // git does not look at those
		if !strings.HasPrefix(line, "H ") {
			files = append(files, "?? "+line[min(2, len(line)):])
		}
	}
	var names []string
	for _, line := range files {
		names = append(names, line[min(3, len(line)):])
	}
	if len(names) > 0 {
		return few(names), nil
	}
	stash, err := git("for-each-ref", "--format=stash %(objectname:short)", "refs/stash")
	if err != nil || len(stash) > 0 {
		return few(stash), err
	}
	commits, err := git("rev-list", "--all", "--max-count=1", "--not", "--remotes")
	if err != nil || len(commits) == 0 {
		return "", err
	}
	refs, err := git("for-each-ref", "--format=%(refname:short)", "--contains="+commits[0])
	if len(refs) == 0 {
		refs = []string{"HEAD"}
	}
	return fmt.Sprintf("commit %s (%s)", short(commits[0]), few(refs)), err
}
