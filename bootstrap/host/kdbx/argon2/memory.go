package argon2

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// allocate returns n blocks of zeroes and what gives them back. They are not on
// Go's heap: a vault's 64 MiB would stay there until the next collection and
// double what the heap may grow to, and the system may refuse them with an error.
func allocate(n int) (blocks []block, release func(), err error) {
	b, err := unix.Mmap(-1, 0, n*int(unsafe.Sizeof(block{})), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %d MiB: %w", ErrMemory, n>>10, err)
	}
	// Both are only advice: large pages are faster, and a core dump should not have it.
	_ = unix.Madvise(b, unix.MADV_HUGEPAGE)
	_ = unix.Madvise(b, unix.MADV_DONTDUMP)
	release = func() { _ = unix.Munmap(b) }
	return unsafe.Slice((*block)(unsafe.Pointer(unsafe.SliceData(b))), n), release, nil
}
