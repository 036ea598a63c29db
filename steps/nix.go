package steps

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"movein/bootstrap/host"
	"movein/distro"
)

// Where things of Nix are. Sources: the Nix manual, "Files", and the official installer.
const (
	nixStore       = "/nix/store"
	nixDB          = "/nix/var/nix/db"
	nixSocket      = "/nix/var/nix/daemon-socket/socket"
	defaultProfile = "/nix/var/nix/profiles/default"
	nixStaging     = "/nix/.movein-unpack" // of a release, on the store's file system and outside of the store
	nixTrash       = "/nix/.movein-trash"
	receiptFile    = "/var/lib/movein/nix.json"

	maxSchema = 10    // of the store's database, that the Nix releases we install can read
	minNix    = "2.8" // the oldest Nix that builds flakes as home-build asks it to
)

// nixKind is whose Nix a host has. What is done about it depends on that.
type nixKind string

const (
	nixNone        nixKind = "none"        // none, or remains of one
	nixNixOS       nixKind = "NixOS"       // the system's own: nothing is touched
	nixDistro      nixKind = "distro"      // from the distribution's packages
	nixDeterminate nixKind = "Determinate" // Determinate Nix: regenerates its own configuration
	nixLix         nixKind = "Lix"
	nixPeer        nixKind = "peer"        // upstream Nix by another installer that keeps a receipt
	nixSingle      nixKind = "single-user" // the store belongs to a user
	nixOfficial    nixKind = "official"    // multi-user, by the official script
	nixOurs        nixKind = "movein"      // multi-user, by movein
	nixBroken      nixKind = "broken"      // a store, and nothing that works with it
	nixUnmounted   nixKind = "unmounted"   // an ostree host whose store is not mounted
	nixRootless    nixKind = "rootless"    // a chroot store in the home
)

// nixState is what is known of the host's Nix.
type nixState struct {
	Kind    nixKind
	Bin     string // "nix", absolute; "" if there is none
	Version string // "2.34.8"; "" if unknown
	Path    string // the store path of the nix package; "" for a distribution's
	Receipt *nixReceipt
}

// repairable reports whether movein may repair it from a release tarball.
func (s nixState) repairable() bool {
	return s.Kind == nixOurs || s.Kind == nixOfficial || s.Kind == nixPeer || s.Kind == nixBroken
}

// replaced reports whether the host's owner has put another Nix into the default
// profile than the receipt's: that one is not missed then.
func (s nixState) replaced() bool {
	return s.Receipt != nil && s.Path != "" && s.Path != s.Receipt.Nix
}

// nixReceipt is what movein installed, kept outside of /nix.
type nixReceipt struct {
	Version string        `json:"version"`
	URL     string        `json:"url"`
	SHA256  string        `json:"sha256"`
	Nix     string        `json:"nix"`    // store path of the package
	CACert  string        `json:"cacert"` // store path of the certificates
	Paths   []receiptPath `json:"paths"`
}

type receiptPath struct {
	Path    string `json:"path"`
	NarHash string `json:"nar_hash"`
	Stamp   string `json:"stamp"` // of the path when its hash was last seen to be right
}

var (
	nixPackage = pattern(`^[0-9a-z]{32}-nix-([0-9][0-9.]*[0-9](?:pre[0-9a-z_]+)?)$`)
	nixSays    = pattern(`\((.*?)\) ([0-9]+\.[0-9]+(?:\.[0-9]+)?)`)
)

// detectNix finds out whose Nix the host has, by the decision table in
// ARCHITECTURE.md. It runs a program only for a Nix outside of the store.
func detectNix(ctx context.Context, v host.View, f *distro.Facts, c *Config) nixState {
	s, _ := once(v, "nix "+c.Home, func() (nixState, error) { return lookForNix(ctx, v, f, c), ctx.Err() }) //nolint:errcheck // only kept if it was not cut short
	return s
}

func lookForNix(ctx context.Context, v host.View, f *distro.Facts, c *Config) nixState {
	s := nixState{Receipt: readReceipt(v), Kind: nixNone}
	s.Bin, s.Path, s.Version = findNix(v)
	if s.Bin != "" && s.Version == "" {
		s.Version, s.Kind = askVersion(ctx, v, s.Bin)
	}
	storeOwner, hasStore := owner(v, nixStore)
	switch {
	case f.Platform == distro.NixOS:
		s.Kind = nixNixOS
	case s.Kind == nixDeterminate, exists(v, "/usr/local/bin/determinate-nixd"):
		s.Kind = nixDeterminate
	case s.Kind == nixLix, exists(v, "/nix/lix-installer"):
		s.Kind = nixLix
	case strings.HasPrefix(s.Bin, "/usr/") && s.Path == "":
		s.Kind = nixDistro
	case s.Receipt != nil, s.Bin != "" && wroteOnce(v, receiptFile):
		s.Kind = nixOurs
	case hasStore && storeOwner != 0:
		s.Kind = nixSingle
	case exists(v, "/nix/receipt.json"):
		s.Kind = nixPeer
	case s.Bin != "" && hasStore:
		s.Kind = nixOfficial
	case hasStore && storeHasNix(v) != "":
		s.Kind = nixBroken
	case needsMount(f) && exists(v, storeHome(v)+"/store") && mountedOn(v, "/nix") == "":
		s.Kind = nixUnmounted
	case exists(v, filepath.Join(c.Home, ".local/share/nix/root/nix/store")):
		s.Kind = nixRootless
	}
	return s
}

