package bootstrap_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"movein/bootstrap"
	"movein/bootstrap/host"
)

// work is how long every Apply takes.
const work = 2 * time.Second

// machine is the host as one of the halves has it: the files below a directory.
type machine struct {
	*host.Real
	who bootstrap.As
	lab *lab
}

// WriteFile counts, and can be made to fail.
func (m machine) WriteFile(name string, data []byte, perm fs.FileMode) error {
	if err := m.lab.write(name); err != nil {
		return err
	}
	return m.Real.WriteFile(name, data, perm)
}

// lab is one test's host, with all that is done to it.
type lab struct {
	t     testing.TB
	root  string // directory that stands for /
	start time.Time

	mu      sync.Mutex
	applied map[string]string // step -> half and second, "user@2"
	plans   map[string]int    // step -> how many times its Plan was called
	log     []string          // "plan a", "apply a", "ask", in order
	writes  []string          // files written
	broken  map[string]int    // file -> the how many-th write of it and later ones fail; 0: none
	roots   []string          // steps that the root half was asked for
}

func newLab(t testing.TB) *lab {
	return &lab{t: t, root: t.TempDir(), start: time.Now(), applied: map[string]string{}, plans: map[string]int{}, broken: map[string]int{}}
}

func (l *lab) write(name string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.writes = append(l.writes, name)
	n := 0
	for _, w := range l.writes {
		if w == name {
			n++
		}
	}
	if from := l.broken[name]; from > 0 && n >= from {
		return &fs.PathError{Op: "write", Path: name, Err: errors.New("no space left on device")}
	}
	return nil
}

func (l *lab) note(format string, a ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.log = append(l.log, fmt.Sprintf(format, a...))
}

// boot makes id the host's boot id.
func (l *lab) boot(id string) {
	l.t.Helper()
	file := filepath.Join(l.root, "proc/sys/kernel/random/boot_id")
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, []byte(id+"\n"), 0o600)); err != nil {
		l.t.Fatal(err)
	}
}

func (l *lab) machine(who bootstrap.As) machine {
	return machine{&host.Real{Root: l.root}, who, l}
}

func journalOf(who bootstrap.As) string { return "/" + string(who) + "/journal.json" }

// journal opens the journal of a half.
func (l *lab) journal(who bootstrap.As) *bootstrap.Journal {
	l.t.Helper()
	j, err := bootstrap.OpenJournal(l.machine(who), journalOf(who))
	if err != nil {
		l.t.Fatal(err)
	}
	return j
}

// local is a half in this process.
func (l *lab) local(who bootstrap.As) *bootstrap.Local {
	return &bootstrap.Local{Journal: l.journal(who), Host: func(notes func(host.Note)) host.Host {
		m := l.machine(who)
		m.Notes = notes
		return m
	}}
}

// script is a step that does as its words say. What it makes is a file of its name.
type script struct {
	info  bootstrap.Info
	words []string
	lab   *lab
}

func (s script) has(word string) bool { return slices.Contains(s.words, word) }

func (s script) made() string { return "/made-" + s.info.Name }

func (s script) Info() bootstrap.Info { return s.info }

func (s script) Plan(ctx context.Context, v host.View) (bootstrap.Change, error) {
	s.lab.note("plan %s", s.info.Name)
	s.lab.mu.Lock()
	s.lab.plans[s.info.Name]++
	s.lab.mu.Unlock()
	if s.has("slow") {
		time.Sleep(work)
	}
	if s.has("warn") {
		v.Warn("%s is odd", s.info.Name)
	}
	for _, w := range s.words {
		if other, ok := strings.CutPrefix(w, "after-"); ok {
			if _, err := v.Lstat("/made-" + other); err != nil {
				return nil, nil
			}
		}
	}
	_, err := v.Lstat(s.made())
	switch {
	case s.has("denied") && v.(machine).who == bootstrap.User:
		return nil, &fs.PathError{Op: "open", Path: "/root/secret", Err: fs.ErrPermission}
	case s.has("skip"):
		return nil, bootstrap.Skip("not on this host")
	case s.has("planfail"):
		return nil, errors.New("cannot look")
	case s.has("blind") && err == nil:
		return nil, errors.New("cannot look")
	case s.has("ok") || err == nil:
		return nil, nil
	}
	return bootstrap.Change{{Verb: "write", Target: s.made(), Reason: "is missing"}}, nil
}

