package host

import (
	"context"
	"errors"
	"fmt"
	"net"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// Vault is where the secrets of a Real come from, and who hands them on.
type Vault interface {
	// Value is Secrets.Secret; ask: somebody may be asked.
	Value(ctx context.Context, ref SecretRef, ask bool) (string, error)
	Holds(ctx context.Context, p Taker, mark string) (bool, error)
	HandOn(ctx context.Context, p Taker) (mark string, err error)
}

// ErrNoVault says that this process has no secrets: it is not the user's.
var ErrNoVault = errors.New("the secrets are the user's own")

// Secret implements Secrets.
func (r *Real) Secret(ctx context.Context, ref SecretRef) (string, error) {
	if r.Vault == nil {
		return "", nil
	}
	return r.Vault.Value(ctx, ref, false)
}

// AskSecret implements Hander.
func (r *Real) AskSecret(ctx context.Context, ref SecretRef) (string, error) {
	if r.Vault == nil {
		return "", nil
	}
	return r.Vault.Value(ctx, ref, true)
}

// Holds implements Secrets.
func (r *Real) Holds(ctx context.Context, p Taker, mark string) (bool, error) {
	if r.Vault == nil {
		return false, ErrNoVault
	}
	return r.Vault.Holds(ctx, p, mark)
}

// HandOn implements Hander.
func (r *Real) HandOn(ctx context.Context, p Taker) (string, error) {
	if r.Vault == nil {
		return "", ErrNoVault
	}
	return r.Vault.HandOn(ctx, p)
}

// AgentHolds reports whether the ssh-agent at a socket has the key with this fingerprint.
func AgentHolds(ctx context.Context, socket, fingerprint string) (bool, error) {
	a, done, err := dialAgent(ctx, socket)
	if err != nil {
		return false, err
	}
	defer done()
	all, err := a.List()
	if err != nil {
		return false, fmt.Errorf("asking the ssh-agent: %w", err)
	}
	for _, key := range all {
		if ssh.FingerprintSHA256(key) == fingerprint {
			return true, nil
		}
	}
	return false, nil
}

// AgentAdd gives a private key in PEM to the ssh-agent at a socket, and returns its fingerprint.
func AgentAdd(ctx context.Context, socket, pem, comment string) (fingerprint string, err error) {
	key, err := ssh.ParseRawPrivateKey([]byte(pem))
	if err != nil {
		return "", noSecret(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		return "", noSecret(err)
	}
	a, done, err := dialAgent(ctx, socket)
	if err != nil {
		return "", err
	}
	defer done()
	if err := a.Add(agent.AddedKey{PrivateKey: key, Comment: comment}); err != nil {
		return "", fmt.Errorf("the ssh-agent does not take the key: %w", err)
	}
	return ssh.FingerprintSHA256(signer.PublicKey()), nil
}

func dialAgent(ctx context.Context, socket string) (agent.ExtendedAgent, func(), error) {
	if socket == "" {
		return nil, nil, errors.New("there is no ssh-agent (SSH_AUTH_SOCK)")
	}
	conn, err := new(net.Dialer).DialContext(ctx, "unix", socket)
	if err != nil {
		return nil, nil, fmt.Errorf("the ssh-agent does not answer: %w", err)
	}
	return agent.NewClient(conn), func() { conn.Close() }, nil
}
