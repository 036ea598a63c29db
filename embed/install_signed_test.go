package embed_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// signed signs the release's list with a new key, which it returns.
func (r *release) signed(t *testing.T) (key string) {
	t.Helper()
	minisign, err := exec.LookPath("minisign")
	if err != nil {
		t.Skip("no minisign on this machine")
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "sums"), r.files["SHA256SUMS"], 0o644); err != nil {
		t.Fatal(err)
	}
	for _, args := range []string{"-G -W -p pub -s sec", "-S -s sec -m sums"} {
		cmd := exec.Command(minisign, strings.Fields(args)...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("minisign %s: %v\n%s", args, err, out)
		}
	}
	pub, err := os.ReadFile(filepath.Join(dir, "pub"))
	if err != nil {
		t.Fatal(err)
	}
	if r.files["SHA256SUMS.minisig"], err = os.ReadFile(filepath.Join(dir, "sums.minisig")); err != nil {
		t.Fatal(err)
	}
	return strings.Split(string(pub), "\n")[1]
}

func TestInstallTakesASignedRelease(t *testing.T) {
	eachShell(t, func(t *testing.T, shell []string) {
		r := newRelease(t)
		h := newHost(t, shell, r, "curl", "minisign")
		h.env = append(h.env, "MOVEIN_MINISIGN_KEY="+r.signed(t))
		if got := h.mustRun(t, "status"); got != "<status>\n" {
			t.Errorf("the program printed %q", got)
		}
		h.onlyProgram(t)
	})
}

func TestInstallRefusesWhatTheKeyDidNotSign(t *testing.T) {
	for name, c := range map[string]struct {
		change func(t *testing.T, r *release, h *host)
		why    string
	}{
		"list changed": {func(_ *testing.T, r *release, _ *host) { r.files["SHA256SUMS"] = append(r.files["SHA256SUMS"], '\n') }, "is not signed with"},
		"no signature": {func(_ *testing.T, r *release, _ *host) { delete(r.files, "SHA256SUMS.minisig") }, "SHA256SUMS.minisig went wrong"},
		"of another":   {func(t *testing.T, r *release, _ *host) { r.signed(t) }, "is not signed with"},
		"no minisign":  {func(_ *testing.T, _ *release, h *host) { os.Remove(filepath.Join(h.bin, "minisign")) }, "minisign is needed"},
	} {
		t.Run(name, func(t *testing.T) {
			eachShell(t, func(t *testing.T, shell []string) {
				r := newRelease(t)
				h := newHost(t, shell, r, "curl", "minisign")
				h.env = append(h.env, "MOVEIN_MINISIGN_KEY="+r.signed(t))
				c.change(t, r, h)
				h.refused(t, c.why)
			})
		})
	}
}
