package steps

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"movein/bootstrap"
	"movein/bootstrap/host"
	"movein/distro"
)

// nixInstall installs Nix, or repairs or adopts the one that is there.
type nixInstall struct {
	f *distro.Facts
	c *Config
}

func (nixInstall) Info() bootstrap.Info {
	return bootstrap.Info{Name: "nix-install", Title: "Nix", Needs: []string{"nix-fetch", "nix-mount"}, As: bootstrap.Root, Exclusive: "nix-store"}
}

func (s nixInstall) Plan(ctx context.Context, v host.View) (bootstrap.Change, error) {
	d, err := diagnoseNix(ctx, v, s.f, s.c)
	switch {
	case err == nil && d.Kind == nixNixOS:
		return nil, bootstrap.Skip("NixOS brings its own Nix")
	case d.Kind == nixUnmounted: // in a plan: nix-mount comes first
		return bootstrap.Change{{Verb: "check", Target: "Nix", Reason: "its store is not mounted yet"}}, nil
	}
	return d.Change, err
}

func (s nixInstall) Apply(ctx context.Context, h host.Host, _ bootstrap.Change) error {
	d, err := diagnoseNix(ctx, h, s.f, s.c)
	if err != nil {
		return err
	}
	if err := errors.Join(s.open(h, d.Closed), s.forget(ctx, h, d)); err != nil {
		return err
	}
	if d.needsRelease() {
		r, err := wantedRelease(s.f, s.c, d.nixState)
		switch {
		case err == nil && s.c.NixSource != "distro" && r.fetched(h, s.c):
			err = s.fromRelease(ctx, h, d, r)
		case d.Kind == nixNone && s.c.NixSource != "official" && distroHasNix(s.f):
			err = s.fromDistro(ctx, h)
		case err == nil && d.Kind != nixNone:
			err = bootstrap.Hint(errors.New("the release tarball to repair Nix from is not there"), "get it again with: movein apply; a mirror is given with --nix-url")
		case err == nil:
			err = bootstrap.Hint(errors.New("there is no Nix to install: no release was fetched, and this distribution's package manager is not known to have one"),
				"check the network and run the same command again; a mirror of the Nix releases is given with --nix-url")
		}
		if err != nil {
			return s.explain(err)
		}
	} else if d.Profile {
		cacert := ""
		if d.Receipt != nil {
			cacert = d.Receipt.CACert
		}
		if err := s.profile(ctx, h, d.Path, cacert); err != nil {
			return err
		}
	}
	if err := s.users(ctx, h); err != nil {
		return err
	}
	return errors.Join(h.Remove(nixStaging), h.Remove(nixTrash))
}

// open lets users read directories of Nix again.
func (nixInstall) open(h host.Host, dirs []string) error {
	for _, dir := range dirs {
		info, err := h.Lstat(dir)
		if err != nil {
			return err
		}
		st, ok := info.Sys().(*syscall.Stat_t)
		if !ok {
			return fmt.Errorf("reading the owner of %s: this system does not tell", dir)
		}
		if err := h.Own(dir, int(st.Uid), int(st.Gid), info.Mode().Perm()|0o555|info.Mode()&fs.ModeSticky); err != nil {
			return err
		}
	}
	return nil
}

// forget makes the database forget paths that are no longer in the store.
func (nixInstall) forget(ctx context.Context, h host.Host, d diagnosis) error {
	if len(d.Gone) == 0 || d.Path == "" || !exists(h, d.Path+"/bin/nix-store") {
		return nil
	}
	_, err := h.Run(ctx, &host.Cmd{Args: []string{d.Path + "/bin/nix-store", "--verify"}, Env: asRoot})
	if _, ok := errors.AsType[*host.CommandError](err); ok && ctx.Err() == nil {
		return nil // it says so too of what else is wrong with the store
	}
	return err
}

// explain adds what to do to the errors that a full or read-only disk makes.
func (nixInstall) explain(err error) error {
	switch {
	case errors.Is(err, syscall.ENOSPC):
		return bootstrap.Hint(err, "free some space (df -h /nix) and run the same command again")
	case errors.Is(err, syscall.EROFS):
		return bootstrap.Hint(err, "the root file system is read-only: /nix has to be made by the image or by the owner of this host")
	}
	return err
}

