package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"movein/bootstrap"
	"movein/bootstrap/host"
	"movein/bootstrap/host/kdbx"
	"movein/bootstrap/host/secret"
	"movein/distro"
	"movein/steps"
)

// options are the settings that do not concern the steps.
type options struct {
	only, skip           []string
	jobs                 int
	dryRun, yes, noRoot  bool
	json, verbose        bool
	noProgress           bool
	logLevel, logFile    string
	detailed, exitCode   bool
	list                 bool
	configFile           string
	user, host, homeRepo string
}

// session is what a command works with: the host's facts and what is wanted of it.
type session struct {
	io         *IO
	opt        options
	facts      distro.Facts
	config     steps.Config
	view       host.Real // looks as whoever started the program
	secrets    secrecy
	secretsAre string         // for the summary
	known      host.Redactor  // the secrets that must not be told
	vaultFile  string         // that was opened
	tells      bootstrap.Sink // in a run; nil in other commands
	token      string         // for a git server
	bundle     bundleFlags
	opened     *kdbx.Vault
	oneAsks    sync.Mutex
	vaultFor   *vaultOrders // the user's half opens the vault
	keep       bool         // a vault that is opened may stay open
	wanted     bool         // this is that half, and the user has said how it is opened
	resumed    bool         // this run goes on after a restart, with nobody to ask
	other      secret.Giver // the half that has the terminal
	flags      *pflag.FlagSet
	from       map[string]string                                      // setting: the variable or file that has it; no key: the command line
	offer      func(ctx context.Context) (homeRepo string, err error) // asks for one when none is known; optional
}

// addFlags declares the flags that are settings too. Each has an environment
// variable and a key in movein.toml of the same name.
func (s *session) addFlags(f *pflag.FlagSet) {
	c, o, x := &s.config, &s.opt, &s.secrets
	f.StringVar(&o.user, "user", "", "whose `name` and home (default: the caller, or who called sudo)")
	f.StringVar(&o.host, "host", "", "the host's `name` in the configuration's name (default: the hostname)")
	f.StringVar(&c.Configuration, "configuration", "", "homeConfigurations `attribute` (default: found from user and host)")
	f.StringVar(&c.Branch, "branch", "", "`branch` of the home repo (default: the remote's)")
	f.StringVar(&c.Dotfiles, "dotfiles", "", "chezmoi source `repo`, or \"none\"")
	f.StringVar(&c.OnDiverged, "on-diverged", "keep", "what to do if a clone cannot be updated without touching your work: `keep|stop`")
	f.StringVar(&c.OnModified, "on-modified", "backup", "what to do with a file of chezmoi's that you edited: `backup|keep|stop`; backup keeps a copy and applies")
	f.StringVar(&c.NixVersion, "nix-version", "", "`version` of Nix to install if there is none")
	f.StringVar(&c.NixSHA256, "nix-sha256", "", "its tarball's `digest`, if it is not a pinned version")
	f.StringVar(&c.NixURL, "nix-url", "", "`URL` of a mirror of the Nix releases, or of the tarball")
	f.StringVar(&c.NixSource, "nix-source", "auto", "`official|distro|auto`; auto takes the distribution's Nix only if the official host cannot be reached")
	f.StringVar(&c.ChezmoiVersion, "chezmoi-version", "", "`version` of chezmoi to fetch if there is none")
	f.StringVar(&c.ChezmoiSHA256, "chezmoi-sha256", "", "its .tar.gz's `digest`, if it is not a pinned version")
	f.StringVar(&c.ChezmoiURL, "chezmoi-url", "", "`URL` of a mirror of chezmoi's releases, or of the .tar.gz")
	f.BoolVar(&c.Refresh, "refresh", false, "ask chezmoi even if nothing was touched since it was asked: a secret may have changed")
	f.BoolVar(&c.NoBuild, "no-build", false, "plan: do not build the home to look into it")
	f.BoolVar(&c.Offline, "offline", false, "ask no remote for news")
	f.BoolVar(&c.GPUSetup, "gpu-setup", false, "run the generation's own setup of graphics drivers, as root, when they differ")
	f.BoolVar(&c.AllowBuild, "allow-build", false, "compile what no cache has, however much of this host it takes")
	f.StringSliceVar(&o.only, "only", nil, "do only these `steps`, and those they need (see: movein plan --list)")
	f.StringSliceVar(&o.skip, "skip", nil, "pass over these `steps`")
	f.IntVar(&o.jobs, "jobs", 0, "do at most `N` steps at a time (default: as many as can)")
	f.BoolVarP(&o.yes, "yes", "y", false, "ask nothing; a question without a safe answer is an error")
	f.BoolVar(&o.noRoot, "no-root", false, "never become root; say what an administrator would have to run")
	f.BoolVar(&o.json, "json", false, "write events to stdout, one JSON object a line")
	f.BoolVarP(&o.verbose, "verbose", "v", false, "tell every step and every change")
	f.BoolVar(&o.noProgress, "no-progress", false, "no progress bar")
	f.StringVar(&o.logLevel, "log-level", "info", "how much to say: `error|warn|info|debug`")
	f.StringVar(&o.logFile, "log-file", "", "also write every event to this `file`")
	f.StringVar(&x.vault, "vault", "", "the KeePass `vault`: a file, a directory, an https URL, HOST:FILE of an ssh server, or \"none\" (default: looked for in ~/MyVault and on removable media)")
	f.StringVar(&x.sha256, "vault-sha256", "", "`digest` of the vault that the URL brings")
	f.StringVar(&x.keyFile, "key-file", "", "the vault's key `file`")
	f.BoolVar(&x.noPassword, "no-password", false, "the vault's key is the key file alone")
	f.StringVar(&x.file, "password-file", "", "`file` with the vault's master password, for its owner alone to read; - is standard input")
	f.StringVar(&x.fd, "password-fd", "", "`number` of an open file to read the master password from")
	f.StringVar(&x.command, "password-command", "", "`command` that prints the master password; no shell is involved")
	f.StringVar(&x.askpass, "askpass", "", "`program` that asks for the master password in a window if there is no terminal")
	f.DurationVar(&x.idle, "vault-idle", 5*time.Minute, "how long the vault that \"secret get\" has opened stays open when nobody asks; 0: not at all")
	f.BoolVar(&x.remember, "remember", false, "keep the master password in your keyring, if the vault opens with it")
	f.StringVar(&x.tokenFD, "token-fd", "", "`number` of an open file to read a token for the repositories' server from")
	f.BoolVar(&x.acceptNew, "accept-new", false, "take the key that an unknown ssh server shows, and remember it")
	f.BoolVar(&x.without, "without-secrets", false, "leave the vault locked, and do all that needs nothing of it")
	f.StringVar(&o.configFile, "config", "", "settings `file` (default: $XDG_CONFIG_HOME/movein/movein.toml)")
	shared(f)
}

