package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// cloneByGit lets the program git clone into an empty directory.
func cloneByGit(ctx context.Context, r Remote, dir string) error {
	args := []string{"clone", "--quiet", "--no-tags", "--depth=1"}
	if r.Branch != "" {
		args = append(args, "--branch="+r.Branch)
	}
	return runGit(ctx, ".", append(args, "--", BareURL(r.URL), dir)...)
}

// fetchSubmodules fetches what .gitmodules names and returns what a person should know of it.
func fetchSubmodules(ctx context.Context, dir string) (note string) {
	if !exists(filepath.Join(dir, ".gitmodules")) {
		return ""
	}
	if _, err := exec.LookPath("git"); err != nil {
		return "submodules were left empty, for there is no git: run `git submodule update --init --recursive` in " + dir
	}
	if err := runGit(ctx, dir, "submodule", "update", "--init", "--recursive"); err != nil {
		return fmt.Sprintf("submodules of %s are not complete: %v", dir, err)
	}
	return ""
}

// runGit runs the program git in dir; it asks nobody anything. A failure is a *CommandError.
func runGit(ctx context.Context, dir string, args ...string) error {
	_, err := waitGit(gitCommand(ctx, dir, args...))
	return err
}

// gitCommand is the program git, to be run in dir: what of the environment names
// another repository is left out, and it does not ask on the terminal.
func gitCommand(ctx context.Context, dir string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = dir
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "GIT_") || strings.HasPrefix(v, "GIT_CONFIG_") || strings.HasPrefix(v, "GIT_SSH") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.Env = append(cmd.Env, "GIT_TERMINAL_PROMPT=0", "LC_ALL=C")
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// waitGit runs a gitCommand and returns what it says on standard error.
func waitGit(cmd *exec.Cmd) (said string, err error) {
	var out strings.Builder
	cmd.Stderr = &out
	err = cmd.Run()
	if err == nil {
		return out.String(), nil
	}
	code := -1
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		code = exit.ExitCode()
	}
	return out.String(), &CommandError{Args: cmd.Args, Code: code, Stderr: out.String(), Err: err}
}

// credentialTime is how long git's helpers may take; they ask nobody.
const credentialTime = 5 * time.Second

// gitCredential is what the credential helpers that git is configured with know of a
// server; "" if they know nothing, or there is no git. See gitcredentials(7).
func gitCredential(ctx context.Context, u gitURL) (user, password string) {
	ctx, cancel := context.WithTimeout(ctx, credentialTime)
	defer cancel()
	cmd := gitCommand(ctx, "/", "-c", "core.askPass=", "credential", "fill")
	cmd.Env = append(cmd.Env, "SSH_ASKPASS=", "GCM_INTERACTIVE=never")
	ask := "protocol=" + u.scheme + "\nhost=" + u.host + "\npath=" + strings.TrimPrefix(u.path, "/") + "\n"
	if u.user != "" {
		ask += "username=" + u.user + "\n"
	}
	cmd.Stdin = strings.NewReader(ask + "\n")
	out, err := cmd.Output()
	if err != nil {
		return "", ""
	}
	for line := range strings.Lines(string(out)) {
		switch k, v, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "="); k {
		case "username":
			user = v
		case "password":
			password = v
		}
	}
	return user, password
}
