package minisign_test

import (
	"encoding/base64"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"movein/bootstrap/host/minisign"
)

// What minisign 0.11 made of "hello\n", with a key that was thrown away.
const (
	key    = "RWRWKGkI0a89xNFoJ1hTPLGKtmv/f8fuvjAZvtR41HszPNgY658KhQRG"
	hashed = "untrusted comment: signature from minisign secret key\nRURWKGkI0a89xHAoMf9O0i2C9iZDt38lc4V+WuMx+2OndwKkAvVnwBayWLK3AlSo8FoLj47SGJfUuGpPVQunBlBO51k98wpsvgM=\ntrusted comment: made for a test\nHsjFAw9PDBNOmGg9wgorvAK0ZOyHuyR4/zZVwSSVLBniJZADNFU4HMIyOLLYnwtgmZTYzZ/uxdGi756ebAvnDw==\n"
	legacy = "untrusted comment: signature from minisign secret key\nRWRWKGkI0a89xCSW88jM2wt2Q28rojuu0R/UF6PB1JlxhKgUTgF/JIrCJKZE4QA39UIwH8dZ5IkHw4Quq+NpbIwoxrzgAIDg8QA=\ntrusted comment: made for a test\n3aOALYNFUNQklwHoALPkHBSSLDk8Q/BemBzlyl34LLZdDBXiQoFmmBQH/fakLePRk6TGoxjjx/saZSUeF4KrAA==\n"
	other  = "RWTEVo5Kov/ZCeckqjPGGpWoOjzb7kr1SBxkzXCdCXYA+RB8bpSnQVvJ"
)

func TestWhatMinisignSignedIsVerified(t *testing.T) {
	for _, text := range []string{key, key + "\n", "untrusted comment: minisign public key\n" + key + "\n"} {
		k, err := minisign.ParseKey(text)
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		for _, sig := range []string{hashed, legacy} {
			if err := k.Verify([]byte("hello\n"), []byte(sig)); err != nil {
				t.Errorf("%q: %v", sig, err)
			}
		}
	}
}

// Each byte of what counts in a signature, and of the message: changed, nothing is verified.
func TestNoByteMayBeAnother(t *testing.T) {
	k, err := minisign.ParseKey(key)
	if err != nil {
		t.Fatal(err)
	}
	message := []byte("hello\n")
	for _, sig := range []string{hashed, legacy} {
		first := len("untrusted comment: signature from minisign secret key\n")
		for i := first; i < len(sig)-1; i++ {
			bad := []byte(sig)
			bad[i] ^= 1
			if err := k.Verify(message, bad); err == nil {
				t.Errorf("byte %d, %q, may be %q", i, sig[i], bad[i])
			}
		}
		for i := range message {
			bad := []byte("hello\n")
			bad[i] ^= 1
			if k.Verify(bad, []byte(sig)) == nil {
				t.Errorf("the message may be %q", bad)
			}
		}
		for i := range len(sig) - 1 {
			if k.Verify(message, []byte(sig[:i])) == nil {
				t.Errorf("the signature may end at byte %d", i)
			}
		}
	}
	if o, err := minisign.ParseKey(other); err != nil || o.Verify(message, []byte(hashed)) == nil {
		t.Errorf("another key verifies it, or is none: %v", err)
	}
	for i := range key {
		if _, err := minisign.ParseKey(key[:i]); err == nil {
			t.Errorf("a key may end at byte %d", i)
		}
	}
}

// The program itself, where it is.
func TestMinisignOfThisMachine(t *testing.T) {
	program, err := exec.LookPath("minisign")
	if err != nil {
		t.Skip("no minisign on this machine")
	}
	dir := t.TempDir()
	run := func(args ...string) {
		cmd := exec.Command(program, args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("minisign %v: %v\n%s", args, err, out)
		}
	}
	run("-G", "-W", "-p", "pub", "-s", "sec")
	if err := os.WriteFile(filepath.Join(dir, "m"), []byte("message"), 0o644); err != nil {
		t.Fatal(err)
	}
	run("-S", "-s", "sec", "-m", "m", "-t", "a comment")
	pub, err := os.ReadFile(filepath.Join(dir, "pub"))
	sig, serr := os.ReadFile(filepath.Join(dir, "m.minisig"))
	if err != nil || serr != nil {
		t.Fatal(err, serr)
	}
	k, err := minisign.ParseKey(string(pub))
	if err == nil {
		err = k.Verify([]byte("message"), sig)
	}
	if err != nil {
		t.Error(err)
	}
}

func TestAnIDIsANumberAsMinisignShowsIt(t *testing.T) {
	id := []byte{0x48, 0xd9, 0x19, 0x98, 0x2e, 0xe8, 0x60, 0x03}
	k, err := minisign.ParseKey(base64.StdEncoding.EncodeToString(slices.Concat([]byte("Ed"), id, make([]byte, 32))))
	if got := k.ID(); err != nil || got != "360E82E9819D948" {
		t.Errorf("%s, %v", got, err)
	}
}