// notSettings are flags without a key in movein.toml.
var notSettings = []string{
	"help", "config", "dry-run", "detailed-exitcode", "list", "exit-code", "newline", "as", "reboot",
	"keep", "older-than", "all", "home", "purge",
	"password-fd", "remember", "token-fd", "accept-new",
	"bundle", "bundle-key", "bundle-sha256", "sign", "key", "sha256",
	"markdown", "source", "evaluate-host", "against", "write",
	"name", "email", "add-host", "platform", "system", "merge", "lock",
}

// rootsOwn are settings by which a user's file could make root run or write what
// the user likes: another's home, a file to append to, the digest of what root installs,
// a program to run and a file to read.
var rootsOwn = []string{"user", "log-file", "nix-sha256", "gpu-setup", "password-command", "password-file", "askpass", "key-file", "vault"}

// load fills in what the flags left open: from the environment, from files, from
// what the last run used, from defaults.
func (s *session) load(cmd *cobra.Command, args []string, needRepo bool) (err error) {
	s.flags = cmd.Flags()
	if s.facts, err = distro.Detect(s.io.fs()); err != nil {
		return fmt.Errorf("looking at the host: %w", err)
	}
	if len(args) > 0 {
		s.opt.homeRepo = args[0]
	}
	given := map[string]bool{} // settled by a louder layer
	s.flags.Visit(func(f *pflag.Flag) { given[f.Name] = true })
	if err := s.fromEnviron(given); err != nil {
		return err
	}
	files := &host.Real{Root: s.io.Root}
	if err := s.identify(); err != nil {
		return err
	}
	file, err := s.userFile()
	if err != nil {
		return err
	}
	if err := s.fromFile(files, file, s.opt.configFile != "", given); err != nil {
		return err
	}
	if err := s.identify(); err != nil { // the file may have named another user
		return err
	}
	s.config.HomeRepo, s.config.Version = s.opt.homeRepo, Version()
	if err := s.takeBundle(cmd.Context(), given); err != nil {
		return err
	}
	if s.config.HomeRepo == "" {
		s.config.HomeRepo = steps.LastRepo(files, &s.config)
	}
	if s.config.HomeRepo == "" && s.offer != nil {
		if s.config.HomeRepo, err = s.offer(cmd.Context()); err != nil {
			return err
		}
	}
	if s.config.Dotfiles == "" {
		s.config.Dotfiles = steps.LastDotfiles(files, &s.config)
	}
	for name := range given {
		s.config.Given = append(s.config.Given, name)
	}
	slices.Sort(s.config.Given)
	if s.config.HomeRepo != "" {
		if err := errors.Join(s.locate(), s.checkRepos(files)); err != nil {
			return err
		}
		dir, _ := s.config.HomeDir()
		if err := s.fromFile(files, filepath.Join(dir, "movein.toml"), false, given); err != nil {
			return err
		}
	} else if needRepo {
		return bootstrap.Hint(bootstrap.Misconfigured("no home repo is given, and none was used here before"),
			"name one: movein apply https://example.org/you/home.git; write one: movein init; or try: movein apply starter")
	}
	s.lookAround()
	s.config.VaultWith, _ = s.comesWith()
	s.config.NoRoot = s.opt.noRoot
	for _, name := range []string{"https_proxy", "HTTPS_PROXY", "http_proxy", "all_proxy"} {
		if s.io.getenv(name) != "" {
			s.config.Proxies = append(s.config.Proxies, name)
		}
	}
	s.config.Diff = s.opt.dryRun && s.opt.verbose
	if s.config.Reboot {
		s.config.Settings = s.settings()
	}
	return errors.Join(s.check(cmd), s.readToken())
}

