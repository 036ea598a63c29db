package steps

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"movein/bootstrap"
	"movein/bootstrap/host"
	"movein/distro"
)

// Kinds are the kinds of host that a plan can be made as.
var Kinds = []string{"kinoite", "wsl", "nixos", "debian"}

// kindNames are the hosts' names under which a home repo keeps a kind.
var kindNames = map[string][]string{
	"kinoite": {"kinoite", "silverblue", "fedora"}, "wsl": {"wsl-workspace", "wsl"}, "nixos": {"nixos"}, "debian": {"debian", "linux", "ubuntu"},
}

// Moved is what would be different for a home that moves from this host to one of a kind.
type Moved struct {
	As            string        `json:"as"`
	Configuration string        `json:"configuration"`  // of such a host
	From          string        `json:"from,omitempty"` // of this one; "": it has none that evaluates, and all is new
	Home          string        `json:"home"`
	Changes       []MovedChange `json:"changes"`
	Findings      []string      `json:"findings"` // what does not fit such a host
	Warnings      []string      `json:"warnings"` // home-manager's
}

// MovedChange is one thing that the home there has and here has not, or the other way, or otherwise.
type MovedChange struct {
	Verb string `json:"verb"` // "add", "remove", "change"
	What string `json:"what"` // "file", "package", "alias", "variable"
	Name string `json:"name"`
	Now  string `json:"now,omitempty"` // of an alias or variable, there
}

// evaluated is what of a configuration is compared.
type evaluated struct {
	User, Home, System string
	Generic, GPU       bool
	Files              map[string]string // source, by path below the home
	Packages           map[string]string // by name; all are ""
	Aliases, Variables map[string]string
	Warnings           []string
}

// asFinder is the function, in Nix, that lists the configurations and picks one: the first of
// a list, or the first that is for NixOS or is not. One that does not evaluate is for neither.
const asFinder = `cs: let
  names = builtins.attrNames cs;
  listed = builtins.filter (n: builtins.elem n names) %s;
  generic = n: builtins.tryEval (cs.${n}.config.targets.genericLinux.enable or false);
  alike = builtins.filter (n: let g = generic n; in g.success && g.value == %s) (builtins.filter (n: !builtins.elem n %s) names);
in { inherit names; pick = if listed != [ ] then builtins.head listed else if %s && alike != [ ] then builtins.head alike else ""; user = ""; home = ""; }`

// asSummary is the function, in Nix, that makes an evaluated of a configuration. Nothing is built.
const asSummary = `c: let
  g = c.config;
  text = v: builtins.unsafeDiscardStringContext (toString v);
  all = f: builtins.listToAttrs (map f (builtins.filter (x: x.enable or true) (builtins.attrValues g.home.file)));
in {
  user = g.home.username; home = g.home.homeDirectory; system = c.pkgs.stdenv.hostPlatform.system or "";
  generic = g.targets.genericLinux.enable or false; gpu = g.targets.genericLinux.gpu.enable or false;
  files = all (x: { name = x.target; value = text (x.source or (builtins.hashString "sha256" (x.text or ""))); });
  packages = builtins.listToAttrs (map (p: { name = p.name or "?"; value = ""; }) (g.home.packages or [ ]));
  aliases = builtins.mapAttrs (_: text) ((g.home.shellAliases or { }) // (g.programs.bash.shellAliases or { }));
  variables = builtins.mapAttrs (_: text) (g.home.sessionVariables or { });
  warnings = builtins.deepSeq (text (c.activationPackage.drvPath or "")) (g.warnings or [ ]);
}`

