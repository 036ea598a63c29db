package cli

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"

	"movein/bootstrap"
	"movein/bootstrap/host"
	"movein/bootstrap/host/bundle"
	"movein/bootstrap/host/minisign"
)

// bundleFlags are where a bundle is, and why it is trusted.
type bundleFlags struct{ from, key, sha256 string }

// addFlags declares them; for fleets they have variables, but no file can set them.
func (b *bundleFlags) addFlags(io *IO, f *pflag.FlagSet) {
	f.StringVar(&b.from, "bundle", io.getenv("MOVEIN_BUNDLE"), "take everything from this bundle, a `FILE or URL`, and nothing from the network")
	f.StringVar(&b.key, "bundle-key", io.getenv("MOVEIN_BUNDLE_KEY"), "public `key` of minisign that must have signed the bundle, or the file with that")
	f.StringVar(&b.sha256, "bundle-sha256", io.getenv("MOVEIN_BUNDLE_SHA256"), "`digest` that the whole bundle must have")
}

// remote reports whether it is at a URL.
func (b bundleFlags) remote() bool {
	return strings.HasPrefix(b.from, "http://") || strings.HasPrefix(b.from, "https://")
}

// trust is what the bundle must come up to.
func (b bundleFlags) trust(io *IO) (t bundle.Trust, err error) {
	if b.sha256 != "" && (len(b.sha256) != 2*sha256.Size || strings.Trim(strings.ToLower(b.sha256), "0123456789abcdef") != "") {
		return t, bootstrap.Hint(bootstrap.Misconfigured("%q is no SHA-256 in 64 hexadecimal digits", b.sha256), "give what sha256sum says of the bundle where it was made")
	}
	t.SHA256 = b.sha256
	if b.key == "" {
		return t, nil
	}
	key, err := minisign.ParseKey(b.key)
	if err != nil {
		name, aerr := io.abs(b.key)
		text, rerr := (&host.Real{Root: io.Root}).ReadFile(name)
		if aerr == nil && rerr == nil {
			key, err = minisign.ParseKey(string(text))
		}
	}
	if err != nil {
		return t, bootstrap.Hint(bootstrap.Misconfigured("the key %s: %v", b.key, err), "give the line of minisign.pub that begins with RW, or the file")
	}
	t.Key = &key
	return t, nil
}

// takeBundle has the run take everything from the bundle, once that is whole and trusted. One
// at a URL is kept, in the cache, until a run has come to its end. What the bundle settles is given then.
func (s *session) takeBundle(ctx context.Context, given map[string]bool) error {
	if s.bundle.from == "" {
		return nil
	}
	t, err := s.bundle.trust(s.io)
	if err != nil {
		return err
	}
	if t.Key == nil && t.SHA256 == "" {
		return bootstrap.Hint(bootstrap.Exit(bootstrap.ExitUsage, errors.New("nothing says whose the bundle is, and all of it would be trusted")),
			"give the key that it is signed with (--bundle-key), or its digest as \"movein bundle create\" printed it (--bundle-sha256)")
	}
	var b *bundle.File
	name := s.bundle.from
	if s.bundle.remote() && s.opt.dryRun { // nothing of it is used
		b, err = host.OpenBundle(ctx, name, t)
	} else if s.bundle.remote() {
		name = s.bundleKept()
		if b, err = host.OpenBundle(ctx, filepath.Join(s.io.Root, name), t); err != nil {
			b, err = s.fetchBundle(ctx, name, t)
		}
	} else if name, err = s.io.abs(name); err == nil {
		b, err = host.OpenBundle(ctx, filepath.Join(s.io.Root, name), t)
	}
	if err != nil {
		return distrust(err)
	}
	b.Name = name
	for _, settled := range []string{"offline", "nix-source", "nix-version", "nix-sha256"} {
		given[settled] = true
	}
	return s.config.TakeBundle(b, &s.facts)
}

// bundleKept is where a bundle from a URL is kept: its user's alone, and where both halves find it.
func (s *session) bundleKept() string {
	dir := s.config.Cache()
	if s.io.EUID != s.config.UID {
		dir = rootState
	}
	return filepath.Join(dir, fmt.Sprintf("bundle-%.12x.tar", sha256.Sum256([]byte(s.bundle.from))))
}

func (s *session) fetchBundle(ctx context.Context, name string, t bundle.Trust) (*bundle.File, error) {
	perm := os.FileMode(0o700)
	if s.io.EUID != s.config.UID {
		perm = 0o755
	}
	fmt.Fprintln(s.io.Err, "movein: fetching the bundle", s.io.shown(s.bundle.from))
	real := &host.Real{Root: s.io.Root}
	if err := real.MkdirAll(filepath.Dir(name), perm); err != nil {
		return nil, err
	}
	b, err := host.FetchBundle(ctx, s.bundle.from, filepath.Join(s.io.Root, name), t)
	if err == nil && s.io.EUID != s.config.UID { // its digests are checked wherever it is used
		err = real.Own(name, s.config.UID, s.config.GID, 0o600)
	}
	return b, err
}

// dropBundle removes the bundle that was fetched, once it has done its service. One of the
// user's own stays, wherever it is.
func (s *session) dropBundle() {
	b := s.config.Bundle
	if b == nil || s.opt.dryRun {
		return
	}
	ours, _ := filepath.Match("bundle-"+strings.Repeat("[0-9a-f]", 24)+".tar", filepath.Base(b.Name)) //nolint:errcheck // the pattern is right
	if dir := filepath.Dir(b.Name); ours && (dir == rootState || dir == s.config.Cache()) {
		(&host.Real{Root: s.io.Root}).Remove(b.Name) //nolint:errcheck // in the cache
	}
}

// distrust says how to go on when a bundle is not what it should be.
func distrust(err error) error {
	switch {
	case errors.Is(err, bundle.ErrDamaged):
		return bootstrap.Exit(bootstrap.ExitDigest, bootstrap.Hint(err, "nothing of it was used; copy it again from where it was made"))
	case errors.Is(err, bundle.ErrUntrusted):
		return bootstrap.Exit(bootstrap.ExitDigest, bootstrap.Hint(err, "nothing of it was used; ask who made it for the key, or for the SHA-256 that movein bundle create printed"))
	case errors.Is(err, os.ErrNotExist):
		return bootstrap.Hint(bootstrap.Misconfigured("%w", err), "name the file of the bundle, or an address that begins with https://")
	}
	return err
}
