package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"movein/bootstrap/cli"
)

// TestPlanOfEachPlatform compares what "movein plan starter" says on each host of testdata/host
// with testdata/plan, which people have read. New ones: go test -run PlanOf -update .
func TestPlanOfEachPlatform(t *testing.T) {
	hosts, err := os.ReadDir("testdata/host")
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range hosts {
		t.Run(host.Name(), func(t *testing.T) {
			root, golden := t.TempDir(), filepath.Join("testdata/plan", host.Name()+".txt")
			if err := os.CopyFS(root, os.DirFS("testdata/host/"+host.Name())); err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			io := &cli.IO{In: strings.NewReader(""), Out: &out, Err: &out, Root: root, EUID: os.Getuid(), Dir: "/", Self: []string{"movein"}}
			if io.EUID == 0 {
				io.EUID = user
			}
			alice(t, root, io.EUID)
			code := cli.Main([]string{"plan", "starter", "--offline"}, io)
			got := took.ReplaceAllString(out.String(), "in …")
			if got = machine.ReplaceAllString(got, "SYSTEM"); code != 0 {
				got += fmt.Sprintf("exit code %d\n", code)
			}
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil || string(want) != got {
				t.Errorf("%v; the plan is now:\n%s", err, got)
			}
		})
	}
}

var machine = regexp.MustCompile(`[a-z0-9_]+-linux`)

var took = regexp.MustCompile(`in [0-9.]+ m?s\b`)

// alice makes the user with that id, and her home.
func alice(t *testing.T, root string, uid int) {
	t.Helper()
	passwd, err := os.ReadFile(root + "/etc/passwd")
	line := fmt.Sprintf("\nalice:x:%d:%d::/home/alice:/bin/sh\n", uid, uid)
	text := regexp.MustCompile(`(?m)^[a-z]+:x:1000:.*\n`).ReplaceAllString(string(passwd), "") + line
	if err == nil {
		err = os.MkdirAll(root+"/home/alice", 0o755)
	}
	if err == nil && !strings.Contains(root, "nixos") { // what git does not keep
		err = os.MkdirAll(root+"/etc/profile.d", 0o755)
	}
	if err == nil {
		err = os.WriteFile(root+"/etc/passwd", []byte(text), 0o644)
	}
	if err == nil {
		err = filepath.WalkDir(root+"/home", func(name string, _ fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			return os.Lchown(name, uid, uid)
		})
	}
	if err != nil {
		t.Fatal(err)
	}
}
