package report

import (
	"errors"
	"fmt"
	"io"

	"github.com/sirupsen/logrus"

	"movein/bootstrap"
)

// CheckLevel returns an error that names the levels if level is not one of them.
// "" is one: "info".
func CheckLevel(level string) error {
	_, err := parseLevel(level)
	return err
}

func parseLevel(level string) (logrus.Level, error) {
	if level == "" {
		return logrus.InfoLevel, nil
	}
	l, err := logrus.ParseLevel(level)
	if err != nil || l < logrus.ErrorLevel {
		return logrus.InfoLevel, fmt.Errorf("log level %q is none of error, warn, info, debug, trace", level)
	}
	return l, nil
}

// Log returns a sink that writes each event as a line of key=value pairs with
// time, level, step, status and reason, and a line for each thing a step sets
// out to change. Level is as for CheckLevel: "debug" adds what is on the way,
// "trace" also progress.
func Log(w io.Writer, level string) (bootstrap.Sink, error) {
	l, err := parseLevel(level)
	if err != nil {
		return nil, err
	}
	logger := newLogger(w, l, &logrus.TextFormatter{
		DisableColors:   true,
		FullTimestamp:   true,
		TimestampFormat: "2006-01-02T15:04:05.000Z07:00",
	})
	applied := map[string]bool{}
	return func(e bootstrap.Event) {
		logEvent(logger, e)
		if !applied[e.Step] {
			logChange(logger, e)
		}
		applied[e.Step] = applied[e.Step] || e.Status == bootstrap.Applying
	}, nil
}

// lossy is a writer without errors: logrus would tell them on standard error,
// across the status line.
type lossy struct{ w io.Writer }

func (l lossy) Write(p []byte) (int, error) {
	_, _ = l.w.Write(p)
	return len(p), nil
}

// newLogger returns a logger with nothing in it that touches the process.
func newLogger(w io.Writer, level logrus.Level, f logrus.Formatter) *logrus.Logger {
	return &logrus.Logger{
		Out:       lossy{w},
		Formatter: f,
		Hooks:     logrus.LevelHooks{},
		Level:     level,
		ExitFunc:  func(int) {},
	}
}

func logEvent(logger *logrus.Logger, e bootstrap.Event) {
	fields := logrus.Fields{}
	for key, value := range map[string]string{
		"step": e.Step, "status": string(e.Status), "reason": e.Reason, "hint": e.Hint, "unit": e.Unit,
	} {
		if value != "" {
			fields[key] = value
		}
	}
	if e.Event == "progress" {
		fields["done"], fields["total"] = e.Done, e.Total
	}
	if e.Event == "summary" {
		sum := summaryOf(e)
		fields["changed"], fields["exit_code"], fields["duration_ms"] = sum.Changed, sum.ExitCode, sum.DurationMS
		fields["reboot_required"], fields["generation"] = sum.RebootRequired, sum.Generation
		if len(sum.Failed) > 0 {
			fields["failed"] = fmt.Sprint(sum.Failed)
		}
		if len(sum.SkippedFiles) > 0 {
			fields["skipped_files"] = fmt.Sprintf("%q", sum.SkippedFiles)
		}
		if sum.Error != "" {
			fields[logrus.ErrorKey] = errors.New(sum.Error)
		}
	}
	logger.WithTime(e.Time).WithFields(fields).Log(levelOf(e), e.Event)
}

// logChange logs what a step sets out to change, or in a dry run would.
func logChange(logger *logrus.Logger, e bootstrap.Event) {
	for _, a := range e.Change {
		fields := logrus.Fields{"step": e.Step, "verb": a.Verb, "target": a.Target}
		if a.Reason != "" {
			fields["reason"] = a.Reason
		}
		logger.WithTime(e.Time).WithFields(fields).Info("change")
	}
}

// levelOf returns how much an event matters.
func levelOf(e bootstrap.Event) logrus.Level {
	switch e.Event {
	case "progress":
		return logrus.TraceLevel
	case "warning":
		return logrus.WarnLevel
	case "summary":
		if sum := summaryOf(e); len(sum.Failed) > 0 || sum.Error != "" {
			return logrus.ErrorLevel
		}
		return logrus.InfoLevel
	}
	switch e.Status {
	case bootstrap.Failed:
		return logrus.ErrorLevel
	case bootstrap.Waiting, bootstrap.Blocked:
		return logrus.WarnLevel
	case bootstrap.Pending, bootstrap.Running:
		return logrus.DebugLevel
	}
	return logrus.InfoLevel
}
