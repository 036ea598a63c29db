package report

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"movein/bootstrap"
)

var update = flag.Bool("update", false, "write the golden files")

// golden compares got with testdata/name.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs; go test -update writes it anew. Got:\n%s", file, got)
	}
}

// tape is a run to play to a sink: events, each some time after the one before.
type tape struct {
	now    time.Time
	titles map[string]string
	events []bootstrap.Event
}

func newTape() *tape {
	return &tape{now: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC), titles: map[string]string{
		"preflight":      "Look at the host",
		"nix-mount":      "Mount /nix at boot",
		"nix-install":    "Install Nix",
		"nix-config":     "Turn on flakes",
		"nix-daemon":     "Start the Nix daemon",
		"home-clone":     "Clone the home repository",
		"dotfiles-clone": "Clone the dotfiles",
		"home-build":     "Build the home generation",
		"home-activate":  "Activate the home generation",
		"selinux":        "Teach SELinux about /nix",
		"linger":         "Keep user services running",
	}}
}

func (p *tape) add(after time.Duration, e bootstrap.Event) *tape {
	p.now = p.now.Add(after)
	e.Schema, e.Time, e.Title = bootstrap.Schema, p.now, p.titles[e.Step]
	p.events = append(p.events, e)
	return p
}

func (p *tape) step(after time.Duration, name string, st bootstrap.Status, reason string, c ...bootstrap.Action) *tape {
	return p.add(after, bootstrap.Event{Event: "step", Step: name, Status: st, Reason: reason, Change: c})
}

func (p *tape) progress(after time.Duration, name string, done, total int64, unit string) *tape {
	return p.add(after, bootstrap.Event{Event: "progress", Step: name, Done: done, Total: total, Unit: unit})
}

func (p *tape) summary(s bootstrap.Summary) *tape {
	s.DurationMS = p.now.Sub(p.events[0].Time).Milliseconds()
	return p.add(0, bootstrap.Event{Event: "summary", Summary: &s})
}

func (p *tape) play(sink bootstrap.Sink) {
	for _, e := range p.events {
		sink(e)
	}
}

const ms = time.Millisecond

func act(verb, target string, reason ...string) bootstrap.Action {
	return bootstrap.Action{Verb: verb, Target: target, Reason: strings.Join(reason, "")}
}

const generation = "/nix/store/9vx2k4l1m8c0r7s6d5f4g3h2j1k0l9z8-home-manager-generation"

func installNix() []bootstrap.Action {
	return []bootstrap.Action{
		act("create", "/nix"),
		act("unpack", "59 store paths", "Nix 2.34.7"),
		act("create", "group nixbld and 32 users"),
		act("back up", "/etc/bash.bashrc", "an older installer changed it"),
		act("start", "nix-daemon.socket"),
	}
}

func activateHome() []bootstrap.Action {
	files := []bootstrap.Action{
		act("back up", "~/.bashrc", "is not ours"),
		act("replace", "~/.bashrc"),
		act("remove", "~/.config/old-tool/config", "not in the generation"),
	}
	for i := range 17 {
		files = append(files, act("create", fmt.Sprintf("~/.config/app%02d/settings", i)))
	}
	return files
}

