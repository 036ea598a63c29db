package embed

import (
	"embed"
	"io/fs"
)

//go:embed all:home
var home embed.FS

//go:embed all:dotfiles
var dotfiles embed.FS

// Home returns the home repo that "movein init" begins with: a home-manager flake
// with one module a concern. It is itself a valid repo, of the hosts in its hosts/
// but linux.nix, which is for any other host. Its root is the flake's root. Its
// flake.lock locks nothing: no revision of its inputs was built here as a whole.
func Home() fs.FS { return below(home, "home") }

// Dotfiles returns the chezmoi source that goes with Home. It owns no file that
// Home's modules own.
func Dotfiles() fs.FS { return below(dotfiles, "dotfiles") }

func below(files embed.FS, dir string) fs.FS {
	sub, err := fs.Sub(files, dir)
	if err != nil {
		panic("embed: " + err.Error()) // only for a malformed name
	}
	return sub
}