// lookAround makes the view.
func (s *session) lookAround() {
	s.view = host.Real{Root: s.io.Root, Env: host.Environ(s.account(), s.io.Environ, s.io.EUID == s.config.UID), Cache: s.config.Cache(), Sight: new(host.Sight), Logins: s.logins()}
	if s.io.EUID == s.config.UID {
		s.view.Vault, s.config.RuntimeDir = s, s.io.runtimeDir()
		return
	}
	// Root looks: with nothing of the user's in its PATH, and not remembering in the user's cache.
	s.view.Cache = rootCache
	s.view = *s.rootHost()
}

// rootCache is where root remembers what it can find out again.
const rootCache = "/var/cache/movein"

// fromEnviron takes MOVEIN_NAME for each flag --name.
func (s *session) fromEnviron(given map[string]bool) (err error) {
	s.eachSetting(func(name string) {
		env := "MOVEIN_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
		if v := s.io.getenv(env); v != "" && !given[name] {
			given[name] = true
			err = cmp.Or(err, s.set(name, v, env)) // the rest is heard all the same: how an error is told is a setting too
		}
	})
	if v := s.io.getenv("MOVEIN_PASSWORD_FD"); v != "" && !s.flags.Changed("password-fd") {
		err = cmp.Or(err, s.set("password-fd", v, "MOVEIN_PASSWORD_FD"))
	}
	if v := s.io.getenv("MOVEIN_CONFIG"); v != "" && s.opt.configFile == "" {
		s.opt.configFile = v
	}
	return err
}

// eachSetting calls f with each flag that is a setting, and with home-repo.
func (s *session) eachSetting(f func(name string)) {
	f("home-repo")
	s.flags.VisitAll(func(flag *pflag.Flag) {
		if !slices.Contains(notSettings, flag.Name) {
			f(flag.Name)
		}
	})
}

func (s *session) set(name, value, from string) error {
	if name == "home-repo" {
		if s.opt.homeRepo == "" {
			s.opt.homeRepo = value
		}
		return nil
	}
	if s.flags.Lookup(name) == nil {
		return nil // a setting of another command
	}
	if err := s.flags.Set(name, value); err != nil {
		return bootstrap.Hint(bootstrap.Misconfigured("%s: %q is no value for %s: %v", from, value, name, err), "mend it there; what there is: movein help config")
	}
	if s.from == nil {
		s.from = map[string]string{}
	}
	s.from[name] = from
	return nil
}

// fromFile takes the keys of a movein.toml that no louder layer has given.
func (s *session) fromFile(v host.View, name string, must bool, given map[string]bool) error {
	file, keys, err := steps.ReadFile(v, name)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !must:
		return nil
	case bootstrap.ExitCode(err) == bootstrap.ExitConfig:
		return err
	case err != nil:
		return bootstrap.Hint(bootstrap.Misconfigured("reading settings: %v", err), "name another file with --config, or make this one readable")
	}
	s.config = *s.config.WithTables(file)
	for key, value := range keys {
		if given[key] || slices.Contains([]string{"verify", "hosts", "ownership", "chezmoi", "secrets"}, key) {
			continue
		}
		if s.io.EUID != s.config.UID && !must && slices.Contains(rootsOwn, key) {
			return bootstrap.Hint(bootstrap.Misconfigured("%s: %s is not taken from a file of user %s when root acts for them", name, key, s.config.User), "give it as a flag: --%s", key)
		}
		text := fmt.Sprint(value)
		if list, ok := value.([]any); ok {
			parts := make([]string, len(list))
			for i, p := range list {
				parts[i] = fmt.Sprint(p)
			}
			text = strings.Join(parts, ",")
		}
		if err := s.set(key, text, name); err != nil {
			return err
		}
		given[key] = true
	}
	return nil
}

