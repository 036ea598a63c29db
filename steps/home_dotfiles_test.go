package steps

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"movein/bootstrap"
	"movein/bootstrap/host"
	"movein/bootstrap/host/hosttest"
	"movein/steps/home"
)

const (
	dotsDir   = "/home/ann/.local/share/chezmoi"
	dotsState = "/home/ann/.config/chezmoi/chezmoistate.boltdb"
	dotsTOML  = "/home/ann/.config/chezmoi/chezmoi.toml"
)

// fakeDots is a chezmoi with these targets. Its state database is a file of JSON.
type fakeDots struct {
	t       *testing.T
	h       *hosttest.Host
	z       chezmoi
	wants   files    // what is to be where, below the home; "/" at the end of a name: a directory
	scripts files    // name of the source: text
	locked  []string // targets whose secret is not to be had
	ran     []string // scripts that ran
	breaks  func(c host.Cmd) (host.Result, error)
}

// dotsStep is the step with dotfiles.
func dotsStep(change ...func(c *Config)) homeActivate {
	c := dotsConfig()
	for _, f := range change {
		f(c)
	}
	return homeActivate{testFacts(), c}
}

// dotsHost has a built generation, which has a chezmoi in it, and dotfiles.
func dotsHost(t *testing.T, have, wants, scripts files) *fakeDots {
	t.Helper()
	source := files{dotsTOML: "", thePath + "/bin/chezmoi": "!0755 1"}
	for name := range wants {
		source[dotsDir+"/"+sourceName(name)] = "1"
	}
	for name, text := range scripts {
		source[dotsDir+"/"+name] = text
	}
	d := &fakeDots{t: t, h: activateHost(t, with(source, have)), wants: wants, scripts: scripts}
	d.h.Lax = true
	d.h.Clock = func() time.Time { return time.Now().Add(time.Minute) } // nothing was just written
	var ok bool
	if d.z, ok = newChezmoi(d.h.View(), testFacts(), dotsConfig(), theGen); !ok || d.z.bin != theGen+"/home-path/bin/chezmoi" {
		t.Fatalf("%+v", d.z)
	}
	d.h.OnQuery(d.z.says("managed"), d.managed)
	d.h.OnQuery(d.z.says("archive"), d.archive)
	d.h.OnQuery(d.z.says("state dump"), func(host.Cmd) (host.Result, error) {
		return host.Result{Stdout: []byte(d.h.Text(dotsState))}, nil
	})
	d.h.On(d.z.says("state set"), func(host.Cmd) (host.Result, error) {
		d.remember(d.state())
		return host.Result{}, nil
	})
	d.h.On(d.z.says("apply --force"), d.apply)
	return d
}

func sourceName(target string) string {
	if strings.HasSuffix(target, "/") {
		return strings.TrimSuffix(strings.ReplaceAll(target, ".", "dot_"), "/") + "/.keep"
	}
	return strings.ReplaceAll(target, ".", "dot_")
}

// targets are all, sorted, and the source of each.
func (d *fakeDots) targets() (names []string, source map[string]string) {
	source = map[string]string{}
	for name := range d.wants {
		path := strings.TrimSuffix(name, "/")
		source[path] = strings.TrimSuffix(sourceName(name), "/.keep")
		if slices.Contains(d.locked, path) {
			source[path] += ".tmpl"
		}
		for dir := filepath.Dir(path); dir != "."; dir = filepath.Dir(dir) {
			source[dir] = strings.ReplaceAll(dir, ".", "dot_")
		}
	}
	for name := range d.scripts {
		source[scriptName(name)] = name
	}
	return slices.Sorted(maps.Keys(source)), source
}

func scriptName(source string) string { return source[strings.LastIndex(source, "_")+1:] }

func (d *fakeDots) managed(c host.Cmd) (host.Result, error) {
	names, source := d.targets()
	if slices.Contains(c.Args, "--include=remove") {
		return host.Result{}, nil
	}
	all := map[string]map[string]string{}
	for _, name := range names {
		all[name] = map[string]string{"sourceAbsolute": dotsDir + "/" + source[name]}
	}
	out, err := json.Marshal(all)
	return host.Result{Stdout: out}, err
}

// text is what a target is to have; false for a directory.
func (d *fakeDots) text(name string) (text string, file bool) {
	_, source := d.targets()
	if text, ok := d.scripts[source[name]]; ok {
		return text, true
	}
	text, file = d.wants[name]
	return text, file
}

func (d *fakeDots) archive(c host.Cmd) (host.Result, error) {
	names, _ := d.targets()
	if i := slices.Index(c.Args, "--recursive=false"); i >= 0 {
		names = []string{strings.TrimPrefix(c.Args[i+1], "/home/ann/")}
	}
	open := slices.Contains(c.Args, "--skip-secrets")
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, name := range names {
		if slices.Contains(d.locked, name) {
			if open {
				continue
			}
			return hosttest.Fails(1, "chezmoi: "+name+": template: the vault is locked\n")(c)
		}
		text, file := d.text(name)
		head := &tar.Header{Name: name + "/", Typeflag: tar.TypeDir, Mode: 0o755}
		if file {
			head = &tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(text))}
		}
		if err := w.WriteHeader(head); err != nil {
			d.t.Fatal(err)
		}
		if _, err := w.Write([]byte(text)); file && err != nil {
			d.t.Fatal(err)
		}
	}
	return host.Result{Stdout: b.Bytes()}, w.Close()
}

