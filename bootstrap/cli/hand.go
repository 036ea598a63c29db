package cli

import (
	"context"
	"fmt"

	"movein/bootstrap/host"
	"movein/bootstrap/host/kdbx"
	"movein/bootstrap/host/keyring"
	"movein/steps"
)

// Value implements host.Vault.
func (s *session) Value(ctx context.Context, r host.SecretRef, ask bool) (string, error) {
	return s.value(ctx, steps.SecretEntry{Service: r.Service, Key: r.Key, Entry: r.Entry, Field: r.Field}, ask)
}

// Holds implements host.Vault.
func (s *session) Holds(ctx context.Context, p host.Taker, mark string) (bool, error) {
	switch p.Kind {
	case host.SessionVariable:
		value, ok, err := keyring.Variable(ctx, s.keyringUser(), p.Name)
		return ok && (p.Value == "" || p.Value == value), err
	case host.SSHAgent:
		if mark == "" {
			return p.Value != "", nil // what it has does not show whether it is another now
		}
		return host.AgentHolds(ctx, s.io.getenv("SSH_AUTH_SOCK"), mark)
	case host.Keyring:
		return keyring.Holds(ctx, s.keyringUser(), map[string]string{"service": p.Service, "key": p.Key}, p.Value)
	}
	return false, fmt.Errorf("nothing of the kind %q takes a secret", p.Kind)
}

// HandOn implements host.Vault.
func (s *session) HandOn(ctx context.Context, p host.Taker) (mark string, err error) {
	switch p.Kind {
	case host.SessionVariable:
		return "", keyring.SetVariable(ctx, s.keyringUser(), p.Name, kdbx.NewSecret(p.Value))
	case host.SSHAgent:
		return host.AgentAdd(ctx, s.io.getenv("SSH_AUTH_SOCK"), p.Value, "movein: "+p.Name)
	case host.Keyring:
		return "", keyring.Store(ctx, s.keyringUser(), p.Name, map[string]string{"service": p.Service, "key": p.Key}, kdbx.NewSecret(p.Value))
	}
	return "", fmt.Errorf("nothing of the kind %q takes a secret", p.Kind)
}
