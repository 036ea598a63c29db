package steps

import (
	"path/filepath"
	"strings"

	"movein/bootstrap/host/bundle"
)

// Config is what the user wants, as the command line puts it together from
// flags, environment, files and defaults. It is handed to the other half of a run
// as JSON and holds no secret.
type Config struct {
	User string `json:"user"` // whose home it is
	UID  int    `json:"uid"`
	GID  int    `json:"gid"`
	Home string `json:"home"` // their home directory
	Host string `json:"host"` // the host's name, in its configuration's name

	ConfigHome string `json:"config_home"` // the XDG directories of the user
	DataHome   string `json:"data_home"`
	StateHome  string `json:"state_home"`
	CacheHome  string `json:"cache_home"`

	HomeRepo      string              `json:"home_repo"`     // URL, ssh address, local path, or "starter"
	Dotfiles      string              `json:"dotfiles"`      // the same for the chezmoi source; "" or "none": no dotfiles
	Branch        string              `json:"branch"`        // of the home repo; "": the remote's default
	Configuration string              `json:"configuration"` // homeConfigurations attribute; "": found from user and host
	Aliases       map[string][]string `json:"aliases,omitempty"`
	OnDiverged    string              `json:"on_diverged"`           // "keep" or "stop"
	OnModified    string              `json:"on_modified"`           // files of chezmoi's that were edited: "backup", "keep" or "stop"
	Ownership     map[string]string   `json:"ownership,omitempty"`   // path below the home: "home-manager", "chezmoi", or "through"
	Refresh       bool                `json:"refresh,omitempty"`     // ask chezmoi even if nothing it depends on was touched
	Locked        bool                `json:"-"`                     // the vault stays locked in this run
	NoBuild       bool                `json:"no_build,omitempty"`    // a plan does not build the home to look into it
	Offline       bool                `json:"offline"`               // ask no remote for news
	Proxies       []string            `json:"proxies,omitempty"`     // names of the variables with proxies that the caller has
	GPUSetup      bool                `json:"gpu_setup,omitempty"`   // run the generation's setup of graphics drivers as root
	NoRoot        bool                `json:"no_root,omitempty"`     // nothing is done as root
	AllowBuild    bool                `json:"allow_build,omitempty"` // compile whatever it takes

	NixVersion string `json:"nix_version"` // to install when there is none
	NixSHA256  string `json:"nix_sha256"`  // of its release tarball; "": the pinned one
	NixURL     string `json:"nix_url"`     // a mirror's base URL, or a tarball's
	NixSource  string `json:"nix_source"`  // "official", "distro" or "auto"

	ChezmoiVersion string         `json:"chezmoi_version"`   // to fetch when neither the home nor the host has one
	ChezmoiSHA256  string         `json:"chezmoi_sha256"`    // of its release's .tar.gz; "": the pinned one
	ChezmoiURL     string         `json:"chezmoi_url"`       // a mirror's base URL, or a .tar.gz's
	Prompts        map[string]any `json:"prompts,omitempty"` // answers to what the dotfiles' config template asks, by the question's text

	Bundle *bundle.File `json:"bundle,omitempty"` // where everything comes from; nil: the network

	Reboot   bool              `json:"reboot,omitempty"`   // the host is restarted if a step waits for that
	Settings map[string]string `json:"settings,omitempty"` // by name, as they were given, for the run that goes on then

	Secrets map[string]SecretEntry `json:"secrets,omitempty"` // the map: where they are, not what

	RuntimeDir string `json:"-"`                    // movein's directory in memory, for this user alone; "": there is none
	VaultWith  string `json:"vault_with,omitempty"` // the step that brings the vault: HomeStep, DotfilesStep; "": it is here, or nowhere
	Shims      string `json:"-"`                    // directory with movein and keepassxc-cli for chezmoi, while the vault is open in this process

	Verify  []Check  `json:"verify,omitempty"`
	Diff    bool     `json:"diff,omitempty"`  // a plan shows what changes in files
	Run     string   `json:"run"`             // what is done: "apply", "rollback"; for the backups
	Version string   `json:"version"`         // of movein
	Given   []string `json:"given,omitempty"` // keys that are said louder than the home repo's own movein.toml says them
}

// Check is a post-condition of the user's own: a command that must exit with 0.
type Check struct {
	Name string   `json:"name" toml:"name"`
	Run  []string `json:"run" toml:"run"`
	Hint string   `json:"hint" toml:"hint"` // what to do when it does not
}

// Starter is the name of the built-in home repo.
const Starter = "starter"

// State is the directory for what movein remembers of this user's home.
func (c *Config) State() string { return filepath.Join(c.StateHome, "movein") }

// Cache is the directory for what movein can get again.
func (c *Config) Cache() string { return filepath.Join(c.CacheHome, "movein") }

// HomeDir is where the home repo is on this host, and whether movein is to clone it there.
func (c *Config) HomeDir() (dir string, clone bool) {
	switch {
	case c.HomeRepo == Starter:
		return filepath.Join(c.DataHome, "movein", "starter"), false
	case local(c.HomeRepo):
		return c.localPath(c.HomeRepo), false
	}
	return filepath.Join(c.ConfigHome, "home-manager"), true
}

// DotfilesDir is where the chezmoi source is on this host, and whether movein is to clone it there.
func (c *Config) DotfilesDir() (dir string, clone bool) {
	if local(c.Dotfiles) {
		return c.localPath(c.Dotfiles), false
	}
	return filepath.Join(c.DataHome, "chezmoi"), true
}

// local reports whether a repository is given as a directory of this host.
func local(repo string) bool {
	return strings.HasPrefix(repo, "/") || strings.HasPrefix(repo, "./") || strings.HasPrefix(repo, "../") ||
		strings.HasPrefix(repo, "~/") || repo == "." || repo == ".."
}

func (c *Config) localPath(repo string) string {
	if rest, ok := strings.CutPrefix(repo, "~/"); ok {
		return filepath.Join(c.Home, rest)
	}
	return filepath.Clean(repo)
}
