package kdbx

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"golang.org/x/crypto/chacha20"
)

// inner is an inner header, with attachments.
func inner(attachments ...string) []byte {
	var b []byte
	add := func(id byte, value string) {
		b = append(b, id)
		b = binary.LittleEndian.AppendUint32(b, uint32(len(value)))
		b = append(b, value...)
	}
	add(innerStream, "\x03\x00\x00\x00")
	add(innerStreamKey, "key")
	for _, a := range attachments {
		add(innerBinary, "\x01"+a)
	}
	add(innerEnd, "")
	return b
}

// root is a document with one group, which has this in it.
func root(in string) string {
	return "<KeePassFile><Meta/><Root><Group><Name>Root</Name>" + in + "</Group></Root></KeePassFile>"
}

func withField(name, value string) string {
	return "<Entry><String><Key>" + name + "</Key><Value>" + value + "</Value></String></Entry>"
}

// TestDocument has documents that no program writes, and some that only few do.
func TestDocument(t *testing.T) {
	deep := strings.Repeat("<Group>", maxDepth-3)
	for _, c := range []struct {
		name, doc string
		want      error
	}{
		{"empty", "", ErrTruncated},
		{"text", "x", ErrTruncated},
		{"no root", "<KeePassFile><Meta/></KeePassFile>", ErrTruncated},
		{"other document", "<html></html>", ErrCorrupt},
		{"two documents", root("") + root(""), ErrCorrupt},
		{"two roots", "<KeePassFile><Root/><Root/></KeePassFile>", ErrCorrupt},
		{"no group", "<KeePassFile><Root/></KeePassFile>", nil},
		{"as usual", "\ufeff<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<!-- x -->" + root(withField("Title", "x")), nil},
		{"cut off", root("")[:60], ErrCorrupt},
		{"cut off after a tag", "<KeePassFile><Root>", ErrTruncated},
		{"wrong end", "<KeePassFile><Root></Meta></KeePassFile>", ErrCorrupt},
		{"an end too many", root("") + "</x>", ErrCorrupt},
		{"document type", "<!DOCTYPE KeePassFile [<!ENTITY a \"b\">]>" + root(""), ErrCorrupt},
		{"entity", root(withField("Title", "&a;")), ErrCorrupt},
		{"external entity", "<!DOCTYPE x SYSTEM \"file:///etc/passwd\">" + root(""), ErrCorrupt},
		{"other encoding", "<?xml version=\"1.0\" encoding=\"utf-16\"?>" + root(""), ErrCorrupt},
		{"as deep as may be", root(deep + strings.Repeat("</Group>", maxDepth-3)), nil},
		{"too deep", root(deep + "<Group></Group>" + strings.Repeat("</Group>", maxDepth-3)), ErrCorrupt},
		{"much too deep", strings.Repeat("<x>", 1e5), ErrCorrupt},
		{"element in a value", root(withField("Title", "<b/>")), ErrCorrupt},
		{"not UTF-8", root(withField("Title", "\xff")), ErrCorrupt},
		{"protected value that is not UTF-8", root("<Entry><String><Key>x</Key><Value Protected=\"True\">" + strings.Repeat("/", 80) + "</Value></String></Entry>"), ErrCorrupt},
		{"field without a value", root("<Entry><String><Key>x</Key></String></Entry>"), ErrCorrupt},
		{"field without a name", root("<Entry><String><Value>x</Value></String></Entry>"), ErrCorrupt},
		{"field twice", root("<Entry><String><Key>x</Key><Value/></String><String><Key>x</Key><Value/></String></Entry>"), ErrCorrupt},
		{"protected value that is not base64", root("<Entry><String><Key>x</Key><Value Protected=\"True\">?</Value></String></Entry>"), ErrCorrupt},
		{"attachment that is not base64", root("<Entry><Binary><Key>x</Key><Value>?</Value></Binary></Entry>"), ErrCorrupt},
		{"what is not known", root("<Other a=\"b\"><x><y/></x></Other><Entry><Other/></Entry>"), nil},
	} {
		v, err := (&header{major: 4}).vault(bytes.NewReader(append(inner(), c.doc...)), 1<<20)
		if (err == nil) != (c.want == nil) || !errors.Is(err, c.want) || (v == nil) != (err != nil) {
			t.Errorf("%s: %v, %v, want %v", c.name, v, err, c.want)
		}
	}
}

