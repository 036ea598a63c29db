package home

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"

	"movein/bootstrap"
	"movein/bootstrap/host"
)

// Changer changes a home as one transaction: what would be lost is backed up
// first, then each part is done, and if one goes wrong all are taken back. A change
// that was cut short (kill, power loss) is known by its record: the next one goes
// on from there, and if it goes wrong too, takes back both.
type Changer struct {
	Backups Backups
	Record  string // file that is there while a change is under way
	Version string // of movein
}

// Job is what is to be changed, and by whom.
type Job struct {
	Reason     string            // for people who look at the backup
	Generation string            // the active one
	Wanted     string            // the one to activate
	Links      map[string]string // links that the parts change beside the items, as they are now
	Items      []Item            // of Preview
	Also       []string          // other paths below the home that the parts write
	Suppressed []Claim           // not wanted; home-manager's, its generation has all the same
	Dropped    []string          // paths that generations before had, and Wanted has not

	Again    func(ctx context.Context) ([]Item, error)  // Items as they are now, before anything is changed; may be nil
	Save     func(ctx context.Context, b *Backup) error // puts more into the backup; may be nil
	Sealed   func(dir string)                           // told where the backup is, before anything is changed; may be nil
	Chezmoi  func(ctx context.Context) error            // may be nil
	Try      func(ctx context.Context) error            // Activate's dry run, which changes nothing; may be nil
	Activate func(ctx context.Context) error            // nil: the generation is active, and its files are right
	Undo     Undo
}

// Do makes the change. Nothing is changed if the backup cannot be made.
func (c *Changer) Do(ctx context.Context, h host.Host, job Job) error {
	rec, resumed, err := c.record(h)
	if err != nil {
		return err
	}
	if err := c.Refused(ctx, h, job.Items); err != nil {
		return err
	}
	b, err := c.backUp(ctx, h, job)
	if err != nil {
		return bootstrap.Hint(fmt.Errorf("backing up what would be replaced: %w", err), "%s", cmpHint(err, "nothing was changed; mend that and run the same command again"))
	}
	if !resumed {
		rec = record{Generation: job.Generation, Links: job.Links}
	}
	rec.Runs, rec.Wanted = append(rec.Runs, b.Run()), job.Wanted
	rec.Unfolds = append(rec.Unfolds, unfolds(job.Items)...)
	for _, i := range job.Items {
		if i.Claim.Secret && i.Claim.SHA256 != "" {
			if rec.Ours == nil {
				rec.Ours = map[string]string{}
			}
			rec.Ours[i.Path] = i.Claim.SHA256
		}
	}
	if err := c.write(h, rec); err != nil {
		return bootstrap.Hint(err, "%s", cmpHint(err, "nothing was changed; mend that and run the same command again"))
	}
	if err := b.still(ctx, job); err != nil {
		if !resumed {
			err = errors.Join(err, c.done(h))
		}
		return err
	}
	if job.Sealed != nil {
		job.Sealed(filepath.Join(c.Backups.Dir, b.Run()))
	}
	if err = b.separate(ctx, job.Items); err == nil {
		err = c.parts(ctx, h, &rec, job)
	}
	if err == nil {
		err = c.keepDirs(ctx, h, b.Dirs(), opened)
	}
	if err == nil {
		err = c.Backups.done(h, rec.Runs[0], Outcome{Generation: job.Wanted})
	}
	if err == nil {
		return c.done(h)
	}
	// The run may have been interrupted; what is begun is taken back all the same.
	if berr := c.takeBack(context.WithoutCancel(ctx), h, rec, job.Undo); berr != nil {
		return bootstrap.Hint(errors.Join(err, berr), "%s", bootstrap.HintOf(berr))
	}
	return bootstrap.Hint(err, "%s", cmpHint(err, "the home is as it was; mend that and run the same command again"))
}

// done ends a change. What was done is safe from a power loss before the record
// goes, and so is that it is gone: who finds it later takes everything back that was
// done since.
func (c *Changer) done(h host.Host) error {
	if err := h.Sync(c.Backups.Home); err != nil {
		return fmt.Errorf("making the home safe from a power loss: %w", err)
	}
	if err := h.Remove(c.Record); err != nil {
		return err
	}
	return h.Sync(filepath.Dir(c.Record))
}

// cmpHint is err's own hint, or the other.
func cmpHint(err error, other string) string {
	if hint := bootstrap.HintOf(err); hint != "" {
		return hint
	}
	return other
}

