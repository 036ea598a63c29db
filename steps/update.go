package steps

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"

	"movein/bootstrap"
	"movein/bootstrap/host"
	"movein/distro"
	"movein/steps/home"
)

// Update brings the home repo's inputs up to date: flake.lock is written by Nix, and
// is what it was again unless the person wants what then is built. As long as that
// is open a record says so: whoever finds it puts flake.lock back.
type Update struct {
	s      homeBuild
	dir    string
	inputs []string
	before []byte // flake.lock
	last   string // the digest of one that an update before left
	record updateRecord
}

// updateRecord is update.json in the state directory.
type updateRecord struct {
	Version int        `json:"version"`
	Dir     string     `json:"dir"`              // of the home repo
	Before  home.Entry `json:"before"`           // its flake.lock; the content is in the directory update
	Trying  bool       `json:"trying"`           // it has to be put back
	Kept    string     `json:"sha256,omitempty"` // of the flake.lock that was wanted, which is not committed
}

func (c *Config) updateFile() string { return filepath.Join(c.State(), "update.json") }

func (c *Config) updateDir() string { return filepath.Join(c.State(), "update") }

func readUpdate(v host.View, c *Config) (rec updateRecord) {
	data, err := v.ReadFile(c.updateFile())
	if dir, _ := c.HomeDir(); err != nil || json.Unmarshal(data, &rec) != nil || rec.Version != 1 || rec.Dir != dir {
		return updateRecord{}
	}
	return rec
}

// updatedHere reports whether flake.lock is as an update left it.
func updatedHere(ctx context.Context, v host.View, c *Config) bool {
	rec := readUpdate(v, c)
	if rec.Kept == "" || rec.Trying {
		return false
	}
	now, err := v.Look(ctx, host.Place{Base: rec.Dir, Name: lockFile}, true)
	return err == nil && now.SHA256 == rec.Kept
}

const lockFile = "flake.lock"

// NewUpdate is one of all inputs, or of some. It refuses what cannot be updated.
func NewUpdate(ctx context.Context, v host.View, f *distro.Facts, c *Config, inputs []string) (u *Update, err error) {
	if c, err = c.withRepo(v); err != nil {
		return nil, err
	}
	u = &Update{s: homeBuild{f, c}, inputs: inputs}
	u.dir, _ = c.HomeDir()
	switch {
	case !exists(v, u.dir+"/flake.nix"):
		return nil, bootstrap.Hint(bootstrap.Misconfigured("there is no home repo in %s yet", u.dir), "bring it there first: movein apply")
	case detectNix(ctx, v, f, c).Bin == "":
		return nil, bootstrap.Hint(errors.New("there is no Nix on this host yet"), "bring it here first: movein apply")
	}
	u.before, _ = v.ReadFile(filepath.Join(u.dir, lockFile)) //nolint:errcheck // a flake without inputs has none
	if err := u.known(); err != nil {
		return nil, err
	}
	state, err := v.Repo(ctx, u.dir)
	if err == nil && slices.Contains(state.Dirty, lockFile) && !updatedHere(ctx, v, c) {
		return nil, bootstrap.Hint(bootstrap.Refuse("%s has changes that are not committed", filepath.Join(u.dir, lockFile)),
			"commit them: git -C %s commit -m 'flake.lock' flake.lock; or undo them: git -C %s checkout flake.lock", u.dir, u.dir)
	}
	return u, nil
}

