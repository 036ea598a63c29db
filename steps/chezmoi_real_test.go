package steps

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"movein/bootstrap"
	"movein/bootstrap/host"
	"movein/steps/home"
)

// realDots is a home with dotfiles and the real chezmoi.
type realDots struct {
	t        testing.TB
	z        chezmoi
	h        *host.Real
	warnings *[]string
}

// newRealDots makes the source of these files. The chezmoi is the one that
// MOVEIN_TEST_CHEZMOI names, or else that on PATH.
func newRealDots(t testing.TB, source files) realDots {
	t.Helper()
	bin := os.Getenv("MOVEIN_TEST_CHEZMOI")
	if bin == "" {
		var err error
		if bin, err = exec.LookPath("chezmoi"); err != nil {
			t.Skip("there is no chezmoi: set MOVEIN_TEST_CHEZMOI")
		}
	}
	top := t.TempDir()
	c := &Config{
		User: "ann", UID: os.Getuid(), Home: top + "/home", Dotfiles: top + "/source", ConfigHome: top + "/config",
		DataHome: top + "/data", StateHome: top + "/state", CacheHome: top + "/cache",
	}
	var warnings []string
	d := realDots{t: t, warnings: &warnings,
		z: chezmoi{c: c, bin: bin, source: c.Dotfiles},
		h: &host.Real{Env: []string{"HOME=" + c.Home, "PATH=/usr/bin:/bin", "USER=ann"}, Cache: c.Cache(), Notes: func(n host.Note) { warnings = append(warnings, n.Warning) }},
	}
	d.put(c.Home+"/", "")
	for name, text := range source {
		d.put(c.Dotfiles+"/"+name, text)
	}
	return d
}

// put writes a file, "-> target" a link, and a name that ends in "/" a directory.
func (d realDots) put(name, text string) {
	d.t.Helper()
	err := os.MkdirAll(filepath.Dir(name), 0o755)
	target, link := strings.CutPrefix(text, "-> ")
	switch {
	case strings.HasSuffix(name, "/") || err != nil:
	case link:
		err = os.Symlink(target, name)
	default:
		err = os.WriteFile(name, []byte(text), 0o644)
	}
	if err != nil {
		d.t.Fatal(err)
	}
}

func (d realDots) home(name string) string { return d.z.c.Home + "/" + name }

func (d realDots) text(name string) string {
	data, err := os.ReadFile(d.home(name))
	if err != nil {
		return "!" + err.Error()[strings.LastIndex(err.Error(), ":")+1:]
	}
	return string(data)
}

func (d realDots) look() *chezmoiLook {
	d.t.Helper()
	l, err := d.z.look(context.Background(), d.h)
	if err != nil {
		d.t.Fatalf("%v\n%s", err, bootstrap.HintOf(err))
	}
	return l
}

func (d realDots) apply(l *chezmoiLook, leave ...string) {
	d.t.Helper()
	if err := d.z.apply(context.Background(), d.h, l, leave); err != nil {
		d.t.Fatalf("%v\n%s", err, bootstrap.HintOf(err))
	}
}

// differs is what is not as the claims say, and why.
func (d realDots) differs(l *chezmoiLook) (out []string) {
	for _, c := range l.Claims {
		name := d.home(c.Path)
		info, err := os.Lstat(name)
		is := home.Absent
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			out = append(out, err.Error())
		case info.IsDir():
			is = home.Dir
		case info.Mode()&fs.ModeSymlink != 0:
			is = home.Link
		default:
			is = home.File
		}
		bad := is != c.Kind
		if !bad && is == home.Link {
			target, err := os.Readlink(name)
			bad = err != nil || target != c.Target
		}
		if !bad && (is == home.File || is == home.Dir) {
			bad = info.Mode().Perm() != c.Mode
		}
		if !bad && is == home.File {
			data, err := os.ReadFile(name)
			bad = err != nil || digest(data) != c.SHA256
		}
		if bad {
			out = append(out, c.Path)
		}
	}
	return out
}

