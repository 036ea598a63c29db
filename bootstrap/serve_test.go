package bootstrap_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"movein/bootstrap"
)

// bySteps sorts events by step, each step's in order, without what no JSON holds.
func bySteps(events []bootstrap.Event) map[string][]bootstrap.Event {
	m := map[string][]bootstrap.Event{}
	for _, e := range events {
		e.Time = e.Time.Round(0).UTC()
		m[e.Step] = append(m[e.Step], e)
	}
	return m
}

// The clock in a synctest bubble always begins at the same time: so also the times are equal.
func TestAStepGoesTheSameInTheOtherHalf(t *testing.T) {
	for _, tc := range sequences {
		setup := tc.setup + " a:warn"
		t.Run(tc.name, func(t *testing.T) {
			var here, there []bootstrap.Event
			synctest.Test(t, func(t *testing.T) {
				_, here = newLab(t).run(setup, nil)
			})
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t)
				_, there = l.run(setup, func(g *bootstrap.Graph) bootstrap.Half {
					r := l.remote(g, bootstrap.User)
					t.Cleanup(r.Close)
					return r
				})
			})
			want, got := bySteps(here), bySteps(there)
			for _, step := range []string{"a", "b", "c", "d", "e", "f"} {
				if !reflect.DeepEqual(got[step], want[step]) {
					t.Errorf("step %s\n got %+v\nwant %+v", step, got[step], want[step])
				}
			}
		})
	}
}

func TestHalvesWithTheRootHalfInAnotherProcess(t *testing.T) {
	for _, tc := range halves {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t)
				out, _, escalated := l.runHalves(tc.setup, func(g *bootstrap.Graph) bootstrap.Half {
					r := l.remote(g, bootstrap.Root)
					t.Cleanup(r.Close)
					return r
				})
				slices.Sort(l.roots)
				got := fmt.Sprintf("%s escalate=%d root=%s", l.render(out), escalated, strings.Join(l.roots, ","))
				if got != tc.want {
					t.Errorf("\n got %s\nwant %s", got, tc.want)
				}
			})
		})
	}
}

func TestTheOtherHalfIsStartedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		started := 0
		l.run("", func(g *bootstrap.Graph) bootstrap.Half {
			r := l.remote(g, bootstrap.User)
			start := r.Start
			r.Start = func(ctx context.Context) (io.WriteCloser, io.Reader, func() error, error) {
				started++
				return start(ctx)
			}
			t.Cleanup(r.Close)
			return r
		})
		if started != 1 {
			t.Errorf("started %d times", started)
		}
	})
}

func TestAHalfThatCannotBeStartedFailsEachOfItsSteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, started := newLab(t), 0
		out, _ := l.run("", func(*bootstrap.Graph) bootstrap.Half {
			return &bootstrap.Remote{Name: "user", Start: func(context.Context) (io.WriteCloser, io.Reader, func() error, error) {
				started++
				return nil, nil, nil, errRefused
			}}
		})
		if got, want := l.render(out), "a:failed/77 b:failed/77 c:blocked d:blocked e:blocked f:failed/77"; got != want || started != 1 {
			t.Errorf("started %d times\n got %s\nwant %s", started, got, want)
		}
		if e := last(t, out, "f"); e.Reason != "nobody is there to ask" || e.Hint != "have an administrator run it" || e.Title != "The step f" || e.Time.IsZero() {
			t.Errorf("event %+v", e)
		}
	})
}

// say writes a line to the program that started this half.
func say(out io.Writer, format string, a ...any) { fmt.Fprintf(out, format+"\n", a...) }

const hello = `{"schema":1,"event":"hello"}`

