package bootstrap_test

import (
	"slices"
	"strings"
	"testing"

	"movein/bootstrap"
)

// steps makes steps of "NAME NAME<NEED,NEED …".
func stepsOf(list string) []bootstrap.Step {
	var steps []bootstrap.Step
	for _, f := range strings.Fields(list) {
		name, needs, ok := strings.Cut(f, "<")
		info := bootstrap.Info{Name: name}
		if ok {
			info.Needs = strings.Split(needs, ",")
		}
		steps = append(steps, script{info: info})
	}
	return steps
}

func TestGraphsThatAreRefused(t *testing.T) {
	tests := []struct{ name, list, err string }{
		{"unknown need", "a b<zebra", `step b needs "zebra", which no earlier step has for a name`},
		{"later need", "a<b b", `step a needs "b", which no earlier step has for a name`},
		{"cycle", "a<b b<a", `step a needs "b", which no earlier step has for a name`},
		{"needs itself", "a<a", `step a needs "a", which no earlier step has for a name`},
		{"same name twice", "a b a", `step name "a" is empty or used twice`},
		{"no name", "a <a", `step name "" is empty or used twice`},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := bootstrap.NewGraph(stepsOf(tc.list)...); err == nil || err.Error() != tc.err {
				t.Errorf("error %v, want %s", err, tc.err)
			}
		})
	}
}

func newGraph(t *testing.T, list string) *bootstrap.Graph {
	t.Helper()
	g, err := bootstrap.NewGraph(stepsOf(list)...)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestOnlyTakesNeedsAlongInOrder(t *testing.T) {
	g := newGraph(t, "a b c<a d<b,c e<a f")
	tests := []struct{ only, want string }{
		{"", "a b c d e f"},
		{"a", "a"},
		{"d", "a b c d"},
		{"e", "a e"},
		{"f e", "a e f"},
		{"d d", "a b c d"},
	}
	for _, tc := range tests {
		sub, err := g.Only(strings.Fields(tc.only)...)
		if err != nil {
			t.Errorf("only %s: %v", tc.only, err)
			continue
		}
		if got := strings.Join(sub.Names(), " "); got != tc.want {
			t.Errorf("only %s: %s, want %s", tc.only, got, tc.want)
		}
	}
	if got := strings.Join(g.Names(), " "); got != "a b c d e f" {
		t.Errorf("Only changed the graph: %s", got)
	}
}

func TestAWrongNameIsToldWithAllNames(t *testing.T) {
	g := newGraph(t, "a b c<a")
	_, only := g.Only("a", "zebra")
	for name, err := range map[string]error{"Only": only, "Check": g.Check("a", "zebra")} {
		if err == nil || err.Error() != `there is no step "zebra"` {
			t.Errorf("%s: %v", name, err)
		}
		if hint := bootstrap.HintOf(err); hint != "the steps are: a, b, c" {
			t.Errorf("%s: hint %q", name, hint)
		}
		if code := bootstrap.ExitCode(err); code != bootstrap.ExitUsage {
			t.Errorf("%s: code %d", name, code)
		}
	}
	if err := newGraph(t, "nix-install home").Check("nix-instal"); err == nil || err.Error() != `there is no step "nix-instal"; the nearest is "nix-install"` {
		t.Errorf("a slip: %v", err)
	}
	if err := g.Check("a", "c"); err != nil {
		t.Errorf("right names: %v", err)
	}
}

func TestStepIsFoundByName(t *testing.T) {
	g := newGraph(t, "a b")
	if s := g.Step("b"); s == nil || s.Info().Name != "b" {
		t.Errorf("b is %v", s)
	}
	if s := g.Step("zebra"); s != nil {
		t.Errorf("zebra is %v", s)
	}
	if n := len(g.Steps()); n != 2 || !slices.Equal(g.Names(), []string{"a", "b"}) {
		t.Errorf("%d steps, names %v", n, g.Names())
	}
}