// backUp copies all that the job changes.
func (c *Changer) backUp(ctx context.Context, h host.Host, job Job) (*Backup, error) {
	b, err := c.Backups.Begin(h, About{Version: c.Version, Reason: job.Reason, Generation: job.Generation})
	if err != nil {
		return nil, err
	}
	var some, dirs, trees, absent []string
	for _, item := range job.Items {
		if item.Verb == Replace || item.Verb == Delete {
			trees = append(trees, item.Path)
		}
	}
	for _, item := range job.Items {
		below := slices.ContainsFunc(parents(item.Path), func(dir string) bool { return slices.Contains(trees, dir) })
		switch {
		case item.Verb == Create && below: // or it is in the tree
			absent = append(absent, item.Path)
		case item.Verb == Create && item.Claim.Kind == Dir:
			dirs = append(dirs, item.Path)
		case item.Verb == Create || item.Verb == Update:
			some = append(some, item.Path)
		}
	}
	if err := b.SaveTree(ctx, trees...); err != nil {
		return nil, err
	}
	if err := b.Save(ctx, append(some, job.Also...)...); err != nil {
		return nil, err
	}
	if err := b.SaveDirs(ctx, dirs...); err != nil {
		return nil, err
	}
	b.Absent(absent...)
	if job.Save != nil {
		if err := job.Save(ctx, b); err != nil {
			return nil, errors.Join(err, b.Discard())
		}
	}
	if err := b.Seal(); err != nil {
		return nil, err
	}
	return b, nil
}

// parts does one thing after the other.
func (c *Changer) parts(ctx context.Context, h host.Host, rec *record, job Job) error {
	if err := c.clear(ctx, h, job.Items); err != nil {
		return err
	}
	if job.Chezmoi != nil {
		if err := job.Chezmoi(ctx); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	if job.Activate == nil {
		return nil
	}
	if err := c.holding(ctx, h, rec, job.Suppressed, job.Dropped, job.Try, job.Activate); err != nil {
		return err
	}
	return c.sweep(ctx, h, job.Items)
}

func (c *Changer) place(path string) host.Place { return host.Place{Base: c.Backups.Home, Name: path} }

// clear takes away what is in the way, all of which is in the backup, and makes
// directories of what was one link. A plain file in the way of chezmoi's stays:
// what chezmoi makes of it may begin with what it is. What chezmoi wants to be gone
// goes here: it does not remove all that there may be. So does what home-manager drops
// and would reach through a link: it would remove that, too, and fail.
func (c *Changer) clear(ctx context.Context, h host.Host, items []Item) error {
	if err := c.open(ctx, h, items); err != nil {
		return err
	}
	for _, i := range items {
		replaced := i.Verb == Replace && (i.Claim.Kind != File || !c.plain(h, i))
		deleted := i.Verb == Delete && (i.Claim.Kind == Absent && !c.plain(h, i) || i.Path != i.Claim.Path)
		if replaced || deleted {
			if err := h.TakeAway(ctx, c.place(i.Path), true); err != nil {
				return fmt.Errorf("taking %s away: %w", c.place(i.Path), err)
			}
		}
	}
	for _, i := range items { // sorted: a directory before what is in it
		name, err := c.place(i.Path).String(), error(nil)
		switch {
		case i.Claim.Kind == Dir && (i.Verb == Create || i.Verb == Replace):
			err = h.MkdirAll(name, cmpMode(i.Claim.Mode))
		case i.Claim.Unfolds && i.Verb == Create:
			err = h.Symlink(i.Claim.Target, name)
		}
		if err != nil {
			return fmt.Errorf("making %s: %w", name, err)
		}
	}
	return nil
}

// plain reports whether a regular file is there, and its owner may read it.
func (c *Changer) plain(v host.View, i Item) bool {
	info, err := v.Lstat(c.place(i.Path).String())
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o400 != 0
}

// open lets directories be written to that will be once chezmoi was there.
func (c *Changer) open(ctx context.Context, h host.Host, items []Item) error {
	for _, i := range items {
		if !opens(i) {
			continue
		}
		now, err := h.Look(ctx, c.place(i.Path), false)
		if err == nil && now.Kind == host.KindDir && now.Mode&0o700 != 0o700 {
			now.Mode |= 0o700
			_, err = h.PutBack(ctx, now, "", c.place(i.Path), "")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// opens reports whether a directory gets a mode that lets its owner write to it.
func opens(i Item) bool {
	return i.Verb == Update && i.Claim.Kind == Dir && i.Claim.Mode&0o300 == 0o300
}

func cmpMode(mode fs.FileMode) fs.FileMode {
	if mode == 0 {
		return 0o755
	}
	return mode
}

// Shown is a name for people: quoted if it has something in it that cannot be seen.
func Shown(name string) string {
	if quoted := strconv.Quote(name); quoted != `"`+name+`"` {
		return quoted
	}
	return name
}

// sweep takes away links of generations that neither is active nor was: those that
// a change left which was cut short.
func (c *Changer) sweep(ctx context.Context, h host.Host, items []Item) error {
	for _, i := range slices.Backward(items) {
		if i.Verb != Delete || i.Claim.Owner != HomeManager {
			continue
		}
		name := c.place(i.Path).String()
		if entries, err := h.ReadDir(name); i.Claim.Kind == Dir && (err != nil || len(entries) > 0) {
			continue
		}
		if i.Claim.Kind != Dir && !isManaged(h, name) {
			continue
		}
		if err := h.TakeAway(ctx, c.place(i.Path), false); err != nil {
			return err
		}
	}
	return nil
}
