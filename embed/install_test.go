package embed_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"mvdan.cc/sh/v3/syntax"

	"movein/embed"
)

// asset is the name of this machine's program in a release.
const asset = "movein-linux-" + runtime.GOARCH

// program stands for movein: it shows its arguments, one a line, and its stdin.
const program = "#!/bin/sh\nprintf '<%s>\\n' \"$@\"\nif read -r line; then echo \"stdin: $line\"; fi\n"

// shells are the commands that run a script given on stdin.
var shells = [][]string{{"dash"}, {"bash"}, {"bash", "--posix"}, {"busybox", "sh"}}

// eachShell runs a test under every shell of this machine.
func eachShell(t *testing.T, test func(t *testing.T, shell []string)) {
	t.Parallel()
	for _, shell := range shells {
		t.Run(strings.Join(shell, " "), func(t *testing.T) {
			path, err := exec.LookPath(shell[0])
			if err != nil {
				t.Skipf("no %s on this machine", shell[0])
			}
			t.Parallel()
			test(t, append([]string{path}, shell[1:]...))
		})
	}
}

// release is a server of one release, the latest and v1.
type release struct {
	*httptest.Server
	mu    sync.Mutex
	files map[string][]byte // by the name in the release
	cut   bool              // connections break in the middle of the program
	asked []string          // names in the order of the requests
}

func newRelease(t *testing.T) *release {
	r := &release{files: map[string][]byte{asset: []byte(program)}}
	r.files["SHA256SUMS"] = fmt.Appendf(nil, "%064d  other-%s\n%x  %s\n", 1, asset, sha256.Sum256([]byte(program)), asset)
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

func (r *release) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	dir, name := filepath.Split(req.URL.Path)
	content, ok := r.files[name]
	if !ok || dir != "/latest/download/" && dir != "/download/v1/" {
		http.NotFound(w, req)
		return
	}
	r.asked = append(r.asked, name)
	if r.cut && name == asset {
		w.Header().Set("Content-Length", fmt.Sprint(len(content)))
		content = content[:len(content)/2]
	}
	_, _ = w.Write(content)
}

// host is where the script runs: a home and a PATH of its own.
type host struct {
	shell []string
	home  string
	bin   string // the one directory in PATH
	env   []string
}

// needs are the programs that the script may use, beside one to download.
var needs = []string{"uname", "mkdir", "mktemp", "chmod", "mv", "rm", "sha256sum"}

// newHost makes a host of an ordinary user with the given programs.
func newHost(t *testing.T, shell []string, r *release, programs ...string) *host {
	h := &host{shell: shell, home: t.TempDir(), bin: t.TempDir()}
	h.env = []string{"HOME=" + h.home, "PATH=" + h.bin, "MOVEIN_BASE_URL=" + r.URL}
	for _, name := range slices.Concat(needs, programs) {
		path, err := exec.LookPath(name)
		if err != nil {
			t.Skipf("no %s on this machine", name)
		}
		if err := os.Symlink(path, filepath.Join(h.bin, name)); err != nil {
			t.Fatal(err)
		}
	}
	h.stub(t, "id", "echo 1000")
	return h
}

// stub puts a program of one's own into PATH, in place of one that is there.
func (h *host) stub(t *testing.T, name, script string) {
	path := filepath.Join(h.bin, name)
	_ = os.Remove(path)
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
}

// program is the path of the installed program.
func (h *host) program() string { return filepath.Join(h.home, ".local/bin/movein") }

// run pipes the script into the shell, without a controlling terminal, and
// returns its output.
func (h *host) run(args ...string) (stdout, stderr string, err error) {
	var out, errOut bytes.Buffer
	cmd := exec.Command(h.shell[0], slices.Concat(h.shell[1:], []string{"-s", "--"}, args)...)
	cmd.Dir, cmd.Env = h.home, h.env
	cmd.Stdin = bytes.NewReader(embed.InstallScript())
	cmd.Stdout, cmd.Stderr = &out, &errOut
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Run()
	return out.String(), errOut.String(), err
}

// mustRun is run that has to succeed.
func (h *host) mustRun(t *testing.T, args ...string) string {
	t.Helper()
	stdout, stderr, err := h.run(args...)
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr)
	}
	return stdout
}

// refused checks that the script fails, says why and leaves nothing behind but
// the program that was there before.
func (h *host) refused(t *testing.T, why string) {
	t.Helper()
	const old = "old program"
	if err := os.MkdirAll(filepath.Dir(h.program()), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(h.program(), []byte(old), 0o755); err != nil {
		t.Fatal(err)
	}
	stdout, stderr, err := h.run("apply")
	if err == nil || stdout != "" || !strings.Contains(stderr, why) {
		t.Errorf("got %v, stdout %q, stderr %q, want an error that says %q", err, stdout, stderr, why)
	}
	if got, err := os.ReadFile(h.program()); err != nil || string(got) != old {
		t.Errorf("the old program is %q, %v now", got, err)
	}
	h.onlyProgram(t)
}

// onlyProgram checks that nothing lies beside the program.
func (h *host) onlyProgram(t *testing.T) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(h.program()))
	if err != nil || len(entries) != 1 || entries[0].Name() != "movein" {
		t.Errorf("the directory has %v, %v, want movein alone", entries, err)
	}
}

