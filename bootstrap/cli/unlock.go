package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

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
	tokenFD                string
	acceptNew              bool
}

// unlocking are the flags about how the vault is unlocked.
var unlocking = []string{"vault", "vault-sha256", "key-file", "no-password", "password-fd", "password-file", "password-command", "askpass", "without-secrets"}

// place is where the vault is looked for.
func (s *session) place() secret.Place {
	return secret.Place{
		Given: s.secrets.vault, SHA256: s.secrets.sha256, Home: s.config.Home, User: s.config.User, WSL: s.facts.WSL != 0,
		Memory: filepath.Join(s.config.State(), "vault.json"), Store: filepath.Join(s.config.DataHome, "movein", "vaults"),
		Ask: !s.opt.yes, Asking: s.asking("which vault is yours"), Warn: s.warn, Host: s.view,
	}
}

// sources are where its master password can come from: of the loudest layer that gives one.
func (s *session) sources(vault string) secret.Sources {
	src := secret.Sources{
		CredentialsDir: s.io.getenv("CREDENTIALS_DIRECTORY"), Ask: !s.opt.yes, Asking: s.asking("the vault's master password, once"),
		Host: host.Real{Root: s.view.Root, Env: s.view.Env}, Owners: []int{s.config.UID}, Vault: vault,
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

// runtimeDir is where the agent of a run is.
func (s *session) runtimeDir() string {
	runtime := ""
	if s.io.EUID == s.config.UID {
		runtime = s.io.getenv("XDG_RUNTIME_DIR")
	}
	return secret.RuntimeDir(runtime, s.config.UID)
}

// openVault opens the vault before the first step of a run and serves it to chezmoi until
// close is called. That there is no vault, or that somebody wants to open it later, is no
// error: then all is done that needs no secret. Secrets are
// "ok", "missing" or "none", and "" if the run needs none.
func (s *session) openVault(ctx context.Context, tells bootstrap.Sink) (secrets string, close func(), err error) {
	close = func() {}
	s.tells = tells
	dir := s.runtimeDir()
	switch {
	case s.secrets.vault == "none":
		return "none", close, nil
	case s.config.Dotfiles == "none" && !s.wantsVault(), s.config.Dotfiles == "" && !s.newHere() && !s.wantsVault(), s.io.EUID == s.config.UID && !s.needsVault():
		return "", close, nil
	case s.secrets.without:
		return "missing", close, nil
	case s.io.EUID != s.config.UID:
		s.vaultFor = s.vaultOrders()
		return "", close, nil
	}
	v, err := s.unlock(ctx)
	switch {
	case errors.Is(err, secret.ErrNoVault) && s.secrets.vault == "":
		return "none", close, nil
	case errors.Is(err, secret.ErrLater):
		return "missing", close, nil
	case errors.Is(err, secret.ErrNoPassword) && !s.wantsVault():
		s.warn("the vault is locked, so what needs a secret is left out; to open it, %s", secret.Ways)
		return "missing", close, nil
	case err != nil:
		return "missing", close, explainSecret(err)
	case dir == "":
		s.warn("the vault is not served to chezmoi: user %s has no runtime directory (XDG_RUNTIME_DIR)", s.config.User)
		return "missing", close, nil
	}
	undo, err := secret.Harden()
	if err != nil {
		return "missing", close, err
	}
	agent, err := secret.Serve(dir, s.vaultFile, v, func(value kdbx.Secret) { s.known.Add(value.Reveal()) })
	if err != nil {
		undo()
		return "missing", close, err
	}
	close = func() {
		agent.Close()
		undo()
	}
	if s.config.Shims, err = agent.Link(s.exe(), secret.Shim, "movein"); err != nil {
		close()
		return "missing", func() {}, err
	}
	s.config.Refresh = true // what was left out can be had now, and a value may be another
	return "ok", close, nil
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
// out for want of a secret, or nothing is known yet of what the dotfiles need. A plan asks nobody for a password.
func (s *session) needsVault() bool {
	if s.wantsVault() || s.secrets.without {
		return true
	}
	return !s.opt.dryRun && (len(steps.Skipped(s.view)) > 0 || s.view.Recall("skipped") == nil)
}

// wantsVault reports whether the user has said, this time, how the vault is opened.
func (s *session) wantsVault() bool {
	if s.wanted {
		return true
	}
	for _, name := range unlocking {
		if name != "without-secrets" && s.layer(name) < 2 {
			return true
		}
	}
	return false
}

// unlock finds the vault and opens it, at most once.
func (s *session) unlock(ctx context.Context) (v *kdbx.Vault, err error) {
	undo, err := secret.Harden()
	if err != nil {
		return nil, err
	}
	defer undo()
	place := s.place()
	found, err := place.Find(ctx)
	if err != nil {
		return nil, err
	}
	keyFile := s.secrets.keyFile
	if rest, ok := strings.CutPrefix(keyFile, "~/"); ok {
		keyFile = filepath.Join(s.config.Home, rest)
	}
	files, err := secret.Read(s.view, found.File, keyFile)
	if err != nil {
		return nil, err
	}
	if s.secrets.noPassword {
		v, err = files.Open(ctx, nil)
	} else {
		err = s.sources(found.File).Unlock(ctx, func(pw kdbx.Secret) error {
			v, err = files.Open(ctx, &pw)
			return err
		})
	}
	if err != nil {
		return nil, err
	}
	s.vaultFile, s.opened = found.File, v
	if err := place.Remember(found); err != nil {
		s.warn("%v", err)
	}
	return v, nil
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
	case is(secret.ErrNoVault):
		code, hint = bootstrap.ExitConfig, "say where it is: --vault FILE, or --vault https://…; or that there is none: --vault none"
	case is(kdbx.ErrWrongKey):
		hint = "look whether it is the right vault, and whether it has a key file (--key-file FILE); one that needs a hardware key cannot be opened here"
	case is(secret.ErrNoPassword, secret.ErrLater, kdbx.ErrNoKey):
		hint = secret.Ways
	case is(secret.ErrSource):
		hint = "mend that, or " + secret.Ways
	case is(keyring.ErrLocked, keyring.ErrSilent):
		hint = "unlock it, or allow what its window asks, and run the same command again; with KeePassXC, see Tools, Settings, Secret Service Integration"
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
