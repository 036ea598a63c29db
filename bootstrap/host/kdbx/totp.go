package kdbx

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"hash"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// A totp is how the one-time passwords of an entry are made.
type totp struct {
	key    string // base32, as typed
	step   int    // seconds
	digits int
	hash   func() hash.Hash
	steam  bool
}

// TOTP returns the entry's one-time password at a time, after RFC 6238. The settings may be
// in any of the ways that KeePassXC knows: field "otp" with an otpauth:// URI (also with
// encoder=steam) or KeeOtp's key=…, fields "TOTP Seed" and "TOTP Settings", or KeePass's
// "TimeOtp-…". If there are none, or they cannot be used, the error is ErrTOTP.
func (e *Entry) TOTP(at time.Time) (Secret, error) {
	t, err := e.totp()
	if err != nil {
		return Secret{}, fmt.Errorf("entry %q: %w", e.Path(), err)
	}
	// KeePassXC's Base32::sanitizeInput: what is easily mistaken, and nothing else that is not base32.
	clean := strings.Map(func(r rune) rune {
		switch {
		case r == '0':
			return 'O'
		case r == '1':
			return 'L'
		case r == '8':
			return 'B'
		case r >= 'A' && r <= 'Z', r >= '2' && r <= '7':
			return r
		}
		return -1
	}, strings.ToUpper(t.key))
	key, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(clean)
	if err != nil || len(key) == 0 {
		return Secret{}, fmt.Errorf("entry %q: %w: the key is not base32", e.Path(), ErrTOTP)
	}
	return NewSecret(t.code(key, at)), nil
}

// code is RFC 4226, section 5.3, with the time as the counter.
func (t totp) code(key []byte, at time.Time) string {
	mac := hmac.New(t.hash, key)
	mac.Write(binary.BigEndian.AppendUint64(nil, uint64(at.Unix())/uint64(t.step)))
	sum := mac.Sum(nil)
	n := uint64(binary.BigEndian.Uint32(sum[sum[len(sum)-1]&0xf:]) & 0x7fffffff)
	if t.steam {
		const letters = "23456789BCDFGHJKMNPQRTVWXY"
		var code []byte
		for range t.digits {
			code = append(code, letters[n%uint64(len(letters))])
			n /= uint64(len(letters))
		}
		return string(code)
	}
	code := fmt.Sprintf("%0*d", t.digits, n)
	return code[len(code)-t.digits:]
}

// totp finds the settings.
func (e *Entry) totp() (totp, error) {
	t := totp{step: 30, digits: 6, hash: sha1.New}
	var values [7]string
	for i, name := range []string{"otp", "TOTP Seed", "TOTP Settings", "TimeOtp-Secret-Base32", "TimeOtp-Length", "TimeOtp-Period", "TimeOtp-Algorithm"} {
		if _, ok := e.raw(name); !ok {
			continue
		}
		value, err := e.Field(name)
		if err != nil {
			return t, err
		}
		values[i] = value.Reveal()
	}
	otp, seed, settings := values[0], values[1], values[2]
	switch {
	case seed != "":
		t.key = seed
		return t, t.legacy(settings)
	case otp != "":
		return t, t.uri(otp)
	case values[3] != "":
		t.key = values[3]
		return t, t.set(values[4], values[5], values[6])
	}
	return t, fmt.Errorf("%w: it has none", ErrTOTP)
}

// uri takes the settings from an otpauth:// URI or from KeeOtp's query.
// (https://github.com/google/google-authenticator/wiki/Key-Uri-Format)
func (t *totp) uri(text string) error {
	if rest, ok := strings.CutPrefix(text, "otpauth://"); ok {
		// Not url.Parse: programs write names into the path that are not escaped.
		kind, query, _ := strings.Cut(rest, "?")
		if strings.HasPrefix(kind, "hotp/") {
			return fmt.Errorf("%w: they are for HOTP", ErrTOTP)
		}
		q, err := url.ParseQuery(query)
		if err != nil {
			return fmt.Errorf("%w: field otp is not an otpauth URI", ErrTOTP)
		}
		t.key = q.Get("secret")
		if t.steam = q.Get("encoder") == "steam"; t.steam {
			t.digits = 5
		}
		return t.set(q.Get("digits"), q.Get("period"), q.Get("algorithm"))
	}
	q, err := url.ParseQuery(text)
	if err != nil || !q.Has("key") {
		return fmt.Errorf("%w: field otp is not an otpauth URI", ErrTOTP)
	}
	t.key = q.Get("key")
	return t.set(q.Get("size"), q.Get("step"), q.Get("otpHashMode"))
}

// legacy takes what "TOTP Settings" says: "30;6", or "30;S" for Steam.
func (t *totp) legacy(settings string) error {
	step, digits, ok := strings.Cut(settings, ";")
	if !ok {
		return nil
	}
	if digits, _, _ = strings.Cut(digits, ";"); digits == "S" {
		t.steam, t.digits = true, 5
		return nil
	}
	return t.set(digits, step, "")
}

// set takes over what is not empty.
func (t *totp) set(digits, step, algorithm string) error {
	for _, s := range []struct {
		text string
		to   *int
		max  int
	}{{digits, &t.digits, 10}, {step, &t.step, 86400}} {
		if s.text == "" {
			continue
		}
		n, err := strconv.Atoi(s.text)
		if err != nil || n < 1 || n > s.max {
			return fmt.Errorf("%w: a number in them is not from 1 to %d", ErrTOTP, s.max)
		}
		*s.to = n
	}
	switch strings.TrimPrefix(strings.ReplaceAll(strings.ToUpper(algorithm), "-", ""), "HMAC") {
	case "", "SHA1":
	case "SHA256":
		t.hash = sha256.New
	case "SHA512":
		t.hash = sha512.New
	default:
		return fmt.Errorf("%w: the algorithm is not known", ErrTOTP)
	}
	return nil
}