func (s script) Apply(ctx context.Context, h host.Host, c bootstrap.Change) error {
	s.lab.note("apply %s", s.info.Name)
	s.lab.mu.Lock()
	s.lab.applied[s.info.Name] = fmt.Sprintf("%s@%d", h.(machine).who, int(time.Since(s.lab.start)/time.Second))
	s.lab.mu.Unlock()
	h.Progress(1, 2, "paths")
	time.Sleep(work)
	switch {
	case s.has("hang"):
		<-ctx.Done()
		return ctx.Err()
	case s.has("fail"):
		return bootstrap.Hint(errors.New("boom"), "try %s again", s.info.Name)
	case s.has("refuse"):
		return bootstrap.Refuse("%s is in the way", s.made())
	case s.has("reboot"):
		return bootstrap.Hint(bootstrap.Reboot("a mount needs it"), "reboot")
	case s.has("late-skip"):
		return bootstrap.Skip("not here after all")
	case s.has("lie"):
		return nil
	}
	return h.WriteFile(s.made(), []byte(s.info.Name), 0o600)
}

// hooked is a script that something happens to before its Apply.
type hooked struct {
	script
	before func(h host.Host, c bootstrap.Change)
}

func (s hooked) Apply(ctx context.Context, h host.Host, c bootstrap.Change) error {
	s.before(h, c)
	return s.script.Apply(ctx, h, c)
}

// graphOf makes the steps of infos do as setup says: "STEP:WORD …", words as in
// script, or STEP:--skip. What has no colon is left for the caller: "jobs=1 dry".
func (l *lab) graphOf(infos []bootstrap.Info, setup string) (g *bootstrap.Graph, opt bootstrap.Options, rest map[string]int) {
	l.t.Helper()
	words, rest := map[string][]string{}, map[string]int{}
	for _, field := range strings.Fields(setup) {
		step, word, ok := strings.Cut(field, ":")
		switch {
		case !ok:
			name, value, _ := strings.Cut(field, "=")
			rest[name], _ = strconv.Atoi(value)
		case word == "--skip":
			opt.Skip = append(opt.Skip, step)
		default:
			words[step] = append(words[step], word)
		}
	}
	var steps []bootstrap.Step
	for _, info := range infos {
		info.Title = "The step " + info.Name
		steps = append(steps, script{info, words[info.Name], l})
	}
	g, err := bootstrap.NewGraph(steps...)
	if err != nil {
		l.t.Fatal(err)
	}
	_, opt.DryRun = rest["dry"]
	opt.Jobs, opt.View = rest["jobs"], l.machine(bootstrap.User)
	opt.User, opt.Root = l.local(bootstrap.User), l.local(bootstrap.Root)
	return g, opt, rest
}

// asked is a half that remembers what it was asked for.
type asked struct {
	bootstrap.Half
	lab *lab
}

func (a asked) Do(ctx context.Context, s bootstrap.Step, dry bool, tell bootstrap.Sink) bootstrap.Event {
	a.lab.mu.Lock()
	a.lab.roots = append(a.lab.roots, s.Info().Name)
	a.lab.mu.Unlock()
	return a.Half.Do(ctx, s, dry, tell)
}

// record is a sink that keeps everything.
func record(events *[]bootstrap.Event) bootstrap.Sink {
	return func(e bootstrap.Event) { *events = append(*events, e) }
}

// remote is l behind Serve in what would be another process.
func (l *lab) remote(g *bootstrap.Graph, who bootstrap.As) *bootstrap.Remote {
	return otherHalf(who, func(in io.Reader, out io.Writer) error {
		return bootstrap.Serve(context.Background(), in, out, g, l.local(who), nil)
	})
}

// otherHalf is a process whose main function is main.
func otherHalf(who bootstrap.As, main func(in io.Reader, out io.Writer) error) *bootstrap.Remote {
	return &bootstrap.Remote{Name: string(who), Start: func(context.Context) (io.WriteCloser, io.Reader, func() error, error) {
		inR, inW := io.Pipe()
		outR, outW := io.Pipe()
		end := make(chan error, 1)
		go func() {
			end <- main(inR, outW)
			inR.Close()
			outW.Close()
		}()
		return inW, outR, func() error { return <-end }, nil
	}}
}

// render is what became of each step: NAME:STATUS, /CODE of a failed one, and
// @SECOND of its Apply, if that was called.
func (l *lab) render(out bootstrap.Outcome) string {
	var words []string
	for _, e := range out.Steps {
		w := e.Step + ":" + string(e.Status)
		if e.Status == bootstrap.Failed || e.Code != 0 {
			w += fmt.Sprintf("/%d", e.Code)
		}
		if _, at, ok := strings.Cut(l.applied[e.Step], "@"); ok {
			w += "@" + at
		}
		words = append(words, w)
	}
	return strings.Join(words, " ")
}

// last is the last event of a step.
func last(t testing.TB, out bootstrap.Outcome, step string) bootstrap.Event {
	t.Helper()
	for _, e := range out.Steps {
		if e.Step == step {
			return e
		}
	}
	t.Fatalf("no step %s in %v", step, out.Steps)
	return bootstrap.Event{}
}
