package host

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

func TestWriteFileRemovesWhatAKilledRunLeft(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "nix.conf")
	lives, err := createTemp(name)
	if err != nil {
		t.Fatal(err)
	}
	defer lives.Close()
	for _, left := range []string{".nix.conf.movein-123", ".nix.conf.movein-junk"} {
		if err := os.WriteFile(filepath.Join(dir, left), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, others := range []string{".nix.conf.mine", ".nix.confx.movein-1"} {
		if err := os.WriteFile(filepath.Join(dir, others), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := (&Real{}).WriteFile(name, []byte("text\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	var got []string
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() != filepath.Base(lives.Name()) {
			got = append(got, e.Name())
		}
	}
	if want := []string{".nix.conf.mine", ".nix.confx.movein-1", "nix.conf"}; fmt.Sprint(got) != fmt.Sprint(want) || len(entries) != len(want)+1 {
		t.Errorf("there are %v beside the one that is being written, want %v", got, want)
	}
}

func TestWriteFileByManyAtOnceIsWhole(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 20 {
				if err := (&Real{}).WriteFile(name, fmt.Appendf(nil, "%01000d\n", i), 0o600); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if data, err := os.ReadFile(name); err != nil || len(data) != 1001 {
		t.Errorf("%d bytes, %v", len(data), err)
	}
	if entries, err := os.ReadDir(filepath.Dir(name)); err != nil || len(entries) != 1 {
		t.Errorf("left: %v, %v", entries, err)
	}
}
