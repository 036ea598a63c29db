package steps

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"movein/bootstrap"
	"movein/bootstrap/host"
	"movein/distro"
)

// homeBuild builds the generation of the chosen configuration. What was built
// from what is remembered, so that an unchanged host is not evaluated again.
type homeBuild struct {
	f *distro.Facts
	c *Config
}

// buildSchema goes up when home-build asks Nix for something else than before.
const buildSchema = 1

// built is what home-build remembers, in home.json of the state directory.
type built struct {
	Fingerprint string `json:"fingerprint"`
	Flake       string `json:"flake"`
	Repo        string `json:"repo"` // as it was given
	Attribute   string `json:"attribute"`
	Out         string `json:"out"` // store path of the activation package
}

func (s homeBuild) Info() bootstrap.Info {
	needs := []string{"nix-daemon", "home-repo"}
	if s.c.Bundle != nil {
		needs = append(needs, bundleStepName)
	}
	return bootstrap.Info{Name: "home-build", Title: "Home generation", Needs: needs, Exclusive: "nix-store"}
}

func (s homeBuild) record() string { return filepath.Join(s.c.State(), "home.json") }

// root is our own garbage collector root for the generation.
func (s homeBuild) root() string { return filepath.Join(s.c.State(), "gcroots", "home") }

func readBuilt(v host.View, c *Config) built {
	var b built
	if data, err := v.ReadFile(homeBuild{c: c}.record()); err == nil {
		json.Unmarshal(data, &b) //nolint:errcheck // nothing is remembered then
	}
	return b
}

func (s homeBuild) Plan(ctx context.Context, v host.View) (bootstrap.Change, error) {
	var err error
	if s.c, err = s.c.withRepo(v); err != nil {
		return nil, err
	}
	old := readBuilt(v, s.c)
	dir, _ := s.c.HomeDir()
	why := s.stale(ctx, v, old)
	if why == "" {
		daemon, err := v.Daemon(ctx, nixSocket, old.Out)
		if err != nil || len(daemon.Unknown) == 0 {
			return nil, nil //nolint:nilerr // a daemon that does not answer is another step's
		}
		why = "the store's database does not know the generation"
	}
	target := "the configuration for " + s.c.User + "@" + s.c.Host
	if s.c.Configuration != "" {
		target = "homeConfigurations." + quote(s.c.Configuration)
	} else if old.Attribute != "" && old.Repo == s.c.HomeRepo {
		target = "homeConfigurations." + quote(old.Attribute)
	}
	return bootstrap.Change{{Verb: "build", Target: target, Reason: why + " (" + dir + ")"}}, nil
}

// stale says why the remembered build does not hold, as far as files tell; "" if it does.
func (s homeBuild) stale(ctx context.Context, v host.View, old built) string {
	switch {
	case old.Out == "":
		return "not built yet"
	case !exists(v, old.Out):
		return "the generation is no longer in the store"
	}
	if target, ok := isLink(v, s.root()); !ok || target != old.Out {
		return "the generation is not kept from the garbage collector"
	}
	fp := s.fingerprint(ctx, v)
	if fp == "" {
		return "whether the home repo changed cannot be told"
	}
	if fp != old.Fingerprint {
		return "the home repo, the choice of configuration or Nix changed"
	}
	return ""
}

// fingerprint stands for everything that the result of an evaluation depends on;
// "" if that cannot be told. A flake is pure, so these are: the tree that Nix
// sees, with its lock file; the attribute, or what it is chosen by; the system; the Nix.
func (s homeBuild) fingerprint(ctx context.Context, v host.View) string {
	return s.fingerprintOf(ctx, v, s.choice(readBuilt(v, s.c)))
}

// choice stands for the attribute that will be chosen after the last build: its name, if
// that is known without asking Nix, or else the names it may have.
func (s homeBuild) choice(last built) string {
	names := s.candidates(last)
	if names[0] == s.c.Configuration || names[0] == last.Attribute {
		return names[0]
	}
	slices.Sort(names)
	return strings.Join(names, "\n")
}

