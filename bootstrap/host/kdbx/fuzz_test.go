package kdbx

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"slices"
	"testing"
	"time"
)

func appendBase64(b []byte) []byte { return base64.StdEncoding.AppendEncode(nil, b) }

// FuzzOpen opens anything: an error of the package's, or a vault.
func FuzzOpen(f *testing.F) {
	for _, name := range append([]string{"py4-argon2id-aes256.kdbx"}, quick...) {
		f.Add(read(f, name))
	}
	limits := Limits{Rounds: 1 << 13, Memory: 2 << 20, Work: 4 << 20, Size: 1 << 20}
	f.Fuzz(func(t *testing.T, file []byte) {
		// So that damaged headers get further than to their hash.
		r := &reader{b: file}
		if _, err := readHeader(r); err == nil && len(file) >= r.at+sha256.Size {
			sum := sha256.Sum256(file[:r.at])
			file = bytes.Clone(file)
			copy(file[r.at:], sum[:])
		}
		before := bytes.Clone(file)
		v, err := Open(context.Background(), file, Credentials{Password: []byte(password)}, limits)
		if (v == nil) != (err != nil) || err != nil && !slices.ContainsFunc(typed, func(want error) bool { return errors.Is(err, want) }) {
			t.Errorf("%v, %v", v, err)
		}
		if !bytes.Equal(file, before) {
			t.Error("the file in memory was changed")
		}
	})
}

// FuzzContent reads any content that was decrypted, and everything that is in it.
func FuzzContent(f *testing.F) {
	f.Add(append(inner("a", "b"), root(withField("Title", "{REF:T@I:00}"))...), true)
	f.Add([]byte("<KeePassFile><Meta><HeaderHash>AAAA</HeaderHash><RecycleBinEnabled>True</RecycleBinEnabled><RecycleBinUUID>AAAA</RecycleBinUUID>"+
		"<Binaries><Binary ID=\"0\" Compressed=\"True\">AAAA</Binary></Binaries></Meta><Root><Group><UUID>AAAA</UUID></Group></Root></KeePassFile>"), false)
	f.Add([]byte(root("<Entry><UUID>AAAA</UUID><History><Entry/></History></Entry><Group><Name>x</Name></Group>")), false)
	f.Add(append(inner("a"), root("<Entry><Binary><Key>x</Key><Value Ref=\"0\"/></Binary><String><Key>otp</Key><Value Protected=\"True\">YWFh</Value></String></Entry>")...), true)
	f.Fuzz(func(t *testing.T, content []byte, four bool) {
		h := &header{major: 4}
		if !four { // 3.0, which needs no hash
			h.major = 3
			h.field[fieldStream], h.field[fieldStreamKey] = binary.LittleEndian.AppendUint32(nil, streamSalsa20), []byte("key")
		}
		v, err := h.vault(bytes.NewReader(content), 1<<20)
		if (v == nil) != (err != nil) || err != nil && !slices.ContainsFunc(typed, func(want error) bool { return errors.Is(err, want) }) {
			t.Errorf("%v, %v", v, err)
		}
		if v == nil {
			return
		}
		for _, e := range v.Entries() {
			_, _ = v.Lookup(e.Path())
			_, _ = e.TOTP(time.Unix(59, 0))
			_ = e.UUID()
			for _, name := range e.Fields() {
				if _, err := e.Field(name); err != nil && !errors.Is(err, ErrReference) {
					t.Error(err)
				}
			}
			for _, name := range e.Attachments() {
				if _, err := e.Attachment(name); err != nil && !errors.Is(err, ErrCorrupt) {
					t.Error(err)
				}
			}
		}
	})
}

// FuzzKeyFile makes a key of anything.
func FuzzKeyFile(f *testing.F) {
	for _, name := range []string{"raw.key", "hex.key", "any.key", "xml1.key", "new.keyx", "new.key"} {
		f.Add(read(f, name))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		key, err := fileKey(file)
		if (len(key) == 32) != (err == nil) || err != nil && !errors.Is(err, ErrKeyFile) {
			t.Errorf("%x, %v", key, err)
		}
	})
}
