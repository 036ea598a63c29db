package cli

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"movein/bootstrap"
	"movein/bootstrap/host"
	"movein/steps"
)

// looked is a step that counts how often it is looked at.
type looked struct {
	info bootstrap.Info
	n    *atomic.Int64
}

func (l looked) Info() bootstrap.Info { return l.info }
func (l looked) Plan(context.Context, host.View) (bootstrap.Change, error) {
	l.n.Add(1)
	return nil, nil
}
func (l looked) Ask(context.Context, host.View)                         { l.n.Add(10) }
func (l looked) Look(context.Context, host.View)                        { l.n.Add(100) }
func (looked) Apply(context.Context, host.Host, bootstrap.Change) error { return nil }

// Root must not read another's clone, nor log in anywhere with its own keys for it. And
// nobody is asked for a step that is passed over.
func TestOnlyTheUserLooksAheadAtWhatIsDone(t *testing.T) {
	for uid, want := range map[int]int64{0: 221, 1000: 0} {
		synctest.Test(t, func(t *testing.T) {
			var n atomic.Int64
			g, err := bootstrap.NewGraph(looked{bootstrap.Info{Name: "home-repo"}, &n}, looked{bootstrap.Info{Name: "nix", As: bootstrap.Root}, &n}, looked{bootstrap.Info{Name: "dotfiles-repo"}, &n})
			if err != nil {
				t.Fatal(err)
			}
			s := &session{io: &IO{EUID: 0}, config: steps.Config{UID: uid}, opt: options{skip: []string{"dotfiles-repo"}}}
			s.askAhead(t.Context(), g)
			s.lookAhead(t.Context(), g)
			synctest.Wait()
			if n := n.Load(); n != want {
				t.Errorf("root looks for uid %d: %d, want %d", uid, n, want)
			}
		})
	}
}
