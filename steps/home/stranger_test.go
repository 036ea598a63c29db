package home

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"movein/bootstrap"
	"movein/bootstrap/host"
)

// a home with lines of plant, and a changer whose state is in it.
func plantedHome(t *testing.T, lines ...string) (dir string, c *Changer) {
	t.Helper()
	dir = t.TempDir()
	plant(t, dir, lines...)
	state := filepath.Join(dir, ".state/movein")
	if err := os.MkdirAll(state, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir, &Changer{Backups: Backups{Dir: state + "/backups", Home: dir}, Record: state + "/change.json"}
}

func itemsFor(t *testing.T, dir string, claims ...Claim) []Item {
	t.Helper()
	items, err := Preview(t.Context(), &host.Real{}, Wanted{Home: dir, UID: os.Getuid(), Claims: claims})
	if err != nil {
		t.Fatal(err)
	}
	return items
}

func nothing(context.Context) error { return nil }

func TestWhatTheBackupsAreInIsNotReplaced(t *testing.T) {
	dir, c := plantedHome(t, ".state/mine text", "real/x text", "link -> real")
	for _, state := range []string{c.Record, filepath.Join(dir, "link/../.state/movein/change.json")} {
		c.Record = state
		err := c.Do(t.Context(), &host.Real{}, Job{Items: itemsFor(t, dir, hm(".state")), Activate: nothing})
		if bootstrap.ExitCode(err) != bootstrap.ExitRefused || !strings.Contains(bootstrap.HintOf(err), "XDG_STATE_HOME") {
			t.Errorf("%v, %q", err, bootstrap.HintOf(err))
		}
		if data, err := os.ReadFile(filepath.Join(dir, ".state/mine")); string(data) != "text" {
			t.Error(err)
		}
	}
}

func TestALinkThatTheBackupsAreReachedThroughIsNotReplaced(t *testing.T) {
	dir, c := plantedHome(t, "data/mine text", ".local -> data")
	c.Backups.Dir, c.Record = dir+"/.local/movein/backups", dir+"/.local/movein/change.json"
	if err := os.MkdirAll(dir+"/data/movein", 0o700); err != nil {
		t.Fatal(err)
	}
	err := c.Do(t.Context(), &host.Real{}, Job{Items: itemsFor(t, dir, hm(".local")), Activate: nothing})
	if target, _ := os.Readlink(dir + "/.local"); bootstrap.ExitCode(err) != bootstrap.ExitRefused || target != "data" {
		t.Errorf("%v; the link leads to %q", err, target)
	}
}

func TestWhatChangesWhileItIsBackedUpIsNotReplaced(t *testing.T) {
	for name, change := range map[string]func(dir string) error{
		"a file is written":            func(dir string) error { return os.WriteFile(dir+"/f", []byte("newer"), 0o600) },
		"a file comes into a tree":     func(dir string) error { return os.WriteFile(dir+"/d/new", []byte("newer"), 0o600) },
		"a file comes where none was":  func(dir string) error { return os.WriteFile(dir+"/g", []byte("newer"), 0o600) },
		"a file is replaced by a link": func(dir string) error { return errors.Join(os.Remove(dir+"/f"), os.Symlink("d", dir+"/f")) },
	} {
		dir, c := plantedHome(t, "f mine", "d/x mine")
		activated := false
		err := c.Do(t.Context(), &host.Real{}, Job{
			Items:    itemsFor(t, dir, hm("f"), hm("d"), hm("g")),
			Save:     func(context.Context, *Backup) error { return change(dir) },
			Activate: func(context.Context) error { activated = true; return nil },
		})
		if bootstrap.ExitCode(err) != bootstrap.ExitRefused || activated {
			t.Errorf("%s: %v, activated: %v", name, err, activated)
		}
		if _, cut, err := c.CutShort(&host.Real{}); cut || err != nil {
			t.Errorf("%s: a change is under way: %v", name, err)
		}
	}
}

// meanwhile is a host on which somebody changes something just after a file was first written.
type meanwhile struct {
	host.Host
	name   string
	change func() error
}

func (m *meanwhile) WriteFile(name string, data []byte, perm fs.FileMode) error {
	err := m.Host.WriteFile(name, data, perm)
	if name == m.name {
		m.name = ""
		err = errors.Join(err, m.change())
	}
	return err
}

func TestWhatChangesUntilAChangeBeginsIsNotReplaced(t *testing.T) {
	for name, change := range map[string]func(dir string) error{
		"a file is written":        func(dir string) error { return os.WriteFile(dir+"/f", []byte("newer"), 0o600) },
		"a file comes into a tree": func(dir string) error { return os.WriteFile(dir+"/d/new", []byte("newer"), 0o600) },
		"a right file is written":  func(dir string) error { return os.WriteFile(dir+"/right", []byte("newer"), 0o600) },
	} {
		dir, c := plantedHome(t, "f mine", "d/x mine", "right text")
		again := func(context.Context) ([]Item, error) {
			return itemsFor(t, dir, hm("f"), hm("d"), cz("right", "text")), nil
		}
		items, _ := again(t.Context())
		h := &meanwhile{&host.Real{}, c.Record, func() error { return change(dir) }}
		err := c.Do(t.Context(), h, Job{
			Items: items, Again: again,
			Chezmoi:  func(context.Context) error { return os.WriteFile(dir+"/right", []byte("text"), 0o600) },
			Activate: nothing,
		})
		if bootstrap.ExitCode(err) != bootstrap.ExitRefused {
			t.Errorf("%s: %v", name, err)
		}
		if newer := strings.Contains(describe(look(t, dir)), "newer"); !newer {
			t.Errorf("%s: it is lost", name)
		}
		if _, cut, err := c.CutShort(&host.Real{}); cut || err != nil {
			t.Errorf("%s: a change is under way: %v", name, err)
		}
	}
}

// putting is a host on which somebody changes something once a file was put back.
type putting struct {
	host.Host
	change func() error
}

func (p *putting) PutBack(ctx context.Context, k host.Kept, dir string, at host.Place, twin string) ([]string, error) {
	lacks, err := p.Host.PutBack(ctx, k, dir, at, twin)
	if p.change != nil && k.Kind == host.KindFile {
		err, p.change = errors.Join(err, p.change()), nil
	}
	return lacks, err
}

func TestWhatChangesWhileOthersAreRestoredIsNotReplaced(t *testing.T) {
	dir, c := plantedHome(t, "f old", "g old")
	b, err := c.Backups.Begin(&host.Real{}, About{})
	if err == nil {
		err = errors.Join(b.Save(t.Context(), "f", "g"), b.Seal())
	}
	set := func(name, text string) error { return os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600) }
	if err = errors.Join(err, set("f", "newer"), set("g", "newer")); err != nil {
		t.Fatal(err)
	}
	r, err := c.Backups.Open(&host.Real{}, Latest)
	if err != nil {
		t.Fatal(err)
	}
	res, err := c.Backups.Restore(t.Context(), &putting{&host.Real{}, func() error { return set("g", "newest") }}, r, About{})
	if bootstrap.ExitCode(err) != bootstrap.ExitRefused || res.Undo == "" {
		t.Errorf("%+v, %v", res, err)
	}
	if data, _ := os.ReadFile(dir + "/g"); string(data) != "newest" {
		t.Errorf("g is %q", data)
	}
	if _, err := c.Backups.Restore(t.Context(), &host.Real{}, r, About{}); err != nil {
		t.Error(err)
	}
	if data, _ := os.ReadFile(dir + "/g"); string(data) != "old" {
		t.Errorf("g is %q", data)
	}
}