func freshRun() *tape {
	return newTape().
		step(0, "preflight", bootstrap.Running, "").
		step(9*ms, "preflight", bootstrap.Unchanged, "").
		step(0, "selinux", bootstrap.Running, "").
		step(1*ms, "selinux", bootstrap.Skipped, "SELinux is off on this host").
		step(0, "nix-install", bootstrap.Running, "").
		step(0, "home-clone", bootstrap.Running, "").
		step(20*ms, "nix-install", bootstrap.Applying, "", installNix()...).
		step(1*ms, "home-clone", bootstrap.Applying, "", act("clone", "https://example.org/me/home")).
		progress(200*ms, "nix-install", 0, 27_100_000, "bytes").
		progress(900*ms, "nix-install", 5_100_000, 27_100_000, "bytes").
		step(500*ms, "home-clone", bootstrap.Changed, "", act("clone", "https://example.org/me/home")).
		progress(600*ms, "nix-install", 12_300_000, 27_100_000, "bytes").
		progress(50*ms, "nix-install", 12_500_000, 27_100_000, "bytes").
		progress(900*ms, "nix-install", 20_900_000, 27_100_000, "bytes").
		progress(700*ms, "nix-install", 27_100_000, 27_100_000, "bytes").
		step(300*ms, "nix-install", bootstrap.Changed, "", installNix()...).
		step(0, "nix-config", bootstrap.Running, "").
		step(2*ms, "nix-config", bootstrap.Applying, "", act("write", "/etc/nix/nix.conf")).
		step(4*ms, "nix-config", bootstrap.Changed, "", act("write", "/etc/nix/nix.conf")).
		step(0, "nix-daemon", bootstrap.Running, "").
		step(3*ms, "nix-daemon", bootstrap.Unchanged, "").
		step(0, "home-build", bootstrap.Running, "").
		step(0, "home-build", bootstrap.Applying, "", act("build", "homeConfigurations.me@host")).
		progress(500*ms, "home-build", 12, 148, "paths").
		progress(11*time.Second, "home-build", 30, 148, "paths").
		progress(20*time.Second, "home-build", 140, 148, "paths").
		add(1*time.Second, bootstrap.Event{Event: "warning", Step: "home-build", Reason: "the flake's lock file is older than six months", Hint: "movein update"}).
		step(32*time.Second, "home-build", bootstrap.Changed, "", act("build", "homeConfigurations.me@host")).
		step(0, "home-activate", bootstrap.Running, "").
		step(80*ms, "home-activate", bootstrap.Applying, "", activateHome()...).
		step(900*ms, "home-activate", bootstrap.Changed, "", activateHome()...).
		step(0, "linger", bootstrap.Running, "").
		step(5*ms, "linger", bootstrap.Changed, "", act("enable", "lingering for me", "so that user services start at boot")).
		summary(bootstrap.Summary{Changed: true, Generation: generation})
}

func rerun() *tape {
	p := newTape()
	for _, name := range []string{"preflight", "nix-install", "nix-config", "nix-daemon", "home-clone", "dotfiles-clone", "home-build", "home-activate"} {
		p.step(1*ms, name, bootstrap.Running, "").step(3*ms, name, bootstrap.Unchanged, "")
	}
	p.step(0, "selinux", bootstrap.Running, "").step(0, "selinux", bootstrap.Skipped, "SELinux is off on this host")
	return p.summary(bootstrap.Summary{Generation: generation})
}

func repair() *tape {
	p := newTape()
	for _, name := range []string{"preflight", "nix-install", "nix-config"} {
		p.step(1*ms, name, bootstrap.Running, "").step(3*ms, name, bootstrap.Unchanged, "")
	}
	return p.step(0, "nix-daemon", bootstrap.Running, "").
		step(900*ms, "nix-daemon", bootstrap.Applying, "", act("restart", "nix-daemon.service", "does not answer")).
		step(900*ms, "nix-daemon", bootstrap.Changed, "", act("restart", "nix-daemon.service", "does not answer")).
		summary(bootstrap.Summary{Changed: true, Generation: generation})
}

// secrets is a run that had to skip files for lack of a secret.
func secrets() *tape {
	p := newTape()
	for _, name := range []string{"preflight", "home-build"} {
		p.step(1*ms, name, bootstrap.Running, "").step(3*ms, name, bootstrap.Unchanged, "")
	}
	return p.step(0, "home-activate", bootstrap.Running, "").
		step(900*ms, "home-activate", bootstrap.Changed, "", activateHome()...).
		summary(bootstrap.Summary{Changed: true, Generation: generation, Secrets: "missing", SkippedFiles: []string{
			"/home/me/.config/mail/password", "/home/me/.netrc", "/home/me/a\nb", "/home/me/4", "/home/me/5", "/home/me/6", "/home/me/7",
		}})
}

