package steps

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"movein/bootstrap"
	"movein/bootstrap/host"
	"movein/bootstrap/host/bundle"
	"movein/bootstrap/host/hosttest"
)

var theInput = storePath('i', "source")

// testBundle has the home of testConfig, and no dotfiles.
func testBundle() *bundle.File {
	return &bundle.File{Name: "/media/home.bundle", Manifest: bundle.Manifest{
		System: testFacts().System, User: "ann", Configuration: attribute, NixVersion: "2.34.7", NixSHA256: strings.Repeat("b", 64),
		Generation: theGen, Inputs: []string{theInput},
		Home:    bundle.Repo{URL: "https://example.org/ann/home.git", Branch: "main", Commit: newTip, Entry: "repos/home-repo.bundle"},
		Entries: []bundle.Entry{{Name: "nix/nix.tar.xz", SHA256: strings.Repeat("b", 64)}},
	}}
}

// fromBundle is testConfig with testBundle.
func fromBundle(t *testing.T) *Config {
	c := testConfig()
	if err := c.TakeBundle(testBundle(), testFacts()); err != nil {
		t.Fatal(err)
	}
	return c
}

func bundleHost(t *testing.T) *hosttest.Host {
	h := hosttest.New(t, nixFiles())
	known := map[string]bool{}
	h.OnDaemon = func(_ string, paths []string) (host.Daemon, error) {
		return host.Daemon{Unknown: slices.DeleteFunc(slices.Clone(paths), func(p string) bool { return known[p] })}, nil
	}
	h.OnUnbundle = func(b bundle.File, name, to string) error {
		if b.Name != "/media/home.bundle" || name != "cache/" || to != bundleCache || exists(h, to) {
			t.Errorf("taking %s of %s to %s", name, b.Name, to)
		}
		h.Put(to+"/nix-cache-info", "StoreDir: /nix/store\n")
		return nil
	}
	h.On(defaultProfile+"/bin/nix --extra-experimental-features nix-command copy --no-check-sigs --from file://"+bundleCache, func(c host.Cmd) (host.Result, error) {
		if !exists(h, bundleCache+"/nix-cache-info") {
			t.Error("there is nothing to copy")
		}
		known[theGen], known[theInput] = true, true
		return host.Result{}, nil
	})
	return h
}

func TestTheBundlesStorePathsAreCopiedOnce(t *testing.T) {
	h := bundleHost(t)
	converges(t, h, bundleStep{testFacts(), fromBundle(t)})
	if exists(h, bundleCache) {
		t.Error("the cache is left")
	}
}

func TestWhatAPowerCutLeftOfTheBundleIsRemoved(t *testing.T) {
	h := hosttest.New(t, with(nixFiles(), files{bundleCache + "/nix-cache-info": "StoreDir: /nix/store\n"}))
	h.OnDaemon = answering
	converges(t, h, bundleStep{testFacts(), fromBundle(t)})
	if exists(h, bundleCache) {
		t.Error("the cache is left")
	}
}

func TestABundleIsCopiedAfterAPowerCutAnywhere(t *testing.T) {
	survivesPowerCuts(t, func() *hosttest.Host { return bundleHost(t) }, bundleStep{testFacts(), fromBundle(t)}, nil)
}

