package embed_test

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// nixStandIn stands for nix-store and nix-env: it sets the root or the profile
// that it is asked for.
const nixStandIn = `case $1 in
--realise) ln -sfn "$2" "$4" ;;
--profile) ln -sfn "$4" "$2" ;;
*) exit 9 ;;
esac`

// activation is a home, a store beside it and what the activation script finds
// in its environment.
type activation struct {
	*host
	store string
}

func newActivation(t *testing.T, shell []string) *activation {
	a := &activation{host: newHost(t, shell, newRelease(t), "ln", "readlink", "rmdir", "cat", "cmp")}
	a.store = filepath.Join(t.TempDir(), "store")
	a.env = append(a.env, "USER=ann")
	a.stub(t, "nix-store", nixStandIn)
	a.stub(t, "nix-env", nixStandIn)
	return a
}

// generation puts a generation of these files into the store, as
// lib/generation.nix makes it, and returns its path.
func (a *activation) generation(t *testing.T, name string, files map[string]string) string {
	t.Helper()
	script, err := os.ReadFile("starter/lib/activate.sh")
	if err != nil {
		t.Fatal(err)
	}
	head := fmt.Sprintf("#!/bin/sh\nconfig_user='ann'\nconfig_home='%s'\nstore='%s'\n", a.home, a.store)
	tree := filepath.Join(a.store, name+"-home-manager-files")
	dir := filepath.Join(a.store, name+"-home-manager-generation")
	write(t, filepath.Join(dir, "activate"), head+string(script))
	for path, text := range files {
		write(t, filepath.Join(tree, path), text)
	}
	if err := os.Symlink(tree, filepath.Join(dir, "home-files")); err != nil {
		t.Fatal(err)
	}
	return dir
}

