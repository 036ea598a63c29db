package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// TestLab runs every scenario on real hosts with real Nix. The longest of them are
// cut down by the environment (see .ci/test); by hand they run whole: bash .ci/lab NAME.
// Only by hand because of their time: kinoite-vm, release, and of platforms the host for
// arm64, where qemu-user runs every program (bash .ci/lab aarch64).
func TestLab(t *testing.T) {
	if testing.Short() {
		t.Skip("the lab takes minutes, and -short was given")
	}
	if os.Geteuid() != 0 {
		t.Skip("the lab's hosts are made by systemd-nspawn, which needs root")
	}
	if _, err := exec.LookPath("apt-get"); err != nil {
		t.Skip("the lab's hosts are made from Debian packages, and there is no apt-get here")
	}
	setup := exec.Command(".ci/lab-setup")
	if out, err := setup.CombinedOutput(); err != nil {
		t.Fatalf("setting up the lab: %v\n%s", err, out)
	}
	bin := filepath.Join(t.TempDir(), "movein")
	build := exec.Command(".ci/build", bin)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building: %v\n%s", err, out)
	}
	files, err := filepath.Glob("testdata/lab/scenarios/*.sh")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	var failed sync.Map
	t.Cleanup(func() { // what went wrong, in few words, at the end of many
		failed.Range(func(name, end any) bool {
			t.Logf("%s ended so:\n%s", name, end)
			return true
		})
	})
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".sh")
		if name == "lib" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// One that hangs says which it is, instead of holding all the others.
			cmd := exec.Command("timeout", "--kill-after=30", "25m", "bash", ".ci/lab", name)
			cmd.Env = append(os.Environ(), "MOVEIN="+bin, "HOSTLAB_READY=1")
			out, err := cmd.CombinedOutput()
			lines := strings.Split(strings.TrimSpace(string(out)), "\n")
			if err != nil {
				failed.Store(name, strings.Join(lines[max(0, len(lines)-12):], "\n"))
				t.Fatalf("%v\n%s", err, out)
			}
			t.Log(lines[len(lines)-1])
		})
	}
}
