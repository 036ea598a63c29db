package bootstrap

import (
	"context"
	"time"

	"movein/bootstrap/host"
)

// A Step brings one part of the host to its wanted state.
type Step interface {
	// Info is what is always true of the step.
	Info() Info

	// Plan says what Apply would change now; an empty Change means nothing. It
	// returns a Skip when the step has no place on this host. For a step that is
	// done as root it is first called as the user, and again as root only if that
	// found work or was denied a look.
	Plan(ctx context.Context, v host.View) (Change, error)

	// Apply makes the change. It may find part of it made already, by a run that
	// was cut short. It returns a Reboot when the rest has to wait for one, and a Skip when it
	// turned out that the step has no place here after all.
	Apply(ctx context.Context, h host.Host, c Change) error
}

// As says whose hands a step needs.
type As string

// The two halves of a run.
const (
	User As = "user" // the user whose home it is
	Root As = "root"
)

// Info is what is always true of a step.
type Info struct {
	Name      string        // "nix-install": in flags, events and the journal
	Title     string        // "Install Nix": for people
	Needs     []string      // names of the steps that must be done first
	As        As            // "": User
	Exclusive string        // a thing that only one step may use at a time: "terminal", "nix-store"
	Timeout   time.Duration // 0: none
}

// Change is what a step would do, one Action for each thing.
type Change []Action

// Action is one thing that a step would do.
type Action struct {
	Verb   string `json:"verb"`             // "write", "run", "clone", "link", "back up"
	Target string `json:"target"`           // "/etc/nix/nix.conf"
	Reason string `json:"reason,omitempty"` // why, when that is not plain: "has no members"

	// Of a file of the home:
	Owner  string `json:"owner,omitempty"`  // who brings it: "home-manager", "chezmoi"
	Source string `json:"source,omitempty"` // the file that it is brought from
	Was    string `json:"was,omitempty"`    // what is there now: "file", "foreign link", "directory"
	Diff   string `json:"diff,omitempty"`   // unified; only when asked for, and never of a secret
}