// fakeState is a state database.
type fakeState struct {
	EntryState  map[string]map[string]any `json:"entryState"`
	ScriptState map[string]map[string]any `json:"scriptState"`
}

func (d *fakeDots) state() (s fakeState) {
	s = fakeState{map[string]map[string]any{}, map[string]map[string]any{}}
	if exists(d.h, dotsState) {
		if err := json.Unmarshal([]byte(d.h.Text(dotsState)), &s); err != nil {
			d.t.Fatal(err)
		}
	}
	return s
}

func (d *fakeDots) remember(s fakeState) {
	text, err := json.Marshal(s)
	if err != nil {
		d.t.Fatal(err)
	}
	d.h.Put(dotsState, string(text))
}

// apply does what "chezmoi apply --force" does, and then breaks as it is told.
func (d *fakeDots) apply(c host.Cmd) (host.Result, error) {
	if !slices.Equal(c.Path, []string{theGen + "/home-path/bin"}) {
		d.t.Errorf("chezmoi finds programs in %q first", c.Path)
	}
	names, source := d.targets()
	if i := slices.Index(c.Args, "--recursive=false"); i >= 0 {
		names = nil
		for _, name := range c.Args[i+1:] {
			names = append(names, strings.TrimPrefix(name, "/home/ann/"))
		}
	}
	s := d.state()
	for _, name := range names {
		text, file := d.text(name)
		sum := digest([]byte(text))
		switch _, script := d.scripts[source[name]]; {
		case slices.Contains(d.locked, name):
			return hosttest.Fails(1, "chezmoi: "+name+": the vault is locked\n")(c)
		case script:
			if s.ScriptState[sum] == nil || strings.HasPrefix(source[name], "run_always") {
				d.ran = append(d.ran, name)
			}
			s.ScriptState[sum] = map[string]any{"name": name}
		case file:
			if target, link := isLink(d.h, "/home/ann/"+name); link || !exists(d.h, "/home/ann/"+name) || d.h.Text("/home/ann/"+name) != text {
				if link && managed.MatchString(target) || link {
					_ = d.h.Remove("/home/ann/" + name)
				}
				d.h.Put("/home/ann/"+name, text)
			}
			s.EntryState["/home/ann/"+name] = map[string]any{"type": "file", "mode": 0o644, "contentsSHA256": sum}
		default:
			d.h.Put("/home/ann/"+name+"/", "")
		}
	}
	d.remember(s)
	if d.breaks != nil {
		return d.breaks(c)
	}
	return host.Result{}, nil
}

func TestDotfilesAreAppliedWithTheBuiltGenerationBeforeItIsActivated(t *testing.T) {
	d := dotsHost(t, files{"/home/ann/.vimrc": "my vimrc\n"}, files{".vimrc": "the vimrc\n", ".config/x/y": "y\n"}, nil)
	converges(t, d.h, dotsStep())
	inOrder(t, d.h.Log(), "rename /home/ann/.local/state/movein/backups/.new-", "run "+d.z.says("apply"), "run "+theGen+"/activate", "run "+theGen+"/activate")
	if d.h.Text("/home/ann/.vimrc") != "the vimrc\n" || d.h.Text("/home/ann/.config/x/y") != "y\n" || d.h.Text("/home/ann/.bashrc") != "new bashrc\n" {
		t.Error(d.h.Tree("/home/ann"))
	}
	keepsAll(t, d.h, files{"/home/ann/.vimrc": "my vimrc\n"})
}

func TestAFileThatWasRightAndIsEditedDuringTheBackupIsNotOverwritten(t *testing.T) {
	d := dotsHost(t, files{"/home/ann/.vimrc": "the vimrc\n"}, files{".vimrc": "the vimrc\n", ".new": "new\n"}, nil)
	d.h.OnBundle = func(string, string, []string) (string, error) {
		d.h.Put("/home/ann/.vimrc", "my vimrc\n")
		return "", host.ErrNoCommits
	}
	refuses(t, dotsStep().Apply(t.Context(), d.h, nil), bootstrap.ExitRefused, "/home/ann/.vimrc")
	keepsAll(t, d.h, files{"/home/ann/.vimrc": "my vimrc\n"})
	d.h.OnBundle = func(string, string, []string) (string, error) { return "", host.ErrNoCommits }
	converges(t, d.h, dotsStep())
	keepsAll(t, d.h, files{"/home/ann/.vimrc": "my vimrc\n"})
}

