package steps

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"

	"movein/bootstrap"
	"movein/bootstrap/host"
	"movein/distro"
	"movein/embed"
)

// diagnosis is the state of the host's Nix and what is wrong with it.
type diagnosis struct {
	nixState
	Change bootstrap.Change // what mends it; empty: it is healthy
	Bad    []string         // store paths of the release that are missing or changed
	DB     string           // what is wrong with the database; "": nothing

	Profile   bool     // the default profile leads to no Nix
	NoReceipt bool     // movein wrote a receipt once, and it is gone
	Gone      []string // paths that the database knows and the store has not
	Closed    []string // directories that users cannot read
}

// dbUnreadable is a diagnosis.DB: it looks like a database, and Nix cannot read it.
const dbUnreadable = "cannot be read"

// needsRelease reports whether mending it takes a release tarball.
func (d diagnosis) needsRelease() bool {
	return d.Kind == nixNone || d.repairable() && (len(d.Bad) > 0 || d.DB != "" || d.Path == "" || d.NoReceipt)
}

func (d *diagnosis) add(verb, target, reason string) {
	d.Change = append(d.Change, bootstrap.Action{Verb: verb, Target: target, Reason: reason})
}

// diagnoseNix looks at everything of the host's Nix that nix-install is
// responsible for. On a healthy host it runs no program and writes nothing.
func diagnoseNix(ctx context.Context, v host.View, f *distro.Facts, c *Config) (diagnosis, error) {
	return once(v, "diagnosis "+c.Home, func() (diagnosis, error) { return examineNix(ctx, v, f, c) })
}

func examineNix(ctx context.Context, v host.View, f *distro.Facts, c *Config) (diagnosis, error) {
	d := diagnosis{nixState: detectNix(ctx, v, f, c)}
	if d.Kind == nixNixOS {
		return d, nil
	}
	if n, err := schema(v); err == nil && n > maxSchema {
		if d.Bin == "" {
			return d, bootstrap.Hint(bootstrap.Refuse("the store's database has schema %d, and the Nix to install reads up to %d", n, maxSchema),
				"bring back the newer Nix that made %s, or move the store away (mv /nix/store and /nix/var), then run the same command again", nixDB)
		}
		return d, nil // a newer Nix: its business
	}
	if d.Version != "" && older(d.Version, minNix) {
		return d, bootstrap.Exit(bootstrap.ExitConfig, bootstrap.Hint(
			fmt.Errorf("%s is Nix %s, and at least %s is needed", d.Bin, d.Version, minNix), "update it the way it was installed, then run the same command again"))
	}
	switch {
	case d.Kind == nixNone, d.Kind == nixRootless:
		d.Kind = nixNone
		d.add("install", "Nix", installs(f, c))
	case d.Kind == nixUnmounted:
		return d, bootstrap.Hint(bootstrap.Exit(bootstrap.ExitFailed, fmt.Errorf("the Nix store is not mounted at /nix")), "mount it: movein apply --only nix-mount")
	case d.Kind == nixSingle && d.Bin == "":
		return d, bootstrap.Hint(bootstrap.Refuse("the store %s belongs to a user, and there is no Nix to use it with", nixStore),
			"install Nix as that user again, or move the store away (sudo mv /nix /nix.old), then run the same command again")
	case d.repairable():
		d.checkDirs(v)
		if err := d.checkStore(ctx, v); err != nil {
			return d, err
		}
		d.checkDB(ctx, v, readBuilt(v, c).Out)
		if d.Path == "" || d.Bin != defaultProfile+"/bin/nix" {
			d.Profile = true
			d.add("repair", defaultProfile, "leads to no Nix")
		}
		d.checkReceipt(v, f, c)
	}
	d.checkGroup(v)
	for _, dir := range []string{nixStaging, nixTrash} {
		if exists(v, dir) {
			d.add("remove", dir, "left by a run that was cut short")
		}
	}
	return d, nil
}

