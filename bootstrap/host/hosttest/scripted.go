package hosttest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"movein/bootstrap/host"
	"movein/bootstrap/host/bundle"
)

// Now implements host.Clock. Without a Clock it is a second later each time it is asked.
func (h *Host) Now() time.Time {
	if h.Clock != nil {
		return h.Clock()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = h.now.Add(time.Second)
	return h.now
}

// BootID implements host.Clock.
func (h *Host) BootID() string { return h.Boot }

// Tip implements host.Network.
func (h *Host) Tip(_ context.Context, r host.Remote) (host.Tip, error) {
	if h.OnTip == nil {
		return host.Tip{}, h.unexpected("Tip of %+v", r)
	}
	return h.OnTip(r)
}

// ServerTime implements host.Network.
func (h *Host) ServerTime(_ context.Context, url string) (time.Time, error) {
	if h.OnServerTime == nil {
		return time.Time{}, h.unexpected("ServerTime of %s", url)
	}
	return h.OnServerTime(url)
}

// Repo implements host.Repos.
func (h *Host) Repo(_ context.Context, dir string) (host.Repo, error) {
	if h.OnRepo == nil {
		return host.Repo{}, h.unexpected("Repo of %s", dir)
	}
	return h.OnRepo(dir)
}

// Daemon implements host.Store.
func (h *Host) Daemon(_ context.Context, socket string, paths ...string) (host.Daemon, error) {
	if h.OnDaemon == nil {
		return host.Daemon{}, h.unexpected("Daemon at %s", socket)
	}
	return h.OnDaemon(socket, paths)
}

// NarHash implements host.Store, truly.
func (h *Host) NarHash(ctx context.Context, name string) (string, int64, error) {
	return h.real.NarHash(ctx, name)
}

// Stamp implements host.Store, truly.
func (h *Host) Stamp(ctx context.Context, name string) (string, error) {
	return h.real.Stamp(ctx, name)
}

// Once implements host.Onlooker: nothing is kept, since a test changes the host as it likes.
func (h *Host) Once(_ string, look func() (any, error)) (any, error) { return look() }

// Recall implements host.Memory.
func (h *Host) Recall(key string) []byte {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.memory[key])
}

// Remember implements host.Memory.
func (h *Host) Remember(key string, data []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.memory[key] = slices.Clone(data)
}

// Progress implements host.Teller. It is not kept.
func (h *Host) Progress(int64, int64, string) {}

// Warn implements host.Teller.
func (h *Host) Warn(format string, a ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.warnings = append(h.warnings, fmt.Sprintf(format, a...))
}

// Spawn implements host.Runner.
func (h *Host) Spawn(c *host.Cmd, log string) error {
	h.note("spawn %s", strings.Join(c.Args, " "))
	if h.OnSpawn == nil {
		return h.unexpected("spawning %q", c.Args)
	}
	return h.OnSpawn(*c, log)
}

// Await implements host.Runner: it asks three times, without a pause.
func (h *Host) Await(ctx context.Context, what string, ok func() bool) error {
	for range 3 {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if ok() {
			return nil
		}
	}
	return fmt.Errorf("waiting for %s: not within 10s", what)
}

// Fetch implements host.Fetcher.
func (h *Host) Fetch(_ context.Context, url, sha256, file string) error {
	h.note("fetch %s", url)
	if h.OnFetch == nil {
		return h.unexpected("fetching %s", url)
	}
	return h.OnFetch(url, sha256, file)
}

// Clone implements host.Cloner.
func (h *Host) Clone(_ context.Context, r host.Remote, dir string) error {
	h.note("clone %s", dir)
	if h.OnClone == nil {
		return h.unexpected("cloning %+v into %s", r, dir)
	}
	return h.OnClone(r, dir)
}

// FastForward implements host.Cloner.
func (h *Host) FastForward(_ context.Context, dir string, r host.Remote, commit string) error {
	h.note("fast-forward %s", dir)
	if h.OnFastForward == nil {
		return h.unexpected("fast-forwarding %s to %s", dir, commit)
	}
	return h.OnFastForward(dir, r, commit)
}

// Attach implements host.Cloner.
func (h *Host) Attach(_ context.Context, dir, branch string) error {
	h.note("attach %s", dir)
	if h.OnAttach == nil {
		return h.unexpected("attaching %s to %s", dir, branch)
	}
	return h.OnAttach(dir, branch)
}

// Bundle implements host.Bundler.
func (h *Host) Bundle(_ context.Context, dir, into string, reuse []string) (string, error) {
	h.note("bundle %s", dir)
	if h.OnBundle == nil {
		return "", h.unexpected("bundling %s into %s", dir, into)
	}
	return h.OnBundle(dir, into, reuse)
}

// BundleBranch implements host.Bundler.
func (h *Host) BundleBranch(_ context.Context, dir, file string) error {
	h.note("bundle branch %s", dir)
	if h.OnBundleBranch == nil {
		return h.unexpected("bundling the branch of %s", dir)
	}
	return h.OnBundleBranch(dir, file)
}

// Unbundle implements host.Unpacker.
func (h *Host) Unbundle(_ context.Context, b bundle.File, name, to string) error {
	h.note("unbundle %s", name)
	if h.OnUnbundle == nil {
		return h.unexpected("taking %s from %s", name, b.Name)
	}
	return h.OnUnbundle(b, name, to)
}

// Unpack implements host.Unpacker.
func (h *Host) Unpack(_ context.Context, archive, sha256, dir string) error {
	h.note("unpack %s", archive)
	if h.OnUnpack == nil {
		return h.unexpected("unpacking %s", archive)
	}
	return h.OnUnpack(archive, sha256, dir)
}

// Extract implements host.Unpacker.
func (h *Host) Extract(_ context.Context, archive, sha256, name, file string) error {
	h.note("extract %s", archive)
	if h.OnExtract == nil {
		return h.unexpected("extracting %s of %s", name, archive)
	}
	return h.OnExtract(archive, sha256, name, file)
}
