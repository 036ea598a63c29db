package report_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"movein/bootstrap/report"
)

// seen is an object of "movein status --json", of a day in November.
func seen(t *testing.T, host string, day int, more string) report.Seen {
	t.Helper()
	line := fmt.Sprintf(`{"schema":1,"event":"status","host":%q,"time":"2026-11-%02dT12:00:00Z"%s}`, host, day, more)
	all, err := report.ReadSeen("x.json", []byte(line))
	if err != nil || len(all) != 1 {
		t.Fatalf("%s: %v", line, err)
	}
	return all[0]
}

const (
	good    = `,"user":"me","generation":"/nix/store/9vx2k4l1m8c0-home-manager-generation","in_sync":true`
	drifted = `,"user":"me","generation":"/nix/store/9vx2k4l1m8c0-home-manager-generation","drift":[{"event":"step","step":"home-activate","status":"changed","change":[{"verb":"create","target":"/a"}]}]`
	lost    = `,"error":"unreachable"`
)

func table(t *testing.T, seen ...report.Seen) string {
	t.Helper()
	var out strings.Builder
	if err := report.NewFleet(seen).Table(&out, time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC), report.TextOptions{}); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestSinceIsTheFirstOfTheSameWithoutAnotherBetween(t *testing.T) {
	for _, c := range []struct {
		name string
		days []string // what was seen from the first of November on
		want string
	}{
		{"once", []string{drifted}, "drifted  20 d"},
		{"twice", []string{drifted, drifted}, "drifted  20 d"},
		{"mended between", []string{drifted, good, drifted}, "drifted  18 d"},
		{"mended", []string{drifted, good}, "in sync"},
		{"lost", []string{good, lost, lost}, "failed  19 d"},
		{"lost and found", []string{drifted, lost, drifted}, "drifted  18 d"},
	} {
		var all []report.Seen
		for i, more := range c.days {
			all = append([]report.Seen{seen(t, "a", i+1, more)}, all...) // in any order
		}
		if got := table(t, all...); !strings.Contains(got, "me@a") && c.name != "lost" || !strings.Contains(got, c.want) {
			t.Errorf("%s: want %q in\n%s", c.name, c.want, got)
		}
	}
}

func TestAHostThatIsLostKeepsWhatIsKnownOfIt(t *testing.T) {
	got := table(t, seen(t, "a", 1, good), seen(t, "a", 2, lost))
	if !strings.Contains(got, "me@a") || !strings.Contains(got, "9vx2k4l") || !strings.Contains(got, "unreachable") {
		t.Errorf("the table is\n%s", got)
	}
}

func TestWhatIsWrongComesFirst(t *testing.T) {
	got := table(t, seen(t, "a", 1, good), seen(t, "b", 1, drifted), seen(t, "c", 1, lost))
	c, b, a := strings.Index(got, "\nc "), strings.Index(got, "me@b"), strings.Index(got, "me@a")
	if c < 0 || b < c || a < b || !strings.Contains(got, "3 homes: 1 failed, 1 drifted, 1 in sync") {
		t.Errorf("the table is\n%s", got)
	}
}

// The events of a run have no host: the file's name tells it.
func TestARunIsOfTheHostThatItsFileNames(t *testing.T) {
	for name, c := range map[string]struct{ events, want string }{
		"a plan": {`{"event":"step","step":"nix-config","status":"changed","change":[{"verb":"write","target":"/etc/nix/movein.conf"}]}
{"event":"summary","changed":true,"dry_run":true,"failed":[],"exit_code":0,"generation":"/nix/store/x-g"}`, "desk  drifted"},
		"a run": {`{"event":"step","step":"nix-config","status":"changed"}
{"event":"summary","changed":true,"failed":[],"exit_code":0,"generation":"/nix/store/x-g"}`, "desk  in sync"},
		"a failure": {`{"event":"step","step":"nix-fetch","status":"failed","reason":"no network"}
{"event":"summary","failed":["nix-fetch"],"exit_code":69,"generation":""}`, "nix-fetch: no network"},
	} {
		all, err := report.ReadSeen("/somewhere/desk.json", []byte("Text of others.\n"+c.events))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if got := table(t, all...); !strings.Contains(got, c.want) {
			t.Errorf("%s: want %q in\n%s", name, c.want, got)
		}
	}
}

func TestAFileThatSaysNothingOfAHostIsRefused(t *testing.T) {
	for _, text := range []string{"", "hello\n", "{}", `{"event":"status"`, `{"event":"step","step":"x"}`} {
		if all, err := report.ReadSeen("x.json", []byte(text)); err == nil {
			t.Errorf("%q is taken for %+v", text, all)
		}
	}
}

// What hosts say of themselves is not trusted to be text.
func TestNothingOfAHostIsMarkupOrAnEscape(t *testing.T) {
	evil := seen(t, `<script>\u001b[2J`, 1, `,"user":"<b>","nix":"\"><img>","generation":"/nix/store/<i>-x","error":"</td>\u001b]0;x\u0007"`)
	var page strings.Builder
	if err := report.NewFleet([]report.Seen{evil}).HTML(&page, time.Now()); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"<script", "<b>", "<img", "<i>", "</td>\x1b", "\x1b"} {
		if strings.Contains(page.String(), bad) {
			t.Errorf("the page has %q", bad)
		}
	}
	if got := table(t, evil); strings.Contains(got, "\x1b") {
		t.Errorf("the table has an escape: %q", got)
	}
}

func TestThePageNeedsNothingElse(t *testing.T) {
	var page strings.Builder
	if err := report.NewFleet([]report.Seen{seen(t, "a", 1, drifted)}).HTML(&page, time.Now()); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"http:", "https:", "<script", "@import", "url("} {
		if strings.Contains(page.String(), bad) {
			t.Errorf("the page has %q", bad)
		}
	}
	if !strings.Contains(page.String(), "home-activate: create /a") || !strings.Contains(page.String(), `name="viewport"`) {
		t.Errorf("the page is\n%s", page.String())
	}
}