func (l *chezmoiLook) claimOf(path string) home.Claim {
	for _, c := range l.Claims {
		if c.Path == path {
			return c
		}
	}
	return home.Claim{}
}

// allKinds is a source with every kind of entry.
func allKinds() files {
	const ran = "#!/bin/sh\necho %s >>$HOME/ran\n"
	return files{
		"dot_bashrc": "bashrc\n", "executable_run": "#!/bin/sh\n", "private_secret": "p\n", "readonly_ro": "r\n", "empty_keep": "", "notempty": "",
		"create_created": "c\n", "modify_modified": "#!/bin/sh\ncat >/dev/null; echo modified\n", "symlink_dot_link": "to/there\n",
		"dot_config/app/conf": "app\n", "private_dot_ssh/config": "h\n", "exact_dot_exact/a": "x\n", "remove_dot_gone": "",
		"tmpl.tmpl": "{{ .chezmoi.sourceDir }}", "new\nline": "nl", "lat\xe9n": "nu", "none\xe9": "", "none\xe8": "", "binary": "\x00\xff\xfe", ".chezmoiremove": ".oldfile\n",
		"run_once_a.sh": strings.ReplaceAll(ran, "%s", "once"), "run_onchange_b.sh": strings.ReplaceAll(ran, "%s", "onchange"),
		"run_c.sh": strings.ReplaceAll(ran, "%s", "always"), "run_before_z.sh": strings.ReplaceAll(ran, "%s", "before"),
		".chezmoiscripts/run_once_after_a.sh.tmpl": strings.ReplaceAll(ran, "%s", "after-{{ .chezmoi.os }}"), ".chezmoiignore": "README.md\n", "README.md": "no",
	}
}

func TestChezmoiMakesWhatIsClaimed(t *testing.T) {
	d := newRealDots(t, allKinds())
	for _, name := range []string{".oldfile", ".gone", "notempty", "none\xe9", ".exact/stranger", "README.md"} {
		d.put(d.home(name), "old")
	}
	d.put(d.home(".bashrc"), "-> /somewhere")
	d.put(d.home("run/there/is/a/directory"), "")
	before := d.look()
	for path, want := range map[string]home.Kind{
		".bashrc": home.File, ".link": home.Link, ".config/app": home.Dir, ".gone": home.Absent, ".oldfile": home.Absent, ".exact/stranger": home.Absent,
		"notempty": home.Absent, "new\nline": home.File, "lat\xe9n": home.File, "none\xe9": home.Absent, "none\xe8": "", "README.md": "", "a.sh": "", "ran": "",
	} {
		if got := before.claimOf(path).Kind; got != want {
			t.Errorf("%q: claims %q, want %q", path, got, want)
		}
	}
	if c := before.claimOf("tmpl"); string(c.Text) != d.z.source || c.Source != d.z.source+"/tmpl.tmpl" || c.Last != nil || c.Secret || c.Owner != home.Chezmoi {
		t.Errorf("%+v", c)
	}
	if c := before.claimOf("secret"); c.Text != nil || c.Mode != 0o600 {
		t.Errorf("a private file is shown: %+v", c)
	}
	d.apply(before)
	if got := d.differs(before); len(got) != 0 {
		t.Errorf("not as claimed: %q", got)
	}
	if got := d.text("ran"); got != "before\nonce\nonchange\nalways\nafter-linux\n" {
		t.Errorf("scripts ran: %q", got)
	}
	after := d.look()
	if got := d.differs(after); len(got) != 0 {
		t.Errorf("after it, not as claimed: %q", got)
	}
	for _, c := range after.Claims {
		if c.Last == nil || c.Last.Kind != c.Kind || c.Kind == home.File && c.Last.SHA256 != c.SHA256 || c.Kind == home.Link && c.Last.SHA256 != digest([]byte(c.Target)) || c.Last.Mode != c.Mode {
			t.Errorf("%q: chezmoi does not know that it left it so: %+v", c.Path, c.Last)
		}
	}
}

