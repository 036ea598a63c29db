package audit

import (
	"strings"
	"sync"

	"movein/embed"
)

// Class says whose a definition or a file is.
type Class string

// The classes.
const (
	System    Class = "system"
	Home      Class = "home"
	Undecided Class = "undecided"
)

// rule is one line of the table: what begins with pattern is of class.
type rule struct {
	pattern []string
	whole   bool // what fits is one definition, whatever is in it
	class   Class
	target  string
	module  string
	why     string
}

// entry is where modules are within modules.
type entry struct {
	role    role
	pattern []string
}

// table is embed/audit.txt.
type table struct {
	rules    []*rule
	entries  []entry
	leaves   [][]string // of a home
	stop     map[string]bool
	modules  []*rule                    // pattern: an option of home-manager's; module
	packages map[string]*rule           // by name
	programs map[string]bool            // home-manager has programs.NAME
	services map[string]bool            // … services.NAME
	has      map[string]map[string]bool // … these options directly below
	tops     map[string]bool            // … and NixOS has not
}

var tables = sync.OnceValue(func() *table { return readTable(embed.AuditTable()) })

func readTable(text string) *table {
	t := &table{packages: map[string]*rule{}, has: map[string]map[string]bool{}}
	for _, line := range strings.Split(text, "\n") {
		line, why, _ := strings.Cut(strings.TrimSpace(line), "# ")
		words := strings.Fields(line)
		if len(words) < 2 || words[0] == "#" {
			continue
		}
		switch key, rest := words[0], words[1:]; key {
		case "enter":
			t.entries = append(t.entries, entry{role(rest[0]), strings.Split(rest[1], ".")})
		case "stop":
			t.stop = names(rest)
		case "leaf":
			for _, w := range rest {
				t.leaves = append(t.leaves, strings.Split(w, "."))
			}
		case "module":
			for _, w := range rest[1:] {
				t.modules = append(t.modules, &rule{pattern: strings.Split(w, "."), module: rest[0]})
			}
		case "packages":
			r := &rule{class: Home, module: rest[0], why: why}
			if rest[0] == "system" {
				r = &rule{class: System, why: why}
			}
			for _, w := range rest[1:] {
				t.packages[w] = r
			}
		case "programs":
			t.programs = merged(t.programs, rest)
		case "services":
			t.services = merged(t.services, rest)
		case "has":
			t.has[rest[0]] = names(rest[1:])
		case "tops":
			t.tops = names(rest)
		default:
			r := &rule{class: Class(key), why: why}
			pattern, whole := strings.CutSuffix(rest[0], "!")
			r.pattern, r.whole = splitPattern(pattern), whole
			for i, w := range rest {
				if w == ">" {
					r.target = rest[i+1]
				}
				if m, ok := strings.CutPrefix(w, "@"); ok {
					r.module = m
				}
			}
			t.rules = append(t.rules, r)
		}
	}
	return t
}

// splitPattern splits at dots; what is below environment.etc is one file name.
func splitPattern(s string) []string {
	if name, ok := strings.CutPrefix(s, "environment.etc."); ok {
		return []string{"environment", "etc", name}
	}
	return strings.Split(s, ".")
}

func names(words []string) map[string]bool { return merged(nil, words) }

func merged(m map[string]bool, words []string) map[string]bool {
	if m == nil {
		m = make(map[string]bool, len(words))
	}
	for _, w := range words {
		m[w] = true
	}
	return m
}

// fits reports whether pattern fits the beginning of option; first is what its first * stands for.
func fits(pattern, option []string) (first string, ok bool) {
	if len(option) < len(pattern) {
		return "", false
	}
	found := false
	for i, p := range pattern {
		before, after, star := strings.Cut(p, "*")
		switch o := option[i]; {
		case !star:
			if o != p {
				return "", false
			}
		case len(o) < len(before)+len(after) || !strings.HasPrefix(o, before):
			return "", false
		case strings.Contains(after, "*"): // __*GLX*
			if !strings.Contains(o, strings.Trim(after, "*")) {
				return "", false
			}
		case !strings.HasSuffix(o, after):
			return "", false
		case !found:
			first, found = o[len(before):len(o)-len(after)], true
		}
	}
	return first, true
}

// exact is how much of a pattern is said: of two that fit, the one with more is taken.
func exact(pattern []string) int {
	n := 0
	for _, p := range pattern {
		n += 1000 + len(strings.ReplaceAll(p, "*", ""))
	}
	return n
}

// match is the longest rule that fits option; nil if there is none.
func (t *table) match(option []string) (best *rule, first string) {
	for _, r := range t.rules {
		if f, fit := fits(r.pattern, option); fit && (best == nil || exact(r.pattern) > exact(best.pattern)) {
			best, first = r, f
		}
	}
	return best, first
}

// moduleOf is the home repo's module for an option of home-manager's.
func (t *table) moduleOf(option []string) string {
	best := &rule{module: "home"}
	for _, r := range t.modules {
		if _, ok := fits(r.pattern, option); ok && len(r.pattern) > len(best.pattern) {
			best = r
		}
	}
	return best.module
}

// whole is how many names of option are one definition, whatever is below; 0: as many as there are.
func (t *table) whole(r role, option []string) int {
	if r == homeRole {
		for _, p := range t.leaves {
			if _, ok := fits(p, option); ok {
				return len(p)
			}
		}
	} else if best, _ := t.match(option); best != nil && best.whole {
		return len(best.pattern)
	}
	for i := 2; i < len(option); i++ {
		if t.stop[option[i]] {
			return i + 1
		}
	}
	return 0
}
