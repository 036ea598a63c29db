package report

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/sirupsen/logrus"

	"movein/bootstrap"
)

// summary writes what is left to say at the end of a run.
func (t *text) summary(e bootstrap.Event) {
	sum := summaryOf(e)
	sum.Failed = slices.Clone(sum.Failed)
	for i, name := range sum.Failed {
		sum.Failed[i] = oneLine(name)
	}
	t.o.DryRun = t.o.DryRun || sum.DryRun
	if t.o.DryRun {
		t.plan()
	}
	n := t.counts()
	if idle := n[bootstrap.Unchanged]; idle > 0 && !t.o.Verbose && idle+n[bootstrap.Skipped] < len(t.order) {
		t.say(logrus.InfoLevel, t.head(dim, t.marks.ok, t.paint(dim, t.idle(idle)), "", ""))
	}
	if !t.o.Verbose {
		t.blocked(sum)
	}
	t.skipped(sum)
	level, line := logrus.InfoLevel, t.verdict(e, sum, n)
	if len(sum.Failed) > 0 || sum.Error != "" {
		level = logrus.ErrorLevel
	}
	t.gap = true
	t.say(level, line)
}

// idle says that n steps changed nothing.
func (t *text) idle(n int) string {
	switch {
	case !t.o.DryRun:
		return count(n, "step") + " had nothing to do"
	case n == 1:
		return "1 step has nothing to do"
	}
	return count(n, "step") + " have nothing to do"
}

// counts returns how many steps ended how.
func (t *text) counts() map[bootstrap.Status]int {
	n := map[bootstrap.Status]int{}
	for _, s := range t.steps {
		n[s.end.Status]++
	}
	return n
}

// named returns the names of the steps that ended so.
func (t *text) named(st bootstrap.Status) []string {
	var names []string
	for _, name := range t.order {
		if t.steps[name].end.Status == st {
			names = append(names, t.steps[name].name)
		}
	}
	return names
}

// blocked writes which steps were not done and why, in one paragraph.
func (t *text) blocked(sum bootstrap.Summary) {
	names := t.named(bootstrap.Blocked)
	if len(names) == 0 {
		return
	}
	because := "not done"
	failed, waiting := t.named(bootstrap.Failed), t.named(bootstrap.Waiting)
	switch {
	case sum.ExitCode == bootstrap.ExitInterrupted:
		because = "not done, because of the interruption"
	case len(failed) > 0:
		because = "not done, because " + strings.Join(failed, " and ") + " failed"
	case len(waiting) > 0:
		because = "not done before the reboot"
	}
	t.say(logrus.WarnLevel, t.block(dim, t.marks.none, "", because+": "+strings.Join(names, ", "), "", ""))
}

// skipped names the files that were not made for lack of a secret.
func (t *text) skipped(sum bootstrap.Summary) {
	const most = 5
	names := slices.Clone(sum.SkippedFiles)
	if len(names) == 0 {
		return
	}
	for i, name := range names {
		names[i] = t.below(oneLine(name))
	}
	if more := len(names) - most; more > 0 && !t.o.Verbose {
		names = append(names[:most], fmt.Sprintf("and %d more", more))
	}
	t.say(logrus.WarnLevel, t.block(yellow, t.marks.warn, "", "skipped, because a secret is not to be had: "+strings.Join(names, ", "),
		"open the vault, then run: movein apply --refresh", ""))
}

// verdict returns the last sentence.
func (t *text) verdict(e bootstrap.Event, sum bootstrap.Summary, n map[bootstrap.Status]int) string {
	took := duration(time.Duration(sum.DurationMS) * time.Millisecond)
	again := "Run the same command again; what was done stays done."
	if t.o.DryRun {
		again = "Nothing was changed."
	}
	switch {
	case sum.ExitCode == bootstrap.ExitInterrupted:
		if !t.o.DryRun {
			again = "Run the same command again to go on; what was done stays done."
		}
		return t.sentence(yellow, "Interrupted after "+took+".", again)
	case len(sum.Failed) > 0:
		return t.sentence(red, "Failed: "+strings.Join(sum.Failed, ", ")+".", t.after(sum, again))
	case sum.Error != "":
		return t.block(red, t.marks.fail, "", clean(sum.Error), e.Hint, "")
	case t.o.DryRun:
		return t.planned(took, n)
	case sum.RebootRequired:
		held := n[bootstrap.Waiting] + n[bootstrap.Blocked]
		if sum.Resumes {
			return t.sentence(yellow, "After the restart movein goes on by itself:",
				fmt.Sprintf("%s for it. See it then with: journalctl --follow --unit movein-resume", waits(held)))
		}
		return t.sentence(yellow, t.restart()+", then run the same command again:",
			fmt.Sprintf("%s for it. %s in %s.", waits(held), changedSteps(n), took))
	case n[bootstrap.Changed] == 0 && !sum.Changed:
		return t.sentence(green, "Nothing to do", fmt.Sprintf("(%s checked in %s).", count(n[bootstrap.Unchanged]+n[bootstrap.Skipped], "step"), took))
	}
	more := changedSteps(n)
	if n[bootstrap.Unchanged] > 0 {
		more += fmt.Sprintf(", %d unchanged", n[bootstrap.Unchanged])
	}
	more += "."
	if sum.Generation != "" {
		more += " Generation " + short(sum.Generation) + "."
	}
	return t.sentence(green, "Done in "+took+".", more)
}

// restart returns what waiting steps wait for: under WSL, nothing of the machine is booted.
func (t *text) restart() string {
	for _, s := range t.steps {
		if s.end.Status == bootstrap.Waiting && strings.Contains(s.end.Reason, "WSL") {
			return "Restart WSL"
		}
	}
	return "Reboot"
}

// after returns what to do after a failure.
func (t *text) after(sum bootstrap.Summary, again string) string {
	hinted := false
	for _, s := range t.steps {
		hinted = hinted || s.end.Status == bootstrap.Failed && s.end.Hint != ""
	}
	switch {
	case t.o.DryRun:
		return again
	case sum.RebootRequired:
		return t.restart() + ", then run the same command again; what was done stays done."
	case hinted:
		return "Do what it says above, then run the same command again; what was done stays done."
	}
	return again
}

// sentence returns a sentence in colour and what follows it, below it if it is long.
func (t *text) sentence(color, first, rest string) string {
	gap := " "
	if columns(first)+1+columns(rest) > t.o.Width {
		gap, rest = "\n", strings.Join(wrap(rest, t.o.Width), "\n")
		first = strings.Join(wrap(first, t.o.Width), "\n")
	}
	return t.paint(color, first) + gap + rest
}

func waits(n int) string {
	if n == 1 {
		return "1 step waits"
	}
	return count(n, "step") + " wait"
}

func changedSteps(n map[bootstrap.Status]int) string {
	return count(n[bootstrap.Changed], "step") + " changed"
}

// short returns the beginning of a store path's hash.
func short(storePath string) string {
	hash, _, _ := strings.Cut(path.Base(oneLine(storePath)), "-")
	return cut(hash, 8, "")
}