// known refuses inputs that the flake does not have: Nix only warns of them.
func (u *Update) known() error {
	names := []string{}
	for name := range lockedInputs(u.before) {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range u.inputs {
		if slices.Contains(names, name) {
			continue
		}
		if len(names) == 0 {
			return bootstrap.Exit(bootstrap.ExitUsage, bootstrap.Hint(fmt.Errorf("%s has no inputs, so there is no %q", u.dir, name), "there is nothing to update in it; its own changes: movein apply"))
		}
		err := fmt.Errorf("%s has no input %q", u.dir, name)
		if near := bootstrap.Meant(name, names); near != "" {
			err = fmt.Errorf("%w; the nearest is %q", err, near)
		}
		return bootstrap.Exit(bootstrap.ExitUsage, bootstrap.Hint(err, "it has: %s", strings.Join(names, ", ")))
	}
	return nil
}

// RestoreLock puts flake.lock back if an update was cut short.
func RestoreLock(ctx context.Context, h host.Host, c *Config) error {
	rec := readUpdate(h, c)
	if !rec.Trying {
		return nil
	}
	return (&Update{s: homeBuild{c: c}, dir: rec.Dir, record: rec, last: rec.Kept}).PutBack(ctx, h)
}

func (u *Update) write(h host.Host) error {
	data, err := json.MarshalIndent(u.record, "", "  ")
	if err != nil {
		return err
	}
	return h.WriteFile(u.s.c.updateFile(), append(data, '\n'), 0o600)
}

func (u *Update) place() host.Place { return host.Place{Base: u.dir, Name: lockFile} }

// Lock has Nix write the new flake.lock. After it, PutBack or Keep has to be called.
func (u *Update) Lock(ctx context.Context, h host.Host) error {
	if err := h.MkdirAll(u.s.c.updateDir(), 0o700); err != nil {
		return err
	}
	kept, err := h.Keep(ctx, u.place(), u.s.c.updateDir())
	if err != nil {
		return fmt.Errorf("keeping flake.lock: %w", err)
	}
	u.last = readUpdate(h, u.s.c).Kept
	u.record = updateRecord{Version: 1, Dir: u.dir, Before: home.Entry{Kept: kept}, Trying: true, Kept: u.last}
	if err := errors.Join(h.Sync(u.s.c.updateDir()), u.write(h)); err != nil {
		return fmt.Errorf("writing down what is being updated: %w", err)
	}
	flake := u.s.flake(ctx, h)
	run := func(args ...string) error {
		cmd := u.s.nixCmd(ctx, h, args...)
		cmd.Lines = func(line string) { h.Progress(0, 0, strings.TrimSpace(line)) }
		_, err := h.Run(ctx, cmd)
		return err
	}
	err = run(append(append([]string{"flake", "update"}, u.inputs...), "--flake", flake)...)
	if cmd, ok := errors.AsType[*host.CommandError](err); ok && strings.Contains(cmd.Stderr, "unrecognised flag") {
		args := []string{"flake", "update", flake} // Nix before 2.19
		if len(u.inputs) > 0 {
			args = []string{"flake", "lock", flake}
		}
		for _, name := range u.inputs {
			args = append(args, "--update-input", name)
		}
		err = run(args...)
	}
	if err != nil {
		return u.s.explain(fmt.Errorf("updating the inputs: %w", err), flake)
	}
	return nil
}

// PutBack makes flake.lock what it was, and forgets the update.
func (u *Update) PutBack(ctx context.Context, h host.Host) error {
	if u.record.Version == 0 {
		return nil // nothing was begun
	}
	ctx = context.WithoutCancel(ctx)
	was := u.record.Before.Kept
	now, err := h.Look(ctx, u.place(), true)
	if err != nil {
		return fmt.Errorf("putting flake.lock back: %w", err)
	}
	if now.SHA256 != was.SHA256 && now.Kind == host.KindFile {
		if _, err := h.Keep(ctx, u.place(), u.s.c.updateDir()); err != nil {
			return fmt.Errorf("putting flake.lock back: %w", err)
		}
	}
	switch {
	case was.Kind != host.KindAbsent && !was.Same(now):
		_, err = h.PutBack(ctx, was, u.s.c.updateDir(), u.place(), "")
	case was.Kind == host.KindAbsent && now.Kind != host.KindAbsent:
		if err = h.TakeAway(ctx, u.place(), false); err == nil {
			u.unstage(ctx, h)
		}
	}
	if err != nil {
		return bootstrap.Hint(fmt.Errorf("putting flake.lock back: %w", err), "mend that and run: movein apply")
	}
	if u.last != "" && u.last == was.SHA256 { // it is not committed still
		u.record.Trying, u.record.Kept = false, u.last
		return u.write(h)
	}
	return h.Remove(u.s.c.updateFile())
}

// unstage takes flake.lock out of git's index, where Nix has put it.
func (u *Update) unstage(ctx context.Context, h host.Host) {
	if _, err := h.Repo(ctx, u.dir); err != nil {
		return
	}
	if _, err := h.Run(ctx, &host.Cmd{Args: []string{"git", "-C", u.dir, "rm", "--cached", "--quiet", "--ignore-unmatch", lockFile}}); err != nil {
		h.Warn("git still expects flake.lock: git -C %s rm --cached flake.lock", u.dir)
	}
}

// Keep leaves the new flake.lock, which is now the wanted one.
func (u *Update) Keep(ctx context.Context, h host.Host) error {
	now, err := h.Look(ctx, u.place(), true)
	if err != nil {
		return err
	}
	u.record.Trying, u.record.Kept = false, now.SHA256
	return u.write(h)
}

// Inputs are those whose locked state is another one now.
func (u *Update) Inputs(v host.View) []UpdatedInput {
	data, _ := v.ReadFile(filepath.Join(u.dir, lockFile)) //nolint:errcheck // a flake without inputs has none
	old, now := lockedInputs(u.before), lockedInputs(data)
	all := []UpdatedInput{}
	for name, to := range now {
		if from := old[name]; from != to {
			all = append(all, UpdatedInput{name, from, to})
		}
	}
	sort.Slice(all, func(i, j int) bool { return all[i].Name < all[j].Name })
	return all
}

// Changed reports whether flake.lock is another one now.
func (u *Update) Changed(v host.View) bool {
	data, _ := v.ReadFile(filepath.Join(u.dir, lockFile)) //nolint:errcheck // a flake without inputs has none
	return string(data) != string(u.before)
}

// UpdatedInput is an input that is at another commit now.
type UpdatedInput struct {
	Name string `json:"name"`
	From string `json:"from,omitempty"` // a commit, or another digest
	To   string `json:"to"`
}

// lockedInputs are the inputs that a flake.lock's flake names itself, and what they are locked to.
func lockedInputs(lock []byte) map[string]string {
	var file struct {
		Root  string
		Nodes map[string]struct {
			Inputs map[string]any
			Locked struct{ Rev, NarHash string }
		}
	}
	out := map[string]string{}
	if json.Unmarshal(lock, &file) != nil {
		return out
	}
	for name, node := range file.Nodes[file.Root].Inputs {
		out[name] = "follows another"
		if key, ok := node.(string); ok {
			locked := file.Nodes[key].Locked
			if out[name] = locked.Rev; locked.Rev == "" {
				out[name] = locked.NarHash
			}
		}
	}
	return out
}

// Build builds the generation with the new inputs. It goes into the store only.
func (u *Update) Build(ctx context.Context, h host.Host) (out string, err error) {
	if out, err = u.s.previewBuild(ctx, h); err != nil {
		return "", err
	}
	if !exists(h, out+"/activate") {
		return "", bootstrap.Misconfigured("what was built is no home generation: there is no activate in %s", out)
	}
	return out, nil
}

// Dir is the home repo.
func (u *Update) Dir() string { return u.dir }

// ClosureDiff is what is different in a package between two closures.
type ClosureDiff struct {
	Package string `json:"package"`
	From    string `json:"from,omitempty"` // versions; "": it was not there
	To      string `json:"to,omitempty"`
	Size    string `json:"size,omitempty"` // as Nix says it: "+12.3 KiB"
	Bytes   int64  `json:"bytes,omitempty"`
}

// Difference is how the closure of a generation differs from that of the active one.
func (u *Update) Difference(ctx context.Context, v host.View, out string) ([]ClosureDiff, error) {
	old := u.s.c.activeGeneration(v)
	if old == "" || old == out || !exists(v, old) {
		return []ClosureDiff{}, nil
	}
	res, err := v.Query(ctx, u.s.nixCmd(ctx, v, "store", "diff-closures", old, out))
	if err != nil {
		return nil, fmt.Errorf("comparing the generations: %w", err)
	}
	return parseDiff(string(res.Stdout)), nil
}

var (
	colour   = pattern("\x1b\\[[0-9;]*m")
	sizeDiff = pattern(`^([+-][0-9.]+) ([KMGT]?i?B|bytes)$`)
)

// parseDiff reads what "nix store diff-closures" says: "PACKAGE: FROM → TO, +1.0 KiB",
// where either part may be missing, ∅ is none and ε a path without a version.
func parseDiff(text string) []ClosureDiff {
	all := []ClosureDiff{}
	for line := range strings.Lines(colour().ReplaceAllString(text, "")) {
		name, what, ok := strings.Cut(strings.TrimSpace(line), ": ")
		if !ok {
			continue
		}
		d := ClosureDiff{Package: name}
		versions := what
		if i := strings.LastIndex(what, ", "); i >= 0 && sizeDiff().MatchString(what[i+2:]) {
			versions, d.Size = what[:i], what[i+2:]
		} else if sizeDiff().MatchString(what) {
			versions, d.Size = "", what
		}
		if from, to, ok := strings.Cut(versions, " → "); ok {
			d.From, d.To = strings.Trim(from, "∅"), strings.Trim(to, "∅")
		}
		if m := sizeDiff().FindStringSubmatch(d.Size); m != nil {
			n, _ := strconv.ParseFloat(m[1], 64) //nolint:errcheck // it matches
			d.Bytes = int64(n * map[byte]float64{'K': 1 << 10, 'M': 1 << 20, 'G': 1 << 30, 'T': 1 << 40, 'B': 1, 'b': 1}[m[2][0]])
		}
		all = append(all, d)
	}
	return all
}