// fromRelease unpacks the release, moves its paths into the store, makes the
// database know them, and makes the profile. Each part is done only as far as it
// is not done yet, so a run that was cut short goes on here.
func (s nixInstall) fromRelease(ctx context.Context, h host.Host, d diagnosis, r release) error {
	if err := s.dirs(h); err != nil {
		return err
	}
	if err := s.users(ctx, h); err != nil {
		return err
	}
	if err := h.Remove(nixStaging); err != nil {
		return err
	}
	if err := h.Unpack(ctx, r.file(s.c), r.SHA256, nixStaging); err != nil {
		return fmt.Errorf("unpacking Nix %s: %w", r.Version, err)
	}
	data, err := h.ReadFile(nixStaging + "/.reginfo")
	if err != nil {
		return err
	}
	infos, err := host.ParseRegInfo(bytes.NewReader(data))
	if err != nil {
		return err
	}
	synced := make(chan error, 1) // while the paths are checked
	go func() { synced <- h.Sync(nixStaging) }()
	receipt := nixReceipt{Version: r.Version, URL: host.BareURL(r.URL), SHA256: r.SHA256}
	var moves [][2]string
	for i, info := range infos {
		h.Progress(int64(i), int64(len(infos)), "paths")
		from, err := s.place(ctx, h, info)
		if err != nil {
			return err
		}
		if from != "" {
			moves = append(moves, [2]string{from, info.Path})
		}
	}
	if err := <-synced; err != nil {
		return err
	}
	if err := h.Move(moves...); err != nil {
		return err
	}
	for _, info := range infos {
		if v := versionOf(info.Path); v == r.Version && exists(h, info.Path+"/bin/nix-daemon") {
			receipt.Nix = info.Path
		}
		if strings.Contains(filepath.Base(info.Path), "-nss-cacert-") {
			receipt.CACert = info.Path
		}
		stamp, err := h.Stamp(ctx, info.Path)
		if err != nil {
			return err
		}
		receipt.Paths = append(receipt.Paths, receiptPath{info.Path, info.NarHash, stamp})
	}
	if receipt.Nix == "" {
		return bootstrap.Misconfigured("%s holds no package nix-%s", receipt.URL, r.Version)
	}
	// First the receipt: a run that is cut short after it knows what it was about.
	if err := writeReceipt(h, receipt); err != nil {
		return err
	}
	if err := s.loadDB(ctx, h, receipt.Nix, data, d.DB == dbUnreadable); err != nil {
		return err
	}
	// A profile that leads to a Nix is left as its owner has it.
	if d.Kind == nixNone || d.Profile || d.DB != "" {
		if err := s.profile(ctx, h, receipt.Nix, receipt.CACert); err != nil {
			return err
		}
	}
	return nil
}

// dirs makes the directories of a multi-user Nix, as the official installer does.
func (nixInstall) dirs(h host.Host) error {
	for _, dir := range strings.Fields(`/nix /nix/store /nix/var /nix/var/log /nix/var/log/nix /nix/var/log/nix/drvs
		/nix/var/nix /nix/var/nix/db /nix/var/nix/gcroots /nix/var/nix/gcroots/per-user /nix/var/nix/profiles
		/nix/var/nix/profiles/per-user /nix/var/nix/profiles/per-user/root /nix/var/nix/temproots
		/nix/var/nix/userpool /nix/var/nix/daemon-socket`) {
		if err := h.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		if uid, _ := owner(h, dir); uid == 0 {
			continue
		}
		// Made for a user, who could put something else into the place of what root runs.
		if target, link := isLink(h, dir); link {
			return bootstrap.Hint(bootstrap.Refuse("%s is a user's link to %s", dir, target), "remove it and run the same command again")
		}
		if err := h.Own(dir, 0, 0, 0o755); err != nil {
			return err
		}
	}
	return nil
}

