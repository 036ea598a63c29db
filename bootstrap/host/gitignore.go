package host

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	gitconfig "github.com/go-git/go-git/v5/plumbing/format/config"
	"github.com/go-git/go-git/v5/plumbing/format/gitignore"
)

// untracked lists files that are neither known nor ignored, at most max, in
// order of directory. A repository inside the work tree is listed as "dir/" and
// not looked into, and neither are ignored directories. Directories that cannot
// be read are left out, as by git status.
func (w *workTree) untracked(known func(name string, isDir bool) bool, max int) ([]string, error) {
	l := &untrackedList{w: w, known: known, max: max}
	patterns := readIgnore(w.repo.excludesFile(), nil)
	patterns = append(patterns, readIgnore(filepath.Join(w.repo.commonDir, "info", "exclude"), nil)...)
	err := l.walk(nil, patterns)
	return l.names, err
}

type untrackedList struct {
	w     *workTree
	known func(name string, isDir bool) bool
	max   int
	names []string
}

func (l *untrackedList) walk(dir []string, patterns []gitignore.Pattern) error {
	prefix := ""
	if len(dir) > 0 {
		prefix = strings.Join(dir, "/") + "/"
	}
	entries, err := l.w.list(prefix)
	if errors.Is(err, fs.ErrPermission) || len(dir) > 0 && errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if prefix != "" && has(entries, ".git") {
		l.names = append(l.names, prefix)
		return nil
	}
	if has(entries, ".gitignore") {
		own := readIgnore(filepath.Join(l.w.repo.dir, prefix, ".gitignore"), dir)
		patterns = append(patterns[:len(patterns):len(patterns)], own...)
	}
	ignored := gitignore.NewMatcher(patterns)
	for _, e := range entries {
		if len(l.names) >= l.max {
			return nil
		}
		name := prefix + e.Name()
		if e.Name() == ".git" || name == stagingName || l.known(name, e.IsDir()) {
			continue
		}
		at := append(dir[:len(dir):len(dir)], e.Name())
		switch {
		case ignored.Match(at, e.IsDir()):
		case !e.IsDir():
			l.names = append(l.names, name)
		default:
			if err := l.walk(at, patterns); err != nil {
				return err
			}
		}
	}
	return nil
}

// has reports whether there is a name in the list of a directory.
func has(list []fs.FileInfo, name string) bool {
	_, found := slices.BinarySearchFunc(list, name, byName)
	return found
}

func byName(fi fs.FileInfo, name string) int { return strings.Compare(fi.Name(), name) }

// readIgnore reads a file of ignore patterns that are meant relative to the directory dir of the work tree.
func readIgnore(file string, dir []string) []gitignore.Pattern {
	if file == "" {
		return nil
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	var out []gitignore.Pattern
	for line := range strings.Lines(string(bytes.TrimPrefix(b, []byte("\xef\xbb\xbf")))) {
		line = strings.TrimRight(line, "\r\n")
		if strings.HasPrefix(line, "#") || strings.TrimSpace(line) == "" {
			continue
		}
		out = append(out, gitignore.ParsePattern(forGoGit(line), dir))
	}
	return out
}

// forGoGit rewrites what go-git's matcher reads otherwise than git: it would
// take "x/**" for x itself too, and knows ranges that begin with ^ only.
func forGoGit(pattern string) string {
	if strings.HasSuffix(pattern, "/**") {
		pattern += "/*"
	}
	return strings.ReplaceAll(pattern, "[!", "[^")
}

// excludesFile is git's core.excludesFile: from the repository's, the user's or
// the system's configuration, or the default of git config(1). "" if there is no home.
func (r *gitRepo) excludesFile() string {
	home, _ := os.UserHomeDir()
	xdg := os.Getenv("XDG_CONFIG_HOME")
	if xdg == "" && home != "" {
		xdg = filepath.Join(home, ".config")
	}
	files := []string{filepath.Join(r.commonDir, "config")}
	if global := os.Getenv("GIT_CONFIG_GLOBAL"); global != "" {
		files = append(files, global)
	} else if home != "" {
		files = append(files, filepath.Join(home, ".gitconfig"), filepath.Join(xdg, "git", "config"))
	}
	for _, file := range append(files, "/etc/gitconfig") {
		if v := configExcludes(file, home, 3); v != "" {
			return inHome(v, home)
		}
	}
	if xdg == "" {
		return ""
	}
	return filepath.Join(xdg, "git", "ignore")
}

// configExcludes looks for core.excludesFile in a configuration file and those it includes unconditionally.
func configExcludes(file, home string, depth int) string {
	b, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	c := gitconfig.New()
	if err := gitconfig.NewDecoder(bytes.NewReader(b)).Decode(c); err != nil {
		return ""
	}
	if v := c.Section("core").Option("excludesfile"); v != "" || depth == 0 {
		return v
	}
	for _, inc := range c.Section("include").OptionAll("path") {
		if v := configExcludes(absFrom(filepath.Dir(file), inHome(inc, home)), home, depth-1); v != "" {
			return v
		}
	}
	return ""
}

func inHome(name, home string) string {
	if rest, ok := strings.CutPrefix(name, "~/"); ok {
		return filepath.Join(home, rest)
	}
	return name
}
