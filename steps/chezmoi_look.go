package steps

import (
	"archive/tar"
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"unicode/utf8"

	"movein/bootstrap"
	"movein/bootstrap/host"
	"movein/steps/home"
)

// chezmoiLook is what chezmoi wants of the home.
type chezmoiLook struct {
	Claims  []home.Claim    // sorted by path
	Scripts []chezmoiScript // in the order they run
	Skipped []chezmoiSkip   // targets whose secret is not to be had: not applied

	through []string // links that stay where directories are wanted: what is below them is applied, they are not
	fresh   *freshConfig
	targets map[string]sourced // all that chezmoi manages, by path below the home
	within  map[string]bool    // what was in exact directories, which chezmoi clears of the rest
	sight   chezmoiSight
}

// chezmoiScript is a script of the source.
type chezmoiScript struct {
	Name   string // of its target
	Source string
	When   string // "always", "once", "onchange"
	// Due: it has not run as it is now. What runs always is never due: it runs
	// whenever something else is applied, and is no reason to apply.
	Due bool
}

// chezmoiSkip is a target that cannot be made now.
type chezmoiSkip struct{ Path, Source, Why string }

// textMost is how much of a file is kept to show what changes.
const textMost = 64 << 10

// wantedFile is an entry of the target state.
type wantedFile struct {
	head tar.Header
	data []byte
}

// look asks chezmoi what it wants. What has a secret that is not to be had is in
// Skipped, and a claim without a digest; any other error of a template is an error.
func (z chezmoi) look(ctx context.Context, v host.View) (*chezmoiLook, error) {
	if z.bin == "" {
		return nil, bootstrap.Hint(errors.New("there is no chezmoi"), "run: movein apply")
	}
	l := &chezmoiLook{}
	var err error
	if l.fresh, err = z.freshConfig(ctx, v); err != nil {
		return nil, err
	}
	l.sight = z.begin(v)
	if err := z.blocked(v, l.sight.files); err != nil {
		return nil, err
	}
	if err := z.list(ctx, v, l); err != nil {
		return nil, err
	}
	l.within = z.within(v, l)
	l.sight.targets(v, z, l.targets)
	files, err := z.wanted(ctx, v, l)
	if err != nil {
		return nil, err
	}
	last, err := z.last(ctx, v)
	if err != nil {
		return nil, err
	}
	removed, err := z.removed(ctx, v, l, files)
	if err != nil {
		return nil, err
	}
	z.claim(v, l, files, removed, last)
	l.sight.end(v)
	return l, nil
}