func TestNothingToDoRunsNoProgramAndWritesNothing(t *testing.T) {
	d := dotsHost(t, nil, files{".vimrc": "the vimrc\n"}, files{"run_always_a.sh": "a"})
	converges(t, d.h, dotsStep())
	before := d.h.Tree()
	d.h.Forget()
	nothingToDo(t, d.h, dotsStep())
	if d.h.Tree() != before || len(d.h.Log()) > 0 {
		t.Errorf("it did %q", d.h.Log())
	}
	if got := planned(t, d.h, dotsStep(func(c *Config) { c.Refresh = true })); got != "" || len(d.h.Calls()) == 0 {
		t.Errorf("--refresh: %q, asked %q", got, d.h.Calls())
	}
}

// both claim ~/.bashrc.
func contested(t *testing.T) *fakeDots {
	return dotsHost(t, files{"/home/ann/.bashrc": "my bashrc\n"}, files{".bashrc": "dots bashrc\n", ".vimrc": "the vimrc\n"}, nil)
}

func TestWhatTwoWantIsRefusedAndTheHintSettlesIt(t *testing.T) {
	d := contested(t)
	before := d.h.Tree("/home/ann")
	_, err := plan(t, d.h, dotsStep())
	refuses(t, err, bootstrap.ExitRefused, "~/.bashrc", theFiles+"/.bashrc", dotsDir+"/dot_bashrc", "[ownership]")
	refuses(t, dotsStep().Apply(t.Context(), d.h, nil), bootstrap.ExitRefused, "~/.bashrc")
	if d.h.Tree("/home/ann") != before {
		t.Error("something was changed")
	}
	_, table, _ := strings.Cut(bootstrap.HintOf(err), "movein.toml:\n")
	d.h.Put(testRepo+"/movein.toml", table)
	converges(t, d.h, dotsStep())
	if target, _ := isLink(d.h, "/home/ann/.bashrc"); target != theFiles+"/.bashrc" {
		t.Errorf("~/.bashrc leads to %q", target)
	}
	d.h.Put(testRepo+"/movein.toml", strings.Replace(table, "home-manager", "chezmoi", 1))
	converges(t, d.h, dotsStep())
	if _, link := isLink(d.h, "/home/ann/.bashrc"); link || d.h.Text("/home/ann/.bashrc") != "dots bashrc\n" {
		t.Errorf("~/.bashrc:\n%s", d.h.Tree("/home/ann"))
	}
	keepsAll(t, d.h, files{"/home/ann/.bashrc": "my bashrc\n"})
}

func owned(owner string, paths ...string) func(*Config) {
	return func(c *Config) {
		c.Ownership = map[string]string{}
		for _, path := range paths {
			c.Ownership[path] = owner
		}
	}
}

func TestADirectoryAndALinkAtTheSamePathAreSettledEitherWay(t *testing.T) {
	for _, owner := range []string{"home-manager", "chezmoi"} {
		d := dotsHost(t, nil, files{".config/a/b/c": "dots c\n"}, nil)
		_, err := plan(t, d.h, dotsStep())
		refuses(t, err, bootstrap.ExitRefused, "~/.config/a/b")
		converges(t, d.h, dotsStep(owned(owner, ".config/a/b")))
		if _, link := isLink(d.h, "/home/ann/.config/a/b"); link != (owner == "home-manager") {
			t.Errorf("%s:\n%s", owner, d.h.Tree("/home/ann"))
		}
	}
}

func TestWhatIsHomeManagersIsNotAppliedByChezmoi(t *testing.T) {
	step := dotsStep(owned("home-manager", ".bashrc"))
	d := contested(t)
	converges(t, d.h, step)
	if calls := strings.Join(d.h.Calls(), "\n"); !strings.Contains(calls, " apply --force --recursive=false /home/ann/.vimrc\n") || strings.Contains(calls, "apply --force --recursive=false /home/ann/.bashrc") {
		t.Errorf("calls:\n%s", calls)
	}
	survivesPowerCuts(t, func() *hosttest.Host { return contested(t).h }, step, func(h *hosttest.Host) {
		keepsAll(t, h, files{"/home/ann/.bashrc": "my bashrc\n"})
	})
}

func TestWhatIsChezmoisIsNotLinkedByHomeManager(t *testing.T) {
	step := dotsStep(owned("chezmoi", ".bashrc"))
	d := contested(t)
	converges(t, d.h, step)
	if _, link := isLink(d.h, "/home/ann/.bashrc"); link || d.h.Text("/home/ann/.bashrc") != "dots bashrc\n" {
		t.Errorf("~/.bashrc:\n%s", d.h.Tree("/home/ann"))
	}
	survivesPowerCuts(t, func() *hosttest.Host { return contested(t).h }, step, func(h *hosttest.Host) {
		keepsAll(t, h, files{"/home/ann/.bashrc": "my bashrc\n"})
	})
}

// The user's own file, which chezmoi has no wish for, survives being held.
func TestAFileIsHeldAsideOfALinkThatIsNotWanted(t *testing.T) {
	mine := files{"/home/ann/.bashrc": "!0600 my bashrc\n"}
	fresh := func() *hosttest.Host { return dotsHost(t, mine, files{".vimrc": "v\n"}, nil).h }
	step := dotsStep(owned("chezmoi", ".bashrc"))
	h := fresh()
	converges(t, h, step)
	if !isThere(t, h, "/home/ann/.bashrc", mine["/home/ann/.bashrc"]) {
		t.Errorf("~/.bashrc:\n%s", h.Tree("/home/ann"))
	}
	survivesPowerCuts(t, fresh, step, func(h *hosttest.Host) {
		keepsAll(t, h, mine)
	})
}

