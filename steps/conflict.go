package steps

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"movein/bootstrap"
	"movein/bootstrap/host"
	"movein/steps/home"
)

// unsettled refuses what two owners claim.
func (s homeActivate) unsettled(v host.View, conflicts []home.Conflict) error {
	if len(conflicts) == 0 {
		return nil
	}
	const shown = 10
	var lines []string
	for _, c := range conflicts[:min(len(conflicts), shown)] {
		lines = append(lines, fmt.Sprintf("%s: %s (%s) and %s (%s)", home.Shown("~/"+c.Inner.Path), c.Inner.Owner, s.broughtBy(v, c.Inner), c.Outer.Owner, s.broughtBy(v, c.Outer)))
	}
	if more := len(conflicts) - shown; more > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", more))
	}
	path := conflicts[0].Outer.Path
	if c := conflicts[0]; c.Outer.Kind == home.Dir && c.Outer.Exact && c.Inner.Path != path {
		path = home.EntryOf(path, c.Inner.Path)
	}
	return bootstrap.Hint(bootstrap.Refuse("two want the same files:\n    %s", strings.Join(lines, "\n    ")),
		"take each out of one of the two repos, or settle it in movein.toml:\n    [ownership]\n    %q = \"home-manager\"   # or \"chezmoi\"", path)
}

// broughtBy is the file that a claim comes from. What home-manager links is in the
// store: if a line of the home repo names the path, or a directory it is in, it is that line.
func (s homeActivate) broughtBy(v host.View, c home.Claim) string {
	if c.Owner != home.HomeManager {
		return c.Source
	}
	dir, _ := s.c.HomeDir()
	for path := c.Path; path != "."; path = filepath.Dir(path) {
		if at := namedIn(v, dir, path); at != "" {
			return at
		}
	}
	return c.Source
}

// namedIn is the first line below dir, as FILE:LINE, on which a .nix file names a path of
// the home; "" if none does.
func namedIn(v host.View, dir, path string) string {
	entries, err := v.ReadDir(dir)
	if err != nil {
		return ""
	}
	for _, e := range entries {
		name := filepath.Join(dir, e.Name())
		switch {
		case e.IsDir() && !strings.HasPrefix(e.Name(), "."):
			if at := namedIn(v, name, path); at != "" {
				return at
			}
		case e.Type().IsRegular() && filepath.Ext(name) == ".nix":
			if n := namedOn(readText(v, name), path); n > 0 {
				return name + ":" + strconv.Itoa(n)
			}
		}
	}
	return ""
}

// namedOn is the number of the first line of a Nix text that names a path of the home as
// home.file, xdg.configFile or xdg.dataFile do, from 1; 0 if none does.
func namedOn(text, path string) int {
	names := []string{path}
	for option, dir := range map[string]string{"configFile": ".config/", "dataFile": ".local/share/"} {
		if rest, ok := strings.CutPrefix(path, dir); ok && strings.Contains(text, option) {
			names = append(names, rest)
		}
	}
	for n, line := range strings.Split(text, "\n") {
		line, _, _ = strings.Cut(line, "#")
		for _, name := range names {
			_, rest, ok := strings.Cut(line, `"`+name+`"`)
			if rest = strings.TrimSpace(rest); ok && (strings.HasPrefix(rest, ".") || strings.HasPrefix(rest, "=")) {
				return n + 1
			}
		}
	}
	return 0
}
