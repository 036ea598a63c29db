package kdbx

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"encoding/xml"
	"io"
	"strings"
)

// A document is the XML of a vault while it is read, after
// https://keepass.info/help/kb/kdbx.html#xml. Elements may come in any order: some
// programs write an entry after a group, where KeePass writes all entries first.
type document struct {
	elements
	*header
	vault    *Vault
	binaries map[string][]byte // attachments by what refers to them
	limit    int64             // of what an attachment of KDBX 3 may unpack to

	hashed     bool   // the header's hash was there, and right
	binEnabled bool   // there is a recycle bin
	binID      string // and it is this group
	rooted     bool
}

// A group holds entries. Its name may come after them in the document.
type group struct {
	parent     *group // nil for the root group, whose name is in no path
	name, uuid string
}

// read reads all of r into the vault.
func (d *document) read(r io.Reader) error {
	d.xml = xml.NewDecoder(r)
	var found bool
	for {
		t, err := d.next()
		if err == errEnd {
			break
		}
		if err != nil {
			return err
		}
		if el, ok := t.(xml.StartElement); ok {
			if found || el.Name.Local != "KeePassFile" {
				return damaged("the document is not KeePass's")
			}
			found = true
			if err := d.children(d.file); err != nil {
				return err
			}
		}
	}
	if !d.rooted || len(d.open) > 0 {
		return reading("the document", io.ErrUnexpectedEOF)
	}
	// KDBX 3.1's header has no other protection, and it has the key for protected values.
	// KDBX 3.0 does not know the hash.
	if d.major == 3 && d.minor >= 1 && !d.hashed {
		return damaged("the document does not have the header's hash")
	}
	d.vault.binaries = d.binaries
	for _, e := range d.vault.entries {
		for g := e.group; g != nil && d.binEnabled; g = g.parent {
			e.recycled = e.recycled || g.uuid == d.binID
		}
	}
	return nil
}

func (d *document) file(el xml.StartElement) error {
	switch el.Name.Local {
	case "Meta":
		return d.children(d.meta)
	case "Root":
		if d.rooted {
			return damaged("the document has two roots")
		}
		d.rooted = true
		return d.children(func(el xml.StartElement) error {
			if el.Name.Local == "Group" {
				return d.group(nil)
			}
			return d.skip(el)
		})
	}
	return d.skip(el)
}

func (d *document) meta(el xml.StartElement) error {
	switch el.Name.Local {
	case "HeaderHash":
		text, err := d.string(el)
		if err != nil || text == "" || d.major != 3 {
			return err
		}
		sum := sha256.Sum256(d.raw)
		if got, err := base64.StdEncoding.DecodeString(text); err != nil || !bytes.Equal(got, sum[:]) {
			return damaged("the header's hash does not match")
		}
		d.hashed = true
		return nil
	case "RecycleBinEnabled":
		text, err := d.string(el)
		d.binEnabled = strings.EqualFold(text, "true")
		return err
	case "RecycleBinUUID":
		text, err := d.string(el)
		d.binID = text
		return err
	case "Binaries": // KDBX 3
		return d.children(d.binary)
	}
	return d.skip(el)
}

// binary reads an attachment of KDBX 3.
func (d *document) binary(el xml.StartElement) error {
	id, ok := attribute(el, "ID")
	if el.Name.Local != "Binary" || !ok {
		return d.skip(el)
	}
	b, err := d.bytes(el)
	if err != nil {
		return err
	}
	if is(el, "Compressed") && len(b) > 0 {
		z, err := gzip.NewReader(bytes.NewReader(b))
		if err != nil {
			return reading("an attachment", err)
		}
		if b, err = io.ReadAll(&limited{z, d.limit}); err != nil {
			return reading("an attachment", err)
		}
	}
	if d.limit -= int64(len(b)); d.limit < 0 { // of all together
		return ErrTooLarge
	}
	d.binaries[id] = b
	return nil
}

// bytes is the value of el, which is base64 whether it is protected or not.
func (d *document) bytes(el xml.StartElement) ([]byte, error) {
	b, err := d.value(el)
	if err != nil {
		return nil, err
	}
	if is(el, "Protected") { // has been decoded
		return bytes.Clone(b), nil
	}
	if b, err = unbase64(nil, b); err != nil {
		return nil, damaged("line %d of the document has an attachment that is not base64", d.line())
	}
	return b, nil
}

func (d *document) group(parent *group) error {
	g := &group{parent: parent}
	return d.children(func(el xml.StartElement) (err error) {
		switch el.Name.Local {
		case "Name":
			g.name, err = d.string(el)
		case "UUID":
			g.uuid, err = d.string(el)
		case "Group":
			err = d.group(g)
		case "Entry":
			err = d.entry(g)
		default:
			err = d.skip(el)
		}
		return err
	})
}

// entry reads an entry. Its history is read, but not kept.
func (d *document) entry(g *group) error {
	e := &Entry{vault: d.vault, group: g}
	err := d.children(func(el xml.StartElement) (err error) {
		switch el.Name.Local {
		case "UUID":
			e.uuid, err = d.string(el)
		case "String":
			err = d.field(e)
		case "Binary":
			err = d.attachment(e)
		default:
			err = d.skip(el)
		}
		return err
	})
	d.vault.entries = append(d.vault.entries, e)
	return err
}

func (d *document) field(e *Entry) error {
	var name, value string
	var named, valued bool
	err := d.children(func(el xml.StartElement) (err error) {
		switch el.Name.Local {
		case "Key":
			named = true
			name, err = d.string(el)
		case "Value":
			valued = true
			value, err = d.string(el)
		default:
			err = d.skip(el)
		}
		return err
	})
	switch _, twice := e.raw(name); {
	case err != nil:
		return err
	case !named || !valued:
		return damaged("line %d of the document has a field without a name or a value", d.line())
	case twice:
		return damaged("line %d of the document has a field for the second time", d.line())
	}
	e.fields = append(e.fields, field{strings.Clone(name), NewSecret(value)})
	return nil
}

func (d *document) attachment(e *Entry) error {
	var name, ref string
	err := d.children(func(el xml.StartElement) (err error) {
		var given bool
		switch el.Name.Local {
		case "Key":
			name, err = d.string(el)
		case "Value":
			if ref, given = attribute(el, "Ref"); given {
				return d.skip(el)
			}
			// It may also stand here.
			var b []byte
			b, err = d.bytes(el)
			ref = "of " + e.uuid + " " + name
			d.binaries[ref] = b
		default:
			err = d.skip(el)
		}
		return err
	})
	e.attachments = append(e.attachments, attachment{name, ref})
	return err
}