// PlanAs evaluates the configuration for a host of a kind, from here, and compares it
// with the one for this host. Nothing is built and nothing is changed. The error names the
// modules of the home repo that do not evaluate there.
func PlanAs(ctx context.Context, v host.View, f *distro.Facts, c *Config, as string) (m Moved, err error) {
	if c, err = c.withRepo(v); err != nil {
		return m, err
	}
	s := homeBuild{f, c}
	dir, _ := c.HomeDir()
	if !exists(v, dir+"/flake.nix") {
		return m, bootstrap.Hint(bootstrap.Misconfigured("%s is not here yet", dir), "have it cloned: movein apply --only home-repo %s", c.HomeRepo)
	}
	if nix := detectNix(ctx, v, f, c); nix.Bin == "" {
		return m, bootstrap.Hint(bootstrap.Misconfigured("there is no Nix here that could evaluate the home"), "install it: movein apply --only nix-daemon")
	}
	flake := s.flake(ctx, v)
	name, err := s.pickAs(ctx, v, flake, as)
	if err != nil {
		return m, err
	}
	there, err := s.evaluate(ctx, v, flake, dir, name)
	if err != nil {
		return m, err
	}
	m = Moved{As: as, Configuration: name, Home: there.Home, Warnings: there.Warnings, Findings: there.misfits(as)}
	var here evaluated
	unnamed := *c
	unnamed.Configuration = "" // that is the one there
	s.c = &unnamed
	if own, err := s.choose(ctx, v, flake); err == nil && own != name {
		if here, err = s.evaluate(ctx, v, flake, dir, own); err == nil {
			m.From = own
		}
	} else if err == nil {
		m.From, here = own, there
	}
	m.Changes = compared(here, there)
	return m, nil
}

// pickAs finds the configuration for a kind of host.
func (s homeBuild) pickAs(ctx context.Context, v host.View, flake, as string) (string, error) {
	var listed, others []string
	for _, kind := range Kinds {
		for _, n := range kindNames[kind] {
			if kind != as {
				others = append(others, quote(s.c.User+"@"+n), quote(n))
				continue
			}
			listed = append(listed, quote(s.c.User+"@"+n), quote(n))
		}
	}
	if s.c.Configuration != "" {
		listed = []string{quote(s.c.Configuration)}
	}
	list := func(names []string) string { return "[ " + strings.Join(names, " ") + " ]" }
	byKind := s.c.Configuration == "" && (as == "nixos" || as == "debian")
	fn := fmt.Sprintf(asFinder, list(listed), fmt.Sprint(as != "nixos"), list(others), fmt.Sprint(byKind))
	res, err := v.Query(ctx, s.nixCmd(ctx, v, "eval", "--json", flake+"#homeConfigurations", "--apply", fn))
	if err != nil {
		return "", s.explain(err, flake)
	}
	var got found
	if err := json.Unmarshal(res.Stdout, &got); err != nil {
		return "", fmt.Errorf("reading what nix eval says: %w", err)
	}
	if got.Pick == "" {
		dir, _ := s.c.HomeDir()
		return "", bootstrap.Hint(bootstrap.Misconfigured("%s has no configuration for a host of kind %s; there are: %s", dir, as, strings.Join(got.Names, ", ")),
			"add one: movein init --add-host %s; or name one: --configuration", kindNames[as][0])
	}
	return got.Pick, nil
}

// evaluate asks Nix for an evaluated; its error names the modules of the home repo, in
// dir, that Nix complains about.
func (s homeBuild) evaluate(ctx context.Context, v host.View, flake, dir, name string) (e evaluated, err error) {
	var why evalTrace
	cmd := s.nixCmd(ctx, v, "eval", "--json", "--read-only", "--show-trace", flake+`#homeConfigurations."`+url.PathEscape(name)+`"`, "--apply", asSummary)
	cmd.Lines = why.read
	res, err := v.Query(ctx, cmd)
	if _, ok := errors.AsType[*host.CommandError](err); ok {
		return e, why.explain(v, dir, name)
	} else if err != nil {
		return e, err
	}
	if err := json.Unmarshal(res.Stdout, &e); err != nil {
		return e, fmt.Errorf("reading what nix eval says: %w", err)
	}
	return e, nil
}

// evalTrace is what Nix says of an evaluation, with its trace.
type evalTrace struct {
	files []string // that the trace names, absolute
	said  string   // the error at its end
}

// nixFile is a file in a trace: of the work tree, or of its copy in the store.
var nixFile = regexp.MustCompile("/[^\\s:'\"`]+\\.nix")

