package bootstrap_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"movein/bootstrap"
	"movein/bootstrap/host"
)

// The graph of sequences: (a | b) -> c -> (d | e), and f alone. d and e want the
// same exclusive thing, and d may take half a minute.
var sequenceGraph = []bootstrap.Info{
	{Name: "a"},
	{Name: "b"},
	{Name: "c", Needs: []string{"a", "b"}},
	{Name: "d", Needs: []string{"c"}, Exclusive: "x", Timeout: 30 * time.Second},
	{Name: "e", Needs: []string{"c"}, Exclusive: "x"},
	{Name: "f"},
}

// setup: see graphOf; jobs=N, dry, interrupt=SECOND, cancelled.
// want: see render.
var sequences = []struct{ name, setup, want string }{
	{"as wide as needs and exclusive things allow", "", "a:changed@0 b:changed@0 c:changed@2 d:changed@4 e:changed@6 f:changed@0"},
	{"two at a time", "jobs=2", "a:changed@0 b:changed@0 c:changed@2 d:changed@4 e:changed@6 f:changed@2"},
	{"one at a time in the order of the list", "jobs=1", "a:changed@0 b:changed@2 c:changed@4 d:changed@6 e:changed@8 f:changed@10"},
	{"nothing to do", "a:ok b:ok c:ok d:ok e:ok f:ok", "a:unchanged b:unchanged c:unchanged d:unchanged e:unchanged f:unchanged"},
	{"Skip from Plan", "a:skip", "a:skipped b:changed@0 c:changed@2 d:changed@4 e:changed@6 f:changed@0"},
	{"Skip from Apply", "a:late-skip", "a:skipped@0 b:changed@0 c:changed@2 d:changed@4 e:changed@6 f:changed@0"},
	{"asked to skip", "a:--skip d:--skip", "a:skipped b:changed@0 c:changed@2 d:skipped e:changed@4 f:changed@0"},
	{"failure blocks dependents only", "a:fail", "a:failed/1@0 b:changed@0 c:blocked d:blocked e:blocked f:changed@0"},
	{"failure does not stop siblings", "d:fail", "a:changed@0 b:changed@0 c:changed@2 d:failed/1@4 e:changed@6 f:changed@0"},
	{"failure of Plan", "a:planfail", "a:failed/1 b:changed@0 c:blocked d:blocked e:blocked f:changed@0"},
	{"failure with a code", "f:refuse", "a:changed@0 b:changed@0 c:changed@2 d:changed@4 e:changed@6 f:failed/73@0"},
	{"Apply that does not do it", "a:lie", "a:failed/1@0 b:changed@0 c:blocked d:blocked e:blocked f:changed@0"},
	{"Plan that fails after Apply", "a:blind", "a:failed/1@0 b:changed@0 c:blocked d:blocked e:blocked f:changed@0"},
	{"Reboot from Apply", "c:reboot", "a:changed@0 b:changed@0 c:waiting@2 d:blocked e:blocked f:changed@0"},
	{"timeout", "d:hang", "a:changed@0 b:changed@0 c:changed@2 d:failed/1@4 e:changed@34 f:changed@0"},
	{"interrupt of a step that listens", "d:hang interrupt=5", "a:changed@0 b:changed@0 c:changed@2 d:failed/130@4 e:blocked f:changed@0"},
	{"interrupt of steps that do not listen", "interrupt=1", "a:changed@0 b:changed@0 c:blocked d:blocked e:blocked f:changed@0"},
	{"interrupt of Plan: Apply is not begun", "a:slow interrupt=1", "a:failed/130 b:changed@0 c:blocked d:blocked e:blocked f:changed@0"},
	{"cancelled before the start", "cancelled", "a:blocked b:blocked c:blocked d:blocked e:blocked f:blocked"},
	{"dry run", "dry", "a:changed b:changed c:changed d:changed e:changed f:changed"},
	{"dry run with all there is", "dry a:ok b:skip c:planfail f:--skip", "a:unchanged b:skipped c:failed/1 d:blocked e:blocked f:skipped"},
}

