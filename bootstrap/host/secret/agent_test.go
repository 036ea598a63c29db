package secret

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"movein/bootstrap/host"
	"movein/bootstrap/host/kdbx"
)

const testVault = "testdata/my.kdbx" // made by keepassxc-cli import of testdata/my.xml; its password is "open sesame"

// agent serves the test's vault. handed are the values that it gave away.
func agent(t *testing.T) (a *Agent, dir string, handed func() []string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "movein")
	f, err := Read(&host.Real{}, testVault, "")
	if err != nil {
		t.Fatal(err)
	}
	pw := kdbx.NewSecret("open sesame")
	v, err := f.Open(t.Context(), &pw)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var all []string
	abs, _ := filepath.Abs(testVault)
	a, err = Serve(dir, OfVault(abs, v), func(s kdbx.Secret) {
		mu.Lock()
		defer mu.Unlock()
		all = append(all, s.Reveal())
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	return a, dir, func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(all)
	}
}

func TestAgent(t *testing.T) {
	a, dir, handed := agent(t)
	got, err := Ask(t.Context(), []string{dir}, Question{Ref: &Ref{Service: "rclone", Key: "config-password"}})
	if err != nil || string(got.Value) != "canary-rclone-\"1\" ü" {
		t.Errorf("%q, %v", got.Value, err)
	}
	if !slices.Contains(handed(), "canary-rclone-\"1\" ü") {
		t.Error("it was not told what was handed out")
	}
	if _, err := Ask(t.Context(), []string{dir}, Question{Ref: &Ref{Service: "rclone", Key: "none"}}); !errors.Is(err, kdbx.ErrNotFound) {
		t.Error(err)
	}
	for name, mode := range map[string]os.FileMode{dir: 0o700, dir + "/agent": 0o600} {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
	if _, err := Serve(dir, nil, nil); !errors.Is(err, os.ErrExist) {
		t.Errorf("a second agent: %v", err)
	}
	bin, err := a.Link("/usr/bin/true", Shim, "movein")
	if err != nil {
		t.Fatal(err)
	}
	if target, err := os.Readlink(bin + "/" + Shim); target != "/usr/bin/true" || err != nil {
		t.Errorf("%s, %v", target, err)
	}
	a.Close()
	if _, err := Ask(t.Context(), []string{dir}, Question{Entry: "top"}); !errors.Is(err, ErrNoAgent) {
		t.Errorf("after its end: %v", err)
	}
	for _, name := range []string{"/agent", "/bin/" + Shim} {
		if _, err := os.Lstat(dir + name); err == nil {
			t.Errorf("%s is left", name)
		}
	}
}

// TestAgentAfterKill: what a killed agent has left is no hindrance.
func TestAgentAfterKill(t *testing.T) {
	dir := t.TempDir()
	os.Chmod(dir, 0o700)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: dir + "/agent", Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	a, err := Serve(dir, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	a.Close()
}

// TestAgentDirectory: a directory that others could get into is not used.
func TestAgentDirectory(t *testing.T) {
	open, target := filepath.Join(t.TempDir(), "open"), t.TempDir()
	link := filepath.Join(t.TempDir(), "link")
	if err := errors.Join(os.Mkdir(open, 0o700), os.Chmod(open, 0o750), os.Chmod(target, 0o700), os.Symlink(target, link)); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{open, link, "/nonexistent/x"} {
		if a, err := Serve(dir, nil, nil); err == nil {
			a.Close()
			t.Errorf("it serves in %s", dir)
		}
	}
}

// TestStranger: a process of another user gets nothing, even if it gets at the socket, and
// is not believed.
func TestStranger(t *testing.T) {
	if dir := os.Getenv("STRANGER"); dir != "" {
		c, err := net.Dial("unix", dir+"/agent")
		if err != nil {
			t.Fatal("it does not get at the socket, so this shows nothing:", err)
		}
		c.Write([]byte(`{"entry":"top"}` + "\n"))
		buf := make([]byte, 4096)
		n, _ := c.Read(buf)
		if n > 0 {
			t.Errorf("it is told %q", buf[:n])
		}
		if _, err := Ask(context.Background(), []string{dir}, Question{Entry: "top"}); !errors.Is(err, ErrNoAgent) {
			t.Errorf("another user's agent is believed: %v", err)
		}
		return
	}
	if os.Getuid() != 0 {
		t.Skip("only root can be two users")
	}
	_, dir, handed := agent(t)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(exe)
	bin := t.TempDir() + "/test"
	if err := errors.Join(err, os.WriteFile(bin, data, 0o755)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{dir, bin} {
		for d := name; d != os.TempDir() && d != "/"; d = filepath.Dir(d) {
			os.Chmod(d, 0o755)
		}
	}
	os.Chmod(dir+"/agent", 0o666)
	cmd := exec.Command(bin, "-test.run=^TestStranger$")
	cmd.Dir, cmd.Env = "/", []string{"STRANGER=" + dir}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 4242, Gid: 4242}}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	if len(handed()) > 0 {
		t.Error("something was handed out")
	}
}

// TestShim compares with the real keepassxc-cli, call by call as chezmoi 2.73 makes them.
func TestShim(t *testing.T) {
	_, dir, _ := agent(t)
	_, missing := exec.LookPath(Shim)
	file := filepath.Join(t.TempDir(), "attachment")
	for _, c := range []struct {
		args []string
		want string // where the real one is not installed; "error"
	}{
		{[]string{"show", testVault, "--quiet", "--show-protected", "Cloud/rclone"}, "Title: rclone\nUserName: mitsio\nPassword: canary-rclone-\"1\" ü\nURL: https://rclone.example.org\nNotes: one\ntwo\nUuid: {00000000-0000-0000-0000-000000000012}\nTags: \n"},
		{[]string{"show", testVault, "--quiet", "--show-protected", "/Cloud/rclone"}, ""},
		{[]string{"show", testVault, "--quiet", "Cloud/rclone"}, ""},
		{[]string{"show", testVault, "--quiet", "--show-protected", "rclone"}, ""},
		{[]string{"show", testVault, "Cloud/rclone", "--attributes", "token", "--quiet", "--show-protected"}, "canary-token\n"},
		{[]string{"show", "-q", "-a", "token", "-a", "UserName", testVault, "top"}, "error"},
		{[]string{"show", testVault, "top", "-a", "Notes", "-q"}, "\n"},
		{[]string{"show", testVault, "Cloud/none", "--quiet"}, "error"},
		{[]string{"show", testVault, "Cloud/rclone", "--attributes", "none", "--quiet"}, "error"},
		{[]string{"attachment-export", testVault, "--quiet", "Cloud/rclone", "conf", file}, ""},
		{[]string{"attachment-export", testVault, "--quiet", "--stdout", "Cloud/rclone", "conf"}, "x"},
		{[]string{"attachment-export", testVault, "--quiet", "Cloud/rclone", "none", file}, "error"},
	} {
		run := func(real bool) (string, string, error) {
			os.Remove(file)
			var out, diag strings.Builder
			var err error
			if real {
				cmd := exec.Command(Shim, c.args...)
				cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "QT_QPA_PLATFORM=offscreen", "HOME="+t.TempDir())
				cmd.Stdin, cmd.Stdout = strings.NewReader("open sesame\n"), &out
				err = cmd.Run()
			} else if RunShim(t.Context(), []string{dir}, c.args, &out, &diag) != 0 {
				err = errors.New(diag.String())
			}
			data, _ := os.ReadFile(file)
			return out.String(), string(data), err
		}
		got, attached, err := run(false)
		if c.want != "" && c.want != "error" && got != c.want || (err != nil) != (c.want == "error") {
			t.Errorf("%q: %q, %v", c.args, got, err)
		}
		if missing != nil {
			continue
		}
		real, realAttached, realErr := run(true)
		if got != real || attached != realAttached || (err == nil) != (realErr == nil) {
			t.Errorf("%q: %q, %q, %v; keepassxc-cli has %q, %q, %v", c.args, got, attached, err, real, realAttached, realErr)
		}
	}
	// What is asked of another vault is not answered from this one.
	other := filepath.Join(t.TempDir(), "other.kdbx")
	os.WriteFile(other, nil, 0o600)
	for vault, code := range map[string]int{other: 1, other + ".not-there-yet": 0} {
		var out, diag strings.Builder
		if got := RunShim(t.Context(), []string{dir}, []string{"show", vault, "-q", "-s", "top"}, &out, &diag); got != code || code == 1 && strings.Contains(out.String(), "canary") {
			t.Errorf("%s: %d, %q, %q", vault, got, out.String(), diag.String())
		}
	}
	for _, args := range [][]string{{}, {"edit", testVault, "top"}, {"show"}, {"show", "--frobnicate"}, {"show", "-a"}} {
		var out, diag strings.Builder
		if RunShim(t.Context(), []string{dir}, args, &out, &diag) != 1 || out.Len() > 0 {
			t.Errorf("%q: %q", args, out.String())
		}
	}
}