// list fills in what chezmoi manages.
func (z chezmoi) list(ctx context.Context, v host.View, l *chezmoiLook) error {
	what := "asking chezmoi what it manages"
	out, err := z.ask(ctx, v, l.fresh, "managed", "--path-style=all", "--format=json")
	if err != nil {
		return z.explain(what, err)
	}
	var managed map[string]struct{ SourceAbsolute string }
	if len(out) > 0 { // it says nothing when there is nothing
		if err := json.Unmarshal(out, &managed); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
	names := slices.Collect(maps.Keys(managed))
	if slices.ContainsFunc(names, func(n string) bool { return strings.ContainsRune(n, '\uFFFD') }) {
		if out, err = z.ask(ctx, v, l.fresh, "managed", "--nul-path-separator"); err != nil {
			return z.explain(what, err)
		}
		names = strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
	}
	raw := map[string]string{} // files that JSON cannot name, by their targets
	for _, file := range l.sight.files {
		if rel, err := filepath.Rel(z.root(v), file); err == nil && !utf8.ValidString(rel) {
			raw[targetPath(rel)] = file
		}
	}
	l.targets = map[string]sourced{}
	for _, name := range names {
		if name != "" {
			l.targets[name] = readSourceName(cmp.Or(raw[name], managed[asJSON(name)].SourceAbsolute))
		}
	}
	return nil
}

// within is what is in exact directories.
func (z chezmoi) within(v host.View, l *chezmoiLook) map[string]bool {
	all := map[string]bool{}
	for name, s := range l.targets {
		if !s.exact {
			continue
		}
		entries, _ := v.ReadDir(filepath.Join(z.c.Home, name)) //nolint:errcheck // there is nothing in it then
		for _, e := range entries {
			all[filepath.Join(name, e.Name())] = true
		}
	}
	return all
}

// removed are the targets that chezmoi removes: of those that it manages and that
// are not in the target state. The others are git repositories that it clones.
func (z chezmoi) removed(ctx context.Context, v host.View, l *chezmoiLook, files map[string]wantedFile) (map[string]bool, error) {
	out, unknown := map[string]bool{}, false
	for name, s := range l.targets {
		if _, ok := files[name]; ok || s.script {
			continue
		}
		// A file of the source that makes none is empty, or says so by its name.
		info, err := v.Lstat(s.path)
		out[name] = err == nil && info.Mode().IsRegular()
		unknown = unknown || !out[name]
	}
	if !unknown {
		return out, nil
	}
	said, err := z.ask(ctx, v, l.fresh, "managed", "--nul-path-separator", "--include=remove")
	if err != nil {
		return nil, z.explain("asking chezmoi what it removes", err)
	}
	for name := range strings.SplitSeq(string(said), "\x00") {
		if _, ok := out[name]; ok { // it names scripts too
			out[name] = true
		}
	}
	return out, nil
}

// archive asks for the target state, of everything or of these targets only. It
// is a tar: chezmoi's JSON does not keep bytes that are no UTF-8.
func (z chezmoi) archive(ctx context.Context, v host.View, l *chezmoiLook, args ...string) (map[string]wantedFile, error) {
	out, err := z.ask(ctx, v, l.fresh, append([]string{"archive", "--format=tar"}, args...)...)
	if err != nil {
		return nil, err
	}
	files := map[string]wantedFile{}
	for r := tar.NewReader(bytes.NewReader(out)); ; {
		head, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files, nil
		}
		if err != nil {
			return nil, fmt.Errorf("reading chezmoi's archive: %w", err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			return nil, fmt.Errorf("reading chezmoi's archive: %w", err)
		}
		files[strings.TrimSuffix(head.Name, "/")] = wantedFile{*head, data}
	}
}

// chezmoiState is what chezmoi remembers ("chezmoi state dump").
type chezmoiState struct {
	EntryState map[string]struct {
		Type           string
		Mode           uint32
		ContentsSHA256 string
	}
	ScriptState map[string]struct{} // by digest
}

func (z chezmoi) last(ctx context.Context, v host.View) (s chezmoiState, err error) {
	if !exists(v, z.state()) && !z.namesState(v) {
		return s, nil // it would make one
	}
	out, err := z.ask(ctx, v, nil, "state", "dump", "--format=json")
	if err != nil {
		return s, z.explain("asking chezmoi what it did last", err)
	}
	if err := json.Unmarshal(out, &s); err != nil {
		return s, fmt.Errorf("reading chezmoi's state: %w", err)
	}
	return s, nil
}

// left is how chezmoi left a path; nil if it does not know.
func (s chezmoiState) left(dir, name string) *home.Left {
	e, ok := s.EntryState[asJSON(filepath.Join(dir, name))]
	kind, known := map[string]home.Kind{"file": home.File, "symlink": home.Link, "dir": home.Dir, "remove": home.Absent}[e.Type]
	if !ok || !known {
		return nil
	}
	return &home.Left{Kind: kind, Mode: fs.FileMode(e.Mode).Perm(), SHA256: e.ContentsSHA256}
}

// claim fills in claims and scripts.
func (z chezmoi) claim(v host.View, l *chezmoiLook, files map[string]wantedFile, removed map[string]bool, last chezmoiState) {
	skipped := map[string]bool{}
	for _, s := range l.Skipped {
		skipped[s.Path] = true
	}
	for _, name := range slices.Sorted(maps.Keys(l.targets)) {
		s := l.targets[name]
		f, ok := files[name]
		if s.script {
			if ok || skipped[name] {
				l.Scripts = append(l.Scripts, z.script(name, s, f, skipped[name], last))
			}
			continue
		}
		c := home.Claim{Path: name, Owner: home.Chezmoi, Source: z.sourceOf(v, l, name, removed[name]), Last: last.left(z.c.Home, name), Secret: s.secret || l.sight.secrets[name] || z.mayTell(v, s)}
		switch {
		case skipped[name]:
			c.Kind, c.Mode, c.Secret = home.File, 0o600, true
		case ok:
			f.claim(&c)
			c.Exact = c.Kind == home.Dir && s.exact && !z.spares(v, l, name)
		case removed[name]:
			// An empty file is no reason for create_ to leave it: it is as good as none.
			if c.Kind, c.Anew = home.Absent, s.opens && !s.modify; !exists(v, filepath.Join(z.c.Home, name)) {
				continue
			}
		default: // a git repository that it clones
			c.Kind, c.Mode = home.Dir, 0o755
		}
		l.Claims = append(l.Claims, c)
	}
	order := map[string]int{"before": -1, "after": 1}
	sort.SliceStable(l.Scripts, func(i, j int) bool {
		return order[l.targets[l.Scripts[i].Name].order] < order[l.targets[l.Scripts[j].Name].order]
	})
}

// spares reports whether an ignore file may have chezmoi leave something that it does
// not have in the exact directory name.
func (z chezmoi) spares(v host.View, l *chezmoiLook, name string) bool {
	for _, file := range l.sight.files {
		if base := filepath.Base(file); base != ".chezmoiignore" && base != ".chezmoiignore.tmpl" {
			continue
		}
		for line := range strings.Lines(readText(v, file)) {
			line, _, _ = strings.Cut(line, "#")
			if line = strings.TrimSpace(line); strings.ContainsAny(line, "*?[{") || strings.Contains("/"+line, "/"+filepath.Base(name)+"/") ||
				line != "" && filepath.Dir(file) != z.root(v) {
				return true
			}
		}
	}
	return false
}

// claim fills in what is wanted.
func (f wantedFile) claim(c *home.Claim) {
	c.Mode = fs.FileMode(f.head.Mode).Perm()
	switch f.head.Typeflag {
	case tar.TypeDir:
		c.Kind = home.Dir
	case tar.TypeSymlink:
		c.Kind, c.Target, c.Mode = home.Link, f.head.Linkname, 0
	default:
		c.Kind, c.SHA256, c.Size = home.File, digest(f.data), int64(len(f.data))
		// Who makes a file private may have a secret in it, also without a template.
		if !c.Secret && c.Mode&0o077 != 0 && len(f.data) <= textMost {
			c.Text = f.data
		}
	}
}

func (z chezmoi) script(name string, s sourced, f wantedFile, skipped bool, last chezmoiState) chezmoiScript {
	out := chezmoiScript{Name: name, Source: s.path, When: s.when}
	sum := sha256.Sum256(f.data)
	text := hex.EncodeToString(sum[:])
	switch {
	case skipped, len(bytes.TrimSpace(f.data)) == 0: // chezmoi does not run an empty one
	case s.when == "once":
		_, ran := last.ScriptState[text]
		out.Due = !ran
	case s.when == "onchange":
		out.Due = last.EntryState[asJSON(filepath.Join(z.c.Home, name))].ContentsSHA256 != text
	}
	return out
}

// sourceOf is the file that a target comes from. For what has none of its own (an
// external's, what is removed) chezmoi names the whole source or makes up a name.
func (z chezmoi) sourceOf(v host.View, l *chezmoiLook, name string, removed bool) string {
	path, root := l.targets[name].path, z.root(v)
	if path != "" && path != root && exists(v, path) {
		return path
	}
	if dir := l.targets[filepath.Dir(name)]; dir.exact {
		return dir.path
	}
	from := []string{".chezmoiexternal.toml", ".chezmoiexternal.yaml", ".chezmoiexternal.yml", ".chezmoiexternal.json", ".chezmoiexternal.jsonc", ".chezmoiexternals"}
	if removed {
		from = slices.Insert(from, 0, ".chezmoiremove")
	}
	for _, base := range from {
		for _, suffix := range []string{"", ".tmpl"} {
			if file := filepath.Join(root, base+suffix); exists(v, file) {
				return file
			}
		}
	}
	return root
}