// TestErrorsDoNotQuote has text that may be secret where it cannot be read.
func TestErrorsDoNotQuote(t *testing.T) {
	for _, doc := range []string{root(withField("Password", "x &hunter2; y")), root(withField("Password", "<hunter2>")), root(withField("x", "</hunter2>")), root("<hunter2 hunter2>"),
		root("<Entry><String><Key>x</Key><Value Protected=\"True\">hunter2</Value></String></Entry>"), "<hunter2>"} {
		_, err := (&header{major: 4}).vault(bytes.NewReader(append(inner(), doc...)), 1<<20)
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", doc, err)
		}
	}
}

// TestStream has protected values in places where nobody looks at them, in any order.
func TestStream(t *testing.T) {
	s, err := newStream([]byte{streamChaCha20, 0, 0, 0}, []byte("key"))
	if err != nil {
		t.Fatal(err)
	}
	protected := func(name, value string) string {
		b := []byte(value)
		s.XORKeyStream(b, b)
		return fmt.Sprintf("<%s Protected=\"true\">\n\t%s </%[1]s>", name, base64String(b))
	}
	str := func(name, value string) string {
		return "<String><Key>" + name + "</Key>" + protected("Value", value) + "</String>"
	}
	doc := "<KeePassFile><Other>" + protected("Secret", "1") + "</Other><Root><Group>" + protected("Name", "root") +
		"<Group><Entry>" + str("Title", "a") + "<History><Entry>" + str("Title", "old") + "</Entry></History>" + str("Password", "2") + "</Entry><Name>late</Name></Group>" +
		"<Entry>" + str("Title", "b") + protected("Unknown", "x") + "<Binary><Key>file</Key>" + protected("Value", "bytes\x00\xff") + "</Binary>" + str("Password", "3") + "</Entry>" +
		"</Group></Root></KeePassFile>"
	v, err := (&header{major: 4}).vault(bytes.NewReader(append(inner(), doc...)), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{"/late/a": "2", "/b": "3"} {
		e, err := v.Lookup(path)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := e.Field("Password"); err != nil || got.Reveal() != want {
			t.Errorf("%s: %q, %v", path, got.Reveal(), err)
		}
	}
	e, _ := v.Lookup("/b")
	if got, err := e.Attachment("file"); err != nil || got.Reveal() != "bytes\x00\xff" {
		t.Errorf("%q, %v", got.Reveal(), err)
	}
}

func base64String(b []byte) string { return string(appendBase64(b)) }

// TestAttachmentReferences has some that lead nowhere: the vault opens, the attachment does not.
func TestAttachmentReferences(t *testing.T) {
	ref := func(name, ref string) string {
		return "<Binary><Key>" + name + "</Key><Value Ref=\"" + ref + "\"/></Binary>"
	}
	doc := root("<Entry>" + ref("good", "1") + ref("bad", "2") + ref("twice", "0") + ref("twice", "1") + "</Entry>")
	v, err := (&header{major: 4}).vault(bytes.NewReader(append(inner("a", "b"), doc...)), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	e := v.Entries()[0]
	if got, err := e.Attachment("good"); err != nil || got.Reveal() != "b" {
		t.Errorf("%q, %v", got.Reveal(), err)
	}
	for _, name := range []string{"bad", "twice"} {
		if _, err := e.Attachment(name); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestDocument3 is what KDBX 3 has in its document: the header's hash, and attachments.
func TestDocument3(t *testing.T) {
	raw := []byte("header")
	sum := sha256.Sum256(raw)
	hash := "<HeaderHash>" + base64String(sum[:]) + "</HeaderHash>"
	zip := func(n int) string {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		z.Write(make([]byte, n))
		z.Close()
		return base64String(b.Bytes())
	}
	for _, c := range []struct {
		name, meta string
		minor      uint16
		want       error
	}{
		{"right hash", hash, 1, nil},
		{"no hash", "", 1, ErrCorrupt},
		{"empty hash", "<HeaderHash/>", 1, ErrCorrupt},
		{"no hash in 3.0", "", 0, nil},
		{"wrong hash", strings.ToLower(hash), 1, ErrCorrupt},
		{"wrong hash in 3.0", "<HeaderHash>AAAA</HeaderHash>", 0, ErrCorrupt},
		{"attachment", hash + "<Binaries><Binary ID=\"0\" Compressed=\"True\">" + zip(1000) + "</Binary></Binaries>", 1, nil},
		{"attachment that is not compressed", hash + "<Binaries><Binary ID=\"0\" Compressed=\"True\">AAAA</Binary></Binaries>", 1, ErrCorrupt},
		{"attachment that unpacks to too much", hash + "<Binaries><Binary ID=\"0\" Compressed=\"True\">" + zip(1<<20) + "</Binary></Binaries>", 1, ErrTooLarge},
		{"attachments that do together", hash + "<Binaries>" + strings.Repeat("<Binary ID=\"0\" Compressed=\"True\">"+zip(40000)+"</Binary>", 3) + "</Binaries>", 1, ErrTooLarge},
	} {
		h := &header{major: 3, minor: c.minor, raw: raw}
		h.field[fieldStream], h.field[fieldStreamKey] = []byte{streamSalsa20, 0, 0, 0}, []byte("key")
		doc := strings.Replace(root(""), "<Meta/>", "<Meta>"+c.meta+"</Meta>", 1)
		if _, err := h.vault(strings.NewReader(doc), 100000); !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

// TestInnerHeader has some that are wrong.
func TestInnerHeader(t *testing.T) {
	for name, c := range map[string]struct {
		content []byte
		want    error
	}{
		"nothing":        {nil, ErrTruncated},
		"cut off":        {inner()[:10], ErrTruncated},
		"no end":         {inner()[:len(inner())-5], ErrTruncated},
		"no stream":      {[]byte{0, 0, 0, 0, 0}, ErrCorrupt},
		"other stream":   {[]byte{1, 4, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0}, ErrUnsupported},
		"no flags":       {[]byte{3, 0, 0, 0, 0}, ErrCorrupt},
		"a great length": {append([]byte{3, 0xff, 0xff, 0xff, 0xff}, make([]byte, 2000)...), ErrTooLarge},
	} {
		if _, err := (&header{major: 4}).vault(bytes.NewReader(c.content), 1000); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// seal makes a KDBX 4 vault of blocks, with AES-KDF and ChaCha20. change may still change
// the numbers with which the blocks are authenticated.
func seal(t *testing.T, blocks [][]byte, numbers []uint64) []byte {
	t.Helper()
	file := read(t, "py4-aeskdf-chacha20.kdbx")
	file = file[:headerEnd(t, file)]
	h, err := readHeader(&reader{b: file})
	if err != nil {
		t.Fatal(err)
	}
	derive, err := h.derivation(cheap)
	if err != nil {
		t.Fatal(err)
	}
	composite, _ := Credentials{Password: []byte(password)}.composite()
	derived, err := derive(context.Background(), composite)
	if err != nil {
		t.Fatal(err)
	}
	key := sha256.Sum256(append(bytes.Clone(h.field[fieldSeed]), derived...))
	base := sha512.Sum512(append(append(bytes.Clone(h.field[fieldSeed]), derived...), 1))
	mac := func(i uint64, b []byte) []byte {
		key := sha512.Sum512(append(binary.LittleEndian.AppendUint64(nil, i), base[:]...))
		m := hmac.New(sha256.New, key[:])
		m.Write(b)
		return m.Sum(nil)
	}
	stream, err := chacha20.NewUnauthenticatedCipher(key[:], h.field[fieldIV])
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(file)
	out := append(append(file, sum[:]...), mac(math.MaxUint64, file)...)
	for i, b := range append(blocks, nil) {
		b = bytes.Clone(b)
		stream.XORKeyStream(b, b)
		sealed := append(binary.LittleEndian.AppendUint32(nil, uint32(len(b))), b...)
		out = append(out, mac(numbers[i], append(binary.LittleEndian.AppendUint64(nil, numbers[i]), sealed...))...)
		out = append(out, sealed...)
	}
	return out
}

// TestBlocks has a vault of several blocks: as it should be, and with one that is out of order.
func TestBlocks(t *testing.T) {
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	z.Write(append(inner(), root(withField("Title", "x"))...))
	z.Close()
	b := zipped.Bytes()
	blocks := [][]byte{b[:10], b[10:30], b[30:]}
	c := Credentials{Password: []byte(password)}
	v, err := Open(context.Background(), seal(t, blocks, []uint64{0, 1, 2, 3}), c, cheap)
	if err != nil || len(v.Entries()) != 1 || v.Entries()[0].Title() != "x" {
		t.Errorf("%v, %v", v, err)
	}
	refused(t, "swapped", seal(t, blocks, []uint64{1, 0, 2, 3}), c, ErrCorrupt)
	refused(t, "repeated", seal(t, blocks, []uint64{0, 1, 1, 3}), c, ErrCorrupt)
	refused(t, "one left out", seal(t, blocks[:2], []uint64{0, 1, 3}), c, ErrCorrupt)
	whole := seal(t, blocks, []uint64{0, 1, 2, 3})
	refused(t, "the end left out", whole[:len(whole)-36], c, ErrTruncated)
}
