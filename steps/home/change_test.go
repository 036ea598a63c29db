package home

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"movein/bootstrap/host"
)

// newWorld is a random home, and where its backups are.
func newWorld(t testing.TB, seed uint64) (*world, *Changer) {
	t.Helper()
	w := &world{dir: filepath.Join(t.TempDir(), "home"), r: rand.New(rand.NewPCG(seed, 1))}
	if err := os.Mkdir(w.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	w.fill()
	return w, &Changer{Backups: Backups{Dir: filepath.Join(filepath.Dir(w.dir), "backups"), Home: w.dir}, Record: filepath.Join(filepath.Dir(w.dir), "change.json")}
}

func (w *world) preview(t testing.TB, d wish) []Item {
	t.Helper()
	items, err := Preview(context.Background(), &host.Real{}, Wanted{Home: w.dir, UID: os.Getuid(), Claims: w.claims(d), Dropped: w.dropped(d)})
	if err != nil {
		t.Fatal(err)
	}
	return items
}

// apply makes the change of items.
func (w *world) apply(c *Changer, h host.Host, d wish, items []Item) error {
	gen, last := w.gen, w.last
	err := c.Do(context.Background(), h, Job{
		Items:    items,
		Chezmoi:  func(context.Context) error { return w.chezmoi(d) },
		Activate: func(context.Context) error { return w.activate(d) },
		Undo: func(context.Context, string, map[string]string, bool) error {
			w.gen, w.last = gen, last
			return nil
		},
	})
	return err
}

// look is all that there is to see of a home, by path: kind, mode, content or target.
func look(t testing.TB, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := os.Lstat(name)
		if err != nil {
			return err
		}
		what := info.Mode().String()
		switch {
		case info.Mode()&fs.ModeSymlink != 0:
			target, err := os.Readlink(name)
			what = "link " + target
			if err != nil {
				return err
			}
		case info.Mode().IsRegular():
			data, err := os.ReadFile(name)
			what += fmt.Sprintf(" %q", data)
			if err != nil {
				return err
			}
		}
		if rel, _ := filepath.Rel(dir, name); rel != "." {
			out[rel] = what
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// exact is look with times, owners and which names are one file.
func exact(t testing.TB, dir string) map[string]string {
	t.Helper()
	out := look(t, dir)
	first := map[uint64]string{}
	for _, path := range slices.Sorted(maps.Keys(out)) {
		info, err := os.Lstat(filepath.Join(dir, path))
		if err != nil {
			t.Fatal(err)
		}
		st, ok := info.Sys().(*syscall.Stat_t)
		if !ok {
			t.Fatal("no stat")
		}
		if first[st.Ino] == "" {
			first[st.Ino] = path
		}
		out[path] += fmt.Sprintf(" %d:%d %d.%09d = %q", st.Uid, st.Gid, st.Mtim.Sec, st.Mtim.Nsec, first[st.Ino])
	}
	return out
}

// differ are the paths that are not the same in both, sorted.
func differ(a, b map[string]string) (out []string) {
	for path := range a {
		if a[path] != b[path] {
			out = append(out, path)
		}
	}
	for path := range b {
		if _, ok := a[path]; !ok {
			out = append(out, path)
		}
	}
	slices.Sort(out)
	return out
}

func paths(items []Item) (out []string) {
	for _, i := range items {
		if i.Verb != Keep {
			out = append(out, i.Path)
		}
	}
	return out
}

// each runs a property for many seeds.
func each(t *testing.T, f func(t *testing.T, seed uint64)) {
	t.Helper()
	cases := uint64(2000)
	if testing.Short() {
		cases = 300
	}
	for seed := range cases {
		if !t.Run(fmt.Sprint(seed), func(t *testing.T) { f(t, seed) }) {
			return
		}
	}
}

func describe(m map[string]string) string {
	var b strings.Builder
	for _, path := range slices.Sorted(maps.Keys(m)) {
		fmt.Fprintf(&b, "  %q %s\n", path, m[path])
	}
	return b.String()
}

// What is below a directory in the way goes with it.
func covered(path string, items []Item) bool {
	return slices.ContainsFunc(items, func(i Item) bool {
		return (i.Verb == Replace || i.Verb == Delete) && strings.HasPrefix(path, i.Path+"/")
	})
}

func TestAPreviewNamesExactlyWhatAChangeChanges(t *testing.T) {
	each(t, func(t *testing.T, seed uint64) {
		w, c := newWorld(t, seed)
		for round := range 2 {
			d := w.wish()
			before := look(t, w.dir)
			items := w.preview(t, d)
			if err := w.apply(c, &host.Real{}, d, items); err != nil {
				t.Fatalf("round %d: %v\n%s\n%s", round, err, render(items), describe(before))
			}
			after := look(t, w.dir)
			got := slices.DeleteFunc(differ(before, after), func(p string) bool { return covered(p, items) && !slices.Contains(paths(items), p) })
			if want := paths(items); !slices.Equal(got, want) {
				t.Fatalf("round %d: changed %q\nforetold %q\n%s\nbefore\n%safter\n%s", round, got, want, render(items), describe(before), describe(after))
			}
			if again := w.preview(t, d); len(again) != 0 {
				t.Fatalf("round %d: there is still to do: %s", round, render(again))
			}
		}
	})
}

func TestAChangeAndItsRestoreAreTheIdentity(t *testing.T) {
	each(t, func(t *testing.T, seed uint64) {
		w, c := newWorld(t, seed)
		before := exact(t, w.dir)
		first := ""
		for range 2 {
			t.Log(describe(look(t, w.dir)))
			d := w.wish()
			t.Log(render(w.preview(t, d)))
			if err := w.apply(c, &host.Real{}, d, w.preview(t, d)); err != nil {
				t.Fatal(err)
			}
			if first == "" {
				runs, _, err := c.Backups.List(&host.Real{})
				if err != nil || len(runs) != 1 {
					t.Fatal(err, runs)
				}
				first = runs[0].Run
			}
		}
		if err := c.restore(t.Context(), &host.Real{}, record{Runs: []string{first}}); err != nil {
			t.Fatal(err)
		}
		if after := exact(t, w.dir); len(differ(before, after)) > 0 {
			t.Fatalf("differ: %q\nbefore\n%safter\n%s", differ(before, after), describe(before), describe(after))
		}
	})
}

func TestHomeManagerReachesNothingByALinkThatIsNewWhereItDropsAFile(t *testing.T) {
	w, c := newWorld(t, 1)
	for _, err := range []error{os.Mkdir(filepath.Join(w.dir, "mine"), 0o755), os.Symlink(newFiles+"elsewhere", filepath.Join(w.dir, "mine/a"))} {
		if err != nil {
			t.Fatal(err)
		}
	}
	link := filepath.Join(w.dir, "new")
	err := c.Do(t.Context(), &host.Real{}, Job{
		Items:   []Item{{Path: "new", Verb: Create, Claim: Claim{Path: "new", Owner: Chezmoi, Kind: Link, Target: "mine"}}},
		Dropped: []string{"new/a", "gone/a"},
		Chezmoi: func(context.Context) error { return os.Symlink("mine", link) },
		Activate: func(context.Context) error {
			if _, err := os.Lstat(link + "/a"); err == nil {
				return errors.New("home-manager would remove it")
			}
			return nil
		},
	})
	if target, _ := os.Readlink(link); err != nil || target != "mine" || !isManaged(&host.Real{}, link+"/a") {
		t.Errorf("%v\n%s", err, describe(look(t, w.dir)))
	}
}

func TestASecretThatAFailedChangeBroughtIsKeptNowhere(t *testing.T) {
	for left, kept := range map[string]bool{"hush": false, "hush, and edited since": true} {
		w, c := newWorld(t, 1)
		write(filepath.Join(w.dir, "there"), "mine", 0o644)
		write(filepath.Join(w.dir, "dir"), "mine", 0o644)
		before := look(t, w.dir)
		var claims []Claim
		for _, path := range []string{"there", "new", "dir/new"} {
			claims = append(claims, Claim{Path: path, Owner: Chezmoi, Kind: File, Mode: 0o600, SHA256: fmt.Sprintf("%x", sha256.Sum256([]byte("hush"))), Secret: true})
		}
		items, err := Preview(t.Context(), &host.Real{}, Wanted{Home: w.dir, UID: os.Getuid(), Claims: claims})
		if err != nil {
			t.Fatal(err)
		}
		err = c.Do(t.Context(), &host.Real{}, Job{Items: items, Chezmoi: func(context.Context) error {
			return errors.Join(os.WriteFile(filepath.Join(w.dir, "there"), []byte(left), 0o600), os.WriteFile(filepath.Join(w.dir, "new"), []byte(left), 0o600),
				os.WriteFile(filepath.Join(w.dir, "dir/new"), []byte(left), 0o600), errors.New("no"))
		}})
		if after := look(t, w.dir); err == nil || len(differ(before, after)) > 0 {
			t.Errorf("%v: %q", err, differ(before, after))
		}
		found := ""
		for name, what := range look(t, filepath.Dir(w.dir)) {
			if strings.Contains(what, "hush") {
				found = name
			}
		}
		if kept != (found != "") {
			t.Errorf("%q is in %q", left, found)
		}
	}
}

func TestAChangeThatGoesWrongIsTakenBack(t *testing.T) {
	each(t, func(t *testing.T, seed uint64) {
		w, c := newWorld(t, seed)
		d := w.wish()
		if err := w.apply(c, &host.Real{}, d, w.preview(t, d)); err != nil {
			t.Fatal(err)
		}
		before := exact(t, w.dir)
		next := w.wish()
		broken := errors.New("broken")
		gen, last, items := w.gen, w.last, w.preview(t, next)
		err := c.Do(t.Context(), &host.Real{}, Job{
			Items: items,
			Chezmoi: func(context.Context) error {
				return errors.Join(w.chezmoi(next), map[bool]error{true: broken}[seed%2 == 0])
			},
			Activate: func(context.Context) error { return errors.Join(w.activate(next), broken) },
			Undo: func(context.Context, string, map[string]string, bool) error {
				w.gen, w.last = gen, last
				return nil
			},
		})
		if !errors.Is(err, broken) {
			t.Fatal(err)
		}
		if after := exact(t, w.dir); len(differ(before, after)) > 0 {
			t.Fatalf("differ: %q\n%s\nbefore\n%safter\n%s", differ(before, after), render(items), describe(before), describe(after))
		}
		if _, cut, err := c.CutShort(&host.Real{}); cut || err != nil {
			t.Error("it is remembered as unfinished", err)
		}
	})
}

// noting notes the order in which a host is made safe and the record removed.
type noting struct {
	*host.Real
	log *[]string
}

func (n noting) Sync(name string) error {
	*n.log = append(*n.log, "sync "+filepath.Base(name))
	return n.Real.Sync(name)
}

func (n noting) Remove(name string) error {
	*n.log = append(*n.log, "remove "+filepath.Base(name))
	return n.Real.Remove(name)
}

func TestAChangeIsSafeFromAPowerLossBeforeItsRecordGoes(t *testing.T) {
	for _, broken := range []error{nil, errors.New("broken")} {
		w, c := newWorld(t, 1)
		var log []string
		d := w.wish()
		err := c.Do(t.Context(), noting{&host.Real{}, &log}, Job{Items: w.preview(t, d), Activate: func(context.Context) error { return broken }})
		if !errors.Is(err, broken) {
			t.Fatal(err)
		}
		want := []string{"sync home", "remove change.json", "sync " + filepath.Base(filepath.Dir(c.Record))}
		if got := log[max(len(log)-3, 0):]; !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
