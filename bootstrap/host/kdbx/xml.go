package kdbx

import (
	"bytes"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"unicode/utf8"
)

// maxDepth is how deep elements may be in each other. A group is one level.
const maxDepth = 500

// errEnd is the end of the document.
var errEnd = errors.New("end of the document")

// elements reads a document element by element and keeps the stream for protected
// values in step: every protected value is decrypted where it stands, whatever becomes of it.
//
// encoding/xml expands no entities but the five of XML and numbers, and fetches nothing.
type elements struct {
	xml    *xml.Decoder
	stream stream
	open   []string
	text   bytes.Buffer // of the element that is being read
	plain  []byte       // the same, decrypted
}

// next is the next start, end or text.
func (e *elements) next() (xml.Token, error) {
	for {
		t, err := e.xml.RawToken()
		if err == io.EOF {
			return nil, errEnd
		}
		if err != nil {
			return nil, reading("the document", err)
		}
		switch t := t.(type) {
		case xml.StartElement:
			if e.open = append(e.open, t.Name.Local); len(e.open) > maxDepth {
				return nil, damaged("elements are more than %d deep", maxDepth)
			}
			return t, nil
		case xml.EndElement:
			if len(e.open) == 0 || e.open[len(e.open)-1] != t.Name.Local {
				return nil, damaged("line %d of the document closes what is not open", e.line())
			}
			e.open = e.open[:len(e.open)-1]
			return t, nil
		case xml.CharData:
			return t, nil
		case xml.Directive:
			return nil, damaged("the document has a document type")
		}
	}
}

func (e *elements) line() int {
	line, _ := e.xml.InputPos()
	return line
}

// children calls f for each element in the one that was just opened. f reads it to its end.
func (e *elements) children(f func(el xml.StartElement) error) error {
	for {
		t, err := e.next()
		if err != nil {
			return cutShort(err)
		}
		switch t := t.(type) {
		case xml.StartElement:
			if err := f(t); err != nil {
				return err
			}
		case xml.EndElement:
			return nil
		}
	}
}

// cutShort makes the end of the document, where it must not be, an error.
func cutShort(err error) error {
	if err == errEnd {
		return reading("the document", io.ErrUnexpectedEOF)
	}
	return err
}

// skip reads el to its end.
func (e *elements) skip(el xml.StartElement) error {
	if is(el, "Protected") {
		_, err := e.value(el)
		return err
	}
	return e.children(e.skip)
}

// value reads the text of el to its end, and decrypts it. It is valid until the next call.
func (e *elements) value(el xml.StartElement) ([]byte, error) {
	e.text.Reset()
	for {
		t, err := e.next()
		if err != nil {
			return nil, cutShort(err)
		}
		switch t := t.(type) {
		case xml.StartElement:
			return nil, damaged("line %d of the document has an element where text belongs", e.line())
		case xml.CharData:
			e.text.Write(t)
			continue
		}
		if !is(el, "Protected") {
			return e.text.Bytes(), nil
		}
		if e.plain, err = unbase64(e.plain[:0], e.text.Bytes()); err != nil {
			return nil, damaged("line %d of the document has a protected value that is not base64", e.line())
		}
		e.stream.XORKeyStream(e.plain, e.plain)
		return e.plain, nil
	}
}

// string is value for text.
func (e *elements) string(el xml.StartElement) (string, error) {
	b, err := e.value(el)
	if err == nil && !utf8.Valid(b) {
		// Not KeePass's doing: the stream for protected values has lost its step.
		err = damaged("line %d of the document has a value that is not text", e.line())
	}
	return string(b), err
}

// is reports whether el's attribute name is true.
func is(el xml.StartElement, name string) bool {
	v, _ := attribute(el, name)
	return v == "1" || strings.EqualFold(v, "true")
}

func attribute(el xml.StartElement, name string) (value string, ok bool) {
	for _, a := range el.Attr {
		if a.Name.Local == name {
			return a.Value, true
		}
	}
	return "", false
}

// unbase64 appends what b encodes to dst; b may have white space in it.
func unbase64(dst, b []byte) ([]byte, error) {
	if bytes.ContainsAny(b, " \t") {
		b = bytes.Join(bytes.Fields(b), nil)
	}
	return base64.StdEncoding.AppendDecode(dst, b)
}