// findNix looks for nix where it may be, not only in PATH: sudo cuts that.
func findNix(v host.View) (bin, path, version string) {
	for _, bin := range []string{defaultProfile + "/bin/nix", "/run/current-system/sw/bin/nix"} {
		if path := storePathOf(v, bin); path != "" && exists(v, path+"/bin/nix") {
			return bin, path, versionOf(path)
		}
	}
	for _, bin := range []string{"/usr/bin/nix", "/usr/local/bin/nix"} {
		if leads(v, bin) {
			path := storePathOf(v, bin)
			return bin, path, versionOf(path)
		}
	}
	if bin, err := v.LookPath("nix"); err == nil {
		path := storePathOf(v, bin)
		return bin, path, versionOf(path)
	}
	return "", "", ""
}

func versionOf(storePath string) string {
	if m := nixPackage().FindStringSubmatch(filepath.Base(storePath)); m != nil {
		return m[1]
	}
	return ""
}

// askVersion asks a nix for its version and brand. The answer is remembered as
// long as the file does not change.
func askVersion(ctx context.Context, v host.View, bin string) (version string, kind nixKind) {
	key := ""
	if info, err := v.Lstat(bin); err == nil {
		key = fmt.Sprintf("%s %d %d", bin, info.Size(), info.ModTime().UnixNano())
	}
	said, ok := strings.CutPrefix(string(v.Recall("nix-version")), key+"\n")
	if !ok || key == "" {
		res, err := v.Query(ctx, &host.Cmd{Args: []string{bin, "--version"}})
		if err != nil {
			return "", nixNone
		}
		said = string(res.Stdout)
		v.Remember("nix-version", []byte(key+"\n"+said))
	}
	m := nixSays().FindStringSubmatch(said)
	switch {
	case m == nil:
		return "", nixNone
	case strings.HasPrefix(m[1], "Determinate"):
		return m[2], nixDeterminate
	case strings.HasPrefix(m[1], "Lix"):
		return m[2], nixLix
	}
	return m[2], nixNone
}

// storePathOf follows the links of name until it is below the store and returns
// the store path it is in; "" if it leads elsewhere or nowhere.
func storePathOf(v host.View, name string) string {
	for range 40 {
		if rest, ok := strings.CutPrefix(name, nixStore+"/"); ok {
			base, below, _ := strings.Cut(rest, "/")
			path := nixStore + "/" + base
			if below == "" || versionOf(path) != "" {
				return path
			}
		}
		next, ok := follow(v, name)
		if !ok {
			if rest, ok := strings.CutPrefix(name, nixStore+"/"); ok {
				base, _, _ := strings.Cut(rest, "/")
				return nixStore + "/" + base
			}
			return ""
		}
		name = next
	}
	return ""
}

// follow replaces the first link in name by its target.
func follow(v host.View, name string) (string, bool) {
	parts := strings.Split(strings.TrimPrefix(filepath.Clean(name), "/"), "/")
	for i := range parts {
		prefix := "/" + filepath.Join(parts[:i+1]...)
		target, err := v.Readlink(prefix)
		if err != nil {
			continue
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(prefix), target)
		}
		return filepath.Join(append([]string{target}, parts[i+1:]...)...), true
	}
	return name, false
}

// storeHasNix finds a nix package in a store that has no profile; "" if none.
func storeHasNix(v host.View) string {
	entries, err := v.ReadDir(nixStore)
	if err != nil {
		return ""
	}
	for _, e := range entries {
		if path := nixStore + "/" + e.Name(); versionOf(path) != "" && exists(v, path+"/bin/nix-daemon") {
			return path
		}
	}
	return ""
}

func readReceipt(v host.View) *nixReceipt {
	data, err := v.ReadFile(receiptFile)
	if err != nil {
		return nil
	}
	var r nixReceipt
	if json.Unmarshal(data, &r) != nil || r.Nix == "" {
		return nil
	}
	return &r
}

// schema reads the version of the store's database. 0: there is none; an error: it is no number.
func schema(v host.View) (int, error) {
	data, err := v.ReadFile(nixDB + "/schema")
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	} else if err != nil {
		return 0, err
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil {
		return 0, fmt.Errorf("reading %s/schema: %q is no version", nixDB, strings.TrimSpace(string(data)))
	}
	return n, nil
}

// older reports whether version a is older than b, by their dotted numbers.
func older(a, b string) bool {
	return slices.Compare(numbers(a), numbers(b)) < 0
}

func numbers(version string) []int {
	var out []int
	for part := range strings.SplitSeq(version, ".") {
		n, err := strconv.Atoi(part[:len(part)-len(strings.TrimLeft(part, "0123456789"))])
		if err != nil {
			break
		}
		out = append(out, n)
	}
	return out
}

func exists(v host.View, name string) bool {
	_, err := v.Lstat(name)
	return err == nil
}

// leads reports whether there is something at name, or where it leads if it is a link.
func leads(v host.View, name string) bool {
	_, err := v.ReadHead(name, 0)
	return err == nil || exists(v, name) && !errors.Is(err, fs.ErrNotExist)
}

func nonEmpty(v host.View, dir string) bool {
	entries, err := v.ReadDir(dir)
	return err == nil && len(entries) > 0
}
