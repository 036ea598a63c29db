package host

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// grace is how long a command has to end after it was interrupted.
const grace = 15 * time.Second

// Query implements Commands.
func (r *Real) Query(ctx context.Context, c *Cmd) (Result, error) { return r.Run(ctx, c) }

// Run implements Runner. When ctx ends, the command's process group gets SIGINT
// and, grace later, SIGKILL. A command that asks on the terminal (TTY) stays in the
// foreground group, where the kernel interrupts it.
func (r *Real) Run(ctx context.Context, c *Cmd) (Result, error) {
	cmd, err := r.command(ctx, c)
	if err != nil {
		return Result{Code: 127}, err
	}
	var out bytes.Buffer
	diag := &tail{lines: c.Lines}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(c.Stdin), &out, diag
	if c.TTY {
		cmd.Stdin = os.Stdin
	}
	if c.File != nil {
		f, err := inMemory(c.File)
		if err != nil {
			return Result{Code: 127}, &CommandError{Args: c.Args, Code: 127, Err: err}
		}
		defer f.Close()
		cmd.ExtraFiles = []*os.File{f}
	}
	r.Sight.ran()
	err = cmd.Run()
	r.Sight.ran()
	diag.flush()
	res := Result{Stdout: out.Bytes(), Stderr: diag.buf, Code: -1}
	if cmd.ProcessState != nil {
		res.Code = cmd.ProcessState.ExitCode()
	}
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
			if cmd.Process != nil && !c.TTY { // what a shell put into the background does not hear SIGINT
				syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) //nolint:errcheck // most often nothing is left
			}
		}
		return res, &CommandError{Args: c.Args, Code: res.Code, Stderr: string(diag.buf), Err: err}
	}
	return res, nil
}

