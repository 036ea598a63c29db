package steps

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
	"strconv"
	"strings"

	"movein/bootstrap"
	"movein/bootstrap/host"
)

// handOn brings the secrets of [secrets] to where they are wanted: files, the session's
// environment, the ssh-agent, the keyring. What it has brought is seen without the value,
// so that a run that changes nothing needs no vault.
type handOn struct{ c *Config }

func (handOn) Info() bootstrap.Info {
	return bootstrap.Info{Name: "secrets", Title: "Secrets", Needs: []string{"home-activate"}}
}

// delivery is one secret on its way to one place.
type delivery struct {
	name  string     // in [secrets]
	place host.Taker // its Kind is "" for a file
	file  string     // where
	mode  fs.FileMode
}

func (d delivery) String() string {
	switch d.place.Kind {
	case host.SessionVariable:
		return "variable " + d.place.Name + " of the session"
	case host.SSHAgent:
		return "the ssh-agent"
	case host.Keyring:
		return "the keyring"
	}
	return d.file
}

// key is the delivery's name in the record.
func (d delivery) key() string { return d.name + " " + cmp.Or(d.place.Kind, "file "+d.file) }

// deliveries are all that the map asks for.
func (s handOn) deliveries() (all []delivery) {
	for _, name := range slices.Sorted(maps.Keys(s.c.Secrets)) {
		e := s.c.Secrets[name]
		if e.File != nil {
			mode, _ := strconv.ParseUint(cmp.Or(e.File.Mode, "0600"), 8, 12) //nolint:errcheck // it was looked at when it was read
			all = append(all, delivery{name: name, file: s.path(*e.File), mode: fs.FileMode(mode)})
		}
		for _, p := range []struct {
			wanted bool
			host.Taker
		}{
			{e.Env != "", host.Taker{Kind: host.SessionVariable, Name: e.Env}},
			{e.SSH, host.Taker{Kind: host.SSHAgent, Name: name}},
			{e.Keyring, host.Taker{Kind: host.Keyring, Name: name, Service: e.Service, Key: e.Key}},
		} {
			if p.wanted {
				all = append(all, delivery{name: name, place: p.Taker})
			}
		}
	}
	return all
}

// path is where a file of the map is; "" if it is to be in memory only, and this user has no such directory.
func (s handOn) path(f SecretFile) string {
	rest, home := strings.CutPrefix(f.Path, "~/")
	switch {
	case home:
		return filepath.Join(s.c.Home, rest)
	case filepath.IsAbs(f.Path):
		return filepath.Clean(f.Path)
	case s.c.RuntimeDir == "":
		return ""
	}
	return filepath.Join(s.c.RuntimeDir, f.Path)
}

func (s handOn) record() string { return filepath.Join(s.c.State(), "handed.json") }

// handed is what was brought where, and how it is known again.
func (s handOn) handed(v host.View) map[string]string {
	marks := map[string]string{}
	if json.Unmarshal([]byte(readText(v, s.record())), &marks) != nil {
		return map[string]string{} // then it is found out again
	}
	return marks
}

// missing are the deliveries that are not where they belong. With fresh, also those whose
// value is another now, as far as the values can be had without asking.
func (s handOn) missing(ctx context.Context, v host.View) (all []delivery, err error) {
	marks := s.handed(v)
	for _, d := range s.deliveries() {
		there := false
		if d.place.Kind == "" {
			if d.file == "" {
				v.Warn("secret %s is not handed on: user %s has no runtime directory (XDG_RUNTIME_DIR)", d.name, s.c.User)
				continue
			}
			there = marks[d.key()] != "" && marks[d.key()] == markOf(v, d.file)
		} else if there, err = v.Holds(ctx, d.place, marks[d.key()]); err != nil {
			v.Warn("secret %s is not handed on to %s: %v", d.name, d, err)
			continue
		}
		if !there || s.c.Refresh && s.differs(ctx, v, d) {
			all = append(all, d)
		}
	}
	return all, nil
}

// differs reports whether a secret is another than the one that was brought.
func (s handOn) differs(ctx context.Context, v host.View, d delivery) bool {
	value, err := v.Secret(ctx, s.c.Secrets[d.name].ref())
	if err != nil || value == "" {
		return false
	}
	if d.place.Kind == "" {
		return readText(v, d.file) != value
	}
	d.place.Value = value
	same, err := v.Holds(ctx, d.place, "")
	return err == nil && !same
}

// linkOn is a symlink on the way to dir, below the home if dir is; "" if there is none.
func (s handOn) linkOn(v host.View, dir string) string {
	for ; dir != s.c.Home && dir != "/"; dir = filepath.Dir(dir) {
		if info, err := v.Lstat(dir); err == nil && info.Mode()&fs.ModeSymlink != 0 {
			return dir
		}
	}
	return ""
}

// markOf is how a file of ours is known: the same as long as nobody wrote to it.
func markOf(v host.View, name string) string {
	info, err := v.Lstat(name)
	if err != nil || !info.Mode().IsRegular() {
		return ""
	}
	return fmt.Sprintf("%d %d %o", info.Size(), info.ModTime().UnixNano(), info.Mode().Perm())
}

