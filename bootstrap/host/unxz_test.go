package host

import (
	"bytes"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
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

func FuzzUnxz(f *testing.F) {
	data := bytes.Repeat([]byte("a file of some blocks"), 100)
	f.Add(compress(f, data, "--threads=2", "--block-size=1KiB"))
	f.Add(compress(f, data))
	f.Fuzz(func(t *testing.T, packed []byte) {
		in, err := newUnxz(bytes.NewReader(packed))
		if err != nil {
			return
		}
		_, err = io.Copy(io.Discard, in)
		_ = in.Close()
		if err != nil {
			t.Skip(err)
		}
	})
}
