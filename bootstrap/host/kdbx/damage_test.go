package kdbx

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// cheap are limits with which no damaged header takes long.
var cheap = Limits{Rounds: 1 << 14, Memory: 8 << 20, Work: 8 << 20, Size: 4 << 20}

// quick are vaults that open in a millisecond, one for each format and kind of cipher.
var quick = []string{"py31-twofish.kdbx", "py31-chacha20.kdbx", "py4-aeskdf-aes256.kdbx", "py4-aeskdf-chacha20.kdbx"}

// typed are the errors that Open may return.
var typed = []error{ErrNotVault, ErrVersion, ErrUnsupported, ErrCorrupt, ErrTooCostly, ErrTooLarge, ErrNoKey, ErrKeyFile, ErrWrongKey}

// refused opens file, which must be an error that wraps one of want and prints nothing secret.
func refused(t *testing.T, what string, file []byte, c Credentials, want ...error) {
	t.Helper()
	before := bytes.Clone(file)
	v, err := Open(context.Background(), file, c, cheap)
	if v != nil || !slices.ContainsFunc(want, func(w error) bool { return errors.Is(err, w) }) {
		t.Errorf("%s: %v, %v, want one of %v", what, v, err, want)
	}
	if !bytes.Equal(file, before) {
		t.Errorf("%s: the file in memory was changed", what)
	}
	for _, secret := range []string{password, "sk-ant", "in the root group"} {
		if err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("%s: the error says %q", what, secret)
		}
	}
}

