package home

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"movein/bootstrap"
	"movein/bootstrap/host"
)

// moment is a state of a world between two changes.
type moment struct {
	name string // of the generation
	tree map[string]string
	gen  map[string]string
	last map[string]Left
}

func (w *world) moment(t testing.TB, name string) moment {
	return moment{name, exact(t, w.dir), maps.Clone(w.gen), maps.Clone(w.last)}
}

// step makes a random change with some user's doings before it, if it makes one.
func (w *world) step(t testing.TB, c *Changer, from, to string) {
	t.Helper()
	for {
		d := w.wish()
		items := w.preview(t, d)
		if len(items) == 0 {
			continue
		}
		gen, last := w.gen, w.last
		if err := c.Do(context.Background(), &host.Real{}, Job{
			Reason: "before apply", Generation: from, Wanted: to, Items: items,
			Chezmoi:  func(context.Context) error { return w.chezmoi(d) },
			Activate: func(context.Context) error { return w.activate(d) },
			Undo: func(context.Context, string, map[string]string, bool) error {
				w.gen, w.last = gen, last
				return nil
			},
		}); err != nil {
			t.Fatal(err)
		}
		return
	}
}

// back goes back to before a run, when the home was as m tells.
func (w *world) back(c *Changer, h host.Host, to Run, m moment, from string, fail error) error {
	gen, last := w.gen, w.last
	d := wish{gen: m.gen}
	var claims []Claim
	for _, claim := range w.claims(d) {
		if claim.Owner == HomeManager {
			claims = append(claims, claim)
		}
	}
	_, err := c.Return(context.Background(), h, Return{
		To: to, Reason: "before rollback", Generation: from, Wanted: m.name, Claims: claims,
		Activate: func(context.Context) error {
			if fail != nil {
				return fail
			}
			w.last = m.last // chezmoi's database is one of the files
			return w.activate(d)
		},
		Undo: func(context.Context, string, map[string]string, bool) error {
			w.gen, w.last = gen, last
			return nil
		},
	})
	return err
}

func (c *Changer) steps(t testing.TB) []Run {
	t.Helper()
	runs, broken, err := c.Backups.List(&host.Real{})
	if err != nil || len(broken) > 0 {
		t.Fatal(err, broken)
	}
	return Steps(runs)
}

// TestRollbacksGoBackOneAfterTheOther: n changes and k rollbacks are n-k changes;
// and a rollback can be rolled back.
func TestRollbacksGoBackOneAfterTheOther(t *testing.T) {
	cases := uint64(150)
	if testing.Short() {
		cases = 40
	}
	for seed := range cases {
		w, c := newWorld(t, seed+1000)
		moments := []moment{w.moment(t, "g0")}
		same := func(n int, what string) {
			t.Helper()
			now := exact(t, w.dir)
			for _, path := range slices.Sorted(maps.Keys(merged(now, moments[n].tree))) {
				if now[path] != moments[n].tree[path] {
					t.Errorf("seed %d, %s: %q\nis  %s\nnot %s", seed, what, path, now[path], moments[n].tree[path])
				}
			}
			if t.Failed() {
				t.FailNow()
			}
		}
		n := 2 + w.r.IntN(3)
		for i := range n {
			w.step(t, c, moments[i].name, fmt.Sprintf("g%d", i+1))
			moments = append(moments, w.moment(t, fmt.Sprintf("g%d", i+1)))
		}
		at := n
		for at > 0 {
			steps := c.steps(t)
			if len(steps) != at {
				t.Fatalf("seed %d: %d steps to go back, not %d", seed, len(steps), at)
			}
			if w.r.IntN(3) == 0 { // one that fails changes nothing
				if err := w.back(c, &host.Real{}, steps[at-1], moments[at-1], moments[at].name, errors.New("no")); err == nil {
					t.Fatal("a rollback without an activation")
				}
				same(at, "after a failed rollback")
			}
			if err := w.back(c, &host.Real{}, steps[at-1], moments[at-1], moments[at].name, nil); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			at--
			same(at, fmt.Sprintf("%d of %d changes rolled back", n-at, n))
		}
		// And forward again: to before the first rollback.
		runs, _, err := c.Backups.List(&host.Real{})
		if err != nil {
			t.Fatal(err)
		}
		first := slices.IndexFunc(runs, func(r Run) bool { return r.Done != nil && r.Done.Undoes != "" })
		if err := w.back(c, &host.Real{}, runs[first], moments[n], moments[0].name, nil); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		same(n, "forward again")
		if steps := c.steps(t); len(steps) != n {
			t.Fatalf("seed %d: %d steps to go back after all, not %d", seed, len(steps), n)
		}
	}
}