// A link that home-manager made before the path was given to chezmoi goes.
func TestALinkThatIsNotWantedAnyMoreGoes(t *testing.T) {
	d := dotsHost(t, nil, files{".vimrc": "v\n"}, nil)
	converges(t, d.h, dotsStep())
	step := dotsStep(owned("chezmoi", ".bashrc"))
	if got := planned(t, d.h, step); got != "delete /home/ann/.bashrc" {
		t.Errorf("planned %s", got)
	}
	converges(t, d.h, step)
	if exists(d.h, "/home/ann/.bashrc") {
		t.Error("it is still there")
	}
}

func TestADirectoryThatIsALinkIsWrittenThroughIfTheUserSaysSo(t *testing.T) {
	mine := files{"/home/ann/.config/a": "-> ../dotfiles/a", "/home/ann/dotfiles/a/c": "my c\n"}
	h := activateHost(t, mine)
	step := activateStep()
	step.c.Ownership = map[string]string{".config/a": "through"}
	converges(t, h, step)
	if target, _ := isLink(h, "/home/ann/dotfiles/a/b"); target != theFiles+"/.config/a/b" || !isThere(t, h, "/home/ann/.config/a", "-> ../dotfiles/a") {
		t.Error(h.Tree("/home/ann"))
	}
	survivesPowerCuts(t, func() *hosttest.Host { return activateHost(t, mine) }, step, func(h *hosttest.Host) { keepsAll(t, h, mine) })
}

func TestChezmoiLeavesALinkThatTheUserWantsToWriteThrough(t *testing.T) {
	mine := files{"/home/ann/.config/x": "-> ../dotfiles/x", "/home/ann/dotfiles/x/y": "my y\n"}
	d := dotsHost(t, mine, files{".config/x/y": "the y\n"}, nil)
	step := dotsStep(owned("through", ".config/x"))
	if got := planned(t, d.h, step); !strings.Contains(got, "replace /home/ann/dotfiles/x/y") {
		t.Errorf("planned %s", got)
	}
	converges(t, d.h, step)
	if calls := strings.Join(d.h.Calls(), "\n"); !strings.Contains(calls, " /home/ann/.config/x/y\n") || strings.Contains(calls, " /home/ann/.config/x ") || d.h.Text("/home/ann/dotfiles/x/y") != "the y\n" {
		t.Errorf("%s\n%s", calls, d.h.Tree("/home/ann"))
	}
	run, err := step.backups().Open(d.h, home.Latest)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := step.backups().RestoreTo(t.Context(), d.h, run, home.About{}); err != nil || d.h.Text("/home/ann/dotfiles/x/y") != "my y\n" {
		t.Errorf("%v\n%s", err, d.h.Tree("/home/ann"))
	}
}

func TestADirectoryIsWrittenThroughOnlyWhileItIsALink(t *testing.T) {
	d := dotsHost(t, files{"/home/ann/x/": "!0750", "/home/ann/y": "mine\n"}, files{"x/f": "the f\n", "y": "the y\n"}, nil)
	converges(t, d.h, dotsStep(owned("through", "x"), owned("through", "y")))
	d = dotsHost(t, files{"/home/ann/x": "-> dots"}, files{"x": "the x\n"}, nil)
	d.h.Put("/home/ann/dots/", "")
	converges(t, d.h, dotsStep(owned("through", "x")))
}

func TestADirectoryThatStaysEmptyIsInThePlan(t *testing.T) {
	d := dotsHost(t, nil, files{"a/b/": "", "c/d/": "", "c/d/e": "1\n"}, nil)
	step := dotsStep()
	if got := planned(t, d.h, step); !strings.Contains(got, "create /home/ann/a/b; create /home/ann/c/d/e") {
		t.Errorf("planned %s", got)
	}
	converges(t, d.h, step)
}

