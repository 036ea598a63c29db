package host

import (
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
)

// ErrNotRepo says that a directory exists and is no git work tree.
var ErrNotRepo = errors.New("not a git repository")

// ErrNoCommits says that a repository holds nothing yet.
var ErrNoCommits = errors.New("there is no commit yet")

// ErrDiverged says that a branch cannot be moved forward to the commit.
var ErrDiverged = errors.New("local branch has commits that the remote does not have")

// DamagedRepoError says that something of a git repository is missing or not what it was.
type DamagedRepoError struct {
	What string // an object's name, a reference or a file
	Err  error
}

func (e *DamagedRepoError) Error() string { return fmt.Sprintf("%s is damaged: %v", e.What, e.Err) }
func (e *DamagedRepoError) Unwrap() error { return e.Err }

// UnreachableError says that something on the network could not be reached, after all retries.
type UnreachableError struct {
	URL string
	Err error
}

func (e *UnreachableError) Error() string { return fmt.Sprintf("reaching %s: %v", e.URL, e.Err) }
func (e *UnreachableError) Unwrap() error { return e.Err }

// IsExpired reports whether err is about a certificate that is not valid at the time that
// this host's clock shows.
func IsExpired(err error) bool {
	var cert x509.CertificateInvalidError
	return errors.As(err, &cert) && cert.Reason == x509.Expired
}

// DigestError says that a file is not the one that was asked for.
type DigestError struct {
	Name      string // URL or file
	Want, Got string // SHA-256, hex
}

func (e *DigestError) Error() string {
	return fmt.Sprintf("%s has SHA-256 %s, expected %s", e.Name, e.Got, e.Want)
}

// CollisionError says that files which git does not track are in the way.
type CollisionError struct {
	Dir   string
	Files []string
}

func (e *CollisionError) Error() string {
	return fmt.Sprintf("untracked files in %s are in the way: %s", e.Dir, strings.Join(e.Files, ", "))
}

// CommandError says that a command ended with a failure.
type CommandError struct {
	Args   []string
	Code   int
	Stderr string // the last lines
	Err    error
}

func (e *CommandError) Error() string {
	msg := fmt.Sprintf("running %s: %v", e.Args[0], e.Err)
	if last := gist(e.Stderr, 3); last != "" {
		msg += ": " + last
	}
	return msg
}

func (e *CommandError) Unwrap() error { return e.Err }

// gist is what of a command's diagnostics says why it failed, n lines at the
// most: the last complaint that calls itself an error and what follows, as in Nix
// and git, or else the last lines.
func gist(s string, n int) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	from := max(0, len(lines)-n)
	for i, l := range lines {
		if _, text, ok := strings.Cut(l, "error: "); ok && strings.TrimSpace(text) != "" {
			from = i
		}
	}
	lines = lines[from:]
	lines = lines[:min(n, len(lines))]
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	return strings.Join(lines, "; ")
}

// LockedError says that another movein holds the lock.
type LockedError struct {
	Path string
	PID  string
}

func (e *LockedError) Error() string {
	return fmt.Sprintf("another movein is running (pid %s, lock %s)", e.PID, e.Path)
}
