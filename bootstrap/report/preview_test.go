package report

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"movein/bootstrap"
)

// file is an action on a file of the home.
func file(verb, owner, path, was string) bootstrap.Action {
	return bootstrap.Action{Verb: verb, Target: "/home/me/" + path, Owner: owner, Was: was}
}

const diffOfBashrc = `--- ~/.bashrc
+++ ~/.local/share/chezmoi/dot_bashrc.tmpl
@@ -1,4 +1,4 @@
 # ~/.bashrc
-alias ll='ls -l'
+alias ll='ls -lh'
 export EDITOR=vi
-PS1='\$ '
\ No newline at end of file
+PS1='\u \$ '
`

// mixedHome is a change with each verb in it, and each thing that can be in the way.
func mixedHome() bootstrap.Change {
	const hm, cz = "home-manager", "chezmoi"
	c := bootstrap.Change{
		act("activate", generation, "is not the active generation"),
		act("run", "~/.local/share/chezmoi/run_once_fonts.sh"),
		file("create", hm, ".bash_profile", ""),
		file("replace", cz, ".bashrc", "file"),
		file("create", hm, ".config", ""),
		file("create", hm, ".config/fish", ""),
		file("create", hm, ".config/git", ""),
		file("create", hm, ".config/git/config", ""),
		file("update", hm, ".config/git/ignore", "link"),
		file("replace", hm, ".config/kitty", "folded parent directory"),
		file("create", hm, ".config/kitty/kitty.conf", ""),
		file("create", hm, ".config/kitty/theme.conf", ""),
		file("update", cz, ".config/mimeapps.list", "home-manager's link"),
		file("keep", cz, ".config/starship.toml", "edited file"),
		file("keep", cz, ".inputrc", "deleted"),
		file("replace", hm, ".local/bin/backup-everything-to-the-attic", "dangling link"),
		file("delete", hm, ".oldrc", "link"),
		file("delete", cz, ".old2rc", "edited file"),
		file("replace", cz, ".ssh/config", "other owner's file"),
	}
	for i := range 40 {
		c = append(c, file("create", hm, fmt.Sprintf(".config/fish/functions/f%02d.fish", i), ""))
	}
	for i := range 12 {
		c = append(c, file("create", cz, fmt.Sprintf("bin/tool-%02d", i), ""))
	}
	c = append(c, file("replace", cz, "bin/tool-99", "directory"))
	c[3].Diff, c[3].Source = diffOfBashrc, "/home/me/.local/share/chezmoi/dot_bashrc.tmpl"
	c[8].Diff, c[8].Source = "--- a\n+++ b\n@@ -0,0 +1,60 @@\n"+strings.Repeat("+*.o\n", 60), "/nix/store/x-home-manager-files/.config/git/ignore"
	c[17].Diff = "binary files differ\n"
	return c
}

// oddNames are names that have to be told from others, and not to be acted on.
func oddNames() bootstrap.Change {
	c := bootstrap.Change{
		file("replace", "chezmoi", "new\nline", "file"),
		file("create", "chezmoi", "caf\xe9/menu", ""),
		file("create", "chezmoi", "esc\x1b[2Jape", ""),
		file("create", "chezmoi", " space ", ""),
		file("create", "chezmoi", `say "hi"`, ""),
		file("create", "chezmoi", "über/漢字", ""),
		file("create", "chezmoi", "bidi\u202etxt.exe", ""),
		file("create", "chezmoi", "a /home/me/b", ""),
		file("update", "chezmoi", "a-name-that-is-longer-than-what-there-is-room-for-in-a-line-of-this-width-and-goes-on", "home-manager's link"),
	}
	c[0].Source = "/home/me/.local/share/chezmoi/new\nline"
	c[0].Diff = "--- a\n+++ b\n@@ -1,2 +1,3 @@\n-\tred \x1b[31m\n+\tcrlf\r\n+caf\xe9 \ufffd\n+" + strings.Repeat("long ", 60) + "\n \n"
	return c
}

func homeTape(dry bool, c bootstrap.Change) *tape {
	p := newTape().step(0, "home-activate", bootstrap.Running, "")
	if !dry {
		p.step(1*ms, "home-activate", bootstrap.Applying, "", c...)
	}
	return p.step(1200*ms, "home-activate", bootstrap.Changed, "", c...).
		summary(bootstrap.Summary{DryRun: dry, Changed: true, Failed: []string{}, Generation: generation})
}

// TestPreview shows the home's change: before, and when it was made.
func TestPreview(t *testing.T) {
	for name, change := range map[string]bootstrap.Change{"home": mixedHome(), "odd": oddNames()} {
		for look, o := range map[string]TextOptions{
			"txt":         {Unicode: true},
			"ascii.txt":   {},
			"color.txt":   {Unicode: true, Color: true},
			"verbose.txt": {Unicode: true, Color: name == "home", Verbose: true},
			"50.txt":      {Unicode: true, Width: 50, Verbose: name == "odd"},
			"100.txt":     {Unicode: true, Width: 100},
		} {
			for _, dry := range []bool{true, false} {
				file := fmt.Sprintf("%s.%s.%s", map[bool]string{true: "plan", false: "apply"}[dry], name, look)
				t.Run(file, func(t *testing.T) {
					var b bytes.Buffer
					o.DryRun, o.Home = dry, "/home/me"
					homeTape(dry, change).play(Text(&b, o))
					golden(t, file, b.Bytes())
					if name == "home" && o.Width == 0 {
						checkLines(t, b.String(), o)
					}
					if strings.ContainsAny(b.String(), "\r\u202e") || !utf8.Valid(b.Bytes()) || !o.Color && strings.Contains(b.String(), "\x1b") {
						t.Error("control characters came through")
					}
				})
			}
		}
	}
}

