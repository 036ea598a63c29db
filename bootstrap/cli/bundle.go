package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"movein/bootstrap"
	"movein/bootstrap/host"
	"movein/bootstrap/host/bundle"
	"movein/bootstrap/host/minisign"
	"movein/steps"
)

func newBundle(io *IO) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bundle",
		Short: "Everything that a host without network needs, in one file",
		Long: `A bundle is one file with everything that a host without network needs to get your home: movein
itself, the Nix release, your home repo and dotfiles as they are committed, the generation
and the flake's inputs. "movein apply --bundle" uses it, and fetches nothing from anywhere.`,
		Example: `  movein bundle create home.bundle --sign minisign.key
  movein bundle verify home.bundle --key RWRWKGkI0a89xNFoJ1hTPLGKtmv/f8fuvjAZvtR41HszPNgY658KhQRG`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newBundleCreate(io), newBundleVerify(io))
	return cmd
}

func newBundleCreate(io *IO) *cobra.Command {
	s, key := &session{io: io}, ""
	cmd := &cobra.Command{
		Use:   "create FILE",
		Short: "Make a bundle of this home, for hosts of the same kind",
		Long: `create makes a bundle of the home that the committed state of the home repo makes for this user and
host, or for another one with --host. What is not committed, other branches, stashes, vaults and
who logs in at a repository's server are not in it. FILE is for you alone to read.

Whoever applies it must know that it is yours: by the signature of a secret key of minisign
(made with "minisign -G -W"), or by the SHA-256 that create prints.`,
		Example: `  movein bundle create home.bundle --sign minisign.key
  movein bundle create laptop.bundle --host laptop`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usage(cmd, errors.New("one FILE is to be named"))
			}
			return s.bundleCreate(cmd, args[0], key)
		},
	}
	s.addFlags(cmd.Flags())
	cmd.Flags().StringVar(&key, "sign", "", "sign it with the secret key of minisign in this `file`")
	s.completions(cmd)
	return cmd
}

func (s *session) bundleCreate(cmd *cobra.Command, name, key string) error {
	if err := s.load(cmd, nil, true); err != nil {
		return err
	}
	if err := s.own(cmd); err != nil {
		return err
	}
	file, err := s.io.abs(name)
	if err != nil {
		return err
	}
	signer, err := s.signer(key)
	if err != nil {
		return err
	}
	if _, err := s.view.Lstat(file); err == nil {
		return inPlaceOf(file)
	}
	if _, err := s.view.ReadDir(filepath.Dir(file)); err != nil {
		return bootstrap.Hint(bootstrap.Misconfigured("there is no directory %s", filepath.Dir(file)), "make it: mkdir -p %s", filepath.Dir(file))
	}
	unlock, err := s.lock()
	if err != nil {
		return err
	}
	defer unlock()
	b, err := s.makeBundle(cmd.Context(), file, signer)
	if err != nil {
		return err
	}
	if err := s.tellBundle(b); err != nil || s.opt.json {
		return err
	}
	trust := "--bundle-sha256 " + b.SHA256
	if signer != nil {
		trust = "--bundle-key KEY"
	}
	fmt.Fprintf(s.io.Out, "On another host: tar -xf %s %s && ./%[2]s apply --bundle %[1]s %[3]s\n", name, bundle.Program, trust)
	return nil
}

func (s *session) makeBundle(ctx context.Context, file string, signer *minisign.SecretKey) (b *bundle.File, err error) {
	h := s.view
	h.Sight = nil // what is looked at changes
	h.Notes = func(n host.Note) {
		if n.Warning != "" {
			fmt.Fprintln(s.io.Err, "movein:", s.io.shown(n.Warning))
		}
	}
	work := filepath.Join(filepath.Dir(file), "."+filepath.Base(file)+".movein-bundle")
	if err := errors.Join(h.Remove(work), h.MkdirAll(work, 0o700)); err != nil { // of a run that was killed
		return nil, err
	}
	defer func() { err = errors.Join(err, h.Remove(work)) }()
	program, err := host.Executable()
	if err != nil {
		return nil, err
	}
	m, err := steps.Bundle(ctx, &h, &s.facts, &s.config, program, work)
	if err != nil {
		return nil, err
	}
	var trust bundle.Trust
	var sign func([]byte) []byte
	if signer != nil {
		key := signer.Public()
		trust.Key = &key
		sign = func(manifest []byte) []byte { return signer.Sign(manifest, "bundle of movein") }
	}
	if err := host.WriteBundle(filepath.Join(s.io.Root, file), filepath.Join(s.io.Root, work), m, sign); errors.Is(err, fs.ErrExist) {
		return nil, inPlaceOf(file)
	} else if err != nil {
		return nil, fmt.Errorf("writing %s: %w", file, err)
	}
	return host.OpenBundle(ctx, filepath.Join(s.io.Root, file), trust)
}