func merged(a, b map[string]string) map[string]string {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return all
}

// TestAKilledRollbackIsEndedOrTakenBack kills one at each change of the host: the
// same again ends it, and what else comes takes it back.
func TestAKilledRollbackIsEndedOrTakenBack(t *testing.T) {
	for _, again := range []bool{true, false} {
		for n, over := 0, false; !over; n++ {
			w, c := newWorld(t, 77)
			write(filepath.Join(w.dir, "a/b"), "mine", 0o600)
			moments := []moment{w.moment(t, "g0")}
			for i := range 2 {
				w.step(t, c, moments[i].name, fmt.Sprintf("g%d", i+1))
				moments = append(moments, w.moment(t, fmt.Sprintf("g%d", i+1)))
			}
			steps, h := c.steps(t), &killed{Real: &host.Real{}, left: n}
			func() {
				defer func() {
					if r := recover(); r != nil && r != errKilled {
						panic(r)
					}
				}()
				if err := w.back(c, h, steps[1], moments[1], "g2", nil); err != nil {
					t.Fatal(err)
				}
				over = true
			}()
			w.gen, w.last = moments[2].gen, moments[2].last
			want := moments[2]
			switch _, cut, err := c.CutShort(&host.Real{}); {
			case err != nil:
				t.Fatal(err)
			case over:
				want = moments[1]
			case cut && again:
				if run := c.Returning(&host.Real{}); run != steps[1].Run {
					t.Fatalf("killed at %d: on the way to %q", n, run)
				}
				if err := w.back(c, &host.Real{}, steps[1], moments[1], "g2", nil); err != nil {
					t.Fatal(err)
				}
				want = moments[1]
			case cut:
				if err := w.back(c, &host.Real{}, steps[0], moments[0], "g2", nil); bootstrap.ExitCode(err) != bootstrap.ExitRefused {
					t.Fatalf("killed at %d: another rollback gives %v", n, err)
				}
				undone := func(context.Context, string, map[string]string, bool) error { return nil }
				if err := c.Resume(context.Background(), &host.Real{}, undone); err != nil {
					t.Fatal(err)
				}
			case len(c.steps(t)) == 1: // nothing was left to do but to forget it
				want = moments[1]
			}
			if _, cut, err := c.CutShort(&host.Real{}); cut || err != nil {
				t.Fatalf("killed at %d: it is cut short still", n)
			}
			for path := range merged(want.tree, exact(t, w.dir)) {
				if now := exact(t, w.dir)[path]; now != want.tree[path] {
					t.Fatalf("again %v, killed at %d: %q\nis  %s\nnot %s", again, n, path, now, want.tree[path])
				}
			}
			_ = os.RemoveAll(filepath.Dir(w.dir))
		}
	}
}

var errKilled = errors.New("killed")

// killed is a host on which the program is killed before a change.
type killed struct {
	*host.Real
	left int
}

func (k *killed) next() {
	if k.left--; k.left < 0 {
		panic(errKilled)
	}
}

func (k *killed) WriteFile(name string, data []byte, perm os.FileMode) error {
	k.next()
	return k.Real.WriteFile(name, data, perm)
}

func (k *killed) Rename(from, to string) error {
	k.next()
	return k.Real.Rename(from, to)
}

func (k *killed) Remove(name string) error {
	k.next()
	return k.Real.Remove(name)
}

func (k *killed) PutBack(ctx context.Context, kept host.Kept, dir string, at host.Place, twin string) ([]string, error) {
	k.next()
	return k.Real.PutBack(ctx, kept, dir, at, twin)
}

func (k *killed) TakeAway(ctx context.Context, at host.Place, tree bool) error {
	k.next()
	return k.Real.TakeAway(ctx, at, tree)
}

