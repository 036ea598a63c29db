package steps

import (
	"slices"
	"strings"
	"testing"
)

// TestShims: while the vault is open, chezmoi finds our keepassxc-cli first, and its prompt
// for a password is no part of what it says.
func TestShims(t *testing.T) {
	z := chezmoi{c: &Config{Home: "/home/mitsio", Shims: "/run/user/1000/movein/bin"}, bin: "/usr/bin/chezmoi", out: "/nix/store/x"}
	cmd := z.cmd("archive")
	if !slices.Equal(cmd.Path, []string{"/run/user/1000/movein/bin", "/nix/store/x/home-path/bin"}) || string(cmd.Stdin) != "unused\n" {
		t.Errorf("%q, %q", cmd.Path, cmd.Stdin)
	}
	for said, want := range map[string]string{
		"Enter password to unlock /home/mitsio/My Vault/a: b.kdbx: tar": "tar",
		"tar Enter password to unlock /x.kdbx: ":                        "tar Enter password to unlock /x.kdbx: ",
		"tar":                                                           "tar",
	} {
		if got := string(passwordPrompt().ReplaceAll([]byte(said), nil)); got != want {
			t.Errorf("%q: %q", said, got)
		}
	}
	z.c.Shims = ""
	if cmd := z.cmd("archive"); len(cmd.Path) != 1 || cmd.Stdin != nil || strings.Contains(strings.Join(cmd.Env, " "), "PATH=") {
		t.Errorf("with no vault: %q, %q", cmd.Path, cmd.Stdin)
	}
}