func TestEditedDotfilesAreTreatedAsTheUserSays(t *testing.T) {
	for mode, want := range map[string]struct{ plan, edited, deleted string }{
		"backup": {"create /home/ann/.deleted; replace /home/ann/.edited", "1\n", "2\n"},
		"keep":   {"", "mine\n", ""},
		"stop":   {"", "mine\n", ""},
	} {
		t.Run(mode, func(t *testing.T) {
			d := dotsHost(t, nil, files{".edited": "1\n", ".deleted": "2\n", ".other": "3\n"}, nil)
			step := dotsStep(func(c *Config) { c.OnModified = mode })
			converges(t, d.h, step)
			d.h.Put("/home/ann/.edited", "mine\n")
			_ = d.h.Remove("/home/ann/.deleted")
			if mode == "stop" {
				_, err := plan(t, d.h, step)
				refuses(t, err, bootstrap.ExitRefused, "~/.edited", "~/.deleted", "--on-modified backup")
				refuses(t, step.Apply(t.Context(), d.h, nil), bootstrap.ExitRefused, "~/.edited")
			} else if got := planned(t, d.h, step); got != want.plan {
				t.Errorf("planned %q", got)
			} else if mode == "backup" {
				converges(t, d.h, step)
			} else { // what is kept is also kept when something else is applied
				if planned(t, d.h, step); strings.Count(strings.Join(d.h.Warnings(), "\n"), "~/.deleted, ~/.edited") < 2 {
					t.Errorf("it is not told each time: %q", d.h.Warnings())
				}
				d.wants[".other"] = "new\n"
				d.h.Put(dotsDir+"/dot_other", "new")
				converges(t, d.h, step)
			}
			keepsAll(t, d.h, files{"/home/ann/.edited": "mine\n"})
			if got := d.h.Text("/home/ann/.edited"); got != want.edited {
				t.Errorf("edited: %q", got)
			}
			if exists(d.h, "/home/ann/.deleted") != (want.deleted != "") {
				t.Errorf("deleted:\n%s", d.h.Tree("/home/ann"))
			}
		})
	}
}

func TestWhatNeedsALockedSecretIsSkippedAndNamed(t *testing.T) {
	d := dotsHost(t, files{"/home/ann/.netrc": "my netrc\n"}, files{".netrc": "secret", ".vimrc": "the vimrc\n"}, nil)
	d.locked = []string{".netrc"}
	d.h.Put(dotsDir+"/dot_netrc.tmpl", "1")
	step := dotsStep()
	converges(t, d.h, step)
	if d.h.Text("/home/ann/.vimrc") != "the vimrc\n" || d.h.Text("/home/ann/.netrc") != "my netrc\n" {
		t.Error(d.h.Tree("/home/ann"))
	}
	if got := Skipped(d.h); !slices.Equal(got, []string{"/home/ann/.netrc"}) {
		t.Errorf("skipped: %q", got)
	}
	d.h.Forget()
	nothingToDo(t, d.h, step)
	d.locked = nil
	step.c.Refresh = true
	converges(t, d.h, step)
	if got := Skipped(d.h); len(got) > 0 || d.h.Text("/home/ann/.netrc") != "secret" {
		t.Errorf("skipped: %q\n%s", got, d.h.Tree("/home/ann"))
	}
	keepsAll(t, d.h, files{"/home/ann/.netrc": "my netrc\n"})
}

func TestNothingIsSkippedWithoutDotfiles(t *testing.T) {
	d := dotsHost(t, nil, files{".netrc": "secret"}, nil)
	d.locked = []string{".netrc"}
	d.h.Put(dotsDir+"/dot_netrc.tmpl", "1")
	converges(t, d.h, dotsStep())
	planned(t, d.h, activateStep())
	if got := Skipped(d.h); len(got) > 0 {
		t.Errorf("skipped: %q", got)
	}
}

func TestScriptsThatWillRunAreInThePlan(t *testing.T) {
	d := dotsHost(t, nil, files{".vimrc": "v\n"}, files{"run_once_o.sh": "o", "run_always_a.sh": "a"})
	step := dotsStep()
	if got := planned(t, d.h, step); !strings.Contains(got, "run "+dotsDir+"/run_once_o.sh") || !strings.Contains(got, "run "+dotsDir+"/run_always_a.sh") {
		t.Errorf("planned %s", got)
	}
	converges(t, d.h, step)
	d.h.Put("/home/ann/.vimrc", "edited")
	if got := planned(t, d.h, step); got != "run "+dotsDir+"/run_always_a.sh; replace /home/ann/.vimrc" {
		t.Errorf("planned %s", got)
	}
	d.scripts["run_once_o.sh"] = "new"
	d.h.Put("/home/ann/.vimrc", "v\n")
	converges(t, d.h, step)
	if want := []string{"a.sh", "o.sh", "a.sh", "o.sh"}; !slices.Equal(d.ran, want) {
		t.Errorf("ran %q, want %q", d.ran, want)
	}
}

func freshDots(t *testing.T) *fakeDots {
	d := dotsHost(t, nil, files{".vimrc": "v\n"}, nil)
	_ = d.h.Remove(filepath.Dir(dotsTOML))
	d.h.Put(dotsDir+"/.chezmoi.toml.tmpl", "a template")
	d.h.OnQuery(d.z.says("execute-template"), hosttest.Says("mode = \"file\"\n"))
	return d
}

func TestTheConfigOfChezmoiIsWrittenOnceAndTakenBack(t *testing.T) {
	d := freshDots(t)
	before := userTree(d.h)
	d.breaks = hosttest.Fails(1, "chezmoi: a script failed\n")
	if got := planned(t, d.h, dotsStep()); !strings.Contains(got, "write "+dotsTOML) {
		t.Errorf("planned %s", got)
	}
	refuses(t, apply(t, d.h, dotsStep()), bootstrap.ExitFailed, "a script failed")
	same(t, d.h, before)
	d.breaks = nil
	converges(t, d.h, dotsStep())
	if got := d.h.Text(dotsTOML); got != "mode = \"file\"\n" {
		t.Errorf("config %q", got)
	}
	d.h.Put(dotsTOML, "mine = 1\n")
	d.h.Put("/home/ann/.vimrc", "edited")
	converges(t, d.h, dotsStep())
	if got := d.h.Text(dotsTOML); got != "mine = 1\n" {
		t.Errorf("the user's config is now %q", got)
	}
}