func plan() *tape {
	return newTape().
		step(0, "preflight", bootstrap.Running, "").
		step(0, "nix-mount", bootstrap.Running, "").
		step(0, "nix-install", bootstrap.Running, "").
		step(9*ms, "preflight", bootstrap.Unchanged, "").
		step(1*ms, "nix-mount", bootstrap.Skipped, "/ is no ostree deployment").
		add(0, bootstrap.Event{Event: "warning", Step: "nix-install", Reason: "only 4.1 GB are free below /"}).
		step(0, "home-activate", bootstrap.Running, "").
		step(1*ms, "home-activate", bootstrap.Changed, "", activateHome()...).
		step(20*ms, "nix-install", bootstrap.Changed, "", installNix()...).
		step(0, "nix-config", bootstrap.Running, "").
		step(1*ms, "nix-config", bootstrap.Changed, "", act("write", "/etc/nix/nix.conf")).
		step(0, "selinux", bootstrap.Running, "").
		step(1*ms, "selinux", bootstrap.Skipped, "SELinux is off on this host").
		summary(bootstrap.Summary{DryRun: true, Failed: []string{}})
}

func failure() *tape {
	p := newTape().
		step(0, "preflight", bootstrap.Running, "").
		step(9*ms, "preflight", bootstrap.Unchanged, "").
		step(0, "nix-install", bootstrap.Running, "").
		step(0, "home-clone", bootstrap.Running, "").
		step(20*ms, "nix-install", bootstrap.Applying, "", installNix()...).
		step(2*time.Second, "home-clone", bootstrap.Applying, "", act("clone", "https://example.org/me/home")).
		step(time.Second, "home-clone", bootstrap.Changed, "", act("clone", "https://example.org/me/home"))
	p.add(7*time.Second, bootstrap.Event{
		Event: "step", Step: "nix-install", Status: bootstrap.Failed, Code: bootstrap.ExitUnreachable,
		Reason: "reaching https://releases.nixos.org/nix/nix-2.34.7/nix-2.34.7-x86_64-linux.tar.xz: dial tcp: lookup releases.nixos.org: no such host",
		Hint:   "check the network or set a proxy:\n  https_proxy=http://proxy.example.org:3128 movein apply https://example.org/me/home",
		Change: installNix(),
	})
	for _, name := range []string{"nix-config", "nix-daemon", "home-build", "home-activate"} {
		p.step(0, name, bootstrap.Blocked, "nix-install is failed")
	}
	return p.summary(bootstrap.Summary{Changed: true, Failed: []string{"nix-install"}, ExitCode: bootstrap.ExitUnreachable})
}

func reboot(resumes bool) *tape {
	return newTape().
		step(0, "preflight", bootstrap.Running, "").
		step(9*ms, "preflight", bootstrap.Unchanged, "").
		step(0, "nix-mount", bootstrap.Running, "").
		step(0, "home-clone", bootstrap.Running, "").
		step(1*ms, "nix-mount", bootstrap.Applying, "", act("write", "/etc/systemd/system/nix.mount")).
		step(1*ms, "home-clone", bootstrap.Applying, "", act("clone", "https://example.org/me/home")).
		step(20*time.Second, "nix-mount", bootstrap.Waiting, "the new deployment with /nix starts at the next boot").
		step(0, "nix-install", bootstrap.Blocked, "nix-mount is waiting").
		step(0, "nix-config", bootstrap.Blocked, "nix-install is blocked").
		step(1*time.Second, "home-clone", bootstrap.Changed, "", act("clone", "https://example.org/me/home")).
		summary(bootstrap.Summary{Changed: true, RebootRequired: true, Resumes: resumes, ExitCode: bootstrap.ExitReboot})
}

func interrupted() *tape {
	return newTape().
		step(0, "nix-install", bootstrap.Running, "").
		step(20*ms, "nix-install", bootstrap.Applying, "", installNix()...).
		step(3*time.Second, "nix-install", bootstrap.Failed, "interrupted: running nix-store: signal: interrupt").
		step(0, "nix-config", bootstrap.Blocked, "nix-install is failed").
		step(0, "home-clone", bootstrap.Blocked, "interrupted").
		summary(bootstrap.Summary{Failed: []string{"nix-install"}, ExitCode: bootstrap.ExitInterrupted, Error: "interrupted"})
}

