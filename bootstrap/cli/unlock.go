package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"movein/bootstrap"
	"movein/bootstrap/host"
	"movein/bootstrap/host/kdbx"
	"movein/bootstrap/host/keyring"
	"movein/bootstrap/host/secret"
	"movein/steps"
)

// secrecy are the settings of the vault and its master password.
type secrecy struct {
	vault, sha256, keyFile string
	noPassword             bool
	fd, file, command      string // where the master password comes from
	askpass                string
	without                bool
	idle                   time.Duration // a vault that was opened stays open for so long
	remember               bool
	tokenFD                string
	acceptNew              bool
}

// unlocking are the flags about how the vault is unlocked.
var unlocking = []string{"vault", "vault-sha256", "key-file", "no-password", "password-fd", "password-file", "password-command", "askpass", "remember", "vault-idle", "without-secrets"}

// place is where the vault is looked for.
func (s *session) place() *secret.Place {
	given := s.secrets.vault
	if name, err := s.file(given); err == nil && !strings.Contains(given, "://") && !host.IsSSH(given) {
		given = name
	}
	logins := s.logins()
	if logins != nil { // what opens the vault is not in it
		logins.Token, logins.Keys, logins.User = nil, nil, s.config.User
	}
	return &secret.Place{
		Given: given, SHA256: s.secrets.sha256, Home: s.config.Home, User: s.config.User, WSL: s.facts.WSL != 0,
		Memory: filepath.Join(s.config.State(), "vault.json"), Store: filepath.Join(s.config.DataHome, "movein", "vaults"),
		Ask: !s.opt.yes, Asking: s.asking("which vault is yours"), Warn: s.warn, Host: &s.view, SSH: logins,
	}
}

// sources are where its master password can come from: of the loudest layer that gives one.
func (s *session) sources(vault string) *secret.Sources {
	src := &secret.Sources{
		CredentialsDir: s.io.getenv("CREDENTIALS_DIRECTORY"), Ask: !s.opt.yes, Asking: s.asking("the vault's master password, once"),
		Host: &host.Real{Root: s.view.Root, Env: s.view.Env}, Owners: []int{s.config.UID}, Vault: vault,
		Keyring: func(ctx context.Context) (kdbx.Secret, error) { return keyring.Password(ctx, s.keyringUser(), vault) },
		Other:   s.other,
	}
	if s.io.EUID == s.config.UID { // password managers have settings in the environment
		src.Host.Env = s.io.Environ
	}
	if src.Askpass = s.secrets.askpass; src.Askpass == "" && (s.io.getenv("DISPLAY") != "" || s.io.getenv("WAYLAND_DISPLAY") != "") {
		src.Askpass = s.io.getenv("SSH_ASKPASS")
	}
	loudest := s.loudness("password-fd", "password-file", "password-command")
	for name, to := range map[string]struct{ value, source *string }{
		"password-fd": {&s.secrets.fd, &src.FD}, "password-file": {&s.secrets.file, &src.File}, "password-command": {&s.secrets.command, &src.Command},
	} {
		if *to.value != "" && s.layer(name) == loudest {
			*to.source = *to.value
		}
	}
	if rest, ok := strings.CutPrefix(src.File, "~/"); ok {
		src.File = filepath.Join(s.config.Home, rest)
	}
	return src
}

// layer is how loud the layer is that has a setting: 0 the command line, 1 the
// environment, 2 a file; 3: none has it.
func (s *session) layer(name string) int {
	switch from := s.from[name]; {
	case s.flags == nil || !s.flags.Changed(name):
		return 3
	case from == "":
		return 0
	case strings.HasPrefix(from, "MOVEIN_"):
		return 1
	}
	return 2
}

func (s *session) loudness(names ...string) int {
	loudest := 3
	for _, name := range names {
		loudest = min(loudest, s.layer(name))
	}
	return loudest
}

func (s *session) keyringUser() keyring.User {
	u := keyring.User{UID: s.config.UID}
	if s.io.EUID == s.config.UID {
		u.Bus = s.io.getenv("DBUS_SESSION_BUS_ADDRESS")
	}
	return u
}

