package bootstrap_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"movein/bootstrap"
	"movein/bootstrap/host"
)

func TestASecretNeverLeavesARedactedSink(t *testing.T) {
	const secret = "hunter2hunter2"
	leak := "x " + secret + " y"
	events := map[string]bootstrap.Event{
		"reason":        {Reason: leak},
		"hint":          {Hint: leak},
		"target":        {Change: bootstrap.Change{{Verb: "clone", Target: leak}}},
		"second target": {Change: bootstrap.Change{{Target: "x"}, {Target: leak}}},
		"change reason": {Change: bootstrap.Change{{Verb: "write", Target: "/x", Reason: leak}}},
		"summary error": {Event: "summary", Summary: &bootstrap.Summary{Error: leak}},
	}
	var r host.Redactor
	r.Add(secret)
	for name, e := range events {
		before, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		var got []bootstrap.Event
		bootstrap.Redacted(&r, record(&got))(e)
		if len(got) != 1 {
			t.Fatalf("%s: %d events came through", name, len(got))
		}
		out, err := json.Marshal(got[0])
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(out), secret) || !strings.Contains(string(out), "x [redacted] y") {
			t.Errorf("%s: %s", name, out)
		}
		if after, _ := json.Marshal(e); string(after) != string(before) {
			t.Errorf("%s: the event itself was changed, which others hold: %s", name, after)
		}
	}
}

func TestARedactedSinkPassesTheRest(t *testing.T) {
	e := bootstrap.Event{
		Schema: 1, Time: time.Now(), Event: "step", Step: "a", Title: "The step a", Status: bootstrap.Failed, Code: 73,
		Change: bootstrap.Change{{Verb: "write", Target: "/x", Reason: "is missing"}}, Reason: "boom", Hint: "again", Done: 1, Total: 2, Unit: "paths",
		Summary: &bootstrap.Summary{Changed: true, Failed: []string{"a"}, ExitCode: 73, Error: "boom"},
	}
	var got []bootstrap.Event
	bootstrap.Redacted(new(host.Redactor), record(&got))(e)
	if !reflect.DeepEqual(got, []bootstrap.Event{e}) {
		t.Errorf("\n got %+v\nwant %+v", got, e)
	}
}

func TestTeeTellsEverySinkInOrder(t *testing.T) {
	var got []string
	sink := func(name string) bootstrap.Sink {
		return func(e bootstrap.Event) { got = append(got, name+e.Step) }
	}
	tee := bootstrap.Tee(sink("first "), sink("second "))
	tee(bootstrap.Event{Step: "a"})
	tee(bootstrap.Event{Step: "b"})
	if s := strings.Join(got, ", "); s != "first a, second a, first b, second b" {
		t.Error(s)
	}
}

func TestStatuses(t *testing.T) {
	tests := []struct {
		status      bootstrap.Status
		final, done bool
	}{
		{bootstrap.Pending, false, false},
		{bootstrap.Running, false, false},
		{bootstrap.Applying, false, false},
		{bootstrap.Unchanged, true, true},
		{bootstrap.Changed, true, true},
		{bootstrap.Skipped, true, true},
		{bootstrap.Waiting, true, false},
		{bootstrap.Failed, true, false},
		{bootstrap.Blocked, true, false},
	}
	for _, tc := range tests {
		if tc.status.Final() != tc.final || tc.status.Done() != tc.done {
			t.Errorf("%s: final %t, done %t", tc.status, tc.status.Final(), tc.status.Done())
		}
	}
}

// The interface for scripts: what is here may get more fields, and may not lose one without a new Schema.
func TestJSONOfEvents(t *testing.T) {
	at := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	tests := []struct {
		name string
		e    bootstrap.Event
		want string
	}{
		{"step", bootstrap.Event{
			Schema: bootstrap.Schema, Time: at, Event: "step", Step: "nix-config", Title: "Configure Nix", Status: bootstrap.Failed, Code: 1,
			Change: bootstrap.Change{{Verb: "write", Target: "/etc/nix/nix.conf", Reason: "has no flakes"}}, Reason: "boom", Hint: "again",
		}, `{"schema":1,"time":"2026-07-01T12:00:00Z","event":"step","step":"nix-config","status":"failed",` +
			`"change":[{"verb":"write","target":"/etc/nix/nix.conf","reason":"has no flakes"}],"reason":"boom","hint":"again","code":1}`},
		{"progress", bootstrap.Event{Schema: 1, Time: at, Event: "progress", Step: "nix-fetch", Done: 3, Total: 9, Unit: "bytes"},
			`{"schema":1,"time":"2026-07-01T12:00:00Z","event":"progress","step":"nix-fetch","done":3,"total":9,"unit":"bytes"}`},
		{"summary", bootstrap.Event{Schema: 1, Time: at, Event: "summary", Summary: &bootstrap.Summary{Failed: []string{}}},
			`{"schema":1,"time":"2026-07-01T12:00:00Z","event":"summary","changed":false,"failed":[],"reboot_required":false,"exit_code":0,"generation":"","duration_ms":0}`},
	}
	for _, tc := range tests {
		got, err := json.Marshal(tc.e)
		if err != nil || string(got) != tc.want {
			t.Errorf("%s: %v\n got %s\nwant %s", tc.name, err, got, tc.want)
		}
	}
}