func (c *evalTrace) read(line string) {
	c.files = append(c.files, nixFile.FindAllString(line, -1)...)
	if _, text, ok := strings.Cut(line, "error: "); ok {
		c.said = text
	}
}

func (c evalTrace) explain(v host.View, dir, name string) error {
	var modules []string
	for _, file := range c.files {
		file, ok := strings.CutPrefix(file, dir+"/")
		if !ok {
			parts := strings.SplitN(file, "/", 5) // /nix/store/HASH-source/FILE
			file = parts[len(parts)-1]
		}
		if file != "flake.nix" && file != "home.nix" && exists(v, filepath.Join(dir, file)) && !slices.Contains(modules, file) {
			modules = append(modules, file)
		}
	}
	err, hint := bootstrap.Misconfigured("homeConfigurations.%s does not evaluate: %s", quote(name), c.said), "mend it in "+dir
	if len(modules) > 0 {
		err = bootstrap.Misconfigured("homeConfigurations.%s does not evaluate because of %s: %s", quote(name), strings.Join(modules, ", "), c.said)
		hint = "mend it there, or switch it off in the host's file"
	}
	return bootstrap.Hint(err, "%s", hint)
}

// misfits are what in a configuration does not fit a kind of host.
func (e evaluated) misfits(as string) (all []string) {
	say := func(wrong bool, format string, a ...any) {
		if wrong {
			all = append(all, fmt.Sprintf(format, a...))
		}
	}
	say(as == "nixos" && e.Generic, "targets.genericLinux.enable is for hosts that are not NixOS")
	say(as != "nixos" && !e.Generic, "targets.genericLinux.enable is not set: programs do not find the distribution's icons, fonts and drivers, nor shells ~/.nix-profile/bin")
	say(as == "wsl" && e.GPU, "targets.genericLinux.gpu.enable: there is no driver to set up, Windows has it")
	say(as == "kinoite" && strings.HasPrefix(e.Home, "/home/"), "the home is %s, and such a host's is /var%[1]s: movein compares it with the real one before it builds", e.Home)
	say(as != "kinoite" && strings.HasPrefix(e.Home, "/var/home/"), "the home is %s, which only ostree hosts have", e.Home)
	tools := map[string]string{"nixos-rebuild": "nixos", "rpm-ostree": "kinoite", "wslview": "wsl"}
	for _, name := range slices.Sorted(maps.Keys(e.Aliases)) {
		for _, tool := range slices.Sorted(maps.Keys(tools)) {
			say(tools[tool] != as && strings.Contains(e.Aliases[name], tool), "the alias %s calls %s, which is not there", name, tool)
		}
	}
	say(as != "wsl" && e.Variables["BROWSER"] == "wslview", "BROWSER is wslview, which is not there")
	return all
}

// compared is what there is there and not here, here and not there, and otherwise there.
func compared(here, there evaluated) (all []MovedChange) {
	here.Home = cmp.Or(here.Home, there.Home)
	for _, part := range []struct {
		what      string
		from, to  map[string]string
		withValue bool
	}{
		{"file", here.Files, there.Files, false},
		{"package", here.Packages, there.Packages, false},
		{"alias", here.Aliases, there.Aliases, true},
		{"variable", here.Variables, there.Variables, true},
	} {
		names := slices.Concat(slices.Collect(maps.Keys(part.from)), slices.Collect(maps.Keys(part.to)))
		slices.Sort(names)
		for _, name := range slices.Compact(names) {
			from, was := part.from[name]
			to, is := part.to[name]
			if part.withValue { // a home that is elsewhere is no difference
				from, to = strings.ReplaceAll(from, here.Home, "~"), strings.ReplaceAll(to, there.Home, "~")
			}
			c := MovedChange{What: part.what, Name: name}
			switch {
			case was && is && from == to:
				continue
			case !was:
				c.Verb = "add"
			case !is:
				c.Verb = "remove"
			default:
				c.Verb = "change"
			}
			if part.withValue {
				c.Now = to
			}
			all = append(all, c)
		}
	}
	return all
}
