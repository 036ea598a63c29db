package kdbx

import (
	"bytes"
	"testing"
	"unsafe"
)

// TestMove: all values are as before, and where they were moved to.
func TestMove(t *testing.T) {
	was, v := open(t, "cli4.kdbx"), open(t, "cli4.kdbx")
	buf := make([]byte, v.Size())
	v.Move(buf)
	from, to := uintptr(unsafe.Pointer(&buf[0])), uintptr(unsafe.Pointer(&buf[len(buf)-1]))
	inside := func(p *byte) bool { return uintptr(unsafe.Pointer(p)) >= from && uintptr(unsafe.Pointer(p)) <= to }
	for i, e := range v.entries {
		for k, f := range e.fields {
			text := f.value.Reveal()
			if text != was.entries[i].fields[k].value.Reveal() {
				t.Errorf("%s: %s is another", e, f.name)
			}
			if text != "" && !inside(unsafe.StringData(text)) {
				t.Errorf("%s: %s is elsewhere", e, f.name)
			}
		}
	}
	for name, b := range v.binaries {
		if !bytes.Equal(b, was.binaries[name]) || len(b) > 0 && !inside(&b[0]) {
			t.Errorf("attachment %s", name)
		}
	}
	if len(v.binaries) == 0 {
		t.Error("the test's vault has no attachment")
	}
}
