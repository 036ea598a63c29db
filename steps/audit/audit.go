package audit

import (
	"sort"
)

// Definition is one place that gives an option a value.
type Definition struct {
	File       string    `json:"file"`
	Line       int       `json:"line"` // 0: only evaluating found it
	Option     string    `json:"option"`
	Class      Class     `json:"class"`
	Module     string    `json:"module,omitempty"` // of the home repo: its file without .nix
	Target     string    `json:"target,omitempty"` // the option of home-manager's; "": there is none to set
	Why        string    `json:"why"`
	Packages   []Package `json:"packages,omitempty"`
	Standalone bool      `json:"standalone,omitempty"` // of a home that no system configuration includes: done
	Hosts      []string  `json:"hosts,omitempty"`      // whose configurations have it, if they were evaluated

	found          *found
	names          []string // Option's
	ofSystem, gone bool     // evaluated: a system configuration has it; others are in its place
}

// Package is one of a list of packages.
type Package struct {
	Name   string `json:"name"`
	Class  Class  `json:"class"`
	Module string `json:"module,omitempty"`
	Why    string `json:"why,omitempty"`

	plain bool // pkgs.NAME is it
}

// Left reports whether it is the user's and still in the system's configuration.
func (d *Definition) Left() bool { return d.Class == Home && !d.Standalone }

// Result is what an audit found.
type Result struct {
	Source      string        `json:"source"` // "evaluated" or "syntax"
	Unevaluated string        `json:"unevaluated,omitempty"`
	Definitions []*Definition `json:"definitions"`
	Files       []File        `json:"files"`
	Problems    []Problem     `json:"problems"`
	AtHome      int           `json:"at_home"` // definitions of the home repo that it was compared with
	Totals
}

// Totals count definitions.
type Totals struct {
	System    int `json:"system"`
	Home      int `json:"home"`
	Undecided int `json:"undecided"`
	Left      int `json:"left"`    // the user's, in the system's configuration
	Percent   int `json:"percent"` // of the user's, how many are in a home of its own
}

// Audit classifies all definitions and files of the tree, by its syntax.
func (t *Tree) Audit() Result {
	w := t.walked()
	r := Result{Source: "syntax", Problems: append([]Problem{}, t.Problems...), Definitions: w.classified()}
	r.sort()
	r.Files = w.classifyFiles(r.Definitions)
	r.Count()
	return r
}

func (r *Result) sort() {
	sort.SliceStable(r.Definitions, func(i, j int) bool {
		a, b := r.Definitions[i], r.Definitions[j]
		return a.File < b.File || a.File == b.File && (a.Line < b.Line || a.Line == b.Line && a.Option < b.Option)
	})
}

// walked is a walk that is done. Aliases that are found on the way are known from the beginning in the next.
func (t *Tree) walked() *walk {
	var aliases []alias
	for range 3 {
		w := &walk{Tree: t, table: tables(), seen: map[*file][]reach{}, declared: map[string]*found{}, index: map[string]*found{}, aliases: aliases}
		w.collect()
		done := len(w.aliases) == len(aliases)
		if aliases, t.aliases = w.aliases, w.aliases; done {
			return w
		}
	}
	w := &walk{Tree: t, table: tables(), seen: map[*file][]reach{}, declared: map[string]*found{}, index: map[string]*found{}, aliases: aliases}
	w.collect()
	return w
}

// Count makes the totals.
func (r *Result) Count() {
	r.Totals = Totals{}
	done := r.AtHome
	for _, d := range r.Definitions {
		switch d.Class {
		case System:
			r.System++
		case Undecided:
			r.Undecided++
		case Home:
			r.Home++
		}
		if d.Left() {
			r.Left++
		} else if d.Class == Home {
			done++
		}
	}
	if r.Percent = 100; r.Left > 0 {
		r.Percent = done * 100 / (done + r.Left)
	}
}
