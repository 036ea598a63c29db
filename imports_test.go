package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// may is the architecture: what each package may import of ours, and of others'
// (modules; in tests any package may import more). See ARCHITECTURE.md.
var may = map[string]struct{ ours, others []string }{
	"":                           {ours: []string{"bootstrap/cli"}},
	"bootstrap/cli":              {ours: []string{"bootstrap", "bootstrap/host", "bootstrap/host/bundle", "bootstrap/host/kdbx", "bootstrap/host/keyring", "bootstrap/host/minisign", "bootstrap/host/secret", "bootstrap/report", "distro", "embed", "steps", "steps/audit", "steps/home"}, others: []string{"github.com/spf13/cobra", "github.com/spf13/pflag", "github.com/pelletier/go-toml/v2"}},
	"steps":                      {ours: []string{"bootstrap", "bootstrap/host", "bootstrap/host/bundle", "distro", "embed", "steps/home"}, others: []string{"github.com/pelletier/go-toml/v2"}},
	"steps/audit":                {ours: []string{"bootstrap", "bootstrap/host", "embed", "steps/audit/nixlang"}},
	"steps/audit/nixlang":        {},
	"steps/home":                 {ours: []string{"bootstrap", "bootstrap/host"}, others: []string{"github.com/rogpeppe/go-internal/diff"}},
	"bootstrap/report":           {ours: []string{"bootstrap"}, others: []string{"github.com/sirupsen/logrus", "github.com/schollz/progressbar/v3"}},
	"bootstrap":                  {ours: []string{"bootstrap/host"}},
	"bootstrap/host/hosttest":    {ours: []string{"bootstrap/host", "bootstrap/host/bundle"}},
	"bootstrap/host/bundle":      {ours: []string{"bootstrap/host/minisign"}},
	"bootstrap/host/keyring":     {ours: []string{"bootstrap/host/kdbx"}, others: []string{"github.com/godbus/dbus/v5", "github.com/zalando/go-keyring", "golang.org/x/sys"}},
	"bootstrap/host/secret":      {ours: []string{"bootstrap/host", "bootstrap/host/kdbx"}, others: []string{"golang.org/x/sys", "golang.org/x/term"}},
	"bootstrap/host/minisign":    {others: []string{"golang.org/x/crypto/blake2b"}},
	"bootstrap/host/kdbx":        {ours: []string{"bootstrap/host/kdbx/argon2"}, others: []string{"golang.org/x/crypto"}},
	"bootstrap/host/kdbx/argon2": {others: []string{"golang.org/x/crypto/blake2b", "golang.org/x/sys"}},
	"bootstrap/host": {ours: []string{"bootstrap/host/bundle"}, others: []string{"github.com/cavaliergopher/grab/v3", "github.com/go-git/go-git/v5", "github.com/go-git/go-billy/v5",
		"github.com/mikelolasagasti/xz", "golang.org/x/crypto/ssh", "golang.org/x/sys", "golang.org/x/term"}},
	"distro": {},
	"embed":  {},
}

// door is the ways to the outside, and who may import them. Signals and standard
// streams are cli's, files for tests hosttest's, so package os is not here.
var door = map[string][]string{
	"os/exec":  {"bootstrap/host", "bootstrap/host/hosttest"}, // there for the error of LookPath
	"os/user":  {"bootstrap/host"},
	"net/http": {"bootstrap/host"},
}

// pure are packages that do not touch the machine, by the standard library either, and
// what they might do it with. Where net and syscall are not listed they have the names of errors.
var pure = map[string][]string{
	"bootstrap":               {"os", "net"},
	"bootstrap/report":        {"os", "net", "syscall"},
	"steps":                   {"os"},
	"steps/audit":             {"os", "net", "syscall"},
	"steps/audit/nixlang":     {"os", "net", "syscall"},
	"steps/home":              {"os"},
	"distro":                  {"os", "net", "syscall"},
	"embed":                   {"os", "net", "syscall"},
	"bootstrap/host/kdbx":     {"os", "net", "syscall"},
	"bootstrap/host/minisign": {"os", "net", "syscall"},
	"bootstrap/host/bundle":   {"os", "net", "syscall"},
}