func (s *session) userFile() (string, error) {
	if s.opt.configFile != "" {
		return s.io.abs(s.opt.configFile)
	}
	return filepath.Join(s.config.ConfigHome, "movein", "movein.toml"), nil
}

// identify finds out whose home it is: the given user, who called sudo, or the caller.
func (s *session) identify() error {
	name, caller := s.opt.user, s.io.EUID
	if name == "" && s.io.EUID == 0 {
		name = s.io.getenv("SUDO_USER")
	}
	u, ok := s.facts.UserByID(caller)
	if name != "" {
		if u, ok = s.facts.User(name); !ok {
			u, ok = s.lookup(name)
		}
	} else if !ok {
		u, ok = s.lookup(strconv.Itoa(caller))
	}
	if !ok {
		return bootstrap.Hint(bootstrap.Misconfigured("there is no user %q on this host", cmp.Or(name, strconv.Itoa(caller))),
			"name one that there is with --user; who there is: getent passwd")
	}
	c := &s.config
	c.User, c.UID, c.GID, c.Home = u.Name, u.UID, u.GID, u.Home
	own := s.io.EUID == c.UID
	if home := s.io.getenv("HOME"); own && home != "" && filepath.IsAbs(home) {
		c.Home = filepath.Clean(home)
	}
	xdg := func(env, below string) string {
		if dir := s.io.getenv(env); own && filepath.IsAbs(dir) {
			return filepath.Clean(dir)
		}
		return filepath.Join(c.Home, below)
	}
	c.ConfigHome, c.DataHome = xdg("XDG_CONFIG_HOME", ".config"), xdg("XDG_DATA_HOME", ".local/share")
	c.StateHome, c.CacheHome = xdg("XDG_STATE_HOME", ".local/state"), xdg("XDG_CACHE_HOME", ".cache")
	c.Host = s.opt.host
	if c.Host == "" {
		c.Host = s.facts.Hostname
	}
	if s.io.EUID != 0 && s.io.EUID != c.UID {
		return bootstrap.Hint(bootstrap.Exit(bootstrap.ExitPermission, fmt.Errorf("only root may act for user %s", c.User)), "run the same command with sudo, or as %s", c.User)
	}
	return nil
}

// lookup asks the system's name service, which knows users that are in no file.
func (s *session) lookup(name string) (distro.User, bool) {
	if s.io.Root != "" { // a name service is of the real host
		return distro.User{}, false
	}
	a, gid, err := host.LookupUser(name)
	return distro.User{Name: a.Name, UID: a.UID, GID: gid, Home: a.Home}, err == nil
}

// locate makes a relative path to a home repo absolute.
func (s *session) locate() error {
	for _, repo := range []*string{&s.config.HomeRepo, &s.config.Dotfiles} {
		if strings.HasPrefix(*repo, ".") {
			abs, err := s.io.abs(*repo)
			if err != nil {
				return err
			}
			*repo = abs
		}
	}
	return nil
}

func (s *session) account() host.Account {
	return host.Account{Name: s.config.User, UID: s.config.UID, Home: s.config.Home}
}

func newConfigHelp() *cobra.Command {
	all := pflag.NewFlagSet("settings", pflag.ContinueOnError)
	new(session).addFlags(all)
	return &cobra.Command{
		Use:   "config",
		Short: "Where settings come from, and which there are",
		Long: `Every flag of "movein apply" is a setting. A setting is taken from, in this order:

  1. the flag                        --nix-version 2.34.7
  2. the environment                 MOVEIN_NIX_VERSION=2.34.7
  3. --config FILE, or else          nix-version = "2.34.7"
     $XDG_CONFIG_HOME/movein/movein.toml
  4. movein.toml in the home repo
  5. the default

The home repo itself is "home-repo" in a file and MOVEIN_HOME_REPO in the
environment. Five tables are in files only:

  [hosts.shoshin]                    # a host with one of these names uses shoshin's configuration
  aliases = ["shoshin-vm"]

  [[verify]]                         # must hold after every run
  name = "git is there"
  run  = ["git", "--version"]
  hint = "add git to home.packages"

  [chezmoi.prompts]                  # answers to what the dotfiles' .chezmoi.toml.tmpl asks
  "Your email" = "me@example.org"

  [ownership]                        # whose a path is that two claim, and all below it
  ".config/kitty" = "home-manager"   # or "chezmoi"
  ".config" = "through"              # it may be a link to another place

  [secrets]                          # where values are, in the vault and in the Secret Service
  rclone = { service = "rclone", key = "config-password" }
  forge  = { entry = "Forges/mine", field = "token", nix = "git.example.org" }

The settings (--config and --password-fd are in no file):

` + strings.TrimRight(all.FlagUsagesWrapped(100), "\n"),
		Example: `  movein plan --config other.toml     try another file`,
	}
}
