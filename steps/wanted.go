package steps

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"movein/bootstrap"
	"movein/bootstrap/host"
	"movein/steps/home"
)

// claims are the generation's files as what home-manager wants of the home.
func (g generation) claims(v host.View) ([]home.Claim, error) {
	leaves, err := g.leaves(v)
	if err != nil {
		return nil, fmt.Errorf("reading the generation: %w", err)
	}
	out := make([]home.Claim, 0, len(leaves))
	for _, l := range leaves {
		out = append(out, home.Claim{Path: l.rel, Owner: home.HomeManager, Kind: home.Link,
			Target: l.target, Alias: g.out + "/home-files/" + l.rel, Source: l.target})
	}
	return out, nil
}

// wanted is what the home is to be with generation g and the dotfiles.
func (s homeActivate) wanted(v host.View, g generation, dotfiles []home.Claim, unfinished string) (w home.Wanted, suppressed []home.Claim, err error) {
	mine, err := g.claims(v)
	if err != nil {
		return w, nil, err
	}
	owners := map[string]home.Owner{}
	for path, owner := range s.c.Ownership {
		if owner == "through" {
			w.Through = append(w.Through, path)
		} else {
			owners[path] = home.Owner(owner)
		}
	}
	w.Home, w.UID, w.OnModified = s.c.Home, s.c.UID, s.c.OnModified
	w.Claims, suppressed = home.Settle(slices.Concat(mine, dotfiles), owners)
	if err := s.unsettled(v, home.Conflicts(w.Claims)); err != nil {
		return w, nil, err
	}
	w.Dropped, err = s.dropped(v, g, unfinished)
	for _, c := range suppressed { // home-manager's link is not to stay, whether or not another is to come there
		if c.Owner == home.HomeManager {
			w.Dropped = append(w.Dropped, c)
		}
	}
	return w, suppressed, err
}

// dropped is what generations before g left in the home and g has not: those of
// the profile and of the last activation, and of a change that was cut short.
func (s homeActivate) dropped(v host.View, g generation, unfinished string) (out []home.Claim, err error) {
	current, _ := isLink(v, s.c.current())
	seen := []string{"", g.out}
	for _, old := range []string{s.c.activeGeneration(v), current, unfinished} {
		if slices.Contains(seen, old) {
			continue
		}
		seen = append(seen, old)
		claims, err := generation{s.c, old}.claims(v)
		if err != nil {
			return nil, err
		}
		out = append(out, claims...)
	}
	return out, nil
}

// droppedPaths are those of dropped that g has not.
func (s homeActivate) droppedPaths(v host.View, g generation, unfinished string) (paths []string, err error) {
	mine, err := g.claims(v)
	if err != nil {
		return nil, err
	}
	old, err := s.dropped(v, g, unfinished)
	stays := map[string]bool{}
	for _, c := range mine {
		stays[c.Path] = true
	}
	for _, c := range old {
		if !stays[c.Path] {
			paths = append(paths, c.Path)
		}
	}
	return paths, err
}

// actions says in a plan what a preview says.
func (s homeActivate) actions(v host.View, items []home.Item) (change bootstrap.Change) {
	full := map[string]bool{} // directories that something comes into
	// They are sorted: backward, what is in a directory comes before it.
	for _, i := range slices.Backward(items) {
		goes := i.Claim.Kind == home.Dir && (i.Verb == home.Delete || i.Verb == home.Create && full[i.Path])
		if i.Verb == home.Keep || goes {
			continue // is no change, or goes without saying
		}
		for dir := filepath.Dir(i.Path); dir != "." && i.Verb != home.Delete; dir = filepath.Dir(dir) {
			full[dir] = true
		}
		a := bootstrap.Action{Verb: string(i.Verb), Target: filepath.Join(s.c.Home, i.Path), Owner: string(i.Claim.Owner), Source: i.Claim.Source, Was: i.Was}
		if s.c.Diff {
			a.Diff = s.diff(v, i)
		}
		change = append(change, a)
	}
	slices.Reverse(change)
	return change
}

// diff is how a file's text changes; "" if that is nothing to show.
func (s homeActivate) diff(v host.View, i home.Item) string {
	const most = 256 << 10
	name := filepath.Join(s.c.Home, i.Path)
	text := func(name string) []byte {
		if info, err := v.Lstat(name); err != nil || !info.Mode().IsRegular() || info.Size() > most {
			return nil
		}
		return []byte(readText(v, name))
	}
	// What is private on either side may be a secret.
	if info, err := v.Lstat(name); i.Claim.Secret || err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o077 == 0 {
		return ""
	}
	old, now := text(name), i.Claim.Text
	if target, ok := isLink(v, name); ok {
		if !strings.HasPrefix(target, nixStore+"/") {
			return ""
		}
		old = text(target)
	}
	if i.Claim.Kind == home.Link {
		now = text(i.Claim.Target)
	}
	if i.Verb == home.Delete || i.Claim.Kind == home.Absent || i.Claim.Kind == home.File && i.Claim.Text == nil {
		return ""
	}
	return home.Diff(old, now, "~/"+i.Path, "~/"+i.Path)
}

// edited are the items whose files were edited since chezmoi wrote them.
func edited(items []home.Item) (out []string) {
	for _, i := range items {
		if i.Claim.Last != nil && (strings.HasPrefix(i.Was, "edited ") || i.Was == "deleted") {
			out = append(out, home.Shown("~/"+i.Claim.Path))
		}
	}
	return out
}

// stopAtEdited is --on-modified stop.
func (s homeActivate) stopAtEdited(items []home.Item) error {
	if names := edited(items); s.c.OnModified == "stop" && len(names) > 0 {
		return bootstrap.Hint(bootstrap.Refuse("edited since chezmoi wrote them: %s", few(names)),
			"take the edits into the dotfiles (chezmoi re-add), or go on with --on-modified backup or --on-modified keep")
	}
	return nil
}

// previewBuild builds the generation for a plan. It goes into the store, where
// apply finds it; nothing of the home changes.
func (s homeBuild) previewBuild(ctx context.Context, v host.View) (out string, err error) {
	if nix := detectNix(ctx, v, s.f, s.c); nix.Bin == "" || s.c.NoBuild {
		return "", errors.New("it is not built yet")
	}
	flake := s.flake(ctx, v)
	attribute, err := s.choose(ctx, v, flake)
	if err != nil {
		return "", err
	}
	what, err := installable(flake, attribute)
	if err != nil {
		return "", err
	}
	if err := s.afford(ctx, v, what); err != nil {
		err = s.explain(err, flake)
		v.Warn("the home is not built for this plan: %v; %s", err, bootstrap.HintOf(err))
		return "", err
	}
	cmd := s.nixCmd(ctx, v, "build", "--json", "--no-link", what)
	cmd.Lines = func(line string) { v.Progress(0, 0, strings.TrimSpace(line)) }
	res, err := v.Query(ctx, cmd)
	if err != nil {
		return "", s.explain(err, flake)
	}
	return builtOut(res.Stdout)
}