func TestRunsThatWerePrunedAreKnown(t *testing.T) {
	w, c := newWorld(t, 5)
	for i := range 3 {
		w.step(t, c, fmt.Sprintf("g%d", i), fmt.Sprintf("g%d", i+1))
	}
	steps := c.steps(t)
	if err := c.Prune(&host.Real{}, steps[:1]); err != nil {
		t.Fatal(err)
	}
	if err := c.Prune(&host.Real{}, steps[2:]); err != nil {
		t.Fatal(err)
	}
	removed, err := c.Backups.Removed(&host.Real{})
	if err != nil || len(removed) != 2 || removed[0] != (Removed{steps[0].Run, true}) || removed[1].Run != steps[2].Run {
		t.Errorf("%v, %v", removed, err)
	}
}

func TestARunThatCouldNotBePrunedIsNotTakenForOne(t *testing.T) {
	w, c := newWorld(t, 5)
	w.step(t, c, "g0", "g1")
	stuck := meanwhile{Host: &host.Real{}, name: filepath.Join(c.Backups.Dir, removedName), change: func() error { return errors.New("killed") }}
	if err := c.Prune(&stuck, c.steps(t)); err == nil {
		t.Fatal("it was not killed")
	}
	if removed, err := c.Backups.Removed(&host.Real{}); err != nil || len(removed) > 0 {
		t.Errorf("%v, %v", removed, err)
	}
	if err := c.Prune(&host.Real{}, c.steps(t)); err != nil {
		t.Fatal(err)
	}
	if removed, err := c.Backups.Removed(&host.Real{}); err != nil || len(removed) != 1 || !removed[0].Original {
		t.Errorf("%v, %v", removed, err)
	}
}

