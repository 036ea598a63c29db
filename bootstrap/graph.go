package bootstrap

import (
	"fmt"
	"slices"
	"strings"
)

// Graph is the steps of a run, each after the steps that it needs.
type Graph struct {
	steps []Step
	index map[string]int
}

// NewGraph checks the steps' names and needs. A step may need only steps that
// come before it in the list: so the list is itself a valid order, and there can
// be no cycle.
func NewGraph(steps ...Step) (*Graph, error) {
	g := &Graph{index: map[string]int{}}
	for _, s := range steps {
		info := s.Info()
		if _, ok := g.index[info.Name]; ok || info.Name == "" {
			return nil, fmt.Errorf("step name %q is empty or used twice", info.Name)
		}
		for _, need := range info.Needs {
			if _, ok := g.index[need]; !ok {
				return nil, fmt.Errorf("step %s needs %q, which no earlier step has for a name", info.Name, need)
			}
		}
		g.index[info.Name] = len(g.steps)
		g.steps = append(g.steps, s)
	}
	return g, nil
}

// Only keeps the named steps and all that they need. No names: all.
func (g *Graph) Only(names ...string) (*Graph, error) {
	if len(names) == 0 {
		return g, nil
	}
	if err := g.Check(names...); err != nil {
		return nil, err
	}
	keep := map[string]bool{}
	for _, name := range names {
		keep[name] = true
	}
	for _, s := range slices.Backward(g.steps) {
		if info := s.Info(); keep[info.Name] {
			for _, need := range info.Needs {
				keep[need] = true
			}
		}
	}
	return NewGraph(slices.DeleteFunc(slices.Clone(g.steps), func(s Step) bool { return !keep[s.Info().Name] })...)
}

// Check says which of the names is no step's, and which names there are.
func (g *Graph) Check(names ...string) error {
	for _, name := range names {
		if _, ok := g.index[name]; !ok {
			err := fmt.Errorf("there is no step %q", name)
			if near := Meant(name, g.Names()); near != "" {
				err = fmt.Errorf("%w; the nearest is %q", err, near)
			}
			return Exit(ExitUsage, Hint(err, "the steps are: %s", strings.Join(g.Names(), ", ")))
		}
	}
	return nil
}

// Names lists the steps in order.
func (g *Graph) Names() []string {
	names := make([]string, len(g.steps))
	for i, s := range g.steps {
		names[i] = s.Info().Name
	}
	return names
}

// Steps lists the steps in order.
func (g *Graph) Steps() []Step { return slices.Clone(g.steps) }

// Step returns the step with that name; nil if there is none.
func (g *Graph) Step(name string) Step {
	if i, ok := g.index[name]; ok {
		return g.steps[i]
	}
	return nil
}
