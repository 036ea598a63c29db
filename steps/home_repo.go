package steps

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"movein/bootstrap"
	"movein/bootstrap/host"
	"movein/distro"
	"movein/embed"
)

// homeRepo brings the home repo to this host: a clone of it, the built-in
// starter, or a directory that the user has.
type homeRepo struct {
	f *distro.Facts
	c *Config
}

// The steps that bring repositories.
const (
	HomeStep     = "home-repo"
	DotfilesStep = "dotfiles-repo"
)

func (s homeRepo) Info() bootstrap.Info {
	needs := []string{"preflight"}
	if s.c.VaultWith == DotfilesStep { // who may see the home repo is in a vault that comes with the dotfiles
		needs = append(needs, DotfilesStep)
	}
	return bootstrap.Info{Name: HomeStep, Title: "Home repo", Needs: needs}
}

func (s homeRepo) repo() repo {
	dir, _ := s.c.HomeDir()
	return repo{info: s.Info(), url: s.c.HomeRepo, branch: s.c.Branch, needs: "flake.nix", dir: dir, onDiverged: s.c.OnDiverged, offline: s.c.Offline, c: s.c,
		updated: func(ctx context.Context, v host.View) bool { return updatedHere(ctx, v, s.c) }}
}

const anotherHome = "name another one: movein apply HOME_REPO; to try movein without one: movein apply starter"

// Ask asks the remote ahead of Plan.
func (s homeRepo) Ask(ctx context.Context, v host.View) {
	if _, clone := s.c.HomeDir(); clone {
		s.repo().ask(ctx, v)
	}
}

func (s homeRepo) Plan(ctx context.Context, v host.View) (bootstrap.Change, error) {
	dir, clone := s.c.HomeDir()
	if readUpdate(v, s.c).Trying {
		return bootstrap.Change{{Verb: "restore", Target: filepath.Join(dir, lockFile), Reason: "an update was cut short"}}, nil
	}
	if s.c.HomeRepo == Starter {
		return s.planStarter(v, dir)
	}
	if clone {
		p, err := s.repo().plan(ctx, v)
		if err != nil || p.verb != "" {
			return s.repo().change(p), err
		}
	}
	if !exists(v, dir+"/flake.nix") {
		if !exists(v, dir) {
			return nil, bootstrap.Hint(bootstrap.Misconfigured("there is no directory %s", dir), "name another home repo: movein apply HOME_REPO")
		}
		return nil, bootstrap.Hint(bootstrap.Misconfigured("%s has no flake.nix, so it is no home repo", dir), anotherHome)
	}
	warnUnseen(ctx, v, dir)
	return nil, nil
}

// warnUnseen names the Nix files that the flake cannot see because git does not track them.
func warnUnseen(ctx context.Context, v host.View, dir string) {
	if unseen := unseenNix(ctx, v, dir); len(unseen) > 0 {
		v.Warn("Nix does not see files that git does not track: %s; make it see them with: git -C %s add %s", few(unseen), dir, strings.Join(unseen, " "))
	}
}

func unseenNix(ctx context.Context, v host.View, dir string) (unseen []string) {
	state, err := v.Repo(ctx, dir)
	if err != nil {
		return nil
	}
	for _, name := range state.Untracked {
		if strings.HasSuffix(name, ".nix") {
			unseen = append(unseen, name)
		}
	}
	return unseen
}

func (s homeRepo) Apply(ctx context.Context, h host.Host, _ bootstrap.Change) error {
	if err := RestoreLock(ctx, h, s.c); err != nil {
		return err
	}
	if change, err := s.Plan(ctx, h); err != nil || len(change) == 0 {
		return err
	}
	if s.c.HomeRepo == Starter {
		return s.writeStarter(h)
	}
	return s.repo().apply(ctx, h)
}

// starterFiles are the files of the starter for this user and host.
func (s homeRepo) starterFiles() (map[string][]byte, error) {
	files := map[string][]byte{}
	err := fs.WalkDir(embed.Starter(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files[name], err = fs.ReadFile(embed.Starter(), name)
		return err
	})
	if err != nil {
		return nil, err
	}
	data, err := json.MarshalIndent(map[string]string{"user": s.c.User, "home": s.c.Home, "system": s.f.System, "hostname": s.c.Host}, "", "  ")
	files["host.json"] = append(data, '\n')
	return files, err
}