func lockedOut() *tape {
	return newTape().add(0, bootstrap.Event{
		Event: "summary", Hint: "wait for it, or end it: kill 4711",
		Summary: &bootstrap.Summary{Error: "another movein is running (pid 4711)", ExitCode: bootstrap.ExitLocked},
	})
}

func tapes() map[string]*tape {
	return map[string]*tape{
		"fresh": freshRun(), "rerun": rerun(), "repair": repair(), "plan": plan(), "failure": failure(),
		"reboot": reboot(false), "restart": reboot(true), "interrupted": interrupted(), "locked": lockedOut(), "secrets": secrets(),
	}
}

func TestText(t *testing.T) {
	for name, p := range tapes() {
		for look, o := range map[string]TextOptions{
			"txt":         {Unicode: true},
			"ascii.txt":   {},
			"color.txt":   {Unicode: true, Color: true},
			"verbose.txt": {Unicode: true, Verbose: true},
		} {
			t.Run(name+"."+look, func(t *testing.T) {
				var b bytes.Buffer
				o.DryRun = name == "plan"
				p.play(Text(&b, o))
				golden(t, name+"."+look, b.Bytes())
				checkLines(t, b.String(), o)
			})
		}
	}
}

// checkLines looks for what no text may have.
func checkLines(t *testing.T, text string, o TextOptions) {
	t.Helper()
	if !strings.HasSuffix(text, "\n") {
		t.Error("does not end with a newline")
	}
	if !o.Color && strings.ContainsAny(text, "\x1b\r") {
		t.Error("has control characters")
	}
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if strings.TrimRight(line, " ") != line {
			t.Errorf("%q ends with white space", line)
		}
		if plain := clean(line); columns(plain) > 80 && !strings.Contains(plain, "https") && (!o.Verbose || !strings.Contains(plain, "/nix/store/")) {
			t.Errorf("%q has %d columns", plain, columns(plain))
		}
		for _, r := range line {
			if !o.Unicode && r > 0x7e {
				t.Errorf("%q is not ASCII", line)
			}
		}
	}
}

func TestTextLevels(t *testing.T) {
	for level, want := range map[string]string{
		"error": "  ✗ Install Nix",
		"warn":  "  ✗ Install Nix",
		"info":  "  ✓ Clone the home repository",
		"debug": "  ✓ Look at the host",
	} {
		var b bytes.Buffer
		failure().play(Text(&b, TextOptions{Unicode: true, Level: level}))
		if !strings.HasPrefix(b.String(), want) {
			t.Errorf("%s begins with %.40q, want %q", level, b.String(), want)
		}
	}
	var b bytes.Buffer
	rerun().play(Text(&b, TextOptions{Level: "error"}))
	if b.Len() > 0 {
		t.Errorf("at level error a rerun says %q", b.String())
	}
}

func TestTextTakesEscapesOut(t *testing.T) {
	evil := "a\x1b[2Jb\x1b]0;title\ac\x07d\u202ee\tf\x1b(Bg\x9bh\rend"
	p := newTape().
		add(0, bootstrap.Event{Event: "warning", Step: "nix-install", Reason: evil, Hint: evil}).
		add(0, bootstrap.Event{Event: "step", Step: "evil\x1b[2J", Status: bootstrap.Changed, Change: bootstrap.Change{act("write", evil, evil), act("x"+evil, "y")}}).
		add(0, bootstrap.Event{Event: "step", Step: "one", Status: bootstrap.Changed, Change: bootstrap.Change{act("write", evil)}}).
		add(0, bootstrap.Event{Event: "step", Step: "worse", Status: bootstrap.Failed, Reason: evil, Hint: evil}).
		add(0, bootstrap.Event{Event: "summary", Summary: &bootstrap.Summary{Error: evil, Generation: evil, Failed: []string{evil}}})
	for _, dry := range []bool{false, true} {
		var b bytes.Buffer
		p.play(Text(&b, TextOptions{Unicode: true, Verbose: true, DryRun: dry}))
		if strings.ContainsAny(b.String(), "\x1b\a\r\u202e\u009b") || strings.Contains(b.String(), "2J") {
			t.Errorf("escapes came through: %q", b.String())
		}
	}
}

