package main

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"movein/bootstrap/cli"
)

// update writes what "cmp" finds into the scripts, where it compares with a file of theirs.
var update = flag.Bool("update", false, "write what the scripts get as what they want")

// user is who the scripts are run as when the tests run as root.
const user = 1000

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"movein": movein, "keepassxc-cli": movein})
}

// movein is the program on the script's own host, $ROOT, with nothing of the
// environment but what the script sets. It is run by mitsio; with AS=root, where
// the tests run as root, by root; with AS=sudo by a root whose rights end below $ROOT.
func movein() {
	as, root := os.Getenv("AS"), os.Getenv("ROOT")
	if os.Geteuid() == 0 && as != "root" {
		if err := errors.Join(syscall.Setgroups(nil), syscall.Setresgid(user, user, user), syscall.Setresuid(user, user, user)); err != nil {
			panic(err)
		}
	}
	exe, err := os.Executable()
	if err != nil {
		panic(err)
	}
	io := cli.Std()
	io.Root, io.Dir, io.Self = root, "/home/mitsio", []string{"/usr/bin/env", "ROOT=" + root, exe}
	if as != "" {
		io.EUID = 0
	}
	os.Exit(cli.Main(os.Args[1:], io))
}

// TestScript runs the program's promises. A script has, beside testscript's own:
//
//	$ROOT              its host: testdata/script/host, and the files root/… of the script over it;
//	                   the host's programs are the scripts in $ROOT/usr/bin, and there are no others
//	[root]             the tests run as root
//	exits CODE CMD…    run CMD and see it exit with CODE
//	summary [K=V…]     stdout is events, one JSON object a line; the last is the one summary, and has these values
//	events FILE        write the events on stdout to FILE, without what differs between runs
//	snapshot NAME      remember $ROOT: names, modes, sizes, owners, times
//	unchanged NAME [PATH…]
//	                   nothing in $ROOT was written since, but for these
//	daemon             start a Nix daemon that knows every path
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		Setup:               setup,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		UpdateScripts:       *update,
		Condition: func(cond string) (bool, error) {
			if cond == "root" {
				return os.Geteuid() == 0, nil
			}
			return false, fmt.Errorf("there is no condition %q", cond)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "summary": summary, "events": events,
			"snapshot": snapshot, "unchanged": unchanged, "daemon": daemon,
		},
	})
}

// setup makes $ROOT.
func setup(e *testscript.Env) error {
	root, uid, gid := filepath.Join(e.WorkDir, "root"), os.Getuid(), os.Getgid()
	if uid == 0 {
		uid, gid = user, user
		bin, _, _ := strings.Cut(e.Getenv("PATH"), ":") // where testscript has put movein
		for _, dir := range []string{filepath.Dir(bin), filepath.Dir(e.WorkDir)} {
			if err := os.Chmod(dir, 0o755); err != nil {
				return err
			}
		}
	}
	e.Values[taken] = snapshots{}
	e.Vars = append(e.Vars, "ROOT="+root, "HOME=/home/mitsio", "AS=")
	passwd := fmt.Sprintf("root:x:0:0:root:/root:/bin/sh\nmitsio:x:%d:%d::/home/mitsio:/bin/sh\nother:x:4242:4242::/home/other:/bin/sh\n"+
		"nixbld1:x:30001:30000::/var/empty:/sbin/nologin\nnixbld2:x:30002:30000::/var/empty:/sbin/nologin\n", uid, gid)
	err := filepath.WalkDir("testdata/script/host", func(from string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		to := filepath.Join(root, strings.TrimPrefix(from, "testdata/script/host"))
		if d.IsDir() {
			return os.MkdirAll(to, 0o755)
		}
		data, err := os.ReadFile(from)
		if _, serr := os.Lstat(to); serr == nil || err != nil {
			return err // the script has its own
		}
		return os.WriteFile(to, data, 0o644)
	})
	for _, dir := range []string{"home/mitsio", "root", "nix/store", "nix/var/nix/daemon-socket"} { // git keeps no empty ones
		err = errors.Join(err, os.MkdirAll(filepath.Join(root, dir), 0o755))
	}
	err = errors.Join(err, os.WriteFile(root+"/etc/passwd", []byte(passwd), 0o644))
	if err != nil {
		return err
	}
	return filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && (filepath.Dir(name) == root+"/usr/bin" || name == root+"/usr/lib/activate") {
			err = os.Chmod(name, 0o755)
		}
		if name == root+"/root" {
			return err
		}
		return errors.Join(err, os.Lchown(name, uid, gid))
	})
}
