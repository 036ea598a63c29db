package steps

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"movein/bootstrap"
	"movein/bootstrap/host"
	"movein/bootstrap/host/hosttest"
	"movein/embed"
)

// dotsConfig is what ann wants, with dotfiles.
func dotsConfig() *Config {
	c := testConfig()
	c.Dotfiles = "https://example.org/ann/dots.git"
	return c
}

func TestFindChezmoi(t *testing.T) {
	out := storePath('h', "home-manager-generation")
	cached := "/home/ann/.cache/movein/chezmoi-" + embed.DefaultChezmoi + "-b961e2972d6f"
	for want, there := range map[string]files{
		out + "/home-path/bin/chezmoi": {out + "/home-path/bin/chezmoi": "!0755 1", "/usr/bin/chezmoi": "!0755 1", cached: "!0755 1"},
		"/usr/bin/chezmoi":             {out + "/home-path/bin/git": "!0755 1", "/usr/bin/chezmoi": "!0755 1", cached: "!0755 1"},
		cached:                         {cached: "!0755 1"},
		"":                             {},
	} {
		h := hosttest.New(t, there)
		if got := findChezmoi(h.View(), testFacts(), dotsConfig(), out); got != want {
			t.Errorf("found %q, want %q", got, want)
		}
	}
}

func TestChezmoiFetch(t *testing.T) {
	ctx := context.Background()
	pinned, _ := embed.ChezmoiRelease(embed.DefaultChezmoi, "x86_64-linux")
	url := chezmoiURL + "/v" + embed.DefaultChezmoi + "/" + pinned.Asset
	h := hosttest.New(t, nil)
	s := chezmoiFetch{testFacts(), dotsConfig()}
	if change, err := s.Plan(ctx, h.View()); err != nil || len(change) != 1 || change[0].Target != url {
		t.Fatalf("%v, %v", change, err)
	}
	h.OnFetch = func(u, sum, file string) error {
		if u != url || sum != pinned.SHA256 {
			t.Errorf("fetched %s by %s", u, sum)
		}
		h.Put(file, "archive")
		return nil
	}
	h.OnExtract = func(_, sum, name, file string) error {
		if sum != pinned.SHA256 || name != "chezmoi" {
			t.Errorf("extracted %s by %s", name, sum)
		}
		h.Put(file, "!0755 program")
		return nil
	}
	if err := s.Apply(ctx, h, nil); err != nil {
		t.Fatal(err)
	}
	if change, err := s.Plan(ctx, h.View()); err != nil || change != nil || strings.Contains(h.Tree("/home"), ".tar.gz") {
		t.Errorf("after it: %v, %v\n%s", change, err, h.Tree("/home"))
	}
}

func TestChezmoiFetchRefused(t *testing.T) {
	ctx := context.Background()
	h := hosttest.New(t, nil)
	_, err := chezmoiFetch{testFacts(), testConfig()}.Plan(ctx, h.View())
	if _, skip := errors.AsType[bootstrap.Skip](err); !skip {
		t.Errorf("without dotfiles: %v", err)
	}
	s := chezmoiFetch{testFacts(), dotsConfig()}
	for code, cause := range map[int]error{
		bootstrap.ExitUnreachable: &host.UnreachableError{URL: "github.com", Err: errors.New("no route")},
		bootstrap.ExitDigest:      &host.DigestError{Name: "a", Want: "1", Got: "2"},
	} {
		h.OnFetch = func(string, string, string) error { return cause }
		if err := s.Apply(ctx, h, nil); bootstrap.ExitCode(err) != code || !strings.Contains(bootstrap.HintOf(err), "--chezmoi-url") {
			t.Errorf("%v: exit %d, %s", err, bootstrap.ExitCode(err), bootstrap.HintOf(err))
		}
	}
	s.c.ChezmoiVersion = "9.9.9"
	if _, err := s.Plan(ctx, h.View()); bootstrap.ExitCode(err) != bootstrap.ExitConfig || !strings.Contains(err.Error(), "--chezmoi-sha256") {
		t.Errorf("no digest: %v", err)
	}
	s.c.ChezmoiSHA256, s.c.ChezmoiURL = strings.Repeat("A", 64), "https://mirror.example.org/cz/"
	if r, err := wantedChezmoi(s.f, s.c); err != nil || r.url != "https://mirror.example.org/cz/v9.9.9/chezmoi_9.9.9_linux-musl_amd64.tar.gz" || r.sha256 != strings.Repeat("a", 64) {
		t.Errorf("%+v, %v", r, err)
	}
}

