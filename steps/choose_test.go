package steps

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"movein/bootstrap"
	"movein/bootstrap/host"
	"movein/bootstrap/host/hosttest"
	"movein/distro"
)

func TestCandidatesGoFromTheNearestToTheFarthest(t *testing.T) {
	kinoite := testFacts()
	kinoite.ID, kinoite.VariantID = "fedora", "kinoite"
	wsl := testFacts()
	wsl.WSL = 2
	short := testFacts()
	short.FQDN, short.Hostname = "", "desk"
	remembered := files{"/home/ann/.local/state/movein/home.json": `{"repo": "https://example.org/ann/home.git", "attribute": "last"}`}
	for _, test := range []struct {
		name   string
		f      *distro.Facts
		change func(*Config)
		files  files
		want   string
	}{
		{"a full name", testFacts(), nil, nil, "ann@desk.example.org ann@desk desk.example.org desk ann@debian ann"},
		{"a short name", short, func(c *Config) { c.Host = "desk" }, nil, "ann@desk desk ann@debian ann"},
		{"given", testFacts(), func(c *Config) { c.Configuration = "it" }, remembered, "it"},
		{"the last one", testFacts(), nil, remembered, "last ann@desk.example.org ann@desk desk.example.org desk ann@debian ann"},
		{"the last one, of another repo", testFacts(), func(c *Config) { c.HomeRepo = "/srv/home" }, remembered, "ann@desk.example.org ann@desk desk.example.org desk ann@debian ann"},
		{"another host is asked for than last time", testFacts(), func(c *Config) { c.Host = "lap" }, remembered, "ann@lap lap ann@debian ann"},
		{"aliases", short, func(c *Config) {
			c.Host = "desk"
			c.Aliases = map[string][]string{"z": {"desk"}, "a": {"x", "desk"}, "m": {"desk"}, "no": {"other"}}
		}, nil, "ann@desk desk ann@a a ann@m m ann@z z ann@debian ann"},
		{"a variant", kinoite, func(c *Config) { c.Host = "x" }, nil, "ann@x x ann@kinoite ann@fedora ann"},
		{"WSL", wsl, func(c *Config) { c.Host = "x" }, nil, "ann@x x ann@wsl-workspace ann@wsl ann"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := testConfig()
			if test.change != nil {
				test.change(c)
			}
			h := hosttest.New(t, test.files)
			for range 10 { // nothing of it by chance
				if got := strings.Join((homeBuild{test.f, c}).candidates(readBuilt(h.View(), c)), " "); got != test.want {
					t.Fatalf("%s\nwant %s", got, test.want)
				}
			}
		})
	}
}

// choosing is a host whose nix eval answers with this.
func choosing(t *testing.T, answer hosttest.Answer) (homeBuild, *hosttest.Host) {
	h := hosttest.New(t, nixFiles())
	h.OnQuery(defaultProfile+"/bin/nix eval --json path:/f#homeConfigurations --apply ", answer)
	return homeBuild{testFacts(), testConfig()}, h
}

func foundJSON(t *testing.T, f found) hosttest.Answer {
	data, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	return hosttest.Says(string(data))
}

func TestNixIsAskedOnceForTheNamesAndTheChoice(t *testing.T) {
	s, h := choosing(t, foundJSON(t, found{Names: []string{"ann@desk"}, Pick: "ann@desk", User: "ann", Home: "/home/ann"}))
	s.c.Configuration = `a "b" ${c}`
	got, err := s.choose(t.Context(), h.View(), "path:/f")
	if err != nil || got != "ann@desk" {
		t.Errorf("%q, %v", got, err)
	}
	calls := h.Calls()
	if len(calls) != 1 || !strings.Contains(calls[0], `builtins.elem n names) [ "a \"b\" \${c}" ];`) {
		t.Errorf("asked %q", calls)
	}
}

func TestAConfigurationForAnotherUserOrHomeIsRefused(t *testing.T) {
	for _, got := range []found{
		{Names: []string{"x", "y"}, Pick: "x", User: "bob", Home: "/home/bob"},
		{Names: []string{"x", "y"}, Pick: "x", User: "ann", Home: "/Users/ann"},
	} {
		s, h := choosing(t, foundJSON(t, got))
		_, err := s.choose(t.Context(), h.View(), "path:/f")
		refuses(t, err, bootstrap.ExitConfig, `"x"`, got.User, got.Home, "ann", "/home/ann", "--configuration", "x, y")
	}
}

