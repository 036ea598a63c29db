package home_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"testing"

	"movein/bootstrap/host"
	"movein/steps/home"
)

// BenchmarkSave is saving and sealing 1,000 files of 2 kB; BenchmarkRestore is putting them back.
func BenchmarkSave(b *testing.B)    { bench(b, 1000, 2<<10, false) }
func BenchmarkRestore(b *testing.B) { bench(b, 1000, 2<<10, true) }

// The same for a file of 300 MB.
func BenchmarkSaveLarge(b *testing.B)    { bench(b, 1, 300<<20, false) }
func BenchmarkRestoreLarge(b *testing.B) { bench(b, 1, 300<<20, true) }

func bench(b *testing.B, files, size int, restore bool) {
	dir := b.TempDir()
	s := home.Backups{Dir: dir + "/state", Home: dir + "/home"}
	check(b, os.Mkdir(s.Home, 0o755))
	var names []string
	for i := range files {
		data := make([]byte, size)
		rand.Read(data)
		names = append(names, fmt.Sprint("file", i))
		check(b, os.WriteFile(s.Home+"/"+names[i], data, 0o644))
	}
	ctx, h := context.Background(), host.Host(&host.Real{})
	for b.Loop() {
		if restore {
			b.StopTimer()
		}
		k, err := s.Begin(h, home.About{})
		check(b, err)
		check(b, k.Save(ctx, names...))
		check(b, k.Seal())
		if restore {
			r, err := s.Open(h, k.Run())
			check(b, err)
			for _, name := range names {
				check(b, os.Remove(s.Home+"/"+name))
			}
			b.StartTimer()
			_, err = s.Restore(ctx, h, r, home.About{})
			check(b, err)
		}
		b.StopTimer()
		runs, _, err := s.List(h)
		check(b, err)
		check(b, (&home.Changer{Backups: s, Record: s.Dir + "/../change.json"}).Prune(h, runs))
		b.StartTimer()
	}
}
