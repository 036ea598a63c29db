package steps

import (
	"testing"

	"movein/bootstrap/host/hosttest"
)

func TestDotfilesThatAHomeRepoNamesAreThoseOfNoOther(t *testing.T) {
	h := hosttest.New(t, files{dotfilesRecord(testConfig()): "https://example.org/dots.git\nhttps://example.org/home.git\n"})
	for repo, want := range map[string]string{"https://example.org/home.git": "https://example.org/dots.git", Starter: ""} {
		c := testConfig()
		c.HomeRepo = repo
		if got := LastDotfiles(h, c); got != want {
			t.Errorf("%s: %q", repo, got)
		}
	}
	h.Put(dotfilesRecord(testConfig()), "https://example.org/dots.git\n") // said by the user, or by an older movein
	c := testConfig()
	c.HomeRepo = Starter
	if got := LastDotfiles(h, c); got != "https://example.org/dots.git" {
		t.Errorf("%q", got)
	}
}
