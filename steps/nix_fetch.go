package steps

import (
	"context"
	"errors"
	"fmt"

	"movein/bootstrap"
	"movein/bootstrap/host"
	"movein/distro"
)

// nixFetch downloads the Nix release as the user, while the repositories are
// cloned. What it leaves in the cache is only believed by its digest.
type nixFetch struct {
	f *distro.Facts
	c *Config
}

func (nixFetch) Info() bootstrap.Info {
	return bootstrap.Info{Name: "nix-fetch", Title: "Nix release", Needs: []string{"preflight"}}
}

func (s nixFetch) Plan(ctx context.Context, v host.View) (bootstrap.Change, error) {
	d, err := diagnoseNix(ctx, v, s.f, s.c)
	if err != nil {
		return nil, err
	}
	if !d.needsRelease() {
		return nil, nil
	}
	if s.c.NixSource == "distro" {
		return nil, bootstrap.Skip("the distribution's Nix is asked for")
	}
	r, err := wantedRelease(s.f, s.c, d.nixState)
	if err != nil {
		return nil, err
	}
	if r.whole(v, s.c) {
		return nil, nil
	}
	return bootstrap.Change{{Verb: "download", Target: host.BareURL(r.URL), Reason: s.otherwise()}}, nil
}

// otherwise says what is taken if the release cannot be reached.
func (s nixFetch) otherwise() string {
	if s.c.NixSource == "auto" && distroHasNix(s.f) {
		return "or, if that cannot be reached, the distribution's package"
	}
	return ""
}

func (s nixFetch) Apply(ctx context.Context, h host.Host, _ bootstrap.Change) error {
	r, err := wantedRelease(s.f, s.c, detectNix(ctx, h, s.f, s.c))
	if err != nil {
		return err
	}
	if err := h.MkdirAll(s.c.Cache(), 0o700); err != nil {
		return fmt.Errorf("making the cache: %w", err)
	}
	err = s.c.fetch(ctx, h, r.URL, r.SHA256, r.file(s.c))
	if unreachable, ok := errors.AsType[*host.UnreachableError](err); ok {
		if s.c.NixSource == "auto" && distroHasNix(s.f) {
			h.Warn("%v; taking the distribution's package instead", unreachable)
			return bootstrap.Skip("the official host cannot be reached")
		}
		return bootstrap.Hint(err, "check the network and run the same command again; a mirror is given with --nix-url, the distribution's package taken with --nix-source distro")
	}
	if _, ok := errors.AsType[*host.DigestError](err); ok {
		return bootstrap.Hint(err, "nothing of it was used; the mirror or something on the way changed the file: try another mirror with --nix-url")
	}
	return err
}