func TestInstall(t *testing.T) {
	eachShell(t, func(t *testing.T, shell []string) {
		r := newRelease(t)
		h := newHost(t, shell, r, "curl")
		// Arguments arrive as they are; stdin is not the rest of the script.
		got := h.mustRun(t, "apply", "two words", "", "$HOME `id` *", "--yes")
		if want := "<apply>\n<two words>\n<>\n<$HOME `id` *>\n<--yes>\n"; got != want {
			t.Errorf("the program printed %q, want %q", got, want)
		}
		info, err := os.Stat(h.program())
		if err != nil || info.Mode().Perm() != 0o755 {
			t.Fatalf("the program is %v, %v, want mode 0755", info, err)
		}
		h.onlyProgram(t)

		// Again: only the digest is asked for.
		r.asked = nil
		h.mustRun(t, "status")
		if !slices.Equal(r.asked, []string{"SHA256SUMS"}) {
			t.Errorf("the second run asked for %q, want SHA256SUMS alone", r.asked)
		}
		// A damaged program is replaced.
		if err := os.WriteFile(h.program(), []byte("damaged"), 0o755); err != nil {
			t.Fatal(err)
		}
		if got := h.mustRun(t, "status"); got != "<status>\n" {
			t.Errorf("after damage the program printed %q", got)
		}
	})
}

func TestInstallSettings(t *testing.T) {
	eachShell(t, func(t *testing.T, shell []string) {
		r := newRelease(t)
		h := newHost(t, shell, r, "curl")
		if got := h.mustRun(t); got != "" {
			t.Errorf("without arguments the program ran: %q", got)
		}
		h.env = append(h.env, "MOVEIN_NO_RUN=1", "MOVEIN_VERSION=v1", "MOVEIN_BIN_DIR=some where")
		if got := h.mustRun(t, "apply"); got != "" {
			t.Errorf("with MOVEIN_NO_RUN the program ran: %q", got)
		}
		if _, err := os.Stat(filepath.Join(h.home, "some where/movein")); err != nil {
			t.Error(err)
		}
		h.env = append(h.env, "MOVEIN_VERSION=v2")
		if _, stderr, err := h.run(); err == nil || !strings.Contains(stderr, "/download/v2/SHA256SUMS") {
			t.Errorf("an unknown version: %v, %q", err, stderr)
		}

		// A digest given by hand needs no list, and counts more than one.
		r.files["SHA256SUMS"] = nil
		h.env = append(h.env, "MOVEIN_VERSION=latest", fmt.Sprintf("MOVEIN_SHA256=%x", sha256.Sum256([]byte(program))))
		h.mustRun(t)
		h.env = append(h.env, "MOVEIN_SHA256="+strings.Repeat("0", 64))
		if _, stderr, err := h.run(); err == nil || !strings.Contains(stderr, "expected 0000") {
			t.Errorf("another digest than the given one: %v, %q", err, stderr)
		}
	})
}

func TestInstallRefuses(t *testing.T) {
	sum := fmt.Sprintf("%x", sha256.Sum256([]byte(program)))
	tests := map[string]struct {
		change func(r *release)
		why    string
	}{
		"tampered program":  {func(r *release) { r.files[asset] = []byte(program + "evil\n") }, "nothing was installed"},
		"tampered digest":   {func(r *release) { r.files["SHA256SUMS"] = []byte(strings.Repeat("a", 64) + "  " + asset) }, "expected aaaa"},
		"no digest":         {func(r *release) { r.files["SHA256SUMS"] = []byte(sum + "  " + asset + ".txt\n") }, "no usable digest"},
		"short digest":      {func(r *release) { r.files["SHA256SUMS"] = []byte(sum[1:] + "  " + asset + "\n") }, "no usable digest"},
		"digest is no hex":  {func(r *release) { r.files["SHA256SUMS"] = []byte(strings.Repeat("x", 64) + "  " + asset) }, "no usable digest"},
		"an error page":     {func(r *release) { r.files["SHA256SUMS"] = []byte("<html>try later</html>\n") }, "no usable digest"},
		"no list":           {func(r *release) { delete(r.files, "SHA256SUMS") }, "/latest/download/SHA256SUMS went wrong"},
		"no program":        {func(r *release) { delete(r.files, asset) }, "/latest/download/" + asset + " went wrong"},
		"broken connection": {func(r *release) { r.cut = true }, "went wrong"},
	}
	eachShell(t, func(t *testing.T, shell []string) {
		for _, loader := range []string{"curl", "wget"} {
			for name, test := range tests {
				t.Run(loader+"/"+name, func(t *testing.T) {
					r := newRelease(t)
					test.change(r)
					newHost(t, shell, r, loader).refused(t, test.why)
				})
			}
		}
		t.Run("no loader", func(t *testing.T) {
			newHost(t, shell, newRelease(t)).refused(t, "curl or wget is needed")
		})
		t.Run("no digest program", func(t *testing.T) {
			h := newHost(t, shell, newRelease(t), "curl")
			if err := os.Remove(filepath.Join(h.bin, "sha256sum")); err != nil {
				t.Fatal(err)
			}
			h.refused(t, "is needed to check the download")
		})
		t.Run("other machine", func(t *testing.T) {
			h := newHost(t, shell, newRelease(t), "curl")
			h.stub(t, "uname", `[ "$1" = -s ] && echo Linux || echo sparc64`)
			h.refused(t, "there is no build for sparc64")
			h.stub(t, "uname", "echo Plan9")
			h.refused(t, "this is Plan9")
		})
	})
}

