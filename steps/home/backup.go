package home

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"sort"
	"strings"

	"movein/bootstrap"
	"movein/bootstrap/host"
)

// About is what a backup says of the run that it is made for.
type About struct {
	Version    string // of movein
	Reason     string
	Generation string // the active one; or ""
	Part       bool   // of a change that has an older one
	Aside      bool   // for itself alone: going back to before it or an earlier run does not give back what is in it

	// Ours are the SHA-256 of files that hold a secret and that are made anew whenever they
	// are wanted, by path: such a file is not kept as long as it is just that.
	Ours map[string]string
}

// Backup is one that is being made. It counts only when it is sealed, and nothing
// that it is for may be changed before.
type Backup struct {
	b      Backups
	h      host.Host
	about  About
	m      Manifest
	dir    string // where it is made
	have   map[string]Entry
	trees  []string // that were saved with all that is below them
	failed bool
}

// Begin begins a backup, and removes what killed runs left of theirs.
func (b Backups) Begin(h host.Host, a About) (*Backup, error) {
	if err := b.sweep(h); err != nil {
		return nil, fmt.Errorf("removing an unfinished backup: %w", err)
	}
	run, err := b.next(h)
	if err != nil {
		return nil, fmt.Errorf("beginning a backup: %w", err)
	}
	k := &Backup{b: b, h: h, about: a, dir: filepath.Join(b.Dir, making+run), have: map[string]Entry{}}
	k.m = Manifest{Schema: manifestSchema, Run: run, Time: h.Now().UTC(), Home: b.Home, Version: a.Version, Reason: a.Reason, Generation: a.Generation, Part: a.Part, Aside: a.Aside}
	if err := h.MkdirAll(k.dir, 0o700); err != nil {
		return nil, refusal("the backup", err)
	}
	return k, nil
}

// Dir is the directory of the backup while it is made. What else is to be kept goes
// there, and is named by AddBundle.
func (k *Backup) Dir() string { return k.dir }

// Run is the backup's name.
func (k *Backup) Run() string { return k.m.Run }

// AddBundle tells that Dir has a git bundle of this name.
func (k *Backup) AddBundle(name string) { k.m.Bundles = append(k.m.Bundles, name) }

// Save keeps what is at the paths, which are relative to the home: a file, a link, a
// directory without what is in it, or that nothing is there; and the directories
// on the way. After an error there is no backup any more.
func (k *Backup) Save(ctx context.Context, paths ...string) error {
	var want []string
	for _, path := range paths {
		if !clean(path) {
			return k.drop(fmt.Errorf("backing up: %q is no path below the home", path))
		}
		want = append(want, path)
	}
	return k.save(ctx, want, nil)
}

// SaveDirs keeps what is at paths where directories are to be. What is put into
// them later is nobody's business: a restore removes one that was not there only
// when it is empty.
func (k *Backup) SaveDirs(ctx context.Context, paths ...string) error { return k.save(ctx, nil, paths) }

// SaveTree is Save for all that is below the paths, too.
func (k *Backup) SaveTree(ctx context.Context, paths ...string) error {
	var want []string
	for _, path := range paths {
		if !clean(path) {
			return k.drop(fmt.Errorf("backing up: %q is no path below the home", path))
		}
		top, err := k.h.Look(ctx, k.b.place(path), false)
		if err == nil {
			want, k.trees = append(want, path), append(k.trees, path)
			err = k.walk(ctx, path, top, &want)
		}
		if err != nil {
			return k.drop(refusal(k.b.place(path).String(), err))
		}
	}
	return k.save(ctx, want, nil)
}

func (b Backups) place(path string) host.Place { return host.Place{Base: b.Home, Name: path} }

// Dirs are the directories that were saved on the way to others, sorted.
func (k *Backup) Dirs() (dirs []host.Kept) {
	for _, e := range k.have {
		if e.Parent && e.Kind == host.KindDir {
			dirs = append(dirs, e.Kept)
		}
	}
	sort.Slice(dirs, func(i, j int) bool { return dirs[i].Name < dirs[j].Name })
	return dirs
}

// Absent keeps that nothing is at the paths, whose parents are not there either, or
// are saved as something else than directories.
func (k *Backup) Absent(paths ...string) {
	for _, path := range paths {
		if _, ok := k.have[path]; !ok {
			k.have[path] = Entry{Kept: host.Kept{Name: path, Kind: host.KindAbsent}}
		}
	}
}

// walk adds all that is below a path.
func (k *Backup) walk(ctx context.Context, path string, top host.Kept, want *[]string) error {
	if top.Kind != host.KindDir || k.b.place(path).String() == k.b.Dir {
		return context.Cause(ctx)
	}
	entries, err := k.h.ReadDir(k.b.place(path).String())
	if err != nil {
		return err
	}
	for _, e := range entries {
		below := filepath.Join(path, e.Name())
		if k.b.isOurs(ctx, k.h, below, k.about) {
			continue
		}
		*want = append(*want, below)
		if !e.IsDir() {
			continue
		}
		dir, err := k.h.Look(ctx, k.b.place(below), false)
		if err != nil {
			return err
		}
		if device(dir) != device(top) {
			return fmt.Errorf("%s is a mount point", k.b.place(below))
		}
		if err := k.walk(ctx, below, dir, want); err != nil {
			return err
		}
	}
	return nil
}

