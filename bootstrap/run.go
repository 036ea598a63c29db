package bootstrap

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"movein/bootstrap/host"
)

// Options say how to run.
type Options struct {
	DryRun bool     // plan, and change nothing
	Skip   []string // names of steps to pass over
	Jobs   int      // how many steps at a time; 0: as many as can

	User Half // does the steps of the user
	Root Half // does the steps of root
	// Escalate is called at most once, before the first step, when there is work
	// for root that User alone can see but not do. Nil: Root is there already.
	Escalate func(ctx context.Context) error
	View     host.View // looks as whoever started the program
	// Touched is called before each change, by whoever is about to make it. May be nil.
	Touched func()
}

// Outcome is what became of a run.
type Outcome struct {
	Steps []Event // the last event of each step, in the graph's order
}

// Run brings every step of g to its end. A failure stops only the steps that
// need the failed one. Events go to sink, one at a time.
func Run(ctx context.Context, g *Graph, sink Sink, opt Options) Outcome {
	r := &run{
		g: g, sink: sink, opt: opt,
		last: map[string]Event{},
		busy: map[string]bool{},
		news: make(chan Event),
		seen: map[string]Event{},
		told: map[string]bool{},
	}
	for _, s := range g.steps {
		r.last[s.Info().Name] = stepEvent(opt.View, s.Info(), Pending)
	}
	if opt.Escalate != nil && !opt.DryRun && r.rootWork(ctx) && ctx.Err() == nil {
		r.denied = opt.Escalate(ctx)
	}
	r.loop(ctx)
	var out Outcome
	for _, name := range g.Names() {
		out.Steps = append(out.Steps, r.last[name])
	}
	return out
}

// run is the state of one run. Only the goroutine of loop touches it; the steps
// send it news.
type run struct {
	g      *Graph
	sink   Sink
	opt    Options
	denied error // why there is no root half

	seen    map[string]Event // what the user saw of root's steps, before the first step
	touched bool             // something was changed since

	last map[string]Event
	busy map[string]bool // exclusive things in use
	told map[string]bool // warnings, each with its step
	news chan Event
}

func (r *run) loop(ctx context.Context) {
	for running := 0; ; {
		running += r.start(ctx, running)
		if running == 0 {
			return
		}
		e := <-r.news
		r.note(e)
		if e.Event == "step" && e.Status.Final() {
			running--
			delete(r.busy, r.g.Step(e.Step).Info().Exclusive)
		}
	}
}

// start starts every step that can start now and says how many those are.
func (r *run) start(ctx context.Context, running int) (started int) {
	for _, s := range r.g.steps {
		info := s.Info()
		if r.last[info.Name].Status != Pending {
			continue
		}
		ready, why := r.ready(info)
		switch {
		case why != "":
			r.note(r.event(info, Blocked, why))
		case !ready || r.busy[info.Exclusive]:
		case ctx.Err() != nil:
			r.note(r.event(info, Blocked, context.Cause(ctx).Error()))
		case slices.Contains(r.opt.Skip, info.Name):
			r.note(r.event(info, Skipped, "asked to"))
		case r.opt.Jobs > 0 && running+started >= r.opt.Jobs:
			return started
		default:
			if info.Exclusive != "" {
				r.busy[info.Exclusive] = true
			}
			r.note(r.event(info, Running, ""))
			started++
			seen, known := r.seen[info.Name]
			if r.touched || !known {
				go func() { r.news <- r.do(ctx, s) }()
			} else {
				go func() { r.news <- r.doSeen(ctx, s, seen) }()
			}
		}
	}
	return started
}

// ready reports whether all that the step needs is done, or why it never will be.
func (r *run) ready(info Info) (ready bool, why string) {
	ready = true
	for _, need := range info.Needs {
		st := r.last[need].Status
		if st.Final() && !st.Done() {
			return false, fmt.Sprintf("%s is %s", need, st)
		}
		ready = ready && st.Done()
	}
	return ready, ""
}

// tell sends an event on the way of a step's, whose goroutine goes on only then.
func (r *run) tell(e Event) {
	if e.Status == Applying && r.opt.Touched != nil {
		r.opt.Touched()
	}
	r.news <- e
}

// do runs one step to its end, in a goroutine of its own.
func (r *run) do(ctx context.Context, s Step) Event {
	tell, info := r.tell, s.Info()
	if info.As != Root {
		return r.opt.User.Do(ctx, s, r.opt.DryRun, tell)
	}
	if r.opt.Escalate == nil {
		return r.opt.Root.Do(ctx, s, r.opt.DryRun, tell)
	}
	// As the user first: whoever finds nothing to do needs no root.
	return r.doSeen(ctx, s, r.opt.User.Do(ctx, s, true, tell))
}

// doSeen does a step of root's of which the user has seen that it would come to e.
func (r *run) doSeen(ctx context.Context, s Step, e Event) Event {
	info, tell := s.Info(), r.tell
	e.Time = r.opt.View.Now()
	if r.opt.DryRun || e.Status.Final() && e.Status != Changed && e.Code != ExitPermission {
		return e
	}
	if r.denied != nil {
		f := r.event(info, Failed, "needs root to "+describe(e.Change)+": "+r.denied.Error())
		f.Hint, f.Code, f.Change = HintOf(r.denied), ExitCode(r.denied), e.Change
		return f
	}
	return r.opt.Root.Do(ctx, s, false, tell)
}

// rootWork reports whether a root step has something to do, as far as the user
// can see now: so a password is asked for before anything else, or not at all.
func (r *run) rootWork(ctx context.Context) (work bool) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, s := range r.g.steps {
		info := s.Info()
		if info.As != Root || slices.Contains(r.opt.Skip, info.Name) {
			continue
		}
		wg.Go(func() {
			e := r.opt.User.Do(ctx, s, true, func(Event) {})
			mu.Lock()
			defer mu.Unlock()
			r.seen[info.Name] = e
			work = work || e.Status == Changed || e.Code == ExitPermission
		})
	}
	wg.Wait()
	return work
}

func (r *run) event(info Info, st Status, reason string) Event {
	e := stepEvent(r.opt.View, info, st)
	e.Reason = reason
	return e
}

// note takes an event in and tells it; the same warning of a step, which plans
// more than once, is told once.
func (r *run) note(e Event) {
	if e.Time.IsZero() {
		e.Time = r.opt.View.Now()
	}
	if e.Event == "warning" {
		key := e.Step + ": " + e.Reason
		if r.told[key] {
			return
		}
		r.told[key] = true
	}
	if e.Event == "step" {
		r.last[e.Step] = e
		r.touched = r.touched || e.Status == Applying
	}
	r.sink(e)
}

// describe is a change in one line.
func describe(c Change) string {
	if len(c) == 0 {
		return "look"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s", c[0].Verb, c[0].Target)
	if len(c) > 1 {
		fmt.Fprintf(&b, " and %d more", len(c)-1)
	}
	return b.String()
}