// planStarter lists what is missing. What the user changed in a file stays as it
// is; host.json alone follows the host.
func (s homeRepo) planStarter(v host.View, dir string) (bootstrap.Change, error) {
	files, err := s.starterFiles()
	if err != nil {
		return nil, err
	}
	missing := 0
	for name, data := range files {
		old, err := v.ReadFile(filepath.Join(dir, name))
		if errors.Is(err, fs.ErrNotExist) || name == "host.json" && string(old) != string(data) {
			missing++
		} else if err != nil {
			return nil, err
		}
	}
	if missing == 0 {
		return nil, nil
	}
	return bootstrap.Change{{Verb: "write", Target: dir, Reason: fmt.Sprintf("the starter, %d files", missing)}}, nil
}

func (s homeRepo) writeStarter(h host.Host) error {
	dir, _ := s.c.HomeDir()
	files, err := s.starterFiles()
	if err != nil {
		return err
	}
	for name, data := range files {
		file := filepath.Join(dir, name)
		if exists(h, file) && name != "host.json" {
			continue
		}
		if err := h.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		if err := h.WriteFile(file, data, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// dotfilesRepo clones the chezmoi source.
type dotfilesRepo struct{ c *Config }

func (s dotfilesRepo) Info() bootstrap.Info {
	needs := []string{HomeStep} // whose movein.toml may name it
	if s.c.VaultWith == DotfilesStep {
		needs = []string{"preflight"}
	}
	return bootstrap.Info{Name: DotfilesStep, Title: "Dotfiles repo", Needs: needs}
}

func (s dotfilesRepo) repo() repo {
	dir, _ := s.c.DotfilesDir()
	return repo{info: s.Info(), url: s.c.Dotfiles, dir: dir, onDiverged: s.c.OnDiverged, offline: s.c.Offline, c: s.c}
}

// Ask asks the remote ahead of Plan.
func (s dotfilesRepo) Ask(ctx context.Context, v host.View) {
	if _, clone := s.c.DotfilesDir(); clone && s.c.Dotfiles != "" && s.c.Dotfiles != "none" {
		s.repo().ask(ctx, v)
	}
}

func (s dotfilesRepo) Plan(ctx context.Context, v host.View) (bootstrap.Change, error) {
	var err error
	if s.c, err = s.c.withRepo(v); err != nil {
		return nil, err
	}
	known := LastDotfiles(v, s.c)
	if s.c.Dotfiles == "none" && known != "" {
		return bootstrap.Change{{Verb: "forget", Target: known}}, nil
	}
	if s.c.Dotfiles == "" || s.c.Dotfiles == "none" {
		return nil, bootstrap.Skip("no dotfiles are asked for (--dotfiles REPO)")
	}
	dir, clone := s.c.DotfilesDir()
	if !clone {
		if !exists(v, dir) {
			return nil, bootstrap.Hint(bootstrap.Misconfigured("there is no directory %s", dir), "name another: --dotfiles REPO; or none: --dotfiles none")
		}
		if known != s.c.Dotfiles {
			return bootstrap.Change{{Verb: "use", Target: dir}}, nil
		}
		return nil, nil
	}
	p, err := s.repo().plan(ctx, v)
	return s.repo().change(p), err
}

func (s dotfilesRepo) Apply(ctx context.Context, h host.Host, _ bootstrap.Change) error {
	var err error
	if s.c, err = s.c.withRepo(h); err != nil {
		return err
	}
	if s.c.Dotfiles == "none" {
		if err := h.Remove(dotfilesRecord(s.c)); err != nil {
			return err
		}
		return bootstrap.Skip("no dotfiles are asked for (--dotfiles REPO)")
	}
	if _, clone := s.c.DotfilesDir(); clone {
		if err := s.repo().apply(ctx, h); err != nil {
			return err
		}
	}
	if err := h.MkdirAll(s.c.State(), 0o700); err != nil {
		return err
	}
	record := s.c.Dotfiles + "\n"
	dir, _ := s.c.HomeDir()
	if f, _, err := ReadFile(h, filepath.Join(dir, "movein.toml")); err == nil && f.Dotfiles != nil && *f.Dotfiles == s.c.Dotfiles {
		record += s.c.HomeRepo + "\n"
	}
	return h.WriteFile(dotfilesRecord(s.c), []byte(record), 0o600)
}

// dotfilesRecord is where the dotfiles repo that was cloned is remembered, and on a line of
// its own the home repo that names it, if one does.
func dotfilesRecord(c *Config) string { return filepath.Join(c.State(), "dotfiles") }

// LastDotfiles is the dotfiles repo that was used here before; "" if none was, or only because
// another home repo names it.
func LastDotfiles(v host.View, c *Config) string {
	last, by, _ := strings.Cut(readText(v, dotfilesRecord(c)), "\n")
	if by = strings.TrimSpace(by); by != "" && by != c.HomeRepo {
		return ""
	}
	return strings.TrimSpace(last)
}
