package cli

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"movein/bootstrap"
	"movein/bootstrap/host/kdbx"
	"movein/bootstrap/host/secret"
	"movein/steps"
)

// TestVaultComesWithDotfiles: its password is asked for at once, and nothing of it is
// known before the clone is there, for which it can therefore not have the token.
func TestVaultComesWithDotfiles(t *testing.T) {
	const url = "https://example.org/dots.git"
	for name, c := range map[string]struct {
		password string
		err      error
	}{"right": {"open sesame", nil}, "wrong": {"wrong", kdbx.ErrWrongKey}} {
		s, _, _ := owned(t, "--dotfiles", url, "--vault", "~/.local/share/chezmoi/my.kdbx", "--password-command", "echo "+c.password)
		if s.config.VaultWith != steps.DotfilesStep {
			t.Errorf("it comes with %q", s.config.VaultWith)
		}
		secrets, lock, err := s.openVault(t.Context(), func(bootstrap.Event) {})
		if secrets != "ok" || err != nil {
			t.Fatalf("%q, %v", secrets, err)
		}
		e := steps.SecretEntry{Entry: "top"}
		_, err = s.resolve(t.Context(), e, true)
		if got := explainSecret(err); !errors.Is(err, secret.ErrNotYet) || !strings.Contains(err.Error(), url) || bootstrap.ExitCode(got) != bootstrap.ExitConfig || !strings.Contains(bootstrap.HintOf(got), "--token-fd") {
			t.Errorf("%s: before it is there: %v", name, err)
		}
		there := filepath.Join(s.config.DataHome, "chezmoi")
		if err := errors.Join(os.MkdirAll(there, 0o700), os.Rename(s.config.Home+"/MyVault/my.kdbx", there+"/my.kdbx")); err != nil {
			t.Fatal(err)
		}
		value, err := s.resolve(t.Context(), e, true)
		if !errors.Is(err, c.err) || (err == nil) != (value.Reveal() == "canary-top") {
			t.Errorf("%s: %q, %v", name, value.Reveal(), err)
		}
		lock()
	}
}

// TestVaultComesWith tells what brings a vault.
func TestVaultComesWith(t *testing.T) {
	for vault, want := range map[string]string{
		"~/.local/share/chezmoi/a.kdbx": steps.DotfilesStep, "~/.local/share/chezmoi": steps.DotfilesStep, "~/.config/home-manager/a.kdbx": steps.HomeStep,
		"~/.local/share/chezmoi2/a.kdbx": "", "~/MyVault/my.kdbx": "", "https://example.org/x.kdbx": "", "none": "",
	} {
		s, _, _ := owned(t, "--dotfiles", "https://example.org/dots.git", "--vault", vault)
		s.config.HomeRepo = "https://example.org/home.git"
		if got, _ := s.comesWith(); got != want {
			t.Errorf("%s: %q, not %q", vault, got, want)
		}
	}
	s, _, _ := owned(t, "--dotfiles", "", "--vault", "~/.local/share/chezmoi/a.kdbx")
	s.config.HomeRepo = "https://example.org/home.git"
	if got, _ := s.comesWith(); got != steps.HomeStep {
		t.Errorf("dotfiles that the home repo names: %q", got)
	}
}

// TestRepositoryWithTheVaultFirst: the home repo's token may be in a vault that comes with the dotfiles.
func TestRepositoryWithTheVaultFirst(t *testing.T) {
	for with, want := range map[string][]string{"": {"home-repo", "dotfiles-repo"}, steps.HomeStep: {"home-repo", "dotfiles-repo"}, steps.DotfilesStep: {"dotfiles-repo", "home-repo"}} {
		s, _, _ := owned(t)
		s.config.VaultWith = with
		g, err := s.graph()
		if err != nil {
			t.Fatal(err)
		}
		names := g.Names()
		if slices.Index(names, want[0]) > slices.Index(names, want[1]) || !slices.Contains(g.Step(want[1]).Info().Needs, want[0]) {
			t.Errorf("%q: %q, needs %q", with, names, g.Step(want[1]).Info().Needs)
		}
	}
}
