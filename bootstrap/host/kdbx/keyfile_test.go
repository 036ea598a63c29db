package kdbx

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// TestKeyFile has each kind; TestOpen has vaults with them.
func TestKeyFile(t *testing.T) {
	const key = "key of 32 bytes, not more, no le"
	hexKey := hex.EncodeToString([]byte(key))
	sum := sha256.Sum256([]byte(key))
	hashOf := func(s string) string { h := sha256.Sum256([]byte(s)); return string(h[:]) }
	xml := func(version, hash, data string) string {
		return fmt.Sprintf("\ufeff<?xml version=\"1.0\"?>\n<KeyFile><Meta><Version>%s</Version></Meta><Key><Data Hash=%q>%s</Data></Key></KeyFile>", version, hash, data)
	}
	v2 := xml("2.0", strings.ToUpper(hex.EncodeToString(sum[:4])), "\n  "+strings.ToUpper(hexKey[:8])+" "+hexKey[8:]+"\n")
	for _, c := range []struct{ name, file, want string }{
		{"32 bytes", key, key},
		{"64 digits", hexKey, key},
		{"64 digits and a line end", hexKey + "\n", hashOf(hexKey + "\n")},
		{"64 other characters", strings.Repeat("g", 64), hashOf(strings.Repeat("g", 64))},
		{"33 bytes", key + "x", hashOf(key + "x")},
		{"one byte", "x", hashOf("x")},
		{"XML 1.0", string(read(t, "xml1.key")), key},
		{"XML 2.0", v2, key},
		{"XML that is not a key file", "<a><KeyFile/></a>", hashOf("<a><KeyFile/></a>")},
		{"XML that is cut off", v2[:len(v2)-3], hashOf(v2[:len(v2)-3])},
		{"nothing", "", ""},
		{"XML 2.0, wrong hash", strings.Replace(v2, hexKey[8:16], "00000000", 1), ""},
		{"XML 2.0, no hash", xml("2.0", "", hexKey), ""},
		{"XML 2.0, short hash", xml("2.0", hex.EncodeToString(sum[:3]), hexKey), ""},
		{"XML 2.0, not hexadecimal", xml("2.0", "00000000", "x"), ""},
		{"XML 2.0, short", xml("2.0", "6e340b9c", "00"), ""},
		{"XML 1.0, not base64", xml("1.0", "", "?"), ""},
		{"XML 1.0, short", xml("1.0", "", "aaaa"), ""},
		{"XML 3.0", xml("3.0", "", "aaaa"), ""},
		{"XML without a version", xml("", "", "aaaa"), ""},
	} {
		got, err := fileKey([]byte(c.file))
		if string(got) != c.want || (err == nil) != (c.want != "") || err != nil && !errors.Is(err, ErrKeyFile) {
			t.Errorf("%s: %x, %v, want %x", c.name, got, err, c.want)
		}
	}
}

// TestComposite tells an empty password from none.
func TestComposite(t *testing.T) {
	empty := sha256.Sum256(nil)
	key := []byte("key of 32 bytes, not more, no le")
	for name, c := range map[string]struct {
		credentials Credentials
		want        [32]byte
	}{
		"empty password":          {Credentials{Password: []byte{}}, sha256.Sum256(empty[:])},
		"key file":                {Credentials{KeyFile: key}, sha256.Sum256(key)},
		"empty password and file": {Credentials{Password: []byte{}, KeyFile: key}, sha256.Sum256(append(empty[:], key...))},
	} {
		if got, err := c.credentials.composite(); err != nil || string(got) != string(c.want[:]) {
			t.Errorf("%s: %x, %v, want %x", name, got, err, c.want)
		}
	}
}