// place checks an unpacked path against its hash and returns where it is to be
// moved into the store from; "" if it is there already. What is there and is not
// right is moved aside first.
func (nixInstall) place(ctx context.Context, h host.Host, info host.PathInfo) (from string, err error) {
	base := filepath.Base(info.Path)
	if info.Path != nixStore+"/"+base {
		return "", bootstrap.Misconfigured(".reginfo names %q, which is no store path", info.Path)
	}
	if exists(h, info.Path) {
		if hash, _, err := h.NarHash(ctx, info.Path); err == nil && hash == info.NarHash {
			return "", nil
		}
	}
	from = nixStaging + "/store/" + base
	hash, size, err := h.NarHash(ctx, from)
	if err != nil {
		return "", fmt.Errorf("checking %s: %w", from, err)
	}
	if hash != info.NarHash || size != info.NarSize {
		return "", &host.DigestError{Name: info.Path, Want: info.NarHash, Got: hash}
	}
	if exists(h, info.Path) {
		if err := h.MkdirAll(nixTrash, 0o700); err != nil {
			return "", err
		}
		aside := fmt.Sprintf("%s/%s.%d", nixTrash, base, h.Now().UnixNano())
		if err := h.Rename(info.Path, aside); err != nil {
			return "", err
		}
	}
	return from, nil
}

// asRoot is the environment in which root opens the store itself.
var asRoot = []string{"HOME=/root", "USER=root", "NIX_REMOTE=local"}

// loadDB makes the database know the release's paths. A database that cannot be
// read is moved aside, never deleted.
func (nixInstall) loadDB(ctx context.Context, h host.Host, nix string, reginfo []byte, unreadable bool) error {
	load := &host.Cmd{Args: []string{nix + "/bin/nix-store", "--load-db"}, Stdin: reginfo, Env: asRoot}
	err := errors.New(dbUnreadable)
	if !unreadable {
		_, err = h.Run(ctx, load)
		if err == nil || ctx.Err() != nil || !unreadableDB(err) {
			return err
		}
	}
	aside := fmt.Sprintf("%s.movein-broken-%d", nixDB, h.Now().Unix())
	h.Warn("the store's database cannot be read and is kept as %s: %v", aside, err)
	if err := h.Rename(nixDB, aside); err != nil {
		return err
	}
	if err := h.MkdirAll(nixDB, 0o755); err != nil {
		return err
	}
	_, err = h.Run(ctx, load)
	return err
}

// unreadableDB reports whether Nix or its SQLite cannot read the database, which
// a full disk or a lock is not.
func unreadableDB(err error) bool {
	e, ok := errors.AsType[*host.CommandError](err)
	return ok && slices.ContainsFunc([]string{"is not a database", "malformed", "is corrupt", "SQL logic error", "is not valid", "already exists", "no such table"},
		func(said string) bool { return strings.Contains(e.Stderr, said) })
}

// profile makes the default profile lead to Nix. It is idempotent and heals a
// profile whose target is not valid. A profile that "nix profile" manages is left to it.
func (nixInstall) profile(ctx context.Context, h host.Host, nix, cacert string) error {
	if nix == "" {
		return nil
	}
	if exists(h, defaultProfile+"/manifest.json") {
		if leads(h, defaultProfile+"/bin/nix") {
			return nil
		}
		return bootstrap.Hint(bootstrap.Refuse("%s is kept by \"nix profile\" and leads to no Nix", defaultProfile),
			"add it there and run the same command again: sudo %s/bin/nix --extra-experimental-features 'nix-command flakes' profile install --profile %s %s", nix, defaultProfile, nix)
	}
	// Without the last option the database may survive a power loss and what it calls valid may not.
	args := []string{nix + "/bin/nix-env", "--profile", defaultProfile, "--option", "substitute", "false", "--option", "post-build-hook", "",
		"--option", "fsync-store-paths", "true", "--install", nix}
	if cacert != "" {
		args = append(args, cacert)
	}
	if _, err := h.Run(ctx, &host.Cmd{Args: args, Env: asRoot}); err != nil {
		return fmt.Errorf("making the profile %s: %w", defaultProfile, err)
	}
	return nil
}

func writeReceipt(h host.Host, r nixReceipt) error {
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return writeOwned(h, receiptFile, string(data)+"\n", 0o644)
}
