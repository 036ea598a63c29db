package steps

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

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
}

// needsRelease reports whether mending it takes a release tarball.
func (d diagnosis) needsRelease() bool {
	return d.Kind == nixNone || d.repairable() && (len(d.Bad) > 0 || d.DB != "" || d.Path == "")
}

func (d *diagnosis) add(verb, target, reason string) {
	d.Change = append(d.Change, bootstrap.Action{Verb: verb, Target: target, Reason: reason})
}

// diagnoseNix looks at everything of the host's Nix that nix-install is
// responsible for. On a healthy host it runs no program and writes nothing.
func diagnoseNix(ctx context.Context, v host.View, f distro.Facts, c Config) (diagnosis, error) {
	d := diagnosis{nixState: detectNix(ctx, v, f, c)}
	if d.Kind == nixNixOS {
		return d, nil
	}
	if n, err := schema(v); err == nil && n > maxSchema {
		if d.Bin == "" {
			return d, bootstrap.Refuse("the store's database has schema %d, and the Nix to install reads up to %d", n, maxSchema)
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
		return d, bootstrap.Hint(bootstrap.Exit(bootstrap.ExitFailed, fmt.Errorf("the Nix store is not mounted at /nix")), "mount it (systemctl start nix.mount), then run the same command again")
	case d.repairable():
		if err := d.checkStore(ctx, v); err != nil {
			return d, err
		}
		d.checkDB(ctx, v)
		if d.Path == "" || d.Bin != defaultProfile+"/bin/nix" {
			d.add("repair", defaultProfile, "leads to no Nix")
		}
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
func installs(f distro.Facts, c Config) string {
	if c.NixSource == "distro" {
		return "the distribution's package, by " + f.Packages
	}
	version := cmp.Or(c.NixVersion, embed.DefaultNix)
	if c.NixSource == "auto" && distroHasNix(f) {
		return version + ", or the distribution's if the official host cannot be reached"
	}
	return version
}

// checkStore compares the paths of the receipt with the disk. A path whose
// metadata is as it was when its hash was right is right; any other is hashed.
func (d *diagnosis) checkStore(ctx context.Context, v host.View) error {
	if d.Receipt == nil {
		if d.Path == "" {
			d.Path = storeHasNix(v)
		}
		return nil
	}
	known := map[string]string{}
	json.Unmarshal(v.Recall("nix-stamps"), &known) //nolint:errcheck // without it paths are hashed
	learnt := false
	for _, p := range d.Receipt.Paths {
		stamp, err := v.Stamp(ctx, p.Path)
		if err == nil && (stamp == p.Stamp || stamp == known[p.Path]) {
			continue
		}
		reason := "is missing"
		if err == nil {
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
	return nil
}

// checkDB looks whether the store's database is there, can be read, and knows Nix itself.
func (d *diagnosis) checkDB(ctx context.Context, v host.View) {
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
		want := []string{d.Path}
		if d.Receipt != nil {
			want = []string{d.Receipt.Nix, d.Receipt.CACert}
		}
		if env, ok := isLink(v, defaultProfile); ok && d.Path != "" {
			if target := storePathOf(v, defaultProfile+"/"); target != "" && !strings.HasSuffix(env, ".drv") {
				want = append(want, target)
			}
		}
		want = slices.DeleteFunc(want, func(p string) bool { return p == "" })
		if daemon, err := v.Daemon(ctx, nixSocket, want...); err == nil && len(daemon.Unknown) > 0 {
			d.DB = "does not know " + daemon.Unknown[0]
		}
	}
	if d.DB != "" {
		d.add("restore", nixDB+"/db.sqlite", d.DB)
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
	}
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