func TestAHalfThatDoesNotSayHello(t *testing.T) {
	sudo := bootstrap.Exit(bootstrap.ExitPermission, bootstrap.Hint(errors.New("becoming root: sudo says no"), "ask an administrator"))
	tests := []struct {
		name         string
		said         string
		end          error
		reason, hint string
		code         int
	}{
		{"ends with an error", "", sudo, "becoming root: sudo says no", "ask an administrator", 77},
		{"ends as if all were well", "", nil, "waiting for the root half of movein: EOF", "", 1},
		{"says something else", "Welcome to this machine!\n", nil, "waiting for the root half of movein: invalid character 'W' looking for beginning of value", "", 1},
		{"says why not", `{"event":"error","reason":"another movein is running","hint":"wait","code":79}` + "\n", nil, "another movein is running", "wait", 79},
		{"says why not, without a code", `{"event":"error","reason":"it is odd"}` + "\n", nil, "it is odd", "", 1},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := otherHalf(bootstrap.Root, func(_ io.Reader, out io.Writer) error {
					fmt.Fprint(out, tc.said)
					return tc.end
				})
				defer r.Close()
				err := r.Open(t.Context())
				if err == nil {
					t.Fatal("opened")
				}
				if err.Error() != tc.reason || bootstrap.HintOf(err) != tc.hint || bootstrap.ExitCode(err) != tc.code {
					t.Errorf("got %q, hint %q, code %d; want %q, %q, %d", err, bootstrap.HintOf(err), bootstrap.ExitCode(err), tc.reason, tc.hint, tc.code)
				}
				e := r.Do(t.Context(), script{info: bootstrap.Info{Name: "r"}}, false, func(bootstrap.Event) {})
				if e.Status != bootstrap.Failed || e.Code != tc.code || e.Reason != tc.reason {
					t.Errorf("a step asked for after that: %+v", e)
				}
			})
		})
	}
}

func TestAHalfThatDiesFailsItsStepsAndNothingHangs(t *testing.T) {
	applying := `{"event":"step","step":"r","status":"applying"}`
	killed := bootstrap.Exit(bootstrap.ExitPermission, errors.New("signal: killed"))
	tests := []struct {
		name   string
		main   func(in *bufio.Reader, out io.Writer) error
		reason string
	}{
		{"before it has the order", func(*bufio.Reader, io.Writer) error {
			return killed
		}, "telling the root half: io: read/write on closed pipe"},
		{"after the order", func(in *bufio.Reader, _ io.Writer) error {
			in.ReadString('\n')
			return killed
		}, "the root half of movein ended early: signal: killed"},
		{"while applying", func(in *bufio.Reader, out io.Writer) error {
			in.ReadString('\n')
			say(out, "%s", applying)
			return killed
		}, "the root half of movein ended early: signal: killed"},
		{"in the middle of a line", func(in *bufio.Reader, out io.Writer) error {
			in.ReadString('\n')
			fmt.Fprint(out, applying[:20])
			return killed
		}, "the root half of movein ended early: unexpected EOF\nsignal: killed"},
		{"as if all were well", func(in *bufio.Reader, out io.Writer) error {
			in.ReadString('\n')
			return nil
		}, "the root half of movein ended early"},
		{"not, but says what is no event", func(in *bufio.Reader, out io.Writer) error {
			in.ReadString('\n')
			say(out, "panic: that was bad")
			io.Copy(io.Discard, in) // stays until its input ends
			say(out, "goodbye")
			return nil
		}, "the root half of movein ended early: invalid character 'p' looking for beginning of value"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := otherHalf(bootstrap.Root, func(in io.Reader, out io.Writer) error {
					say(out, hello)
					return tc.main(bufio.NewReader(in), out)
				})
				defer r.Close()
				for _, want := range []struct{ step, reason string }{{"r", tc.reason}, {"v", "telling the root half: io: read/write on closed pipe"}} {
					e := r.Do(t.Context(), script{info: bootstrap.Info{Name: want.step}}, false, func(bootstrap.Event) {})
					if e.Status != bootstrap.Failed || e.Code != bootstrap.ExitFailed || e.Step != want.step || e.Reason != want.reason {
						t.Errorf("%+v, want it failed because %q", e, want.reason)
					}
				}
			})
		})
	}
}

func TestAHalfThatDiesFailsAllTheStepsItWasDoing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		out, _ := l.run("", func(*bootstrap.Graph) bootstrap.Half {
			return otherHalf(bootstrap.User, func(in io.Reader, out io.Writer) error {
				say(out, hello)
				orders := bufio.NewReader(in)
				for range 3 { // a, b and f
					orders.ReadString('\n')
				}
				return errors.New("signal: killed")
			})
		})
		if got, want := l.render(out), "a:failed/1 b:failed/1 c:blocked d:blocked e:blocked f:failed/1"; got != want {
			t.Errorf("\n got %s\nwant %s", got, want)
		}
		for _, step := range []string{"a", "b", "f"} {
			if got, want := last(t, out, step).Reason, "the user half of movein ended early: signal: killed"; got != want {
				t.Errorf("%s failed because %q, want %q", step, got, want)
			}
		}
	})
}