func TestChezmoiScriptsAreDueOnce(t *testing.T) {
	d := newRealDots(t, allKinds())
	due := func() (names []string) {
		for _, s := range d.look().Scripts {
			if s.Due {
				names = append(names, s.Name)
			}
		}
		return names
	}
	if got := due(); !slices.Equal(got, []string{"a.sh", "b.sh", ".chezmoiscripts/a.sh"}) {
		t.Errorf("due are %q", got)
	}
	d.apply(d.look())
	if got := due(); got != nil {
		t.Errorf("due again are %q", got)
	}
	d.put(d.z.source+"/run_onchange_b.sh", "#!/bin/sh\n: changed\n")
	if got := due(); !slices.Equal(got, []string{"b.sh"}) {
		t.Errorf("due are %q", got)
	}
}

func TestChezmoiNeverAsksAboutAnEditedFile(t *testing.T) {
	d := newRealDots(t, files{"dot_a": "1", "dot_b": "1", "create_c": "1"})
	d.put(d.home(".a"), "mine")
	d.put(d.home("c"), "mine")
	d.apply(d.look())
	d.put(d.home(".a"), "edited")
	if err := os.Remove(d.home(".b")); err != nil {
		t.Fatal(err)
	}
	d.apply(d.look())
	if d.text(".a") != "1" || d.text(".b") != "1" || d.text("c") != "mine" {
		t.Errorf("%q %q %q", d.text(".a"), d.text(".b"), d.text("c"))
	}
}

func TestChezmoiLeavesWhatItIsTold(t *testing.T) {
	source := allKinds()
	source[".chezmoiremove"] = ".oldfile\nstale\n"
	d := newRealDots(t, source)
	for _, name := range []string{".bashrc", ".exact/stranger", ".exact/other", ".config/app/conf", "stale/kept"} {
		d.put(d.home(name), "mine")
	}
	d.apply(d.look(), ".bashrc", ".exact/stranger", ".config", "stale/kept")
	for name, want := range map[string]string{
		".bashrc": "mine", ".exact/stranger": "mine", ".config/app/conf": "mine", "stale/kept": "mine",
		".exact/other": "! no such file or directory", ".exact/a": "x\n", "modified": "modified\n", "new\nline": "nl", "lat\xe9n": "nu",
		"ran": "before\nonce\nonchange\nalways\nafter-linux\n",
	} {
		if got := d.text(name); got != want {
			t.Errorf("%q is %q, want %q", name, got, want)
		}
	}
}

