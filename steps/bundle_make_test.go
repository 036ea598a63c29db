package steps

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"movein/bootstrap"
	"movein/bootstrap/host"
	"movein/bootstrap/host/hosttest"
)

// bundlingHost has a home repo of which a bundle can be made, in this state.
func bundlingHost(t *testing.T, state host.Repo) *hosttest.Host {
	h := buildHost(t, files{"/usr/bin/movein": "!0755 program", "/there/": ""})
	h.OnRepo = func(string) (host.Repo, error) { return state, nil }
	h.OnBundleBranch = func(_, file string) error { h.Put(file, "git bundle"); return nil }
	h.OnFetch = func(_, _, file string) error { h.Put(file, "fetched"); return nil }
	return h
}

func TestABundleIsOfWhatIsCommittedAndHoldsNoLogin(t *testing.T) {
	state := cleanRepo()
	state.Dirty, state.Untracked, state.Ahead = []string{"home.nix"}, []string{"notes"}, true
	h := bundlingHost(t, state)
	flake := buildFlake + "&rev=" + oldTip
	h.OnQuery(defaultProfile+"/bin/nix eval --json "+flake, foundJSON(t, found{Names: []string{attribute}, Pick: attribute, User: "ann", Home: "/home/ann"}))
	h.On(defaultProfile+"/bin/nix build --json --no-link "+flake, hosttest.Says(fmt.Sprintf(`[{"outputs": {"out": %q}}]`, theGen)))
	h.On(defaultProfile+"/bin/nix flake archive --json "+flake, hosttest.Says(fmt.Sprintf(`{"path": "/nix/store/self", "inputs": {"a": {"path": %q, "inputs": {"b": {"path": %q, "inputs": {}}}}}}`, theInput, theFiles)))
	h.On(defaultProfile+"/bin/nix copy --to file:///there/cache?compression=zstd", func(c host.Cmd) (host.Result, error) {
		if want := []string{theGen, theFiles, theInput}; !slices.Equal(c.Args[4:], want) {
			t.Errorf("copying %q", c.Args)
		}
		return host.Result{}, nil
	})
	c := testConfig()
	c.HomeRepo = "https://ann:t0ken@example.org/ann/home.git"
	m, err := Bundle(t.Context(), h, testFacts(), c, "/usr/bin/movein", "/there")
	if err != nil {
		t.Fatal(err)
	}
	said, err := json.Marshal(m)
	if err != nil || strings.Contains(string(said), "t0ken") || !strings.Contains(string(said), `"home":{"url":"https://example.org/ann/home.git","branch":"main","commit":"`+oldTip+`","entry":"repos/home-repo.bundle"}`) {
		t.Errorf("%s, %v", said, err)
	}
	if m.Generation != theGen || m.Configuration != attribute || m.NixSHA256 == "" || m.Dotfiles != nil {
		t.Errorf("%+v", m)
	}
	if w := strings.Join(h.Warnings(), "\n"); !strings.Contains(w, "not in the bundle: home.nix, notes") || !strings.Contains(w, "commits that its server does not have") {
		t.Errorf("told %q", w)
	}
	if got := h.Text("/there/movein"); got != "program" {
		t.Error(got)
	}
}

func TestWhatNoBundleCanBeMadeOfIsRefused(t *testing.T) {
	submodules := cleanRepo()
	submodules.Submodules = true
	for what, c := range map[string]struct {
		state host.Repo
		err   error
		repo  string
		code  int
	}{
		"has submodules":             {state: submodules, code: bootstrap.ExitConfig},
		"it has a vault: my.kdbx":    {state: cleanRepo(), err: fmt.Errorf("%w: my.kdbx", host.ErrHasVault), code: bootstrap.ExitRefused},
		"a directory of this host":   {state: cleanRepo(), repo: "/home/ann/mine", code: bootstrap.ExitConfig},
		"there is no commit yet":     {state: cleanRepo(), err: host.ErrNoCommits, code: bootstrap.ExitFailed},
		"no such branch: HEAD is de": {state: cleanRepo(), err: fmt.Errorf("%w: HEAD is detached", host.ErrNoBranch), code: bootstrap.ExitConfig},
	} {
		h := bundlingHost(t, c.state)
		h.OnBundleBranch = func(string, string) error { return c.err }
		config := testConfig()
		if c.repo != "" {
			config.HomeRepo = c.repo
		}
		_, err := Bundle(t.Context(), h, testFacts(), config, "/usr/bin/movein", "/there")
		refuses(t, err, c.code, what)
	}
}
