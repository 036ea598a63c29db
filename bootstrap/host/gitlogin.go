package host

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/transport"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"
)

// ErrNotYet says that what has a login is not here yet.
var ErrNotYet = errors.New("it is not here yet")

// Logins is how this user logs in at git servers. A nil Logins, or function, knows nothing;
// what is in ~/.ssh and in the user's ssh-agent is used all the same.
type Logins struct {
	// Token is who logs in at a server over https, and with which password or token.
	// name is the one in the URL, often "". An empty token: there is none. With ask,
	// somebody may be asked for what opens the vault.
	Token func(ctx context.Context, server, name string, ask bool) (user, token string, err error)
	// Keys are private keys in PEM for ssh, tried after those of the agent and of ~/.ssh.
	Keys func(ctx context.Context, server string, ask bool) ([]string, error)
	// Trust is asked about an ssh server that no known_hosts file knows. An error: it is not trusted.
	Trust func(ctx context.Context, server, keyType, fingerprint string) error
	// Pinned is the text of a known_hosts file: servers that need no asking.
	Pinned string

	User  string // who logs in over ssh where neither the address nor ~/.ssh/config says; "": git
	Home  string // the user's, for ~/.ssh
	Known string // movein's own known_hosts file: what Trust let in
	Agent string // the socket of the user's ssh-agent; "": none
}

// anonymous are the users of URLs that say nothing about who it is. The forges take any
// name beside a token: https://docs.github.com/en/rest/authentication
const anonymous = "x-access-token"

// login is what to say to the server of a URL that has asked who is there: what Token
// knows, or else git's own credential helpers. A nil login: nothing is known.
func (l *Logins) login(ctx context.Context, u gitURL, ask bool) (transport.AuthMethod, error) {
	var user, token string
	var err error
	if l != nil && l.Token != nil {
		user, token, err = l.Token(ctx, u.host, u.user, ask)
	}
	if err == nil && token == "" || errors.Is(err, ErrNotYet) {
		user, token = gitCredential(ctx, u)
	}
	switch {
	case token == "", err != nil && !errors.Is(err, ErrNotYet):
		return nil, err
	case u.scheme != "https" && !loopback(u.host):
		return nil, fmt.Errorf("a token for %s is not sent over %s, where all on the way can read it: name the repository with https://", u.host, u.scheme)
	case user == "":
		user = anonymous
	}
	return &githttp.BasicAuth{Username: user, Password: token}, nil
}

// loopback reports whether a server is this machine.
func loopback(server string) bool {
	if h, _, err := net.SplitHostPort(server); err == nil {
		server = h
	}
	ip := net.ParseIP(strings.Trim(server, "[]"))
	return server == "localhost" || ip != nil && ip.IsLoopback()
}