func device(k host.Kept) string {
	dev, _, _ := strings.Cut(k.Inode, "-")
	return dev
}

// save keeps what is at the paths and the directories, and on the way to them.
func (k *Backup) save(ctx context.Context, paths, dirs []string) error {
	if k.failed {
		return errors.New("backing up: this backup has failed before")
	}
	todo := map[string]bool{} // whether it is on the way only
	for _, path := range slices.Concat(paths, dirs) {
		for _, dir := range append(parents(path), path) {
			todo[dir] = true
		}
	}
	for _, path := range paths {
		todo[path] = false
	}
	for path, parent := range todo {
		if e, ok := k.have[path]; ok {
			e.Parent = e.Parent && parent
			k.have[path] = e
			delete(todo, path)
		}
	}
	names := slices.Sorted(maps.Keys(todo))
	if err := k.room(ctx, names); err != nil {
		return k.drop(err)
	}
	for i, name := range names {
		kept, err := k.h.Keep(ctx, k.b.place(name), k.dir)
		if err != nil {
			return k.drop(refusal(k.b.place(name).String(), err))
		}
		k.have[name] = Entry{Kept: kept, Parent: todo[name]}
		k.h.Progress(int64(i+1), int64(len(names)), "files")
	}
	return nil
}

// What a file costs beside its content: its object, a directory, a link and a
// line of the manifest; and what is left to others.
const (
	costs = 12 << 10
	spare = 1 << 20
)

// room refuses if there is not enough space for all of them.
func (k *Backup) room(ctx context.Context, names []string) error {
	free, err := k.h.Free(k.dir)
	if err != nil {
		return refusal("the backup", err)
	}
	need := int64(spare)
	for _, name := range names {
		now, err := k.h.Look(ctx, k.b.place(name), false)
		if err != nil {
			return refusal(k.b.place(name).String(), err)
		}
		need += 512
		if now.Kind == host.KindFile {
			need += min(now.Size, now.Disk) + costs
		}
	}
	if need > free {
		return bootstrap.Hint(bootstrap.Refuse("backing up %d files needs %s below %s, and %s are free", len(names), Bytes(need), k.b.Dir, Bytes(free)),
			"nothing was changed; free some space, or remove old backups: movein backups prune")
	}
	return nil
}

// refusal says that what cannot be kept is not replaced either.
func refusal(what string, err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, bootstrap.ErrInterrupted) {
		return err
	}
	err = bootstrap.Exit(bootstrap.ExitRefused, fmt.Errorf("backing up %s: %w", what, err))
	if errors.Is(err, fs.ErrPermission) {
		return bootstrap.Hint(err, "nothing was changed; make it readable for yourself, or move it out of your home: ls -ld %s", quote(what))
	}
	if link, ok := errors.AsType[*host.ThroughLinkError](err); ok {
		return bootstrap.Hint(err, "nothing was changed; make it a directory of its own, or take what is below it out of your configuration: ls -ld %s", quote(link.Link))
	}
	return bootstrap.Hint(err, "nothing was changed; %s", cmp.Or(bootstrap.HintOf(err), "mend that and run the same command again"))
}

// quote makes a path one word for a shell.
func quote(path string) string {
	if strings.Trim(path, "-+_./:@%,0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz") == "" {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}

// drop removes what there is of the backup, because of err.
func (k *Backup) drop(err error) error {
	k.failed = true
	k.h.Remove(k.dir) //nolint:errcheck // the next one removes it
	return err
}

// Discard removes a backup that is not needed after all.
func (k *Backup) Discard() error {
	k.failed = true
	return k.h.Remove(k.dir)
}

// Seal makes the backup safe from a power loss, and from then on it counts.
func (k *Backup) Seal() error {
	if k.failed {
		return errors.New("sealing a backup: it has failed before")
	}
	k.m.Entries = slices.Collect(maps.Values(k.have))
	sort.Slice(k.m.Entries, func(i, j int) bool { return k.m.Entries[i].Name < k.m.Entries[j].Name })
	data, err := json.MarshalIndent(k.m, "", " ")
	if err != nil {
		return k.drop(refusal("the manifest", err))
	}
	err = k.h.WriteFile(filepath.Join(k.dir, manifestName), append(data, '\n'), 0o600)
	if err == nil {
		err = k.h.Sync(k.dir)
	}
	if err == nil {
		err = k.h.Rename(k.dir, filepath.Join(k.b.Dir, k.m.Run))
	}
	if err != nil {
		return k.drop(refusal("the home", err))
	}
	k.failed = true // it is no longer there to save to
	return nil
}

// Bytes is a number of bytes for people.
func Bytes(n int64) string {
	unit, f := 0, float64(n)
	for f >= 1000 && unit < 4 {
		f, unit = f/1000, unit+1
	}
	if unit == 0 {
		return fmt.Sprintf("%d bytes", n)
	}
	return fmt.Sprintf("%.1f %cB", f, "kMGT"[unit-1])
}
