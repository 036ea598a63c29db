package kdbx

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestLookup(t *testing.T) {
	v := open(t, "py4-argon2-aes256.kdbx")
	for _, c := range []struct {
		path, password string
		want           error
	}{
		{path: "root entry", password: "in the root group"},
		{path: "/root entry", password: "in the root group"},
		{path: "after a group", password: "still in step"},
		{path: "API Keys/Anthropic", password: "sk-ant-123"},
		{path: "/API Keys/Anthropic", password: "sk-ant-123"},
		{path: "Anthropic", password: "sk-ant-123"}, // another one is in the recycle bin
		{path: "/Anthropic", want: ErrNotFound},
		{path: "After/same", password: "first"},
		{path: "API Keys/same", password: "second"},
		{path: "same", want: ErrAmbiguous},
		{path: "<deep>", password: "pä55 <&>\n\t\"ẞ\" 密码 🔑"},
		{path: "API Keys/Deep & er/<deep>", password: "pä55 <&>\n\t\"ẞ\" 密码 🔑"},
		{path: "Deep & er/<deep>", want: ErrNotFound},
		{path: "Passwords/root entry", want: ErrNotFound},
		{path: "anthropic", want: ErrNotFound},
		{path: "thrown away", want: ErrNotFound},
		{path: "Recycle Bin/thrown away", want: ErrNotFound},
		{path: "thrown with it", want: ErrNotFound},
		{path: "", want: ErrNotFound},
		{path: "/", want: ErrNotFound},
	} {
		e, err := v.Lookup(c.path)
		if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%q: %v, want %v", c.path, err, c.want)
		}
		if err == nil {
			if s, err := e.Field("Password"); err != nil || s.Reveal() != c.password {
				t.Errorf("%q: %q, %v", c.path, s.Reveal(), err)
			}
		}
	}
	_, err := v.Lookup("same")
	for _, path := range []string{`"/After/same"`, `"/API Keys/same"`} {
		if !strings.Contains(err.Error(), path) {
			t.Errorf("%v does not name %s", err, path)
		}
	}
}

func TestFind(t *testing.T) {
	v := open(t, "cli4.kdbx")
	for _, c := range []struct {
		fields map[string]string
		path   string
		want   error
	}{
		{map[string]string{"service": "rclone", "key": "config-password"}, "/API Keys/rclone", nil},
		{map[string]string{"service": "rclone"}, "/API Keys/rclone", nil},
		{map[string]string{"service": "restic", "key": "repo"}, "/API Keys/restic", nil}, // service is protected
		{map[string]string{"service": "rclone", "key": "repo"}, "", ErrNotFound},
		{map[string]string{"service": "hid", "key": "repo"}, "", ErrNotFound}, // the Secret Service finds restic
		{map[string]string{"Service": "rclone"}, "", ErrNotFound},
		{map[string]string{"service": "rclone", "other": ""}, "", ErrNotFound},
		{map[string]string{"UserName": ""}, "", ErrAmbiguous},
		{map[string]string{"Title": "thrown away"}, "", ErrNotFound},
		{nil, "", ErrNotFound},
	} {
		e, err := v.Find(c.fields)
		if !errors.Is(err, c.want) || err == nil && e.Path() != c.path {
			t.Errorf("%v: %v, %v, want %s, %v", c.fields, e, err, c.path, c.want)
		}
		for _, value := range c.fields {
			if err != nil && len(value) > 4 && strings.Contains(err.Error(), value) {
				t.Errorf("%v: the error says %q", c.fields, value)
			}
		}
	}
}

func TestField(t *testing.T) {
	v := open(t, "py31-chacha20.kdbx")
	for _, c := range []struct {
		path, name, value string
		want              error
	}{
		{"restic", "token", "hidden one", nil},
		{"restic", "URL", "", nil},
		{"restic", "password", "", ErrNotFound},
		{"restic", "nothing", "", ErrNotFound},
		{"refers", "UserName", "root", nil},
		{"refers", "Password", "ain the root groupz", nil},
		{"refers", "Notes", "", ErrReference},         // in a circle
		{"refers back", "Password", "", ErrReference}, // the same circle
		{"refers back", "Notes", "", ErrReference},    // nowhere
	} {
		e, err := v.Lookup(c.path)
		if err != nil {
			t.Fatal(err)
		}
		got, err := e.Field(c.name)
		if got.Reveal() != c.value || !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%s, %s: %q, %v, want %q, %v", c.path, c.name, got.Reveal(), err, c.value, c.want)
		}
	}
	e, _ := v.Lookup("restic")
	if got := e.Fields(); !slices.Contains(got, "token") || len(got) != 8 {
		t.Errorf("%q", got)
	}
	if _, err := e.Attachment("nothing"); !errors.Is(err, ErrNotFound) {
		t.Errorf("%v", err)
	}
	e = &Entry{vault: v}
	if got, err := e.Field("Password"); err != nil || got.Reveal() != "" {
		t.Errorf("a field that every entry has: %q, %v", got.Reveal(), err)
	}
}

// entry is an entry of a vault with nothing else.
func entry(fields ...string) *Entry {
	e := &Entry{vault: &Vault{}, uuid: "ESIzRFVmd4iZqrvM3e7/AA=="}
	for i := 0; i < len(fields); i += 2 {
		e.fields = append(e.fields, field{fields[i], NewSecret(fields[i+1])})
	}
	e.vault.entries = []*Entry{e}
	return e
}

