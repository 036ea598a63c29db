package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Real is the machine that the program runs on. It implements Host.
type Real struct {
	Root  string     // what to take for /; empty but in tests
	Env   []string   // the clean environment for children, see Environ
	Cache string     // directory of the Memory; "": nothing is remembered
	Notes func(Note) // told of progress and warnings; may be nil
	Sight *Sight     // what was seen of the host in this run; may be nil

	Logins *Logins // at git servers; may be nil
	Vault  Vault   // nil: there are no secrets
}

// Note is what a step tells on the way.
type Note struct {
	Done, Total int64
	Unit        string
	Warning     string // if set, the rest is empty
}

var _ Host = (*Real)(nil)

// path is where name is below Root. Links on the way, also absolute ones, stay below Root.
func (r *Real) path(name string) string {
	if r.Root == "" {
		return name
	}
	dir, base := filepath.Split(filepath.Clean("/" + name))
	return filepath.Join(r.Root, r.resolve(dir, 40), base)
}

// full is path with the last component followed too.
func (r *Real) full(name string) string {
	if r.Root == "" {
		return name
	}
	return filepath.Join(r.Root, r.resolve(filepath.Clean("/"+name), 40))
}

// resolve follows the links in name as if Root were /.
func (r *Real) resolve(name string, hops int) string {
	done := "/"
	for rest := strings.TrimPrefix(name, "/"); rest != ""; {
		var part string
		part, rest, _ = strings.Cut(rest, "/")
		next := filepath.Join(done, part)
		target, err := os.Readlink(filepath.Join(r.Root, next))
		if err != nil || hops == 0 {
			done = next
			continue
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(done, target)
		}
		return r.resolve(filepath.Join(target, rest), hops-1)
	}
	return done
}

// ReadFile implements Files.
func (r *Real) ReadFile(name string) ([]byte, error) { return os.ReadFile(r.full(name)) }

// ReadHead implements Files.
func (r *Real) ReadHead(name string, n int) ([]byte, error) {
	f, err := os.Open(r.full(name))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, int64(n)))
}

// Lstat implements Files.
func (r *Real) Lstat(name string) (fs.FileInfo, error) { return os.Lstat(r.path(name)) }

// Readlink implements Files.
func (r *Real) Readlink(name string) (string, error) { return os.Readlink(r.path(name)) }

// ReadDir implements Files.
func (r *Real) ReadDir(name string) ([]fs.DirEntry, error) { return os.ReadDir(r.full(name)) }

// List implements Files.
func (r *Real) List(name string) ([]fs.FileInfo, error) { return r.Sight.list(r.full(name)) }

// Now implements Clock.
func (*Real) Now() time.Time { return time.Now() }

// BootID implements Clock. Containers and the distributions of WSL start anew while the
// kernel goes on: what tells them apart is when process 1 was started, the 20th
// field after its name in proc_pid_stat(5).
func (r *Real) BootID() string {
	b, err := r.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	id := strings.TrimSpace(string(b))
	if stat, err := r.ReadFile("/proc/1/stat"); err == nil {
		after := stat[bytes.LastIndexByte(stat, ')')+1:]
		if fields := strings.Fields(string(after)); len(fields) > 19 {
			id += "." + fields[19]
		}
	}
	return id
}

// WriteFile implements Writer.
func (r *Real) WriteFile(name string, data []byte, perm fs.FileMode) error {
	return replaceFile(r.path(name), perm, func(f *os.File) error {
		_, err := f.Write(data)
		return err
	})
}

// syncDir makes the names in dir safe from a power loss.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if errors.Is(err, unix.EINVAL) { // not every file system can
		err = nil
	}
	return errors.Join(err, d.Close())
}

// MkdirAll implements Writer.
func (r *Real) MkdirAll(name string, perm fs.FileMode) error { return os.MkdirAll(r.full(name), perm) }