// due are the deliveries that are missing and can be made, as far as that is known, and the
// names of the secrets of the others: the vault stays locked, or it was in vain to ask.
func (s handOn) due(ctx context.Context, v host.View) (all []delivery, locked []string, err error) {
	missing, err := s.missing(ctx, v)
	if err != nil {
		return nil, nil, err
	}
	vain := Unhanded(v)
	for _, d := range missing {
		if s.c.Locked || slices.Contains(vain, d.name) {
			if value, err := v.Secret(ctx, s.c.Secrets[d.name].ref()); err != nil || value == "" {
				locked = append(locked, d.name)
				continue
			}
		}
		all = append(all, d)
	}
	return all, locked, nil
}

func (s handOn) Plan(ctx context.Context, v host.View) (bootstrap.Change, error) {
	var err error
	if s.c, err = s.c.withRepo(v); err != nil {
		return nil, err
	}
	if len(s.deliveries()) == 0 {
		s.tellLocked(v, nil)
		return nil, bootstrap.Skip("no secrets are to be handed on ([secrets] in movein.toml)")
	}
	due, locked, err := s.due(ctx, v)
	if err != nil {
		return nil, err
	}
	s.tellLocked(v, locked)
	var change bootstrap.Change
	for _, d := range due {
		change = append(change, bootstrap.Action{Verb: "hand on", Target: "secret " + d.name, Reason: "to " + d.String()})
	}
	return change, nil
}

// tellLocked says which secrets could not be had, and remembers them.
func (s handOn) tellLocked(v host.View, names []string) {
	names = slices.Compact(names)
	if len(names) > 0 {
		v.Warn("not handed on, for they could not be had: %s; open the vault for it, and run the same command again", few(names))
	}
	if !slices.Equal(names, Unhanded(v)) {
		v.Remember(unhanded, []byte(strings.Join(names, "\n")))
	}
}

func (s handOn) Apply(ctx context.Context, h host.Host, _ bootstrap.Change) error {
	var err error
	if s.c, err = s.c.withRepo(h); err != nil {
		return err
	}
	due, locked, err := s.due(ctx, h)
	if err != nil {
		return err
	}
	marks, brought := s.handed(h), 0
	for _, d := range due {
		value, err := h.AskSecret(ctx, s.c.Secrets[d.name].ref())
		if err != nil {
			return fmt.Errorf("secret %s: %w", d.name, err)
		}
		if value == "" {
			locked = append(locked, d.name)
			continue
		}
		if marks[d.key()], err = s.bring(ctx, h, d, value, marks[d.key()]); err != nil {
			return err
		}
		brought++
		if err := s.write(h, marks); err != nil { // at once: what is not in it is taken for a stranger's
			return err
		}
	}
	slices.Sort(locked)
	s.tellLocked(h, locked)
	if len(locked) > 0 && brought == 0 {
		return bootstrap.Skip("the vault is locked")
	}
	return nil
}

// unhanded is the memory of the secrets that are wanted somewhere and could not be had.
const unhanded = "unhanded"

// Unhanded are the names of the secrets that are wanted somewhere and could not be had by the last run.
func Unhanded(v host.Memory) []string {
	return strings.Fields(string(v.Recall(unhanded)))
}

// written are the files that were brought and not changed since.
func (s handOn) written(v host.View) (names []string) {
	for key, mark := range s.handed(v) {
		if _, name, ok := strings.Cut(key, " file "); ok && mark == markOf(v, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func (s handOn) write(h host.Writer, marks map[string]string) error {
	data, err := json.MarshalIndent(marks, "", "  ")
	if err != nil {
		return err
	}
	if err := h.MkdirAll(s.c.State(), 0o700); err != nil {
		return err
	}
	return h.WriteFile(s.record(), append(data, '\n'), 0o600)
}

// bring hands on one secret. was is the mark of the last time.
func (s handOn) bring(ctx context.Context, h host.Host, d delivery, value, was string) (string, error) {
	if d.place.Kind != "" {
		d.place.Value = value
		mark, err := h.HandOn(ctx, d.place)
		if err != nil {
			return "", fmt.Errorf("handing secret %s on to %s: %w", d.name, d, err)
		}
		return mark, nil
	}
	dir := filepath.Dir(d.file)
	if link := s.linkOn(h, dir); link != "" {
		return "", bootstrap.Hint(bootstrap.Refuse("secret %s is not written to %s: %s is a symlink, and it would be somewhere else", d.name, d.file, link), "name the real place in [secrets], or take the link away")
	}
	info, err := h.Lstat(d.file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return "", err
	case info.Mode().IsRegular() && (was != "" && was == markOf(h, d.file) || readText(h, d.file) == value):
	default:
		return "", bootstrap.Hint(bootstrap.Refuse("secret %s is not written to %s: what is there is not from movein, or was changed since", d.name, d.file), "move it away (mv %s %s.old), and run the same command again", d.file, d.file)
	}
	if err := h.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	if err := h.WriteFile(d.file, []byte(value), d.mode); err != nil {
		return "", err
	}
	return markOf(h, d.file), nil
}
