package steps

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// BenchmarkChezmoiNoop prints what a rerun with 1,000 managed files costs: ours,
// and chezmoi's own "apply" and "verify" in turn with it.
//
//	MOVEIN_TEST_CHEZMOI=… go test ./steps -run '^$' -bench ChezmoiNoop -benchtime 1x
func BenchmarkChezmoiNoop(b *testing.B) {
	source := files{}
	for i := range 1000 {
		source[fmt.Sprintf("dot_config/app%d/file%d", i/50, i)] = strings.Repeat("x", 2000)
	}
	d := newRealDots(b, source)
	d.settled()
	ctx, took := context.Background(), map[string][]time.Duration{}
	measure := func(what string, f func() error) {
		begin := time.Now()
		if err := f(); err != nil {
			b.Fatal(what, err)
		}
		took[what] = append(took[what], time.Since(begin))
	}
	for b.Loop() {
		for range 11 {
			measure("unchanged", func() error {
				if !d.z.unchanged(d.h, "key") {
					return os.ErrInvalid
				}
				return nil
			})
			measure("apply", func() error { _, err := d.h.Run(ctx, d.z.cmd("apply")); return err })
			measure("verify", func() error { _, err := d.h.Run(ctx, d.z.cmd("verify")); return err })
			measure("look", func() error { _, err := d.z.look(ctx, d.h); return err })
		}
	}
	for what, times := range took {
		slices.Sort(times)
		b.ReportMetric(float64(times[len(times)/2].Microseconds())/1000, what+"-ms")
	}
}