func TestWithABundleNothingIsFetchedFromElsewhere(t *testing.T) {
	c := fromBundle(t)
	h := hosttest.New(t, nil) // whose Fetch, Tip and Clone of anything else fail the test
	var taken []string
	h.OnUnbundle = func(_ bundle.File, name, to string) error {
		taken = append(taken, name)
		h.Put(to, "x")
		return nil
	}
	if err := c.fetch(t.Context(), h, "https://example.org/nix.tar.xz", strings.Repeat("b", 64), "/x"); err != nil {
		t.Error(err)
	}
	refuses(t, c.fetch(t.Context(), h, "https://example.org/other.tar.xz", strings.Repeat("c", 64), "/y"), bootstrap.ExitConfig, "the bundle has no other.tar.xz", "movein bundle create")
	h.OnRepo = func(string) (host.Repo, error) { return host.Repo{}, host.ErrNotRepo }
	h.Put(testRepo+"/", "")
	h.OnClone = func(r host.Remote, _ string) error {
		if r.Bundle == "" || r.URL != c.HomeRepo || !exists(h, r.Bundle) {
			t.Errorf("cloning %+v", r)
		}
		return nil
	}
	if err := (homeRepo{testFacts(), c}).repo().apply(t.Context(), h); err != nil {
		t.Error(err)
	}
	if got := fmt.Sprint(taken); got != "[nix/nix.tar.xz repos/home-repo.bundle]" {
		t.Error(got)
	}
	if exists(h, "/home/ann/.cache/movein/home-repo.bundle") {
		t.Error("the git bundle is left")
	}
}

func TestANewerBundleMovesACloneForward(t *testing.T) {
	h := repoHost(t, cleanRepo(), "")
	h.OnUnbundle = func(bundle.File, string, string) error { return nil }
	moved := ""
	h.OnFastForward = func(_ string, r host.Remote, commit string) error {
		moved = commit
		if r.Bundle == "" {
			t.Errorf("from %+v", r)
		}
		return nil
	}
	if err := (homeRepo{testFacts(), fromBundle(t)}).repo().apply(t.Context(), h); err != nil || moved != newTip {
		t.Errorf("moved to %q, %v", moved, err)
	}
}

func TestABundleForAnotherHostIsRefused(t *testing.T) {
	for what, change := range map[string]func(b *bundle.File, c *Config){
		"is for aarch64-linux": func(b *bundle.File, _ *Config) { b.Manifest.System = "aarch64-linux" },
		"is for user bob":      func(b *bundle.File, _ *Config) { b.Manifest.User = "bob" },
		"does not have the repository https://example.org/else": func(_ *bundle.File, c *Config) { c.HomeRepo = "https://me:secret@example.org/else" },
	} {
		b, c := testBundle(), testConfig()
		change(b, c)
		refuses(t, c.TakeBundle(b, testFacts()), bootstrap.ExitConfig, what)
	}
}

func TestWhatABundleIsMadeForIsTakenFromIt(t *testing.T) {
	c := testConfig()
	c.HomeRepo = ""
	b := testBundle()
	b.Manifest.Dotfiles = &bundle.Repo{URL: "https://example.org/ann/dotfiles.git", Entry: "repos/dotfiles-repo.bundle"}
	b.Manifest.NixVersion = "2.99.0"
	if err := c.TakeBundle(b, testFacts()); err != nil {
		t.Fatal(err)
	}
	if c.HomeRepo != b.Manifest.Home.URL || c.Dotfiles != b.Manifest.Dotfiles.URL || c.NixVersion != "2.99.0" || c.NixSHA256 != b.Manifest.NixSHA256 || !c.Offline {
		t.Errorf("%+v", c)
	}
	c = testConfig() // the digest of a release that is known stays the pinned one
	b.Manifest.NixVersion = "2.34.7"
	if err := c.TakeBundle(b, testFacts()); err != nil || c.NixSHA256 != "" {
		t.Errorf("%q, %v", c.NixSHA256, err)
	}
}

func TestAConfigurationThatTheBundleDoesNotHaveIsNotBuilt(t *testing.T) {
	c := fromBundle(t)
	c.Bundle.Manifest.Configuration = "ann@laptop"
	h := buildHost(t, nil)
	h.OnQuery(defaultProfile+"/bin/nix eval --json "+buildFlake, foundJSON(t, found{Names: []string{attribute, "ann@laptop"}, Pick: attribute, User: "ann", Home: "/home/ann"}))
	refuses(t, apply(t, h, homeBuild{testFacts(), c}), bootstrap.ExitConfig, "is \"ann@desk\", and the bundle has \"ann@laptop\"", "--configuration")
}