// write makes a file and its directories.
func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// activate runs the script of a generation and returns its exit status.
func (a *activation) activate(t *testing.T, generation string, env []string, args ...string) (output string, status int) {
	t.Helper()
	argv := slices.Concat(a.shell, []string{generation + "/activate"}, args)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = slices.Concat(a.env, env)
	out, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// tree is the home without Nix's state: the text of files, the targets of links
// as "-> STORE/…" and directories as "/".
func (a *activation) tree(t *testing.T) map[string]string {
	t.Helper()
	all := make(map[string]string)
	err := filepath.WalkDir(a.home, func(path string, d fs.DirEntry, err error) error {
		name := strings.TrimPrefix(path, a.home+"/")
		switch {
		case err != nil || path == a.home:
			return err
		case name == ".local":
			return filepath.SkipDir
		case d.IsDir():
			all[name] = "/"
		case d.Type() == fs.ModeSymlink:
			target, err := os.Readlink(path)
			all[name] = "-> " + strings.Replace(target, a.store, "STORE", 1)
			return err
		default:
			text, err := os.ReadFile(path)
			all[name] = string(text)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// has checks the home's tree.
func (a *activation) has(t *testing.T, want map[string]string) {
	t.Helper()
	if got := a.tree(t); !maps.Equal(got, want) {
		t.Errorf("the home has %q\nwant %q", got, want)
	}
}

func TestActivateGenerations(t *testing.T) {
	eachShell(t, func(t *testing.T, shell []string) {
		a := newActivation(t, shell)
		one := a.generation(t, "1", map[string]string{"a/b/c d": "1", "a/x": "1", "e/.f/g": "1", ".h": "1", "..i": "1"})
		two := a.generation(t, "2", map[string]string{"a/x": "2", "e/.f": "2", "new": "2"})
		first := map[string]string{
			"a": "/", "a/b": "/", "a/b/c d": "-> STORE/1-home-manager-files/a/b/c d",
			"a/x": "-> STORE/1-home-manager-files/a/x",
			"e":   "/", "e/.f": "/", "e/.f/g": "-> STORE/1-home-manager-files/e/.f/g",
			".h": "-> STORE/1-home-manager-files/.h", "..i": "-> STORE/1-home-manager-files/..i",
		}
		check := func(generation string, env []string, status int, want map[string]string, args ...string) {
			t.Helper()
			if out, got := a.activate(t, generation, env, args...); got != status {
				t.Errorf("the status is %d, want %d\n%s", got, status, out)
			}
			a.has(t, want)
		}
		dry := []string{"DRY_RUN="}
		check(one, dry, 0, map[string]string{})
		check(one, nil, 0, first, "--driver-version", "1")
		check(one, nil, 0, first, "--driver-version", "1")
		check(two, dry, 1, first) // a directory where the other one has a file

		three := a.generation(t, "3", map[string]string{"a/x": "3", "a/b": "3"})
		_ = os.Remove(filepath.Join(a.home, "a/b/c d"))
		_ = os.Remove(filepath.Join(a.home, "a/b"))
		write(t, filepath.Join(a.home, "mine"), "mine")
		first["mine"] = "mine"
		delete(first, "a/b")
		delete(first, "a/b/c d")
		check(three, dry, 0, first)
		second := map[string]string{
			"a": "/", "a/x": "-> STORE/3-home-manager-files/a/x",
			"a/b": "-> STORE/3-home-manager-files/a/b", "mine": "mine",
		}
		check(three, nil, 0, second)

		// The state, and back: a directory takes the place of the dropped link.
		local := filepath.Join(a.home, ".local/state")
		for _, link := range []string{"home-manager/gcroots/current-home", "nix/profiles/home-manager"} {
			if got, _ := os.Readlink(filepath.Join(local, link)); got != three {
				t.Errorf("%s leads to %q, want %q", link, got, three)
			}
		}
		if _, err := os.Lstat(filepath.Join(local, "home-manager/gcroots/new-home")); err == nil {
			t.Error("the temporary root is still there")
		}
		first["a/b"], first["a/b/c d"] = "/", "-> STORE/1-home-manager-files/a/b/c d"
		check(one, nil, 0, first, "--driver-version", "1")
		if got, _ := os.Readlink(filepath.Join(local, "nix/profiles/home-manager")); got != three {
			t.Errorf("with --driver-version 1 the profile is %q, want %q as before", got, three)
		}
	})
}

func TestActivateCollisions(t *testing.T) {
	const link = "-> STORE/1-home-manager-files/f"
	backup := []string{"HOME_MANAGER_BACKUP_EXT=bak"}
	overwrite := append(slices.Clone(backup), "HOME_MANAGER_BACKUP_OVERWRITE=1")
	type tree = map[string]string
	tests := map[string]struct {
		before tree
		env    []string
		after  tree // nil: refused, and nothing changes
	}{
		"same text":                   {tree{"f": "text"}, nil, tree{"f": "text"}},
		"other text":                  {tree{"f": "mine"}, nil, nil},
		"other text, backup":          {tree{"f": "mine"}, backup, tree{"f": link, "f.bak": "mine"}},
		"backup exists":               {tree{"f": "mine", "f.bak": "old"}, backup, nil},
		"backup exists, overwrite":    {tree{"f": "mine", "f.bak": "old"}, overwrite, tree{"f": link, "f.bak": "mine"}},
		"backup is there, a link":     {tree{"f": "mine", "f.bak": "-> /nowhere"}, backup, nil},
		"backup directory, overwrite": {tree{"f": "mine", "f.bak": "/"}, overwrite, nil},
		"directory":                   {tree{"f": "/"}, nil, nil},
		"directory, backup":           {tree{"f": "/"}, backup, tree{"f": link, "f.bak": "/"}},
		"foreign link":                {tree{"f": "-> g", "g": "mine"}, nil, nil},
		"foreign link, backup":        {tree{"f": "-> g", "g": "mine"}, backup, nil},
		"dangling link":               {tree{"f": "-> /nowhere"}, nil, tree{"f": link}},
		"link of a lost generation":   {tree{"f": "-> STORE/0-home-manager-files/f"}, nil, tree{"f": link}},
	}
	eachShell(t, func(t *testing.T, shell []string) {
		for name, test := range tests {
			for _, cmp := range []string{"cmp", "no cmp"} {
				if cmp == "no cmp" && !strings.HasSuffix(name, "text") {
					continue
				}
				t.Run(name+"/"+cmp, func(t *testing.T) {
					a := newActivation(t, shell)
					if cmp == "no cmp" {
						_ = os.Remove(filepath.Join(a.bin, "cmp"))
					}
					for path, text := range test.before {
						a.put(t, path, text)
					}
					one := a.generation(t, "1", map[string]string{"f": "text"})
					want, status := test.after, 0
					if want == nil {
						want, status = test.before, 1
					}
					for _, dry := range []bool{true, false} {
						env, after := test.env, want
						if dry {
							env, after = append([]string{"DRY_RUN=1"}, env...), test.before
						}
						out, got := a.activate(t, one, env, "--driver-version", "1")
						if got != status || strings.Contains(out, "would be clobbered") != (status == 1) {
							t.Errorf("the status is %d, want %d\n%s", got, status, out)
						}
						a.has(t, after)
					}
				})
			}
		}
	})
}

// put makes an entry of the home as tree would show it.
func (a *activation) put(t *testing.T, path, text string) {
	t.Helper()
	path = filepath.Join(a.home, path)
	if target, ok := strings.CutPrefix(text, "-> "); ok {
		if err := os.Symlink(strings.Replace(target, "STORE", a.store, 1), path); err != nil {
			t.Fatal(err)
		}
	} else if text == "/" {
		if err := os.Mkdir(path, 0o755); err != nil {
			t.Fatal(err)
		}
	} else {
		write(t, path, text)
	}
}

func TestActivateRefuses(t *testing.T) {
	tests := map[string]struct {
		env    []string
		args   []string
		status int
		says   string
	}{
		"driver 2":      {nil, []string{"--driver-version", "2"}, 1, `unknown driver version "2"`},
		"no driver":     {nil, []string{"--driver-version"}, 1, "unknown driver version"},
		"argument":      {nil, []string{"now"}, 1, `unknown argument "now"`},
		"other user":    {[]string{"USER=bob"}, nil, 1, `USER is "bob", expected "ann"`},
		"other home":    {[]string{"HOME=/"}, nil, 1, `HOME is "/", expected`},
		"no user":       {[]string{"USER="}, nil, 1, "USER is not set"},
		"no Nix":        {[]string{"PATH=/nowhere"}, nil, 127, "nix-env is not in PATH"},
		"other, forced": {[]string{"USER=bob", "SKIP_SANITY_CHECKS=1"}, nil, 0, ""},
	}
	eachShell(t, func(t *testing.T, shell []string) {
		for name, test := range tests {
			t.Run(name, func(t *testing.T) {
				a := newActivation(t, shell)
				one := a.generation(t, "1", map[string]string{"f": "text"})
				out, status := a.activate(t, one, test.env, test.args...)
				if status != test.status || !strings.Contains(out, test.says) {
					t.Errorf("got %d %q, want %d and %q", status, out, test.status, test.says)
				}
				if test.status != 0 {
					a.has(t, map[string]string{})
				}
			})
		}
	})
}

// Without Nix nothing is touched: its answer comes before the first change.
func TestActivateNixFails(t *testing.T) {
	eachShell(t, func(t *testing.T, shell []string) {
		a := newActivation(t, shell)
		a.stub(t, "nix-store", "echo 'cannot connect' >&2; exit 1")
		one := a.generation(t, "1", map[string]string{"f": "text"})
		if out, status := a.activate(t, one, nil); status != 1 {
			t.Errorf("the status is %d, want 1\n%s", status, out)
		}
		a.has(t, map[string]string{})
	})
}
