package home

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"movein/bootstrap/host"
)

func TestWhatAKilledRunWasPuttingBackIsRemoved(t *testing.T) {
	dir, c := plantedHome(t, "d/f mine")
	long := time.Now().Add(-time.Hour)
	mine, theirs := dir+"/d/"+host.PutName("f"), dir+"/d/"+host.PutName("g")
	func() {
		defer func() { _ = recover() }() // as good as killed
		_ = c.Do(t.Context(), &host.Real{}, Job{Items: itemsFor(t, dir, cz("d/f", "new")), Chezmoi: func(context.Context) error {
			for _, name := range []string{mine, theirs} {
				if err := errors.Join(os.WriteFile(name, []byte("mine"), 0o600), os.Chtimes(name, long, long)); err != nil {
					t.Error(err)
				}
			}
			panic("killed")
		}})
	}()
	if err := c.Resume(t.Context(), &host.Real{}, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(mine); err == nil {
		t.Error("it is there still")
	}
	if _, err := os.Lstat(theirs); err != nil {
		t.Error(err)
	}
}

func TestTemporaryFilesOfChezmoiAreKnownByTheirNames(t *testing.T) {
	bases := map[string]bool{".writable": true, "plain": true, ".v1": true}
	for name, want := range map[string]bool{
		"..writable1933672937377446441": true,
		".plain933672937377":            true,
		"..v19336729373774":             true,
		".plain":                        false,
		".plain1":                       false,
		".plain-20240101":               false,
		".other933672937377":            false,
		"plain933672937377":             false,
		".writable1933672937377446441":  false,
	} {
		if got := temporary(name, bases); got != want {
			t.Errorf("%q: %v", name, got)
		}
	}
}
