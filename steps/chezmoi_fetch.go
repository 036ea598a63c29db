package steps

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"movein/bootstrap"
	"movein/bootstrap/host"
	"movein/distro"
	"movein/embed"
)

// chezmoiURL is where chezmoi's releases are.
const chezmoiURL = "https://github.com/twpayne/chezmoi/releases/download"

// chezmoiFetch downloads chezmoi's own release when there are dotfiles and neither
// the built generation nor the host has a chezmoi to apply them with.
type chezmoiFetch struct {
	f *distro.Facts
	c *Config
}

func (chezmoiFetch) Info() bootstrap.Info {
	return bootstrap.Info{Name: "chezmoi-fetch", Title: "chezmoi", Needs: []string{"home-build", "dotfiles-repo"}}
}

func (s chezmoiFetch) Plan(ctx context.Context, v host.View) (bootstrap.Change, error) {
	var err error
	if s.c, err = s.c.withRepo(v); err != nil {
		return nil, err
	}
	b := readBuilt(v, s.c)
	z, ok := newChezmoi(v, s.f, s.c, b.Out)
	if !ok {
		return nil, bootstrap.Skip("no dotfiles are asked for (--dotfiles REPO)")
	}
	if z.bin != "" {
		return nil, nil
	}
	r, err := wantedChezmoi(s.f, s.c)
	if err != nil {
		return nil, err
	}
	reason := "neither the home nor the host has a chezmoi"
	if homeBuild(s).stale(ctx, v, b) != "" {
		reason = "unless the generation that home-build makes has it"
	}
	return bootstrap.Change{{Verb: "download", Target: host.BareURL(r.url), Reason: reason}}, nil
}

func (s chezmoiFetch) Apply(ctx context.Context, h host.Host, _ bootstrap.Change) error {
	var err error
	if s.c, err = s.c.withRepo(h); err != nil {
		return err
	}
	r, err := wantedChezmoi(s.f, s.c)
	if err != nil {
		return err
	}
	if err := h.MkdirAll(s.c.Cache(), 0o700); err != nil {
		return fmt.Errorf("making the cache: %w", err)
	}
	archive := r.file(s.c) + ".tar.gz"
	if err = s.c.fetch(ctx, h, r.url, r.sha256, archive); err == nil {
		err = h.Extract(ctx, archive, r.sha256, "chezmoi", r.file(s.c))
	}
	if _, ok := errors.AsType[*host.UnreachableError](err); ok {
		return bootstrap.Hint(err, "check the network and run the same command again; a mirror is given with --chezmoi-url; or have pkgs.chezmoi in home.packages")
	}
	if _, ok := errors.AsType[*host.DigestError](err); ok {
		return bootstrap.Hint(err, "nothing of it was used; the mirror or something on the way changed the file: try another mirror with --chezmoi-url, or have pkgs.chezmoi in home.packages")
	}
	if err != nil {
		return err
	}
	return h.Remove(archive)
}

// chezmoiRelease is a release of chezmoi for this host.
type chezmoiRelease struct{ version, url, sha256 string }

// wantedChezmoi is the release to fetch: the one that is asked for, else the pinned one.
func wantedChezmoi(f *distro.Facts, c *Config) (chezmoiRelease, error) {
	version := c.ChezmoiVersion
	if version == "" {
		version = embed.DefaultChezmoi
	}
	pinned, _ := embed.ChezmoiRelease(version, f.System)
	asset, sum := pinned.Asset, pinned.SHA256
	if asset == "" {
		asset = "chezmoi_" + version + "_" + map[string]string{"x86_64-linux": "linux-musl_amd64", "aarch64-linux": "linux_arm64"}[f.System] + ".tar.gz"
	}
	if c.ChezmoiSHA256 != "" {
		sum = strings.ToLower(c.ChezmoiSHA256)
	}
	url := c.ChezmoiURL
	if !strings.HasSuffix(url, ".tar.gz") {
		if url == "" {
			url = chezmoiURL
		}
		url = strings.TrimSuffix(url, "/") + "/v" + version + "/" + asset
	}
	if sum == "" {
		return chezmoiRelease{}, bootstrap.Hint(bootstrap.Misconfigured("no SHA-256 is known for chezmoi %s on %s: give it with --chezmoi-sha256", version, f.System),
			"the digests are in chezmoi_%s_checksums.txt beside the release; or have pkgs.chezmoi in home.packages", version)
	}
	return chezmoiRelease{version, url, sum}, nil
}

// file is where the program is kept: by the digest of what it came in.
func (r chezmoiRelease) file(c *Config) string {
	return filepath.Join(c.Cache(), fmt.Sprintf("chezmoi-%s-%.12s", r.version, r.sha256))
}