// installs says which Nix would be installed.
func installs(f *distro.Facts, c *Config) string {
	if c.NixSource == "distro" {
		return "the distribution's package, by " + f.Packages
	}
	return cmp.Or(c.NixVersion, embed.DefaultNix)
}

// checkDirs looks whether users can get at the store, as Nix makes it.
func (d *diagnosis) checkDirs(v host.View) {
	for _, dir := range []string{"/nix", nixStore, "/nix/var", "/nix/var/nix", "/nix/var/nix/profiles", nixDB, filepath.Dir(nixSocket)} {
		if info, err := v.Lstat(dir); err == nil && info.IsDir() && info.Mode().Perm()&0o555 != 0o555 {
			d.Closed = append(d.Closed, dir)
			d.add("repair", dir, "users cannot read it")
		}
	}
}

// checkReceipt looks whether the receipt is there if movein wrote one. It is made
// again from the release that is installed, and from no other.
func (d *diagnosis) checkReceipt(v host.View, f *distro.Facts, c *Config) {
	if d.Receipt != nil || d.Kind != nixOurs {
		return
	}
	if r, err := wantedRelease(f, c, d.nixState); err == nil && r.Version == d.Version {
		d.NoReceipt = true
		d.add("restore", receiptFile, "is missing or cannot be read")
	}
}

// checkStore compares the paths of the receipt with the disk. A path whose
// metadata is as it was when its hash was right is right; any other is hashed.
func (d *diagnosis) checkStore(ctx context.Context, v host.View) error {
	if d.Receipt == nil || d.replaced() {
		if d.Path == "" {
			d.Path = storeHasNix(v)
		}
		return nil
	}
	known := map[string]string{}
	json.Unmarshal(v.Recall("nix-stamps"), &known) //nolint:errcheck // without it paths are hashed
	learnt := false
	stamps := stampAll(ctx, v, d.Receipt.Paths)
	for i, p := range d.Receipt.Paths {
		stamp, err := stamps[i].stamp, stamps[i].err
		if err == nil && (stamp == p.Stamp || stamp == known[p.Path]) {
			continue
		} else if errors.Is(err, fs.ErrPermission) { // not for us to see; checkDirs tells
			continue
		}
		reason := "is missing"
		if err != nil && d.collected(ctx, v, p.Path) {
			continue
		} else if err == nil {
			hash, _, err := v.NarHash(ctx, p.Path)
			if err != nil {
				return fmt.Errorf("checking %s: %w", p.Path, err)
			}
			if hash == p.NarHash {
				known[p.Path], learnt = stamp, true
				continue
			}
			reason = "was changed"
		}
		d.Bad = append(d.Bad, p.Path)
		d.add("restore", p.Path, reason)
	}
	if data, err := json.Marshal(known); err == nil && learnt {
		v.Remember("nix-stamps", data)
	}
	if d.Path == "" && !slices.Contains(d.Bad, d.Receipt.Nix) {
		d.Path = d.Receipt.Nix
	}
	return nil
}

// collected reports whether a path of the release went with the garbage: the
// database knows Nix, so all that Nix needs, and not this path.
func (d *diagnosis) collected(ctx context.Context, v host.View, path string) bool {
	daemon, err := v.Daemon(ctx, nixSocket, d.Receipt.Nix, path)
	return err == nil && slices.Equal(daemon.Unknown, []string{path})
}

type stamped struct {
	stamp string
	err   error
}

// stampAll stamps the paths, some side by side.
func stampAll(ctx context.Context, v host.View, paths []receiptPath) []stamped {
	const hands = 4
	out := make([]stamped, len(paths))
	var wg sync.WaitGroup
	for first := range hands {
		wg.Go(func() {
			for i := first; i < len(paths); i += hands {
				out[i].stamp, out[i].err = v.Stamp(ctx, paths[i].Path)
			}
		})
	}
	wg.Wait()
	return out
}