func (s homeBuild) fingerprintOf(ctx context.Context, v host.View, choice string) string {
	dir, _ := s.c.HomeDir()
	h := sha256.New()
	nix := detectNix(ctx, v, s.f, s.c)
	fmt.Fprintf(h, "%d\n%s\n%s\n%s\n%q\n", buildSchema, dir, s.f.System, nix.Version, choice)
	state, err := v.Repo(ctx, dir)
	switch {
	case errors.Is(err, host.ErrNotRepo):
		if sum := hashTree(v, dir, h); sum != "" {
			return sum
		}
		return s.askNix(ctx, v, h)
	case err != nil:
		return ""
	case state.Submodules || state.Commit == "" || len(state.Dirty) >= host.MostDirty:
		return s.askNix(ctx, v, h)
	}
	fmt.Fprintf(h, "commit %s\n", state.Commit)
	for _, name := range state.Dirty {
		if err := hashFile(v, dir, name, h); err != nil {
			return s.askNix(ctx, v, h)
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

// askNix hashes what Nix makes of the home repo: the store path that it copies it to.
func (s homeBuild) askNix(ctx context.Context, v host.View, h hasher) string {
	res, err := v.Query(ctx, s.nixCmd(ctx, v, "flake", "metadata", "--json", s.flake(ctx, v)))
	var source struct{ Path string }
	if err != nil || json.Unmarshal(res.Stdout, &source) != nil || source.Path == "" {
		return ""
	}
	fmt.Fprintf(h, "source %s\n", source.Path)
	return hex.EncodeToString(h.Sum(nil))
}

type hasher interface {
	Write(p []byte) (int, error)
	Sum(b []byte) []byte
}

// hashTree hashes a flake that is no git repository: all of its files.
func hashTree(v host.View, dir string, h hasher) string {
	const most = 2000 // files; a larger tree is left to Nix
	n := 0
	var walk func(rel string) error
	walk = func(rel string) error {
		entries, err := v.ReadDir(filepath.Join(dir, rel))
		if err != nil {
			return err
		}
		for _, e := range entries {
			name := filepath.Join(rel, e.Name())
			if n++; n > most {
				return fmt.Errorf("more than %d files", most)
			}
			if e.IsDir() {
				err = walk(name)
			} else {
				err = hashFile(v, dir, name, h)
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
	if walk("") != nil {
		return ""
	}
	return hex.EncodeToString(h.Sum(nil))
}

func hashFile(v host.View, dir, name string, h hasher) error {
	file := filepath.Join(dir, name)
	info, err := v.Lstat(file)
	if errors.Is(err, fs.ErrNotExist) {
		fmt.Fprintf(h, "gone %q\n", name)
		return nil
	} else if err != nil {
		return err
	}
	if !info.Mode().IsRegular() && info.Mode()&fs.ModeSymlink == 0 {
		return fmt.Errorf("%s is neither a file nor a link", file)
	}
	if info.Mode()&fs.ModeSymlink != 0 {
		target, err := v.Readlink(file)
		fmt.Fprintf(h, "link %q %q\n", name, target)
		return err
	}
	data, err := v.ReadFile(file)
	fmt.Fprintf(h, "file %q %v %d\n", name, info.Mode()&0o111 != 0, len(data))
	if err == nil {
		_, err = h.Write(data)
	}
	return err
}

// flake is the reference of the home repo for Nix. A clone may be shallow, and
// Nix wants to be told so. Without git metadata it is a plain path.
func (s homeBuild) flake(ctx context.Context, v host.View) string {
	dir, _ := s.c.HomeDir()
	if _, err := v.Repo(ctx, dir); err != nil {
		return "path:" + (&url.URL{Path: dir}).EscapedPath()
	}
	return "git+file://" + (&url.URL{Path: dir}).EscapedPath() + "?shallow=1"
}

// nixCmd is a command of the host's nix for this user.
func (s homeBuild) nixCmd(ctx context.Context, v host.View, args ...string) *host.Cmd {
	nix := detectNix(ctx, v, s.f, s.c)
	if s.c.Offline {
		args = append(args, "--offline")
	}
	return &host.Cmd{Args: append([]string{nix.Bin}, args...), Dir: s.c.Home, Nix: s.accessTokens(ctx, v)}
}

// accessTokens are the lines of NIX_CONFIG by which Nix gets at private inputs. They are in
// the environment of nix alone: it has no other way to be told that does not store them
// (https://github.com/NixOS/nix/issues/6536). Whoever changes the host may be asked for them.
func (s homeBuild) accessTokens(ctx context.Context, v host.View) (lines []string) {
	get := v.Secret
	if h, ok := v.(host.Host); ok {
		get = h.AskSecret
	}
	for _, name := range slices.Sorted(maps.Keys(s.c.Secrets)) {
		server := s.c.Secrets[name].Nix
		if server == "" {
			continue
		}
		token, err := get(ctx, s.c.Secrets[name].ref())
		if err != nil {
			v.Warn("secret %s, for Nix at %s, could not be had: %v", name, server, err)
		} else if token != "" {
			lines = append(lines, "extra-access-tokens = "+server+"="+token)
		}
	}
	return lines
}

func (s homeBuild) Apply(ctx context.Context, h host.Host, _ bootstrap.Change) error {
	var err error
	if s.c, err = s.c.withRepo(h); err != nil {
		return err
	}
	const caches = 3 // Nix has no more in the user's cache
	for range caches {
		if err = s.build(ctx, h); err == nil || !s.setCacheAside(h, err) {
			return err
		}
	}
	return err
}

// build chooses the configuration, builds it, and remembers what was built from what.
func (s homeBuild) build(ctx context.Context, h host.Host) error {
	flake := s.flake(ctx, h)
	if err := s.lockFirst(ctx, h); err != nil {
		return err
	}
	attribute, err := s.choose(ctx, h, flake)
	if err != nil {
		return err
	}
	if b := s.c.Bundle; b != nil && attribute != b.Manifest.Configuration && s.c.HomeRepo != Starter {
		return bootstrap.Hint(bootstrap.Misconfigured("this host's configuration is %s, and the bundle has %s", quote(attribute), quote(b.Manifest.Configuration)),
			"make a bundle with it (movein bundle create FILE --configuration %q), or take the one that it has: --configuration %q", attribute, b.Manifest.Configuration)
	}
	fp := s.fingerprintOf(ctx, h, s.choice(built{Repo: s.c.HomeRepo, Attribute: attribute}))
	if err := h.MkdirAll(filepath.Dir(s.root()), 0o700); err != nil {
		return err
	}
	what, err := installable(flake, attribute)
	if err != nil {
		return err
	}
	if err := s.afford(ctx, h, what); err != nil {
		return s.explain(err, flake)
	}
	cmd := s.nixCmd(ctx, h, "build", "--json", "--out-link", s.root(), what)
	cmd.Lines = func(line string) { h.Progress(0, 0, strings.TrimSpace(line)) }
	res, err := h.Run(ctx, cmd)
	if err != nil {
		return s.explain(err, flake)
	}
	out, err := builtOut(res.Stdout)
	if err != nil {
		return err
	}
	if !exists(h, out+"/activate") {
		return bootstrap.Hint(bootstrap.Misconfigured("homeConfigurations.%s.activationPackage of %s builds no home generation: there is no activate in %s", quote(attribute), flake, out),
			"make it one in the home repo (home-manager.lib.homeManagerConfiguration), or choose another with --configuration")
	}
	if err := s.keepInputs(ctx, h, flake); err != nil {
		h.Warn("the flake's inputs are not kept from the garbage collector: %v", err)
	}
	// Nix does not sync what it builds: before anything relies on it, it must survive a power loss.
	if err := h.Sync(nixStore); err != nil {
		return err
	}
	data, err := json.MarshalIndent(built{fp, flake, s.c.HomeRepo, attribute, out}, "", "  ")
	if err != nil {
		return err
	}
	return h.WriteFile(s.record(), append(data, '\n'), 0o600)
}

// builtOut is the store path in what "nix build --json" says.
func builtOut(said []byte) (string, error) {
	var outs []struct{ Outputs map[string]string }
	if err := json.Unmarshal(said, &outs); err != nil || len(outs) != 1 || outs[0].Outputs["out"] == "" {
		return "", fmt.Errorf("reading what nix build says: %q", strings.TrimSpace(string(said)))
	}
	return outs[0].Outputs["out"], nil
}

// storeCmd is a command of the nix-store beside the host's nix.
func (s homeBuild) storeCmd(ctx context.Context, v host.View, args ...string) *host.Cmd {
	nix := detectNix(ctx, v, s.f, s.c)
	return &host.Cmd{Args: append([]string{filepath.Join(filepath.Dir(nix.Bin), "nix-store")}, args...), Dir: s.c.Home}
}

// keepInputs makes garbage collector roots of the flake's inputs, so that a rerun
// needs no network after a collection.
func (s homeBuild) keepInputs(ctx context.Context, h host.Host, flake string) error {
	dir, _ := s.c.HomeDir()
	if !strings.Contains(readText(h, dir+"/flake.lock"), `"locked"`) {
		return nil
	}
	res, err := h.Run(ctx, s.nixCmd(ctx, h, "flake", "archive", "--json", flake))
	if err != nil {
		return err
	}
	inputs, err := archived(res.Stdout)
	if err != nil {
		return err
	}
	for path, name := range inputs {
		root := filepath.Join(filepath.Dir(s.root()), "input-"+filepath.Base(name))
		if _, err := h.Run(ctx, s.storeCmd(ctx, h, "--realise", path, "--add-root", root, "--indirect")); err != nil {
			return err
		}
	}
	return nil
}

// archived are the store paths of all inputs in what "nix flake archive --json" says, and
// a name of each.
func archived(said []byte) (map[string]string, error) {
	type input struct {
		Path   string
		Inputs map[string]input
	}
	var top input
	if err := json.Unmarshal(said, &top); err != nil {
		return nil, fmt.Errorf("reading what nix flake archive says: %w", err)
	}
	paths := map[string]string{}
	var add func(in input)
	add = func(in input) {
		for _, name := range slices.Sorted(maps.Keys(in.Inputs)) {
			sub := in.Inputs[name]
			if sub.Path != "" && paths[sub.Path] == "" {
				paths[sub.Path] = name
			}
			add(sub)
		}
	}
	add(top)
	return paths, nil
}

// explain turns Nix's most common complaints into a sentence with a next command.
func (s homeBuild) explain(err error, flake string) error {
	cmd, ok := errors.AsType[*host.CommandError](err)
	if !ok {
		return err
	}
	dir, _ := s.c.HomeDir()
	switch text := cmd.Stderr; {
	case strings.Contains(text, "is not tracked by Git"):
		return bootstrap.Exit(bootstrap.ExitConfig, bootstrap.Hint(err, "git -C %s add --all, then run the same command again", dir))
	case strings.Contains(text, `program "git" failed`):
		return bootstrap.Hint(err, "Nix wants to write a flake.lock in %s, which needs git: install it, or commit a flake.lock in the home repo", dir)
	case strings.Contains(text, "cannot connect to socket"):
		return bootstrap.Hint(err, "run the same command again, or look with: systemctl status nix-daemon.socket")
	case strings.Contains(text, "unable to download"), strings.Contains(text, "Could not resolve host"), strings.Contains(text, "Couldn't resolve host"):
		return bootstrap.Exit(bootstrap.ExitUnreachable, bootstrap.Hint(err, "check the network, then run the same command again"))
	case strings.Contains(text, "No space left on device"), strings.Contains(text, "disk is full"), strings.Contains(text, "disk I/O error"): // the latter two are SQLite's words
		return bootstrap.Hint(err, "free some space (df -h /nix %s), then run the same command again", s.c.Home)
	case strings.Contains(text, "syntax error"), strings.Contains(text, "undefined variable"), strings.Contains(text, "does not provide attribute"), strings.Contains(text, "evaluat"):
		return bootstrap.Exit(bootstrap.ExitConfig, bootstrap.Hint(err, "mend the home repo in %s; see all of it with:\n    nix eval %q --apply builtins.attrNames", dir, flake+"#homeConfigurations"))
	}
	return bootstrap.Hint(err, "the home was not changed; after mending it in %s run the same command again", dir)
}

// installable names the activation package of a configuration as the command line
// of Nix does: percent-encoded, and between quotes that know no escape.
func installable(flake, attribute string) (string, error) {
	if strings.Contains(attribute, `"`) {
		return "", bootstrap.Hint(bootstrap.Misconfigured("naming homeConfigurations.%s: nix build takes no name with a quotation mark", quote(attribute)), "rename it in the home repo, or choose another with --configuration")
	}
	return flake + `#homeConfigurations."` + url.PathEscape(attribute) + `".activationPackage`, nil
}

// quote makes a Nix attribute name.
func quote(name string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, `${`, `\${`).Replace(name) + `"`
}
