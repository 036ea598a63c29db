package steps

import (
	"fmt"
	"slices"
	"strings"

	"movein/bootstrap"
	"movein/bootstrap/host"
	"movein/distro"
)

// rivals refuses a home that home-manager manages already as a module of NixOS: each of
// the two would take the other's links for a stranger's.
func (s preflight) rivals(v host.View) error {
	if s.f.Platform != distro.NixOS {
		return nil
	}
	unit := unitDir + "/home-manager-" + s.c.User + ".service" // modules/nixos of home-manager makes it
	if !exists(v, unit) {
		return nil
	}
	return bootstrap.Hint(bootstrap.Refuse("the system's configuration manages the home of %s already, by home-manager as a NixOS module (%s), and two cannot own its files", s.c.User, unit),
		"go on with one of them: change the home in the system's configuration and run nixos-rebuild switch; or take home-manager.users.%s out of it, run nixos-rebuild switch, then the same command again", s.c.User)
}

// allowed refuses a user whom the daemon does not serve: it hangs up on them without a word.
func (s preflight) allowed(v host.View) error {
	conf := readText(v, nixConf)
	users, set := nixSetting(conf, "allowed-users")
	trusted, _ := nixSetting(conf, "trusted-users")
	if !set || s.c.UID == 0 || listed(v, append(users, trusted...), s.c.User, s.c.GID) {
		return nil
	}
	mend := fmt.Sprintf("have root add %s to allowed-users in %s and restart nix-daemon.service", s.c.User, nixConf)
	if s.f.Platform == distro.NixOS {
		mend = fmt.Sprintf("have whoever owns the system's configuration add %q to nix.settings.allowed-users and run nixos-rebuild switch", s.c.User)
	}
	return bootstrap.Hint(bootstrap.Exit(bootstrap.ExitPermission, fmt.Errorf("%s may not use the Nix daemon: allowed-users in %s is %q", s.c.User, nixConf, strings.Join(users, " "))), "%s", mend)
}

// nixSetting are the words of a setting that is a list, with those of its extra- form.
func nixSetting(conf, name string) (words []string, set bool) {
	for line := range strings.Lines(conf) {
		line, _, _ = strings.Cut(line, "#")
		key, value, ok := strings.Cut(line, "=")
		switch strings.TrimSpace(key) {
		case name:
			words, set = strings.Fields(value), ok
		case "extra-" + name:
			words = append(words, strings.Fields(value)...)
		}
	}
	return words, set
}

// listed reports whether a list of users, groups ("@wheel") and "*" has the user. Of a
// group that is not in /etc/group it cannot be told, so it counts.
func listed(v host.View, list []string, user string, gid int) bool {
	groups := readText(v, "/etc/group")
	return slices.ContainsFunc(list, func(entry string) bool {
		name, isGroup := strings.CutPrefix(entry, "@")
		if !isGroup {
			return entry == "*" || entry == user
		}
		members, known := groupMembers(groups, name)
		_, entry, _ = strings.Cut("\n"+groups, "\n"+name+":")
		_, entry, _ = strings.Cut(entry, ":")
		return !known || slices.Contains(members, user) || strings.HasPrefix(entry, fmt.Sprintf("%d:", gid))
	})
}

// flakes reports whether the settings turn flakes on for everybody or for the user.
func (c *Config) flakes(v host.View) bool {
	var on []string
	for _, file := range []string{nixConf, ownConf, nixCustom, c.ConfigHome + "/nix/nix.conf"} {
		words, _ := nixSetting(readText(v, file), "experimental-features")
		on = append(on, words...)
	}
	return slices.Contains(on, "flakes") && slices.Contains(on, "nix-command")
}