// asking tells, in a run, that somebody is asked.
func (s *session) asking(what string) func() {
	return func() {
		if s.tells != nil {
			s.tells(bootstrap.Event{Schema: bootstrap.Schema, Time: s.view.Now(), Event: "question", Reason: "movein asks for " + what})
		}
	}
}

// warn tells, in a run as an event.
func (s *session) warn(format string, a ...any) {
	text := fmt.Sprintf(format, a...)
	if s.tells != nil {
		s.tells(bootstrap.Event{Schema: bootstrap.Schema, Time: s.view.Now(), Event: "warning", Reason: text})
		return
	}
	fmt.Fprintln(s.io.Err, "movein:", s.io.shown(text))
}

// runtimeDir is the directory of movein's own that is in memory; "" if there is none.
func (io *IO) runtimeDir() string {
	runtime := io.getenv("XDG_RUNTIME_DIR")
	if runtime == "" {
		runtime = filepath.Join("/", io.Root, "run/user", strconv.Itoa(io.EUID))
	}
	return secret.RuntimeDir(runtime)
}

// agentDirs are where an agent may be: that of the run which started this program, that of
// any run, and the one that keeps the vault open between runs.
func (io *IO) agentDirs() (dirs []string) {
	if dir := io.getenv(steps.AgentDir); dir != "" {
		dirs = append(dirs, dir)
	}
	if dir := io.runtimeDir(); dir != "" {
		dirs = append(dirs, filepath.Join(dir, "run"), dir)
	}
	return dirs
}

// runDir is where the agent of a run is. There is nothing secret in it.
func (s *session) runDir() string {
	if dir := s.io.runtimeDir(); dir != "" {
		return filepath.Join(dir, "run")
	}
	return filepath.Join(s.io.Root, s.config.Cache(), "run")
}

// openVault opens the vault before the first step of a run and serves it to chezmoi until
// close is called. That there is no vault, or that somebody wants to open it later, is no
// error: then all is done that needs no secret. Secrets are
// "ok", "missing" or "none", and "" if the run needs none.
func (s *session) openVault(ctx context.Context, tells bootstrap.Sink) (secrets string, close func(), err error) {
	close = func() {}
	s.tells = tells
	comes := false // with what a plan does not bring
	defer func() { s.config.Locked = secrets == "missing" && !comes }()
	wanted := s.wantsVault() || len(steps.Unhanded(s.memory())) > 0
	switch {
	case s.secrets.vault == "none":
		return "none", close, nil
	case s.config.Dotfiles == "none" && !wanted, s.config.Dotfiles == "" && !s.newHere() && !wanted, s.io.EUID == s.config.UID && !s.needsVault():
		return "", close, nil
	case s.secrets.without:
		return "missing", close, nil
	case s.io.EUID != s.config.UID:
		s.vaultFor = s.vaultOrders()
		return "", close, nil
	}
	if _, later := s.comesLater(); later && s.opt.dryRun {
		comes = true
		return "missing", close, nil
	}
	from, release, err := s.source(ctx)
	switch {
	case errors.Is(err, secret.ErrNoVault) && s.secrets.vault == "":
		return "none", close, nil
	case errors.Is(err, secret.ErrLater):
		return "missing", close, nil
	case errors.Is(err, secret.ErrNoPassword) && !s.wantsVault():
		s.warn("the vault is locked, so what needs a secret is left out; to open it, %s", secret.Ways)
		return "missing", close, nil
	case err != nil && s.resumed && ctx.Err() == nil: // how was said before the restart, when somebody was there
		s.warn("%v; so what needs a secret is left out", err)
		return "missing", close, nil
	case err != nil:
		return "missing", close, explainSecret(err)
	}
	lock, err := s.serveVault(from, release)
	if err != nil {
		return "missing", close, err
	}
	s.config.Refresh = true // what was left out can be had now, and a value may be another
	return "ok", lock, nil
}

