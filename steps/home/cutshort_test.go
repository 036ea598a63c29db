package home

import "testing"

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
