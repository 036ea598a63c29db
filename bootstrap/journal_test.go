package bootstrap_test

import (
	"context"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"movein/bootstrap"
	"movein/bootstrap/host"
)

var journalFile = journalOf(bootstrap.User)

// recordOf reads what the user's journal on disk says of a step.
func (l *lab) recordOf(step string) bootstrap.Record {
	l.t.Helper()
	return l.journal(bootstrap.User).Steps[step]
}

func (l *lab) writeJournal(text string) {
	l.t.Helper()
	h := &host.Real{Root: l.root}
	if err := h.MkdirAll(filepath.Dir(journalFile), 0o700); err != nil {
		l.t.Fatal(err)
	}
	if err := h.WriteFile(journalFile, []byte(text), 0o600); err != nil {
		l.t.Fatal(err)
	}
}

// runOne runs one step and returns its last event.
func (l *lab) runOne(words string) bootstrap.Event {
	l.t.Helper()
	setup := ""
	for _, w := range strings.Fields(words) {
		setup += " a:" + w
	}
	g, opt, _ := l.graphOf([]bootstrap.Info{{Name: "a"}}, setup)
	return bootstrap.Run(l.t.Context(), g, func(bootstrap.Event) {}, opt).Steps[0]
}

func TestJournalKnowsTheChangeBeforeItIsMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		var rec bootstrap.Record
		step := hooked{script{bootstrap.Info{Name: "a"}, nil, l}, func(host.Host, bootstrap.Change) { rec = l.recordOf("a") }}
		g, err := bootstrap.NewGraph(step)
		if err != nil {
			t.Fatal(err)
		}
		_, opt, _ := l.graphOf(nil, "")
		bootstrap.Run(t.Context(), g, func(bootstrap.Event) {}, opt)
		if rec.Status != bootstrap.Applying || len(rec.Change) != 1 || rec.Change[0].Target != "/made-a" || rec.Time.IsZero() {
			t.Errorf("during Apply the journal said %+v", rec)
		}
	})
}

func TestJournalSaysWhatBecameOfAStep(t *testing.T) {
	tests := []struct {
		words  string
		status bootstrap.Status
		reason string
		change int
		boot   string
	}{
		{"", bootstrap.Changed, "", 1, ""},
		{"fail", bootstrap.Failed, "boom", 1, ""},
		{"lie", bootstrap.Failed, "done, and still there is to write /made-a (is missing)", 1, ""},
		{"planfail", bootstrap.Failed, "cannot look", 0, ""},
		{"reboot", bootstrap.Waiting, "a mount needs it", 1, "boot-1"},
		{"late-skip", bootstrap.Skipped, "not here after all", 1, ""},
	}
	for _, tc := range tests {
		t.Run(tc.words, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t)
				l.boot("boot-1")
				l.runOne(tc.words)
				r := l.recordOf("a")
				if r.Status != tc.status || r.Reason != tc.reason || len(r.Change) != tc.change || r.BootID != tc.boot {
					t.Errorf("got %+v, want %+v", r, tc)
				}
			})
		})
	}
}

func TestARunThatChangesNothingWritesNothing(t *testing.T) {
	for _, setup := range []string{"", "r:ok s:skip u:ok v:--skip"} {
		synctest.Test(t, func(t *testing.T) {
			l := newLab(t)
			l.runHalves("", nil)
			before := l.stat(journalFile)
			l.writes = nil
			time.Sleep(time.Hour)
			out, _, _ := l.runHalves(setup, nil)
			if len(l.writes) != 0 {
				t.Errorf("%q wrote %v, outcome %s", setup, l.writes, l.render(out))
			}
			if after := l.stat(journalFile); !os.SameFile(before, after) || !before.ModTime().Equal(after.ModTime()) {
				t.Errorf("%q: the journal is another file", setup)
			}
		})
	}
}

func TestAFirstRunThatFindsAllDoneWritesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		l.runHalves("r:ok s:skip u:ok v:skip", nil)
		if files, _ := os.ReadDir(l.root); len(files) != 0 {
			t.Errorf("there is %v", files)
		}
	})
}

func (l *lab) stat(name string) fs.FileInfo {
	l.t.Helper()
	info, err := os.Stat(filepath.Join(l.root, name))
	if err != nil {
		l.t.Fatal(err)
	}
	return info
}

func TestJournalIsForItsOwnerOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		l.runOne("")
		if mode := l.stat(journalFile).Mode(); mode != 0o600 {
			t.Errorf("file mode %v", mode)
		}
		if mode := l.stat(filepath.Dir(journalFile)).Mode(); mode != fs.ModeDir|0o700 {
			t.Errorf("directory mode %v", mode)
		}
	})
}

