package bootstrap_test

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"testing"

	"movein/bootstrap"
	"movein/bootstrap/host"
)

func TestExitCode(t *testing.T) {
	boom := errors.New("boom")
	unreachable := &host.UnreachableError{URL: "https://example.org", Err: boom}
	kinds := []struct {
		name string
		err  error
		want int
	}{
		{"any", boom, 1},
		{"command", &host.CommandError{Args: []string{"false"}, Code: 3, Err: boom}, 1},
		{"deadline", context.DeadlineExceeded, 1},
		{"not found", fs.ErrNotExist, 1},
		{"unreachable", unreachable, 69},
		{"refused", bootstrap.Refuse("%s is in the way", "/x"), 73},
		{"collision", &host.CollisionError{Dir: "/x", Files: []string{"y"}}, 73},
		{"diverged", host.ErrDiverged, 73},
		{"reboot", bootstrap.Reboot("a mount"), 75},
		{"digest", &host.DigestError{Name: "x"}, 76},
		{"permission", &fs.PathError{Op: "open", Path: "/x", Err: fs.ErrPermission}, 77},
		{"configuration", bootstrap.Misconfigured("no key %s", "x"), 78},
		{"locked", &host.LockedError{Path: "/x", PID: "7"}, 79},
		{"interrupted", bootstrap.ErrInterrupted, 130},
		{"cancelled", context.Canceled, 130},
		{"given", bootstrap.Exit(64, boom), 64},
		{"given, of an error with a kind", bootstrap.Exit(78, unreachable), 78},
	}
	for _, tc := range kinds {
		for how, err := range map[string]error{
			"as it is":            tc.err,
			"wrapped":             fmt.Errorf("cloning: %w", tc.err),
			"hinted":              bootstrap.Hint(tc.err, "do something"),
			"joined with another": errors.Join(errors.New("other"), tc.err),
			"deep":                fmt.Errorf("x: %w", errors.Join(bootstrap.Hint(fmt.Errorf("y: %w", tc.err), "z"), errors.New("w"))),
		} {
			if got := bootstrap.ExitCode(err); got != tc.want {
				t.Errorf("%s, %s: code %d, want %d", tc.name, how, got, tc.want)
			}
		}
	}
	if got := bootstrap.ExitCode(nil); got != 0 {
		t.Errorf("nil: code %d", got)
	}
}

func TestExitCodeOfTheOutermost(t *testing.T) {
	inner := bootstrap.Refuse("in the way")
	if got := bootstrap.ExitCode(bootstrap.Exit(bootstrap.ExitConfig, fmt.Errorf("x: %w", inner))); got != bootstrap.ExitConfig {
		t.Errorf("code %d, want the outer one, %d", got, bootstrap.ExitConfig)
	}
}

func TestExitCodeThatWasGivenGoesBeforeThatOfAKind(t *testing.T) {
	joined := errors.Join(&host.UnreachableError{Err: &net.DNSError{}}, bootstrap.Refuse("in the way"))
	if got := bootstrap.ExitCode(joined); got != bootstrap.ExitRefused {
		t.Errorf("code %d, want %d", got, bootstrap.ExitRefused)
	}
}

func TestHintOf(t *testing.T) {
	boom := errors.New("boom")
	tests := []struct {
		name string
		err  error
		want string
	}{
		{"nil", nil, ""},
		{"none", boom, ""},
		{"one", bootstrap.Hint(boom, "run: %s", "df"), "run: df"},
		{"wrapped", fmt.Errorf("x: %w", bootstrap.Hint(boom, "run: df")), "run: df"},
		{"with a code", bootstrap.Exit(73, bootstrap.Hint(boom, "run: df")), "run: df"},
		{"joined", errors.Join(boom, bootstrap.Hint(boom, "run: df")), "run: df"},
		{"the outermost of two", bootstrap.Hint(fmt.Errorf("x: %w", bootstrap.Hint(boom, "inner")), "outer"), "outer"},
		{"the first of two", errors.Join(bootstrap.Hint(boom, "first"), bootstrap.Hint(boom, "second")), "first"},
		{"of a clock that is wrong", &host.UnreachableError{Err: x509.CertificateInvalidError{Reason: x509.Expired}}, "look whether this host's clock is right (date): " + bootstrap.ClockHint},
		{"of a proxy's certificate", &host.UnreachableError{Err: x509.UnknownAuthorityError{}}, "if a proxy answers with certificates of its own, name a file with all authorities: SSL_CERT_FILE=FILE NIX_SSL_CERT_FILE=FILE movein apply"},
		{"of a reboot", bootstrap.Hint(bootstrap.Reboot("a mount"), "systemctl reboot"), "systemctl reboot"},
	}
	for _, tc := range tests {
		if got := bootstrap.HintOf(tc.err); got != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
}

func TestHintAndExitLeaveTheMessageAndTheCause(t *testing.T) {
	err := bootstrap.Exit(73, bootstrap.Hint(fmt.Errorf("reading: %w", fs.ErrNotExist), "do something"))
	if err.Error() != "reading: file does not exist" || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
}
