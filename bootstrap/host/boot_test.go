package host

import (
	"os"
	"path/filepath"
	"testing"
)

func TestAStartOfProcess1IsABootToo(t *testing.T) {
	root := t.TempDir()
	put := func(name, text string) {
		file := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	const before, after = "1 (a) name) S 0 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 ", " 170000 3000 18446744073709551615\n"
	r := &Real{Root: root}
	if id := r.BootID(); id != "" {
		t.Errorf("of a host that does not tell: %q", id)
	}
	put("proc/sys/kernel/random/boot_id", "kernel-1\n")
	if id := r.BootID(); id != "kernel-1" {
		t.Errorf("without process 1: %q", id)
	}
	for start, want := range map[string]string{"31": "kernel-1.31", "74": "kernel-1.74"} {
		put("proc/1/stat", before+start+after)
		if id := r.BootID(); id != want {
			t.Errorf("%q, want %q", id, want)
		}
	}
}
