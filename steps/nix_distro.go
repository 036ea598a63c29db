package steps

import (
	"context"
	"errors"
	"fmt"

	"movein/bootstrap"
	"movein/bootstrap/host"
	"movein/distro"
)

// distroPackages is how each package manager gets its Nix, and git, which the
// older Nix of a distribution calls to read a repository.
var distroPackages = map[string][][]string{
	"apt": {
		{"apt-get", "update", "-q"},
		{"apt-get", "install", "-q", "-y", "--no-install-recommends", "nix-bin", "git", "ca-certificates"},
	},
	"dnf":    {{"dnf", "install", "-y", "nix", "nix-daemon", "git-core"}},
	"pacman": {{"pacman", "-Sy", "--noconfirm", "--needed", "nix", "git"}},
	"zypper": {{"zypper", "--non-interactive", "install", "nix", "git"}},
	"apk":    {{"apk", "add", "nix", "git"}},
}

// distroHasNix reports whether the distribution's package manager is known to have a Nix.
func distroHasNix(f *distro.Facts) bool { return distroPackages[f.Packages] != nil && !f.OSTree }

// fromDistro installs the distribution's own package. It is what is left when the official host cannot be reached.
func (s nixInstall) fromDistro(ctx context.Context, h host.Host) error {
	cmds := distroPackages[s.f.Packages]
	if s.f.Packages == "apt" && s.f.Systemd {
		last := cmds[len(cmds)-1]
		cmds = append(cmds[:len(cmds)-1:len(cmds)-1], append(last[:len(last):len(last)], "nix-setup-systemd"))
	}
	for i, args := range cmds {
		h.Progress(int64(i), int64(len(cmds)), "commands")
		_, err := h.Run(ctx, &host.Cmd{Args: args, Env: []string{"DEBIAN_FRONTEND=noninteractive"}})
		if err != nil && i == len(cmds)-1 {
			return bootstrap.Exit(bootstrap.ExitUnreachable, bootstrap.Hint(
				fmt.Errorf("installing the distribution's Nix: %w", err), "check the network; a mirror of the Nix releases is given with --nix-url"))
		}
	}
	_, _, version := findNix(h)
	if bin, _, _ := findNix(h); bin == "" {
		return errors.New("the distribution's package brought no nix")
	} else if version == "" {
		version, _ = askVersion(ctx, h, bin)
	}
	if older(version, minNix) {
		return bootstrap.Exit(bootstrap.ExitConfig, bootstrap.Hint(
			fmt.Errorf("the distribution's Nix is %s, and at least %s is needed", version, minNix), "give a mirror of the Nix releases with --nix-url"))
	}
	h.Warn("this is the distribution's Nix %s, which it also updates", version)
	return nil
}
