package steps

import (
	"context"
	"encoding/json"
	"path/filepath"
	"slices"

	"movein/bootstrap"
	"movein/bootstrap/host"
	"movein/steps/home"
)

// preview is all that there is to do to the home.
type preview struct {
	homeActivate
	g          generation
	items      []home.Item
	suppressed []home.Claim // claims of who is not the owner
	z          chezmoi
	look       *chezmoiLook   // nil: no dotfiles, or nothing to do for them
	private    *host.Redactor // knows what a diff is not to show
	own        []string       // files of chezmoi's own that it changes when it applies, below the home
	cutShort   bool           // a change of the home was
	unfinished string         // the generation that that was about
}

// preview looks at all of it. chezmoi is asked only if something may have changed
// since it was asked last.
func (s homeActivate) preview(ctx context.Context, v host.View, g generation) (p preview, err error) {
	p = preview{homeActivate: s, g: g}
	unfinished, cut, err := s.changer().CutShort(v)
	if err != nil {
		return p, err
	}
	p.cutShort, p.unfinished = cut, unfinished
	var dotfiles []home.Claim
	z, asked := newChezmoi(v, s.f, s.c, g.out)
	key := s.dotfilesKey(g)
	if !asked && len(Skipped(v)) > 0 {
		v.Remember("skipped", nil)
	}
	if p.z = z; asked && (s.c.Refresh || !z.unchanged(v, key)) {
		if p.look, err = z.look(ctx, v); err != nil {
			return p, err
		}
		dotfiles = p.look.Claims
	}
	compared, err := s.compare(ctx, v, g, unfinished, dotfiles)
	if err != nil {
		return p, err
	}
	p.items, p.suppressed = compared.items, compared.suppressed
	if p.look != nil {
		if err := s.unread(v, p); err != nil {
			return p, err
		}
	}
	if len(p.dotfiles()) > 0 {
		p.own, err = z.ownFiles(ctx, v, p.look.fresh)
	}
	if s.c.Diff && p.look != nil && err == nil {
		p.private, err = z.private(ctx, v, p.look.fresh)
	}
	kept := p.tellKept(v)
	if p.look != nil && len(p.dotfiles()) == 0 && !cut && !kept {
		z.remember(v, key, p.look)
		s.rememberSkipped(v, p.look)
	}
	return p, err
}

// again looks again at what there is to do, for what chezmoi wanted: it overwrites what
// was right then, and clears exact directories. home-manager stops by itself.
func (p preview) again(v host.View) func(ctx context.Context) ([]home.Item, error) {
	if len(p.dotfiles()) == 0 {
		return nil
	}
	return func(ctx context.Context) ([]home.Item, error) {
		now, err := p.compare(ctx, v, p.g, p.unfinished, p.look.Claims)
		for name := range p.z.within(v, p.look) {
			if !p.look.within[name] {
				now.items = append(now.items, home.Item{Path: name, Verb: home.Delete})
			}
		}
		return now.items, err
	}
}

// unread refuses what would keep chezmoi from reading what it reads.
func (s homeActivate) unread(v host.View, p preview) error {
	links, err := p.g.claims(v)
	if err != nil {
		return err
	}
	links = slices.DeleteFunc(links, func(l home.Claim) bool {
		return slices.ContainsFunc(p.suppressed, func(c home.Claim) bool { return c.Owner == l.Owner && c.Path == l.Path })
	})
	return p.z.unread(v, p.look.sight.files, links)
}

// comparison is what there is to do to the files of the home, and the claims of who
// is not their owner.
type comparison struct {
	items      []home.Item
	suppressed []home.Claim
}

// compare compares the home with generation g and the dotfiles.
func (s homeActivate) compare(ctx context.Context, v host.View, g generation, unfinished string, dotfiles []home.Claim) (c comparison, err error) {
	look := func() (c comparison, err error) {
		w, suppressed, err := s.wanted(v, g, dotfiles, unfinished)
		if err != nil {
			return c, err
		}
		c.suppressed = suppressed
		c.items, err = home.Preview(ctx, v, w)
		return c, err
	}
	if dotfiles != nil || unfinished != "" {
		return look()
	}
	return once(v, "home "+g.out, look)
}

// tellKept says which edited files stay as they are, at each look: it is not
// remembered that there is nothing to do for them.
func (p preview) tellKept(v host.View) (any bool) {
	var names []string
	for _, i := range p.items {
		if i.Verb == home.Keep {
			names = append(names, home.Shown("~/"+i.Path))
		}
	}
	if len(names) > 0 {
		v.Warn("not as the dotfiles have it, and left so (--on-modified keep): %s", few(names))
	}
	return len(names) > 0
}

// dotfilesKey stands for what decides, beside the dotfiles, what is to be done for them.
func (s homeActivate) dotfilesKey(g generation) string {
	key, err := json.Marshal([]any{g.out, s.c.Ownership, s.c.OnModified, s.c.Dotfiles, s.c.Prompts})
	if err != nil {
		return g.out
	}
	return string(key)
}