// scriptedChezmoi is a chezmoi that answers as it is told.
func scriptedChezmoi(t *testing.T, there files) (chezmoi, *hosttest.Host) {
	t.Helper()
	h := hosttest.New(t, with(files{"/usr/bin/chezmoi": "!0755 1", "/home/ann/.local/share/chezmoi/dot_a": "1"}, there))
	z, ok := newChezmoi(h.View(), testFacts(), dotsConfig(), "")
	if !ok || z.bin != "/usr/bin/chezmoi" {
		t.Fatalf("%+v, %v", z, ok)
	}
	return z, h
}

// says is the begin of the command line of chezmoi's subcommand.
func (z chezmoi) says(subcommand string) string {
	return strings.Join(z.cmd(subcommand).Args, " ")
}

func TestChezmoiSaysClearlyWhatIsWrong(t *testing.T) {
	for stderr, want := range map[string]struct {
		code int
		text string
	}{
		"chezmoi: warning: config file template has changed\nnoise\nchezmoi: a: template: dot_a.tmpl:1: boom\n": {bootstrap.ExitConfig, "asking chezmoi what it manages: chezmoi: a: template: dot_a.tmpl:1: boom"},
		"chezmoi: timeout obtaining persistent state lock, is another instance of chezmoi running?\n":           {bootstrap.ExitFailed, "another instance"},
		"chezmoi: Get \"https://x/\": dial tcp: no\n":                                                           {bootstrap.ExitUnreachable, "dial tcp"},
		"chezmoi: unknown flag: --path-style\n":                                                                 {bootstrap.ExitFailed, "unknown flag"},
		"killed":                                                                                                {bootstrap.ExitFailed, "killed"},
	} {
		z, h := scriptedChezmoi(t, nil)
		h.OnQuery(z.says("managed"), hosttest.Fails(1, stderr))
		_, err := z.look(context.Background(), h.View())
		if err == nil || bootstrap.ExitCode(err) != want.code || !strings.Contains(err.Error(), want.text) || strings.Contains(err.Error(), "warning") {
			t.Errorf("%q: %v (exit %d)", stderr, err, bootstrap.ExitCode(err))
		}
	}
}

func TestChezmoiAppliesPlainlyOrByList(t *testing.T) {
	z, h := scriptedChezmoi(t, files{"/home/ann/.config/chezmoi/chezmoi.toml": ""})
	root := z.source
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for _, name := range []string{"b.sh", ".a", ".c"} {
		if err := w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644}); err != nil {
			t.Fatal(err)
		}
	}
	h.OnQuery(z.says("managed"), hosttest.Says(`{".a":{"sourceAbsolute":"`+root+`/dot_a"},".c":{"sourceAbsolute":"`+root+`/dot_c"},"b.sh":{"sourceAbsolute":"`+root+`/run_after_b.sh"}}`))
	h.OnQuery(z.says("archive"), hosttest.Says(archive.String()))
	l, err := z.look(context.Background(), h.View())
	if err != nil {
		t.Fatal(err)
	}
	h.On(z.says("apply"), hosttest.Says(""))
	for want, leave := range map[string][]string{
		" --force": nil,
		" --force --recursive=false /home/ann/.a | --force --recursive=false /home/ann/b.sh": {".c", "elsewhere"},
	} {
		h.Forget()
		if err := z.apply(context.Background(), h, l, leave); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, call := range h.Calls() {
			got = append(got, strings.TrimPrefix(call, "run "+z.says("apply")))
		}
		if strings.Join(got, " |") != want {
			t.Errorf("leaving %q: %q, want %q", leave, strings.Join(got, " |"), want)
		}
	}
}

