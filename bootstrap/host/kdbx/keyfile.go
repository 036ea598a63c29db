package kdbx

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"strings"
)

// composite is the hash of the parts of the key, in the order of
// https://keepass.info/help/kb/kdbx.html#key: the password's hash, the key file's key.
func (c Credentials) composite() ([]byte, error) {
	if c.Password == nil && c.KeyFile == nil {
		return nil, ErrNoKey
	}
	h := sha256.New()
	if c.Password != nil {
		sum := sha256.Sum256(c.Password)
		h.Write(sum[:])
	}
	if c.KeyFile != nil {
		key, err := fileKey(c.KeyFile)
		if err != nil {
			return nil, err
		}
		h.Write(key)
	}
	return h.Sum(nil), nil
}

// fileKey is the key of a key file (https://keepass.info/help/base/keys.html#keyfiles):
// what an XML file says, 32 bytes, 64 hexadecimal digits, or the hash of anything else.
func fileKey(b []byte) ([]byte, error) {
	if len(b) == 0 {
		return nil, fmt.Errorf("%w: it is empty", ErrKeyFile)
	}
	if key, err := xmlKey(b); key != nil || err != nil {
		return key, err
	}
	switch len(b) {
	case 32:
		return b, nil
	case 64:
		if key, err := hex.DecodeString(string(b)); err == nil {
			return key, nil
		}
	}
	sum := sha256.Sum256(b)
	return sum[:], nil
}

// xmlKey is the key of an XML key file, version 1.x (base64) or 2.x (hexadecimal with
// the first four bytes of its SHA-256), and nil without an error if b is none.
func xmlKey(b []byte) ([]byte, error) {
	if !bytes.Contains(b, []byte("<KeyFile")) {
		return nil, nil
	}
	file, err := parseKeyFile(b)
	if err != nil { // Like KeePassXC: what is not well-formed is some other file, and hashed.
		return nil, nil
	}
	text := strings.Join(strings.Fields(file.text), "")
	var key []byte
	switch major, _, _ := strings.Cut(strings.TrimSpace(file.version), "."); major {
	case "1":
		key, err = base64.StdEncoding.DecodeString(text)
	case "2":
		key, err = hex.DecodeString(text)
		sum := sha256.Sum256(key)
		want, _ := hex.DecodeString(strings.TrimSpace(file.hash))
		if err == nil && subtle.ConstantTimeCompare(want, sum[:4]) != 1 {
			return nil, fmt.Errorf("%w: its hash does not match", ErrKeyFile)
		}
	default:
		return nil, fmt.Errorf("%w: version %.20q is not known", ErrKeyFile, file.version)
	}
	if err != nil || len(key) != 32 {
		return nil, fmt.Errorf("%w: its key is not 32 bytes", ErrKeyFile)
	}
	return key, nil
}

// keyFile is what an XML key file says.
type keyFile struct{ version, hash, text string }

func parseKeyFile(b []byte) (f keyFile, err error) {
	in := xml.NewDecoder(bytes.NewReader(b))
	for path := ""; ; {
		t, err := in.Token()
		if err != nil {
			return f, err
		}
		switch t := t.(type) {
		case xml.StartElement:
			if path += "/" + t.Name.Local; !strings.HasPrefix(path+"/", "/KeyFile/") {
				return f, errors.New("it is no key file")
			}
			if path == "/KeyFile/Key/Data" {
				f.hash, _ = attribute(t, "Hash")
			}
		case xml.CharData:
			switch path {
			case "/KeyFile/Meta/Version":
				f.version += string(t)
			case "/KeyFile/Key/Data":
				f.text += string(t)
			}
		case xml.EndElement:
			if path = path[:strings.LastIndexByte(path, '/')]; path == "" {
				return f, nil
			}
		}
	}
}