// run runs the graph of sequences as setup says.
func (l *lab) run(setup string, half func(*bootstrap.Graph) bootstrap.Half) (bootstrap.Outcome, []bootstrap.Event) {
	g, opt, rest := l.graphOf(sequenceGraph, setup)
	if half != nil {
		opt.User = half(g)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	if _, ok := rest["cancelled"]; ok {
		cancel(bootstrap.ErrInterrupted)
	}
	if at, ok := rest["interrupt"]; ok {
		time.AfterFunc(time.Duration(at)*time.Second, func() { cancel(bootstrap.ErrInterrupted) })
	}
	var events []bootstrap.Event
	out := bootstrap.Run(ctx, g, record(&events), opt)
	return out, events
}

func TestSequences(t *testing.T) {
	for _, tc := range sequences {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t)
				out, _ := l.run(tc.setup, nil)
				if got := l.render(out); got != tc.want {
					t.Errorf("\n got %s\nwant %s", got, tc.want)
				}
			})
		})
	}
}

// The graph of halves: r -> s and u -> v. r and v are root's.
var halvesGraph = []bootstrap.Info{
	{Name: "r", As: bootstrap.Root},
	{Name: "s", Needs: []string{"r"}},
	{Name: "u"},
	{Name: "v", As: bootstrap.Root, Needs: []string{"u"}},
}

// setup: as above, and refused (Escalate says no), root (the program was started by root).
// want: as above, and how often Escalate was called, and for which steps the root half was.
var halves = []struct{ name, setup, want string }{
	{"work for root", "", "r:changed@0 s:changed@2 u:changed@0 v:changed@2 escalate=1 root=r,v"},
	{"work for root in one step", "r:ok", "r:unchanged s:changed@0 u:changed@0 v:changed@2 escalate=1 root=v"},
	{"no work for root", "r:ok v:ok", "r:unchanged s:changed@0 u:changed@0 v:unchanged escalate=0 root="},
	{"no place for root", "r:skip v:skip", "r:skipped s:changed@0 u:changed@0 v:skipped escalate=0 root="},
	{"asked to skip root", "r:--skip v:--skip", "r:skipped s:changed@0 u:changed@0 v:skipped escalate=0 root="},
	{"the user's look fails", "r:planfail v:ok", "r:failed/1 s:blocked u:changed@0 v:unchanged escalate=0 root="},
	{"the user may not look", "r:denied v:ok", "r:changed@0 s:changed@2 u:changed@0 v:unchanged escalate=1 root=r"},
	{"the user may not look, and root finds nothing", "r:denied r:ok v:ok", "r:unchanged s:changed@0 u:changed@0 v:unchanged escalate=1 root=r"},
	{"refused", "refused", "r:failed/77 s:blocked u:changed@0 v:failed/77 escalate=1 root="},
	{"refused, and no work for root", "refused r:ok v:ok", "r:unchanged s:changed@0 u:changed@0 v:unchanged escalate=0 root="},
	{"refused, and the user may not look", "refused r:denied v:ok", "r:failed/77 s:blocked u:changed@0 v:unchanged escalate=1 root="},
	{"refused, and work for root in one step", "refused r:ok", "r:unchanged s:changed@0 u:changed@0 v:failed/77 escalate=1 root="},
	{"what was seen before a change is not relied on", "r:ok v:after-u", "r:unchanged s:changed@0 u:changed@0 v:changed@2 escalate=0 root=v"},
	{"refused, and more work shows later", "refused v:after-u", "r:failed/77 s:blocked u:changed@0 v:failed/77 escalate=1 root="},
	{"cancelled before the start", "cancelled", "r:blocked s:blocked u:blocked v:blocked escalate=0 root="},
	{"dry run", "dry", "r:changed s:changed u:changed v:changed escalate=0 root="},
	{"started by root", "root", "r:changed@0 s:changed@2 u:changed@0 v:changed@2 escalate=0 root=r,v"},
	{"started by root, and nothing to do", "root r:ok s:ok u:ok v:ok", "r:unchanged s:unchanged u:unchanged v:unchanged escalate=0 root=r,v"},
	{"started by root, dry run", "root dry", "r:changed s:changed u:changed v:changed escalate=0 root=r,v"},
}

