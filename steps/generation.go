package steps

import (
	"path/filepath"
	"strings"

	"movein/bootstrap/host"
)

// generation is a home-manager generation in the store, and the user's state
// around it, as home-manager makes them.
type generation struct {
	c   *Config
	out string // store path
}

// profile is the user's home-manager profile: in the state directory if Nix keeps
// profiles there, else at the older place. home-manager chooses the same way.
func (c *Config) profile(v host.View) string {
	dir := filepath.Join(c.StateHome, "nix", "profiles")
	old := "/nix/var/nix/profiles/per-user/" + c.User
	if !exists(v, dir) && exists(v, old) {
		dir = old
	}
	return filepath.Join(dir, "home-manager")
}

// current is home-manager's own garbage collector root of the active generation.
func (c *Config) current() string {
	return filepath.Join(c.StateHome, "home-manager", "gcroots", "current-home")
}

// Generation is the store path of the user's active home generation; "" if none.
func (c *Config) Generation(v host.View) string { return c.activeGeneration(v) }

// activeGeneration is the store path of the generation that the user's profile names; "" if none.
func (c *Config) activeGeneration(v host.View) string {
	link, ok := isLink(v, c.profile(v))
	if !ok {
		return ""
	}
	target, _ := isLink(v, filepath.Join(filepath.Dir(c.profile(v)), filepath.Base(link)))
	return target
}

// generationOf is the number of the newest generation in the user's profile that is out; 0 if none.
func (c *Config) generationOf(v host.View, out string) (number int) {
	dir := filepath.Dir(c.profile(v))
	entries, err := v.ReadDir(dir)
	if err != nil {
		return 0
	}
	for _, e := range entries {
		if target, ok := isLink(v, filepath.Join(dir, e.Name())); ok && target == out {
			number = max(number, generationNumber(e.Name()))
		}
	}
	return number
}

// leaf is one file of a generation: the link in the home leads to it.
type leaf struct {
	rel    string // below the home
	target string // what the link in the home must be
	file   bool   // that is a file, and no link itself
}

// leaves lists the generation's files.
func (g generation) leaves(v host.View) ([]leaf, error) {
	return once(v, "leaves "+g.out, func() ([]leaf, error) { return g.lookForLeaves(v) })
}

func (g generation) lookForLeaves(v host.View) ([]leaf, error) {
	top := g.out + "/home-files"
	for range 10 { // the links of the files lead to where this one ends
		next, ok := follow(v, top)
		if !ok {
			break
		}
		top = next
	}
	if !exists(v, top) {
		return nil, nil
	}
	var out []leaf
	var walk func(dir string) error
	walk = func(dir string) error {
		entries, err := v.ReadDir(dir)
		if err != nil {
			return err
		}
		for _, e := range entries {
			name := dir + "/" + e.Name()
			if !e.IsDir() {
				out = append(out, leaf{name[len(top)+1:], name, e.Type().IsRegular()})
			} else if err := walk(name); err != nil {
				return err
			}
		}
		return nil
	}
	return out, walk(top)
}

// keepsCurrent reports whether the generation's activation leaves the root
// current-home, as home-manager's own does at its end.
func (g generation) keepsCurrent(v host.View) bool {
	return strings.Contains(readText(v, g.out+"/activate"), "current-home")
}

// packagesKept reports whether the generation's packages are in the user's profile.
func (g generation) packagesKept(v host.View) bool {
	path, ok := isLink(v, g.out+"/home-path")
	if !ok || !nonEmpty(v, path) {
		return true
	}
	for _, profile := range []string{filepath.Join(g.c.Home, ".nix-profile"), filepath.Join(g.c.StateHome, "nix/profile"),
		filepath.Join(g.c.StateHome, "nix/profiles/profile"), "/nix/var/nix/profiles/per-user/" + g.c.User + "/profile"} {
		for _, manifest := range []string{"/manifest.nix", "/manifest.json"} {
			if strings.Contains(readText(v, profile+manifest), path) {
				return true
			}
		}
	}
	return false
}