func TestReferences(t *testing.T) {
	bomb := strings.Repeat("{REF:N@T:b}", 999)
	for _, c := range []struct {
		value, want string
		err         error
	}{
		{"plain {TITLE} {S:x} {REF:} {REF:X@I:1} {REF:P@I:}", "plain {TITLE} {S:x} {REF:} {REF:X@I:1} {REF:P@I:}", nil},
		{"{REF:T@I:112233445566778899AABBCCDDEEFF00}", "b", nil},
		{"{ref:t@i:112233445566778899aabbccddeeff00}", "b", nil},
		{"{REF:I@T:b}", "112233445566778899AABBCCDDEEFF00", nil},
		{"{REF:A@U:user}{REF:U@A:a url}", "a urluser", nil},
		{"{REF:U@O:custom value}", "user", nil},
		{"{REF:U@O:user}", "", ErrReference}, // is no custom field
		{"{REF:U@P:}", "{REF:U@P:}", nil},
		{"{REF:U@T:B}", "", ErrReference},
		{"{REF:P@T:b}", "", ErrReference}, // itself
		{bomb, "", ErrReference},
	} {
		e := entry("Title", "b", "UserName", "user", "URL", "a url", "Notes", "{REF:U@T:b}{REF:U@T:b}", "custom", "custom value", "Password", c.value)
		got, err := e.Field("Password")
		if got.Reveal() != c.want || !errors.Is(err, c.err) {
			t.Errorf("%.50s: %.50q, %v, want %q, %v", c.value, got.Reveal(), err, c.want, c.err)
		}
	}
}

// TestTOTP has the values of RFC 6238, appendix B, and what settings may look like.
func TestTOTP(t *testing.T) {
	const sha1Key, sha256Key = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQGEZA"
	const sha512Key = sha1Key + sha1Key + "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQGEZDGNA"
	uri := "otpauth://totp/x?digits=8&secret="
	for _, c := range []struct {
		fields []string
		at     int64
		want   string
	}{
		{[]string{"otp", uri + sha1Key}, 59, "94287082"},
		{[]string{"otp", uri + sha1Key}, 1111111109, "07081804"},
		{[]string{"otp", uri + sha1Key}, 20000000000, "65353130"},
		{[]string{"otp", uri + sha256Key + "&algorithm=SHA256"}, 59, "46119246"},
		{[]string{"otp", uri + sha256Key + "&algorithm=sha256"}, 1111111111, "67062674"},
		{[]string{"otp", uri + sha512Key + "&algorithm=SHA512"}, 59, "90693936"},
		{[]string{"otp", uri + sha512Key + "&algorithm=SHA512"}, 2000000000, "38618901"},
		{[]string{"otp", "otpauth://totp/x?secret=" + sha1Key}, 59, "287082"},
		{[]string{"otp", uri + sha1Key + "&period=60"}, 119, "94287082"},
		{[]string{"otp", uri + strings.ToLower("gezd gnbv gy3t qojq-gezd gnbv gy3t qojq====")}, 59, "94287082"},
		{[]string{"otp", "key=" + sha1Key + "&size=8&step=30&otpHashMode=Sha1"}, 59, "94287082"},
		{[]string{"TOTP Seed", sha1Key, "TOTP Settings", "30;8"}, 59, "94287082"},
		{[]string{"TOTP Seed", sha1Key}, 59, "287082"},
		{[]string{"TOTP Seed", sha1Key, "TOTP Settings", "30;S"}, 59, "PV9M4"},
		{[]string{"otp", "otpauth://totp/x?encoder=steam&secret=" + sha1Key}, 59, "PV9M4"},
		{[]string{"TimeOtp-Secret-Base32", sha256Key, "TimeOtp-Length", "8", "TimeOtp-Period", "30", "TimeOtp-Algorithm", "HMAC-SHA-256"}, 59, "46119246"},
		{nil, 59, ""},
		{[]string{"otp", ""}, 59, ""},
		{[]string{"otp", "{REF:P@T:nobody}"}, 59, ""},
		{[]string{"otp", "something else"}, 59, ""},
		{[]string{"otp", "otpauth://totp/x?digits=8"}, 59, ""},
		{[]string{"otp", "otpauth://hotp/x?secret=" + sha1Key}, 59, ""},
		{[]string{"otp", "otpauth://totp/100% a b:c?secret=" + sha1Key}, 59, "287082"},
		{[]string{"otp", "otpauth://totp/x?secret=%zz"}, 59, ""},
		{[]string{"otp", uri + "A"}, 59, ""},
		{[]string{"otp", uri + sha1Key + "&period=0"}, 59, ""},
		{[]string{"otp", uri + sha1Key + "&period=-1"}, 59, ""},
		{[]string{"otp", "otpauth://totp/x?secret=" + sha1Key + "&digits=11"}, 59, ""},
		{[]string{"otp", uri + sha1Key + "&algorithm=MD5"}, 59, ""},
		{[]string{"TOTP Seed", sha1Key, "TOTP Settings", "30;x"}, 59, ""},
	} {
		got, err := entry(c.fields...).TOTP(time.Unix(c.at, 0))
		if got.Reveal() != c.want || (err == nil) != (c.want != "") || err != nil && !errors.Is(err, ErrTOTP) && !errors.Is(err, ErrReference) {
			t.Errorf("%q: %q, %v, want %q", c.fields, got.Reveal(), err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "GEZD") {
			t.Errorf("%v says the key", err)
		}
	}
}