var errRefused = bootstrap.Exit(bootstrap.ExitPermission, bootstrap.Hint(errors.New("nobody is there to ask"), "have an administrator run it"))

// runHalves runs the graph of halves as setup says.
func (l *lab) runHalves(setup string, root func(*bootstrap.Graph) bootstrap.Half) (out bootstrap.Outcome, events []bootstrap.Event, escalated int) {
	g, opt, rest := l.graphOf(halvesGraph, setup)
	if root != nil {
		opt.Root = root(g)
	}
	opt.Root = asked{opt.Root, l}
	if _, ok := rest["root"]; !ok {
		opt.Escalate = func(context.Context) error {
			l.note("escalate")
			escalated++
			if _, ok := rest["refused"]; ok {
				return errRefused
			}
			return nil
		}
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	if _, ok := rest["cancelled"]; ok {
		cancel(bootstrap.ErrInterrupted)
	}
	out = bootstrap.Run(ctx, g, record(&events), opt)
	return out, events, escalated
}

func TestHalves(t *testing.T) {
	for _, tc := range halves {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t)
				out, _, escalated := l.runHalves(tc.setup, nil)
				slices.Sort(l.roots)
				got := fmt.Sprintf("%s escalate=%d root=%s", l.render(out), escalated, strings.Join(l.roots, ","))
				if got != tc.want {
					t.Errorf("\n got %s\nwant %s", got, tc.want)
				}
			})
		})
	}
}

func TestEscalateComesBeforeTheFirstStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		_, events, _ := l.runHalves("", nil)
		slices.Sort(l.log[:2]) // root's steps are looked at side by side
		if want := []string{"plan r", "plan v", "escalate"}; !slices.Equal(l.log[:3], want) {
			t.Errorf("the run began with %q, want %q", l.log[:3], want)
		}
		if len(events) == 0 || events[0].Status != bootstrap.Running {
			t.Errorf("events %v", events)
		}
	})
}

func TestAStepIsDoneByItsHalf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		l.runHalves("", nil)
		for step, want := range map[string]string{"r": "root@0", "s": "user@2", "u": "user@0", "v": "root@2"} {
			if l.applied[step] != want {
				t.Errorf("%s was applied by %s, want %s", step, l.applied[step], want)
			}
		}
	})
}

func TestAPlanSeenBeforeTheRunIsNotMadeAgainWhenNothingChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		l.runHalves("r:ok s:ok u:ok v:ok", nil)
		for step, n := range l.plans {
			if n != 1 {
				t.Errorf("%s was planned %d times, want once", step, n)
			}
		}
	})
}

func TestRefusedRootSaysWhatItWasNeededForAndWhatToDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out, _, _ := newLab(t).runHalves("refused", nil)
		e := last(t, out, "r")
		if want := "needs root to write /made-r: nobody is there to ask"; e.Reason != want {
			t.Errorf("reason %q, want %q", e.Reason, want)
		}
		if want := "have an administrator run it"; e.Hint != want {
			t.Errorf("hint %q, want %q", e.Hint, want)
		}
		if len(e.Change) != 1 {
			t.Errorf("change %v, want what root would have to do", e.Change)
		}
	})
}

func TestRefusedRootSaysThatEvenALookNeedsRoot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out, _, _ := newLab(t).runHalves("refused r:denied", nil)
		if got, want := last(t, out, "r").Reason, "needs root to look: nobody is there to ask"; got != want {
			t.Errorf("reason %q, want %q", got, want)
		}
	})
}

func TestDryRunWritesNothing(t *testing.T) {
	for _, setup := range []string{"dry", "dry root", "dry r:ok s:skip u:planfail"} {
		synctest.Test(t, func(t *testing.T) {
			l := newLab(t)
			l.runHalves(setup, nil)
			files, err := os.ReadDir(l.root)
			if err != nil || len(files) != 0 || len(l.applied) != 0 {
				t.Errorf("%s: files %v, applied %v, error %v", setup, files, l.applied, err)
			}
		})
	}
}