// inMemory is an open file that has no name.
func inMemory(data []byte) (*os.File, error) {
	fd, err := unix.MemfdCreate("movein", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	f := os.NewFile(uintptr(fd), "memory")
	if _, err := f.WriteAt(data, 0); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func (r *Real) command(ctx context.Context, c *Cmd) (*exec.Cmd, error) {
	bin, err := r.LookPath(c.Args[0])
	if err != nil {
		return nil, &CommandError{Args: c.Args, Code: 127, Err: err}
	}
	cmd := exec.CommandContext(ctx, r.full(bin), c.Args[1:]...)
	cmd.Args[0] = c.Args[0]
	cmd.Env = append(slices.Clone(r.Env), c.Env...)
	if len(c.Nix) > 0 {
		cmd.Env = append(cmd.Env, "NIX_CONFIG="+strings.Join(append([]string{r.env("NIX_CONFIG")}, c.Nix...), "\n"))
	}
	if len(c.Path) > 0 {
		cmd.Env = append(cmd.Env, "PATH="+strings.Join(append(slices.Clone(c.Path), r.env("PATH")), ":"))
	}
	if c.Dir != "" {
		cmd.Dir = r.full(c.Dir)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: !c.TTY, Pdeathsig: syscall.SIGTERM}
	cmd.Cancel = func() error {
		if c.TTY {
			return cmd.Process.Signal(os.Interrupt)
		}
		return syscall.Kill(-cmd.Process.Pid, syscall.SIGINT)
	}
	cmd.WaitDelay = grace
	return cmd, nil
}

// LookPath implements Commands. The name it returns is one below Root, as all names are.
func (r *Real) LookPath(name string) (string, error) {
	if strings.Contains(name, "/") {
		return name, nil
	}
	for _, dir := range filepath.SplitList(r.env("PATH")) {
		file := filepath.Join(dir, name)
		if info, err := os.Stat(r.full(file)); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return file, nil
		}
	}
	return "", &exec.Error{Name: name, Err: exec.ErrNotFound}
}

func (r *Real) env(name string) string {
	for _, kv := range slices.Backward(r.Env) {
		if k, v, _ := strings.Cut(kv, "="); k == name {
			return v
		}
	}
	return ""
}

// Spawn implements Runner.
func (r *Real) Spawn(c *Cmd, log string) error {
	bin, err := r.LookPath(c.Args[0])
	if err != nil {
		return err
	}
	out, err := os.OpenFile(r.path(log), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	cmd := exec.Command(r.full(bin), c.Args[1:]...)
	cmd.Env, cmd.Dir = append(slices.Clone(r.Env), c.Env...), "/"
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting %s: %w", c.Args[0], err)
	}
	return cmd.Process.Release()
}

// Await implements Runner.
func (*Real) Await(ctx context.Context, what string, ok func() bool) error {
	const patience, pause = 10 * time.Second, 20 * time.Millisecond
	tick := time.NewTicker(pause)
	defer tick.Stop()
	deadline := time.After(patience)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			return fmt.Errorf("waiting for %s: not within %s", what, patience)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// Process is a running program that is talked to over pipes.
type Process struct {
	In   io.WriteCloser
	Out  io.Reader
	Wait func() error // for its end; a *CommandError if it was not a good one
}

// Pipe starts args. cred is who it runs as, in a session of its own: it must not
// have the caller's terminal, into which it could type. Nil: as the caller, in the
// foreground process group, so that it may ask on the terminal.
func (r *Real) Pipe(args []string, cred *syscall.Credential) (*Process, error) {
	diag := &tail{lines: func(l string) { r.Warn("%s", l) }}
	if cred == nil { // sudo writes its prompt to the terminal and its complaints here
		diag.lines = nil
	}
	return r.pipe(args, func(cmd *exec.Cmd) {
		cmd.Stderr = diag
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: cred, Setsid: cred != nil}
	}, diag)
}

// Detach starts args so that it outlives this process: in a session of its own, in the root
// directory, with nothing of its standard error told. It is talked to until Wait is called,
// or this process ends.
func (r *Real) Detach(args []string) (*Process, error) {
	return r.pipe(args, func(cmd *exec.Cmd) {
		cmd.Dir, cmd.SysProcAttr = "/", &syscall.SysProcAttr{Setsid: true}
	}, &tail{})
}

func (r *Real) pipe(args []string, set func(*exec.Cmd), diag *tail) (*Process, error) {
	bin, err := r.LookPath(args[0])
	if err != nil {
		return nil, &CommandError{Args: args, Code: 127, Err: err}
	}
	cmd := exec.Command(r.full(bin), args[1:]...)
	cmd.Args[0], cmd.Env = args[0], r.Env
	set(cmd)
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	// A pipe of our own: cmd.StdoutPipe is closed by Wait while it is still read.
	pr, pw, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd.Stdout = pw
	err = cmd.Start()
	pw.Close()
	if err != nil {
		pr.Close()
		return nil, &CommandError{Args: args, Code: 127, Err: err}
	}
	return &Process{In: in, Out: pr, Wait: func() error {
		defer pr.Close()
		err := cmd.Wait()
		if err == nil {
			return nil
		}
		return &CommandError{Args: args, Code: cmd.ProcessState.ExitCode(), Stderr: string(diag.buf), Err: err}
	}}, nil
}

// tail keeps the last 16 KiB written to it and passes on whole lines.
type tail struct {
	buf   []byte
	line  []byte
	lines func(string)
}

func (t *tail) Write(p []byte) (int, error) {
	const most = 16 << 10
	t.buf = append(t.buf, p...)
	if len(t.buf) > most {
		t.buf = t.buf[len(t.buf)-most:]
	}
	if t.lines != nil {
		t.line = append(t.line, p...)
		for {
			l, rest, ok := bytes.Cut(t.line, []byte("\n"))
			if !ok {
				break
			}
			t.lines(string(bytes.TrimRight(l, "\r")))
			t.line = rest
		}
	}
	return len(p), nil
}

func (t *tail) flush() {
	if t.lines != nil && len(t.line) > 0 {
		t.lines(string(t.line))
		t.line = nil
	}
}

// Account is whose environment a child gets.
type Account struct {
	Name string
	UID  int
	Home string
}

// passed are the variables that children may know of the environment that the
// program was started with, if it was started by the same user.
const passed = "LANG LC_ALL LC_CTYPE LC_MESSAGES TERM TZ TMPDIR NO_COLOR " +
	"http_proxy https_proxy ftp_proxy all_proxy no_proxy HTTP_PROXY HTTPS_PROXY FTP_PROXY ALL_PROXY NO_PROXY " +
	"NIX_SSL_CERT_FILE SSL_CERT_FILE SSL_CERT_DIR CURL_CA_BUNDLE GIT_SSL_CAINFO"

// passedToOwn are those that only mean something to the user they belong to.
const passedToOwn = "XDG_CONFIG_HOME XDG_DATA_HOME XDG_STATE_HOME XDG_CACHE_HOME XDG_RUNTIME_DIR XDG_SESSION_ID " +
	"XDG_DATA_DIRS XDG_CURRENT_DESKTOP DBUS_SESSION_BUS_ADDRESS SSH_AUTH_SOCK DISPLAY WAYLAND_DISPLAY NIX_CONFIG"

// Environ is the clean environment for children of account a: only what is known
// to be wanted is taken from environ, PATH is our own (Nix first, then the
// system, nothing of Windows), and flakes are on whatever the host's nix.conf says.
// own: environ belongs to a itself.
func Environ(a Account, environ []string, own bool) []string {
	names := strings.Fields(passed)
	if own {
		names = append(names, strings.Fields(passedToOwn)...)
	}
	var env []string
	nixConfig := ""
	for _, kv := range environ {
		k, v, _ := strings.Cut(kv, "=")
		switch {
		case k == "NIX_CONFIG" && own:
			nixConfig = v + "\n"
		case slices.Contains(names, k):
			env = append(env, kv)
		}
	}
	runtime := fmt.Sprintf("/run/user/%d", a.UID)
	if _, err := os.Stat(runtime); err == nil && !slices.ContainsFunc(env, func(kv string) bool { return strings.HasPrefix(kv, "XDG_RUNTIME_DIR=") }) {
		env = append(env, "XDG_RUNTIME_DIR="+runtime)
	}
	return append(env,
		"HOME="+a.Home, "USER="+a.Name, "LOGNAME="+a.Name,
		"PATH="+strings.Join(Path(a), ":"),
		"NIX_CONFIG="+nixConfig+"extra-experimental-features = nix-command flakes",
	)
}

// Path is where children of account a find programs.
func Path(a Account) []string {
	return []string{
		"/nix/var/nix/profiles/default/bin",
		"/run/wrappers/bin", "/run/current-system/sw/bin", // NixOS
		"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin",
		filepath.Join(a.Home, ".nix-profile/bin"),
	}
}

// IsTerminal reports whether somebody can be asked: whether /dev/tty opens.
func IsTerminal() bool {
	f, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return false
	}
	f.Close()
	return true
}

// Lock takes the lock file at path, whose directory exists, for this process and returns how to give it
// back. The error is a *LockedError if another process has it still after patience.
func Lock(path string, patience time.Duration) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			break
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) || time.Now().After(deadline) {
			pid, _ := bufio.NewReader(f).ReadString('\n') //nolint:errcheck // empty is an answer too
			f.Close()
			if errors.Is(err, syscall.EWOULDBLOCK) {
				return nil, &LockedError{Path: path, PID: strings.TrimSpace(pid)}
			}
			return nil, &fs.PathError{Op: "lock", Path: path, Err: err}
		}
	}
	if err := errors.Join(f.Truncate(0), writeAt(f, fmt.Sprintf("%d\n", os.Getpid()))); err != nil {
		f.Close()
		return nil, err
	}
	return func() { f.Close() }, nil
}

func writeAt(f *os.File, s string) error {
	_, err := f.WriteAt([]byte(s), 0)
	return err
}
