package steps

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"movein/bootstrap"
	"movein/bootstrap/host/hosttest"
)

func handing(t *testing.T, h *hosttest.Host, secrets map[string]SecretEntry) handOn {
	t.Helper()
	c := testConfig()
	c.RuntimeDir = "/run/user/1000/movein"
	c.Secrets = secrets
	h.Put("/run/user/1000/movein/", "")
	return handOn{c}
}

// bringAll applies what is planned, and returns the plan's reasons, or nothing if that was skipped.
func bringAll(t *testing.T, s handOn, h *hosttest.Host) (to []string) {
	t.Helper()
	change, err := s.Plan(t.Context(), h.View())
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range change {
		to = append(to, a.Reason)
	}
	err = s.Apply(t.Context(), h, change)
	if _, skipped := errors.AsType[bootstrap.Skip](err); skipped {
		return nil
	} else if err != nil {
		t.Fatal(err)
	}
	return to
}

var everywhere = map[string]SecretEntry{
	"a": {Entry: "a", File: &SecretFile{Path: "rclone/password"}},
	"b": {Entry: "b", File: &SecretFile{Path: "~/.netrc", Persist: true, Mode: "0400"}},
	"c": {Service: "s", Key: "c", Env: "TOKEN", Keyring: true},
	"d": {Entry: "d", SSH: true},
}

func TestSecretsGoWhereTheMapSaysAndStay(t *testing.T) {
	h := hosttest.New(t, nil)
	h.Secrets = map[string]string{"a": "alpha", "b": "beta", "c": "gamma", "d": "delta"}
	h.Locked = true
	s := handing(t, h, everywhere)
	if to := bringAll(t, s, h); len(to) != 5 {
		t.Errorf("planned: %q", to)
	}
	for name, want := range map[string]string{"/run/user/1000/movein/rclone/password": "alpha", "/home/ann/.netrc": "beta"} {
		if got := h.Text(name); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
	if info, err := h.Lstat("/home/ann/.netrc"); err != nil || info.Mode().Perm() != 0o400 {
		t.Errorf("%v, %v", info, err)
	}
	for taker, want := range map[string]string{"env TOKEN": "gamma", "keyring c": "gamma", "ssh d": "delta"} {
		if h.Held[taker] != want {
			t.Errorf("%s: %q", taker, h.Held[taker])
		}
	}
	h.Forget()
	if to := bringAll(t, s, h); len(to) != 0 || slices.ContainsFunc(h.Log(), func(l string) bool { return strings.HasPrefix(l, "write") }) {
		t.Errorf("again: %q, %q", to, h.Log())
	}
	for _, value := range []string{"alpha", "beta", "gamma", "delta"} {
		if strings.Contains(h.Text("/home/ann/.local/state/movein/handed.json"), value) {
			t.Errorf("%s is in the record", value)
		}
	}
}

func TestLockedSecretsAreNamedAndBroughtLater(t *testing.T) {
	h := hosttest.New(t, nil)
	s := handing(t, h, everywhere)
	if to := bringAll(t, s, h); len(to) != 0 {
		t.Errorf("told to be handed on: %q", to)
	}
	if got := Unhanded(h); !slices.Equal(got, []string{"a", "b", "c", "d"}) || len(h.Warnings()) != 1 {
		t.Errorf("%q, %q", got, h.Warnings())
	}
	if to := bringAll(t, s, h); len(to) != 0 || len(Unhanded(h)) != 4 {
		t.Errorf("once more: %q, %q", to, Unhanded(h))
	}
	h.Secrets = map[string]string{"a": "alpha", "b": "beta", "c": "gamma", "d": "delta"}
	if to := bringAll(t, s, h); len(to) != 5 || len(Unhanded(h)) != 0 {
		t.Errorf("%q, %q", to, Unhanded(h))
	}
}

func TestAVaultThatStaysLockedLeavesNothingToDo(t *testing.T) {
	h := hosttest.New(t, nil)
	s := handing(t, h, everywhere)
	s.c.Locked = true
	if to := bringAll(t, s, h); len(to) != 0 || len(Unhanded(h)) != 4 {
		t.Errorf("%q, %q", to, Unhanded(h))
	}
}

func TestWhatIsNotToBeHandedOnAnyMoreIsLackingNoMore(t *testing.T) {
	h := hosttest.New(t, nil)
	s := handing(t, h, everywhere)
	bringAll(t, s, h)
	s.c.Secrets = nil
	if _, err := s.Plan(t.Context(), h.View()); err == nil || len(Unhanded(h)) != 0 {
		t.Errorf("%v, %q", err, Unhanded(h))
	}
}

func TestAnotherValueIsBroughtWhenTheVaultIsOpen(t *testing.T) {
	h := hosttest.New(t, nil)
	h.Secrets = map[string]string{"a": "alpha", "b": "beta", "c": "gamma", "d": "delta"}
	s := handing(t, h, everywhere)
	bringAll(t, s, h)
	h.Secrets["a"], h.Secrets["c"] = "alpha2", "gamma2"
	if to := bringAll(t, s, h); len(to) != 0 {
		t.Errorf("without looking at values: %q", to)
	}
	s.c.Refresh = true
	if to := bringAll(t, s, h); len(to) != 3 || h.Held["env TOKEN"] != "gamma2" || h.Text("/run/user/1000/movein/rclone/password") != "alpha2" {
		t.Errorf("%q, %q", to, h.Held)
	}
}

func TestASecretReplacesNothingOfTheUsers(t *testing.T) {
	for what, file := range map[string]map[string]string{
		"a file":          {"/home/ann/.netrc": "mine"},
		"a link":          {"/home/ann/.netrc": "-> /home/ann/other", "/home/ann/other": "mine"},
		"a directory":     {"/home/ann/.netrc/": ""},
		"a linked parent": {"/home/ann/dots/": "", "/home/ann/.config": "-> /home/ann/dots"},
	} {
		h := hosttest.New(t, file)
		h.Secrets = map[string]string{"b": "beta"}
		path := "~/.netrc"
		if what == "a linked parent" {
			path = "~/.config/x"
		}
		s := handing(t, h, map[string]SecretEntry{"b": {Entry: "b", File: &SecretFile{Path: path, Persist: true}}})
		if err := s.Apply(t.Context(), h, nil); bootstrap.ExitCode(err) != bootstrap.ExitRefused || bootstrap.HintOf(err) == "" {
			t.Errorf("%s: %v", what, err)
		}
	}
	h := hosttest.New(t, nil)
	h.Secrets = map[string]string{"b": "beta"}
	s := handing(t, h, map[string]SecretEntry{"b": {Entry: "b", File: &SecretFile{Path: "~/.netrc", Persist: true}}})
	bringAll(t, s, h)
	h.Put("/home/ann/.netrc", "!0600 edited")
	if err := s.Apply(t.Context(), h, nil); bootstrap.ExitCode(err) != bootstrap.ExitRefused {
		t.Errorf("edited: %v", err)
	}
}