// partly is a home that has been moved into once, and was changed since; the next
// run changes something of everything.
func partly(t *testing.T) (*fakeDots, files) {
	d := dotsHost(t, nil, files{".vimrc": "v\n", ".config/x/y": "y\n"}, files{"run_once_o.sh": "o"})
	hadOld(t, d.h)
	converges(t, d.h, dotsStep())
	mine := files{"/home/ann/.vimrc": "my vimrc\n", "/home/ann/.config/a": "my a\n"}
	_ = d.h.Remove("/home/ann/.config/a")
	for name, text := range mine {
		d.h.Put(name, text)
	}
	d.wants[".config/x/y"] = "new y\n"
	d.h.Put(dotsDir+"/dot_config/x/y", "new")
	d.scripts["run_once_o.sh"] = "new o"
	d.h.Put(profiles+"/home-manager", "-> home-manager-7-link")
	d.h.Put(currentHome, "-> "+oldGen)
	d.h.On(oldGen+"/activate --driver-version 1", hosttest.Says(""))
	d.h.Forget()
	return d, mine
}

// moments are the programs that a run runs.
var moments = []string{"chezmoi", "dry run", "activation"}

// at makes the program of a moment do what it does, and then f.
func (d *fakeDots) at(moment string, f hosttest.Answer) {
	if moment == "chezmoi" {
		d.breaks = f
		return
	}
	d.h.On(theGen+"/activate --driver-version 1", func(c host.Cmd) (host.Result, error) {
		dry := strings.Contains(strings.Join(c.Env, " "), "DRY_RUN")
		if !dry {
			d.h.Put("/home/ann/.bashrc", "-> "+theFiles+"/.bashrc")
			d.h.Put("/home/ann/.config/a/b", "-> "+theFiles+"/.config/a/b")
			d.h.Put(currentHome, "-> "+theGen)
		}
		if dry == (moment == "dry run") {
			return f(c)
		}
		return host.Result{}, nil
	})
}

func TestAFailureOfAnyProgramGivesEverythingBack(t *testing.T) {
	for _, moment := range moments {
		t.Run(moment, func(t *testing.T) {
			d, mine := partly(t)
			before := userTree(d.h)
			d.at(moment, hosttest.Fails(1, "chezmoi: it broke\n"))
			refuses(t, apply(t, d.h, dotsStep()), bootstrap.ExitFailed, "it broke")
			same(t, d.h, before)
			keepsAll(t, d.h, mine)
		})
	}
}

func TestAnInterruptOfAnyProgramGivesEverythingBack(t *testing.T) {
	for _, moment := range moments {
		t.Run(moment, func(t *testing.T) {
			d, mine := partly(t)
			before := userTree(d.h)
			ctx, interrupt := context.WithCancelCause(t.Context())
			d.at(moment, func(c host.Cmd) (host.Result, error) {
				interrupt(bootstrap.ErrInterrupted)
				return host.Result{Code: -1}, &host.CommandError{Args: c.Args, Code: -1, Err: context.Cause(ctx)}
			})
			err := dotsStep().Apply(ctx, d.h, nil)
			if bootstrap.ExitCode(err) != bootstrap.ExitInterrupted {
				t.Errorf("exit %d: %v", bootstrap.ExitCode(err), err)
			}
			same(t, d.h, before)
			keepsAll(t, d.h, mine)
		})
	}
}

// Also one that comes when the program has just ended well.
func TestAnInterruptBetweenTwoProgramsGivesEverythingBack(t *testing.T) {
	for _, moment := range moments[:2] {
		t.Run(moment, func(t *testing.T) {
			d, _ := partly(t)
			before := userTree(d.h)
			ctx, interrupt := context.WithCancelCause(t.Context())
			d.at(moment, func(host.Cmd) (host.Result, error) {
				interrupt(bootstrap.ErrInterrupted)
				return host.Result{}, nil
			})
			if err := dotsStep().Apply(ctx, d.h, nil); bootstrap.ExitCode(err) != bootstrap.ExitInterrupted {
				t.Errorf("exit %d: %v", bootstrap.ExitCode(err), err)
			}
			same(t, d.h, before)
		})
	}
}

// killed applies, and is killed when the program of a moment has done its work.
func (d *fakeDots) killed(moment string) {
	dead := fmt.Errorf("killed")
	d.at(moment, func(c host.Cmd) (host.Result, error) {
		d.h.Fail = func(string, string) error { return dead }
		return hosttest.Fails(137, "killed")(c)
	})
	if err := dotsStep().Apply(d.t.Context(), d.h, nil); err == nil {
		d.t.Error("nobody was killed")
	}
	d.h.Fail, d.breaks = nil, nil
}