// checkDB looks whether the store's database is there, can be read, and knows Nix
// itself; and whether it believes the profile's or the home's generation to be in
// the store when that is not there: then Nix would not build it again.
func (d *diagnosis) checkDB(ctx context.Context, v host.View, generation string) {
	const magic = "SQLite format 3\x00" // https://sqlite.org/fileformat.html, 1.3
	data, err := v.ReadHead(nixDB+"/db.sqlite", len(magic))
	_, schemaErr := schema(v)
	switch {
	case err != nil:
		d.DB = "is missing"
	case !bytes.Equal(data, []byte(magic)):
		d.DB = "is no SQLite database"
	case schemaErr != nil || !exists(v, nixDB+"/schema"):
		d.DB = "has no readable schema"
	default:
		d.askDB(ctx, v, generation)
	}
	if d.DB != "" {
		d.add("restore", nixDB+"/db.sqlite", d.DB)
	}
}

func (d *diagnosis) askDB(ctx context.Context, v host.View, generation string) {
	env := storePathOf(v, defaultProfile+"/")
	want := []string{d.Path, env}
	if d.Receipt != nil && !d.replaced() {
		want = append(want, d.Receipt.Nix, d.Receipt.CACert)
	}
	want = slices.DeleteFunc(want, func(p string) bool { return p == "" })
	asked := want
	if generation != "" {
		asked = append(slices.Clone(want), generation)
	}
	daemon, err := v.Daemon(ctx, nixSocket, asked...)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.ECONNREFUSED), timedOut(err):
		// It does not run, or hangs: nix-daemon's business.
	case err != nil && d.Path != "":
		// The daemon is there and does not tell: it could not open the store, or not read of it.
		if _, err := v.Query(ctx, &host.Cmd{Args: []string{d.Path + "/bin/nix-store", "--check-validity", d.Path}, Env: asRoot}); err != nil {
			d.DB = dbUnreadable
		}
	case err == nil:
		if i := slices.IndexFunc(want, func(p string) bool { return slices.Contains(daemon.Unknown, p) }); i >= 0 {
			d.DB = "does not know " + want[i]
			return
		}
		for _, path := range []string{env, generation} {
			if _, err := v.Lstat(path); path != "" && errors.Is(err, fs.ErrNotExist) && !slices.Contains(daemon.Unknown, path) {
				d.Gone = append(d.Gone, path)
				d.add("repair", nixDB, "believes "+path+" to be in the store")
			}
		}
	}
}

// checkGroup looks whether root's builds have users to run as.
func (d *diagnosis) checkGroup(v host.View) {
	switch members, found := groupMembers(readText(v, "/etc/group"), "nixbld"); {
	case d.Kind == nixSingle || d.Kind == nixDeterminate || d.Kind == nixLix:
	case strings.Contains(readText(v, "/etc/nix/nix.conf"), "auto-allocate-uids = true"):
	case !found:
		d.add("create", "group nixbld with 32 build users", "")
	case len(members) == 0:
		d.add("repair", "group nixbld", "has no members")
	default:
		// One that does not exist is enough to make builds fail.
		if absent := absentUsers(v, members); len(absent) > 0 {
			d.add("repair", "group nixbld", "has members that are no users: "+few(absent))
		}
	}
}

// absentUsers are those of the users that the files of the system do not name;
// none if these cannot be read.
func absentUsers(v host.View, users []string) []string {
	passwd := readText(v, "/etc/passwd")
	if passwd == "" {
		return nil
	}
	passwd = "\n" + passwd + "\n" + readText(v, "/usr/lib/passwd") // the latter is ostree's
	return slices.DeleteFunc(slices.Clone(users), func(u string) bool { return strings.Contains(passwd, "\n"+u+":") })
}

// groupMembers reads the member field of a group in group(5) text.
func groupMembers(text, group string) (members []string, found bool) {
	for line := range strings.Lines(text) {
		fields := strings.Split(strings.TrimSpace(line), ":")
		if len(fields) == 4 && fields[0] == group {
			return strings.FieldsFunc(fields[3], func(r rune) bool { return r == ',' }), true
		}
	}
	return nil, false
}

// timedOut reports whether err says that an answer did not come in time.
func timedOut(err error) bool {
	e, ok := errors.AsType[net.Error](err)
	return ok && e.Timeout()
}
