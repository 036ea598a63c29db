package steps

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"movein/bootstrap"
	"movein/bootstrap/host"
	"movein/bootstrap/host/hosttest"
	"movein/steps/home"
)

func TestChezmoiDoesNotWaitForEver(t *testing.T) {
	for source, pipe := range map[string]string{
		"create_dot_a": ".a",
		"dot_config/exact_b/modify_private_c.tmpl": ".config/b/c",
	} {
		d := newRealDots(t, files{source: "{{/* chezmoi:modify-template */}}"})
		d.put(d.home(pipe), "")
		if err := syscall.Unlink(d.home(pipe)); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Mkfifo(d.home(pipe), 0o600); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		_, err := d.z.look(context.Background(), d.h)
		if bootstrap.ExitCode(err) != bootstrap.ExitRefused || !strings.Contains(err.Error(), d.home(pipe)) || time.Since(began) > 20*time.Second {
			t.Errorf("%s: %v", source, err)
		}
	}
	for source, mine := range map[string]string{"modify_a": "a/", "d/create_dot_a": "d/.a/", "e/f/g/create_a": "e/f"} {
		d := newRealDots(t, files{source: "#!/bin/sh\necho"})
		d.put(d.home(mine), "1")
		_, err := d.z.look(context.Background(), d.h)
		if want := d.home(strings.TrimSuffix(mine, "/")) + " is in the way"; bootstrap.ExitCode(err) != bootstrap.ExitRefused || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", source, err)
		}
	}
	d := newRealDots(t, files{"a.tmpl": `{{ output "sleep" "100" }}`})
	d.z.patience = time.Second
	_, err := d.z.look(context.Background(), d.h)
	if err == nil || !strings.Contains(err.Error(), "no answer within") || bootstrap.HintOf(err) == "" {
		t.Error(err)
	}
	d = newRealDots(t, files{"create_a": "1"})
	d.put(d.home("a"), "-> /dev/null")
	d.look()
}

func TestALinkToWhatChezmoiCouldNotReadIsRefusedBeforeItIsMade(t *testing.T) {
	h := hosttest.New(t, files{"/nix/store/x/file": "1", "/nix/store/x/dir/a": "1", "/nix/store/x/gone": "-> nowhere"})
	for _, tc := range []struct{ source, link, target, why string }{
		{"create_a", "a", "/nix/store/x/file", ""},
		{"create_a", "a", "/nix/store/x/gone", ""},
		{"a", "a", "/nix/store/x/dir", ""},
		{"create_a", "a-b", "/nix/store/x/dir", ""},
		{"create_a", "a", "/nix/store/x/dir", "/nix/store/x/dir is in the way"},
		{"d/modify_a", "d", "/nix/store/x/dir", ""},
		{"d/modify_a", "d", "/nix/store/x/file", "/nix/store/x/file is in the way"},
		{"d/a/modify_b", "d", "/nix/store/x/dir", "/nix/store/x/dir/a is in the way"},
	} {
		z := chezmoi{c: dotsConfig(), source: dotsDir}
		err := z.unread(h, []string{z.root(h) + "/" + tc.source}, []home.Claim{{Path: tc.link, Owner: home.HomeManager, Kind: home.Link, Target: tc.target}})
		if tc.why == "" {
			if err != nil {
				t.Errorf("%+v: %v", tc, err)
			}
			continue
		}
		refuses(t, err, bootstrap.ExitRefused, tc.why)
	}
}

func TestChezmoiShowsNoSecretOfPrograms(t *testing.T) {
	d := newRealDots(t, files{
		"a.tmpl":                    `{{ output "echo" "hush" }}`,
		"b.tmpl":                    `{{ if true }}{{ env "TOKEN" }}{{ end }}x`,
		"c.tmpl":                    `{{ includeTemplate "part" . }}`,
		"d.tmpl":                    `{{ template "part" . }}`,
		"e.tmpl":                    `{{ include (joinPath .chezmoi.sourceDir "open.tmpl") }}`,
		"modify_f":                  "#!/bin/sh\necho hush",
		"g.tmpl":                    "{{/* chezmoi:template:left-delimiter=<< right-delimiter=>> */}}\n<< env \"TOKEN\" >>x",
		"i.tmpl":                    `{{ includeTemplate "loop" . }}`,
		".chezmoitemplates/part":    `{{ includeTemplate "deep/er" . }}`,
		".chezmoitemplates/deep/er": `{{ "hush" | printf "%s" | quote }}{{ exec "true" }}`,
		".chezmoitemplates/loop":    `{{ if false }}{{ template "loop" . }}{{ end }}shown`,
		"open.tmpl":                 `{{ env "HOME" }} {{ .chezmoi.os }} {{ include "plain" }}`,
		"plain":                     "output env",
	})
	l := d.look()
	for _, c := range l.Claims {
		shown := c.Path == "open" || c.Path == "plain" || c.Path == "i"
		if c.Secret == shown || (c.Text != nil) != shown {
			t.Errorf("%s: secret %v, text %q", c.Path, c.Secret, c.Text)
		}
	}
	if len(l.Claims) != 10 {
		t.Error(len(l.Claims))
	}
}

