package steps

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"movein/bootstrap"
	"movein/bootstrap/host"
)

// cost is what a build takes, as "nix build --dry-run" tells it.
type cost struct {
	Fetch              int // paths
	Download, Unpacked int64
	Build              []string // derivations
	Unreachable        []string // caches that were not to be had
	Untrusted          []string // caches that Nix may not use, and why
	section            *[]string
}

// line takes in a line of what Nix says.
func (c *cost) line(line string) {
	sizes := func(text string) {
		var down, up float64
		var downUnit, upUnit string
		_, after, _ := strings.Cut(text, "(")
		if n, _ := fmt.Sscanf(after, "%f %s download, %f %s unpacked", &down, &downUnit, &up, &upUnit); n == 4 { //nolint:errcheck // n says it
			c.Download, c.Unpacked = int64(down*unit(downUnit)), int64(up*unit(upUnit))
		}
	}
	quoted := func() string {
		_, rest, _ := strings.Cut(line, "'")
		name, _, _ := strings.Cut(rest, "'")
		return name
	}
	add := func(list *[]string, what string) {
		if what != "" && !slices.Contains(*list, what) {
			*list = append(*list, what)
		}
	}
	switch path := strings.TrimSpace(line); {
	case strings.HasSuffix(line, "will be built:"):
		c.section = &c.Build
	case strings.Contains(line, "will be fetched ("):
		sizes(line)
		c.section = nil
	case strings.HasPrefix(path, nixStore+"/") && strings.HasPrefix(line, " "):
		if c.section != nil {
			*c.section = append(*c.section, path)
		} else {
			c.Fetch++
		}
	case strings.Contains(line, "unable to download '"), strings.Contains(line, "binary cache '"):
		add(&c.Unreachable, server(quoted()))
	case strings.Contains(line, "have Internet access"):
		add(&c.Unreachable, "every cache (there is no network)")
	case strings.Contains(line, "ignoring untrusted substituter"):
		add(&c.Untrusted, quoted())
	case strings.Contains(line, "ignoring substitute for"), strings.Contains(line, "not signed by any of the keys"):
		if _, from, ok := strings.Cut(line, " from '"); ok {
			name, _, _ := strings.Cut(from, "'")
			add(&c.Untrusted, name+" (its key is not among trusted-public-keys)")
		}
	case strings.Contains(line, "ignoring untrusted flake configuration setting"), strings.Contains(line, "ignoring the client-specified setting"):
		if name := quoted(); strings.Contains(name, "substituters") || strings.Contains(name, "public-keys") {
			add(&c.Untrusted, "the flake's "+name)
		}
	}
}

// unit is how many bytes a unit of Nix's has.
func unit(name string) float64 {
	i := strings.IndexByte("BKMGT", (name + "B")[0])
	return float64(int64(1) << (10 * max(i, 0)))
}

// server is the beginning of a URL, up to the path.
func server(url string) string {
	scheme, rest, ok := strings.Cut(url, "://")
	if !ok {
		return url
	}
	name, _, _ := strings.Cut(rest, "/")
	return scheme + "://" + name
}

// giants take hours and many gigabytes to compile.
var giants = []string{"chromium-", "electron-", "firefox-", "gcc-", "ghc-", "libreoffice-", "linux-", "llvm-", "clang-", "nodejs-", "qtwebengine-", "rustc-", "thunderbird-", "webkitgtk-"}

func giant(name string) bool {
	return slices.ContainsFunc(giants, func(g string) bool { return strings.HasPrefix(name, g) })
}

// compiled are the names of those of the derivations that compile something: that
// have sources, are no download themselves, and are not meant to be made on each host.
func compiled(v host.View, drvs []string) (names []string) {
	for _, drv := range drvs {
		text := readText(v, drv)
		outputs, _, _ := strings.Cut(text, "]")
		fixed := strings.Count(outputs, `","",""`) == 0
		local := strings.Contains(text, `("preferLocalBuild","1")`) || strings.Contains(text, `\"preferLocalBuild\":true`)
		sources := strings.Contains(text, `("src",`) || strings.Contains(text, `("srcs",`) || strings.Contains(text, `\"src\":`) || strings.Contains(text, `\"srcs\":`)
		if text == "" || sources && !fixed && !local {
			_, name, _ := strings.Cut(strings.TrimSuffix(filepath.Base(drv), ".drv"), "-")
			names = append(names, name)
		}
	}
	return names
}

