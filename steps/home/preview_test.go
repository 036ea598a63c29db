package home

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"movein/bootstrap/host"
)

const (
	newFiles = "/nix/store/0123456789abcdfghijklmnpqrsvwxyz-home-manager-files/"
	oldFiles = "/nix/store/zyxwvsrqpnmlkjihgfdcba9876543210-home-manager-files/"
)

// plant makes files of lines "PATH TEXT", "PATH -> TARGET" or "PATH/"; a mode may
// stand before: "!0600 PATH TEXT".
func plant(t *testing.T, dir string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		mode := os.FileMode(0o644)
		if strings.HasPrefix(line, "!") {
			var m uint32
			if _, err := fmt.Sscanf(line, "!%o ", &m); err != nil {
				t.Fatal(err)
			}
			mode, line = os.FileMode(m), line[strings.IndexByte(line, ' ')+1:]
		}
		path, text, _ := strings.Cut(line, " ")
		name := filepath.Join(dir, path)
		err := os.MkdirAll(filepath.Dir(name), 0o755)
		if target, link := strings.CutPrefix(text, "-> "); err == nil && link {
			err = os.Symlink(target, name)
		} else if err == nil && strings.HasSuffix(path, "/") {
			err = os.MkdirAll(name, 0o755)
		} else if err == nil {
			if err = os.WriteFile(name, []byte(text), 0o600); err == nil {
				err = os.Chmod(name, mode)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func hm(path string) Claim {
	return Claim{Path: path, Owner: HomeManager, Kind: Link, Target: newFiles + path}
}

func cz(path, text string) Claim {
	return Claim{Path: path, Owner: Chezmoi, Kind: File, Mode: 0o644, SHA256: digest([]byte(text))}
}

// wrote is c of which chezmoi wrote text the last time.
func wrote(c Claim, text string) Claim {
	c.Last = &Left{Kind: File, Mode: 0o644, SHA256: digest([]byte(text))}
	return c
}

func TestPreviewSaysWhatIsThereAndWhatBecomesOfIt(t *testing.T) {
	for _, tc := range []struct {
		name    string
		have    []string
		claims  []Claim
		dropped []Claim
		want    string
	}{
		{"nothing there", nil, []Claim{hm("f")}, nil, "create f"},
		{"as it is wanted", []string{"f -> " + newFiles + "f"}, []Claim{hm("f")}, nil, ""},
		{"with slashes too many", []string{"f -> " + strings.TrimSuffix(newFiles, "/") + "//f"}, []Claim{hm("f")}, nil, ""},
		{"another generation's", []string{"f -> " + oldFiles + "f"}, []Claim{hm("f")}, nil, "update f"},
		{"a file", []string{"f mine"}, []Claim{hm("f")}, nil, "replace f (file)"},
		{"a foreign link", []string{"g mine", "f -> g"}, []Claim{hm("f")}, nil, "replace f (foreign link)"},
		{"a link to itself", []string{"f -> f"}, []Claim{hm("f")}, nil, "replace f (dangling link)"},
		{"a dangling link", []string{"f -> gone"}, []Claim{hm("f")}, nil, "replace f (dangling link)"},
		{"a directory", []string{"f/x mine"}, []Claim{hm("f")}, nil, "replace f (directory)"},
		{"a read-only file", []string{"!0444 f mine"}, []Claim{hm("f")}, nil, "replace f (read-only file)"},
		{"parents are made", nil, []Claim{hm("a/b/f"), hm("a/g")}, nil, "create a, create a/b, create a/b/f, create a/g"},
		{"a file where a directory must be", []string{"a mine"}, []Claim{hm("a/f"), hm("a/g")}, nil, "replace a (file), create a/f, create a/g"},
		{"a dangling link where a directory must be", []string{"a -> gone"}, []Claim{hm("a/f")}, nil, "replace a (dangling link), create a/f"},
		{"a folded directory is unfolded", []string{"dot/a/f mine", "dot/a/o other", "dot/a/d/x deep", "a -> dot/a"}, []Claim{hm("a/f")}, nil,
			"replace a (folded parent directory), create a/d -> ../dot/a/d, create a/f, create a/o -> ../dot/a/o"},
		{"a folded directory above the parent", []string{"dot/a/d/f mine", "dot/a/d/x deep", "dot/a/o other", "a -> dot/a"}, []Claim{hm("a/d/f")}, nil,
			"replace a (folded parent directory), create a/d, create a/d/f, create a/d/x -> ../../dot/a/d/x, create a/o -> ../dot/a/o"},
		{"chezmoi's file as it is wanted", []string{"f text"}, []Claim{cz("f", "text")}, nil, ""},
		{"chezmoi's file with another mode", []string{"!0600 f text"}, []Claim{cz("f", "text")}, nil, "replace f (file)"},
		{"a file that chezmoi did not write", []string{"f mine"}, []Claim{cz("f", "text")}, nil, "replace f (file)"},
		{"a file that chezmoi wrote", []string{"f old"}, []Claim{wrote(cz("f", "text"), "old")}, nil, "update f"},
		{"a file that was edited since", []string{"f mine"}, []Claim{wrote(cz("f", "text"), "old")}, nil, "replace f (edited file)"},
		{"home-manager's link that is chezmoi's now", []string{"f -> " + oldFiles + "f"}, []Claim{cz("f", "text")}, nil, "update f (home-manager's link)"},
		{"what chezmoi wants to be gone", []string{"f mine"}, []Claim{{Path: "f", Owner: Chezmoi, Kind: Absent}}, nil, "delete f (file)"},
		{"what is gone already", nil, []Claim{{Path: "d/f", Owner: Chezmoi, Kind: Absent}}, nil, ""},
		{"what goes from a folded directory gets no link", []string{"dot/d/f mine", "dot/d/x deep", "dot/o other", "a -> dot"},
			[]Claim{{Path: "a/d/f", Owner: Chezmoi, Kind: Absent}}, nil, "replace a (folded parent directory), create a/d, create a/d/x -> ../../dot/d/x, create a/o -> ../dot/o"},
		{"what goes with its directory", []string{"dot/f mine", "a -> dot", "b/f mine"},
			[]Claim{{Path: "a", Kind: Absent}, {Path: "a/f", Kind: Absent}, {Path: "b", Kind: Absent}, {Path: "b/f", Kind: Absent}}, nil, "delete a (foreign link), delete b (directory)"},
		{"a directory with another mode", []string{"d/"}, []Claim{{Path: "d", Owner: Chezmoi, Kind: Dir, Mode: 0o700}}, nil, "update d (directory with mode 0755)"},
		{"a link that is dropped", []string{"f -> " + oldFiles + "f"}, nil, []Claim{{Path: "f", Owner: HomeManager, Target: oldFiles + "f"}}, "delete f"},
		{"directories that are empty then", []string{"a/b/f -> " + oldFiles + "f", "a/c/g -> " + oldFiles + "g"}, nil,
			[]Claim{{Path: "a/b/f", Target: oldFiles + "f"}, {Path: "a/c/g", Target: oldFiles + "g"}}, "delete a, delete a/b, delete a/b/f, delete a/c, delete a/c/g"},
		{"directories that are not", []string{"a/b/f -> " + oldFiles + "f", "a/mine x"}, nil, []Claim{{Path: "a/b/f", Target: oldFiles + "f"}}, "delete a/b, delete a/b/f"},
		{"what was put in the place of a dropped link", []string{"f mine"}, nil, []Claim{{Path: "f", Target: oldFiles + "f"}}, ""},
		{"a dropped link below a link to itself", []string{"a -> a"}, []Claim{{Path: "a/g", Kind: Absent}}, []Claim{{Path: "a/f"}}, ""},
		{"a dropped link below a folded directory", []string{"dot/f -> " + oldFiles + "a/f", "a -> dot"}, nil, []Claim{{Path: "a/f", Target: oldFiles + "a/f"}}, "delete dot/f"},
		{"a dropped link in a directory that is unfolded", []string{"dot/f -> " + oldFiles + "a/f", "a -> dot"}, []Claim{hm("a/g")},
			[]Claim{{Path: "a/f", Target: oldFiles + "a/f"}}, "replace a (folded parent directory), create a/f -> ../dot/f, create a/g"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			plant(t, dir, tc.have...)
			items, err := Preview(context.Background(), &host.Real{}, Wanted{Home: dir, UID: os.Getuid(), Claims: tc.claims, Dropped: tc.dropped})
			if err != nil {
				t.Fatal(err)
			}
			if got := render(items); got != tc.want {
				t.Errorf("\n got %s\nwant %s", got, tc.want)
			}
		})
	}
}

// render is a preview in one line.
func render(items []Item) string {
	var out []string
	for _, i := range items {
		s := string(i.Verb) + " " + i.Path
		if i.Was != "" {
			s += " (" + i.Was + ")"
		}
		if i.Claim.Unfolds && i.Verb == Create {
			s += " -> " + i.Claim.Target
		}
		out = append(out, s)
	}
	return strings.Join(out, ", ")
}

func TestPreviewNamesFilesThatAreMoreThanTheirContent(t *testing.T) {
	dir := t.TempDir()
	plant(t, dir, "hard mine", "!04755 setuid mine")
	if err := os.Link(filepath.Join(dir, "hard"), filepath.Join(dir, "other")); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(dir, "setuid"), 0o755|os.ModeSetuid); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	plant(t, dir, "theirs mine")
	for name, want := range map[string]string{"hard": "hard-linked file", "setuid": "setuid file", "fifo": "special file"} {
		items, err := Preview(context.Background(), &host.Real{}, Wanted{Home: dir, UID: os.Getuid(), Claims: []Claim{hm(name)}})
		if err != nil || render(items) != "replace "+name+" ("+want+")" {
			t.Errorf("%s, %v; want %s", render(items), err, want)
		}
	}
	items, err := Preview(context.Background(), &host.Real{}, Wanted{Home: dir, UID: os.Getuid() + 1, Claims: []Claim{hm("theirs")}})
	if err != nil || render(items) != "replace theirs (other owner's file)" {
		t.Errorf("%s, %v", render(items), err)
	}
}

func TestUnfoldedLinksAreAbsoluteWhereTheOneWas(t *testing.T) {
	dir, dot := t.TempDir(), t.TempDir()
	plant(t, dot, "other mine")
	plant(t, dir, "a -> "+dot)
	items, err := Preview(context.Background(), &host.Real{}, Wanted{Home: dir, UID: os.Getuid(), Claims: []Claim{hm("a/f")}})
	if want := "replace a (folded parent directory), create a/f, create a/other -> " + dot + "/other"; err != nil || render(items) != want {
		t.Errorf("\n got %s, %v\nwant %s", render(items), err, want)
	}
}

func TestPreviewLeavesWhatHomeManagerLeaves(t *testing.T) {
	dir, store := t.TempDir(), t.TempDir()
	plant(t, dir, "f same")
	plant(t, store, "f same")
	items, err := Preview(context.Background(), &host.Real{}, Wanted{Home: dir, UID: os.Getuid(), Claims: []Claim{{Path: "f", Owner: HomeManager, Kind: Link, Target: store + "/f"}}})
	if err != nil || len(items) != 0 {
		t.Errorf("%s, %v", render(items), err)
	}
}

func TestPreviewKeepsEditedFilesWhenAskedTo(t *testing.T) {
	dir := t.TempDir()
	plant(t, dir, "f mine", "g old")
	claims := []Claim{wrote(cz("f", "new"), "old"), wrote(cz("g", "new"), "old"), wrote(cz("gone", "new"), "old"), cz("new", "new")}
	items, err := Preview(context.Background(), &host.Real{}, Wanted{Home: dir, UID: os.Getuid(), Claims: claims, OnModified: "keep"})
	want := "keep f (edited file), update g, keep gone (deleted), create new"
	if err != nil || render(items) != want {
		t.Errorf("\n got %s, %v\nwant %s", render(items), err, want)
	}
}

func TestPreviewGoesThroughLinksOnlyWhenAskedTo(t *testing.T) {
	dir := t.TempDir()
	plant(t, dir, "data/f mine", "a -> data")
	items, err := Preview(context.Background(), &host.Real{}, Wanted{Home: dir, UID: os.Getuid(), Claims: []Claim{hm("a/f")}, Through: []string{"a"}})
	if err != nil || render(items) != "replace data/f (file)" {
		t.Errorf("%s, %v", render(items), err)
	}
	if err := os.RemoveAll(filepath.Join(dir, "data")); err != nil {
		t.Fatal(err)
	}
	items, err = Preview(context.Background(), &host.Real{}, Wanted{Home: dir, UID: os.Getuid(), Claims: []Claim{hm("a/f")}, Through: []string{"a"}})
	if err != nil || render(items) != "replace a (dangling link), create a/f" {
		t.Errorf("%s, %v", render(items), err)
	}
}

func sweeps(path string) Claim { return Claim{Path: path, Owner: Chezmoi, Kind: Dir, Exact: true} }

func TestEntriesOfExactDirectoriesAreSettledWhole(t *testing.T) {
	claims := []Claim{sweeps("x"), hm("x/f"), hm("x/d/f")}
	for path, want := range map[string]int{"x/f": 1, "x/d": 1, "x/d/f": 2, "x": 0, "y": 2} {
		kept, _ := Settle(claims, map[string]Owner{path: HomeManager})
		if got := Conflicts(kept); len(got) != want {
			t.Errorf("%s is home-manager's: %v", path, got)
		}
	}
}

func TestConflictsAreFoundAtAPathAndAboveIt(t *testing.T) {
	dir := Claim{Path: "d", Owner: Chezmoi, Kind: Dir}
	for _, tc := range []struct {
		name   string
		claims []Claim
		want   string
	}{
		{"none", []Claim{hm("f"), cz("g", "")}, ""},
		{"the same path", []Claim{hm("f"), cz("f", "")}, "f/f"},
		{"a file above", []Claim{hm("d/f"), cz("d", "")}, "d/d/f"},
		{"a link above", []Claim{hm("d"), cz("d/e/f", "")}, "d/d/e/f"},
		{"a directory above", []Claim{hm("d/f"), dir, cz("d/g", "")}, ""},
		{"a link where a directory is wanted", []Claim{hm("d"), dir}, "d/d"},
		{"one owner's own", []Claim{cz("d", ""), cz("d/f", "")}, ""},
		{"like names", []Claim{hm("d"), cz("d.d/f", "")}, ""},
		{"in an exact directory", []Claim{hm("x/f"), sweeps("x"), cz("x/g", "")}, "x/x/f"},
		{"far in an exact directory", []Claim{hm("x/d/e/f"), sweeps("x")}, "x/x/d/e/f"},
		{"in a directory of an exact one", []Claim{hm("x/d/f"), sweeps("x"), {Path: "x/d", Owner: Chezmoi, Kind: Dir}}, ""},
		{"settled in an exact directory", []Claim{{Path: "x/f", Owner: HomeManager, Kind: Link, Settled: true}, sweeps("x")}, ""},
		{"wanted and to be gone", []Claim{hm("f"), {Path: "f", Owner: Chezmoi, Kind: Absent}}, "f/f"},
	} {
		var got []string
		for _, c := range Conflicts(tc.claims) {
			got = append(got, c.Outer.Path+"/"+c.Inner.Path)
		}
		if strings.Join(got, " ") != tc.want {
			t.Errorf("%s: got %q, want %q", tc.name, got, tc.want)
		}
	}
}

func TestSettledOwnershipSuppressesTheLosersClaims(t *testing.T) {
	claims := []Claim{hm("f"), cz("f", ""), hm("d/x"), cz("d/x", ""), cz("d/y", ""), {Path: "d", Owner: Chezmoi, Kind: Dir}, cz("o", ""),
		hm("e"), {Path: "e", Owner: Chezmoi, Kind: Dir}, {Path: "e/e", Owner: Chezmoi, Kind: Dir}, cz("e/e/x", "")}
	kept, lost := Settle(claims, map[string]Owner{"f": HomeManager, "d": HomeManager, "d/y": Chezmoi, "e": HomeManager})
	paths := func(cs []Claim) (out []string) {
		for _, c := range cs {
			out = append(out, string(c.Owner[0])+":"+c.Path)
		}
		slices.Sort(out)
		return out
	}
	if got, want := strings.Join(paths(kept), " "), "c:d c:d/y c:o h:d/x h:e h:f"; got != want {
		t.Errorf("kept %s, want %s", got, want)
	}
	if got, want := strings.Join(paths(lost), " "), "c:d/x c:e c:e/e c:e/e/x c:f"; got != want {
		t.Errorf("suppressed %s, want %s", got, want)
	}
	if c := Conflicts(kept); len(c) != 0 {
		t.Errorf("conflicts are left: %v", c)
	}
}

func TestPreviewDoesNotReadFilesWhole(t *testing.T) {
	dir, store := t.TempDir(), t.TempDir()
	const large = 1 << 40
	for _, name := range []string{dir + "/f", dir + "/g", dir + "/h"} {
		plant(t, filepath.Dir(name), filepath.Base(name)+" 1")
		if err := os.Truncate(name, large); err != nil {
			t.Skip(err)
		}
	}
	plant(t, store, "h same")
	f, g := cz("f", "text"), wrote(cz("g", "text"), "text")
	f.Size, g.Size = 4, 4
	h := Claim{Path: "h", Owner: HomeManager, Kind: Link, Target: store + "/h"}
	ctx, stop := context.WithTimeout(context.Background(), 5*time.Second)
	defer stop()
	items, err := Preview(ctx, &host.Real{}, Wanted{Home: dir, UID: os.Getuid(), Claims: []Claim{f, g, h}})
	if want := "replace f (file), replace g (edited file), replace h (file)"; err != nil || render(items) != want {
		t.Errorf("\n got %s, %v\nwant %s", render(items), err, want)
	}
	early, stop := context.WithCancel(context.Background())
	stop()
	if _, err := Preview(early, &host.Real{}, Wanted{Home: dir, UID: os.Getuid(), Claims: []Claim{wrote(f, "old")}}); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped: %v", err)
	}
}

func TestPreviewReplacesWhatHasAnotherName(t *testing.T) {
	dir := t.TempDir()
	plant(t, dir, "f old", "g old", "h new")
	for _, name := range []string{"f", "h"} {
		if err := os.Link(filepath.Join(dir, name), filepath.Join(dir, name+"2")); err != nil {
			t.Fatal(err)
		}
	}
	claims := []Claim{wrote(cz("f", "new"), "old"), wrote(cz("g", "new"), "old"), wrote(cz("h", "new"), "old")}
	items, err := Preview(context.Background(), &host.Real{}, Wanted{Home: dir, UID: os.Getuid(), Claims: claims})
	if want := "replace f (hard-linked file), update g"; err != nil || render(items) != want {
		t.Errorf("\n got %s, %v\nwant %s", render(items), err, want)
	}
}
