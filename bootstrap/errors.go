package bootstrap

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"syscall"

	"movein/bootstrap/host"
)

// Skip says that a step has no place on this host, and why.
type Skip string

func (s Skip) Error() string { return string(s) }

// Reboot says that the rest of a step has to wait until the host was started anew
// (booted, or under WSL shut down and opened again), and why. A step that says the
// same again after that has failed. How to do it is its Hint.
type Reboot string

func (r Reboot) Error() string { return string(r) }

// Hint adds to err what the user can do about it: a sentence, or better a command.
func Hint(err error, format string, a ...any) error {
	return &hinted{err, fmt.Sprintf(format, a...)}
}

type hinted struct {
	error
	hint string
}

func (h *hinted) Unwrap() error { return h.error }

// ClockHint sets a clock that is wrong.
const ClockHint = "sudo timedatectl set-ntp true, or under WSL: sudo hwclock -s"

// HintOf returns the hint that err carries, or the one that its kind has; "" if there is neither.
func HintOf(err error) string {
	if h, ok := errors.AsType[*hinted](err); ok {
		return h.hint
	}
	if host.IsExpired(err) {
		return "look whether this host's clock is right (date): " + ClockHint
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return "if a proxy answers with certificates of its own, name a file with all authorities: SSL_CERT_FILE=FILE NIX_SSL_CERT_FILE=FILE movein apply"
	}
	if _, ok := errors.AsType[*host.UnreachableError](err); ok {
		return "check the address and the network, then run the same command again"
	}
	if _, ok := errors.AsType[*host.DigestError](err); ok {
		return "nothing of it was used; run the same command again, and if it says this twice, take it from another place"
	}
	switch {
	case errors.Is(err, host.ErrNoRemote):
		return "check the address; a repository that is not for everybody is shown only to who logs in: give its ssh address, git@HOST:OWNER/REPO.git"
	case errors.Is(err, host.ErrLogin):
		return "log in with what is in your vault (--vault FILE) or a token (--token-fd N); or give its ssh address, git@HOST:OWNER/REPO.git, and look whether your keys are at hand: ssh-add -l"
	case errors.Is(err, host.ErrHostKey):
		return "ask the server's keeper; a line of a known_hosts file that is not right any more: ssh-keygen -R HOST (-f FILE)"
	case errors.Is(err, host.ErrNoBranch):
		return "choose one that is there: movein apply --branch NAME"
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return "free some space (what is full: df -h, and df -i) and run the same command again"
	case errors.Is(err, syscall.EROFS):
		return "make it writable (what is not: findmnt --options ro) and run the same command again"
	}
	if path, ok := errors.AsType[*fs.PathError](err); ok && errors.Is(err, fs.ErrPermission) {
		return "look whose it is, and give it back to its user with chown: ls -ld " + filepath.Dir(path.Path) + " " + path.Path
	}
	return ""
}

// The exit codes, those of sysexits.h where one fits. They are part of the
// interface for scripts.
const (
	ExitOK          = 0
	ExitFailed      = 1  // a step failed
	ExitChanges     = 2  // plan --detailed-exitcode, status --exit-code: there are changes
	ExitUsage       = 64 // the command line is wrong
	ExitUnreachable = 69 // something on the network could not be reached after retries
	ExitRefused     = 73 // going on would lose or overwrite something of the user's
	ExitReboot      = 75 // reboot, then run the same command again
	ExitDigest      = 76 // a download did not match its pinned digest
	ExitPermission  = 77 // no root, or something is locked and nobody is there to ask
	ExitConfig      = 78 // configuration
	ExitLocked      = 79 // another movein is running
	ExitInterrupted = 130
)

// Exit gives err an exit code.
func Exit(code int, err error) error { return &coded{err, code} }

// Refuse says that going on would lose or overwrite something of the user's.
func Refuse(format string, a ...any) error { return Exit(ExitRefused, fmt.Errorf(format, a...)) }

// Misconfigured says that the configuration is wrong.
func Misconfigured(format string, a ...any) error { return Exit(ExitConfig, fmt.Errorf(format, a...)) }

type coded struct {
	error
	code int
}

func (c *coded) Unwrap() error { return c.error }

// ExitCode returns the exit code for err: the one it was given, or the one that
// its kind has.
func ExitCode(err error) int {
	if err == nil {
		return ExitOK
	}
	if c, ok := errors.AsType[*coded](err); ok {
		return c.code
	}
	if _, ok := errors.AsType[*host.UnreachableError](err); ok {
		return ExitUnreachable
	}
	if _, ok := errors.AsType[*host.DigestError](err); ok {
		return ExitDigest
	}
	if _, ok := errors.AsType[*host.CollisionError](err); ok {
		return ExitRefused
	}
	if _, ok := errors.AsType[*host.LockedError](err); ok {
		return ExitLocked
	}
	if _, ok := errors.AsType[Reboot](err); ok {
		return ExitReboot
	}
	switch {
	case errors.Is(err, ErrInterrupted), errors.Is(err, context.Canceled):
		return ExitInterrupted
	case errors.Is(err, host.ErrDiverged):
		return ExitRefused
	case errors.Is(err, host.ErrNoRemote):
		return ExitUnreachable
	case errors.Is(err, host.ErrNoBranch):
		return ExitConfig
	case errors.Is(err, host.ErrLogin), errors.Is(err, fs.ErrPermission):
		return ExitPermission
	}
	return ExitFailed
}

// ErrInterrupted is the cause of a context that a signal ended.
var ErrInterrupted = errors.New("interrupted")