func TestEachHalfHasAJournalOfItsOwnSteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		l.runHalves("", nil)
		for who, want := range map[bootstrap.As]string{bootstrap.User: "s u", bootstrap.Root: "r v"} {
			var got []string
			for step := range l.journal(who).Steps {
				got = append(got, step)
			}
			slices.Sort(got)
			if s := strings.Join(got, " "); s != want {
				t.Errorf("%s's journal is of %s, want %s", who, s, want)
			}
		}
	})
}

func TestJournalKeepsTheLastChange(t *testing.T) {
	for _, words := range []string{"ok", "planfail", "skip"} {
		synctest.Test(t, func(t *testing.T) {
			l := newLab(t)
			l.runOne("")
			l.runOne(words)
			if r := l.recordOf("a"); len(r.Change) != 1 {
				t.Errorf("after %s: %+v", words, r)
			}
		})
	}
}

// long is a step whose change has many actions.
type long struct{ script }

func (s long) Plan(ctx context.Context, v host.View) (bootstrap.Change, error) {
	c, err := s.script.Plan(ctx, v)
	if len(c) > 0 {
		c = slices.Repeat(c, 1000)
	}
	return c, err
}

func TestJournalKeepsTheFirstOfALongChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		g, err := bootstrap.NewGraph(long{script{bootstrap.Info{Name: "a"}, nil, l}})
		if err != nil {
			t.Fatal(err)
		}
		_, opt, _ := l.graphOf(nil, "")
		bootstrap.Run(t.Context(), g, func(bootstrap.Event) {}, opt)
		if r := l.recordOf("a"); r.Status != bootstrap.Changed || len(r.Change) == 0 || len(r.Change) > 100 || len(r.Change)+r.More != 1000 {
			t.Errorf("it has %d actions and %d more, %s", len(r.Change), r.More, r.Status)
		}
	})
}

func TestJournalForgetsAFailureThatIsMended(t *testing.T) {
	for words, want := range map[string]bootstrap.Status{"ok": bootstrap.Unchanged, "skip": bootstrap.Skipped, "": bootstrap.Changed} {
		synctest.Test(t, func(t *testing.T) {
			l := newLab(t)
			l.runOne("fail")
			l.runOne(words)
			if r := l.recordOf("a"); r.Status != want || r.Reason == "boom" {
				t.Errorf("after %q: %+v, want %s", words, r, want)
			}
		})
	}
}

func TestARunThatWasKilledIsFinishedByTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		l.writeJournal(`{"version":1,"steps":{"a":{"status":"applying","change":[{"verb":"write","target":"/made-a"}]}}}`)
		if e := l.runOne(""); e.Status != bootstrap.Changed {
			t.Errorf("%+v", e)
		}
		if r := l.recordOf("a"); r.Status != bootstrap.Changed {
			t.Errorf("journal %+v", r)
		}
	})
}

func TestWithoutItsJournalARunConverges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		l.run("c:fail", nil)
		if err := os.Remove(filepath.Join(l.root, journalFile)); err != nil {
			t.Fatal(err)
		}
		l.applied, l.start = map[string]string{}, time.Now()
		out, _ := l.run("", nil)
		if got, want := l.render(out), "a:unchanged b:unchanged c:changed@0 d:changed@2 e:changed@4 f:unchanged"; got != want {
			t.Errorf("\n got %s\nwant %s", got, want)
		}
	})
}

func TestResumeAfterReboot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		l.boot("boot-1")
		for _, run := range []struct{ name, boot, setup, want string }{
			{"first run", "boot-1", "c:reboot", "a:changed@0 b:changed@0 c:waiting@2 d:blocked e:blocked f:changed@0"},
			{"same boot: c is neither planned nor applied", "boot-1", "", "a:unchanged b:unchanged c:waiting d:blocked e:blocked f:unchanged"},
			{"same boot, dry run: what the next run would do", "boot-1", "dry", "a:unchanged b:unchanged c:changed d:changed e:changed f:unchanged"},
			{"other boot", "boot-2", "", "a:unchanged b:unchanged c:changed@0 d:changed@2 e:changed@4 f:unchanged"},
			{"one more", "boot-2", "", "a:unchanged b:unchanged c:unchanged d:unchanged e:unchanged f:unchanged"},
		} {
			l.boot(run.boot)
			l.applied, l.start, l.plans = map[string]string{}, time.Now(), map[string]int{}
			out, _ := l.run(run.setup, nil)
			if got := l.render(out); got != run.want {
				t.Errorf("%s\n got %s\nwant %s", run.name, got, run.want)
			}
			if e := last(t, out, "c"); e.Status == bootstrap.Waiting && e.Reason != "a mount needs it" {
				t.Errorf("%s: waits because %q", run.name, e.Reason)
			}
		}
	})
}

func TestAStepThatAsksForTheSameRebootAgainHasFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		for _, run := range []struct {
			boot string
			want bootstrap.Status
		}{{"boot-1", bootstrap.Waiting}, {"boot-1", bootstrap.Waiting}, {"boot-2", bootstrap.Failed}, {"boot-2", bootstrap.Waiting}} {
			l.boot(run.boot)
			e := l.runOne("reboot")
			if e.Status != run.want || e.Hint != "reboot" || !strings.HasSuffix(e.Reason, "a mount needs it") {
				t.Errorf("in %s: %+v, want %s", run.boot, e, run.want)
			}
		}
	})
}

