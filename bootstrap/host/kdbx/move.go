package kdbx

import "unsafe"

// Size is how many bytes all values and attachments have.
func (v *Vault) Size() (n int) {
	for _, e := range v.entries {
		for _, f := range e.fields {
			n += len(f.value.Reveal())
		}
	}
	for _, b := range v.binaries {
		n += len(b)
	}
	return n
}

// Move moves all values and attachments to buf, which has at least Size bytes and is there
// for as long as the vault, and is written by nobody else. It is not for a vault that is in use.
func (v *Vault) Move(buf []byte) {
	for _, e := range v.entries {
		for i, f := range e.fields {
			n := copy(buf, f.value.Reveal())
			if n > 0 {
				e.fields[i].value = NewSecret(unsafe.String(&buf[0], n))
			}
			buf = buf[n:]
		}
	}
	for name, b := range v.binaries {
		n := copy(buf, b)
		v.binaries[name], buf = buf[:n:n], buf[n:]
	}
}