func TestADirectoryThatGetsAnotherModeIsChangedWhateverComesIntoIt(t *testing.T) {
	dir, c := plantedHome(t, "d/x mine")
	h := &meanwhile{&host.Real{}, c.Record, func() error { return os.WriteFile(dir+"/d/new", nil, 0o600) }}
	if err := c.Do(t.Context(), h, Job{Items: itemsFor(t, dir, Claim{Path: "d", Owner: Chezmoi, Kind: Dir, Mode: 0o700}), Activate: nothing}); err != nil {
		t.Error(err)
	}
}

// sealing is a host on which somebody changes something just after a backup is sealed.
type sealing struct {
	host.Host
	change func() error
}

func (s sealing) Rename(from, to string) error {
	return errors.Join(s.Host.Rename(from, to), s.change())
}

func TestWhatChangesUntilARestoreBeginsIsNotReplaced(t *testing.T) {
	for name, change := range map[string]func(dir string) error{
		"a file is written":        func(dir string) error { return os.WriteFile(dir+"/f", []byte("newest"), 0o600) },
		"a file comes into a tree": func(dir string) error { return os.WriteFile(dir+"/d/new", []byte("newest"), 0o600) },
		"nothing":                  func(dir string) error { return os.WriteFile(dir+"/other", []byte("newest"), 0o600) },
	} {
		dir, c := plantedHome(t, "f old")
		b, err := c.Backups.Begin(&host.Real{}, About{})
		if err == nil {
			err = errors.Join(b.Save(t.Context(), "f", "d"), b.Seal())
		}
		if err != nil {
			t.Fatal(err)
		}
		plant(t, dir, "d/x newer")
		if err := os.WriteFile(dir+"/f", []byte("newer"), 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := c.Backups.Open(&host.Real{}, Latest)
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Backups.Restore(t.Context(), sealing{&host.Real{}, func() error { return change(dir) }}, r, About{})
		if want := map[bool]int{true: 0, false: bootstrap.ExitRefused}[name == "nothing"]; bootstrap.ExitCode(err) != want {
			t.Errorf("%s: %v", name, err)
		}
		if !strings.Contains(describe(look(t, dir)), "newest") {
			t.Errorf("%s: it is lost", name)
		}
	}
}

func TestWhoWritesInPlaceDoesNotWriteIntoOtherNamesOfAFile(t *testing.T) {
	dir, c := plantedHome(t, "f mine")
	if err := os.Link(dir+"/f", dir+"/other"); err != nil {
		t.Fatal(err)
	}
	err := c.Do(t.Context(), &host.Real{}, Job{
		Items:    itemsFor(t, dir, cz("f", "new")),
		Chezmoi:  func(context.Context) error { return os.WriteFile(dir+"/f", []byte("new"), 0o600) },
		Activate: nothing,
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"f": "new", "other": "mine"} {
		if data, _ := os.ReadFile(filepath.Join(dir, name)); string(data) != want {
			t.Errorf("%s: %q, want %q", name, data, want)
		}
	}
}

// chezmoi removes neither sockets nor what is in closed directories.
func TestWhatChezmoiWantsToBeGoneIsGoneBeforeItComes(t *testing.T) {
	dir, c := plantedHome(t, "d/closed/f mine", "e mine", "f mine")
	if err := errors.Join(syscall.Mknod(dir+"/s", syscall.S_IFSOCK|0o600, 0), os.Chmod(dir+"/d/closed", 0o500)); err != nil {
		t.Fatal(err)
	}
	gone := func(path string) Claim { return Claim{Path: path, Owner: Chezmoi, Kind: Absent} }
	err := c.Do(t.Context(), &host.Real{}, Job{
		Items: itemsFor(t, dir, gone("d"), gone("s"), gone("e"), Claim{Path: "f", Owner: Chezmoi, Kind: Absent, Anew: true}),
		Chezmoi: func(context.Context) error {
			left, err := filepath.Glob(dir + "/[a-z]")
			if len(left) != 1 { // what chezmoi makes of it may begin with what it is
				t.Errorf("left: %q", left)
			}
			return errors.Join(err, os.Remove(dir+"/e"))
		},
	})
	if err != nil {
		t.Fatal(err)
	}
}

// home-manager would remove it, and then fail to remove the link as an empty directory.
func TestWhatIsDroppedBelowALinkIsGoneBeforeTheActivation(t *testing.T) {
	dir, c := plantedHome(t, "dot/f -> "+oldFiles+"a/f", "a -> dot")
	items, err := Preview(t.Context(), &host.Real{}, Wanted{Home: dir, UID: os.Getuid(), Dropped: []Claim{{Path: "a/f", Owner: HomeManager, Target: oldFiles + "a/f"}}})
	if err != nil {
		t.Fatal(err)
	}
	err = c.Do(t.Context(), &host.Real{}, Job{Items: items, Activate: func(context.Context) error {
		if _, err := os.Lstat(dir + "/dot/f"); err == nil {
			t.Error("it is still there")
		}
		return errors.New("broken")
	}})
	if target, _ := os.Readlink(dir + "/dot/f"); err == nil || target != oldFiles+"a/f" {
		t.Errorf("%v; the link leads to %q", err, target)
	}
}

// It may be somebody else's after all.
func TestTemporaryFilesAreKeptBeforeTheyAreRemoved(t *testing.T) {
	dir, c := plantedHome(t, "plan mine")
	err := c.Do(t.Context(), &host.Real{}, Job{Items: itemsFor(t, dir, cz("plan", "new")), Activate: func(context.Context) error {
		plant(t, dir, ".plan20261124 precious")
		return errors.New("broken")
	}})
	if err == nil {
		t.Fatal("no error")
	}
	objects, _ := filepath.Glob(c.Backups.Dir + "/*/objects/*/*")
	for _, name := range append(objects, dir+"/.plan20261124") {
		if data, _ := os.ReadFile(name); string(data) == "precious" {
			return
		}
	}
	t.Error("it is lost")
}

func TestTheLatestBackupIsOfAWholeChange(t *testing.T) {
	dir, c := plantedHome(t, "f mine", "g mine")
	if err := c.Do(t.Context(), &host.Real{}, Job{Reason: "the change", Items: itemsFor(t, dir, hm("g")), Suppressed: []Claim{hm("f")}, Activate: nothing}); err != nil {
		t.Fatal(err)
	}
	latest := func(reason string, of int) {
		t.Helper()
		runs, _, err := c.Backups.List(&host.Real{})
		if r, lerr := c.Backups.Open(&host.Real{}, Latest); len(runs) != of || err != nil || lerr != nil || r.Reason != reason {
			t.Errorf("%d runs, the latest %q; %v, %v", len(runs), r.Reason, err, lerr)
		}
	}
	latest("the change", 2) // and one of what was held
	broken := func(context.Context) error {
		return errors.Join(os.WriteFile(dir+"/f", []byte("new"), 0o600), errors.New("broken"))
	}
	if err := c.Do(t.Context(), &host.Real{}, Job{Reason: "another", Items: itemsFor(t, dir, hm("f")), Activate: broken}); err == nil {
		t.Fatal("no error")
	}
	latest("another", 4) // and one of what was there before it was taken back
}

func TestALinkOutOfTheHomeOnTheWayToAnUnwantedLinkIsNotMoved(t *testing.T) {
	dir, c := plantedHome(t, "real/x mine", "conf -> real")
	err := c.Do(t.Context(), &host.Real{}, Job{Suppressed: []Claim{hm("conf/f")}, Activate: nothing})
	if bootstrap.ExitCode(err) != bootstrap.ExitRefused {
		t.Error(err)
	}
	if target, _ := os.Readlink(dir + "/conf"); target != "real" {
		t.Error("the link is gone")
	}
}

// It would have to open them: what is there decides what they are to be.
func TestWhatChezmoiCannotOpenIsGoneBeforeItComes(t *testing.T) {
	dir, c := plantedHome(t, "closed mine", "plain mine")
	if err := errors.Join(os.Chmod(dir+"/closed", 0o200), syscall.Mkfifo(dir+"/edited", 0o600)); err != nil {
		t.Fatal(err)
	}
	items := itemsFor(t, dir, cz("closed", "new"), cz("plain", "new"), wrote(cz("edited", "new"), "old"))
	came := false
	err := c.Do(t.Context(), &host.Real{}, Job{Items: items, Chezmoi: func(context.Context) error {
		came = true
		for name, there := range map[string]bool{"closed": false, "edited": false, "plain": true} {
			if _, err := os.Lstat(filepath.Join(dir, name)); (err == nil) != there {
				t.Errorf("%s: %v", name, err)
			}
		}
		return nil
	}})
	if err != nil || !came {
		t.Error(err)
	}
}

// locked is a host where nobody may write to directories without the bit for it.
type locked struct{ host.Host }

func (l locked) Writable(name string) error {
	if info, err := l.Lstat(name); err != nil || info.Mode()&0o300 != 0o300 {
		return &os.PathError{Op: "access", Path: name, Err: syscall.EACCES}
	}
	return nil
}

func TestWhatIsInADirectoryThatMayNotBeWrittenToIsNotChanged(t *testing.T) {
	for _, claims := range [][]Claim{{hm("d/new")}, {cz("d/f", "new")}, {hm("d/e/new")}} {
		dir, c := plantedHome(t, "d/f mine")
		if err := os.Chmod(dir+"/d", 0o500); err != nil {
			t.Fatal(err)
		}
		err := c.Refused(t.Context(), locked{&host.Real{}}, itemsFor(t, dir, claims...))
		if bootstrap.ExitCode(err) != bootstrap.ExitRefused || !strings.Contains(bootstrap.HintOf(err), "chmod u+rwx "+dir+"/d") {
			t.Errorf("%s: %v", claims[0].Path, err)
		}
	}
}

// blind is a host on which nobody may look into a directory "shut".
type blind struct{ host.Real }

func (b *blind) Lstat(name string) (os.FileInfo, error) {
	if filepath.Base(filepath.Dir(name)) == "shut" {
		return nil, &os.PathError{Op: "lstat", Path: name, Err: syscall.EACCES}
	}
	return b.Real.Lstat(name)
}

func (b *blind) Readlink(name string) (string, error) {
	if _, err := b.Lstat(name); err != nil {
		return "", err
	}
	return b.Real.Readlink(name)
}

func TestWhatCannotBeLookedAtIsARefusal(t *testing.T) {
	dir, _ := plantedHome(t, "shut/f mine")
	for _, w := range []Wanted{{Claims: []Claim{hm("shut/f")}}, {Dropped: []Claim{hm("shut/f")}}} {
		w.Home = dir
		_, err := Preview(t.Context(), &blind{}, w)
		if bootstrap.ExitCode(err) != bootstrap.ExitRefused || !strings.Contains(bootstrap.HintOf(err), "ls -ld "+dir+"/shut") {
			t.Errorf("%v, %q", err, bootstrap.HintOf(err))
		}
	}
}

func TestADirectoryThatChezmoiOpensIsOpenForAll(t *testing.T) {
	dir, c := plantedHome(t, "d/f mine")
	if err := os.Chmod(dir+"/d", 0o500); err != nil {
		t.Fatal(err)
	}
	items := itemsFor(t, dir, Claim{Path: "d", Owner: Chezmoi, Kind: Dir, Mode: 0o755}, hm("d/f"))
	if err := c.Refused(t.Context(), locked{&host.Real{}}, items); err != nil {
		t.Fatal(err)
	}
	if err := c.clear(t.Context(), &host.Real{}, items); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(dir + "/d"); err != nil || info.Mode().Perm() != 0o700 {
		t.Error(info.Mode(), err)
	}
}

// home-manager removes a directory that is empty for a moment, and makes it anew.
func TestADirectoryThatIsMadeAnewIsWhatItWas(t *testing.T) {
	dir, c := plantedHome(t, "d/f -> "+oldFiles+"d/f")
	was := os.ModeDir | os.ModeSetgid | os.ModeSticky | 0o755
	if err := os.Chmod(dir+"/d", was); err != nil {
		t.Fatal(err)
	}
	err := c.Do(t.Context(), &host.Real{}, Job{Items: itemsFor(t, dir, hm("d/f")), Activate: func(context.Context) error {
		return errors.Join(os.RemoveAll(dir+"/d"), os.Mkdir(dir+"/d", 0o755))
	}})
	if info, lerr := os.Stat(dir + "/d"); err != nil || lerr != nil || info.Mode() != was {
		t.Error(info.Mode(), err, lerr)
	}
}
