package steps

import (
	"fmt"
	"path/filepath"
	"strings"

	"movein/bootstrap"
	"movein/bootstrap/host"
	"movein/distro"
	"movein/embed"
)

// officialURL is where the Nix project publishes its releases.
const officialURL = "https://releases.nixos.org/nix"

// release is a Nix release tarball.
type release struct {
	Version, URL, SHA256 string
	Pinned               bool // the digest is one of ours
}

// wantedRelease is the release to install, or to repair from: the one in the
// receipt, else the one that the user asks for, else the default.
func wantedRelease(f *distro.Facts, c *Config, s nixState) (release, error) {
	if s.Receipt != nil {
		r := release{Version: s.Receipt.Version, URL: s.Receipt.URL, SHA256: s.Receipt.SHA256}
		if given := releaseURL(c.NixURL, r.Version, f.System); host.BareURL(given) == r.URL {
			r.URL = given // with who logs in, which is not in the receipt
		}
		return r, nil
	}
	version := c.NixVersion
	if version == "" {
		version = embed.DefaultNix
		if _, pinned := embed.NixRelease(s.Version, f.System); pinned && c.NixSHA256 == "" {
			version = s.Version // repair with what is there, if it is known
		}
	}
	sum, pinned := embed.NixRelease(version, f.System)
	if c.NixSHA256 != "" {
		sum, pinned = strings.ToLower(c.NixSHA256), false
	}
	if sum == "" {
		return release{}, bootstrap.Hint(bootstrap.Misconfigured("no SHA-256 is known for Nix %s on %s: give it with --nix-sha256", version, f.System),
			"the digest stands beside the release: %s.sha256", host.BareURL(releaseURL(c.NixURL, version, f.System)))
	}
	return release{version, releaseURL(c.NixURL, version, f.System), sum, pinned}, nil
}

// releaseURL is the tarball's address at a mirror that is laid out as the official one.
func releaseURL(base, version, system string) string {
	if strings.HasSuffix(base, ".tar.xz") {
		return base
	}
	if base == "" {
		base = officialURL
	}
	return fmt.Sprintf("%s/nix-%s/nix-%s-%s.tar.xz", strings.TrimSuffix(base, "/"), version, version, system)
}

// file is where the tarball is kept.
func (r release) file(c *Config) string {
	return filepath.Join(c.Cache(), fmt.Sprintf("nix-%s-%.12s.tar.xz", r.Version, r.SHA256))
}

// fetched reports whether the tarball is there. Its digest is checked again when it is unpacked.
func (r release) fetched(v host.View, c *Config) bool { return exists(v, r.file(c)) }

// whole reports whether the tarball is there and as it was fetched.
func (r release) whole(v host.View, c *Config) bool {
	data, err := v.ReadFile(r.file(c))
	return err == nil && digest(data) == r.SHA256
}
