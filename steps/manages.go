package steps

import (
	"context"
	"encoding/json"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"movein/bootstrap/host"
	"movein/distro"
)

// Managed is what movein manages on a host.
type Managed struct {
	Repo          string    `json:"home_repo"`
	Dir           string    `json:"home_dir"`
	Commit        string    `json:"commit"` // "": not a git repository
	Configuration string    `json:"configuration"`
	Generation    string    `json:"generation"` // store path; "": none
	Number        int       `json:"generation_number"`
	Activated     time.Time `json:"activated,omitzero"`
	Locked        time.Time `json:"locked,omitzero"` // the newest of the flake's inputs
	Nix           string    `json:"nix"`             // version
	NixKind       string    `json:"nix_kind"`
}

// Manages looks at what is there. It asks no network.
func Manages(ctx context.Context, v host.View, f *distro.Facts, c *Config) Managed {
	nix := detectNix(ctx, v, f, c)
	m := Managed{Repo: c.HomeRepo, Nix: nix.Version, NixKind: string(nix.Kind), Generation: c.activeGeneration(v)}
	if c.HomeRepo != "" {
		m.Dir, _ = c.HomeDir()
		m.Locked = locked(v, m.Dir)
		if state, err := v.Repo(ctx, m.Dir); err == nil {
			m.Commit = state.Commit
		}
	}
	m.Configuration = readBuilt(v, c).Attribute
	if link, ok := isLink(v, c.profile(v)); ok {
		m.Number = generationNumber(link)
		if info, err := v.Lstat(filepath.Join(filepath.Dir(c.profile(v)), filepath.Base(link))); err == nil {
			m.Activated = info.ModTime()
		}
	}
	return m
}

// locked is when the newest input was made that the flake's lock file has; zero if it has none.
func locked(v host.View, dir string) (newest time.Time) {
	data, err := v.ReadFile(filepath.Join(dir, "flake.lock"))
	if err != nil {
		return newest
	}
	var lock struct {
		Nodes map[string]struct {
			Locked struct {
				LastModified int64 `json:"lastModified"`
			} `json:"locked"`
		} `json:"nodes"`
	}
	if json.Unmarshal(data, &lock) != nil {
		return newest
	}
	for _, node := range lock.Nodes {
		if t := time.Unix(node.Locked.LastModified, 0).UTC(); node.Locked.LastModified > 0 && t.After(newest) {
			newest = t
		}
	}
	return newest
}

// generationNumber is N of home-manager-N-link.
func generationNumber(link string) int {
	n, err := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(filepath.Base(link), "home-manager-"), "-link"))
	if err != nil {
		return 0
	}
	return n
}