type pkg struct {
	ImportPath string
	Imports    []string
}

func TestImports(t *testing.T) {
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", "./...").Output()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		seen[ours(p.ImportPath)] = true
		for _, wrong := range p.wrong() {
			t.Error(wrong)
		}
	}
	for name := range may {
		if !seen[name] {
			t.Errorf("the table has a line for %q, and there is no such package", name)
		}
	}
}

// ours is a package's path below the module's.
func ours(path string) string { return strings.TrimPrefix(strings.TrimPrefix(path, "movein"), "/") }

// wrong says which imports of p the table does not have.
func (p pkg) wrong() (all []string) {
	name := ours(p.ImportPath)
	table, ok := may[name]
	if !ok {
		return []string{"package " + p.ImportPath + " has no line in the table"}
	}
	say := func(imp, why string) { all = append(all, p.ImportPath+" must not import "+imp+": "+why) }
	for _, imp := range p.Imports {
		switch first, _, _ := strings.Cut(imp, "/"); {
		case first == "movein":
			if !slices.Contains(table.ours, ours(imp)) {
				say(imp, "the table has it not")
			}
		case strings.Contains(first, "."):
			if !slices.ContainsFunc(table.others, func(m string) bool { return imp == m || strings.HasPrefix(imp, m+"/") }) {
				say(imp, "the table has that library elsewhere, or nowhere")
			}
		case door[imp] != nil && !slices.Contains(door[imp], name):
			say(imp, "only bootstrap/host does")
		case slices.Contains(pure[name], imp):
			say(imp, "it asks the host that it is given")
		}
	}
	return all
}

// TestImportsFinds shows the rules at work.
func TestImportsFinds(t *testing.T) {
	for _, c := range []struct {
		path, imp, wrong string
	}{
		{"movein", "movein/bootstrap/cli", ""},
		{"movein", "movein/steps", "movein must not import movein/steps: the table has it not"},
		{"movein/distro", "movein/bootstrap", "movein/distro must not import movein/bootstrap: the table has it not"},
		{"movein/bootstrap", "movein/steps", "movein/bootstrap must not import movein/steps: the table has it not"},
		{"movein/bootstrap/host", "movein/bootstrap", "movein/bootstrap/host must not import movein/bootstrap: the table has it not"},
		{"movein/steps", "movein/bootstrap/report", "movein/steps must not import movein/bootstrap/report: the table has it not"},
		{"movein/steps", "github.com/go-git/go-git/v5/plumbing", "movein/steps must not import github.com/go-git/go-git/v5/plumbing: the table has that library elsewhere, or nowhere"},
		{"movein/bootstrap/host", "github.com/go-git/go-git/v5/plumbing", ""},
		{"movein/bootstrap/report", "golang.org/x/term", "movein/bootstrap/report must not import golang.org/x/term: the table has that library elsewhere, or nowhere"},
		{"movein/bootstrap/host", "github.com/sirupsen/logrus", "movein/bootstrap/host must not import github.com/sirupsen/logrus: the table has that library elsewhere, or nowhere"},
		{"movein/steps", "github.com/spf13/cobra", "movein/steps must not import github.com/spf13/cobra: the table has that library elsewhere, or nowhere"},
		{"movein/bootstrap/cli", "github.com/nobody/knows", "movein/bootstrap/cli must not import github.com/nobody/knows: the table has that library elsewhere, or nowhere"},
		{"movein/bootstrap/cli", "os/exec", "movein/bootstrap/cli must not import os/exec: only bootstrap/host does"},
		{"movein/steps", "net/http", "movein/steps must not import net/http: only bootstrap/host does"},
		{"movein/distro", "os/user", "movein/distro must not import os/user: only bootstrap/host does"},
		{"movein/bootstrap/host", "net/http", ""},
		{"movein/steps", "os", "movein/steps must not import os: it asks the host that it is given"},
		{"movein/utils", "fmt", "package movein/utils has no line in the table"},
	} {
		got := strings.Join(pkg{ImportPath: c.path, Imports: []string{c.imp}}.wrong(), "\n")
		if got != c.wrong {
			t.Errorf("%s imports %s: %q, want %q", c.path, c.imp, got, c.wrong)
		}
	}
}
