package embed_test

import (
	"encoding/hex"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"movein/embed"
)

func TestStarterIsComplete(t *testing.T) {
	want := []string{
		"README.md", "flake.nix", "home.nix", "what-now.md",
		"lib/activate.sh", "lib/generation.nix", "lib/tree.nix",
	}
	var got []string
	err := fs.WalkDir(embed.Starter(), ".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			got = append(got, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("files are %q, want %q", got, want)
	}
}

// The program writes host.json: one that came along would be of another host.
func TestStarterHasNoHost(t *testing.T) {
	if _, err := fs.Stat(embed.Starter(), "host.json"); err == nil {
		t.Error("host.json is embedded")
	}
}

// Without network there is nothing that an input could come from.
func TestStarterHasNoInputs(t *testing.T) {
	flake, err := fs.ReadFile(embed.Starter(), "flake.nix")
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{"inputs =", "inputs.", "<nixpkgs>"} {
		if strings.Contains(string(flake), word) {
			t.Errorf("flake.nix says %q", word)
		}
	}
}

func TestInstallScriptIsTheCallers(t *testing.T) {
	embed.InstallScript()[0] = 'x'
	if !strings.HasPrefix(string(embed.InstallScript()), "#!/bin/sh\n") {
		t.Error("install.sh does not begin with #!/bin/sh, or a caller can change it")
	}
}

func TestNixReleases(t *testing.T) {
	all := embed.NixReleases()
	systems := make(map[string][]string)
	sums := make(map[string]bool)
	for _, r := range all {
		if raw, err := hex.DecodeString(r.SHA256); err != nil || len(raw) != 32 || strings.ToLower(r.SHA256) != r.SHA256 {
			t.Errorf("digest of %s for %s is %q, want 64 hexadecimal digits in lower case", r.Version, r.System, r.SHA256)
		}
		if sums[r.SHA256] {
			t.Errorf("digest of %s for %s stands there twice", r.Version, r.System)
		}
		sums[r.SHA256] = true
		systems[r.Version] = append(systems[r.Version], r.System)
		if got, ok := embed.NixRelease(r.Version, r.System); !ok || got != r.SHA256 {
			t.Errorf("NixRelease(%q, %q) = %q, %v, want %q", r.Version, r.System, got, ok, r.SHA256)
		}
	}
	for version, got := range systems {
		if want := []string{"aarch64-linux", "x86_64-linux"}; !slices.Equal(got, want) {
			t.Errorf("%s has digests for %q, want %q", version, got, want)
		}
	}
	if len(systems[embed.DefaultNix]) == 0 {
		t.Errorf("the default version %s has no digests", embed.DefaultNix)
	}
}

func TestNixReleaseUnknown(t *testing.T) {
	for _, c := range [][2]string{{"2.34.4", "x86_64-linux"}, {embed.DefaultNix, "riscv64-linux"}, {"", ""}} {
		if sum, ok := embed.NixRelease(c[0], c[1]); ok || sum != "" {
			t.Errorf("NixRelease(%q, %q) = %q, %v, want none", c[0], c[1], sum, ok)
		}
	}
}

func TestChezmoiReleaseHasBothSystems(t *testing.T) {
	for _, system := range []string{"x86_64-linux", "aarch64-linux"} {
		a, ok := embed.ChezmoiRelease(embed.DefaultChezmoi, system)
		raw, err := hex.DecodeString(a.SHA256)
		if !ok || err != nil || len(raw) != 32 || !strings.HasPrefix(a.Asset, "chezmoi_"+embed.DefaultChezmoi+"_linux") || !strings.HasSuffix(a.Asset, ".tar.gz") {
			t.Errorf("%s: %+v, %v, %v", system, a, ok, err)
		}
	}
	if a, ok := embed.ChezmoiRelease("0.0.0", "x86_64-linux"); ok {
		t.Errorf("a version that is not pinned: %+v", a)
	}
}
