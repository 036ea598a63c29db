package cli

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"movein/bootstrap"
	"movein/bootstrap/host"
	"movein/bootstrap/host/bundle"
	"movein/bootstrap/host/minisign"
	"movein/steps"
)

func newBundle(io IO) *cobra.Command {
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

func newBundleCreate(io IO) *cobra.Command {
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
	sign, err := s.signer(key)
	if err != nil {
		return err
	}
	if _, err := s.view.Lstat(file); err == nil {
		return bootstrap.Hint(bootstrap.Refuse("there is a %s already", file), "name another file, or move it away: mv %s %s.old", file, file)
	}
	if info, err := s.view.Lstat(filepath.Dir(file)); err != nil || !info.IsDir() {
		return bootstrap.Hint(bootstrap.Misconfigured("there is no directory %s", filepath.Dir(file)), "make it: mkdir -p %s", filepath.Dir(file))
	}
	unlock, err := s.lock()
	if err != nil {
		return err
	}
	defer unlock()
	b, err := s.makeBundle(cmd.Context(), file, sign)
	if err != nil {
		return err
	}
	if err := s.tellBundle(b); err != nil || s.opt.json {
		return err
	}
	fmt.Fprintf(s.io.Out, "On another host: tar -xf %s %s && ./%s apply --bundle %s %s\n", name, bundle.Program, bundle.Program, name,
		map[bool]string{true: "--bundle-key KEY", false: "--bundle-sha256 " + b.SHA256}[sign != nil])
	return nil
}

func (s *session) makeBundle(ctx context.Context, file string, sign func([]byte) ([]byte, error)) (b *bundle.File, err error) {
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
	m, err := steps.Bundle(ctx, h, s.facts, s.config, program, work)
	if err != nil {
		return nil, err
	}
	if err := host.WriteBundle(filepath.Join(s.io.Root, file), filepath.Join(s.io.Root, work), m, sign); err != nil {
		return nil, fmt.Errorf("writing %s: %w", file, err)
	}
	return host.OpenBundle(ctx, filepath.Join(s.io.Root, file), bundle.Trust{})
}

// signer signs manifests with the secret key in the file; nil if none is named.
func (s *session) signer(file string) (func([]byte) ([]byte, error), error) {
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
	return func(manifest []byte) ([]byte, error) { return key.Sign(manifest, "bundle of movein"), nil }, nil
}

func newBundleVerify(io IO) *cobra.Command {
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

// bundleFlags are where a bundle is, and why it is trusted.
type bundleFlags struct{ from, key, sha256 string }

// addFlags declares them; for fleets they have variables, but no file can set them.
func (b *bundleFlags) addFlags(io IO, f *pflag.FlagSet) {
	f.StringVar(&b.from, "bundle", io.getenv("MOVEIN_BUNDLE"), "take everything from this bundle, a `FILE or URL`, and nothing from the network")
	f.StringVar(&b.key, "bundle-key", io.getenv("MOVEIN_BUNDLE_KEY"), "public `key` of minisign that must have signed the bundle, or the file with that")
	f.StringVar(&b.sha256, "bundle-sha256", io.getenv("MOVEIN_BUNDLE_SHA256"), "`digest` that the whole bundle must have")
}

// remote reports whether it is at a URL.
func (b bundleFlags) remote() bool {
	return strings.HasPrefix(b.from, "http://") || strings.HasPrefix(b.from, "https://")
}

// trust is what the bundle must come up to.
func (b bundleFlags) trust(io IO) (t bundle.Trust, err error) {
	if b.sha256 != "" && (len(b.sha256) != 2*sha256.Size || strings.Trim(strings.ToLower(b.sha256), "0123456789abcdef") != "") {
		return t, bootstrap.Hint(bootstrap.Misconfigured("%q is no SHA-256 in 64 hexadecimal digits", b.sha256), "give what sha256sum says of the bundle where it was made")
	}
	t.SHA256 = b.sha256
	if b.key == "" {
		return t, nil
	}
	key, err := minisign.ParseKey(b.key)
	if err != nil {
		name, aerr := io.abs(b.key)
		text, rerr := host.Real{Root: io.Root}.ReadFile(name)
		if aerr == nil && rerr == nil {
			key, err = minisign.ParseKey(string(text))
		}
	}
	if err != nil {
		return t, bootstrap.Hint(bootstrap.Misconfigured("the key %s: %v", b.key, err), "give the line of minisign.pub that begins with RW, or the file")
	}
	t.Key = &key
	return t, nil
}

// takeBundle has the run take everything from the bundle, once that is whole and trusted. One
// at a URL is kept, in the cache, until a run has come to its end. What the bundle settles is given then.
func (s *session) takeBundle(ctx context.Context, given map[string]bool) error {
	if s.bundle.from == "" {
		return nil
	}
	t, err := s.bundle.trust(s.io)
	if err != nil {
		return err
	}
	if t.Key == nil && t.SHA256 == "" {
		return bootstrap.Hint(bootstrap.Exit(bootstrap.ExitUsage, errors.New("nothing says whose the bundle is, and all of it would be trusted")),
			"give the key that it is signed with (--bundle-key), or its digest as \"movein bundle create\" printed it (--bundle-sha256)")
	}
	var b *bundle.File
	name := s.bundle.from
	if s.bundle.remote() && s.opt.dryRun { // nothing of it is used
		b, err = host.OpenBundle(ctx, name, t)
	} else if s.bundle.remote() {
		name = s.bundleKept()
		if b, err = host.OpenBundle(ctx, filepath.Join(s.io.Root, name), t); err != nil {
			b, err = s.fetchBundle(ctx, name, t)
		}
	} else if name, err = s.io.abs(name); err == nil {
		b, err = host.OpenBundle(ctx, filepath.Join(s.io.Root, name), t)
	}
	if err != nil {
		return distrust(err)
	}
	b.Name = name
	for _, settled := range []string{"offline", "nix-source", "nix-version", "nix-sha256"} {
		given[settled] = true
	}
	return s.config.TakeBundle(b, s.facts)
}

// bundleKept is where a bundle from a URL is kept: its user's alone, and where both halves find it.
func (s *session) bundleKept() string {
	dir := s.config.Cache()
	if s.io.EUID != s.config.UID {
		dir = rootState
	}
	return filepath.Join(dir, fmt.Sprintf("bundle-%.12x.tar", sha256.Sum256([]byte(s.bundle.from))))
}

func (s *session) fetchBundle(ctx context.Context, name string, t bundle.Trust) (*bundle.File, error) {
	perm := os.FileMode(0o700)
	if s.io.EUID != s.config.UID {
		perm = 0o755
	}
	real := host.Real{Root: s.io.Root}
	if err := real.MkdirAll(filepath.Dir(name), perm); err != nil {
		return nil, err
	}
	b, err := host.FetchBundle(ctx, s.bundle.from, filepath.Join(s.io.Root, name), t)
	if err == nil && s.io.EUID != s.config.UID { // its digests are checked wherever it is used
		err = real.Own(name, s.config.UID, s.config.GID, 0o600)
	}
	return b, err
}

// dropBundle removes the bundle that was fetched, once it has done its service.
func (s *session) dropBundle() {
	if b := s.config.Bundle; b != nil && (filepath.Dir(b.Name) == rootState || filepath.Dir(b.Name) == s.config.Cache()) {
		host.Real{Root: s.io.Root}.Remove(b.Name) //nolint:errcheck // in the cache
	}
}

// distrust says how to go on when a bundle is not what it should be.
func distrust(err error) error {
	switch {
	case errors.Is(err, bundle.ErrDamaged):
		return bootstrap.Exit(bootstrap.ExitDigest, bootstrap.Hint(err, "nothing of it was used; copy it again from where it was made"))
	case errors.Is(err, bundle.ErrUntrusted):
		return bootstrap.Exit(bootstrap.ExitDigest, bootstrap.Hint(err, "nothing of it was used; ask who made it for the key, or for the SHA-256 that movein bundle create printed"))
	case errors.Is(err, os.ErrNotExist):
		return bootstrap.Hint(bootstrap.Misconfigured("%w", err), "name the file of the bundle, or an address that begins with https://")
	}
	return err
}