// serveVault serves the vault to chezmoi until close is called, which calls release.
func (s *session) serveVault(from secret.Source, release func()) (close func(), err error) {
	undo, err := secret.Harden()
	if err != nil {
		release()
		return nil, err
	}
	dir := s.runDir()
	err = os.MkdirAll(filepath.Dir(dir), 0o700)
	var agent *secret.Agent
	if err == nil {
		agent, err = secret.Serve(dir, from, func(value kdbx.Secret) { s.known.Add(value.Reveal()) })
	}
	if err != nil {
		undo()
		release()
		return nil, err
	}
	close = func() {
		agent.Close()
		undo()
		release()
	}
	if s.config.Shims, err = agent.Link(s.exe(), secret.Shim, "movein"); err != nil {
		close()
		return nil, err
	}
	return close, nil
}

// source is the vault: as it is kept open, if it is, or opened now. It is there until release is called.
func (s *session) source(ctx context.Context) (from secret.Source, release func(), err error) {
	if url, later := s.comesLater(); later {
		from, err = s.laterSource(ctx, url)
		return from, func() {}, err
	}
	if dir := s.io.runtimeDir(); dir != "" {
		if a, release, err := secret.Hold(ctx, dir); err == nil {
			if found, err := s.place().Find(ctx); err == nil && found.File == a.Vault {
				return secret.OfAgent(dir), release, nil
			}
			release()
		}
	}
	v, err := s.unlock(ctx)
	return secret.OfVault(s.vaultFile, v), func() {}, err
}

// newHere reports whether the home repo is still to be cloned: then nobody knows yet what
// it wants, and it may be private.
func (s *session) newHere() bool {
	dir, clone := s.config.HomeDir()
	_, err := s.view.Lstat(dir)
	return clone && err != nil
}

// exe is this program, to be started under another name.
func (s *session) exe() string {
	exe, err := host.Executable()
	if err != nil {
		return "movein"
	}
	return exe
}

// needsVault reports whether the vault is to be opened: the user says how, files were left
// out or not handed on for want of a secret, or nothing is known yet of what the dotfiles need. A plan asks nobody for a password.
func (s *session) needsVault() bool {
	if s.wantsVault() || s.secrets.without {
		return true
	}
	return !s.opt.dryRun && (len(steps.Skipped(&s.view)) > 0 || len(steps.Unhanded(&s.view)) > 0 || s.view.Recall("skipped") == nil)
}

// wantsVault reports whether the user has said, this time, how the vault is opened.
func (s *session) wantsVault() bool {
	if s.wanted {
		return true
	}
	for _, name := range unlocking {
		if name != "without-secrets" && name != "vault-idle" && s.layer(name) < 2 {
			return true
		}
	}
	return false
}

// unlock finds the vault and opens it, at most once.
func (s *session) unlock(ctx context.Context) (v *kdbx.Vault, err error) {
	err = s.unlockBy(ctx, func(_, _ string, files secret.Files, pw *kdbx.Secret) (err error) {
		v, err = files.Open(ctx, pw)
		return err
	})
	s.opened = v
	return v, err
}

// unlockBy finds the vault and calls open, which wraps kdbx.ErrWrongKey if the password was
// wrong, with passwords until it takes one.
func (s *session) unlockBy(ctx context.Context, open func(vault, keyFile string, files secret.Files, pw *kdbx.Secret) error) error {
	undo, err := secret.Harden()
	if err != nil {
		return err
	}
	defer undo()
	place := s.place()
	found, err := place.Find(ctx)
	if err != nil {
		return err
	}
	keyFile, err := s.file(s.secrets.keyFile)
	if err != nil {
		return err
	}
	files, err := secret.Read(&s.view, found.File, keyFile)
	if err != nil {
		return err
	}
	if s.secrets.noPassword {
		err = open(found.File, keyFile, files, nil)
	} else {
		err = s.sources(found.File).Unlock(ctx, func(pw kdbx.Secret) error {
			err := open(found.File, keyFile, files, &pw)
			if err == nil && s.secrets.remember {
				s.remember(ctx, found.File, pw)
			}
			return err
		})
	}
	if err != nil {
		return err
	}
	s.vaultFile = found.File
	if err := place.Remember(found); err != nil {
		s.warn("%v", err)
	}
	return nil
}

