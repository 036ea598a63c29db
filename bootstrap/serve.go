package bootstrap

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"

	"movein/bootstrap/host"
)

// The two halves of a run talk in JSON lines. The first line that the other half
// writes is a hello event; then each order it reads is a step to do, and each
// line it writes is an Event of one of them, the last of a step with its final
// status. When its input ends, it stops what it is doing and goes.

// order is one line to the other half.
type order struct {
	Step   string `json:"step,omitempty"`
	Dry    bool   `json:"dry,omitempty"`
	Cancel bool   `json:"cancel,omitempty"` // interrupt everything
}

// line is one line from the other half. Title is not part of an event's JSON.
type line struct {
	Event
	Title string `json:"title,omitempty"`
}

// Serve is the other half's main loop: it does the steps of g that it is told
// on in, with l, and tells it without secrets. It returns when in has ended and every step with it.
func Serve(ctx context.Context, in io.Reader, out io.Writer, g *Graph, l *Local, secrets *host.Redactor) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var mu sync.Mutex
	enc := json.NewEncoder(out)
	tell := Redacted(secrets, func(e Event) {
		mu.Lock()
		defer mu.Unlock()
		enc.Encode(line{e, e.Title}) //nolint:errcheck // a reader that is gone ends in too
	})
	tell(Event{Schema: Schema, Event: "hello"})
	var wg sync.WaitGroup
	defer wg.Wait()
	dec := json.NewDecoder(bufio.NewReader(in))
	for {
		var o order
		if err := dec.Decode(&o); err != nil {
			cancel(ErrInterrupted)
			if errors.Is(err, io.EOF) {
				return nil
			}
			return fmt.Errorf("reading orders: %w", err)
		}
		s := g.Step(o.Step)
		switch {
		case o.Cancel:
			cancel(ErrInterrupted)
		case s == nil:
			tell(Event{Schema: Schema, Event: "step", Step: o.Step, Status: Failed, Code: ExitFailed, Reason: "unknown step"})
		default:
			wg.Go(func() { tell(l.Do(ctx, s, o.Dry, tell)) })
		}
	}
}

// Remote is a half in another process.
type Remote struct {
	Name string // "root", for errors
	// Start starts the process and returns its streams. It is called once, by Open.
	Start func(ctx context.Context) (in io.WriteCloser, out io.Reader, wait func() error, err error)

	once  sync.Once
	err   error // why it cannot be opened
	mu    sync.Mutex
	in    io.WriteCloser
	calls map[string]chan Event
	gone  chan struct{} // closed when the process has ended
	end   error
}

// Open starts the other half, if it is not running, and waits for its hello.
func (r *Remote) Open(ctx context.Context) error {
	r.once.Do(func() { r.err = r.open(ctx) })
	return r.err
}

func (r *Remote) open(ctx context.Context) error {
	in, out, wait, err := r.Start(ctx)
	if err != nil {
		return err
	}
	dec := json.NewDecoder(bufio.NewReader(out))
	var hello line
	if err := dec.Decode(&hello); err != nil {
		in.Close()
		io.Copy(io.Discard, out) //nolint:errcheck // only so that it can end
		if end := errors.Join(wait(), context.Cause(ctx)); end != nil {
			return end
		}
		return fmt.Errorf("waiting for the %s half of movein: %w", r.Name, err)
	}
	if hello.Event.Event != "hello" {
		in.Close()
		wait() //nolint:errcheck // what it said is the reason
		return Exit(max(hello.Code, ExitFailed), Hint(errors.New(hello.Reason), "%s", hello.Hint))
	}
	r.in, r.calls, r.gone = in, map[string]chan Event{}, make(chan struct{})
	go func() {
		r.end = r.read(dec)
		in.Close()
		io.Copy(io.Discard, out) //nolint:errcheck // only so that it can end
		r.end = errors.Join(r.end, wait())
		close(r.gone)
	}()
	go func() {
		select {
		case <-ctx.Done():
			r.send(order{Cancel: true}) //nolint:errcheck // it is gone then
		case <-r.gone:
		}
	}()
	return nil
}

// read hands the lines to those who wait for them, until there are no more (nil) or one is no event.
func (r *Remote) read(dec *json.Decoder) error {
	for {
		var l line
		if err := dec.Decode(&l); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		l.Event.Title = l.Title
		r.mu.Lock()
		c := r.calls[l.Step]
		r.mu.Unlock()
		if c != nil {
			c <- l.Event
		}
	}
}

func (r *Remote) send(o order) error {
	data, err := json.Marshal(o)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	_, err = r.in.Write(append(data, '\n'))
	return err
}

// Do implements Half.
func (r *Remote) Do(ctx context.Context, s Step, dry bool, tell Sink) Event {
	name := s.Info().Name
	fail := func(err error) Event {
		return Event{Schema: Schema, Event: "step", Step: name, Title: s.Info().Title, Status: Failed, Code: ExitCode(err), Reason: err.Error(), Hint: HintOf(err)}
	}
	if err := r.Open(ctx); err != nil {
		return fail(err)
	}
	c := make(chan Event)
	r.mu.Lock()
	r.calls[name] = c
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		delete(r.calls, name)
		r.mu.Unlock()
	}()
	const again = "run the same command again: it goes on from there"
	if err := r.send(order{Step: name, Dry: dry}); err != nil {
		return fail(Hint(fmt.Errorf("telling the %s half: %w", r.Name, err), again))
	}
	for {
		select {
		case e := <-c:
			if e.Event == "step" && e.Status.Final() {
				return e
			}
			tell(e)
		case <-r.gone:
			err := fmt.Errorf("the %s half of movein ended early", r.Name)
			if r.end != nil { // its exit code and hint are about getting to be root, which it was
				err = fmt.Errorf("%w: %v", err, r.end) //nolint:errorlint // see above
			}
			return fail(Hint(err, again))
		}
	}
}

// Close ends the other half, if it runs, and waits for it.
func (r *Remote) Close() {
	if r.gone == nil {
		return
	}
	r.in.Close()
	<-r.gone
}