func TestARollbackLeavesWhatTheUserPutInAPlaceOfALinkSince(t *testing.T) {
	w, c := newWorld(t, 1)
	if err := os.RemoveAll(w.dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(w.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	do := func(from, to string, gen map[string]string) moment {
		d := wish{gen: gen}
		if err := c.Do(t.Context(), &host.Real{}, Job{Generation: from, Wanted: to, Items: w.preview(t, d),
			Activate: func(context.Context) error { return w.activate(d) }}); err != nil {
			t.Fatal(err)
		}
		return w.moment(t, to)
	}
	one := do("", "g1", map[string]string{"a": "x"})
	do("g1", "g2", map[string]string{"a": "x", "b": "x"})
	if err := os.Remove(filepath.Join(w.dir, "a")); err != nil {
		t.Fatal(err)
	}
	write(filepath.Join(w.dir, "a"), "mine", 0o600)
	if err := w.back(c, &host.Real{}, c.steps(t)[1], one, "g2", nil); err != nil {
		t.Fatal(err)
	}
	if now := look(t, w.dir); len(now) != 1 || now["a"] != `-rw------- "mine"` {
		t.Error(describe(now))
	}
}

func TestStepsAreWhatIsNotTakenBack(t *testing.T) {
	run := func(name, undoes string) Run {
		return Run{Manifest: Manifest{Run: name}, Done: &Outcome{Undoes: undoes}}
	}
	failed := Run{Manifest: Manifest{Run: "3"}}
	for _, test := range []struct {
		runs []Run
		want string
	}{
		{nil, ""},
		{[]Run{run("1", ""), run("2", ""), failed}, "12"},
		{[]Run{run("1", ""), run("2", ""), failed, run("4", "2")}, "1"},
		{[]Run{run("1", ""), run("2", ""), run("4", "2"), run("5", "1")}, ""},
		{[]Run{run("1", ""), run("2", ""), run("4", "1"), run("5", "4")}, "12"},
		{[]Run{run("1", ""), run("2", ""), run("4", "2"), run("5", "")}, "15"},
		{[]Run{run("1", ""), run("3", ""), run("4", "2"), run("5", "")}, "15"}, // 2 was pruned
	} {
		got := ""
		for _, s := range Steps(test.runs) {
			got += s.Run
		}
		if got != test.want {
			t.Errorf("steps %q, not %q", got, test.want)
		}
	}
}

// A change may be killed when it is written down that it was done, but not forgotten yet.
func TestAChangeThatIsTakenBackAfterAllDidNotLast(t *testing.T) {
	w, c := newWorld(t, 5)
	write(filepath.Join(w.dir, "mine"), "mine", 0o600)
	w.step(t, c, "g0", "g1")
	step := c.steps(t)[0]
	if err := c.write(&host.Real{}, record{Runs: []string{step.Run}, Generation: "g0", Wanted: "g1"}); err != nil {
		t.Fatal(err)
	}
	no := errors.New("no")
	err := c.Do(t.Context(), &host.Real{}, Job{Generation: "g1", Wanted: "g2", Activate: func(context.Context) error { return no }})
	if _, cut, cerr := c.CutShort(&host.Real{}); !errors.Is(err, no) || cut || cerr != nil {
		t.Fatal(err, cut, cerr)
	}
	if steps := c.steps(t); len(steps) > 0 {
		t.Errorf("%d steps to go back", len(steps))
	}
}

// What comes to a place while a rollback's activation runs, where nothing was, goes; but it is kept.
func TestARollbackKeepsWhatWasMadeMeanwhile(t *testing.T) {
	w, c := newWorld(t, 1)
	if err := errors.Join(os.RemoveAll(w.dir), os.Mkdir(w.dir, 0o755)); err != nil {
		t.Fatal(err)
	}
	d := wish{gen: map[string]string{"a": "x"}}
	if err := c.Do(t.Context(), &host.Real{}, Job{Wanted: "g1", Items: w.preview(t, d), Activate: func(context.Context) error { return w.activate(d) }}); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(w.dir, "a")
	if _, err := c.Return(t.Context(), &host.Real{}, Return{To: c.steps(t)[0], Reason: "before rollback", Generation: "g1", Activate: func(context.Context) error {
		if err := os.Mkdir(name, 0o700); err != nil {
			return err
		}
		write(filepath.Join(name, "work"), "mine", 0o600)
		return nil
	}}); err != nil {
		t.Fatal(err)
	}
	if now := look(t, w.dir); len(now) > 0 {
		t.Error(describe(now))
	}
	runs, _, err := c.Backups.List(&host.Real{})
	if err != nil {
		t.Fatal(err)
	}
	last := runs[len(runs)-1]
	if _, err := c.Backups.Restore(t.Context(), &host.Real{}, last, About{}); err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(filepath.Join(name, "work")); string(data) != "mine" {
		t.Errorf("it is in no run: %q, %v", data, err)
	}
}

func TestABackupOfAChangeThatWasCutShortIsNotPruned(t *testing.T) {
	w, c := newWorld(t, 5)
	for i := range 3 {
		w.step(t, c, fmt.Sprintf("g%d", i), fmt.Sprintf("g%d", i+1))
	}
	steps := c.steps(t)
	if err := c.write(&host.Real{}, record{Runs: []string{steps[1].Run, steps[2].Run}, Back: true}); err != nil {
		t.Fatal(err)
	}
	for _, run := range steps[1:] {
		if err := c.Prune(&host.Real{}, []Run{run}); bootstrap.ExitCode(err) != bootstrap.ExitRefused || len(c.steps(t)) != 3 {
			t.Error(err)
		}
	}
	if err := c.Prune(&host.Real{}, steps[:1]); err != nil {
		t.Error(err)
	}
	// And if it went some other way, that is said.
	if err := os.RemoveAll(steps[2].Dir); err != nil {
		t.Fatal(err)
	}
	err := c.Resume(t.Context(), &host.Real{}, nil)
	if _, cut, _ := c.CutShort(&host.Real{}); err == nil || !strings.Contains(err.Error(), steps[2].Run) || !cut {
		t.Errorf("%v, and it is cut short still: %v", err, cut)
	}
}

// Killed at each change, a rollback that is made again gives the user's file its place back that was held meanwhile.
func TestAKilledRollbackLosesNoHeldFile(t *testing.T) {
	for n, over := 0, false; !over; n++ {
		w, c := newWorld(t, 1)
		if err := errors.Join(os.RemoveAll(w.dir), os.Mkdir(w.dir, 0o755)); err != nil {
			t.Fatal(err)
		}
		do := func(from, to string, gen map[string]string) moment {
			d := wish{gen: gen}
			if err := c.Do(t.Context(), &host.Real{}, Job{Generation: from, Wanted: to, Items: w.preview(t, d),
				Activate: func(context.Context) error { return w.activate(d) }}); err != nil {
				t.Fatal(err)
			}
			w.gen = gen
			return w.moment(t, to)
		}
		one := do("", "g1", map[string]string{"a": "x"})
		do("g1", "g2", map[string]string{"a": "x", "b": "x"})
		if err := os.Remove(filepath.Join(w.dir, "a")); err != nil {
			t.Fatal(err)
		}
		write(filepath.Join(w.dir, "a"), "mine", 0o600)
		step := c.steps(t)[1]
		func() {
			defer func() {
				if r := recover(); r != nil && r != errKilled {
					panic(r)
				}
			}()
			if err := w.back(c, &killed{Real: &host.Real{}, left: n}, step, one, "g2", nil); err != nil {
				t.Fatal(err)
			}
			over = true
		}()
		if _, cut, err := c.CutShort(&host.Real{}); err != nil {
			t.Fatal(err)
		} else if cut {
			if err := w.back(c, &host.Real{}, step, one, "g2", nil); err != nil {
				t.Fatalf("killed at %d: %v", n, err)
			}
		} else if len(c.steps(t)) == 2 {
			continue
		}
		if now := look(t, w.dir); len(now) != 1 || now["a"] != `-rw------- "mine"` {
			t.Errorf("killed at %d: %s", n, describe(now))
		}
	}
}

// A directory that was made on the way and in which the user has something since stays, however often it is gone back.
func TestADirectoryOnTheWayWithSomethingOfTheUsersStaysTheSecondTimeToo(t *testing.T) {
	w, c := newWorld(t, 1)
	if err := errors.Join(os.RemoveAll(w.dir), os.Mkdir(w.dir, 0o755)); err != nil {
		t.Fatal(err)
	}
	none := w.moment(t, "")
	d := wish{gen: map[string]string{"dir/a": "x", "dir/made/b": "x"}}
	var first Run
	for round := range 3 {
		if err := c.Do(t.Context(), &host.Real{}, Job{Wanted: "g1", Items: w.preview(t, d), Activate: func(context.Context) error { return w.activate(d) }}); err != nil {
			t.Fatal(err)
		}
		if round == 0 {
			write(filepath.Join(w.dir, "dir/mine"), "mine", 0o600)
			first = c.steps(t)[0]
		}
		if err := w.back(c, &host.Real{}, first, none, "g1", nil); err != nil {
			t.Fatal(err)
		}
		if now := look(t, w.dir); len(now) != 2 || now["dir/mine"] != `-rw------- "mine"` {
			t.Errorf("the %d. time: %s", round+1, describe(now))
		}
	}
}

// Taking back a restore leaves what the user has put into a directory since that was given back.
func TestARestoreThatIsTakenBackLeavesWhatIsNewInItsDirectories(t *testing.T) {
	w, c := newWorld(t, 1)
	if err := errors.Join(os.RemoveAll(w.dir), os.MkdirAll(filepath.Join(w.dir, "dir"), 0o755)); err != nil {
		t.Fatal(err)
	}
	write(filepath.Join(w.dir, "dir/a"), "a", 0o600)
	b, err := c.Backups.Begin(&host.Real{}, About{})
	if err := errors.Join(err, b.SaveTree(t.Context(), "dir"), b.Seal(), os.RemoveAll(filepath.Join(w.dir, "dir"))); err != nil {
		t.Fatal(err)
	}
	restore := func(run string) string {
		all, _, err := c.Backups.List(&host.Real{})
		i := slices.IndexFunc(all, func(r Run) bool { return r.Run == run })
		if err != nil || i < 0 {
			t.Fatalf("no backup %q: %v", run, err)
		}
		done, err := c.Backups.Restore(t.Context(), &host.Real{}, all[i], About{})
		if err != nil {
			t.Fatal(err)
		}
		return done.Undo
	}
	undo := restore(b.Run())
	write(filepath.Join(w.dir, "dir/mine"), "mine", 0o600)
	restore(undo)
	if now := look(t, w.dir); len(now) != 2 || now["dir/mine"] != `-rw------- "mine"` {
		t.Error(describe(now))
	}
}
