package steps

import (
	"context"
	"errors"
	"path/filepath"
	"strings"

	"movein/bootstrap"
	"movein/bootstrap/host"
	"movein/distro"
)

// LockFlake has Nix find out the newest versions of a flake's inputs, and
// returns the flake.lock that says them. It needs no git, which Nix needs to write one into a
// git repository.
func LockFlake(ctx context.Context, h host.Host, f *distro.Facts, c *Config, flake []byte) ([]byte, error) {
	b := homeBuild{f, c}
	if detectNix(ctx, h, f, c).Bin == "" {
		return nil, bootstrap.Hint(bootstrap.Misconfigured("there is no Nix here that could lock the flake"), "leave --lock out: the first build locks it")
	}
	dir := filepath.Join(c.Cache(), "lock")
	if err := h.Remove(dir); err != nil {
		return nil, err
	}
	if err := h.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if err := h.WriteFile(filepath.Join(dir, "flake.nix"), flake, 0o600); err != nil {
		return nil, err
	}
	_, err := h.Run(ctx, b.nixCmd(ctx, h, "flake", "lock", "path:"+dir))
	if err != nil {
		return nil, errors.Join(b.explain(err, dir), h.Remove(dir))
	}
	data, err := h.ReadFile(filepath.Join(dir, lockFile))
	return data, errors.Join(err, h.Remove(dir))
}

// lockFirst locks the inputs of a home repo whose flake.lock locks none yet, as "movein
// init" writes it, on a host without git.
func (s homeBuild) lockFirst(ctx context.Context, h host.Host) error {
	dir, _ := s.c.HomeDir()
	file := filepath.Join(dir, lockFile)
	if _, err := h.Repo(ctx, dir); err != nil || !exists(h, file) || strings.Contains(readText(h, file), `"locked"`) {
		return nil //nolint:nilerr // Nix itself writes it where there is no repository
	}
	flake, err := h.ReadFile(filepath.Join(dir, "flake.nix"))
	if _, looked := h.LookPath("git"); looked == nil || err != nil || !strings.Contains(string(flake), "inputs") {
		return err
	}
	data, err := LockFlake(ctx, h, s.f, s.c, flake)
	if err != nil {
		return err
	}
	h.Warn("%s has the versions of today now; commit it when there is a git here: git -C %s commit flake.lock", file, dir)
	return h.WriteFile(file, data, 0o644)
}