func TestWrongKey(t *testing.T) {
	for _, name := range []string{"py31-twofish.kdbx", "py31-chacha20.kdbx", "py4-argon2-aes256.kdbx", "py4-argon2id-twofish.kdbx", "py4-raw.kdbx"} {
		file := read(t, name)
		refused(t, name+", wrong password", file, Credentials{Password: []byte("wrong")}, ErrWrongKey)
		refused(t, name+", empty password", file, Credentials{Password: []byte{}}, ErrWrongKey)
		refused(t, name+", no key", file, Credentials{}, ErrNoKey)
		refused(t, name+", a key file too many", file, Credentials{Password: []byte(password), KeyFile: []byte("x")}, ErrWrongKey)
		refused(t, name+", empty key file", file, Credentials{Password: []byte(password), KeyFile: []byte{}}, ErrKeyFile)
	}
	file := read(t, "cli31-new-keyx.kdbx")
	if _, err := Open(context.Background(), file, Credentials{Password: []byte(password), KeyFile: read(t, "new.key")}, Limits{}); !errors.Is(err, ErrWrongKey) {
		t.Errorf("wrong key file: %v", err)
	}
	for want, c := range map[string]Credentials{
		"wrong password or key file, or the vault is damaged; no key file was given": {Password: []byte(password)},
		"wrong password or key file, or the vault is damaged; no password was given": {KeyFile: read(t, "new.keyx")},
		"wrong password or key file, or the vault is damaged":                        {KeyFile: read(t, "new.keyx"), Password: []byte("x")},
	} {
		if _, err := Open(context.Background(), file, c, Limits{}); err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func TestNotVault(t *testing.T) {
	for name, file := range map[string][]byte{
		"nothing": nil, "text": []byte("a text file that is long enough"), "gzip": {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
		"other magic": append([]byte{0x03, 0xd9, 0xa2, 0x9a}, make([]byte, 40)...),
	} {
		refused(t, name, file, Credentials{Password: []byte("x")}, ErrNotVault)
	}
	file := read(t, "cli4.kdbx")
	file[4] = 0x65
	refused(t, "KeePass 1", file, Credentials{Password: []byte("x")}, ErrVersion)
	file = read(t, "cli4.kdbx")
	file[10] = 5
	refused(t, "KDBX 5", file, Credentials{Password: []byte("x")}, ErrVersion)
}

// TestTruncated cuts vaults at every length.
func TestTruncated(t *testing.T) {
	for _, name := range quick {
		file := read(t, name)
		for n := range file {
			want := ErrTruncated
			switch cbc := strings.Contains(name, "twofish"); {
			case n == 0:
				want = ErrNotVault
			case cbc && n == len(file)-16:
				want = ErrCorrupt // only padding is missing
			}
			refused(t, fmt.Sprintf("%s, %d bytes", name, n), file[:n], credentials(t, name), want)
		}
	}
}

// TestAppended has something behind the end. In KDBX 4 the end is authentic and what
// follows is not looked at, as in KeePassXC; KDBX 3 has to be whole.
func TestAppended(t *testing.T) {
	more := bytes.Repeat([]byte{16}, 16)
	for _, name := range quick {
		file := append(read(t, name), more...)
		if strings.HasPrefix(name, "py31") {
			refused(t, name, file, credentials(t, name), ErrCorrupt)
		} else if _, err := Open(context.Background(), file, credentials(t, name), cheap); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestFieldTwice has a header with a field for the second time.
func TestFieldTwice(t *testing.T) {
	file := read(t, "py31-chacha20.kdbx")
	twice := slices.Insert(bytes.Clone(file), 12, 2, 16, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16)
	if _, err := readHeader(&reader{b: twice}); !errors.Is(err, ErrCorrupt) {
		t.Errorf("%v", err)
	}
}

// headerEnd is where the header ends.
func headerEnd(t *testing.T, file []byte) int {
	r := &reader{b: file}
	if _, err := readHeader(r); err != nil {
		t.Fatal(err)
	}
	return r.at
}

// TestFlippedHeader flips every bit of headers.
func TestFlippedHeader(t *testing.T) {
	for _, name := range append([]string{"py4-argon2-aes256.kdbx"}, quick...) {
		file := read(t, name)
		for i := range 8 * headerEnd(t, file) {
			bad := bytes.Clone(file)
			bad[i/8] ^= 1 << (i % 8)
			refused(t, fmt.Sprintf("%s, bit %d", name, i), bad, credentials(t, name), typed...)
			if major := binary.LittleEndian.Uint16(file[10:]); major == 4 && i >= 12*8 {
				refused(t, fmt.Sprintf("%s, bit %d", name, i), bad, credentials(t, name), ErrCorrupt, ErrUnsupported)
			}
		}
	}
}

// TestForgedHeader flips every bit of a KDBX 4 header and makes its hash right again, as
// somebody could who does not have the key: the HMAC, or a limit, must find it.
func TestForgedHeader(t *testing.T) {
	for _, name := range []string{"py4-argon2-aes256.kdbx", "py4-aeskdf-chacha20.kdbx"} {
		file := read(t, name)
		end := headerEnd(t, file)
		for i := 12 * 8; i < 8*end; i++ {
			bad := bytes.Clone(file)
			bad[i/8] ^= 1 << (i % 8)
			sum := sha256.Sum256(bad[:end])
			copy(bad[end:], sum[:])
			refused(t, fmt.Sprintf("%s, bit %d", name, i), bad, credentials(t, name), ErrWrongKey, ErrCorrupt, ErrUnsupported, ErrTooCostly)
		}
	}
}

// TestFlippedBody flips a bit of every byte that follows the header.
func TestFlippedBody(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 6))
	for _, name := range quick {
		file := read(t, name)
		for i := headerEnd(t, file); i < len(file); i++ {
			bad := bytes.Clone(file)
			bad[i] ^= 1 << rnd.IntN(8)
			refused(t, fmt.Sprintf("%s, byte %d", name, i), bad, credentials(t, name), ErrCorrupt, ErrWrongKey)
		}
	}
}

// forge returns a KDBX 4 vault with other parameters of its key derivation and a right hash.
func forge(t *testing.T, name string, change map[string]uint64) []byte {
	file := read(t, name)
	end := headerEnd(t, file)
	for param, value := range change {
		at := bytes.Index(file[:end], append([]byte{1, 0, 0, 0}, param...))
		if at < 0 {
			t.Fatalf("%s has no parameter %s", name, param)
		}
		size := int(file[at+5])
		copy(file[at+9:at+9+size], binary.LittleEndian.AppendUint64(nil, value)[:size])
	}
	sum := sha256.Sum256(file[:end])
	copy(file[end:], sum[:])
	return file
}

func TestTooCostly(t *testing.T) {
	const argon, aes = "py4-argon2-aes256.kdbx", "py4-aeskdf-aes256.kdbx"
	for _, c := range []struct {
		name, vault string
		change      map[string]uint64
		limits      Limits
		want        error
	}{
		{"as it is", argon, nil, Limits{}, nil},
		{"exactly the limit", argon, nil, Limits{Memory: 1 << 20, Work: 2 << 20}, nil},
		{"less memory", argon, nil, Limits{Memory: 1<<20 - 1}, ErrTooCostly},
		{"less work", argon, nil, Limits{Work: 2<<20 - 1}, ErrTooCostly},
		{"default memory", argon, map[string]uint64{"M": 1<<30 + 1024}, Limits{}, ErrTooCostly},
		{"default work", argon, map[string]uint64{"M": 1 << 30, "I": 65}, Limits{}, ErrTooCostly},
		{"all memory", argon, map[string]uint64{"M": 1<<64 - 1}, Limits{}, ErrTooCostly},
		{"all passes", argon, map[string]uint64{"I": 1<<64 - 1}, Limits{}, ErrTooCostly},
		{"product that overflows", argon, map[string]uint64{"I": 1 << 32, "M": 1 << 32}, Limits{Memory: 1 << 62}, ErrTooCostly},
		{"product of 65 bits", argon, map[string]uint64{"I": 1 << 31, "M": 1 << 33}, Limits{Memory: 1 << 40}, ErrTooCostly},
		{"passes of 33 bits", argon, map[string]uint64{"I": 1<<32 + 1}, Limits{Work: 1 << 63}, ErrTooCostly},
		{"all lanes", argon, map[string]uint64{"P": 1<<32 - 1}, Limits{}, ErrCorrupt},
		{"no passes", argon, map[string]uint64{"I": 0}, Limits{}, ErrCorrupt},
		{"no memory", argon, map[string]uint64{"M": 0}, Limits{}, ErrCorrupt},
		{"no lanes", argon, map[string]uint64{"P": 0}, Limits{}, ErrCorrupt},
		{"Argon2 1.2", argon, map[string]uint64{"V": 0x12}, Limits{}, ErrUnsupported},
		{"rounds", aes, nil, Limits{Rounds: 6000}, nil},
		{"less rounds", aes, nil, Limits{Rounds: 5999}, ErrTooCostly},
		{"default rounds", aes, map[string]uint64{"R": 1<<29 + 1}, Limits{}, ErrTooCostly},
		{"less rounds in 3.1", "py31-twofish.kdbx", nil, Limits{Rounds: 5999}, ErrTooCostly},
	} {
		_, err := Open(context.Background(), forge(t, c.vault, c.change), Credentials{Password: []byte(password)}, c.limits)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
	_, err := Open(context.Background(), forge(t, argon, map[string]uint64{"M": 4 << 30, "I": 100}), Credentials{Password: []byte("x")}, Limits{})
	const want = "unlocking the vault costs more than the limit: Argon2 with 100 passes over 4096 MiB; allowed are 1024 MiB and, of passes times MiB, 65536"
	if err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

func TestTooLarge(t *testing.T) {
	for _, name := range []string{"cli31.kdbx", "cli4.kdbx", "py4-raw.kdbx"} {
		_, err := Open(context.Background(), read(t, name), credentials(t, name), Limits{Size: 4000})
		if !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCancel(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for _, name := range []string{"cli31.kdbx", "py4-argon2-aes256.kdbx"} {
		if _, err := Open(ctx, read(t, name), credentials(t, name), Limits{}); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
