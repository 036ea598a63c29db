package steps

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"movein/bootstrap"
	"movein/bootstrap/host"
)

// repo brings a clone to its place and forward. Whatever the user has made in it
// (commits, changes, files that git does not track, another branch) is never touched.
type repo struct {
	info       bootstrap.Info
	url        string
	branch     string
	needs      string // a file at its top without which it is of no use; "": none
	dir        string
	onDiverged string
	offline    bool
	c          *Config // for what the bundle has of it
	// updated reports whether flake.lock is as "movein update" left it. It may be nil.
	updated func(ctx context.Context, v host.View) bool
}

// shown is the remote's URL without who logs in there: plans, logs and the journal have it.
func (r repo) shown() string { return host.BareURL(r.url) }

func (r repo) remote() host.Remote { return host.Remote{URL: r.url, Branch: r.branch, Needs: r.needs} }

// ask asks the remote what plan is going to ask, as far as HEAD alone tells what that
// is: its answer takes longer than to look at the clone.
func (r repo) ask(ctx context.Context, v host.View) {
	remote := r.remote()
	branch, ok := strings.CutPrefix(strings.TrimSpace(readText(v, filepath.Join(r.dir, ".git/HEAD"))), "ref: refs/heads/")
	if r.offline || r.c.Bundle != nil || !ok {
		return
	}
	remote.Branch = cmp.Or(remote.Branch, branch)
	v.Tip(ctx, remote) //nolint:errcheck // plan gets the same
}

// source is where the commits come from: the remote, or what the bundle has of it, in a
// file until done is called.
func (r repo) source(ctx context.Context, h host.Host) (remote host.Remote, done func(), err error) {
	remote, done = r.remote(), func() {}
	bundled, err := r.c.bundled(r.url)
	if bundled == nil || err != nil {
		return remote, done, err
	}
	remote.Bundle = filepath.Join(r.c.Cache(), r.info.Name+".bundle")
	if err := h.MkdirAll(r.c.Cache(), 0o700); err != nil {
		return remote, done, err
	}
	if err := h.Unbundle(ctx, *r.c.Bundle, bundled.Entry, remote.Bundle); err != nil {
		return remote, done, err
	}
	return remote, func() { h.Remove(remote.Bundle) }, nil //nolint:errcheck // in the cache
}

// what is to be done with a clone
type repoPlan struct {
	verb   string // "clone", "attach", "fast-forward"; "": nothing
	reason string
	branch string
	commit string
}

func (r repo) plan(ctx context.Context, v host.View) (repoPlan, error) {
	state, err := v.Repo(ctx, r.dir)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, host.ErrNotRepo) && emptyDir(v, r.dir):
		return repoPlan{verb: "clone"}, nil
	case errors.Is(err, host.ErrNotRepo):
		return repoPlan{}, bootstrap.Hint(bootstrap.Refuse("%s holds files that are no clone of %s", r.dir, r.shown()),
			"move it away (mv %s %s.old) and run the same command again, or name it as the repository: movein apply %s", r.dir, r.dir, r.dir)
	case err != nil:
		return repoPlan{}, bootstrap.Hint(err, "look with: git -C %s status; or move it away (mv %s %s.old), and run the same command again", r.dir, r.dir, r.dir)
	case state.URL != "" && !host.SameRemote(state.URL, r.url):
		return repoPlan{}, bootstrap.Hint(bootstrap.Refuse("%s is a clone of %s, not of %s", r.dir, repo{url: state.URL}.shown(), r.shown()),
			"move it away (mv %s %s.old) and run the same command again, or name the repository that is there", r.dir, r.dir)
	case state.URL == "":
		return repoPlan{}, bootstrap.Hint(bootstrap.Refuse("%s is a git repository without a remote \"origin\", not a clone of %s", r.dir, r.shown()),
			"if it is the same repository: git -C %s remote add origin %s", r.dir, r.shown())
	}
	return r.forward(ctx, v, state)
}

