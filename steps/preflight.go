package steps

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"movein/bootstrap"
	"movein/bootstrap/host"
	"movein/distro"
)

// preflight finds what would stop a later step, before anything is changed. It changes nothing.
type preflight struct {
	f *distro.Facts
	c *Config
}

// nixNeeds is the space a Nix release takes in /nix, unpacked twice for a moment
// while a bad path is replaced, and room for a small home: measured 0.6 GB for
// the release. cacheNeeds is the tarball.
const (
	nixNeeds   = 1 << 30
	cacheNeeds = 64 << 20
)

func (preflight) Info() bootstrap.Info {
	return bootstrap.Info{Name: "preflight", Title: "Host"}
}

func (s preflight) Plan(ctx context.Context, v host.View) (bootstrap.Change, error) {
	if s.f.WSL == 1 {
		return nil, wslOne()
	}
	if s.f.System != "x86_64-linux" && s.f.System != "aarch64-linux" {
		return nil, bootstrap.Hint(bootstrap.Misconfigured("there is no Nix release for %s", s.f.Arch), "use a host with an x86_64 or aarch64 processor and a 64-bit system")
	}
	for _, check := range []func(host.View) error{s.home, s.rivals, s.allowed} {
		if err := check(v); err != nil {
			return nil, err
		}
	}
	return nil, s.space(ctx, v)
}

func (preflight) Apply(context.Context, host.Host, bootstrap.Change) error { return nil }

// home checks that the home directory is there and the user's own.
func (s preflight) home(v host.View) error {
	uid, ok := owner(v, s.c.Home)
	switch {
	case !ok:
		return bootstrap.Hint(bootstrap.Misconfigured("the home directory %s of user %s does not exist", s.c.Home, s.c.User), "make it (sudo mkhomedir_helper %s), or name another user with --user", s.c.User)
	case uid != s.c.UID:
		return bootstrap.Hint(bootstrap.Exit(bootstrap.ExitPermission, fmt.Errorf("the home directory %s belongs to user id %d, not to %s (%d)", s.c.Home, uid, s.c.User, s.c.UID)),
			"name the user whose home it is with --user, or give it back: sudo chown %s: %s", s.c.User, s.c.Home)
	}
	for _, dir := range []string{s.c.StateHome, s.c.ConfigHome, s.c.DataHome, s.c.CacheHome} {
		if uid, ok := owner(v, dir); ok && uid != s.c.UID {
			return bootstrap.Hint(bootstrap.Exit(bootstrap.ExitPermission, fmt.Errorf("%s belongs to user id %d, not to %s", dir, uid, s.c.User)),
				"sudo chown -R %s: %s", s.c.User, dir)
		}
	}
	return nil
}

func (s preflight) space(ctx context.Context, v host.View) error {
	if detectNix(ctx, v, s.f, s.c).Kind != nixNone || s.c.NixSource == "distro" {
		return nil
	}
	store := "/nix"
	if needsMount(s.f) && mountedOn(v, store) == "" {
		store = storeHome(v)
	}
	for _, need := range []struct {
		dir   string
		bytes int64
	}{{store, nixNeeds}, {s.c.Cache(), cacheNeeds}} {
		free, err := v.Free(need.dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if free < need.bytes {
			return bootstrap.Hint(fmt.Errorf("%s has %d MiB free, and %d MiB are needed", need.dir, free>>20, need.bytes>>20), "free some space (df -h %s) and run the same command again", nearest(v, need.dir))
		}
	}
	return nil
}

// nearest is name, or the nearest of its parents that exists.
func nearest(v host.View, name string) string {
	for name != "/" && !exists(v, name) {
		name = parent(name)
	}
	return name
}
