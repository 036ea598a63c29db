package bootstrap

import "testing"

func TestDistanceIsTheNumberOfEdits(t *testing.T) {
	for _, test := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"a", "", 1}, {"", "abc", 3}, {"kitten", "sitting", 3}, {"ann@desk", "ann@dusk", 1}, {"ab", "ba", 2}} {
		if got := distance(test.a, test.b); got != test.want || distance(test.b, test.a) != got {
			t.Errorf("distance(%q, %q) = %d, want %d", test.a, test.b, got, test.want)
		}
	}
}

func TestMeant(t *testing.T) {
	names := []string{"nixos", "preflight", "nix-fetch", "nix-install", "home-build"}
	for name, want := range map[string]string{"nix-instal": "nix-install", "nixinstall": "nix-install", "homebuild": "home-build", "dinner": "", "nix": "", "nixo": "nixos", "light": "", "": "", "x": ""} {
		if got := Meant(name, names); got != want {
			t.Errorf("Meant(%q) = %q, want %q", name, got, want)
		}
	}
	if got := Meant("x", nil); got != "" {
		t.Errorf("of nothing: %q", got)
	}
}
