package home_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"movein/bootstrap/host"
	"movein/steps/home"
)

// unprivileged runs a test again as a user without rights, if it is root who tests.
func unprivileged(t *testing.T) {
	if os.Geteuid() != 0 {
		return
	}
	t.Run("as a user", func(t *testing.T) {
		dir := tempDir(t)
		check(t, os.Chmod(dir, 0o777))
		exe, err := os.Executable()
		check(t, err)
		program, err := os.ReadFile(exe)
		check(t, err)
		check(t, os.WriteFile(dir+"/test", program, 0o755))
		check(t, os.WriteFile(dir+"/roots", []byte("root's"), 0o644))
		name, _, _ := strings.Cut(t.Name(), "/")
		cmd := exec.Command(dir+"/test", "-test.run=^"+name+"$", "-test.v="+fmt.Sprint(testing.Verbose()))
		cmd.Dir, cmd.Env = dir, []string{"TMPDIR=" + dir}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 4711, Gid: 4711}}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	})
}

// scene is a home with something in it, and backups of it elsewhere.
type scene struct {
	forest
	b        home.Backups
	h        host.Host
	existing []string // top names that a run would replace
	absent   []string // and such as it would make
}

func newScene(t testing.TB, seed uint64) *scene {
	dir := tempDir(t)
	s := &scene{b: home.Backups{Dir: dir + "/state/backups", Home: dir + "/home"}, h: &host.Real{}}
	s.forest = forest{t: t, rnd: rand.New(rand.NewPCG(seed, 1)), home: s.b.Home, root: os.Geteuid() == 0}
	check(t, os.Mkdir(s.b.Home, 0o755))
	for i := range 2 + s.rnd.IntN(3) {
		top := words[(i*2+s.rnd.IntN(2))%len(words)]
		if _, err := os.Lstat(filepath.Join(s.home, top)); err == nil {
			continue
		}
		s.tree(top, 3)
		s.existing = append(s.existing, top)
	}
	for _, word := range words[:4] {
		for _, dir := range append([]string{""}, s.all...) {
			rel := filepath.Join(dir, "new", word)
			if info, err := os.Lstat(filepath.Join(s.home, dir)); err == nil && info.IsDir() && s.one(8) {
				s.absent = append(s.absent, rel)
			}
		}
	}
	s.dirs = map[string]bool{}
	for _, rel := range s.all {
		info, err := os.Lstat(filepath.Join(s.home, rel))
		s.dirs[rel] = err == nil && info.IsDir()
	}
	s.dress(s.all)
	s.touch(".")
	return s
}

func (s *scene) save() home.Run {
	s.t.Helper()
	run, err := s.trySave(s.h)
	check(s.t, err)
	r, err := s.b.Open(s.h, run)
	check(s.t, err)
	return r
}

func (s *scene) trySave(h host.Host) (string, error) {
	ctx := context.Background()
	k, err := s.b.Begin(h, home.About{Version: "test", Reason: "before the test"})
	if err != nil {
		return "", err
	}
	if err := k.SaveTree(ctx, s.existing...); err != nil {
		return "", err
	}
	if err := k.Save(ctx, s.absent...); err != nil {
		return "", err
	}
	return k.Run(), k.Seal()
}

// havoc wrecks some of what was saved, and makes some of what was not there.
func (s *scene) havoc() {
	paths := append(append([]string{}, s.all...), s.absent...)
	for range 1 + s.rnd.IntN(6) {
		rel := paths[s.rnd.IntN(len(paths))]
		if filepath.Base(filepath.Dir(rel)) == "new" { // the run makes it, and its directory
			dir := filepath.Dir(filepath.Dir(rel))
			if info, err := os.Lstat(filepath.Join(s.home, dir)); err != nil || !info.IsDir() {
				continue
			}
			s.open(dir)
			os.Mkdir(filepath.Join(s.home, filepath.Dir(rel)), 0o755)
			os.Chmod(filepath.Join(s.home, filepath.Dir(rel)), 0o755)
		}
		s.wreck(rel)
	}
}

func (s *scene) restore(r home.Run) home.Restored {
	s.t.Helper()
	res, err := s.b.Restore(context.Background(), s.h, r, home.About{Reason: "before a restore"})
	check(s.t, err)
	return res
}

const cases = 1000 // for each of root and a user

func TestRestoreGivesBackWhateverWasSaved(t *testing.T) {
	unprivileged(t)
	for seed := range uint64(cases) {
		s := newScene(t, seed)
		before := snapshot(t, s.home)
		r := s.save()
		if d := differ(before, snapshot(t, s.home)); d != "" {
			t.Fatalf("case %d: saving changed\n%s", seed, d)
		}
		if res := s.restore(r); res.Undo != "" || len(res.Change) > 0 {
			t.Fatalf("case %d: restoring what is there changes %v", seed, res.Change)
		}
		s.havoc()
		wrecked := snapshot(t, s.home)
		res := s.restore(r)
		if d := differ(before, snapshot(t, s.home)); d != "" {
			t.Fatalf("case %d: after the restore %+v\n%s", seed, res, d)
		}
		if len(res.Lacks) > 0 || len(res.Stays) > 0 {
			t.Fatalf("case %d: %+v", seed, res)
		}
		if again := s.restore(r); again.Undo != "" || len(again.Change) > 0 {
			t.Fatalf("case %d: the second restore changes %v", seed, again.Change)
		}
		if res.Undo != "" {
			undo, err := s.b.Open(s.h, res.Undo)
			check(t, err)
			s.restore(undo)
			if d := differ(wrecked, snapshot(t, s.home)); d != "" {
				t.Fatalf("case %d: after the restore was undone\n%s", seed, d)
			}
		}
		if t.Failed() {
			return
		}
		wipe(t, filepath.Dir(s.home))
	}
}
