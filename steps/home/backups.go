package home

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"movein/bootstrap"
	"movein/bootstrap/host"
)

// Backups is where the backups of a home are, one directory a run:
//
//	RUN/manifest.json    what the paths were before the run
//	RUN/objects/ab/cdef  contents, by SHA-256
//	RUN/held/            the files themselves, where a copy would not be the same
//	RUN/outcome.json     what the run came to, if it was done to its end
//	removed              the names of the runs that were pruned
//	.new-RUN             is being made; what is not renamed was never finished
//	.old-RUN             is being removed
//
// Who changes them holds the user's lock. Directories without a manifest are left alone.
type Backups struct {
	Dir  string // absolute
	Home string // absolute
}

const (
	manifestName = "manifest.json"
	making       = ".new-"
	removing     = ".old-"
	runFormat    = "20060102T150405.000Z" // of a run's name, its time in UTC; they sort by time
)

// Run is a backup that is whole.
type Run struct {
	Manifest
	Dir  string
	Done *Outcome // nil: it did not last
}

// Count is how many files, links and whatever else is in it, without the directories on the way.
func (r Run) Count() (n int) {
	for _, e := range r.Entries {
		if !e.Parent && e.Kind != host.KindAbsent {
			n++
		}
	}
	return n
}

// Size is how many bytes its contents have.
func (r Run) Size() (n int64) {
	seen := map[string]bool{}
	for _, e := range r.Entries {
		if !seen[e.SHA256] {
			n += e.Size
		}
		seen[e.SHA256] = e.SHA256 != ""
	}
	return n
}

// names are the runs' names, oldest first; also of those that cannot be read.
func (b Backups) names(v host.View) (runs []string, err error) {
	entries, err := v.ReadDir(b.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("reading backups: %w", err)
	}
	for _, e := range entries {
		if _, err := v.Lstat(filepath.Join(b.Dir, e.Name(), manifestName)); err == nil && !strings.HasPrefix(e.Name(), ".") {
			runs = append(runs, e.Name())
		}
	}
	slices.Sort(runs)
	return runs, nil
}

// List is all runs, oldest first. Broken are those that cannot be read.
func (b Backups) List(v host.View) (runs []Run, broken map[string]error, err error) {
	names, err := b.names(v)
	if err != nil {
		return nil, nil, err
	}
	broken = map[string]error{}
	for _, name := range names {
		r, err := b.read(v, name)
		if err != nil {
			broken[name] = err
			continue
		}
		runs = append(runs, r)
	}
	return runs, broken, nil
}

// Open finds a run by its name, by a beginning of it that no other has, or as "latest".
func (b Backups) Open(v host.View, run string) (Run, error) {
	names, err := b.names(v)
	if err != nil {
		return Run{}, err
	}
	if len(names) == 0 {
		return Run{}, bootstrap.Hint(errors.New("there are no backups"), "movein makes one before it replaces anything of yours: movein apply")
	}
	if run == "" || run == Latest {
		return b.latest(v, names)
	}
	var fit []string
	for _, name := range names {
		if name == run {
			return b.read(v, name)
		}
		if strings.HasPrefix(name, run) {
			fit = append(fit, name)
		}
	}
	if len(fit) == 1 {
		return b.read(v, fit[0])
	}
	what := "there is no backup %q; there are: %s"
	if len(fit) > 1 {
		what, names = "backup %q is not unique; it may be one of: %s", fit
	}
	slices.Reverse(names)
	return Run{}, bootstrap.Exit(bootstrap.ExitUsage, bootstrap.Hint(fmt.Errorf(what, run, strings.Join(names, ", ")), "see what is in them: movein backups list"))
}

// Latest is the name for the newest run: the newest backup that was not made on the
// way of another.
const Latest = "latest"

func (b Backups) latest(v host.View, names []string) (r Run, err error) {
	for _, name := range slices.Backward(names) {
		if r, err = b.read(v, name); err != nil || !r.Part && !r.Aside {
			return r, err
		}
	}
	return b.read(v, names[len(names)-1])
}

func (b Backups) read(v host.View, run string) (r Run, err error) {
	r.Dir = filepath.Join(b.Dir, run)
	data, err := v.ReadFile(filepath.Join(r.Dir, manifestName))
	if err != nil {
		return r, fmt.Errorf("reading backup %s: %w", run, err)
	}
	err = json.Unmarshal(data, &r.Manifest)
	switch {
	case r.Schema > manifestSchema:
		return r, bootstrap.Hint(fmt.Errorf("backup %s is of version %d, written by a newer movein", run, r.Schema), "use that newer movein")
	case err == nil:
		err = r.check()
	}
	if err != nil {
		return r, bootstrap.Hint(fmt.Errorf("reading backup %s: %w", run, err), "what it holds is below %s/objects; the other backups are not concerned: movein backups list", r.Dir)
	}
	r.Run, r.Done = run, b.outcome(v, run)
	return r, nil
}

// sweep removes what killed runs left unfinished.
func (b Backups) sweep(h host.Host) error {
	entries, err := h.ReadDir(b.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), making) || strings.HasPrefix(e.Name(), removing) {
			if err := h.Remove(filepath.Join(b.Dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// next is a name for a run: the time, or a little later, so that it comes after all others.
func (b Backups) next(h host.Host) (string, error) {
	entries, err := h.ReadDir(b.Dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	at := h.Now().UTC()
	for _, e := range entries {
		if t, err := time.Parse(runFormat, e.Name()); err == nil && at.Before(t.Add(time.Millisecond)) {
			at = t.Add(time.Millisecond)
		}
	}
	return at.Format(runFormat), nil
}

// clean reports whether path is a clean one below the home.
func clean(path string) bool {
	return path != "" && filepath.Clean(path) == path && filepath.IsLocal(path) && !strings.Contains(path, "\x00")
}

// inside reports whether path is dir or below it.
func inside(path, dir string) bool {
	return dir == "." || path == dir || strings.HasPrefix(path, dir+"/")
}

// parents are the directories on the way to path, "." first.
func parents(path string) (all []string) {
	for dir := path; dir != "."; {
		dir = filepath.Dir(dir)
		all = append(all, dir)
	}
	slices.Reverse(all)
	return all
}
