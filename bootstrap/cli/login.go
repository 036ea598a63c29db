package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"movein/bootstrap"
	"movein/bootstrap/host"
	"movein/bootstrap/host/kdbx"
	"movein/bootstrap/host/keyring"
	"movein/bootstrap/host/secret"
	"movein/embed"
	"movein/steps"
)

// logins is how the user logs in at git servers, if this process is that user.
func (s *session) logins() *host.Logins {
	if s.io.EUID != s.config.UID {
		return nil
	}
	return &host.Logins{
		Home: s.config.Home, Agent: s.io.getenv("SSH_AUTH_SOCK"), Known: filepath.Join(s.config.State(), "known_hosts"), Pinned: embed.KnownHosts,
		Token: s.gitToken, Keys: s.sshKeys, Trust: s.trustServer,
	}
}

// gitToken is whose token, and which, a git server is told that asks for one: that of
// --token-fd, or of an entry of [secrets] that says so, or what has service "git" and the
// server's name as its key.
func (s *session) gitToken(ctx context.Context, server, name string, ask bool) (user, token string, err error) {
	if s.token != "" {
		return name, s.token, nil
	}
	e := steps.SecretEntry{Service: "git", Key: server}
	for _, key := range slices.Sorted(maps.Keys(s.config.Secrets)) {
		if one := s.config.Secrets[key]; one.Git != nil && one.Git.Host == server && (name == "" || one.Git.User == "" || one.Git.User == name) {
			e, name = one, one.Git.User
			break
		}
	}
	token, err = s.value(ctx, e, ask)
	return name, token, err
}

// sshKeys are the private keys of the vault for an ssh server: the entries of [secrets]
// with ssh, and what has service "ssh" and the server's name as its key, in its field
// "private key" or as its password.
func (s *session) sshKeys(ctx context.Context, server string, ask bool) (keys []string, err error) {
	want := []steps.SecretEntry{{Service: "ssh", Key: server, Field: "private key"}, {Service: "ssh", Key: server}}
	for _, name := range slices.Sorted(maps.Keys(s.config.Secrets)) {
		if e := s.config.Secrets[name]; e.SSH {
			want = append(want, e)
		}
	}
	for i, e := range want {
		if i == 1 && len(keys) > 0 {
			continue // the password is its passphrase then, or of something else
		}
		key, err := s.value(ctx, e, ask)
		if err != nil {
			return nil, err
		}
		if key != "" {
			keys = append(keys, key)
		}
	}
	return keys, nil
}

// value is what an entry stands for, or "" if there is none, or if it could only be had by
// asking somebody and that is not to be done.
func (s *session) value(ctx context.Context, e steps.SecretEntry, ask bool) (string, error) {
	s.oneAsks.Lock() // two that wait for the same vault ask once
	defer s.oneAsks.Unlock()
	value, err := s.resolve(ctx, e, ask && !s.opt.dryRun)
	if errors.Is(err, secret.ErrNoPassword) && (s.resumed || !s.wantsVault()) {
		return "", nil
	}
	for _, none := range []error{kdbx.ErrNotFound, keyring.ErrNotFound, secret.ErrNoVault, secret.ErrLater, errNotAsked} {
		if errors.Is(err, none) {
			return "", nil
		}
	}
	if err != nil {
		return "", explainSecret(err)
	}
	s.known.Add(value.Reveal())
	return value.Reveal(), nil
}

// trustServer asks whether an ssh server that nobody here knows is the right one.
func (s *session) trustServer(_ context.Context, server, keyType, fingerprint string) error {
	if s.secrets.acceptNew {
		return nil
	}
	hint := "compare it with what the server's keeper has published; if it is the same: --accept-new"
	tty, err := askable("is this the right server?")
	if s.opt.yes || err != nil {
		return bootstrap.Exit(bootstrap.ExitPermission, bootstrap.Hint(errors.New("nobody is there to ask"), "%s", hint))
	}
	tty.Close()
	s.asking("whether an ssh server is the right one")()
	if err := s.confirm(fmt.Sprintf("The ssh server %s shows a key that nobody here knows: %s %s. Is that the right one?", server, keyType, fingerprint), "it was not confirmed"); err != nil {
		return bootstrap.Hint(err, "%s", hint)
	}
	return nil
}

// readToken reads the token that --token-fd gives.
func (s *session) readToken() error {
	if s.secrets.tokenFD == "" {
		return nil
	}
	fd, err := strconv.Atoi(s.secrets.tokenFD)
	if err != nil || fd < 0 {
		return bootstrap.Hint(bootstrap.Misconfigured("--token-fd %q is no number of an open file", s.secrets.tokenFD), "as in: movein apply … --token-fd 3 3<FILE")
	}
	f := os.NewFile(uintptr(fd), "--token-fd")
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, 64<<10))
	if err != nil {
		return bootstrap.Hint(bootstrap.Misconfigured("reading the token from file %d: %v", fd, err), "as in: movein apply … --token-fd 3 3<FILE")
	}
	line, _, _ := strings.Cut(string(text), "\n")
	if s.token = strings.TrimSuffix(line, "\r"); s.token == "" {
		return bootstrap.Misconfigured("the token that --token-fd gives is empty")
	}
	s.known.Add(s.token)
	return nil
}
