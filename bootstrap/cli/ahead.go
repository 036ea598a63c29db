package cli

import (
	"context"
	"runtime"
	"slices"

	"movein/bootstrap"
	"movein/bootstrap/host"
)

// askAhead asks what others take long to answer, the remotes and the Nix daemon, and
// lookAhead looks at what takes long, while root's steps are looked at. What the steps come to
// is of no interest here: the Sight remembers what was seen. Root does neither for another user:
// that is the other half's, with the user's own rights.
func (s *session) askAhead(ctx context.Context, g *bootstrap.Graph) {
	for _, step := range g.Steps() {
		if a, ok := step.(asker); ok && s.io.EUID == s.config.UID && !slices.Contains(s.opt.skip, step.Info().Name) {
			go a.Ask(ctx, &s.view)
		}
	}
	runtime.Gosched() // until all of them wait
}

// asker is a step that can ask before its turn what it is going to ask.
type asker interface {
	Ask(ctx context.Context, v host.View)
}

func (s *session) lookAhead(ctx context.Context, g *bootstrap.Graph) {
	if s.io.EUID != s.config.UID {
		return
	}
	for _, step := range g.Steps() {
		info := step.Info()
		if slices.Contains(s.opt.skip, info.Name) {
			continue
		}
		if l, ok := step.(looker); ok {
			go l.Look(ctx, &s.view)
		}
		if info.As != bootstrap.Root && !slices.ContainsFunc(info.Needs, func(n string) bool { return n != "preflight" && n != "home-repo" }) {
			go step.Plan(ctx, &s.view) //nolint:errcheck // see above
		}
	}
}

// looker is a step that can look before its turn at what it is going to look at.
type looker interface {
	Look(ctx context.Context, v host.View)
}
