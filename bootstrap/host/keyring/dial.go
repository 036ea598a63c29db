package keyring

import (
	"context"
	"fmt"
	"net"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// dial connects to a unix socket as a user. A bus lets in nobody but its user, root
// neither; so root does it with that user's id, in a thread of its own that ends with it.
func dial(ctx context.Context, socket string, uid int) (net.Conn, error) {
	if os.Geteuid() == uid {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}
	type result struct {
		c   net.Conn
		err error
	}
	got := make(chan result, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread, whose id is another's, ends here
		// The raw call changes this thread only; syscall.Setresuid would change all of them.
		const same = ^uintptr(0)
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, same, uintptr(uid), same); errno != 0 {
			got <- result{err: fmt.Errorf("becoming user %d: %w", uid, errno)}
			return
		}
		c, err := new(net.Dialer).DialContext(ctx, "unix", socket)
		got <- result{c, err}
	}()
	r := <-got
	return r.c, r.err
}
