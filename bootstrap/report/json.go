package report

import (
	"encoding/json"
	"io"

	"movein/bootstrap"
)

// JSON returns a sink that writes each event as one JSON object on a line of its
// own, in one Write. A summary line has the summary's fields and the hint, "failed" is
// always a list, and "schema" is always bootstrap.Schema.
func JSON(w io.Writer) bootstrap.Sink {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return func(e bootstrap.Event) {
		e.Schema = bootstrap.Schema
		if e.Event != "summary" {
			e.Summary = nil
			_ = enc.Encode(e)
			return
		}
		sum := summaryOf(e)
		if sum.Failed == nil {
			sum.Failed = []string{}
		}
		_ = enc.Encode(bootstrap.Event{Schema: e.Schema, Time: e.Time, Event: e.Event, Hint: e.Hint, Summary: &sum})
	}
}

// summaryOf returns a copy of the event's summary, an empty one if there is none.
func summaryOf(e bootstrap.Event) bootstrap.Summary {
	if e.Summary == nil {
		return bootstrap.Summary{}
	}
	return *e.Summary
}
