package cli

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"movein/bootstrap"
	"movein/bootstrap/host"
	"movein/bootstrap/host/minisign"
	"movein/embed"
)

// updating is what "movein self-update" is told.
type updating struct {
	io                 *IO
	version, base, key string
	dryRun             bool
}

func newSelfUpdate(io *IO) *cobra.Command {
	u := &updating{io: io}
	cmd := &cobra.Command{
		Use:   "self-update",
		Short: "Replace this program by a newer release of it",
		Long: `self-update fetches a release of movein, checks it as install.sh does, sees that it starts on this
host, and puts it where this program is. The program before it stays beside it, as movein.old.

The signature of the release's SHA256SUMS is checked if there is a public key of minisign, and
an address that anybody on the way could answer for (http://) is taken only with one.`,
		Example: `  movein self-update --dry-run
  movein self-update --version v1.2.3
  sudo movein self-update`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return u.run(cmd.Context()) },
	}
	cmd.Flags().StringVar(&u.version, "version", cmp.Or(io.getenv("MOVEIN_VERSION"), "latest"), "a release's `tag`")
	cmd.Flags().StringVar(&u.base, "base-url", cmp.Or(io.getenv("MOVEIN_BASE_URL"), embed.Releases()), "`URL` where releases are: URL/latest/download/FILE, URL/download/TAG/FILE")
	cmd.Flags().StringVar(&u.key, "key", cmp.Or(io.getenv("MOVEIN_MINISIGN_KEY"), embed.ReleaseKey()), "public `key` of minisign that the release is signed with")
	cmd.Flags().BoolVar(&u.dryRun, "dry-run", false, "say what it would do, and change nothing")
	return cmd
}

func (u *updating) run(ctx context.Context) error {
	program, err := u.program()
	if err != nil {
		return err
	}
	old, err := os.ReadFile(program)
	if err != nil {
		return fmt.Errorf("reading this program: %w", err)
	}
	base := strings.TrimSuffix(u.base, "/") + "/download/" + u.version
	if u.version == "latest" {
		base = strings.TrimSuffix(u.base, "/") + "/latest/download"
	}
	asset := "movein-linux-" + runtime.GOARCH
	want, err := u.digest(ctx, base, asset)
	if err != nil {
		return err
	}
	switch {
	case want == fmt.Sprintf("%x", sha256.Sum256(old)):
		fmt.Fprintf(u.io.Out, "%s is that release already.\n", program)
		return nil
	case u.dryRun:
		fmt.Fprintf(u.io.Out, "It would fetch %s, and put it in place of %s.\n", base+"/"+asset, program)
		return nil
	}
	if err := u.replace(ctx, program, base+"/"+asset, want); err != nil {
		return fmt.Errorf("replacing %s: %w", program, err)
	}
	fmt.Fprintf(u.io.Out, "%s is another now; the one before it is %s.old.\n", program, program)
	return nil
}

// program is the file that this program is.
func (u *updating) program() (string, error) {
	exe, err := host.Executable()
	if err == nil {
		exe, err = filepath.EvalSymlinks(exe)
	}
	if err != nil {
		return "", fmt.Errorf("finding this program: %w", err)
	}
	for dir, how := range map[string]string{"/nix/store/": "Nix", "/usr/bin/": "the distribution's packages"} {
		if strings.HasPrefix(exe, dir) {
			return "", bootstrap.Hint(bootstrap.Refuse("%s is kept by %s, and nobody else is to change it", exe, how), "update it by %s", how)
		}
	}
	return exe, nil
}

// digest is that of the asset in the release, once its list is known to be the release's.
func (u *updating) digest(ctx context.Context, base, asset string) (string, error) {
	address, err := url.Parse(base)
	if err != nil || address.Host == "" || address.Scheme != "http" && address.Scheme != "https" {
		return "", bootstrap.Hint(bootstrap.Misconfigured("%q is no address of releases", u.base), "give one with --base-url")
	}
	if base := embed.Releases(); strings.Contains(base, ".invalid/") && u.base == base {
		return "", bootstrap.Hint(bootstrap.Misconfigured("this program was built without the address of its releases"), "give one with --base-url")
	}
	if u.key == "" && address.Scheme != "https" && !net.ParseIP(address.Hostname()).IsLoopback() {
		return "", bootstrap.Hint(bootstrap.Misconfigured("%s may be answered by anybody, and there is no key to tell", base), "take an address that begins with https://, or give the release's key with --key")
	}
	fetch := &host.Fetch{}
	sums, err := fetch.Small(ctx, base+"/SHA256SUMS", 1<<20)
	if err != nil {
		return "", err
	}
	if u.key != "" {
		key, err := minisign.ParseKey(u.key)
		if err != nil {
			return "", bootstrap.Hint(bootstrap.Misconfigured("the key of the release: %v", err), "give the line of minisign.pub that begins with RW")
		}
		signature, err := fetch.Small(ctx, base+"/SHA256SUMS.minisig", 1<<16)
		if err != nil {
			return "", err
		}
		if err := key.Verify(sums, signature); err != nil {
			return "", bootstrap.Hint(bootstrap.Exit(bootstrap.ExitDigest, fmt.Errorf("checking the signature of %s/SHA256SUMS: %w", base, err)), "nothing was changed; is it the release's key that was given?")
		}
	}
	for line := range strings.Lines(string(sums)) {
		if f := strings.Fields(line); len(f) == 2 && strings.TrimPrefix(f[1], "*") == asset && len(f[0]) == 2*sha256.Size {
			return f[0], nil
		}
	}
	return "", bootstrap.Hint(bootstrap.Exit(bootstrap.ExitDigest, fmt.Errorf("%s/SHA256SUMS does not list a digest of %s", base, asset)), "nothing was changed; name another release: movein self-update --version TAG")
}

// replace fetches the program and puts it in place of the old one, if it starts.
func (u *updating) replace(ctx context.Context, program, from, digest string) (err error) {
	work, err := os.MkdirTemp(filepath.Dir(program), ".movein-")
	if err != nil {
		return u.asRoot(err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	v, fresh := &host.Real{Env: u.io.Environ}, filepath.Join(work, "movein")
	if err := v.Fetch(ctx, from, digest, fresh); err != nil {
		return err
	}
	if err := os.Chmod(fresh, 0o755); err != nil { //nolint:gosec // a program for all
		return err
	}
	if _, err := v.Query(ctx, &host.Cmd{Args: []string{fresh, "version"}}); err != nil {
		return bootstrap.Hint(fmt.Errorf("the release does not start here: %w", err), "nothing was changed")
	}
	kept := filepath.Join(work, "old")
	if err := os.Link(program, kept); err != nil { // the system may leave that to its owner
		return u.asRoot(err)
	}
	if err := os.Rename(kept, program+".old"); err != nil {
		return err
	}
	return errors.Join(os.Rename(fresh, program), v.Sync(filepath.Dir(program)))
}

// asRoot says how to go on when only root may write there.
func (u *updating) asRoot(err error) error {
	if errors.Is(err, os.ErrPermission) && u.io.EUID != 0 {
		return bootstrap.Hint(bootstrap.Exit(bootstrap.ExitPermission, err), "run it as root: sudo movein self-update")
	}
	return err
}