func TestChezmoisStateIsBackedUpWhereverItIs(t *testing.T) {
	ctx := context.Background()
	for _, tc := range []struct {
		name, config string
		fresh, link  bool
		want         string // below the home; "": refused
	}{
		{name: "outside of the home", config: "../config"},
		{name: "in the home", config: ".config", want: ".config/chezmoi/chezmoistate.boltdb"},
		{name: "behind a link", config: ".config", link: true, want: "dots/config/chezmoi/chezmoistate.boltdb"},
		{name: "named", config: "etc", want: "x/s.db"},
		{name: "named outside", config: "out"},
		{name: "named by a new config", config: ".config", fresh: true, want: "y.db"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := newRealDots(t, files{"a": "1"})
			d.z.c.ConfigHome = filepath.Join(d.z.c.Home, tc.config)
			switch tc.config {
			case "etc":
				d.put(d.z.configFile("toml"), "persistentState = \"~/x/s.db\"\n")
			case "out":
				d.put(d.z.configFile("yaml"), "persistentState: /nowhere/s.db\n")
			}
			if tc.link {
				d.put(d.home("dots/config/"), "")
				d.put(d.home(".config"), "-> dots/config")
			}
			want := []string{tc.want}
			var fresh *freshConfig
			if tc.fresh {
				fresh = &freshConfig{format: "toml", data: []byte("persistentState = \"~/y.db\"\n")}
				want = append(want, ".config/chezmoi/chezmoi.toml")
			}
			got, err := d.z.ownFiles(ctx, d.h, fresh)
			if tc.want == "" {
				if bootstrap.ExitCode(err) != bootstrap.ExitRefused || bootstrap.HintOf(err) == "" {
					t.Errorf("%v, %v", got, err)
				}
			} else if err != nil || !slices.Equal(got, want) {
				t.Errorf("%v, %v", got, err)
			}
		})
	}
}

func TestDotfilesWhoseStateCannotBeBackedUpAreRefused(t *testing.T) {
	d := dotsHost(t, nil, files{".a": "1"}, nil)
	for dir, want := range map[string]int{"/etc/ann": bootstrap.ExitRefused, "/home/ann/.config": 0} {
		s := dotsStep(func(c *Config) { c.ConfigHome = dir })
		_, err := s.preview(context.Background(), d.h.View(), generation{s.c, theGen})
		if bootstrap.ExitCode(err) != want {
			t.Errorf("%s: %v", dir, err)
		}
	}
}