func TestDryRunNeedsNoJournal(t *testing.T) {
	l := newLab(t)
	g, opt, _ := l.graphOf([]bootstrap.Info{{Name: "a"}}, "dry")
	opt.User.(*bootstrap.Local).Journal = nil
	out := bootstrap.Run(t.Context(), g, func(bootstrap.Event) {}, opt)
	if got := l.render(out); got != "a:changed" {
		t.Errorf("got %s", got)
	}
}

func TestAllStepsOfARunThatFailsStillHaveAnOutcomeInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out, _ := newLab(t).run("a:fail f:fail", nil)
		var names []string
		for _, e := range out.Steps {
			names = append(names, e.Step)
			if !e.Status.Final() {
				t.Errorf("%s ended as %s", e.Step, e.Status)
			}
		}
		if want := []string{"a", "b", "c", "d", "e", "f"}; !slices.Equal(names, want) {
			t.Errorf("outcome of %v, want %v", names, want)
		}
	})
}

func TestReasons(t *testing.T) {
	tests := []struct{ name, setup, step, reason, hint string }{
		{"skipped by Plan", "a:skip", "a", "not on this host", ""},
		{"skipped by Apply", "a:late-skip", "a", "not here after all", ""},
		{"skipped by the user", "a:--skip", "a", "asked to", ""},
		{"failed", "a:fail", "a", "boom", "try a again"},
		{"not done", "a:lie", "a", "done, and still there is to write /made-a (is missing)", "run the same command again; if it says this twice, that is a bug in movein"},
		{"not checked", "a:blind", "a", "checking what was done: cannot look", ""},
		{"waiting", "c:reboot", "c", "a mount needs it", "reboot"},
		{"blocked by a failure", "a:fail", "c", "a is failed", ""},
		{"blocked by what is blocked", "a:fail", "d", "c is blocked", ""},
		{"blocked by a wait", "c:reboot", "d", "c is waiting", ""},
		{"timeout", "d:hang", "d", "took longer than 30s: context deadline exceeded", ""},
		{"interrupted", "d:hang interrupt=5", "d", "interrupted: context canceled", ""},
		{"interrupted before Apply", "a:slow interrupt=1", "a", "interrupted", ""},
		{"blocked by an interrupt", "d:hang interrupt=5", "e", "interrupted", ""},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				out, _ := newLab(t).run(tc.setup, nil)
				if e := last(t, out, tc.step); e.Reason != tc.reason || e.Hint != tc.hint {
					t.Errorf("reason %q, hint %q; want %q, %q", e.Reason, e.Hint, tc.reason, tc.hint)
				}
			})
		})
	}
}

func TestEventsOfAStep(t *testing.T) {
	tests := []struct{ name, setup, want string }{
		{"changed", "", "running applying(1) progress(1/2 paths) changed(1)"},
		{"unchanged", "a:ok", "running unchanged"},
		{"skipped by Plan", "a:skip", "running skipped"},
		{"skipped by Apply", "a:late-skip", "running applying(1) progress(1/2 paths) skipped"},
		{"skipped by the user", "a:--skip", "skipped"},
		{"failed", "a:fail", "running applying(1) progress(1/2 paths) failed(1)"},
		{"not done", "a:lie", "running applying(1) progress(1/2 paths) failed(1)"},
		{"waiting", "a:reboot", "running applying(1) progress(1/2 paths) waiting(1)"},
		{"blocked", "cancelled", "blocked"},
		{"dry run", "dry", "running changed(1)"},
		{"the same warning of both plans is told once", "a:warn", "running warning(a is odd) applying(1) progress(1/2 paths) changed(1)"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, events := newLab(t).run(tc.setup, nil)
				var got []string
				for _, e := range events {
					if e.Step == "a" {
						got = append(got, brief(e))
					}
				}
				if s := strings.Join(got, " "); s != tc.want {
					t.Errorf("\n got %s\nwant %s", s, tc.want)
				}
			})
		})
	}
}