func TestAChangeThatWasCutShortIsFinished(t *testing.T) {
	for _, moment := range moments {
		t.Run(moment, func(t *testing.T) {
			d, mine := partly(t)
			d.killed(moment)
			if got := planned(t, d.h, dotsStep()); !strings.HasPrefix(got, "finish ") {
				t.Errorf("planned %s", got)
			}
			activation(t, d.h, theGen, theFiles, ".bashrc", ".config/a/b")
			converges(t, d.h, dotsStep())
			keepsAll(t, d.h, mine)
			if d.h.Text("/home/ann/.vimrc") != "v\n" || d.h.Text("/home/ann/.config/a/b") != "new b\n" {
				t.Error(d.h.Tree("/home/ann"))
			}
		})
	}
}

func TestAChangeThatWasCutShortAndThenFailsIsTakenBackWhole(t *testing.T) {
	for _, moment := range moments {
		t.Run(moment, func(t *testing.T) {
			d, mine := partly(t)
			before := userTree(d.h)
			d.killed(moment)
			d.at("activation", hosttest.Fails(1, "it broke\n"))
			refuses(t, apply(t, d.h, dotsStep()), bootstrap.ExitFailed, "it broke")
			same(t, d.h, before)
			keepsAll(t, d.h, mine)
		})
	}
}

func TestADamagedOrNewerRecordIsNotPassedOver(t *testing.T) {
	for text, code := range map[string]int{
		"{ torn":                        bootstrap.ExitRefused,
		"":                              bootstrap.ExitRefused,
		`{"version": 0}`:                bootstrap.ExitRefused,
		`{"version": 1}`:                bootstrap.ExitRefused,
		`{"version": 2, "runs": ["x"]}`: bootstrap.ExitConfig,
		`{"version":1,"runs":["x"],"held":["../a"]}`: bootstrap.ExitRefused,
	} {
		h := activateHost(t, files{"/home/ann/.bashrc": "mine\n"})
		h.Lax = true
		record := activateStep().changer().Record
		h.Put(record, text)
		before := h.Tree()
		_, err := plan(t, h, activateStep())
		refuses(t, err, code, record)
		refuses(t, activateStep().Apply(t.Context(), h, nil), code, record)
		if h.Tree() != before || len(h.Calls()) > 0 {
			t.Errorf("%q: something was done: %q", text, h.Log())
		}
	}
}

func TestDotfilesAlone(t *testing.T) {
	d := dotsHost(t, nil, files{".vimrc": "v\n"}, nil)
	_ = d.h.Remove(theFiles)
	d.h.Put(theFiles+"/", "")
	activation(t, d.h, theGen, theFiles)
	converges(t, d.h, dotsStep())
	if d.h.Text("/home/ann/.vimrc") != "v\n" {
		t.Error(d.h.Tree("/home/ann"))
	}
	d.h.Forget()
	nothingToDo(t, d.h, dotsStep())
}

func TestAPlanWithoutAChezmoiYetIsToActivate(t *testing.T) {
	d := dotsHost(t, nil, files{".netrc": "x"}, nil)
	if err := d.h.Remove(thePath + "/bin/chezmoi"); err != nil {
		t.Fatal(err)
	}
	if got := planned(t, d.h, dotsStep()); !strings.HasPrefix(got, "activate "+theGen) {
		t.Errorf("planned %q", got)
	}
	refuses(t, apply(t, d.h, dotsStep()), bootstrap.ExitFailed, "there is no chezmoi")
}

func TestWithoutDotfilesChezmoiIsNotAsked(t *testing.T) {
	d := dotsHost(t, nil, files{".vimrc": "v\n"}, nil)
	converges(t, d.h, activateStep())
	if calls := strings.Join(d.h.Calls(), "\n"); strings.Contains(calls, "chezmoi") || exists(d.h, "/home/ann/.vimrc") {
		t.Errorf("calls:\n%s", calls)
	}
}