// inPlaceOf refuses to write a bundle over something.
func inPlaceOf(file string) error {
	return bootstrap.Hint(bootstrap.Refuse("there is a %s already", file), "name another file, or move it away: mv %s %s.old", file, file)
}

// signer is the secret key in the file; nil if none is named.
func (s *session) signer(file string) (*minisign.SecretKey, error) {
	if file == "" {
		return nil, nil
	}
	name, err := s.io.abs(file)
	if err != nil {
		return nil, err
	}
	text, err := s.view.ReadFile(name)
	if err != nil {
		return nil, bootstrap.Hint(bootstrap.Misconfigured("reading the key: %w", err), "name the secret key of minisign with --sign; make one: minisign -G -W -s %s", file)
	}
	key, err := minisign.ParseSecretKey(string(text))
	switch {
	case errors.Is(err, minisign.ErrEncrypted):
		return nil, bootstrap.Hint(bootstrap.Misconfigured("%s: %v", file, err), "sign with a key that has none: minisign -C -W -s %s takes the password away", file)
	case err != nil:
		return nil, bootstrap.Hint(bootstrap.Misconfigured("%s: %v", file, err), "make one: minisign -G -W -s FILE")
	}
	return &key, nil
}

func newBundleVerify(io *IO) *cobra.Command {
	s, how := &session{io: io}, bundleFlags{}
	cmd := &cobra.Command{
		Use:   "verify FILE|URL",
		Short: "Read a whole bundle: is it whole, whose is it, what has it?",
		Long: `verify reads a whole bundle, and keeps nothing of it. Without --key and --sha256 it says only
whether the bundle is whole, not whose it is.`,
		Example: `  movein bundle verify home.bundle --key minisign.pub
  movein bundle verify https://example.org/home.bundle --sha256 2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usage(cmd, errors.New("one FILE or URL is to be named"))
			}
			how.from = args[0]
			t, err := how.trust(s.io)
			if err != nil {
				return err
			}
			from := how.from
			if !how.remote() {
				if from, err = s.io.abs(from); err != nil {
					return err
				}
				from = filepath.Join(s.io.Root, from)
			}
			b, err := host.OpenBundle(cmd.Context(), from, t)
			if err != nil {
				return distrust(err)
			}
			return s.tellBundle(b)
		},
	}
	cmd.Flags().StringVar(&how.key, "key", "", "public `key` of minisign that must have signed it, or the file with that")
	cmd.Flags().StringVar(&how.sha256, "sha256", "", "`digest` that the whole file must have")
	cmd.Flags().BoolVar(&s.opt.json, "json", false, "as one JSON object")
	return cmd
}

// tellBundle says what a bundle has.
func (s *session) tellBundle(b *bundle.File) error {
	if s.opt.json {
		return json.NewEncoder(s.io.Out).Encode(map[string]any{"schema": bootstrap.Schema, "event": "bundle", "bundle": b})
	}
	m := b.Manifest
	rows := [][2]string{
		{"Bundle", fmt.Sprintf("%.1f MiB, %d files, whole", float64(b.Size)/(1<<20), len(m.Entries))},
		{"SHA-256", b.SHA256},
		{"Signed by", cmp.Or(b.SignedBy, "not checked")},
		{"Home", m.Configuration + " for user " + m.User + " on " + m.System},
		{"Home repo", strings.TrimSpace(m.Home.URL + " " + m.Home.Commit)},
		{"Nix", m.NixVersion},
		{"Made by", "movein " + m.MadeBy},
	}
	if m.Dotfiles != nil {
		rows = append(rows, [2]string{"Dotfiles", m.Dotfiles.URL + " " + m.Dotfiles.Commit})
	}
	for _, r := range rows {
		fmt.Fprintf(s.io.Out, "%-10s %s\n", r[0], s.io.shown(r[1]))
	}
	return nil
}
