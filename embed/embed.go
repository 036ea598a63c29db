// Package embed holds the files that movein carries inside: the starter home, the
// home repo and dotfiles to begin with, the Ansible collection, the installer script
// and the digests of the Nix releases it may install.
//
// It only hands them out. Who writes them to a host decides where and with
// which mode.
package embed

import (
	"cmp"
	"embed"
	"encoding/json"
	"io/fs"
	"slices"
	"sort"
)

//go:embed starter
var starter embed.FS

//go:embed ansible
var ansible embed.FS

//go:embed install.sh
var installScript []byte

//go:embed nix-releases.json
var nixReleases []byte

// DefaultNix is the version of Nix that is installed when nothing else is
// asked for. Both systems have a digest of it.
const DefaultNix = "2.34.7"

// Starter returns the files of the starter home: a flake without inputs that
// any Nix from 2.8 on builds without network. Its root is the flake's root.
//
// Two things are the caller's. The flake reads a file host.json beside
// flake.nix, an object of the four strings user, home, system (Nix's name) and
// hostname, and has one configuration, homeConfigurations."USER@HOSTNAME". And
// its directory is to be named as a "path:" flake, since in a Git repository
// Nix sees only tracked files. None of the files needs to be executable.
func Starter() fs.FS { return below(starter, "starter") }

// Ansible returns the files of the Ansible collection movein.home, without the
// programs that it copies to hosts. None of the files needs to be executable.
func Ansible() fs.FS { return below(ansible, "ansible") }

// InstallScript returns install.sh, which downloads a release of movein,
// checks it and runs it. The caller may change the bytes.
func InstallScript() []byte {
	return slices.Clone(installScript)
}

// Where releases of movein are, and the public key of minisign that they are signed
// with, "" if there is none. Both are the linker's to set, when a release is built.
var (
	releases   = "https://movein.invalid/releases"
	releaseKey string
)

// Releases is the address of movein's releases: below it are latest/download/FILE and
// download/TAG/FILE.
func Releases() string { return releases }

// ReleaseKey is the public key of minisign that movein's releases are signed with; "": none.
func ReleaseKey() string { return releaseKey }

// Release is an official binary tarball of Nix, nix-VERSION-SYSTEM.tar.xz.
type Release struct {
	Version string // "2.34.7"
	System  string // Nix's name: "x86_64-linux"
	SHA256  string // of the tarball, 64 hexadecimal digits in lower case
}

// NixReleases returns all releases with a pinned digest, by version and system
// in the order of their names.
func NixReleases() []Release {
	var digests map[string]map[string]string
	if err := json.Unmarshal(nixReleases, &digests); err != nil {
		panic("embed: nix-releases.json: " + err.Error()) // the tests read it
	}
	var all []Release
	for version, systems := range digests {
		for system, sum := range systems {
			all = append(all, Release{Version: version, System: system, SHA256: sum})
		}
	}
	sort.Slice(all, func(i, j int) bool {
		return cmp.Or(cmp.Compare(all[i].Version, all[j].Version), cmp.Compare(all[i].System, all[j].System)) < 0
	})
	return all
}

// NixRelease returns the pinned digest of the tarball of Nix version for
// system (Nix's name), and whether there is one. Without one a tarball cannot
// be trusted unless the user gives its digest.
func NixRelease(version, system string) (sha256 string, ok bool) {
	for _, r := range NixReleases() {
		if r.Version == version && r.System == system {
			return r.SHA256, true
		}
	}
	return "", false
}