func TestAHostWithoutBootIDDoesNotWaitForever(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		l.runOne("reboot")
		if e := l.runOne(""); e.Status != bootstrap.Changed {
			t.Errorf("%+v", e)
		}
	})
}

func TestNothingIsAppliedThatTheJournalCannotHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		l.broken[journalFile] = 1
		e := l.runOne("")
		if e.Status != bootstrap.Failed || e.Reason != "writing journal: write /user/journal.json: no space left on device" {
			t.Errorf("%+v", e)
		}
		if len(l.applied) != 0 {
			t.Error("Apply was called")
		}
	})
}

func TestAJournalThatCannotBeWrittenAfterApplyFailsTheStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		l.broken[journalFile] = 2
		e := l.runOne("")
		if e.Status != bootstrap.Failed || !strings.HasPrefix(e.Reason, "writing journal: ") || len(l.applied) != 1 {
			t.Errorf("applied %v, %+v", l.applied, e)
		}
	})
}

func TestJournalsThatAreRefused(t *testing.T) {
	rm := "rm " + journalFile
	tests := []struct{ name, text, err, hint string }{
		{"newer version", `{"version":2,"steps":{}}`, "journal /user/journal.json is of version 2, written by a newer movein", rm},
		{"newer version with other types", `{"steps":[{"step":"a"}],"version":2}`, "journal /user/journal.json is of version 2, written by a newer movein", rm},
		{"garbage", "\x00\x00\x00", "reading journal /user/journal.json: invalid character", rm},
		{"cut off", `{"version":1,"steps":{"a":{"stat`, "reading journal /user/journal.json: unexpected end of JSON input", rm},
		{"empty", "", "reading journal /user/journal.json: unexpected end of JSON input", rm},
		{"other types", `{"version":1,"steps":7}`, "reading journal /user/journal.json: json: cannot unmarshal", rm},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			l := newLab(t)
			l.writeJournal(tc.text)
			j, err := bootstrap.OpenJournal(&host.Real{Root: l.root}, journalFile)
			if err == nil {
				t.Fatalf("opened: %+v", j.Steps)
			}
			if !strings.HasPrefix(err.Error(), tc.err) {
				t.Errorf("error %q, want %q", err, tc.err)
			}
			if hint := bootstrap.HintOf(err); !strings.Contains(hint, tc.hint) {
				t.Errorf("hint %q, want %q in it", hint, tc.hint)
			}
			if code := bootstrap.ExitCode(err); code != bootstrap.ExitConfig {
				t.Errorf("code %d, want %d", code, bootstrap.ExitConfig)
			}
		})
	}
}

func TestAJournalWithoutStepsIsAnEmptyOne(t *testing.T) {
	for _, text := range []string{`{}`, `null`, `{"version":1,"steps":null}`} {
		synctest.Test(t, func(t *testing.T) {
			l := newLab(t)
			l.writeJournal(text)
			if e := l.runOne(""); e.Status != bootstrap.Changed {
				t.Errorf("%s: %+v", text, e)
			}
		})
	}
}

func TestAJournalThatCannotBeReadIsAnError(t *testing.T) {
	l := newLab(t)
	if err := os.MkdirAll(filepath.Join(l.root, journalFile), 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := bootstrap.OpenJournal(&host.Real{Root: l.root}, journalFile)
	if err == nil || !strings.HasPrefix(err.Error(), "reading journal: ") {
		t.Errorf("error %v", err)
	}
}

func TestOpeningAJournalWritesNothing(t *testing.T) {
	l := newLab(t)
	l.journal(bootstrap.User)
	if files, _ := os.ReadDir(l.root); len(files) != 0 {
		t.Errorf("there is %v", files)
	}
}

// What earlier versions wrote has to be read for years.
func TestJournalFormat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		l.boot("boot-1")
		l.runOne("reboot")
		data, err := os.ReadFile(filepath.Join(l.root, journalFile))
		if err != nil {
			t.Fatal(err)
		}
		want := `{"version":1,"steps":{"a":{"status":"waiting","time":"2000-01-01T00:00:02Z",` +
			`"change":[{"verb":"write","target":"/made-a","reason":"is missing"}],"hint":"reboot","reason":"a mount needs it","hint":"reboot","boot_id":"boot-1"}}}`
		var got, wanted any
		if json.Unmarshal(data, &got) != nil || json.Unmarshal([]byte(want), &wanted) != nil {
			t.Fatalf("no JSON: %s", data)
		}
		g, _ := json.Marshal(got)
		w, _ := json.Marshal(wanted)
		if string(g) != string(w) {
			t.Errorf("\n got %s\nwant %s", g, w)
		}
	})
}
