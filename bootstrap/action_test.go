package bootstrap

import (
	"encoding/json"
	"testing"

	"movein/bootstrap/host"
)

// TestActionAsJSON: fields that are empty are left out, and bytes that are no UTF-8 are not lost.
func TestActionAsJSON(t *testing.T) {
	for want, a := range map[string]Action{
		`{"verb":"write","target":"/etc/nix/nix.conf"}`: {Verb: "write", Target: "/etc/nix/nix.conf"},
		`{"verb":"replace","target":"/home/me/a\nb","reason":"wanted","owner":"chezmoi","source":"dot_a","was":"file","diff":"-a\n+b\n"}`: {
			Verb: "replace", Target: "/home/me/a\nb", Reason: "wanted", Owner: "chezmoi", Source: "dot_a", Was: "file", Diff: "-a\n+b\n"},
		`{"verb":"create","target":"/home/me/caf\ufffd","target_base64":"L2hvbWUvbWUvY2Fm6Q=="}`: {Verb: "create", Target: "/home/me/caf\xe9"},
		`{"verb":"update","target":"x","source":"\ufffd","diff":"-\ufffd\n","source_base64":"/w==","diff_base64":"Lf4K"}`: {
			Verb: "update", Target: "x", Source: "\xff", Diff: "-\xfe\n"},
	} {
		got, err := json.Marshal(a)
		if err != nil || string(got) != want {
			t.Errorf("%s, %v, want %s", got, err, want)
		}
		var back Action
		if err := json.Unmarshal(got, &back); err != nil || back != a {
			t.Errorf("%+v came back as %+v, %v", a, back, err)
		}
	}
}

// TestActionsAreRedacted: a diff could show a secret, and so could a path.
func TestActionsAreRedacted(t *testing.T) {
	r := new(host.Redactor)
	r.Add("hunter2secret")
	const secret = "see hunter2secret"
	var got Event
	change := Change{{Verb: "update", Target: secret, Reason: secret, Owner: "chezmoi", Source: secret, Was: secret, Diff: secret}}
	Redacted(r, func(e Event) { got = e })(Event{Change: change})
	a := got.Change[0]
	for field, text := range map[string]string{"target": a.Target, "reason": a.Reason, "source": a.Source, "was": a.Was, "diff": a.Diff} {
		if text != r.String(secret) || text == secret {
			t.Errorf("%s is %q", field, text)
		}
	}
	if change[0].Diff != secret {
		t.Error("the event of other sinks was changed")
	}
}