// file is the file that a setting names.
func (s *session) file(name string) (string, error) {
	if rest, ok := strings.CutPrefix(name, "~/"); ok {
		return filepath.Join(s.config.Home, rest), nil
	}
	if name == "" {
		return "", nil
	}
	return s.io.abs(name)
}

// remember keeps the master password in the user's keyring.
func (s *session) remember(ctx context.Context, vault string, pw kdbx.Secret) {
	if err := keyring.Remember(ctx, s.keyringUser(), vault, pw); err != nil {
		err = explainSecret(err)
		s.warn("the master password is not remembered: %v; %s", err, bootstrap.HintOf(err))
	}
}

// locked are the errors of who cannot get at secrets without somebody's help.
var locked = []error{secret.ErrNoPassword, secret.ErrLater, secret.ErrSource, keyring.ErrLocked, keyring.ErrSilent, keyring.ErrNoBus, keyring.ErrNoService, kdbx.ErrWrongKey, kdbx.ErrNoKey}

// explainSecret adds to an error of the vault or the keyring its exit code, and what to do.
func explainSecret(err error) error {
	is := func(targets ...error) bool {
		return slices.ContainsFunc(targets, func(t error) bool { return errors.Is(err, t) })
	}
	several, isSeveral := errors.AsType[*secret.SeveralError](err)
	unconfirmed, isUnconfirmed := errors.AsType[*secret.UnconfirmedError](err)
	code, hint := bootstrap.ExitCode(err), ""
	switch {
	case err == nil || bootstrap.HintOf(err) != "":
		return err
	case isSeveral:
		code, hint = bootstrap.ExitConfig, "say which: --vault "+several.Names[0]
	case isUnconfirmed:
		code, hint = bootstrap.ExitConfig, "compare the digest with that of your vault (sha256sum FILE); if it is the same: --vault-sha256 "+unconfirmed.SHA256
	case is(secret.ErrNotYet):
		code, hint = bootstrap.ExitConfig, "what it needs to get there cannot be in it: give a token with --token-fd N or an ssh key to your agent, or have the vault elsewhere (--vault FILE)"
	case is(secret.ErrNoVault):
		code, hint = bootstrap.ExitConfig, "say where it is: --vault FILE, --vault https://… or --vault HOST:FILE (ssh); or that there is none: --vault none"
	case is(kdbx.ErrWrongKey):
		hint = "look whether it is the right vault, and whether it has a key file (--key-file FILE); one that needs a hardware key cannot be opened here"
	case is(secret.ErrNoPassword, secret.ErrLater, kdbx.ErrNoKey):
		hint = secret.Ways
	case is(secret.ErrSource):
		hint = "mend that, or " + secret.Ways
	case is(keyring.ErrLocked, keyring.ErrSilent):
		hint = "unlock it, or allow what its window asks, and run the same command again; with KeePassXC, see Tools, Settings, Secret Service Integration, which has \"Confirm when passwords are retrieved by clients\""
	case is(keyring.ErrNoBus, keyring.ErrNoService):
		hint = "run it in a session with a keyring, or say where the vault is: --vault FILE"
	case is(kdbx.ErrNotVault, kdbx.ErrCorrupt):
		code, hint = bootstrap.ExitFailed, "it may not be synchronised whole yet; look whether KeePassXC opens it"
	case is(kdbx.ErrNotFound, kdbx.ErrAmbiguous, keyring.ErrNotFound, keyring.ErrAmbiguous, keyring.ErrWrongItem):
		code, hint = bootstrap.ExitFailed, "an entry is found by its attributes service and key, or by its path if [secrets] in movein.toml says so: movein help config"
	case errors.Is(err, fs.ErrNotExist):
		code, hint = bootstrap.ExitConfig, "look whether the name is right, and what it is on plugged in"
	}
	if is(locked...) {
		code = bootstrap.ExitPermission
	}
	if hint == "" {
		return bootstrap.Exit(code, err)
	}
	return bootstrap.Exit(code, bootstrap.Hint(err, "%s", hint))
}