// What does the same as sha256sum and wget on other hosts.
func TestInstallOtherPrograms(t *testing.T) {
	eachShell(t, func(t *testing.T, shell []string) {
		for _, other := range []string{"shasum", "openssl"} {
			t.Run(other, func(t *testing.T) {
				h := newHost(t, shell, newRelease(t), "curl", other, "perl")
				if err := os.Remove(filepath.Join(h.bin, "sha256sum")); err != nil {
					t.Fatal(err)
				}
				h.env = append(h.env, "PERL5LIB=")
				h.mustRun(t, "apply")
			})
		}
		t.Run("wget", func(t *testing.T) {
			newHost(t, shell, newRelease(t), "wget").mustRun(t, "apply")
		})
		t.Run("busybox", func(t *testing.T) {
			box := newBusybox(t, shell, newRelease(t))
			box.mustRun(t, "apply")
			h := newBusybox(t, shell, newRelease(t))
			h.env = append(h.env, fmt.Sprintf("MOVEIN_SHA256=%064d", 0))
			h.refused(t, "expected 0000")
		})
		t.Run("busybox broken connection", func(t *testing.T) {
			r := newRelease(t)
			r.cut = true
			newBusybox(t, shell, r).refused(t, "went wrong")
		})
	})
}

// newBusybox makes a host on which all programs are busybox.
func newBusybox(t *testing.T, shell []string, r *release) *host {
	h := newHost(t, shell, r, "busybox")
	box := filepath.Join(h.bin, "busybox")
	for _, name := range append([]string{"wget"}, needs...) {
		path := filepath.Join(h.bin, name)
		_ = os.Remove(path)
		if err := os.Symlink(box, path); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

// A download of the script that breaks off runs nothing, wherever it breaks.
func TestInstallTruncated(t *testing.T) {
	script := embed.InstallScript()
	end := len(bytes.TrimRight(script, "\n"))
	eachShell(t, func(t *testing.T, shell []string) {
		h := newHost(t, shell, newRelease(t), "curl")
		ran := filepath.Join(t.TempDir(), "ran")
		for _, name := range append([]string{"curl", "wget", "id"}, needs...) {
			h.stub(t, name, "echo "+name+" >>"+ran)
		}
		for n := 0; n < end; n += 47 {
			h.runPrefix(script[:n])
		}
		h.runPrefix(script[:end-1])
		if got, err := os.ReadFile(ran); err == nil {
			t.Errorf("a part of the script ran %s", got)
		}
		h.runPrefix(script[:end])
		if _, err := os.Stat(ran); err != nil {
			t.Errorf("the whole script ran nothing: %v", err)
		}
	})
}

// runPrefix gives the shell only a part of the script.
func (h *host) runPrefix(part []byte) {
	cmd := exec.Command(h.shell[0], append(h.shell[1:], "-s", "apply")...)
	cmd.Dir, cmd.Env, cmd.Stdin = h.home, h.env, bytes.NewReader(part)
	_ = cmd.Run() // a syntax error, or nothing at all
}

func TestScriptsArePOSIX(t *testing.T) {
	activate, err := os.ReadFile("starter/lib/activate.sh")
	if err != nil {
		t.Fatal(err)
	}
	for name, script := range map[string][]byte{"install.sh": embed.InstallScript(), "activate.sh": activate} {
		parser := syntax.NewParser(syntax.Variant(syntax.LangPOSIX))
		file, err := parser.Parse(bytes.NewReader(script), name)
		if err != nil {
			t.Error(err)
			continue
		}
		if name == "install.sh" && len(file.Stmts) != 1 {
			t.Errorf("install.sh has %d statements at its top, want the one group", len(file.Stmts))
		}
	}
}

func TestShellcheck(t *testing.T) {
	if _, err := exec.LookPath("shellcheck"); err != nil {
		t.Skip("no shellcheck on this machine")
	}
	out, err := exec.Command("shellcheck", "install.sh", "starter/lib/activate.sh").CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
