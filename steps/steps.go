// Package steps holds what movein does to a host: one file a step. All is the list.
package steps

import (
	"slices"

	"movein/bootstrap"
	"movein/distro"
)

// All lists the steps for a host with these facts, each after those it needs:
// what runs in which order is read here.
func All(f *distro.Facts, c *Config) []bootstrap.Step {
	repos := []bootstrap.Step{
		homeRepo{f, c},  // the home-manager flake: clone, starter or the user's directory
		dotfilesRepo{c}, // the chezmoi source: clone
	}
	if c.VaultWith == DotfilesStep {
		slices.Reverse(repos)
	}
	var bundled []bootstrap.Step
	if c.Bundle != nil {
		bundled = []bootstrap.Step{bundleStep{f, c}} // what a bundle has of the store
	}
	return slices.Concat([]bootstrap.Step{
		preflight{f, c}, // can this host be moved into at all?
		nixFetch{f, c},  // the Nix release, into the user's cache
	}, repos, []bootstrap.Step{
		nixMount{f, c},   // where the root file system has no room: /nix, from below /var
		wsl{f, c},        // systemd, or what keeps the daemon without it
		nixInstall{f, c}, // Nix: install, adopt, repair
		nixConfig{f, c},  // our keys in our file, included by nix.conf
		selinux{f, c},    // the file contexts of Nix, and its labels
		nixDaemon{f, c},  // units and a daemon that answers
	}, bundled, []bootstrap.Step{
		homeBuild{f, c},    // the generation of the configuration for this user and host
		chezmoiFetch{f, c}, // chezmoi, if there are dotfiles and neither the home nor the host has one
		homeActivate{f, c}, // profile, links, packages, units; or everything as before
		handOn{c},          // secrets: to files, the session, the ssh-agent, the keyring
		session{f, c},      // what the user's units and desktop find
		sessionHost{f, c},  // units without a login, graphics drivers
		verify{f, c},       // is it as promised?
	})
}