func TestChezmoiSkipsOnlySecretsThatAreNotToBeHad(t *testing.T) {
	d := newRealDots(t, files{
		"dot_plain": "plain", "dot_env.tmpl": `{{ env "HOME" }}`, "nothing.tmpl": `{{ "" }}`, "private_dot_good.tmpl": `{{ secret "good" }}`, "dot_bad.tmpl": `{{ secret "bad" }}`,
		".chezmoitemplates/inner": `{{ secret "bad" }}`, "dot_deep.tmpl": `{{ includeTemplate "inner" . }}`, "dot_kp.tmpl": `{{ (keepassxc "e").Password }}`,
		"dot_pass.tmpl": `{{ pass "e" }}`, "dot_keyring.tmpl": `{{ keyring "a" "b" }}`, "encrypted_dot_enc.age": "no age at all",
		"run_once_s.sh.tmpl": "#!/bin/sh\necho {{ secret \"bad\" }} >>$HOME/ran\n", "run_t.sh": "#!/bin/sh\necho t >>$HOME/ran\n", "zlast": "last",
	})
	command := filepath.Dir(d.z.source) + "/vault"
	d.put(command, "#!/bin/sh\n[ \"$1\" = good ] && echo s3cret && exit\necho the vault is locked >&2; exit 1\n")
	if err := os.Chmod(command, 0o755); err != nil {
		t.Fatal(err)
	}
	config := "encryption = \"age\"\n[age]\nidentity = \"/nowhere\"\nrecipient = \"x\"\n[secret]\ncommand = \"" + command + "\"\n[keepassxc]\ndatabase = \"/nowhere.kdbx\"\n"
	d.put(d.z.configFile("toml"), config)
	l := d.look()
	var skipped []string
	for _, s := range l.Skipped {
		skipped = append(skipped, s.Path)
		if s.Why == "" || s.Source == "" {
			t.Errorf("%+v", s)
		}
	}
	if want := []string{".bad", ".deep", ".enc", ".keyring", ".kp", ".pass", "s.sh"}; !slices.Equal(skipped, want) {
		t.Errorf("skipped %q, want %q", skipped, want)
	}
	for path, secret := range map[string]bool{".plain": false, ".env": false, ".good": true, ".bad": true, ".enc": true} {
		if c := l.claimOf(path); c.Secret != secret || secret && c.Text != nil || (c.SHA256 == "") != (path == ".bad" || path == ".enc") {
			t.Errorf("%s: %+v", path, c)
		}
	}
	d.apply(l)
	for name, want := range map[string]string{".plain": "plain", ".env": d.z.c.Home, ".good": "s3cret", "zlast": "last", "ran": "t\n", ".bad": "! no such file or directory"} {
		if got := d.text(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if data, err := os.ReadFile(d.z.configFile("toml")); err != nil || string(data) != config {
		t.Errorf("the user's config is %q, %v", data, err)
	}
}

func TestChezmoiNamesATemplateThatIsWrong(t *testing.T) {
	for name, text := range map[string]string{"dot_a.tmpl": `{{ fail "boom" }}`, "dot_b.tmpl": `{{ nosuch }}`, "dot_c.tmpl": `{{ output "false" }}`, ".chezmoiignore": `{{ if }`} {
		d := newRealDots(t, files{name: text, "dot_sec.tmpl": `{{ secret "x" }}`})
		_, err := d.z.look(context.Background(), d.h)
		if err == nil || !strings.Contains(err.Error(), name) || bootstrap.ExitCode(err) != bootstrap.ExitConfig || bootstrap.HintOf(err) == "" {
			t.Errorf("%s: %v (exit %d)", name, err, bootstrap.ExitCode(err))
		}
	}
}

func TestChezmoiAsksNothingOfAFreshHost(t *testing.T) {
	d := newRealDots(t, files{
		".chezmoiroot": "dots\n", "dots/dot_a.tmpl": "{{ .email }} {{ .work }} {{ .n }} {{ .ch }}",
		"dots/.chezmoi.toml.tmpl": `{{ $e := promptStringOnce . "email" "Email, yours" -}}
[data]
email = {{ $e | quote }}
work = {{ promptBoolOnce . "work" "Work" false }}
n = {{ promptInt "N" 3 }}
ch = {{ promptChoiceOnce . "ch" "Choice" (list "a" "b") "b" | quote }}
`})
	_, err := d.z.look(context.Background(), d.h)
	if err == nil || !strings.Contains(err.Error(), "Email, yours") || strings.Contains(err.Error(), "Work") || bootstrap.ExitCode(err) != bootstrap.ExitConfig {
		t.Fatalf("an open question: %v", err)
	}
	d.z.c.Prompts = map[string]any{"Email, yours": "me@x", "N": int64(7)}
	l := d.look()
	if got := string(l.claimOf(".a").Text); got != "me@x false 7 b" {
		t.Errorf("it wants %q", got)
	}
	if _, err := os.Stat(d.z.c.ConfigHome); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("looking made %s", d.z.c.ConfigHome)
	}
	d.apply(l)
	d.apply(d.look())
	if d.text(".a") != "me@x false 7 b" || len(*d.warnings) != 0 {
		t.Errorf("%q, warnings %q", d.text(".a"), *d.warnings)
	}
	if _, err := os.Stat(d.z.source + "/.git"); err == nil {
		t.Error("the source was made a git repository")
	}
	d.z.c.Prompts["Email, yours"] = "other"
	d.apply(d.look())
	if d.text(".a") != "me@x false 7 b" {
		t.Errorf("the config was overwritten: %q", d.text(".a"))
	}
}

func TestChezmoiReadsTheVaultOnAFreshHost(t *testing.T) {
	d := newRealDots(t, files{
		"dot_a.tmpl": `{{ (keepassxc "a").Password }}`, ".chezmoi.toml.tmpl": "[keepassxc]\ndatabase = \"/vault.kdbx\"\n",
	})
	d.z.c.Shims = t.TempDir() + "/bin"
	d.put(d.z.c.Shims+"/keepassxc-cli", "#!/bin/sh\n[ \"$1\" = --version ] && echo 2.7.10 || printf 'Password: %s\\n' \"$"+AgentDir+"\"\n")
	if err := os.Chmod(d.z.c.Shims+"/keepassxc-cli", 0o755); err != nil {
		t.Fatal(err)
	}
	d.apply(d.look())
	if want := filepath.Dir(d.z.c.Shims); d.text(".a") != want {
		t.Errorf("it made %q, not %q", d.text(".a"), want)
	}
}

func TestChezmoiWritesThroughALinkThatItIsToldToLeave(t *testing.T) {
	d := newRealDots(t, files{"dot_config/x/y": "the y", "dot_config/x/z/w": "the w", "a": "1"})
	d.put(d.home("dots/x/y"), "mine")
	d.put(d.home(".config/other"), "")
	if err := os.Symlink("../dots/x", d.home(".config/x")); err != nil {
		t.Fatal(err)
	}
	l := d.look()
	l.through = []string{".config/x"}
	d.apply(l)
	if target, err := os.Readlink(d.home(".config/x")); target != "../dots/x" || d.text("dots/x/y") != "the y" || d.text("dots/x/z/w") != "the w" || d.text("a") != "1" {
		t.Errorf("%q, %v; %q %q", target, err, d.text("dots/x/y"), d.text("dots/x/z/w"))
	}
}

// chezmoi would remove it, and make it the next time.
func TestChezmoiMakesAnewWhatIsEmpty(t *testing.T) {
	d := newRealDots(t, files{"create_a": "1", "create_b": "2", "modify_c": "#!/bin/sh\n"})
	d.put(d.home("a"), "")
	d.put(d.home("b"), "mine")
	d.put(d.home("c"), "mine")
	l := d.look()
	for name, want := range map[string]home.Claim{"a": {Kind: home.Absent, Anew: true}, "b": {Kind: home.File}, "c": {Kind: home.Absent}} {
		if got := l.claimOf(name); got.Kind != want.Kind || got.Anew != want.Anew {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// A clone is no file that chezmoi has in its archive, and must not be taken for one that it removes.
func TestChezmoiDoesNotRemoveWhatItClones(t *testing.T) {
	d := newRealDots(t, files{"exact_e/a": "1", ".chezmoiremove": ".old\n"})
	up := filepath.Dir(d.z.source) + "/up"
	d.put(up+"/f", "hi")
	git := exec.Command("/bin/sh", "-c", "git init -q . && git add f && git -c user.name=a -c user.email=a@x commit -qm 1")
	git.Dir = up
	if out, err := git.CombinedOutput(); err != nil {
		t.Skipf("git: %v, %s", err, out)
	}
	d.put(d.z.source+"/.chezmoiexternal.toml", "[\".repo\"]\ntype = \"git-repo\"\nurl = \"file://"+up+"\"\n")
	for _, name := range []string{"e/stranger", ".old"} {
		d.put(d.home(name), "")
	}
	for range 2 {
		l := d.look()
		if c := l.claimOf(".repo"); c.Kind != home.Dir || c.Source != d.z.source+"/.chezmoiexternal.toml" {
			t.Errorf("%+v", c)
		}
		d.apply(l, "e/stranger")
	}
	if c := d.look().claimOf("e/stranger"); c.Kind != home.Absent || c.Source != d.z.source+"/exact_e" || d.text(".repo/f") != "hi" || d.text(".old") == "" {
		t.Errorf("%+v, %q, %q", c, d.text(".repo/f"), d.text(".old"))
	}
}

// settled applies, lets the clock go on, and remembers.
func (d realDots) settled() {
	d.t.Helper()
	d.apply(d.look())
	for range 100 {
		l := d.look()
		why := d.z.remember(d.h, "key", l)
		if why == "" {
			return
		}
		if !strings.Contains(why, "just before") {
			d.t.Fatal(why)
		}
	}
	d.t.Fatal("it is never remembered")
}

func TestChezmoiIsNotAskedTwice(t *testing.T) {
	same := func(name string) (restore func()) {
		info, err := os.Lstat(name)
		return func() {
			if err == nil {
				os.Chtimes(name, time.Time{}, info.ModTime()) //nolint:errcheck // the test would see
			}
		}
	}
	d := newRealDots(t, files{"dot_a": "1", "d/f": "1", "exact_exact/g": "1", ".chezmoiremove": ".old\n", "t.tmpl": `{{ env "HOME" }}{{ .chezmoi.hostname }}`})
	for what, change := range map[string]func(d realDots){
		"nothing":                func(realDots) {},
		"a byte, mtime restored": func(d realDots) { r := same(d.home(".a")); d.put(d.home(".a"), "2"); r() },
		"another file renamed to it": func(d realDots) {
			r := same(d.home(".a"))
			d.put(d.home("x"), "2")
			os.Rename(d.home("x"), d.home(".a"))
			r()
		},
		"a mode":                     func(d realDots) { os.Chmod(d.home(".a"), 0o600) },
		"gone":                       func(d realDots) { os.Remove(d.home("d/f")) },
		"a link for a directory":     func(d realDots) { os.Rename(d.home("d"), d.home("e")); os.Symlink("e", d.home("d")) },
		"a stranger in an exact one": func(d realDots) { d.put(d.home("exact/new"), "") },
		"what is to be removed":      func(d realDots) { d.put(d.home(".old"), "") },
		"a new file of the source":   func(d realDots) { d.put(d.z.source+"/dot_new", "") },
		"the source, mtime restored": func(d realDots) { n := d.z.source + "/dot_a"; r := same(n); d.put(n, "2"); r() },
		"the config":                 func(d realDots) { d.put(d.z.configFile("yaml"), "progress: false\n") },
		"a chezmoi run by hand":      func(d realDots) { d.put(d.home(".a"), "2"); d.apply(d.look()) },
		"a stranger in a plain one":  func(d realDots) { d.put(d.home("d/mine"), "") },
		"a stranger in the home":     func(d realDots) { d.put(d.home("mine"), "") },
		"a commit in the source":     func(d realDots) { d.put(d.z.source+"/.git/HEAD", "x") },
	} {
		d.settled()
		if !d.z.unchanged(d.h, "key") || d.z.unchanged(d.h, "another") {
			t.Fatalf("%s: %v with the same key, %v with another", what, d.z.unchanged(d.h, "key"), d.z.unchanged(d.h, "another"))
		}
		change(d)
		if got, want := d.z.unchanged(d.h, "key"), slices.Contains([]string{"nothing", "a stranger in a plain one", "a stranger in the home", "a commit in the source"}, what); got != want {
			t.Errorf("%s: unchanged %v, want %v", what, got, want)
		}
	}
}

func TestChezmoiIsAskedWhatNobodyElseKnows(t *testing.T) {
	for name, text := range map[string]string{
		"a.tmpl": `{{ output "date" }}`, "b.tmpl": `{{ if lookPath "git" }}{{ end }}`, ".chezmoitemplates/c": `{{ now }}`, "d.tmpl": `{{ include "/etc/hostname" }}`,
		"modify_e": "#!/bin/sh\ncat\n", ".chezmoiremove": ".old-*\n", "f.tmpl": "# chezmoi:template:left-delimiter=[[\n", "g.tmpl": `{{ env "LANG" }}`, "symlink_run_x.tmpl": `{{ uuidv4 }}`,
	} {
		d := newRealDots(t, files{name: text, "dot_a": "1"})
		l := d.look()
		if why := d.z.remember(d.h, "", l); why == "" || strings.Contains(why, "just before") || d.z.unchanged(d.h, "") {
			t.Errorf("%s is remembered: %q", name, why)
		}
	}
}