// Symlink implements Writer.
func (r *Real) Symlink(target, name string) error {
	name = r.path(name)
	if info, err := os.Lstat(name); err == nil && info.Mode()&fs.ModeSymlink == 0 {
		return &fs.PathError{Op: "symlink", Path: name, Err: fs.ErrExist}
	}
	tmp := filepath.Join(filepath.Dir(name), "."+filepath.Base(name)+".movein-link")
	os.Remove(tmp) // left by a killed run
	if err := os.Symlink(target, tmp); err != nil {
		return err
	}
	if err := os.Rename(tmp, name); err != nil {
		os.Remove(tmp)
		return err
	}
	return syncDir(filepath.Dir(name))
}

// Rename implements Writer.
func (r *Real) Rename(from, to string) error {
	from, to = r.path(from), r.path(to)
	if err := os.Rename(from, to); err != nil {
		return err
	}
	return errors.Join(syncDir(filepath.Dir(to)), syncDir(filepath.Dir(from)))
}

// Move implements Writer.
func (r *Real) Move(pairs ...[2]string) error {
	for _, p := range pairs {
		if err := os.Rename(r.path(p[0]), r.path(p[1])); err != nil {
			return err
		}
	}
	if len(pairs) == 0 {
		return nil
	}
	return r.Sync(filepath.Dir(pairs[0][1]))
}

// Sync implements Writer.
func (r *Real) Sync(name string) error { return SyncFS(r.full(name)) }

// Remove implements Writer. Directories without a write bit, as the Nix store
// has them, are made writable first; nothing is followed.
func (r *Real) Remove(name string) error {
	name = r.path(name)
	if err := os.RemoveAll(name); err == nil || !errors.Is(err, fs.ErrPermission) {
		return err
	}
	err := filepath.WalkDir(name, func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			err = os.Chmod(p, 0o700)
		}
		return err
	})
	return errors.Join(err, os.RemoveAll(name))
}

// Own implements Writer.
func (r *Real) Own(name string, uid, gid int, perm fs.FileMode) error {
	name = r.path(name)
	if err := os.Lchown(name, uid, gid); err != nil {
		return err
	}
	return os.Chmod(name, perm)
}

// Progress implements Teller.
func (r *Real) Progress(done, total int64, unit string) {
	if r.Notes != nil {
		r.Notes(Note{Done: done, Total: total, Unit: unit})
	}
}

// Warn implements Teller.
func (r *Real) Warn(format string, a ...any) {
	if r.Notes != nil {
		r.Notes(Note{Warning: fmt.Sprintf(format, a...)})
	}
}

// Recall implements Memory.
func (r *Real) Recall(key string) []byte {
	if r.Cache == "" {
		return nil
	}
	data, err := r.ReadFile(filepath.Join(r.Cache, key))
	if err != nil {
		return nil
	}
	return data
}

// Remember implements Memory.
func (r *Real) Remember(key string, data []byte) {
	if r.Cache == "" || r.MkdirAll(r.Cache, 0o700) != nil {
		return
	}
	r.WriteFile(filepath.Join(r.Cache, key), data, 0o600) //nolint:errcheck // what is lost is only time
}

// Foreign is the Memory of another user, for root to look into: of a file that is a
// link, or no file, or not that user's, nothing is known.
type Foreign struct {
	Dir string
	UID int
}