func TestChezmoisExactDirectoriesAreClaimedSo(t *testing.T) {
	for ignore, want := range map[string]string{"": ".a .b", "# *\nREADME": ".a .b", ".a/f": ".b", "*.md": ""} {
		d := newRealDots(t, files{"exact_dot_a/f": "1", "exact_private_dot_b/dot_c/f": "1", ".chezmoiignore": ignore})
		var got []string
		for _, c := range d.look().Claims {
			if c.Exact {
				got = append(got, c.Path)
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("ignore %q: %q", ignore, got)
		}
	}
}

func TestWhatComesIntoAnExactDirectoryAfterTheLookIsSeen(t *testing.T) {
	d := newRealDots(t, files{"exact_d/f": "1", "e/f": "1", ".chezmoiignore": "d/ignored\n"})
	d.put(d.home("d/ignored"), "mine")
	d.put(d.home("d/stray"), "mine")
	d.put(d.home("gen/home-files/"), "")
	d.put(d.home("gen/home-path/bin/chezmoi"), "-> "+d.z.bin)
	d.z.c.ConfigHome = d.home(".config")
	s := homeActivate{c: d.z.c}
	p, err := s.preview(t.Context(), d.h, generation{s.c, d.home("gen")})
	if err != nil {
		t.Fatal(err)
	}
	d.put(d.home("d/new"), "mine")
	d.put(d.home("e/new"), "mine")
	var more []string
	items, err := p.again(d.h)(t.Context())
	for _, i := range items {
		if !slices.ContainsFunc(p.items, func(was home.Item) bool { return was.Path == i.Path }) {
			more = append(more, i.Path)
		}
	}
	if err != nil || !slices.Equal(more, []string{"d/new"}) {
		t.Errorf("%q, %v", more, err)
	}
	d.apply(p.look)
	for name, want := range map[string]bool{"d/new": false, "e/new": true, "d/ignored": true} {
		if exists(d.h, d.home(name)) != want {
			t.Errorf("chezmoi leaves %s: %v", name, !want)
		}
	}
}

func TestChezmoiIsAskedWhenWhatALinkLeadsToIsEdited(t *testing.T) {
	for what, change := range map[string]func(kept string) error{
		"edited": func(kept string) error { return os.WriteFile(kept+"/config.toml", []byte("progress = true\n"), 0o600) },
		"led elsewhere": func(kept string) error {
			return errors.Join(os.Remove(kept+"/link.toml"), os.Symlink("other.toml", kept+"/link.toml"))
		},
	} {
		d := newRealDots(t, files{"dot_a": "1"})
		d.put(d.home("kept/config.toml"), "progress = false\n")
		d.put(d.home("kept/other.toml"), "progress = false\n")
		d.put(d.z.configFile("toml"), "-> "+d.home("kept/link.toml"))
		d.put(d.home("kept/link.toml"), "-> config.toml")
		d.settled()
		if err := change(d.home("kept")); err != nil {
			t.Fatal(err)
		}
		if d.z.unchanged(d.h, "key") {
			t.Errorf("%s: the config counts as unchanged", what)
		}
	}
}

func TestChezmoiIsAskedWhatPartsAndHooksSee(t *testing.T) {
	for what, source := range map[string]files{
		"a file outside": {"a.tmpl": `{{ includeTemplate "/etc/hostname" }}`},
		"a part":         {"a.tmpl": `{{ includeTemplate "b" }}`, "b": `{{ output "date" }}`},
		"the network":    {"a.tmpl": `{{ if false }}{{ getRedirectedURL "https://example.org" }}{{ end }}`},
		"a name":         {"a.tmpl": `{{ .chezmoi.fqdnHostname }}`},
		"hooks":          {"a": "1"},
	} {
		d := newRealDots(t, source)
		if what == "hooks" {
			d.put(d.z.configFile("toml"), "[hooks.read-source-state.pre]\ncommand = \"true\"\n")
		}
		if why := d.look().sight.why; why == "" || strings.Contains(why, "just before") {
			t.Errorf("%s is no reason to ask: %q", what, why)
		}
	}
}

// closed is a host on which nobody may read a file, nor enter a directory "shut".
type closed struct{ host.View }

func (c closed) Lstat(name string) (fs.FileInfo, error) {
	if filepath.Base(filepath.Dir(name)) == "shut" {
		return nil, &fs.PathError{Op: "lstat", Path: name, Err: fs.ErrPermission}
	}
	return c.View.Lstat(name)
}

func (c closed) ReadHead(name string, _ int) ([]byte, error) {
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
}

func TestWhatChezmoiMayNotReadIsRefused(t *testing.T) {
	d := newRealDots(t, files{})
	d.put(d.home("d/b"), "mine")
	d.put(d.home("shut/c"), "mine")
	for path, want := range map[string]string{"d/b": "d/b may not be read", "shut/c": "shut may not be entered", "d/none": " "} {
		name, why := inReadersWay(closed{d.h}, d.z.c.Home, path)
		if got := strings.TrimPrefix(name, d.z.c.Home+"/") + " " + why; got != want {
			t.Errorf("%s: %q, not %q", path, got, want)
		}
	}
}

func TestADiffShowsNothingOfTheConfig(t *testing.T) {
	d := newRealDots(t, files{"a.tmpl": "{{ .deep.token }} {{ index .list 0 }} {{ .pin }} shown\n"})
	d.put(d.home("a"), "older hushhush\n")
	d.z.c.ConfigHome, d.z.c.Diff = d.home(".config"), true
	d.put(d.home(".config/chezmoi/chezmoi.toml"), "[data]\nlist = ['silence']\npin = 93751\n[data.deep]\ntoken = 'hushhush'\n")
	d.put(d.home("gen/home-files/"), "")
	d.put(d.home("gen/home-path/bin/chezmoi"), "-> "+d.z.bin)
	s := homeActivate{c: d.z.c}
	p, err := s.preview(t.Context(), d.h, generation{s.c, d.home("gen")})
	if err != nil {
		t.Fatal(err)
	}
	change := p.change(d.h)
	shown := change[len(change)-1].Diff
	if !strings.Contains(shown, "older [redacted]") || !strings.Contains(shown, "[redacted] [redacted] [redacted] shown") {
		t.Errorf("%q", shown)
	}
}

func TestAFileThatShouldBeADirectoryForChezmoiIsRefused(t *testing.T) {
	d := newRealDots(t, files{".chezmoiremove": "d/a\n"})
	d.put(d.home("d"), "mine")
	_, err := d.z.look(context.Background(), d.h)
	refuses(t, err, bootstrap.ExitRefused, "d/a")
	d = newRealDots(t, files{"f": "1", "x.tmpl": `{{ include "f/a" }}`})
	_, err = d.z.look(context.Background(), d.h)
	refuses(t, err, bootstrap.ExitConfig, "x.tmpl")
}
