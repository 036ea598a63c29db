package steps

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/pelletier/go-toml/v2"

	"movein/bootstrap"
	"movein/bootstrap/host"
)

// File is movein.toml. Each key but home-repo and the tables is also a flag of the same name,
// and an environment variable: home-repo, --home-repo, MOVEIN_HOME_REPO.
type File struct {
	User           *string  `toml:"user"`
	Host           *string  `toml:"host"`
	Configuration  *string  `toml:"configuration"`
	HomeRepo       *string  `toml:"home-repo"`
	Branch         *string  `toml:"branch"`
	Dotfiles       *string  `toml:"dotfiles"`
	OnDiverged     *string  `toml:"on-diverged"`
	OnModified     *string  `toml:"on-modified"`
	NixVersion     *string  `toml:"nix-version"`
	NixSHA256      *string  `toml:"nix-sha256"`
	NixURL         *string  `toml:"nix-url"`
	NixSource      *string  `toml:"nix-source"`
	ChezmoiVersion *string  `toml:"chezmoi-version"`
	ChezmoiSHA256  *string  `toml:"chezmoi-sha256"`
	ChezmoiURL     *string  `toml:"chezmoi-url"`
	Only           []string `toml:"only"`
	Skip           []string `toml:"skip"`
	Jobs           *int     `toml:"jobs"`
	Yes            *bool    `toml:"yes"`
	NoRoot         *bool    `toml:"no-root"`
	Refresh        *bool    `toml:"refresh"`
	NoBuild        *bool    `toml:"no-build"`
	Offline        *bool    `toml:"offline"`
	GPUSetup       *bool    `toml:"gpu-setup"`
	AllowBuild     *bool    `toml:"allow-build"`
	JSON           *bool    `toml:"json"`
	Verbose        *bool    `toml:"verbose"`
	NoProgress     *bool    `toml:"no-progress"`
	LogLevel       *string  `toml:"log-level"`
	LogFile        *string  `toml:"log-file"`

	Vault           *string `toml:"vault"`
	VaultSHA256     *string `toml:"vault-sha256"`
	KeyFile         *string `toml:"key-file"`
	NoPassword      *bool   `toml:"no-password"`
	PasswordFile    *string `toml:"password-file"`
	PasswordCommand *string `toml:"password-command"`
	Askpass         *string `toml:"askpass"`
	VaultIdle       *string `toml:"vault-idle"`
	WithoutSecrets  *bool   `toml:"without-secrets"`

	Verify []Check              `toml:"verify"` // post-conditions of the user's own
	Hosts  map[string]HostTable `toml:"hosts"`
	// Ownership says who brings a path of the home, and all below it: "home-manager"
	// or "chezmoi"; or that a directory may be a symlink and is written "through".
	Ownership map[string]string `toml:"ownership"`

	Chezmoi ChezmoiTable           `toml:"chezmoi"`
	Secrets map[string]SecretEntry `toml:"secrets"`
}

// ChezmoiTable is [chezmoi] of movein.toml.
type ChezmoiTable struct {
	Prompts map[string]any `toml:"prompts"` // question = answer: a string, boolean or integer
}

// HostTable is [hosts.NAME] of movein.toml.
type HostTable struct {
	Aliases []string `toml:"aliases"` // other names of hosts that use NAME's configuration
}

