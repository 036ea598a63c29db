package report

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"time"

	"movein/bootstrap"
)

// Seen is what was seen of a home on a host at one moment, as "movein status --json" has it.
type Seen struct {
	Time          time.Time         `json:"time"`
	Host          string            `json:"host"`
	User          string            `json:"user"`
	Repo          string            `json:"home_repo"`
	Commit        string            `json:"commit"`
	Configuration string            `json:"configuration"`
	Generation    string            `json:"generation"`
	Number        int               `json:"generation_number"`
	Activated     time.Time         `json:"activated"`
	Locked        time.Time         `json:"locked"` // of the newest of the flake's inputs
	Nix           string            `json:"nix"`
	NixKind       string            `json:"nix_kind"`
	Drift         []bootstrap.Event `json:"drift"`
	InSync        bool              `json:"in_sync"`
	Error         string            `json:"error"` // why nothing, or not all, is known
}

// state is what a host is in: "in sync", "drifted", "empty" (no generation), "failed".
func (s Seen) state() string {
	switch {
	case s.Error != "" || slices.ContainsFunc(s.Drift, func(e bootstrap.Event) bool { return e.Status == bootstrap.Failed }):
		return "failed"
	case s.InSync:
		return "in sync"
	case s.Generation == "" && len(s.Drift) == 0:
		return "empty"
	}
	return "drifted"
}

// ReadSeen reads what a file has of hosts: objects of "movein status --json", one a
// line, or the events of a run, whose host has the file's name. Other lines are passed over.
func ReadSeen(name string, data []byte) (all []Seen, err error) {
	run := Seen{Host: strings.TrimSuffix(filepath.Base(name), filepath.Ext(name))}
	lines := bufio.NewScanner(bytes.NewReader(data))
	lines.Buffer(nil, 1<<24)
	for n := 1; lines.Scan(); n++ {
		line := bytes.TrimSpace(lines.Bytes())
		if !bytes.HasPrefix(line, []byte("{")) {
			continue
		}
		var e bootstrap.Event
		if err := json.Unmarshal(line, &e); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		switch e.Event {
		case "status":
			var s Seen
			if err := json.Unmarshal(line, &s); err != nil {
				return nil, fmt.Errorf("line %d: %w", n, err)
			}
			all = append(all, s)
		case "step":
			if e.Status == bootstrap.Changed || e.Status == bootstrap.Failed {
				run.Drift = append(run.Drift, e)
			}
		case "summary":
			all = append(all, run.ended(e))
			run.Drift = nil
		}
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, errors.New("there is no object of \"movein status --json\" in it, and no summary of a run")
	}
	return all, nil
}

// ended is what a run's steps and its summary say of the host.
func (s Seen) ended(e bootstrap.Event) Seen {
	sum := summaryOf(e)
	s.Time, s.Generation, s.Error = e.Time, sum.Generation, sum.Error
	if !sum.DryRun { // what it changed is as it is wanted now
		s.Drift = slices.DeleteFunc(s.Drift, func(e bootstrap.Event) bool { return e.Status == bootstrap.Changed })
	}
	s.InSync = sum.Generation != "" && len(s.Drift) == 0 && sum.Error == "" && !sum.RebootRequired
	return s
}

// member is a home in a report.
type member struct {
	Seen
	state string
	since time.Time // when the host was first seen in this state, without another in between
}

// Fleet is what is known of hosts, in the order of a report: what is wrong first.
type Fleet []member

// order of states in a report.
var order = []string{"failed", "drifted", "empty", "in sync"}

// NewFleet merges what was seen: of each home the newest counts, what is older tells since when.
func NewFleet(seen []Seen) (f Fleet) {
	seen = slices.Clone(seen)
	sort.SliceStable(seen, func(i, j int) bool {
		return cmp.Or(cmp.Compare(seen[i].Host, seen[j].Host), seen[i].Time.Compare(seen[j].Time)) < 0
	})
	at := map[string]int{}
	for _, s := range seen {
		i, known := at[s.Host+"\x00"+s.User]
		if !known && s.User == "" { // one that could not be reached did not say whose home it is
			i, known = at[s.Host]
		}
		if !known {
			i = len(f)
			f = append(f, member{})
		}
		at[s.Host+"\x00"+s.User], at[s.Host] = i, i
		r := member{s, s.state(), s.Time}
		if known && f[i].state == r.state {
			r.since = f[i].since
		}
		if old := f[i].Seen; known && r.Error != "" && r.Generation == "" { // what is known is from before
			old.Time, old.Drift, old.InSync, old.Error = r.Time, nil, false, r.Error
			r.Seen = old
		}
		f[i] = r
	}
	sort.SliceStable(f, func(i, j int) bool {
		return slices.Index(order, f[i].state) < slices.Index(order, f[j].state)
	})
	return f
}

// InSync reports whether all hosts are.
func (f Fleet) InSync() bool {
	return !slices.ContainsFunc(f, func(r member) bool { return r.state != "in sync" })
}

// counts is how many hosts are in which state, in words: "2 drifted, 10 in sync".
func (f Fleet) counts() string {
	var parts []string
	for _, state := range order {
		n := 0
		for _, r := range f {
			if r.state == state {
				n++
			}
		}
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, state))
		}
	}
	return strings.Join(parts, ", ")
}

// cells are a host's columns.
func (r member) cells(now time.Time) (c struct{ host, state, since, generation, nix, lock string }) {
	c.host, c.state = clean(r.Host), r.state
	if r.User != "" {
		c.host = clean(r.User) + "@" + c.host
	}
	if r.state != "in sync" {
		c.since = age(now, r.since)
	}
	if r.Generation != "" {
		hash, _, _ := strings.Cut(strings.TrimPrefix(r.Generation, "/nix/store/"), "-")
		c.generation = clean(hash[:min(7, len(hash))])
		if r.Number > 0 {
			c.generation = fmt.Sprintf("%d %s", r.Number, c.generation)
		}
	}
	c.nix, c.lock = clean(strings.TrimSpace(r.Nix+" "+r.NixKind)), age(now, r.Locked)
	return c
}

// details are what is wrong with a host, a line each.
func (r member) details() (all []string) {
	if r.Error != "" {
		all = append(all, oneLine(r.Error))
	}
	for _, e := range r.Drift {
		for _, a := range e.Change {
			all = append(all, oneLine(e.Step+": "+a.Verb+" "+a.Target))
		}
		if e.Reason != "" {
			all = append(all, oneLine(e.Step+": "+e.Reason))
		}
	}
	return all
}

// age is how long ago t was, in its largest unit; "" if it is unknown.
func age(now, t time.Time) string {
	d := now.Sub(t)
	switch {
	case t.IsZero():
		return ""
	case d < time.Minute:
		return "now"
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	}
	return fmt.Sprintf("%d d", int(d.Hours()/24))
}
