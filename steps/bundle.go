package steps

import (
	"context"
	"fmt"
	"path"
	"path/filepath"

	"movein/bootstrap"
	"movein/bootstrap/host"
	"movein/bootstrap/host/bundle"
	"movein/distro"
)

// bundleStep brings what a bundle has of the Nix store into the store. Root does it: what no
// key of this host has signed is taken from root alone, and the bundle's own digests, which
// were checked before the run and are again on the bytes that are used, say what it is.
type bundleStep struct {
	f *distro.Facts
	c *Config
}

const bundleStepName = "bundle"

// bundleCache is the binary cache of the bundle while it is read.
const bundleCache = "/var/lib/movein/bundle"

func (bundleStep) Info() bootstrap.Info {
	return bootstrap.Info{Name: bundleStepName, Title: "Bundle", Needs: []string{"nix-daemon"}, As: bootstrap.Root, Exclusive: "nix-store"}
}

// wanted are the store paths that the bundle was made for.
func (s bundleStep) wanted() []string {
	return append([]string{s.c.Bundle.Manifest.Generation}, s.c.Bundle.Manifest.Inputs...)
}

func (s bundleStep) Plan(ctx context.Context, v host.View) (bootstrap.Change, error) {
	if kind := detectNix(ctx, v, s.f, s.c).Kind; kind == nixSingle || kind == nixRootless {
		return nil, bootstrap.Hint(bootstrap.Misconfigured("the Nix store of this host belongs to one user, and a bundle is for a multi-user Nix"), "copy the home's closure with nix copy, or install Nix for all users")
	}
	missing := 0
	daemon, err := v.Daemon(ctx, nixSocket, s.wanted()...)
	if missing = len(daemon.Unknown); err != nil { // it is not there yet, or root needs none
		for _, p := range s.wanted() {
			if !exists(v, p) {
				missing++
			}
		}
	}
	if missing == 0 && exists(v, bundleCache) {
		return bootstrap.Change{{Verb: "remove", Target: bundleCache, Reason: "a run was cut short"}}, nil
	} else if missing == 0 {
		return nil, nil
	}
	return bootstrap.Change{{Verb: "copy", Target: nixStore, Reason: "the home's closure and its flake's inputs, from " + s.c.Bundle.Name}}, nil
}

func (s bundleStep) Apply(ctx context.Context, h host.Host, _ bootstrap.Change) error {
	if err := h.Remove(bundleCache); err != nil { // of a run that was killed
		return err
	}
	if left, err := s.Plan(ctx, h); err != nil || len(left) == 0 {
		return err
	}
	if err := h.MkdirAll(filepath.Dir(bundleCache), 0o755); err != nil {
		return err
	}
	if err := h.Unbundle(ctx, *s.c.Bundle, "cache/", bundleCache); err != nil {
		return err
	}
	args := append([]string{detectNix(ctx, h, s.f, s.c).Bin, "--extra-experimental-features", "nix-command", "copy", "--no-check-sigs", "--from", "file://" + bundleCache}, s.wanted()...)
	if _, err := h.Run(ctx, &host.Cmd{Args: args, Dir: "/"}); err != nil {
		return bootstrap.Hint(fmt.Errorf("copying the bundle's store paths: %w", err), "look at the disk (df -h /nix /var) and run the same command again")
	}
	// Nix does not sync what it copies: before anything relies on it, it must survive a power loss.
	if err := h.Sync(nixStore); err != nil {
		return err
	}
	return h.Remove(bundleCache)
}

// fetch brings the file with this digest: from the bundle, if there is one, and then from nowhere else.
func (c *Config) fetch(ctx context.Context, h host.Host, from, sha256, file string) error {
	if c.Bundle == nil {
		return h.Fetch(ctx, from, sha256, file)
	}
	e, ok := c.Bundle.Manifest.Find(sha256)
	if !ok {
		return bootstrap.Hint(bootstrap.Misconfigured("the bundle has no %s with the SHA-256 %s", path.Base(from), sha256),
			"make one that fits on a host where the same movein is used: movein bundle create FILE; this one has Nix %s", c.Bundle.Manifest.NixVersion)
	}
	return h.Unbundle(ctx, *c.Bundle, e.Name, file)
}

// bundled is the repository at url as the bundle has it; nil if there is no bundle. One
// that is asked for and not in the bundle is an error: there is no other place.
func (c *Config) bundled(given string) (*bundle.Repo, error) {
	if c.Bundle == nil {
		return nil, nil
	}
	for _, r := range []*bundle.Repo{&c.Bundle.Manifest.Home, c.Bundle.Manifest.Dotfiles} {
		if r != nil && r.Entry != "" && host.SameRemote(r.URL, given) {
			return r, nil
		}
	}
	return nil, bootstrap.Hint(bootstrap.Misconfigured("the bundle does not have the repository %s", repo{url: given}.shown()), "see what it has: movein bundle verify %s", c.Bundle.Name)
}