func TestCloseWaitsForTheOtherHalf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := false
		r := otherHalf(bootstrap.Root, func(in io.Reader, out io.Writer) error {
			say(out, hello)
			io.Copy(io.Discard, in)
			time.Sleep(time.Minute)
			ended = true
			return nil
		})
		if err := r.Open(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.Close()
		if !ended {
			t.Error("it still runs")
		}
	})
}

// serveLines runs Serve, with the graph of sequences as setup says, on a stream
// that talk writes to, and returns what it answered.
func serveLines(t *testing.T, setup string, talk func(in *io.PipeWriter)) (events []bootstrap.Event, err error) {
	t.Helper()
	l := newLab(t)
	g, _, _ := l.graphOf(sequenceGraph, setup)
	inR, inW := io.Pipe()
	outR, outW := io.Pipe()
	go talk(inW)
	go func() {
		err = bootstrap.Serve(context.Background(), inR, outW, g, l.local(bootstrap.Root), nil)
		outW.Close()
	}()
	for dec := json.NewDecoder(outR); ; {
		var e bootstrap.Event
		if dec.Decode(&e) != nil {
			return events, err
		}
		events = append(events, e)
	}
}

func TestServe(t *testing.T) {
	tests := []struct {
		name, setup string
		talk        func(in *io.PipeWriter)
		want        string // status/code of the steps' last events, in order
		err         string
	}{
		{"nothing is asked", "", func(in *io.PipeWriter) { in.Close() }, "", ""},
		{"a cancel line ends the step", "a:hang", func(in *io.PipeWriter) {
			say(in, `{"step":"a"}`)
			time.Sleep(time.Minute)
			say(in, `{"cancel":true}`)
			time.Sleep(time.Minute)
			in.Close()
		}, "a:failed/130", ""},
		{"the end of input ends the step, which is waited for", "a:hang", func(in *io.PipeWriter) {
			say(in, `{"step":"a"}`)
			time.Sleep(time.Minute)
			in.Close()
		}, "a:failed/130", ""},
		{"an order that is none ends the step", "a:hang", func(in *io.PipeWriter) {
			say(in, `{"step":"a"}`)
			time.Sleep(time.Minute)
			say(in, `please stop`)
		}, "a:failed/130", "reading orders: invalid character 'p' looking for beginning of value"},
		{"an unknown step fails, and others go on", "", func(in *io.PipeWriter) {
			say(in, `{"step":"zebra"}`)
			say(in, `{"step":"a"}`)
			time.Sleep(time.Minute)
			in.Close()
		}, "zebra:failed/1 a:changed/0", ""},
		{"a dry order changes nothing", "", func(in *io.PipeWriter) {
			say(in, `{"step":"a","dry":true}`)
			say(in, `{"step":"b"}`)
			time.Sleep(time.Minute)
			say(in, `{"step":"a","dry":true}`)
			time.Sleep(time.Minute)
			in.Close()
		}, "a:changed/0 b:changed/0 a:changed/0", ""},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				events, err := serveLines(t, tc.setup, tc.talk)
				if len(events) == 0 || events[0].Event != "hello" || events[0].Schema != bootstrap.Schema {
					t.Fatalf("no hello first: %+v", events)
				}
				var got []string
				for _, e := range events {
					if e.Event == "step" && e.Status.Final() {
						got = append(got, fmt.Sprintf("%s:%s/%d", e.Step, e.Status, e.Code))
					}
				}
				if s := strings.Join(got, " "); s != tc.want {
					t.Errorf("\n got %s\nwant %s", s, tc.want)
				}
				if (err == nil) != (tc.err == "") || err != nil && err.Error() != tc.err {
					t.Errorf("error %v, want %q", err, tc.err)
				}
			})
		})
	}
}