// ReadFile reads a movein.toml. An unknown key, a wrong type, or text that is no
// TOML is an error that names file, line and key. A file that is not there is fs.ErrNotExist.
func ReadFile(v host.View, name string) (File, map[string]any, error) {
	var f File
	data, err := v.ReadFile(name)
	if errors.Is(err, syscall.ENOTDIR) {
		err = &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	if err != nil {
		return f, nil, err
	}
	dec := toml.NewDecoder(strings.NewReader(string(data))).DisallowUnknownFields()
	if err := dec.Decode(&f); err != nil {
		return f, nil, explainTOML(name, err)
	}
	keys := map[string]any{}
	if err := toml.Unmarshal(data, &keys); err != nil {
		return f, nil, explainTOML(name, err)
	}
	return f, keys, errors.Join(f.checkVerify(name, string(data)), f.checkOwnership(name), f.checkSecrets(name))
}

// checkOwnership cleans the paths of [ownership] and refuses what is no path of
// the home, or no owner.
func (f *File) checkOwnership(name string) error {
	clean := map[string]string{}
	for key, owner := range f.Ownership {
		path := filepath.Clean(strings.TrimPrefix(key, "~/"))
		wrong := ""
		switch {
		case filepath.IsAbs(path) || path == "." || path == ".." || strings.HasPrefix(path, "../"):
			wrong = "the path is none below the home"
		case !slices.Contains([]string{"home-manager", "chezmoi", "through"}, owner):
			wrong = fmt.Sprintf("%q is none of home-manager, chezmoi, through", owner)
		}
		if wrong != "" {
			return bootstrap.Hint(bootstrap.Misconfigured("%s: [ownership] %q: %s", name, key, wrong),
				"an entry is: [ownership], \".config/kitty\" = \"home-manager\"")
		}
		clean[path] = owner
	}
	f.Ownership = clean
	return nil
}

// checkVerify finds a check of the user's that could not be run or named.
func (f File) checkVerify(name, text string) error {
	for i, c := range f.Verify {
		key := ""
		if c.Name == "" {
			key = "name"
		} else if len(c.Run) == 0 || c.Run[0] == "" {
			key = "run"
		}
		if key != "" {
			return bootstrap.Hint(bootstrap.Misconfigured("%s:%d:1: a check without a key %q", name, verifyLine(text, i), key),
				"a check is: [[verify]], name = \"editor\", run = [\"editor\", \"--version\"]")
		}
	}
	return nil
}

// verifyLine is the line in which the i-th table [[verify]] begins; 1 if it is written in another way.
func verifyLine(text string, i int) int {
	n := 0
	for line := range strings.Lines(text) {
		n++
		if strings.HasPrefix(strings.TrimSpace(line), "[[verify]]") {
			if i--; i < 0 {
				return n
			}
		}
	}
	return 1
}

func explainTOML(name string, err error) error {
	at := func(e *toml.DecodeError) string {
		line, column := e.Position()
		return fmt.Sprintf("%s:%d:%d", name, line, column)
	}
	if strict, ok := errors.AsType[*toml.StrictMissingError](err); ok && len(strict.Errors) > 0 {
		e := &strict.Errors[0]
		return bootstrap.Hint(bootstrap.Misconfigured("%s: unknown key %q", at(e), strings.Join(e.Key(), ".")), "the keys are in: movein help config")
	}
	if e, ok := errors.AsType[*toml.DecodeError](err); ok {
		if key := strings.Join(e.Key(), "."); key != "" {
			return bootstrap.Hint(bootstrap.Misconfigured("%s: key %q: %s", at(e), key, strings.TrimPrefix(e.Error(), "toml: ")), "mend it there; the keys are in: movein help config")
		}
		return bootstrap.Hint(bootstrap.Misconfigured("%s: %s", at(e), strings.TrimPrefix(e.Error(), "toml: ")), "mend it there")
	}
	return bootstrap.Misconfigured("%s: %v", name, err)
}

// withRepo adds what the home repo's own movein.toml says and nobody said
// louder. Steps ask for it themselves, because on a fresh host that file arrives
// in the middle of the run.
func (c *Config) withRepo(v host.View) (*Config, error) {
	dir, _ := c.HomeDir()
	f, _, err := ReadFile(v, filepath.Join(dir, "movein.toml"))
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	} else if err != nil {
		return c, err
	}
	all := c.WithTables(f)
	if f.Dotfiles != nil && !slices.Contains(c.Given, "dotfiles") {
		all.Dotfiles = *f.Dotfiles
	}
	if f.Configuration != nil && !slices.Contains(c.Given, "configuration") {
		all.Configuration = *f.Configuration
	}
	return all, nil
}

// WithTables is c with the tables of a file, which no flag can say, added to those that are there.
func (c *Config) WithTables(f File) *Config {
	all := *c
	all.Verify = slices.Clone(c.Verify)
	for _, check := range f.Verify {
		if !slices.ContainsFunc(c.Verify, func(k Check) bool { return k.Name == check.Name }) {
			all.Verify = append(all.Verify, check)
		}
	}
	aliases := map[string][]string{}
	for name, names := range c.Aliases {
		aliases[name] = names
	}
	for name, table := range f.Hosts {
		if aliases[name] == nil {
			aliases[name] = table.Aliases
		}
	}
	all.Aliases = aliases
	ownership := map[string]string{}
	maps.Copy(ownership, f.Ownership)
	maps.Copy(ownership, c.Ownership) // the louder
	all.Ownership = ownership
	prompts := map[string]any{}
	maps.Copy(prompts, f.Chezmoi.Prompts)
	maps.Copy(prompts, c.Prompts)
	all.Prompts = prompts
	secrets := map[string]SecretEntry{}
	maps.Copy(secrets, f.Secrets)
	maps.Copy(secrets, c.Secrets)
	all.Secrets = secrets
	return &all
}

// LastRepo is the home repo that was used here before, or the flake that is at
// home-manager's usual place; "" if there is neither.
func LastRepo(v host.View, c *Config) string {
	if b := readBuilt(v, c); b.Repo != "" {
		return b.Repo
	}
	if dir := filepath.Join(c.ConfigHome, "home-manager"); exists(v, dir+"/flake.nix") {
		return dir
	}
	return ""
}