// afford stops a build that this host is too small for: too much to compile for its
// memory, or more than its disk has room for. A generation whose programs come
// from a cache costs nothing of either.
func (s homeBuild) afford(ctx context.Context, v host.View, what string) error {
	if s.c.AllowBuild || s.c.HomeRepo == Starter {
		return nil
	}
	var c cost
	cmd := s.nixCmd(ctx, v, "build", "--dry-run", "--no-link", what)
	cmd.Lines = c.line
	if _, err := v.Query(ctx, cmd); err != nil {
		return err
	}
	names := compiled(v, c.Build)
	v.Progress(0, 0, fmt.Sprintf("%d paths to fetch (%s), %d to build", c.Fetch, size(c.Download), len(c.Build)))
	if err := s.room(ctx, v, c, len(names)); err != nil {
		return err
	}
	big := slices.DeleteFunc(slices.Clone(names), func(n string) bool { return !giant(n) })
	names = append(big, slices.DeleteFunc(names, giant)...)
	weight := len(names) + 10*len(big)
	const perProgram = 2 << 30
	if s.f.RAM == 0 || weight <= int(s.f.RAM/perProgram) {
		return nil
	}
	return c.tooMuch(fmt.Errorf("the home has %s to compile, on %s of memory (%d paths, %s, come from caches): %s", programs(len(names)), size(s.f.RAM), c.Fetch, size(c.Download), few(names)))
}

// room compares what is unpacked and compiled with the disk.
func (s homeBuild) room(ctx context.Context, v host.View, c cost, compiles int) error {
	const perProgram = 512 << 20
	need := map[string]int64{"/nix": c.Unpacked + c.Unpacked/10 + int64(compiles)*perProgram}
	if nix := detectNix(ctx, v, s.f, s.c); compiles > 0 && older(nix.Version, "2.30") { // newer ones compile below /nix
		need["/tmp"] = 2 * perProgram
	}
	for dir, bytes := range need {
		free, err := v.Free(dir)
		if err != nil {
			return err
		}
		if free < bytes {
			return bootstrap.Hint(fmt.Errorf("the home needs about %s in %s, which has %s free (%d paths to fetch, %s to compile)", size(bytes), dir, size(free), c.Fetch, programs(compiles)),
				"free some space (nix-collect-garbage --delete-older-than 30d; df -h %s), or try it all the same: movein apply --allow-build", dir)
		}
	}
	return nil
}

// tooMuch says which cache would have spared the work.
func (c cost) tooMuch(err error) error {
	const anyway = "; or compile it here: movein apply --allow-build"
	switch {
	case len(c.Unreachable) > 0:
		err = fmt.Errorf("%w; could not be reached: %s", err, strings.Join(c.Unreachable, ", "))
		return bootstrap.Exit(bootstrap.ExitUnreachable, bootstrap.Hint(err, "check the network and the proxy settings, then run the same command again%s", anyway))
	case len(c.Untrusted) > 0:
		err = fmt.Errorf("%w; not trusted: %s", err, strings.Join(c.Untrusted, ", "))
		return bootstrap.Exit(bootstrap.ExitConfig, bootstrap.Hint(err, "have root add the cache and its key to %s (extra-substituters = URL, extra-trusted-public-keys = KEY) and restart the daemon%s", nixConf, anyway))
	}
	return bootstrap.Hint(err, "build it on a larger host and push it to a cache, or take them out of the home repo%s", anyway)
}

func programs(n int) string {
	if n == 1 {
		return "1 program"
	}
	return fmt.Sprintf("%d programs", n)
}

// size is a number of bytes for people.
func size(n int64) string {
	if n < 1<<30 {
		return fmt.Sprintf("%d MiB", n>>20)
	}
	return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
}