func TestAConfigurationThatDoesNotSayWhoseItIsIsTaken(t *testing.T) {
	s, h := choosing(t, foundJSON(t, found{Names: []string{"ann"}, Pick: "ann"}))
	if got, err := s.choose(t.Context(), h.View(), "path:/f"); got != "ann" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

func TestWhenNoneFitsTheNearestIsNamedFirst(t *testing.T) {
	s, h := choosing(t, foundJSON(t, found{Names: []string{"alpha", "ann@dusk.example.org", "zeta", "ann@desk.example.com"}}))
	_, err := s.choose(t.Context(), h.View(), "path:/f")
	refuses(t, err, bootstrap.ExitConfig, "path:/f", "ann@desk.example.org, ann@desk", `--configuration "ann@dusk.example.org"`)
	if !strings.Contains(err.Error(), "there are: ann@dusk.example.org, ann@desk.example.com, ") {
		t.Errorf("order: %v", err)
	}
}

func TestAFlakeWithoutConfigurationsIsRefused(t *testing.T) {
	s, h := choosing(t, foundJSON(t, found{}))
	_, err := s.choose(t.Context(), h.View(), "path:/f")
	refuses(t, err, bootstrap.ExitConfig, "path:/f", "homeConfigurations")
	s, h = choosing(t, hosttest.Fails(1, "error: flake 'path:/f' does not provide attribute 'homeConfigurations'"))
	_, err = s.choose(t.Context(), h.View(), "path:/f")
	refuses(t, err, bootstrap.ExitConfig, "path:/f", "homeConfigurations", "nix flake show")
}

func TestNixesComplaintsGetACodeAndANextCommand(t *testing.T) {
	for _, test := range []struct {
		says, hint string
		code       int
	}{
		{"error: Path 'x.nix' is not tracked by Git", "git -C " + testRepo + " add", bootstrap.ExitConfig},
		{"error: cannot connect to socket at '/nix/x': Connection refused", "systemctl status", bootstrap.ExitFailed},
		{"error: unable to download 'https://x': Couldn't resolve host name (6)", "check the network", bootstrap.ExitUnreachable},
		{"error: writing to file: No space left on device", "free some space", bootstrap.ExitFailed},
		{"error: syntax error, unexpected ')'", testRepo, bootstrap.ExitConfig},
		{"error: undefined variable 'pkgz'", testRepo, bootstrap.ExitConfig},
		{"error: builder for '/nix/store/x.drv' failed with exit code 1", testRepo, bootstrap.ExitFailed},
	} {
		s, h := choosing(t, hosttest.Fails(1, test.says))
		_, err := s.choose(t.Context(), h.View(), "path:/f")
		refuses(t, err, test.code, test.says, test.hint)
	}
}

// unquote reads a Nix string literal as Nix does: https://nix.dev/manual/nix/latest/language/string-literals
func unquote(s string) (string, error) {
	body, ok := strings.CutPrefix(s, `"`)
	if body, ok2 := strings.CutSuffix(body, `"`); ok && ok2 {
		var b strings.Builder
		for i := 0; i < len(body); i++ {
			switch {
			case body[i] == '"':
				return "", errors.New("ends early")
			case body[i] == '$' && i+1 < len(body) && body[i+1] == '{':
				return "", errors.New("interpolates")
			case body[i] == '\\' && i+1 == len(body):
				return "", errors.New("does not end")
			case body[i] == '\\':
				i++
			}
			b.WriteByte(body[i])
		}
		return b.String(), nil
	}
	return "", errors.New("is no string")
}

func FuzzAQuotedNameIsReadBackAsItWas(f *testing.F) {
	for _, name := range []string{"ann", "ann@desk", `a"b`, "${x}", "$${x}", `\${x}`, `\`, "a b", "$", "ü", "a\nb", `\"`, "{}", "$\\{"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if strings.ContainsAny(name, "\x00\r") { // what Nix cannot have in a name
			return
		}
		if got, err := unquote(quote(name)); err != nil || got != name {
			t.Errorf("%q is quoted %s, which is read as %q, %v", name, quote(name), got, err)
		}
	})
}

func TestANameInAnInstallableIsReadBackAsItWas(t *testing.T) {
	// What nix 2.8 was seen to read: percent-encoding is undone, then what is between
	// quotes is taken as it is.
	for name, want := range map[string]string{
		"ann@desk": `"ann@desk"`, "a b": `"a%20b"`, "50%": `"50%25"`, "${x}": `"$%7Bx%7D"`, `a\b`: `"a%5Cb"`, "a#b": `"a%23b"`, "ü": `"%C3%BC"`, "a^b": `"a%5Eb"`, "a?b": `"a%3Fb"`,
	} {
		if got, err := installable("F", name); err != nil || got != "F#homeConfigurations."+want+".activationPackage" {
			t.Errorf("%q: %s, %v", name, got, err)
		}
	}
	_, err := installable("F", `a"b`)
	refuses(t, err, bootstrap.ExitConfig, `a\"b`, "rename")
}

func TestAnswersThatAreNoJSONAreAnError(t *testing.T) {
	s, h := choosing(t, hosttest.Says("warning: something\n"))
	if _, err := s.choose(t.Context(), h.View(), "path:/f"); err == nil || !strings.Contains(err.Error(), "nix eval") {
		t.Errorf("%v", err)
	}
}

func TestOfflineIsPassedOn(t *testing.T) {
	s, h := choosing(t, func(c host.Cmd) (host.Result, error) {
		if !slices.Contains(c.Args, "--offline") {
			t.Errorf("args: %q", c.Args)
		}
		return host.Result{Stdout: []byte(`{"names": ["ann"], "pick": "ann"}`)}, nil
	})
	s.c.Offline = true
	if _, err := s.choose(t.Context(), h.View(), "path:/f"); err != nil {
		t.Error(err)
	}
}
