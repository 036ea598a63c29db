package steps

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"movein/bootstrap"
	"movein/bootstrap/host"
	"movein/bootstrap/host/bundle"
	"movein/distro"
	"movein/embed"
)

// bundling collects what a bundle has, in a directory.
type bundling struct {
	s   homeBuild
	dir string
	m   bundle.Manifest
}

// Bundle collects in the directory dir, which is there and empty, what a host without
// network needs to get this home: this program, the Nix release, the repositories as they
// are committed, the closure of the generation that they make, and their flake's
// inputs. What it needs and this host does not have is built and downloaded.
func Bundle(ctx context.Context, h host.Host, f *distro.Facts, c *Config, program, dir string) (bundle.Manifest, error) {
	c, err := c.withRepo(h)
	if err != nil {
		return bundle.Manifest{}, err
	}
	b := &bundling{s: homeBuild{f, c}, dir: dir, m: bundle.Manifest{MadeBy: c.Version, System: f.System, User: c.User}}
	if detectNix(ctx, h, f, c).Bin == "" {
		return b.m, bootstrap.Hint(errors.New("there is no Nix on this host that a bundle could be made with"), "make it on a host where movein apply was run")
	}
	for _, below := range []string{"nix", "repos", "chezmoi"} {
		if err := h.MkdirAll(filepath.Join(dir, below), 0o700); err != nil {
			return b.m, err
		}
	}
	for _, step := range []func(context.Context, host.Host) error{b.repos, b.release, b.closure, b.chezmoi} {
		if err := step(ctx, h); err != nil {
			return b.m, err
		}
	}
	return b.m, b.copy(h, program, bundle.Program)
}

// copy takes a file of this host as an entry.
func (b *bundling) copy(h host.Host, file, entry string) error {
	data, err := h.ReadFile(file)
	if err != nil {
		return err
	}
	return h.WriteFile(filepath.Join(b.dir, entry), data, 0o600)
}

// repos takes the home repo and the dotfiles, as they are committed.
func (b *bundling) repos(ctx context.Context, h host.Host) error {
	c := b.s.c
	b.m.Home.URL = Starter
	if dir, clone := c.HomeDir(); clone || c.HomeRepo != Starter {
		r, err := b.repo(ctx, h, HomeStep, c.HomeRepo, dir, clone)
		if err != nil {
			return err
		}
		b.m.Home = *r
	}
	if c.Dotfiles == "" || c.Dotfiles == "none" {
		return nil
	}
	dir, clone := c.DotfilesDir()
	r, err := b.repo(ctx, h, DotfilesStep, c.Dotfiles, dir, clone)
	b.m.Dotfiles = r
	return err
}

func (b *bundling) repo(ctx context.Context, h host.Host, name, given, dir string, clone bool) (*bundle.Repo, error) {
	if !clone {
		return nil, bootstrap.Hint(bootstrap.Misconfigured("%s is a directory of this host and no clone, so other hosts could not update it", dir),
			"push it to a server, apply it from there (movein apply URL), and make the bundle then")
	}
	state, err := h.Repo(ctx, dir)
	if err != nil {
		return nil, bootstrap.Hint(err, "bring it here first: movein apply")
	}
	if state.Submodules {
		return nil, bootstrap.Hint(bootstrap.Misconfigured("%s has submodules, which a bundle cannot have", dir), "make what they bring an input of the flake")
	}
	if left := slices.Concat(state.Dirty, state.Untracked); len(left) > 0 {
		h.Warn("what is not committed in %s is not in the bundle: %s", dir, few(left))
	}
	if state.Ahead {
		h.Warn("%s has commits that its server does not have: hosts that get them from the bundle cannot be updated until they are pushed", dir)
	}
	r := &bundle.Repo{URL: repo{url: given}.shown(), Branch: state.Branch, Commit: state.Commit, Entry: "repos/" + name + ".bundle"}
	err = h.BundleBranch(ctx, dir, filepath.Join(b.dir, r.Entry))
	if errors.Is(err, host.ErrHasVault) {
		return nil, bootstrap.Hint(bootstrap.Refuse("%v", err), "no vault goes into a bundle, also none that an older commit has: keep it elsewhere (--vault), and make the repository anew without it")
	}
	if err != nil {
		return nil, bootstrap.Hint(err, "look with: git -C %s status", dir)
	}
	return r, nil
}

// release takes the Nix release that movein would install here.
func (b *bundling) release(ctx context.Context, h host.Host) error {
	s := b.s
	r, err := wantedRelease(s.f, s.c, detectNix(ctx, h, s.f, s.c))
	if err != nil {
		return err
	}
	b.m.NixVersion, b.m.NixSHA256 = r.Version, r.SHA256
	return b.fetched(ctx, h, r.URL, r.SHA256, r.file(s.c), "nix/")
}