// forward says how an existing clone gets to the state of its remote.
func (r repo) forward(ctx context.Context, v host.View, state host.Repo) (repoPlan, error) {
	dirty := "it has uncommitted changes"
	switch {
	case slices.Equal(state.Dirty, []string{lockFile}) && r.updated != nil && r.updated(ctx, v):
		dirty = fmt.Sprintf("the flake.lock of the last update is not committed (git -C %s commit -m flake.lock flake.lock)", r.dir)
	case len(state.Dirty) > 0:
		v.Warn("%s has uncommitted changes: %s", r.dir, few(state.Dirty))
	}
	if state.Branch == "" {
		branch := r.branch
		if branch == "" && len(state.Branches) > 0 {
			branch = state.Branches[0]
		}
		if len(state.Dirty) == 0 && slices.Contains(state.Branches, branch) {
			return repoPlan{verb: "attach", branch: branch, reason: "HEAD is detached from " + branch}, nil
		}
		if len(state.Dirty) > 0 {
			return repoPlan{}, r.stay(v, "its HEAD is detached and it has uncommitted changes")
		}
		return repoPlan{}, r.stay(v, "its HEAD is detached at a commit that no branch has")
	}
	if state.Interrupted != "" {
		return repoPlan{verb: "fast-forward", branch: state.Branch, commit: state.Interrupted, reason: "an update was cut short"}, nil
	}
	bundled, err := r.c.bundled(r.url)
	if err != nil {
		return repoPlan{}, err
	}
	if r.offline && bundled == nil {
		return repoPlan{}, nil
	}
	remote, tip := r.remote(), host.Tip{}
	if remote.Branch == "" {
		remote.Branch = state.Branch
	}
	if bundled != nil {
		tip.Branch, tip.Commit = bundled.Branch, bundled.Commit
	} else if tip, err = v.Tip(ctx, remote); err != nil {
		how := ""
		if errors.Is(err, host.ErrLogin) {
			how = "; " + bootstrap.HintOf(err)
		}
		v.Warn("%v; going on with what is in %s%s", err, r.dir, how)
		return repoPlan{}, nil
	}
	switch {
	case tip.Commit == state.Commit, string(v.Recall(r.diverged())) == tip.Commit+" "+state.Commit:
		if tip.Commit != state.Commit {
			return repoPlan{}, r.stay(v, "it has commits that "+r.shown()+" does not have")
		}
		return repoPlan{}, nil
	case r.branch != "" && state.Branch != r.branch:
		return repoPlan{}, r.stay(v, fmt.Sprintf("it is on branch %s, not %s", state.Branch, r.branch))
	case len(state.Dirty) > 0:
		return repoPlan{}, r.stay(v, dirty)
	}
	return repoPlan{verb: "fast-forward", branch: state.Branch, commit: tip.Commit, reason: "to " + short(tip.Commit)}, nil
}

// stay says that the clone is left as it is: a warning, or the end.
func (r repo) stay(v host.View, why string) error {
	if r.onDiverged == "stop" {
		return bootstrap.Hint(bootstrap.Refuse("%s is not updated: %s", r.dir, why), "commit, push or undo what is there, or go on from it with --on-diverged keep")
	}
	v.Warn("%s is not updated: %s; going on with what is there", r.dir, why)
	return nil
}

func (r repo) diverged() string { return "diverged-" + r.info.Name }

func (r repo) change(p repoPlan) bootstrap.Change {
	if p.verb == "" {
		return nil
	}
	if p.verb == "clone" {
		return bootstrap.Change{{Verb: "clone", Target: r.shown(), Reason: "into " + r.dir}}
	}
	return bootstrap.Change{{Verb: p.verb, Target: r.dir, Reason: p.reason}}
}

func (r repo) apply(ctx context.Context, h host.Host) error {
	p, err := r.plan(ctx, h)
	if err != nil {
		return err
	}
	remote, done, err := r.source(ctx, h)
	if err != nil {
		return err
	}
	defer done()
	switch p.verb {
	case "clone":
		if err := h.MkdirAll(parent(r.dir), 0o755); err != nil {
			return err
		}
		err := h.Clone(ctx, remote, r.dir)
		switch _, down := errors.AsType[*host.UnreachableError](err); {
		case down:
			return bootstrap.Hint(err, "check the address and the network, then run the same command again")
		case errors.Is(err, host.ErrNoCommits):
			return bootstrap.Exit(bootstrap.ExitConfig, bootstrap.Hint(err, "push to it first, then run the same command again; what to begin with: movein init"))
		case errors.Is(err, host.ErrLacks):
			return bootstrap.Exit(bootstrap.ExitConfig, bootstrap.Hint(fmt.Errorf("%w, so it is no home repo", err), "%s", anotherHome))
		}
		return err
	case "attach":
		return h.Attach(ctx, r.dir, p.branch)
	case "fast-forward":
		state, err := h.Repo(ctx, r.dir)
		if err != nil {
			return err
		}
		remote.Branch = p.branch
		err = h.FastForward(ctx, r.dir, remote, p.commit)
		if errors.Is(err, host.ErrDiverged) {
			h.Remember(r.diverged(), []byte(p.commit+" "+state.Commit))
			return r.stay(h, "it has commits that "+r.shown()+" does not have")
		}
		if collision, ok := errors.AsType[*host.CollisionError](err); ok {
			return bootstrap.Hint(err, "move them away (%s) and run the same command again", strings.Join(collision.Files, ", "))
		}
		return err
	}
	return nil
}

func emptyDir(v host.View, dir string) bool {
	entries, err := v.ReadDir(dir)
	return err == nil && len(entries) == 0
}

// few is the first few of a list.
func few(names []string) string {
	const most = 5
	if len(names) > most {
		return strings.Join(names[:most], ", ") + ", …"
	}
	return strings.Join(names, ", ")
}

func short(commit string) string { return commit[:min(len(commit), 10)] }

func parent(dir string) string {
	i := strings.LastIndexByte(strings.TrimRight(dir, "/"), '/')
	return dir[:max(i, 1)]
}