// brief is an event in a word, with the number of its actions.
func brief(e bootstrap.Event) string {
	switch {
	case e.Event == "progress":
		return fmt.Sprintf("progress(%d/%d %s)", e.Done, e.Total, e.Unit)
	case e.Event == "warning":
		return "warning(" + e.Reason + ")"
	case len(e.Change) > 0:
		return fmt.Sprintf("%s(%d)", e.Status, len(e.Change))
	}
	return string(e.Status)
}

func TestEveryEventHasSchemaTimeStepAndTitle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, events := newLab(t).run("a:warn b:fail d:--skip f:skip", nil)
		for _, e := range events {
			if e.Schema != bootstrap.Schema || e.Time.IsZero() || e.Step == "" || e.Title != "The step "+e.Step {
				t.Errorf("incomplete: %+v", e)
			}
		}
	})
}

func TestEventsComeOneAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		g, opt, _ := l.graphOf(sequenceGraph, "")
		var inside atomic.Int32
		bootstrap.Run(t.Context(), g, func(bootstrap.Event) {
			if inside.Add(1) > 1 {
				t.Error("two at a time")
			}
			time.Sleep(time.Millisecond)
			inside.Add(-1)
		}, opt)
	})
}

// coded waits for its context's end and says something with a code of its own.
type coded struct{ script }

func (c coded) Apply(ctx context.Context, _ host.Host, _ bootstrap.Change) error {
	<-ctx.Done()
	return bootstrap.Exit(bootstrap.ExitUnreachable, context.Cause(ctx))
}

func TestAnInterruptedStepHasTheInterruptsCodeWhateverItSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		g, err := bootstrap.NewGraph(coded{script{bootstrap.Info{Name: "a"}, nil, l}})
		if err != nil {
			t.Fatal(err)
		}
		_, opt, _ := l.graphOf(nil, "")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(bootstrap.ErrInterrupted) })
		out := bootstrap.Run(ctx, g, func(bootstrap.Event) {}, opt)
		if e := last(t, out, "a"); e.Code != bootstrap.ExitInterrupted {
			t.Errorf("code %d, want %d", e.Code, bootstrap.ExitInterrupted)
		}
	})
}

func TestARunAfterAFailureDoesWhatIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		l.run("c:fail", nil)
		l.applied, l.start = map[string]string{}, time.Now()
		out, _ := l.run("", nil)
		want := "a:unchanged b:unchanged c:changed@0 d:changed@2 e:changed@4 f:unchanged"
		if got := l.render(out); got != want {
			t.Errorf("\n got %s\nwant %s", got, want)
		}
	})
}

func TestTouchedIsCalledBeforeTheFirstChangeAndNotWithoutOne(t *testing.T) {
	for setup, want := range map[string]bool{"": true, "a:ok b:ok c:ok d:ok e:ok f:ok": false, "dry": false} {
		synctest.Test(t, func(t *testing.T) {
			l := newLab(t)
			g, opt, _ := l.graphOf(sequenceGraph, setup)
			touched := false
			opt.Touched = func() {
				if !touched && len(l.applied) > 0 {
					t.Errorf("%q: called after %v", setup, l.applied)
				}
				touched = true
			}
			opt.Jobs = 1
			bootstrap.Run(t.Context(), g, func(bootstrap.Event) {}, opt)
			if touched != want {
				t.Errorf("%q: called: %v", setup, touched)
			}
		})
	}
}

func TestApplyIsGivenThePlannedChange(t *testing.T) {
	l := newLab(t)
	var got bootstrap.Change
	step := hooked{script: script{bootstrap.Info{Name: "a"}, nil, l}, before: func(_ host.Host, c bootstrap.Change) { got = c }}
	g, err := bootstrap.NewGraph(step)
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		_, opt, _ := l.graphOf(nil, "")
		bootstrap.Run(t.Context(), g, func(bootstrap.Event) {}, opt)
	})
	if len(got) != 1 || got[0].Target != "/made-a" {
		t.Errorf("Apply was given %v", got)
	}
	if _, err := os.Stat(filepath.Join(l.root, "made-a")); errors.Is(err, fs.ErrNotExist) {
		t.Error("and did not make it")
	}
}
