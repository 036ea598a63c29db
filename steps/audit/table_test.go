package audit

import (
	"os"
	"slices"
	"strings"
	"testing"
)

const options = "../../testdata/audit/home-options.txt"

// ofOthers are modules for home-manager that are not its own.
var ofOthers = []string{"programs.plasma", "programs.nix-index-database", "programs.spicetify"}

// targets are the options of home-manager's that the table names.
func targets(t *table) (all []string) {
	for _, r := range t.rules {
		target, _, _ := strings.Cut(strings.TrimSuffix(r.target, ".*"), ".$1")
		if target != "" && !slices.ContainsFunc(ofOthers, func(o string) bool { return target == o || strings.HasPrefix(target, o+".") }) {
			all = append(all, target)
		}
	}
	for module, has := range t.has {
		for name := range has {
			all = append(all, module+"."+name)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// TestTargetsAreOptions compares the table with the recorded names of home-manager's
// options: a target is one, or has some below, or is below one. With HOME_OPTIONS, a
// file with the names of all (testdata/audit/names.nix), the record is made from them.
func TestTargetsAreOptions(t *testing.T) {
	name := options
	if all := os.Getenv("HOME_OPTIONS"); all != "" {
		name = all
	}
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var kept []string
	known := strings.Fields(string(data))
	for _, target := range targets(tables()) {
		i := slices.IndexFunc(known, func(o string) bool {
			return o == target || strings.HasPrefix(o, target+".") || strings.HasPrefix(target, o+".")
		})
		if i < 0 {
			t.Errorf("home-manager has no %s", target)
			continue
		}
		kept = append(kept, known[i])
	}
	if name != options && !t.Failed() {
		slices.Sort(kept)
		if err := os.WriteFile(options, []byte(strings.Join(slices.Compact(kept), "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// TestTableIsSound shows that every line of the table can be meant.
func TestTableIsSound(t *testing.T) {
	tab := tables()
	modules := strings.Fields("home shell git kitty vscodium brave keepassxc syncthing-myspaces rclone-gdrive plasma plasma-full claude-code npm-tools semantic-grep")
	seen := map[string]bool{}
	for _, r := range tab.rules {
		key := strings.Join(r.pattern, ".")
		if seen[key] {
			t.Errorf("%s has two lines", key)
		}
		seen[key] = true
		if !slices.Contains([]Class{System, Home, Undecided}, r.class) {
			t.Errorf("%s: %q is no class", key, r.class)
		}
		if r.class == Home && r.target == "" && r.why == "" {
			t.Errorf("%s goes nowhere, and no reason is given", key)
		}
		if r.module != "" && !slices.Contains(modules, r.module) {
			t.Errorf("%s: there is no module %s", key, r.module)
		}
		if got, _ := tab.match(r.pattern); got != r {
			t.Errorf("%s is another's: %s", key, strings.Join(got.pattern, "."))
		}
	}
	for name, r := range tab.packages {
		if r.class == Home && !slices.Contains(modules, r.module) {
			t.Errorf("%s: there is no module %s", name, r.module)
		}
	}
	for _, r := range tab.modules {
		if !slices.Contains(modules, r.module) {
			t.Errorf("%v: there is no module %s", r.pattern, r.module)
		}
	}
	if len(tab.rules) < 200 || len(tab.programs) < 300 || len(tab.services) < 100 || len(tab.has) < 50 {
		t.Errorf("%d rules, %d programs, %d services, %d with options", len(tab.rules), len(tab.programs), len(tab.services), len(tab.has))
	}
}
