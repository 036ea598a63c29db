package steps

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"movein/bootstrap"
	"movein/bootstrap/host"
)

// SecretEntry is one entry of [secrets] in movein.toml: where a value is, and where it
// goes. The value itself is never in a file.
//
//	[secrets]
//	forge  = { service = "forge", key = "token", git = { host = "git.example.org", user = "me" } }
//	rclone = { entry = "Cloud/rclone", field = "Password", file = { path = "rclone/password" } }
type SecretEntry struct {
	Service string `toml:"service" json:"service,omitempty"` // its name in the Secret Service, and in a
	Key     string `toml:"key" json:"key,omitempty"`         // vault whose entry has attributes service and key
	Entry   string `toml:"entry" json:"entry,omitempty"`     // its path or title in the vault, as in "Group/Title"
	Field   string `toml:"field" json:"field,omitempty"`     // of the entry; "": Password

	Git     *SecretGit  `toml:"git" json:"git,omitempty"`         // who logs in at a forge, over https
	Nix     string      `toml:"nix" json:"nix,omitempty"`         // the host that it is Nix's access token for
	Env     string      `toml:"env" json:"env,omitempty"`         // a variable of the session's services
	File    *SecretFile `toml:"file" json:"file,omitempty"`       // a program insists on a file
	SSH     bool        `toml:"ssh" json:"ssh,omitempty"`         // a private key for the agent
	Keyring bool        `toml:"keyring" json:"keyring,omitempty"` // to be stored in the keyring too
}

// SecretGit is whose password or token a secret is.
type SecretGit struct {
	Host string `toml:"host" json:"host"` // "git.example.org"
	User string `toml:"user" json:"user,omitempty"`
}

// SecretFile is where a secret is written for a program that reads it from a file.
type SecretFile struct {
	Path    string `toml:"path" json:"path"`                 // below $XDG_RUNTIME_DIR/movein, in memory; with Persist "~/…" or absolute
	Mode    string `toml:"mode" json:"mode,omitempty"`       // octal; "": 0600
	Persist bool   `toml:"persist" json:"persist,omitempty"` // on the disk, and still there after the session
}

var (
	secretName = pattern(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)
	variable   = pattern(`^[A-Za-z_][A-Za-z0-9_]*$`)
	serverName = pattern(`^[A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]+)?$`)
)

// checkSecrets finds an entry of [secrets] that cannot be meant.
func (f File) checkSecrets(file string) error {
	taken := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(f.Secrets)) {
		e := f.Secrets[name]
		wrong := e.wrong()
		if !secretName().MatchString(name) {
			wrong = "a name has letters, digits and . _ - only"
		}
		for _, goes := range e.goes() {
			if other := taken[goes]; other != "" && wrong == "" {
				wrong = fmt.Sprintf("%s is %s's already", goes, other)
			}
			taken[goes] = name
		}
		if wrong != "" {
			return bootstrap.Hint(bootstrap.Misconfigured("%s: [secrets] %s: %s", file, name, wrong),
				`an entry is: forge = { service = "forge", key = "token", git = { host = "git.example.org", user = "me" } }`)
		}
	}
	return nil
}

// goes are the places that only one secret can go to.
func (e SecretEntry) goes() (all []string) {
	if e.Env != "" {
		all = append(all, "env "+e.Env)
	}
	if e.Nix != "" {
		all = append(all, "nix "+e.Nix)
	}
	if e.File != nil {
		all = append(all, "file "+path.Clean(e.File.Path))
	}
	if e.Git != nil {
		all = append(all, "git "+e.Git.User+"@"+e.Git.Host)
	}
	return all
}

// wrong says what is wrong with an entry; "" if nothing is.
func (e SecretEntry) wrong() string {
	switch {
	case (e.Service == "") != (e.Key == ""):
		return "service and key belong together"
	case e.Service == "" && e.Entry == "":
		return "it has neither service and key nor entry"
	case e.Keyring && e.Service == "":
		return "keyring needs the names there: service and key"
	case e.Env != "" && !variable().MatchString(e.Env):
		return fmt.Sprintf("env %q is no name of a variable", e.Env)
	case e.Nix != "" && !serverName().MatchString(e.Nix):
		return fmt.Sprintf("nix %q is no host", e.Nix)
	case e.Git != nil && !serverName().MatchString(e.Git.Host):
		return fmt.Sprintf("git.host %q is no host", e.Git.Host)
	case e.Git != nil && strings.ContainsAny(e.Git.User, ":@/\n"):
		return fmt.Sprintf("git.user %q is no user", e.Git.User)
	case e.File != nil:
		return e.File.wrong()
	}
	return ""
}

func (f SecretFile) wrong() string {
	clean := path.Clean(f.Path)
	below := !path.IsAbs(clean) && clean != "." && clean != ".." && !strings.HasPrefix(clean, "../")
	mode, err := strconv.ParseUint(f.Mode, 8, 12)
	switch {
	case f.Path == "":
		return "file has no path"
	case f.Mode != "" && (err != nil || mode&^0o700 != 0 || mode&0o400 == 0):
		return fmt.Sprintf("file.mode %q is none that lets its owner read it, and nobody else", f.Mode)
	case f.Persist && !path.IsAbs(clean) && !strings.HasPrefix(f.Path, "~/"):
		return fmt.Sprintf("file.path %q is neither absolute nor below ~/", f.Path)
	case !f.Persist && (!below || strings.HasPrefix(f.Path, "~")):
		return fmt.Sprintf("file.path %q is not below $XDG_RUNTIME_DIR/movein, where it is in memory only; to have it on the disk: persist = true", f.Path)
	}
	return ""
}

func (e SecretEntry) ref() host.SecretRef {
	return host.SecretRef{Service: e.Service, Key: e.Key, Entry: e.Entry, Field: e.Field}
}

// Secret is the entry that a name, or a service and key, stand for. A service and key that
// are not in the map stand for themselves.
func (c *Config) Secret(names ...string) (SecretEntry, error) {
	if len(names) == 1 {
		if e, ok := c.Secrets[names[0]]; ok {
			return e, nil
		}
		known := slices.Sorted(maps.Keys(c.Secrets))
		err := bootstrap.Misconfigured("there is no secret %q in [secrets] of a movein.toml", names[0])
		if near := bootstrap.Meant(names[0], known); near != "" {
			return SecretEntry{}, bootstrap.Hint(err, "the nearest is %q", near)
		}
		return SecretEntry{}, bootstrap.Hint(err, "ask for a service and a key: movein secret get SERVICE KEY")
	}
	for _, name := range slices.Sorted(maps.Keys(c.Secrets)) {
		if e := c.Secrets[name]; e.Service == names[0] && e.Key == names[1] {
			return e, nil
		}
	}
	return SecretEntry{Service: names[0], Key: names[1]}, nil
}
