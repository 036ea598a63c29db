package report

import (
	"fmt"
	"time"

	"github.com/sirupsen/logrus"

	"movein/bootstrap"
)

// meter follows one progress: how far it is and how fast.
type meter struct {
	done, total int64
	unit        string
	began       time.Time
	from, mid   sample // the rate is measured from here, and next from there
}

type sample struct {
	at   time.Time
	done int64
}

// window is how long a rate is measured for, at least, when that much was seen.
const window = 3 * time.Second

// note takes a progress event in and reports whether it begins another progress.
func (m *meter) note(e bootstrap.Event) (fresh bool) {
	fresh = m.began.IsZero() || e.Unit != m.unit || e.Total != m.total || e.Done < m.done
	now := sample{e.Time, e.Done}
	if fresh {
		*m = meter{began: e.Time, from: now, mid: now}
	}
	m.done, m.total, m.unit = e.Done, e.Total, e.Unit
	if e.Time.Sub(m.mid.at) >= window {
		m.from, m.mid = m.mid, now
	}
	return fresh
}

// active reports whether there is something to draw: begun and not at its end.
func (m *meter) active() bool { return !m.began.IsZero() && (m.total <= 0 || m.done < m.total) }

// rate returns bytes per second, "" when it is not known or these are no bytes.
func (m *meter) rate(now time.Time) string {
	seconds := now.Sub(m.from.at).Seconds()
	if m.unit != "bytes" || seconds < 0.5 || m.done <= m.from.done {
		return ""
	}
	return size(int64(float64(m.done-m.from.done)/seconds)) + "/s"
}

// words returns how far it is, and how fast.
func (m *meter) words(now time.Time) string {
	words := amount(m.done, m.total, m.unit)
	if rate := m.rate(now); rate != "" {
		words += "  " + rate
	}
	return words
}

// tellProgress writes a line at each quarter, or ten seconds after the last one,
// of what has taken more than a second. Its end is not told: the step's is.
func (t *text) tellProgress(e bootstrap.Event) {
	s := t.of(e)
	if s.meter.note(e) {
		s.told, s.quarter = e.Time, 0
	}
	if e.Time.Sub(s.meter.began) <= time.Second || !s.meter.active() {
		return
	}
	quarter := int64(0)
	if e.Total > 0 {
		quarter = int64(4 * float64(e.Done) / float64(e.Total))
	}
	if quarter <= s.quarter && e.Time.Sub(s.told) < 10*time.Second {
		return
	}
	s.told, s.quarter = e.Time, max(s.quarter, quarter)
	words := s.meter.words(e.Time)
	if e.Total > 0 {
		words = fmt.Sprintf("%2d %%  %s", int(100*float64(e.Done)/float64(e.Total)), words)
	}
	t.say(logrus.InfoLevel, t.head(dim, t.marks.none, s.title, words, ""))
}
