package host

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// ErrHostKey says that an ssh server is not known, or not the one that it was.
var ErrHostKey = errors.New("the server's ssh key")

// ssh is where the server of an ssh URL is, and how to log in there. The caller calls done when it is over.
// The server's key is looked for in the user's and the system's known_hosts, then in
// movein's own, then among the pinned ones; after that somebody has to say that it is right.
func (l *Logins) ssh(ctx context.Context, u gitURL, ask bool) (address string, config *ssh.ClientConfig, done func(), err error) {
	if l == nil {
		l = &Logins{}
	}
	known, err := l.knownHosts()
	if err != nil {
		return "", nil, nil, err
	}
	server := l.lookUp(ctx, u)
	signers, done := l.signers(ctx, u.host, server.keys, ask)
	return server.address, &ssh.ClientConfig{
		User:              server.user,
		Auth:              []ssh.AuthMethod{ssh.PublicKeysCallback(signers)},
		HostKeyAlgorithms: known.algorithms(server.address),
		HostKeyCallback: func(name string, remote net.Addr, key ssh.PublicKey) error {
			return l.check(ctx, known, name, remote, key, ask)
		},
	}, done, nil
}

// sshServer is what is known of a server by the name in a URL.
type sshServer struct {
	address string // with the port
	user    string
	keys    []string // files of private keys
}

// lookUp looks a server up in the ssh configuration, as the program ssh reads it. Where
// there is none of either, the URL says it all.
func (l *Logins) lookUp(ctx context.Context, u gitURL) sshServer {
	s := sshServer{address: withPort(u.host, "22"), user: orElse(u.user, orElse(l.User, "git"))}
	for _, name := range []string{"id_ed25519", "id_ecdsa", "id_rsa"} {
		s.keys = append(s.keys, filepath.Join(l.Home, ".ssh", name))
	}
	if !exists(filepath.Join(l.Home, ".ssh/config")) || l.Home == "" {
		return s
	}
	host, port, err := net.SplitHostPort(s.address)
	if err != nil {
		return s
	}
	args := []string{"-G"}
	if u.user != "" {
		args = append(args, "-l", u.user)
	}
	if port != "22" {
		args = append(args, "-p", port)
	}
	ctx, cancel := context.WithTimeout(ctx, credentialTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, "ssh", append(args, "--", host)...)
	cmd.Env = append(os.Environ(), "HOME="+l.Home)
	out, err := cmd.Output()
	if err != nil {
		return s
	}
	s.keys = nil
	for line := range strings.Lines(string(out)) {
		switch k, v, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " "); k {
		case "hostname":
			host = v
		case "port":
			port = v
		case "user":
			if u.user != "" || v != os.Getenv("USER") { // its own default is no answer
				s.user = v
			}
		case "identityfile":
			if rest, ok := strings.CutPrefix(v, "~/"); ok {
				v = filepath.Join(l.Home, rest)
			}
			s.keys = append(s.keys, v)
		}
	}
	s.address = net.JoinHostPort(host, port)
	return s
}

// signers are the keys to try, in this order: of the agent, of files, of the vault.
func (l *Logins) signers(ctx context.Context, server string, files []string, ask bool) (signers func() ([]ssh.Signer, error), done func()) {
	done = func() {}
	var all []ssh.Signer
	if a, hangUp, err := dialAgent(ctx, l.Agent); err == nil {
		done = hangUp
		if there, err := a.Signers(); err == nil {
			all = there
		}
	}
	for _, name := range files {
		pem, err := os.ReadFile(name)
		if err != nil || l.Home == "" {
			continue
		}
		if key, err := ssh.ParsePrivateKey(pem); err == nil { // one with a passphrase is the agent's to use
			all = append(all, key)
		}
	}
	return func() ([]ssh.Signer, error) {
		if l.Keys == nil {
			return all, nil
		}
		keys, err := l.Keys(ctx, server, ask && len(all) == 0)
		if err != nil && (len(all) == 0 || !errors.Is(err, ErrNotYet)) {
			return nil, err
		}
		for _, pem := range keys {
			key, err := ssh.ParsePrivateKey([]byte(pem))
			if err != nil {
				return nil, fmt.Errorf("a private key for %s in the vault: %w", server, noSecret(err))
			}
			all = append(all, key)
		}
		return all, nil
	}, done
}

// noSecret is an error of who reads a key, without what it read.
func noSecret(err error) error {
	if _, ok := errors.AsType[*ssh.PassphraseMissingError](err); ok {
		return errors.New("it has a passphrase: take that off, the vault protects it")
	}
	return errors.New("it is no private key in PEM")
}

