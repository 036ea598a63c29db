package steps

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sort"
	"strings"
	"time"

	"movein/bootstrap"
	"movein/bootstrap/host"
	"movein/distro"
)

// HomeGeneration is one home generation of the user's profile.
type HomeGeneration struct {
	Number  int       `json:"number"`
	Time    time.Time `json:"time"` // when it was made
	Path    string    `json:"path"`
	Current bool      `json:"current"`
	Missing bool      `json:"missing,omitempty"` // its store path is gone
	Backup  string    `json:"backup,omitempty"`  // the last run that led away from it: a rollback takes it back
}

// Generations are the home generations, newest first, with the numbers that
// home-manager shows, too.
func Generations(v host.View, c *Config) ([]HomeGeneration, error) {
	dir := filepath.Dir(c.profile(v))
	entries, err := v.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("reading the profile: %w", err)
	}
	runs, _, err := homeActivate{c: c}.backups().List(v)
	if err != nil {
		return nil, err
	}
	current, _ := isLink(v, c.profile(v))
	all := []HomeGeneration{}
	for _, e := range entries {
		g := HomeGeneration{Number: generationNumber(e.Name()), Current: e.Name() == filepath.Base(current)}
		target, ok := isLink(v, filepath.Join(dir, e.Name()))
		if g.Number == 0 || !ok {
			continue
		}
		if info, err := v.Lstat(filepath.Join(dir, e.Name())); err == nil {
			g.Time = info.ModTime()
		}
		g.Path, g.Missing = target, !exists(v, target)
		for _, r := range runs {
			if r.Done != nil && r.Generation == g.Path {
				g.Backup = r.Run
			}
		}
		all = append(all, g)
	}
	sort.Slice(all, func(i, j int) bool { return all[i].Number > all[j].Number })
	return all, nil
}

// Package is something that a generation installs.
type Package struct {
	Name    string `json:"name"`
	Version string `json:"version,omitempty"`
	Path    string `json:"path"`
}

// Packages are what the active generation installs, sorted by name.
func Packages(ctx context.Context, v host.View, f *distro.Facts, c *Config) ([]Package, error) {
	out := c.activeGeneration(v)
	if out == "" {
		return nil, bootstrap.Hint(errors.New("there is no home generation"), "make one: movein apply")
	}
	path, ok := isLink(v, out+"/home-path")
	if !ok {
		return []Package{}, nil // it installs nothing, as the starter
	}
	res, err := v.Query(ctx, homeBuild{f, c}.storeCmd(ctx, v, "--query", "--references", path))
	if err != nil {
		return nil, bootstrap.Hint(fmt.Errorf("asking Nix what is in %s: %w", path, err), "see whether Nix is well: movein doctor")
	}
	all := []Package{}
	for _, ref := range strings.Fields(string(res.Stdout)) {
		if ref == path {
			continue
		}
		p := Package{Path: ref}
		if _, p.Name, ok = strings.Cut(filepath.Base(ref), "-"); !ok {
			continue
		}
		p.Name, p.Version = splitVersion(p.Name)
		all = append(all, p)
	}
	sort.Slice(all, func(i, j int) bool {
		return cmp.Or(cmp.Compare(all[i].Name, all[j].Name), cmp.Compare(all[i].Path, all[j].Path)) < 0
	})
	return all, nil
}

// splitVersion splits a package's name as Nix does: the version begins after the
// first dash that no letter follows.
func splitVersion(name string) (string, string) {
	for i := range len(name) - 1 {
		next := name[i+1] | 0x20
		if name[i] == '-' && (next < 'a' || next > 'z') {
			return name[:i], name[i+1:]
		}
	}
	return name, ""
}

// Cut is what is known of a change that was cut short, and of what the last one left.
type Cut struct {
	Short   bool     `json:"cut_short"`         // a change of the home was
	Backups int      `json:"backups"`           // how many there are
	Bytes   int64    `json:"backup_bytes"`      // the size of their contents
	Skipped []string `json:"skipped,omitempty"` // files that could not be made for lack of a secret
}

// LastChange says in what state the last change left the home.
func LastChange(v host.View, c *Config) (l Cut) {
	s := homeActivate{c: c}
	_, cut, err := s.changer().CutShort(v)
	l.Short, l.Skipped = cut || err != nil, Skipped(v)
	if runs, _, err := s.backups().List(v); err == nil {
		l.Backups = len(runs)
		for _, r := range runs {
			l.Bytes += r.Size()
		}
	}
	return l
}