// fetched takes a file that may be in the cache.
func (b *bundling) fetched(ctx context.Context, h host.Host, from, sha256, file, below string) error {
	if err := h.MkdirAll(b.s.c.Cache(), 0o700); err != nil {
		return err
	}
	if err := h.Fetch(ctx, from, sha256, file); err != nil {
		return bootstrap.Hint(err, "check the network and run the same command again")
	}
	return b.copy(h, file, below+path.Base(from))
}

// closure builds what is committed, and takes its closure and the inputs as a binary cache.
// The targets' Nix reads it offline; each of its files has a digest in the manifest.
func (b *bundling) closure(ctx context.Context, h host.Host) error {
	flake := b.s.flake(ctx, h)
	if b.m.Home.Commit != "" {
		flake += "&rev=" + b.m.Home.Commit
	}
	attribute, err := b.s.choose(ctx, h, flake)
	if err != nil {
		return err
	}
	what, err := installable(flake, attribute)
	if err != nil {
		return err
	}
	nix := func(args ...string) (host.Result, error) {
		cmd := b.s.nixCmd(ctx, h, args...)
		cmd.Lines = func(line string) { h.Progress(0, 0, strings.TrimSpace(line)) }
		return h.Run(ctx, cmd)
	}
	res, err := nix("build", "--json", "--no-link", what)
	if err != nil {
		if e, ok := errors.AsType[*host.CommandError](err); ok && strings.Contains(e.Stderr, "lock file") {
			return bootstrap.Exit(bootstrap.ExitConfig, bootstrap.Hint(err, "commit flake.lock in the home repo: what it locks is what the bundle has"))
		}
		return b.s.explain(err, flake)
	}
	if b.m.Generation, err = builtOut(res.Stdout); err != nil {
		return err
	}
	b.m.Configuration = attribute
	if b.m.Home.Commit != "" {
		if res, err = nix("flake", "archive", "--json", flake); err != nil {
			return b.s.explain(err, flake)
		}
		inputs, err := archived(res.Stdout)
		if err != nil {
			return err
		}
		b.m.Inputs = slices.Sorted(maps.Keys(inputs))
	}
	to := "file://" + (&url.URL{Path: filepath.Join(b.dir, "cache")}).EscapedPath() + "?compression=zstd&parallel-compression=true"
	if _, err = nix(append([]string{"copy", "--to", to, b.m.Generation}, b.m.Inputs...)...); err != nil {
		return fmt.Errorf("copying the closure: %w", err)
	}
	return nil
}

// chezmoi takes chezmoi's release, if there are dotfiles and the generation does not have it.
func (b *bundling) chezmoi(ctx context.Context, h host.Host) error {
	s := b.s
	if b.m.Dotfiles == nil || leads(h, filepath.Join(b.m.Generation, "home-path/bin/chezmoi")) {
		return nil
	}
	r, err := wantedChezmoi(s.f, s.c)
	if err != nil {
		return err
	}
	return b.fetched(ctx, h, r.url, r.sha256, r.file(s.c)+".tar.gz", "chezmoi/")
}

// TakeBundle has the run take everything from a bundle, and refuses one that is for another host.
func (c *Config) TakeBundle(b *bundle.File, f *distro.Facts) error {
	m := b.Manifest
	if m.System != f.System {
		return bootstrap.Hint(bootstrap.Misconfigured("the bundle %s is for %s, and this host is %s", b.Name, m.System, f.System), "make one on a host of this kind: movein bundle create FILE")
	}
	if m.User != c.User {
		return bootstrap.Hint(bootstrap.Misconfigured("the bundle %s is for user %s, and this is user %s", b.Name, m.User, c.User), "name the user with --user, or make a bundle as the one that it is for")
	}
	c.Bundle, c.Offline, c.NixSource = b, true, "official"
	c.HomeRepo = cmp.Or(c.HomeRepo, m.Home.URL)
	if c.HomeRepo != Starter {
		if _, err := c.bundled(c.HomeRepo); err != nil {
			return err
		}
	}
	if c.Dotfiles == "" && m.Dotfiles != nil {
		c.Dotfiles = m.Dotfiles.URL
	}
	c.NixVersion = cmp.Or(c.NixVersion, m.NixVersion)
	if _, pinned := embed.NixRelease(c.NixVersion, f.System); !pinned {
		c.NixSHA256 = cmp.Or(c.NixSHA256, m.NixSHA256)
	}
	return nil
}