func TestReadSourceName(t *testing.T) {
	for name, want := range map[string]sourced{
		"dot_bashrc":                    {},
		"private_executable_dot_x.tmpl": {template: true},
		"exact_private_dot_config":      {exact: true},
		"encrypted_private_dot_k.age":   {secret: true},
		"encrypted_dot_k.tmpl.asc":      {secret: true, template: true},
		"modify_private_x":              {modify: true, opens: true},
		"run_once_before_a.sh.tmpl":     {script: true, when: "once", order: "before", template: true},
		"run_onchange_after_a.sh":       {script: true, when: "onchange", order: "after"},
		"run_a_before_b.sh":             {script: true, when: "always"},
		"literal_run_a":                 {},
		"dot_exact_x":                   {},
	} {
		want.path = "/s/" + name
		if got := readSourceName("/s/" + name); got != want {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
}

func TestUnanswered(t *testing.T) {
	for template, want := range map[string][]string{
		`{{ promptString "A" }}{{- promptStringOnce . "a.b" "B" | quote -}}`:  {"A", "B"},
		`{{ promptString "A" "default" }}{{ promptBoolOnce . "a" "B" true }}`: nil,
		`{{ promptChoice "A" (list "x" "y") }}`:                               {"A"},
		`{{ promptChoiceOnce . "a" "A" (list "x" "y") "x" }}`:                 nil,
		`{{ if (promptBool "A") }}{{ end }}{{/* promptString "C" */}}`:        {"A"},
		`{{ promptString "known" }}{{ promptString $x }} promptString "D"`:    nil,
		"{{ promptString `A \"quoted\"` }}":                                   {`A "quoted"`},
	} {
		if got := unanswered(template, map[string]any{"known": "x"}); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", template, got, want)
		}
	}
}

func TestImpureWord(t *testing.T) {
	for template, want := range map[string]string{
		`{{ .chezmoi.os }}{{ secret "x" }}{{ (keepassxc "e").Password }}`:         "",
		`{{ env "HOME" }}{{ include "a/b" }}{{ $now := 1 }}{{ .now }}{{ "now" }}`: "",
		`{{ env "LANG" }}`:                 "env",
		`{{ if (lookPath "git") }}`:        "lookPath",
		`{{ include "../x" }}`:             "include",
		`{{ include (joinPath "a" "b") }}`: "include",
		`{{ "x" | sha256sum | output }}`:   "output",
		"{{- /* now */ -}}now":             "",
	} {
		if got := impureWord(template); got != want {
			t.Errorf("%s: %q, want %q", template, got, want)
		}
	}
}

func TestPromptFlags(t *testing.T) {
	got := promptFlags(map[string]any{"A, b": `q"`, "Bool": true, "Int": float64(3)})
	want := []string{"--promptString", `"A, b=q"""`, "--promptChoice", `"A, b=q"""`, "--promptBool", "Bool=true", "--promptInt", "Int=3"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// A write within the same tick of the clock may leave the times as they are.
func TestChezmoiRemembersNothingThatWasJustWritten(t *testing.T) {
	for ago, want := range map[time.Duration]bool{0: false, 10 * time.Millisecond: false, time.Minute: true} {
		z, h := scriptedChezmoi(t, files{"/home/ann/.config/chezmoi/chezmoi.toml": "", "/home/ann/.a": "1"})
		var empty bytes.Buffer
		if err := tar.NewWriter(&empty).Close(); err != nil {
			t.Fatal(err)
		}
		h.OnQuery(z.says("managed"), hosttest.Says(`{".a":{"sourceAbsolute":"`+z.source+`/dot_a"}}`))
		h.OnQuery(z.says("archive"), hosttest.Says(empty.String()))
		h.Put("/home/ann/.a", "2")
		info, err := h.Lstat("/home/ann/.a")
		if err != nil {
			t.Fatal(err)
		}
		h.Clock = func() time.Time { return info.ModTime().Add(ago) }
		l, err := z.look(context.Background(), h.View())
		if err != nil {
			t.Fatal(err)
		}
		if why := z.remember(h.View(), "", l); (why == "") != want || z.unchanged(h.View(), "") != want {
			t.Errorf("written %s ago: %q, unchanged %v", ago, why, z.unchanged(h.View(), ""))
		}
	}
}