// Recall implements Memory.
func (o Foreign) Recall(key string) []byte {
	f, err := os.OpenFile(filepath.Join(o.Dir, key), os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil
	}
	defer f.Close()
	var st unix.Stat_t
	if unix.Fstat(int(f.Fd()), &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFREG || int(st.Uid) != o.UID {
		return nil
	}
	data, err := io.ReadAll(io.LimitReader(f, 1<<20))
	if err != nil {
		return nil
	}
	return data
}

// Remember implements Memory: it does nothing.
func (Foreign) Remember(string, []byte) {}

// Writable implements Files.
func (r *Real) Writable(name string) error {
	if err := unix.Access(r.full(name), unix.W_OK|unix.X_OK); err != nil {
		return &fs.PathError{Op: "access", Path: name, Err: err}
	}
	return nil
}

// Once implements Onlooker.
func (r *Real) Once(key string, with func() (any, error)) (any, error) {
	return look(r.Sight, "once "+key, with)
}

// Free implements Files.
func (r *Real) Free(name string) (int64, error) {
	var st unix.Statfs_t
	for dir := r.full(name); ; dir = filepath.Dir(dir) {
		err := unix.Statfs(dir, &st)
		if err == nil {
			return int64(st.Bavail) * st.Bsize, nil
		}
		if dir == "/" || dir == "." {
			return 0, &fs.PathError{Op: "statfs", Path: name, Err: err}
		}
	}
}

// Daemon implements Store.
func (r *Real) Daemon(ctx context.Context, socket string, paths ...string) (Daemon, error) {
	return r.Sight.queryDaemon(ctx, r.full(socket), paths)
}

// NarHash implements Store.
func (r *Real) NarHash(ctx context.Context, path string) (string, int64, error) {
	return NarHash(ctx, r.path(path))
}

// Stamp implements Store.
func (r *Real) Stamp(ctx context.Context, path string) (string, error) {
	path = r.path(path)
	return look(r.Sight, "stamp "+path, func() (string, error) { return Stamp(ctx, path) })
}

// Unpack implements Unpacker.
func (r *Real) Unpack(ctx context.Context, archive, sha256, dir string) error {
	return Unpack(ctx, r.path(archive), sha256, r.path(dir), func(done, total int64) { r.Progress(done, total, "bytes") })
}

// Extract implements Unpacker.
func (r *Real) Extract(ctx context.Context, archive, sha256, name, file string) error {
	return Extract(ctx, r.path(archive), sha256, name, r.path(file))
}

// Fetch implements Fetcher.
func (r *Real) Fetch(ctx context.Context, url, sha256, file string) error {
	f := Fetch{Progress: func(done, total int64) { r.Progress(done, total, "bytes") }}
	return f.Get(ctx, url, sha256, r.path(file))
}

// ServerTime implements Network.
func (r *Real) ServerTime(ctx context.Context, url string) (time.Time, error) {
	return (&Fetch{}).ServerTime(ctx, url)
}

// Tip implements Network.
func (r *Real) Tip(ctx context.Context, remote Remote) (Tip, error) {
	remote.Logins = r.Logins
	return look(r.Sight, "tip "+remote.Branch+" "+remote.URL, func() (Tip, error) { return RemoteTip(ctx, remote) })
}

// Repo implements Repos.
func (r *Real) Repo(ctx context.Context, dir string) (Repo, error) {
	dir = r.full(dir)
	return look(r.Sight, "repo "+dir, func() (Repo, error) { return r.Sight.repoState(ctx, dir) })
}

// Clone implements Cloner.
func (r *Real) Clone(ctx context.Context, remote Remote, dir string) error {
	remote.Logins = r.Logins
	if remote.Bundle != "" {
		remote.Bundle = r.path(remote.Bundle)
	}
	note, err := CloneRepo(ctx, remote, r.path(dir), nil)
	if note != "" {
		r.Warn("%s", note)
	}
	return err
}

// FastForward implements Cloner.
func (r *Real) FastForward(ctx context.Context, dir string, remote Remote, commit string) error {
	remote.Logins = r.Logins
	if remote.Bundle != "" {
		remote.Bundle = r.path(remote.Bundle)
	}
	return FastForward(ctx, r.path(dir), remote, commit)
}

// Attach implements Cloner.
func (r *Real) Attach(ctx context.Context, dir, branch string) error {
	return Attach(ctx, r.path(dir), branch)
}

// Bundle implements Bundler.
func (r *Real) Bundle(ctx context.Context, dir, into string, reuse []string) (string, error) {
	there := make([]string, len(reuse))
	for i, name := range reuse {
		there[i] = r.path(name)
	}
	file, err := Bundle(ctx, r.full(dir), r.full(into), there)
	if err != nil {
		return "", err
	}
	return filepath.Join(into, filepath.Base(file)), nil
}

// BundleBranch implements Bundler.
func (r *Real) BundleBranch(ctx context.Context, dir, file string) error {
	return BundleBranch(ctx, r.full(dir), r.path(file))
}

// Resolve returns where name leads when every link in it is followed; name itself if that is nowhere.
func (r *Real) Resolve(name string) string {
	if r.Root != "" {
		return r.resolve(filepath.Clean("/"+name), 40)
	}
	if real, err := filepath.EvalSymlinks(name); err == nil {
		return real
	}
	return name
}
