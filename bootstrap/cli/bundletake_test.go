package cli

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"movein/bootstrap/host/bundle"
	"movein/steps"
)

func TestOnlyABundleThatWasFetchedIsDroppedAndByNoPlan(t *testing.T) {
	root := t.TempDir()
	s := &session{io: &IO{Root: root, EUID: 1000}, config: steps.Config{UID: 1000, CacheHome: "/cache"}}
	s.bundle.from = "https://example.org/home.bundle"
	fetched := s.bundleKept()
	for _, test := range []struct {
		name        string
		plan, stays bool
	}{{"/cache/movein/home.tar", false, true}, {"/home/bundle-0123456789abcdef01234567.tar", false, true}, {fetched, true, true}, {fetched, false, false}} {
		file := filepath.Join(root, test.name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, nil, 0o600)); err != nil {
			t.Fatal(err)
		}
		s.opt.dryRun, s.config.Bundle = test.plan, &bundle.File{Name: test.name}
		s.dropBundle()
		if _, err := os.Lstat(file); (err == nil) != test.stays {
			t.Errorf("%s, of a plan %v: %v", test.name, test.plan, err)
		}
	}
}