// TestPreviewOfOneOwner has no column that says the same on each line.
func TestPreviewOfOneOwner(t *testing.T) {
	var b bytes.Buffer
	homeTape(true, bootstrap.Change{file("create", "home-manager", ".profile", ""), file("replace", "home-manager", ".x", "file")}).
		play(Text(&b, TextOptions{DryRun: true, Home: "/home/me"}))
	const want = `  Activate the home generation (home-activate)
       ~/          all home-manager's
     + | .profile
     ! ` + "` " + `.x        file -> backed up`
	if !strings.HasPrefix(b.String(), want) {
		t.Errorf("%s", b.String())
	}
}

// TestPreviewFolds: what is alike is one line, and what is somebody else's never is.
func TestPreviewFolds(t *testing.T) {
	for name, test := range map[string]struct {
		change func(i int) bootstrap.Action
		want   string
	}{
		"create":    {func(i int) bootstrap.Action { return file("create", "x", fmt.Sprint("d/", i), "") }, "d/ (20 files)"},
		"update":    {func(i int) bootstrap.Action { return file("update", "x", fmt.Sprint("d/", i), "") }, "d/ (20 files)"},
		"delete":    {func(i int) bootstrap.Action { return file("delete", "x", fmt.Sprint("d/", i), "link") }, "d/ (20 files)"},
		"deep":      {func(i int) bootstrap.Action { return file("create", "x", fmt.Sprintf("d/%d/%d", i%3, i), "") }, "d/ (20 files)"},
		"replace":   {func(i int) bootstrap.Action { return file("replace", "x", fmt.Sprintf("d/%02d", i), "file") }, "!   ` 19  file -> backed up"},
		"keep":      {func(i int) bootstrap.Action { return file("keep", "x", fmt.Sprintf("d/%02d", i), "edited file") }, "=   ` 19  edited file, stays"},
		"many dirs": {func(i int) bootstrap.Action { return file("create", "x", fmt.Sprintf("%02d/a", i), "") }, "+ ` ... and 13 more"},
		"two owners": {func(i int) bootstrap.Action {
			return file("create", fmt.Sprint("x", i%2), fmt.Sprintf("d/%02d", i), "")
		}, "... and 3 more"},
	} {
		var c bootstrap.Change
		for i := range 20 {
			c = append(c, test.change(i))
		}
		var b bytes.Buffer
		homeTape(true, c).play(Text(&b, TextOptions{DryRun: true, Home: "/home/me"}))
		got := b.String()
		if !strings.Contains(got, test.want) {
			t.Errorf("%s: no %q in\n%s", name, test.want, b.String())
		}
		if folded := strings.Contains(got, "-v shows them all"); folded != (name != "replace" && name != "keep") {
			t.Errorf("%s: -v is named: %v", name, folded)
		}
		if !strings.Contains(got, "Plan: 20 changes in 1 step.") && name != "keep" {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// TestChange is the part of a plan that others show.
func TestChange(t *testing.T) {
	c := bootstrap.Change{act("activate", "/nix/store/x"), file("update", "chezmoi", ".bashrc", "file")}
	c[1].Diff = "+x\n"
	want := []string{"     ` activate  /nix/store/x", "       ~/         all chezmoi's", "     ~ ` .bashrc", "       1 to update (-v shows the differences)"}
	if got := Change(c, TextOptions{Home: "/home/me"}); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

// TestManyFiles is a home of which each file changes: it is not to take long.
func TestManyFiles(t *testing.T) {
	var c bootstrap.Change
	for i := range 20000 {
		c = append(c, file("update", "home-manager", fmt.Sprintf("d%d/e%d/%d", i%7, i%31, i), ""))
	}
	start := time.Now()
	got := Change(c, TextOptions{Home: "/home/me"})
	if took := time.Since(start); len(got) > 20 || took > 3*time.Second {
		t.Errorf("%d lines after %v", len(got), took)
	}
}

func TestQuoted(t *testing.T) {
	for in, want := range map[string]string{
		"a b": "a b", "ü/漢": "ü/漢", "": `""`, " a": `" a"`, "a\n": `"a\n"`, "\xff": `"\xff"`, `a\b`: `"a\\b"`, `"`: `"\""`, "\u00a0x": `"\u00a0x"`, "\u202e": `"\u202e"`,
	} {
		if got := quoted(in); got != want {
			t.Errorf("quoted(%q) = %s, want %s", in, got, want)
		}
	}
}

func TestVisible(t *testing.T) {
	for in, want := range map[string]string{
		"+a\tb\r": `+a    b\r`, "caf\xe9 \ufffd": `caf\xe9 ` + "\ufffd", "\x1b[31m": `\x1b[31m`, "'\"\\": `'"\`, "\u202e": `\u202e`, "ü": "ü",
	} {
		if got := visible(in); got != want {
			t.Errorf("visible(%q) = %s, want %s", in, got, want)
		}
	}
}