func TestAChezmoiRunByHandIsUnderstood(t *testing.T) {
	d := dotsHost(t, nil, files{".vimrc": "v\n"}, files{"run_once_o.sh": "o"})
	converges(t, d.h, dotsStep())
	d.wants[".vimrc"], d.scripts["run_once_o.sh"] = "new\n", "new"
	d.h.Put(dotsDir+"/dot_vimrc", "new")
	c := d.z.cmd("apply", "--force")
	if _, err := d.h.Run(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if got := planned(t, d.h, dotsStep()); got != "" {
		t.Errorf("planned %s", got)
	}
	d.h.Forget()
	nothingToDo(t, d.h, dotsStep())
}

func TestAHomeManagerRunByHandIsUnderstood(t *testing.T) {
	d := dotsHost(t, nil, files{".vimrc": "v\n"}, nil)
	converges(t, d.h, dotsStep())
	hadOld(t, d.h) // relinks .bashrc and the profile
	_ = d.h.Remove("/home/ann/.config/a/b")
	d.h.Forget()
	if got := planned(t, d.h, dotsStep()); got != "activate "+theGen+"; update /home/ann/.bashrc; create /home/ann/.config/a/b" {
		t.Errorf("planned %s", got)
	}
	converges(t, d.h, dotsStep())
	if w := d.h.Warnings(); len(w) > 0 {
		t.Errorf("warnings: %q", w)
	}
	// And back by hand to what movein wants: nothing is left to do.
	if got := planned(t, d.h, dotsStep()); got != "" {
		t.Errorf("planned %s", got)
	}
}

func TestNamesThatCannotBeSeenAreQuotedInWarnings(t *testing.T) {
	h := activateHost(t, nil)
	h.Put(theFiles+"/a\nb", "1")
	h.Put("/home/ann/a\nb", "mine\n")
	activation(t, h, theGen, theFiles, ".bashrc", ".config/a/b", "a\nb")
	converges(t, h, activateStep())
	if w := strings.Join(h.Warnings(), " "); !strings.Contains(w, `"/home/ann/a\nb" (file)`) || strings.Contains(w, "\n") {
		t.Errorf("warnings: %q", w)
	}
}

func TestADirectoryThatAHookClosedStaysClosed(t *testing.T) {
	h := activateHost(t, files{"/home/ann/.config/a/": ""})
	h.On(theGen+"/activate --driver-version 1", func(c host.Cmd) (host.Result, error) {
		if !strings.Contains(strings.Join(c.Env, " "), "DRY_RUN") {
			h.Put("/home/ann/.bashrc", "-> "+theFiles+"/.bashrc")
			h.Put("/home/ann/.config/a/b", "-> "+theFiles+"/.config/a/b")
			h.Put(currentHome, "-> "+theGen)
			h.Put(homeProfile+"/manifest.nix", thePath)
			return host.Result{}, h.Own("/home/ann/.config/a", -1, -1, 0o700)
		}
		return host.Result{}, nil
	})
	converges(t, h, activateStep())
	if info, err := h.Lstat("/home/ann/.config/a"); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

// A file that is held aside comes back whether the activation fails or is killed.
func TestAHeldFileComesBack(t *testing.T) {
	mine := "!0600 my bashrc\n"
	fresh := func() *fakeDots {
		d := dotsHost(t, files{"/home/ann/.bashrc": mine}, files{".vimrc": "v\n"}, nil)
		return d
	}
	step := dotsStep(owned("chezmoi", ".bashrc"))
	back := func(h *hosttest.Host) {
		t.Helper()
		if !isThere(t, h, "/home/ann/.bashrc", mine) {
			t.Error(h.Tree("/home/ann"))
		}
	}
	d := fresh()
	before := userTree(d.h)
	d.at("activation", hosttest.Fails(1, "it broke\n"))
	refuses(t, apply(t, d.h, step), bootstrap.ExitFailed, "it broke")
	same(t, d.h, before)
	for _, moment := range moments[1:] {
		d := fresh()
		d.at(moment, func(c host.Cmd) (host.Result, error) {
			d.h.Fail = func(string, string) error { return fmt.Errorf("killed") }
			return hosttest.Fails(137, "killed")(c)
		})
		if err := step.Apply(t.Context(), d.h, nil); err == nil {
			t.Error("nobody was killed")
		}
		d.h.Fail = nil
		activation(t, d.h, theGen, theFiles, ".bashrc", ".config/a/b")
		converges(t, d.h, step)
		back(d.h)
	}
}

// What the old generation's activation does while a change is taken back is no loss either.
func TestTheHomeIsAsItWasAlsoAfterTheOldGenerationIsActivatedAgain(t *testing.T) {
	h := activateHost(t, nil)
	hadOld(t, h)
	_ = h.Remove("/home/ann/.bashrc") // the user does not want it
	before := userTree(h)
	breaks(t, h, false)
	activation(t, h, oldGen, oldFiles, ".bashrc")
	refuses(t, apply(t, h, activateStep()), bootstrap.ExitFailed, "a hook failed")
	if after := userTree(h); withoutLines(after, homeProfile) != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
}

func TestAHeldFileIsNotPutOverWhatAHookWrote(t *testing.T) {
	d := dotsHost(t, files{"/home/ann/.bashrc": "mine\n"}, files{".vimrc": "v\n"}, nil)
	d.at("activation", func(host.Cmd) (host.Result, error) {
		_ = d.h.Remove("/home/ann/.bashrc")
		d.h.Put("/home/ann/.bashrc", "a hook wrote this\n")
		d.h.Put(homeProfile+"/manifest.nix", thePath)
		return host.Result{}, nil
	})
	converges(t, d.h, dotsStep(owned("chezmoi", ".bashrc")))
	if d.h.Text("/home/ann/.bashrc") != "a hook wrote this\n" {
		t.Error(d.h.Tree("/home/ann"))
	}
	keepsAll(t, d.h, files{"/home/ann/.bashrc": "mine\n"})
	if w := strings.Join(d.h.Warnings(), "\n"); !strings.Contains(w, "movein backups restore") {
		t.Errorf("warnings: %q", w)
	}
}
