package embed

import (
	"bytes"
	"compress/gzip"
	_ "embed" // for the directive
	"io"
)

// The table, packed: it is a third of its size then. After a change of audit.txt:
//
//	gzip -9nc embed/audit.txt >embed/audit.txt.gz
//
//go:embed audit.txt.gz
var auditTable []byte

// AuditTable returns what of a NixOS configuration is the system's and what is the
// user's. The format is described at its head; steps/audit reads it.
func AuditTable() string {
	r, err := gzip.NewReader(bytes.NewReader(auditTable))
	if err == nil {
		var text []byte
		if text, err = io.ReadAll(r); err == nil {
			return string(text)
		}
	}
	panic("embed: " + err.Error()) // a test unpacks it
}
