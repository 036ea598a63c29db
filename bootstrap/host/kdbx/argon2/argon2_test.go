package argon2

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"testing"

	"golang.org/x/crypto/argon2"
)

// TestRFC is RFC 9106, sections 5.1 and 5.3.
func TestRFC(t *testing.T) {
	for kind, want := range map[Kind]string{
		D:  "512b391b6f1162975371d30919734294f868e3be3984f3c1a13a4db9fabe4acb",
		ID: "0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659",
	} {
		p := Params{Kind: kind, Version: Version13, Time: 3, Memory: 32, Lanes: 4, Salt: bytes.Repeat([]byte{2}, 16),
			Secret: bytes.Repeat([]byte{3}, 8), Data: bytes.Repeat([]byte{4}, 12)}
		got, err := Key(context.Background(), bytes.Repeat([]byte{1}, 32), p)
		if err != nil || hex.EncodeToString(got) != want {
			t.Errorf("kind %d: %x, %v, want %s", kind, got, err, want)
		}
	}
}

// TestReference has keys of the reference implementation, libargon2 20190702, of
// both versions and with memory that is not a multiple of four blocks a lane.
func TestReference(t *testing.T) {
	for _, c := range []struct {
		p    Params
		want string
	}{
		{Params{Kind: D, Version: Version13, Time: 1, Memory: 8, Lanes: 1}, "937e90cfc520b9adb0726d48de43f992ab8401c6636dc1a8fe837214b2e2e76a"},
		{Params{Kind: D, Version: Version13, Time: 3, Memory: 67, Lanes: 2}, "7282343473f8aa7fd191bb6f7ebf1a65162a65b441ba326ae8e8105bab2a10a3"},
		{Params{Kind: D, Version: Version10, Time: 3, Memory: 67, Lanes: 2}, "bc72993a1c03e56121a51e83c9bd99145bddcf30a4fff8057367474d2add6ee2"},
		{Params{Kind: ID, Version: Version13, Time: 2, Memory: 1031, Lanes: 3}, "e2abd0660340f2950c41ab4decf9918c535f1661824268bf7d506e6b894ebec2"},
		{Params{Kind: ID, Version: Version10, Time: 4, Memory: 64, Lanes: 1}, "f5943ceae52bdb89ec3497e54f0dc288d1f3df7ff5f5c7b7c7906c3b66ee67ff"},
		{Params{Kind: D, Version: Version13, Time: 2, Memory: 1031, Lanes: 5}, "7228600996cc0af5c1b223f753582a8cd79d7b58f3c56db8e51faeee1b7c430c"},
		{Params{Kind: ID, Version: Version13, Time: 1, Memory: 4099, Lanes: 4}, "e81b691ca6fbd6da79976b5792b7594af9ef10295f11c030f8564e114238a613"},
	} {
		c.p.Salt = []byte("saltsaltsaltsalt")
		got, err := Key(context.Background(), []byte("password"), c.p)
		if err != nil || hex.EncodeToString(got) != c.want {
			t.Errorf("%+v: %x, %v, want %s", c.p, got, err, c.want)
		}
	}
}

// TestKeyIsXCrypto compares Argon2id with the one of x/crypto.
func TestKeyIsXCrypto(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 60 {
		lanes := 1 + rnd.Uint32N(5)
		p := Params{Kind: ID, Version: Version13, Time: 1 + rnd.Uint32N(3), Memory: 8*lanes + rnd.Uint32N(1500), Lanes: lanes, Salt: []byte("some salt")}
		got, err := Key(context.Background(), []byte("pw"), p)
		want := argon2.IDKey([]byte("pw"), p.Salt, p.Time, p.Memory, uint8(lanes), KeySize)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%+v: %x, %v, want %x", p, got, err, want)
		}
	}
}

// TestMix compares what this machine uses with plain Go.
func TestMix(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	random := func() (b block) {
		for i := range b {
			b[i] = rnd.Uint64() << (rnd.UintN(2) * 32)
		}
		return b
	}
	for i := range 2000 {
		a, b, c := random(), random(), random()
		want := c
		mixGeneric(&want, &a, &b, i%2 == 0)
		mix(&c, &a, &b, i%2 == 0)
		if c != want {
			t.Fatalf("block %d differs", i)
		}
		mixGeneric(&want, &want, &b, i%2 == 0)
		mix(&c, &c, &b, i%2 == 0)
		if c != want {
			t.Fatalf("block %d made of itself differs", i)
		}
	}
}

func TestKeyRefuses(t *testing.T) {
	good := Params{Kind: D, Version: Version13, Time: 1, Memory: 16, Lanes: 2}
	if _, err := Key(context.Background(), nil, good); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Params){
		"kind":        func(p *Params) { p.Kind = 1 },
		"version":     func(p *Params) { p.Version = 0x14 },
		"no pass":     func(p *Params) { p.Time = 0 },
		"no lane":     func(p *Params) { p.Lanes = 0 },
		"lanes":       func(p *Params) { p.Lanes, p.Memory = MaxLanes+1, 1<<32-1 },
		"memory":      func(p *Params) { p.Memory = 15 },
		"all memory?": func(p *Params) { p.Memory, p.Lanes = 1<<32-1, 1<<30 },
	} {
		p := good
		change(&p)
		if _, err := Key(context.Background(), nil, p); !errors.Is(err, ErrParams) {
			t.Errorf("%s: %v", name, err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Key(ctx, nil, good); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func BenchmarkKey(b *testing.B) {
	for b.Loop() {
		_, _ = Key(context.Background(), []byte("pw"), Params{Kind: D, Version: Version13, Time: 14, Memory: 64 << 10, Lanes: 2, Salt: []byte("some salt")})
	}
}

func BenchmarkMix(b *testing.B) {
	var x, y, z block
	b.Run("used", func(b *testing.B) {
		for b.Loop() {
			mix(&x, &y, &z, true)
		}
	})
	b.Run("generic", func(b *testing.B) {
		for b.Loop() {
			mixGeneric(&x, &y, &z, true)
		}
	})
}