// hostKeys are the known_hosts files, and the pinned lines.
type hostKeys struct {
	files  ssh.HostKeyCallback
	pinned map[string]ssh.PublicKey // by host, as in knownhosts.Normalize
}

func (l *Logins) knownHosts() (hostKeys, error) {
	var there []string
	for _, name := range []string{filepath.Join(l.Home, ".ssh/known_hosts"), "/etc/ssh/ssh_known_hosts", l.Known} {
		if info, err := os.Stat(name); err == nil && info.Mode().IsRegular() {
			there = append(there, name)
		}
	}
	files, err := knownhosts.New(there...)
	if err != nil {
		return hostKeys{}, fmt.Errorf("%w cannot be checked: %w", ErrHostKey, err)
	}
	known := hostKeys{files, map[string]ssh.PublicKey{}}
	for rest := []byte(l.Pinned); ; {
		var hosts []string
		var key ssh.PublicKey
		if _, hosts, key, _, rest, err = ssh.ParseKnownHosts(rest); err != nil {
			return known, nil // io.EOF
		}
		for _, h := range hosts {
			known.pinned[h] = key
		}
	}
}

// algorithms are those of the keys that a server is known by, so that it shows one of
// them; nil, which is all, if it is not known.
func (k hostKeys) algorithms(address string) []string {
	var want *knownhosts.KeyError
	var types []string
	if err := k.files(address, &net.TCPAddr{}, noKey{}); errors.As(err, &want) {
		for _, key := range want.Want {
			types = append(types, key.Key.Type())
		}
	}
	if pinned := k.pinned[knownhosts.Normalize(address)]; len(types) == 0 && pinned != nil {
		types = []string{pinned.Type()}
	}
	if i := slices.Index(types, ssh.KeyAlgoRSA); i >= 0 { // RFC 8332: the same key, signatures that are still good
		types = slices.Insert(types, i, ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256)
	}
	return types
}

// noKey is a key that no server has.
type noKey struct{}

func (noKey) Type() string                        { return "none" }
func (noKey) Marshal() []byte                     { return nil }
func (noKey) Verify([]byte, *ssh.Signature) error { return errors.ErrUnsupported }

// check is the answer to a server that shows its key.
func (l *Logins) check(ctx context.Context, known hostKeys, server string, remote net.Addr, key ssh.PublicKey, ask bool) error {
	err := known.files(server, remote, key)
	var want *knownhosts.KeyError
	var revoked *knownhosts.RevokedError
	host, print := knownhosts.Normalize(server), ssh.FingerprintSHA256(key)
	switch {
	case err == nil:
		return nil
	case errors.As(err, &revoked):
		return fmt.Errorf("%w is revoked: %s, in %s", ErrHostKey, host, revoked.Revoked.Filename)
	case errors.As(err, &want) && len(want.Want) > 0:
		return fmt.Errorf("%w is another than before: %s shows %s %s, and %s:%d has another", ErrHostKey, host, key.Type(), print, want.Want[0].Filename, want.Want[0].Line)
	case want == nil:
		return err
	}
	if pinned := known.pinned[host]; pinned != nil {
		if pinned.Type() == key.Type() && string(pinned.Marshal()) == string(key.Marshal()) {
			return nil
		}
		return fmt.Errorf("%w is not the published one: %s shows %s %s, and its keeper has published %s", ErrHostKey, host, key.Type(), print, ssh.FingerprintSHA256(pinned))
	}
	if !ask || l.Trust == nil {
		return fmt.Errorf("%w is not known: %s shows %s %s", ErrHostKey, host, key.Type(), print)
	}
	if err := l.Trust(ctx, host, key.Type(), print); err != nil {
		return fmt.Errorf("%w is not trusted: %s shows %s %s: %w", ErrHostKey, host, key.Type(), print, err)
	}
	return l.remember(knownhosts.Line([]string{server}, key))
}

// remember adds a line to movein's own known_hosts.
func (l *Logins) remember(line string) error {
	if l.Known == "" {
		return nil
	}
	there, err := os.ReadFile(l.Known)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(l.Known), 0o700); err != nil {
		return err
	}
	text := strings.TrimRight(string(there), "\n") + "\n" + line + "\n"
	return replaceFile(l.Known, 0o600, func(f *os.File) error {
		_, err := f.WriteString(strings.TrimLeft(text, "\n"))
		return err
	})
}
