package steps

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"movein/bootstrap"
	"movein/bootstrap/host"
	"movein/distro"
)

// candidates are the names of the configuration to look for after the last build, best first.
func (s homeBuild) candidates(last built) []string {
	if s.c.Configuration != "" {
		return []string{s.c.Configuration}
	}
	user, f := s.c.User, s.f
	var names []string
	add := func(name string) {
		if name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	hosts := []string{s.c.Host}
	if s.c.Host == f.Hostname { // not given: the one of last time, and all its forms
		if last.Repo == s.c.HomeRepo {
			add(last.Attribute)
		}
		hosts = []string{f.FQDN, f.Hostname, f.Short}
	}
	for _, h := range hosts {
		if h != "" {
			add(user + "@" + h)
		}
	}
	for _, h := range hosts {
		add(h)
	}
	for _, name := range slices.Sorted(maps.Keys(s.c.Aliases)) {
		if slices.ContainsFunc(hosts, func(h string) bool { return slices.Contains(s.c.Aliases[name], h) }) {
			add(user + "@" + name)
			add(name)
		}
	}
	for _, p := range platformNames(f) {
		add(user + "@" + p)
	}
	add(user)
	return names
}

// platformNames are the names under which a home repo keeps a kind of host.
func platformNames(f *distro.Facts) []string {
	switch {
	case f.WSL != 0:
		return []string{"wsl-workspace", "wsl"}
	case f.VariantID != "":
		return []string{f.VariantID, f.ID}
	}
	return []string{f.ID}
}

// found is the answer of one evaluation that lists the configurations and looks
// at the one that is chosen.
type found struct {
	Names []string `json:"names"`
	Pick  string   `json:"pick"`
	User  string   `json:"user"`
	Home  string   `json:"home"`
}

// finder is the function, in Nix, that makes a found of homeConfigurations. A
// configuration without "config" (none of home-manager's) is not asked for its user.
const finder = `cs: let
  names = builtins.attrNames cs;
  fits = builtins.filter (n: builtins.elem n names) %s;
  pick = if fits == [ ] then "" else builtins.head fits;
  home = if pick != "" && cs.${pick} ? config then cs.${pick}.config.home else { };
in { inherit names pick; user = home.username or ""; home = home.homeDirectory or ""; }`

// choose finds the attribute of homeConfigurations that is for this user and
// host, and checks that it is for this user.
func (s homeBuild) choose(ctx context.Context, v host.View, flake string) (string, error) {
	names := s.candidates(readBuilt(v, s.c))
	list := "["
	for _, n := range names {
		list += " " + quote(n)
	}
	res, err := v.Query(ctx, s.nixCmd(ctx, v, "eval", "--json", flake+"#homeConfigurations", "--apply", fmt.Sprintf(finder, list+" ]")))
	if err != nil {
		if e, ok := errors.AsType[*host.CommandError](err); ok && strings.Contains(e.Stderr, "does not provide attribute") {
			return "", bootstrap.Hint(bootstrap.Misconfigured("%s has no homeConfigurations", flake), "see what it has with: nix flake show %q", flake)
		}
		return "", s.explain(err, flake)
	}
	var got found
	if err := json.Unmarshal(res.Stdout, &got); err != nil {
		return "", fmt.Errorf("reading what nix eval says: %w", err)
	}
	v.Remember("configurations", []byte(strings.Join(got.Names, "\n")))
	if got.Pick == "" {
		return "", s.noneFits(names, got.Names, flake)
	}
	if got.User != "" && got.User != s.c.User || got.Home != "" && unlinked(v, got.Home) != unlinked(v, s.c.Home) {
		return "", bootstrap.Hint(bootstrap.Misconfigured("homeConfigurations.%s is for user %s with home %s, and this is user %s with home %s", quote(got.Pick), got.User, got.Home, s.c.User, s.c.Home),
			"choose another with --configuration, or set home.username and home.homeDirectory; there are: %s", strings.Join(got.Names, ", "))
	}
	return got.Pick, nil
}

// unlinked is a home directory without the link /home, which on ostree hosts leads to /var/home.
func unlinked(v host.View, home string) string {
	if to, ok := follow(v, home); ok {
		return to
	}
	return home
}

// Configurations are the names that the home repo had when it was last evaluated; none if
// that is not known. For completion: nothing is evaluated.
func Configurations(v host.Memory) []string {
	return strings.Fields(string(v.Recall("configurations")))
}

// noneFits lists what there is, nearest first.
func (s homeBuild) noneFits(wanted, names []string, flake string) error {
	if len(names) == 0 {
		return bootstrap.Hint(bootstrap.Misconfigured("homeConfigurations of %s is empty", flake), "add one for this host to the home repo, or name another one: movein apply HOME_REPO")
	}
	near := bootstrap.Nearest(wanted[0], names)
	return bootstrap.Hint(bootstrap.Misconfigured("no homeConfigurations attribute of %s fits (looked for %s); there are: %s", flake, strings.Join(wanted, ", "), strings.Join(near, ", ")),
		"choose one: movein apply --configuration %q; or add one for this host to the home repo", near[0])
}
