package secret

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Shim is the name of the program that chezmoi asks for entries of a vault.
const Shim = "keepassxc-cli"

// shimVersion is the keepassxc-cli whose output this is.
const shimVersion = "2.7.10"

// RunShim is keepassxc-cli as far as chezmoi uses it, answered by the agent in dir:
//
//	--version
//	show [--key-file F] VAULT --quiet --show-protected ENTRY
//	show VAULT ENTRY --attributes NAME --quiet --show-protected
//	attachment-export VAULT --quiet ENTRY NAME FILE      (or --stdout)
//
// That is what chezmoi 2.73 calls; the password on standard input is not read. It returns the
// exit code, which is 1 for every error, as that of keepassxc-cli is.
func RunShim(ctx context.Context, dir string, args []string, out, diag io.Writer) int {
	if err := shim(ctx, dir, args, out); err != nil {
		fmt.Fprintln(diag, err)
		return 1
	}
	return 0
}

func shim(ctx context.Context, dir string, args []string, out io.Writer) error {
	if len(args) > 0 && args[0] == "--version" {
		_, err := fmt.Fprintln(out, shimVersion)
		return err
	}
	words, attributes, flags, err := shimArgs(args)
	if err != nil {
		return err
	}
	switch {
	case len(words) == 3 && words[0] == "show":
		a, err := Ask(ctx, dir, Question{Entry: words[2]})
		if err != nil {
			return fmt.Errorf("could not find entry with path %s: %w", words[2], err)
		}
		if err := sameVault(words[1], a.Vault); err != nil {
			return err
		}
		return show(a, attributes, flags, out)
	case words[0] == "attachment-export" && (len(words) == 5 || len(words) == 4 && slices.Contains(flags, "--stdout")):
		a, err := Ask(ctx, dir, Question{Entry: words[2], Attachment: words[3]})
		if err != nil {
			return fmt.Errorf("could not export attachment %s of %s: %w", words[3], words[2], err)
		}
		if err := sameVault(words[1], a.Vault); err != nil {
			return err
		}
		if len(words) == 4 {
			_, err = out.Write(a.Value)
			return err
		}
		f, err := os.OpenFile(words[4], os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
		if err != nil {
			return err
		}
		_, err = f.Write(a.Value)
		return errors.Join(err, f.Close())
	}
	return fmt.Errorf("this is movein in the place of keepassxc-cli while the dotfiles are applied, and it cannot: %s", strings.Join(args[:1], " "))
}

// shimArgs sorts what keepassxc-cli takes, in any order.
func shimArgs(args []string) (words, attributes, flags []string, err error) {
	for i := 0; i < len(args); i++ {
		arg, value, has := strings.Cut(args[i], "=")
		switch {
		case !strings.HasPrefix(arg, "-"):
			words = append(words, args[i])
		case slices.Contains([]string{"-q", "--quiet", "-s", "--show-protected", "--no-password", "--all", "--stdout"}, arg):
			flags = append(flags, arg)
		case slices.Contains([]string{"-a", "--attributes", "-k", "--key-file", "-y", "--yubikey"}, arg):
			if !has {
				if i++; i == len(args) {
					return nil, nil, nil, fmt.Errorf("%s needs a value", arg)
				}
				value = args[i]
			}
			if arg == "-a" || arg == "--attributes" {
				attributes = append(attributes, value)
			}
		default:
			return nil, nil, nil, fmt.Errorf("unknown option %s", arg)
		}
	}
	if len(words) == 0 {
		return nil, nil, nil, errors.New("no command is given")
	}
	return words, attributes, flags, nil
}

// sameVault refuses what is asked of another vault than the one that is open. One that is not
// on this host yet is taken for the open one.
func sameVault(asked, open string) error {
	a, err := os.Stat(asked)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	b, oerr := os.Stat(open)
	if err != nil || oerr != nil || !os.SameFile(a, b) {
		return fmt.Errorf("the vault that is open is %s, not %s", open, filepath.Clean(asked))
	}
	return nil
}

// show prints an entry as "keepassxc-cli show" does: the attributes that are asked for, a
// line each, or the standard ones with their names.
func show(a Answer, attributes, flags []string, out io.Writer) error {
	value := func(name string) (string, bool) {
		for _, f := range a.Fields {
			if f[0] == name {
				return f[1], true
			}
		}
		return "", slices.Contains([]string{"Title", "UserName", "Password", "URL", "Notes"}, name)
	}
	var b strings.Builder
	var wrong error
	for _, name := range attributes {
		text, ok := value(name)
		if !ok {
			wrong = fmt.Errorf("ERROR: unknown attribute %s", name)
			continue
		}
		b.WriteString(text + "\n")
	}
	if len(attributes) == 0 {
		for _, name := range []string{"Title", "UserName", "Password", "URL", "Notes"} {
			text, _ := value(name)
			if name == "Password" && !slices.Contains(flags, "--show-protected") && !slices.Contains(flags, "-s") {
				text = "PROTECTED"
			}
			b.WriteString(name + ": " + text + "\n")
		}
		b.WriteString("Uuid: " + uuid(a.UUID) + "\nTags: \n")
	}
	_, err := io.WriteString(out, b.String())
	return errors.Join(wrong, err)
}

// uuid is an identifier as KeePassXC writes it.
func uuid(hex string) string {
	h := strings.ToLower(hex)
	if len(h) != 32 {
		return h
	}
	return "{" + h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:] + "}"
}