func TestTextOfOddEvents(t *testing.T) {
	var b bytes.Buffer
	sink := Text(&b, TextOptions{Verbose: true})
	for _, e := range []bootstrap.Event{
		{},
		{Event: "step"},
		{Event: "step", Status: bootstrap.Changed},
		{Event: "step", Step: "x", Status: bootstrap.Failed},
		{Event: "progress", Done: -1, Total: -1},
		{Event: "warning"},
		{Event: "question"},
		{Event: "summary"},
		{Event: "hello"},
	} {
		sink(e)
	}
	if strings.ContainsAny(b.String(), "\x1b\r") {
		t.Errorf("%q", b.String())
	}
}

func TestJSON(t *testing.T) {
	p := failure()
	p.events[0].Reason = "<a> & \"b\"\nc"
	p.progress(0, "home-build", 3, 9, "paths")
	p.events[1].Summary = &bootstrap.Summary{Generation: "of no meaning here"}
	p.add(0, bootstrap.Event{Event: "summary", Step: "of no meaning here", Reason: "none here"})
	p.add(0, bootstrap.Event{Event: "summary", Summary: &bootstrap.Summary{Failed: []string{}, DryRun: true, Error: "interrupted", ExitCode: 130, Generation: generation, Secrets: "missing", SkippedFiles: []string{"/home/me/.netrc"}}})
	p.events[3].Schema = 0
	var b bytes.Buffer
	p.play(JSON(&b))
	golden(t, "events.json", b.Bytes())
	for line := range strings.Lines(b.String()) {
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			t.Fatal(err)
		}
		if fields["schema"] != float64(bootstrap.Schema) {
			t.Errorf("schema %v", fields["schema"])
		}
		if _, ok := fields["failed"].([]any); ok != (fields["event"] == "summary") {
			t.Errorf("%q: failed is %v", line, fields["failed"])
		}
	}
}

// TestJSONOfNames: a name is in the JSON as it is, and where that cannot be its bytes are.
func TestJSONOfNames(t *testing.T) {
	var b bytes.Buffer
	e := bootstrap.Event{Event: "step", Change: bootstrap.Change{act("write", "<a> & b"), act("write", "caf\xe9\n")}}
	JSON(&b)(e)
	const want = `"change":[{"verb":"write","target":"<a> & b"},{"verb":"write","target":"caf\ufffd\n","target_base64":"Y2Fm6Qo="}]}` + "\n"
	if !strings.HasSuffix(b.String(), want) {
		t.Errorf("%s, want %s", b.String(), want)
	}
	var back bootstrap.Event
	if err := json.Unmarshal(b.Bytes(), &back); err != nil || back.Change[1].Target != "caf\xe9\n" {
		t.Errorf("%q, %v", back.Change[1].Target, err)
	}
}

// TestASCII: what is ours is told in ASCII where there is nothing else, and names are left alone.
func TestASCII(t *testing.T) {
	for _, dry := range []bool{true, false} {
		var b bytes.Buffer
		newTape().
			add(0, bootstrap.Event{Event: "warning", Step: "nix-install", Reason: "a, b, …", Hint: "from → to"}).
			step(0, "nix-install", bootstrap.Changed, "", act("write", "/über", "x, …"), act("write", "y")).
			summary(bootstrap.Summary{}).play(Text(&b, TextOptions{DryRun: dry}))
		for _, want := range []string{"a, b, ...", "from -> to", "/über", "x, ..."} {
			if !strings.Contains(b.String(), want) {
				t.Errorf("no %q in %s", want, b.String())
			}
		}
	}
}

func TestLog(t *testing.T) {
	for _, level := range []string{"", "trace"} {
		var b bytes.Buffer
		sink, err := Log(&b, level)
		if err != nil {
			t.Fatal(err)
		}
		failure().progress(0, "home-build", 3, 9, "paths").play(sink)
		golden(t, "log"+level+".txt", b.Bytes())
	}
	if _, err := Log(nil, "loud"); err == nil || CheckLevel("loud") == nil || CheckLevel("panic") == nil {
		t.Error("a level that is none is no error")
	}
	if err := CheckLevel("debug"); err != nil {
		t.Error(err)
	}
}
