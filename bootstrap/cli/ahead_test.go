package cli

import (
	"context"
	"testing"
	"testing/synctest"

	"movein/bootstrap"
	"movein/bootstrap/host"
	"movein/steps"
)

// looked is a step that counts how often it is planned.
type looked struct {
	info bootstrap.Info
	n    *int
}

func (l looked) Info() bootstrap.Info { return l.info }
func (l looked) Plan(context.Context, host.View) (bootstrap.Change, error) {
	*l.n++
	return nil, nil
}
func (looked) Apply(context.Context, host.Host, bootstrap.Change) error { return nil }

// Root must not read another's clone, nor log in anywhere with its own keys for it.
func TestOnlyTheUserLooksAhead(t *testing.T) {
	for uid, want := range map[int]int{0: 1, 1000: 0} {
		synctest.Test(t, func(t *testing.T) {
			n := 0
			g, err := bootstrap.NewGraph(looked{bootstrap.Info{Name: "home-repo"}, &n}, looked{bootstrap.Info{Name: "nix", As: bootstrap.Root}, &n})
			if err != nil {
				t.Fatal(err)
			}
			s := &session{io: &IO{EUID: 0}, config: steps.Config{UID: uid}}
			s.lookAhead(t.Context(), g)
			synctest.Wait()
			if n != want {
				t.Errorf("root looks for uid %d: %d times, want %d", uid, n, want)
			}
		})
	}
}
