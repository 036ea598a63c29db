package secret

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"movein/bootstrap/host"
	"movein/bootstrap/host/kdbx"
)

// A Keeper keeps a vault open between runs, in memory that is not swapped.
type Keeper struct {
	host      *host.Real
	dir, file string
	was       fs.FileInfo // of the vault, before it was read
	idle      time.Duration
}

// NewKeeper is one of the vault that is to be read from file. Its agent will be in dir,
// and goes when nobody has asked for idle.
func NewKeeper(r *host.Real, dir, file string, idle time.Duration) (*Keeper, error) {
	k := &Keeper{host: r, dir: dir, file: file, idle: idle}
	var err error
	k.was, err = k.look()
	return k, err
}

func (k *Keeper) look() (fs.FileInfo, error) { return k.host.Lstat(k.host.Resolve(k.file)) }

// Keep serves v until nobody has asked for long, the file is another than it was, somebody
// tells the agent to go, or ctx ends. ready is called when it can be asked; until starter
// ends, whoever started it may be about to. Errors: those of Serve, and that the memory
// cannot be locked.
//
// What is kept there is the vault's fields and attachments. Of an answer there are copies in
// ordinary memory for a while.
func (k *Keeper) Keep(ctx context.Context, v *kdbx.Vault, starter io.Reader, ready func()) error {
	free, err := lockInMemory(v)
	if err != nil {
		return err
	}
	defer free()
	a := &Agent{}
	a.from = k.fresh(OfVault(k.file, v), func() { a.idle.end() })
	gone, done := a.idle.begin(k.idle), a.idle.busy()
	go func() {
		io.Copy(io.Discard, starter) //nolint:errcheck // however it ends
		done()
	}()
	if err := a.listen(k.dir); err != nil {
		return err
	}
	defer a.Close()
	ready()
	select {
	case <-gone:
	case <-ctx.Done():
	}
	return nil
}

// fresh answers from a vault as long as its file is the one that was read, and then calls end.
func (k *Keeper) fresh(from Source, end func()) Source {
	return func(ctx context.Context, q Question) (Answer, error) {
		is, err := k.look()
		if err != nil || !os.SameFile(is, k.was) || is.Size() != k.was.Size() || !is.ModTime().Equal(k.was.ModTime()) {
			end()
			return Answer{}, fmt.Errorf("%w: %s was changed since it was opened", ErrNoAgent, k.file)
		}
		return from(ctx, q)
	}
}

// lockInMemory moves the vault's values to memory that is not swapped, and not in a core dump.
func lockInMemory(v *kdbx.Vault) (free func(), err error) {
	var most unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_MEMLOCK, &most) == nil {
		unix.Setrlimit(unix.RLIMIT_MEMLOCK, &unix.Rlimit{Cur: most.Max, Max: most.Max}) //nolint:errcheck // then it may be too little
	}
	page := os.Getpagesize()
	mem, err := unix.Mmap(-1, 0, (v.Size()/page+1)*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return nil, fmt.Errorf("making memory for the vault: %w", err)
	}
	free = func() {
		clear(mem)
		unix.Munmap(mem) //nolint:errcheck // the process ends
	}
	if err = unix.Mlock(mem); err == nil {
		err = unix.Madvise(mem, unix.MADV_DONTDUMP)
	}
	if err != nil {
		free()
		return nil, fmt.Errorf("locking %d bytes of memory: %w", len(mem), err)
	}
	v.Move(mem)
	debug.FreeOSMemory() // what was read, and is garbage now, is not to be swapped either
	return free, nil
}

// idle knows when nobody has asked for long. The zero value never does.
type idle struct {
	mu     sync.Mutex
	after  time.Duration
	timer  *time.Timer // nil: never
	asks   int         // who ask now
	ending bool
	gone   chan struct{}
}

// begin begins to count. gone is closed when nobody has asked for after, or after end when
// nobody asks any more.
func (i *idle) begin(after time.Duration) (gone <-chan struct{}) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.after, i.gone, i.timer = after, make(chan struct{}), time.AfterFunc(after, func() { i.end() })
	return i.gone
}

// busy says that somebody asks, until done is called.
func (i *idle) busy() (done func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.asks++; i.timer != nil {
		i.timer.Stop()
	}
	return func() {
		i.mu.Lock()
		defer i.mu.Unlock()
		if i.asks--; i.asks == 0 && i.timer != nil {
			i.timer.Reset(i.after)
			i.close()
		}
	}
}

// end ends it; false: it is not to be ended like that.
func (i *idle) end() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.ending = true
	i.close()
	return i.gone != nil
}

// close closes gone, once, if that is due.
func (i *idle) close() {
	if i.ending && i.asks == 0 && i.timer != nil {
		i.timer.Stop()
		i.timer = nil
		close(i.gone)
	}
}
