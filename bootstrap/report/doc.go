// Package report tells of a run: lines for people, a status line on a terminal,
// JSON lines for scripts and a log file. Each is a bootstrap.Sink.
//
// No sink asks the system anything: the caller says where to write, how wide
// that is, and whether it is a terminal. Times are those of the events. What a
// sink cannot write is lost, and the run goes on.
//
// Text of events may come from anywhere, so control characters and escape
// sequences in it are taken out before people see it. Secrets are not: see
// bootstrap.Redacted.
package report
