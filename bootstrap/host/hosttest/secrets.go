package hosttest

import (
	"context"

	"movein/bootstrap/host"
)

// Secret implements host.Secrets: what Secrets has, unless the vault is Locked.
func (h *Host) Secret(ctx context.Context, r host.SecretRef) (string, error) {
	if h.Locked {
		return "", nil
	}
	return h.AskSecret(ctx, r)
}

// AskSecret implements host.Hander.
func (h *Host) AskSecret(_ context.Context, r host.SecretRef) (string, error) {
	return h.Secrets[r.Entry+r.Key], nil
}

// Holds implements host.Secrets.
func (h *Host) Holds(_ context.Context, p host.Taker, _ string) (bool, error) {
	value, ok := h.Held[p.Kind+" "+p.Name]
	return ok && (p.Value == "" || p.Value == value), nil
}

// HandOn implements host.Hander: Held has it then.
func (h *Host) HandOn(_ context.Context, p host.Taker) (string, error) {
	if h.Held == nil {
		h.Held = map[string]string{}
	}
	h.Held[p.Kind+" "+p.Name] = p.Value
	return "held", nil
}
