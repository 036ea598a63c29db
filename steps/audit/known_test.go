package audit

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"movein/bootstrap/host"
)

const tree = "../../testdata/audit/tree"

// mark is what a line of the tree says of the definition that begins on it.
var mark = regexp.MustCompile(`#= (\S+|\S*"[^"]*"\S*) (home|system|undecided|done)(?: > (\S+))?(?: @(\S+))?$`)

// said is a definition in the words of the marks.
func said(d *Definition) string {
	class := string(d.Class)
	if d.Standalone {
		class = "done"
	}
	text := fmt.Sprintf("%s:%d %s %s", d.File, d.Line, d.Option, class)
	if d.Target != "" && d.Class == Home {
		text += " > " + d.Target
	}
	if d.Module != "" && d.Class == Home {
		text += " @" + d.Module
	}
	return text
}

// TestKnownAnswer audits a tree that says of each definition what becomes of it.
// A definition is right if file, line, option, class, target and module are.
func TestKnownAnswer(t *testing.T) {
	tr, err := Read(&host.Real{}, tree)
	if err != nil {
		t.Fatal(err)
	}
	var want, got []string
	for _, name := range tr.names {
		if tr.files[name] == nil {
			continue
		}
		for i, line := range strings.Split(tr.files[name].src, "\n") {
			if m := mark.FindStringSubmatch(line); m != nil {
				text := fmt.Sprintf("%s:%d %s", name, i+1, strings.TrimPrefix(m[0], "#= "))
				want = append(want, text)
			} else if strings.Contains(line, "#=") {
				t.Errorf("%s:%d: not a mark", name, i+1)
			}
		}
	}
	r := tr.Audit()
	for _, d := range r.Definitions {
		got = append(got, said(d))
	}
	for _, of := range []string{"", " home", " system"} {
		wants, gots, right := 0, 0, 0
		for _, g := range got {
			if strings.Contains(g+" ", of+" ") {
				gots++
				if slices.Contains(want, g) {
					right++
				}
			}
		}
		for _, w := range want {
			if strings.Contains(w+" ", of+" ") {
				wants++
			}
		}
		precision, recall := float64(right)/float64(gots), float64(right)/float64(wants)
		t.Logf("%-8s %3d definitions, %3d reported, %3d right: precision %.3f, recall %.3f", strings.TrimSpace("all"+of), wants, gots, right, precision, recall)
		if wants < 20 || precision < 0.95 || recall < 0.9 {
			t.Errorf("precision %.3f of 0.95, recall %.3f of 0.9", precision, recall)
		}
	}
	for _, w := range want {
		if !slices.Contains(got, w) {
			t.Logf("missed:   %s", w)
		}
	}
	for _, g := range got {
		if !slices.Contains(want, g) {
			t.Logf("reported: %s", g)
		}
	}
}
