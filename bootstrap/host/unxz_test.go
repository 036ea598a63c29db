package host

import (
	"bufio"
	"bytes"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"github.com/mikelolasagasti/xz"
)

func TestBlocksAreDecodedAsXZDoes(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same each time
	for _, size := range []int{0, 1, 3000, 3001, 3002, 3003, 300_000} {
		data := make([]byte, size)
		for i := range data {
			data[i] = "abcdefgh"[r.IntN(8)]
		}
		for _, check := range []string{"none", "crc32", "crc64", "sha256"} {
			if size > 3003 && check != "sha256" { // many blocks
				continue
			}
			packed := compress(t, data, "--threads=2", "--block-size=1KiB", "--check="+check)
			for times := 1; times <= 2; times++ { // as a file of two streams, too
				in, err := newUnxz(bytes.NewReader(bytes.Repeat(packed, times)))
				if err != nil {
					t.Fatal(err)
				}
				got, err := io.ReadAll(in)
				if err != nil || !slices.Equal(got, bytes.Repeat(data, times)) {
					t.Errorf("%d bytes, %s, %d times: %d bytes, %v", size, check, times, len(got), err)
				}
				if err := in.Close(); err != nil {
					t.Error(err)
				}
			}
		}
	}
}

func TestBlocksAreDecodedInTheMemoryOfAFew(t *testing.T) {
	const block = 1 << 20
	packed := compress(t, make([]byte, 64*block), "--threads=2", "--block-size=1MiB", "--lzma2=preset=0,dict=1MiB")
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	u := newBlocks(bufio.NewReaderSize(bytes.NewReader(packed), unpackChunk), 3)
	n, err := io.Copy(io.Discard, u)
	runtime.ReadMemStats(&after)
	if n != 64*block || err != nil || u.Close() != nil {
		t.Fatal(n, err)
	}
	if took := after.TotalAlloc - before.TotalAlloc; took > 12*block { // data and dictionary of each, and some
		t.Errorf("%d bytes", took)
	}
}

// A file is accepted as far as a decoder accepts it that takes it as a whole, and is the same to it.
func accepted(t *testing.T, packed []byte) {
	t.Helper()
	in, err := newUnxz(bytes.NewReader(packed))
	if err != nil {
		return
	}
	got, err := io.ReadAll(in)
	_ = in.Close()
	if err != nil {
		return
	}
	whole, err := xz.NewReader(bytes.NewReader(packed), xz.DefaultDictMax)
	if err != nil {
		t.Fatal(err)
	}
	if want, err := io.ReadAll(whole); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes, not %d: %v", len(got), len(want), err)
	}
}

func TestWhatIsAcceptedOfDamagedBlocks(t *testing.T) {
	data := bytes.Repeat([]byte("a file of some blocks"), 60)
	good := compress(t, data, "--threads=2", "--block-size=1KiB", "--check=crc32", "--lzma2=preset=0,dict=4KiB")
	good = slices.Concat(good, compress(t, nil), make([]byte, 4))
	for i := range good {
		for _, bit := range []byte{1, 16, 128} {
			packed := slices.Clone(good)
			packed[i] ^= bit
			accepted(t, packed)
		}
		accepted(t, good[:i])
	}
}

func FuzzUnxz(f *testing.F) {
	data := bytes.Repeat([]byte("a file of some blocks"), 100)
	f.Add(compress(f, data, "--threads=2", "--block-size=1KiB"))
	f.Add(compress(f, data))
	f.Fuzz(accepted)
}