// dotfiles is what is to be done for chezmoi beside files, and whether there are
// files: what runs always runs only with something else.
func (p preview) dotfiles() (change bootstrap.Change) {
	if p.look == nil {
		return nil
	}
	files := slices.ContainsFunc(p.items, func(i home.Item) bool { return i.Claim.Owner == home.Chezmoi && i.Verb != home.Keep })
	due := files || p.look.fresh != nil || slices.ContainsFunc(p.look.Scripts, func(s chezmoiScript) bool { return s.Due })
	if !due {
		return nil
	}
	if f := p.look.fresh; f != nil {
		change = append(change, bootstrap.Action{Verb: "write", Target: p.z.configFile(f.format), Reason: "from the dotfiles' template"})
	}
	for _, s := range p.look.Scripts {
		if s.Due || s.When == "always" {
			change = append(change, bootstrap.Action{Verb: "run", Target: s.Source})
		}
	}
	if len(change) == 0 {
		change = bootstrap.Change{{Verb: "apply", Target: p.z.source}}
	}
	return change
}

// change is the preview as a step's change.
func (p preview) change(v host.View) (change bootstrap.Change) {
	if p.cutShort {
		change = append(change, bootstrap.Action{Verb: "finish", Target: "the change of the home that was cut short"})
	}
	if p.c.activeGeneration(v) != p.g.out {
		change = append(change, bootstrap.Action{Verb: "activate", Target: p.g.out, Reason: "is not the active generation"})
	} else if target, ok := isLink(v, p.c.current()); p.g.keepsCurrent(v) && (!ok || target != p.g.out) {
		change = append(change, bootstrap.Action{Verb: "activate", Target: p.g.out, Reason: "was not activated to its end"})
	}
	if extra := p.dotfiles(); len(extra) > 0 && extra[0].Verb != "apply" {
		change = append(change, extra...)
	}
	for _, a := range p.actions(v, p.items) {
		a.Diff = p.private.String(a.Diff)
		change = append(change, a)
	}
	if !p.g.packagesKept(v) {
		change = append(change, bootstrap.Action{Verb: "install", Target: p.g.out + "/home-path", Reason: "the packages are not in the user's profile"})
	}
	return change
}

// rememberSkipped keeps the names of what could not be applied, for the summary.
func (s homeActivate) rememberSkipped(v host.View, l *chezmoiLook) {
	names := []string{}
	for _, skip := range l.Skipped {
		names = append(names, filepath.Join(s.c.Home, skip.Path))
	}
	if data, err := json.Marshal(names); err == nil && string(data) != string(v.Recall("skipped")) {
		v.Remember("skipped", data)
	}
}

// Skipped are the files that the last run could not apply, because a secret they
// need was not to be had.
func Skipped(v host.Memory) (names []string) {
	json.Unmarshal(v.Recall("skipped"), &names) //nolint:errcheck // none is known then
	return names
}

// toActivate reports whether there is anything for home-manager's activation to do:
// a change of the dotfiles alone needs none.
func (p preview) toActivate(v host.View) bool {
	current, linked := isLink(v, p.c.current())
	return p.c.activeGeneration(v) != p.g.out || p.g.keepsCurrent(v) && (!linked || current != p.g.out) || !p.g.packagesKept(v) ||
		slices.ContainsFunc(p.items, func(i home.Item) bool { return i.Claim.Owner == home.HomeManager })
}

// tell says what is in the way, and where it is kept.
func (p preview) tell(h host.Host, dir string) {
	const most = 10
	n := 0
	for _, i := range p.items {
		if i.Verb != home.Replace {
			continue
		}
		if n++; n <= most {
			h.Warn("%s (%s) was in the way and is kept in %s", home.Shown(filepath.Join(p.c.Home, i.Path)), i.Was, dir)
		}
	}
	if n > most {
		h.Warn("%d more were in the way and are kept in %s: movein backups list %s", n-most, dir, filepath.Base(dir))
	}
}

// notLinked are the claims of home-manager's that are not wanted.
func (p preview) notLinked() []home.Claim {
	return slices.DeleteFunc(slices.Clone(p.suppressed), func(c home.Claim) bool { return c.Owner != home.HomeManager })
}

// applyDotfiles has chezmoi do its part; nil if there is nothing for it to do.
func (p preview) applyDotfiles(h host.Host) func(ctx context.Context) error {
	if len(p.dotfiles()) == 0 {
		return nil
	}
	var leave []string
	for _, i := range p.items {
		if i.Verb == home.Keep {
			leave = append(leave, i.Claim.Path)
		}
	}
	for _, c := range p.suppressed {
		if c.Owner == home.Chezmoi {
			leave = append(leave, c.Path)
		}
	}
	for path, owner := range p.c.Ownership {
		name := filepath.Join(p.c.Home, path)
		_, link := isLink(h, name)
		if _, err := h.ReadDir(name); owner == "through" && link && err == nil {
			p.look.through = append(p.look.through, path)
		}
	}
	return func(ctx context.Context) error { return p.z.apply(ctx, h, p.look, leave) }
}
