package audit

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"movein/bootstrap/host"
	"movein/steps/audit/nixlang"
)

// TestTrees audits the trees that AUDIT_TREES names, public ones that are not kept here,
// and prints what comes out. Nothing may be lost on the way: whatever is in a home role
// is the user's, and what is drafted is Nix.
func TestTrees(t *testing.T) {
	for _, dir := range filepath.SplitList(os.Getenv("AUDIT_TREES")) {
		start := time.Now()
		tr, err := Read(&host.Real{}, dir)
		if err != nil {
			t.Fatal(err)
		}
		r := tr.Audit()
		t.Logf("%-28s %4d .nix, %2d of them not Nix; %4d definitions: %4d system, %4d home (%d left), %3d undecided; %v",
			filepath.Base(dir), len(tr.files)+len(r.Problems), len(r.Problems), len(r.Definitions), r.System, r.Home, r.Left, r.Undecided, time.Since(start).Round(time.Millisecond))
		for _, d := range r.Definitions {
			if d.found.role == homeRole && d.Class != Home || d.Line == 0 || d.Why == "" {
				t.Errorf("%s: %+v", dir, d)
			}
		}
		for name, text := range r.Drafts(dir) {
			if _, err := nixlang.Parse(text); err != nil {
				t.Errorf("%s: the draft %s: %v\n%s", dir, name, err, text)
			}
		}
	}
}
