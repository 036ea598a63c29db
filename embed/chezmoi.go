package embed

import (
	_ "embed" // for the digests
	"encoding/json"
)

//go:embed chezmoi-releases.json
var chezmoiReleases []byte

// DefaultChezmoi is the version of chezmoi that is fetched when a host has none
// and nothing else is asked for.
const DefaultChezmoi = "2.72.1"

// ChezmoiAsset is a file of an upstream release of chezmoi: a .tar.gz with a
// statically linked program "chezmoi" in it.
type ChezmoiAsset struct {
	Asset  string // its name
	SHA256 string // 64 hexadecimal digits in lower case
}

// ChezmoiRelease returns the pinned asset of a version for a system (Nix's name),
// and whether there is one.
func ChezmoiRelease(version, system string) (ChezmoiAsset, bool) {
	var all map[string]map[string]ChezmoiAsset
	if err := json.Unmarshal(chezmoiReleases, &all); err != nil {
		panic("embed: chezmoi-releases.json: " + err.Error()) // the tests read it
	}
	a, ok := all[version][system]
	return a, ok
}
