package home

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"movein/bootstrap"
	"movein/bootstrap/host"
)

// wanted is an entry that is to be as it was, and the run that has it.
type wanted struct {
	Entry
	run string
	dir string // of the run
	// whole says that a directory on the way gets its time back, too: all that was
	// changed in it is.
	whole bool
	// passed says that the path was only on the way to others at first, whatever a later run
	// did with it: a directory that is there now goes only if it is empty.
	passed bool
}

// all are the entries of a run.
func (r Run) all() map[string]wanted {
	all := map[string]wanted{}
	for _, e := range r.Entries {
		all[e.Name] = wanted{Entry: e, run: r.Run, dir: r.Dir, whole: true}
	}
	return all
}

// below are the entries at or below the paths, and the directories on the way there.
func (r Run) below(paths []string) map[string]wanted {
	if len(paths) == 0 {
		return r.all()
	}
	some := map[string]wanted{}
	for name, w := range r.all() {
		for _, path := range paths {
			switch {
			case inside(name, path):
				w.Parent = w.Parent && name != path
				some[name] = w
			case inside(path, name):
				w.whole, w.Parent = false, true
				if _, ok := some[name]; !ok {
					some[name] = w
				}
			}
		}
	}
	return some
}

// since are the entries of all the runs, newest first: each path as it was before the oldest of them.
func since(runs []Run) map[string]wanted {
	all := map[string]wanted{}
	for _, r := range runs {
		for _, e := range r.Entries {
			if e.Kind == host.KindDir || e.Parent {
				continue
			}
			for name, later := range all { // then there was nothing below it
				if name != e.Name && inside(name, e.Name) {
					later.Kept = host.Kept{Name: name, Kind: host.KindAbsent}
					all[name] = later
				}
			}
		}
		for name, w := range r.all() {
			if later, ok := all[name]; ok {
				w.passed, w.Parent = w.Parent, w.Parent && later.Parent
			}
			all[name] = w
		}
	}
	// What a later run found has to have its directories, also where an earlier one made them.
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if all[name].Kind == host.KindAbsent {
			continue
		}
		for _, dir := range parents(name) {
			for _, r := range runs {
				if all[dir].Kind == host.KindDir {
					break
				}
				if w, ok := r.all()[dir]; ok && w.Kind == host.KindDir {
					all[dir] = w
				}
			}
		}
	}
	return all
}

// Match finds out which paths of the home an argument means: what is there by
// that name, seen from the directory cwd or from the home.
func (r Run) Match(cwd, home, arg string) (string, error) {
	var tried []string
	names := []string{arg}
	if !filepath.IsAbs(arg) {
		names = []string{filepath.Join(cwd, arg), filepath.Join(home, arg)}
	}
	for _, name := range names {
		rel, err := filepath.Rel(home, filepath.Clean(name))
		if err != nil || !clean(rel) {
			tried = append(tried, name)
			continue
		}
		for _, e := range r.Entries {
			if inside(e.Name, rel) {
				return rel, nil
			}
		}
		tried = append(tried, name)
	}
	return "", bootstrap.Exit(bootstrap.ExitUsage, bootstrap.Hint(
		fmt.Errorf("backup %s has nothing at %s", r.Run, strings.Join(slices.Compact(tried), ", nor at ")),
		"see what it has: movein backups list %s", r.Run))
}

// move is one entry that is not as it was.
type move struct {
	wanted
	now  host.Kept
	verb verb
	twin string // another name of the same file
}

type verb string

const (
	none    verb = ""
	touch   verb = "touch" // of a directory on the way only
	set     verb = "set"   // mode, owner, times, attributes
	put     verb = "restore"
	replace verb = "replace"
	remove  verb = "remove"
	prune   verb = "prune" // remove if empty
)

// decide says what is to be done for an entry, given what is there now.
func (m *move) decide() error {
	switch {
	case m.Kind == host.KindAbsent && m.now.Kind == host.KindAbsent:
	case m.Kind == host.KindAbsent && m.now.Kind == host.KindDir && (m.Parent || m.passed):
		m.verb = prune
	case m.Kind == host.KindAbsent && !m.Parent:
		m.verb = remove
	case m.Kind == host.KindAbsent: // it became something else since, of somebody's own
	case m.now.Kind == host.KindAbsent:
		m.verb = put
	case m.Parent && m.now.Kind != host.KindDir:
		return errors.New("it was a directory, and is a " + string(m.now.Kind))
	case m.Parent:
		m.keepMode()
	case m.Kind != m.now.Kind && (m.Kind == host.KindDir || m.now.Kind == host.KindDir):
		m.verb = replace
	case m.Same(m.now):
		if m.Kind == host.KindFile && m.Links == 1 && m.now.Links > 1 && m.Held == "" {
			m.verb = put // it was a file of its own
		}
	case m.SameContent(m.now):
		m.verb = set
	default:
		m.verb = put
	}
	return nil
}

// keepMode leaves a directory on the way as it is, but for its time, and for what
// it was opened to put something into it.
func (m *move) keepMode() {
	want := m.now
	if want.Mode|0o700 == m.Mode|0o700 {
		want.Mode = m.Mode
	}
	if m.whole {
		want.MTime = m.MTime
	}
	if !want.Same(m.now) {
		m.verb = touch
	}
	want.Name = m.Name
	m.Kept = want
}

// action is the move for people.
func (m move) action(home string) bootstrap.Action {
	a := bootstrap.Action{Verb: string(m.verb), Target: filepath.Join(home, m.Name)}
	switch m.verb {
	case put:
		a.Was = string(m.now.Kind)
		if m.now.Kind == host.KindAbsent {
			a.Was = ""
		}
		a.Reason = "was a " + string(m.Kind)
	case replace:
		a.Verb, a.Was, a.Reason = string(put), string(m.now.Kind), "was a "+string(m.Kind)
	case remove, prune:
		a.Verb, a.Was, a.Reason = string(remove), string(m.now.Kind), "was not there"
		if m.verb == prune {
			a.Reason = "was not there; removed if it is empty"
		}
	case set:
		a.Was = string(m.now.Kind)
		a.Reason = strings.Join(m.differs(), ", ")
	}
	return a
}

// differs names the metadata that is to be set.
func (m move) differs() (all []string) {
	for _, d := range []struct {
		what string
		is   bool
	}{
		{fmt.Sprintf("mode was %s", octal(m.Mode)), m.Mode != m.now.Mode},
		{fmt.Sprintf("owner was %d:%d", m.UID, m.GID), m.UID != m.now.UID || m.GID != m.now.GID},
		{"time", !m.MTime.Equal(m.now.MTime)},
	} {
		if d.is {
			all = append(all, d.what)
		}
	}
	if len(all) == 0 {
		all = []string{"extended attributes"}
	}
	return all
}
