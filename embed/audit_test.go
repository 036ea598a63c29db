package embed

import (
	"os"
	"testing"
)

// TestAuditTablePacked shows that what is carried is what can be read here.
func TestAuditTablePacked(t *testing.T) {
	text, err := os.ReadFile("audit.txt")
	if err != nil {
		t.Fatal(err)
	}
	if AuditTable() != string(text) {
		t.Error("audit.txt.gz is not audit.txt: gzip -9nc embed/audit.txt >embed/audit.txt.gz")
	}
}
