package host

import (
	"context"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"sync"
)

// Sight remembers what is slow to look at (stamps, git repositories and
// their remotes, the Nix daemon) for as long as nothing is changed: several steps look at the same
// things, and on a host where all is as it should be that is most of a run.
// Errors are not remembered. A nil Sight remembers nothing.
type Sight struct {
	mu     sync.Mutex
	over   bool
	seen   map[string]*glance
	daemon map[string]*daemonLine // by socket
}

// glance is one thing that was looked at.
type glance struct {
	once sync.Once
	what any
	err  error
}

// daemonLine is an open connection to a daemon.
type daemonLine struct {
	mu    sync.Mutex
	conn  *workerConn
	said  Daemon
	valid map[string]bool // paths that it knows
}

// ask returns those of the paths that the daemon does not know. It is not asked twice
// for one that it knows.
func (l *daemonLine) ask(ctx context.Context, paths []string) (unknown []string, err error) {
	paths = slices.DeleteFunc(slices.Clone(paths), func(p string) bool { return l.valid[p] })
	if unknown, err = l.conn.ask(ctx, paths); err != nil {
		return nil, err
	}
	for _, p := range paths {
		l.valid[p] = !slices.Contains(unknown, p)
	}
	return unknown, nil
}

// Over forgets everything for good. It is called before the first change.
func (s *Sight) Over() {
	if s == nil {
		return
	}
	s.mu.Lock()
	lines := s.daemon
	s.over, s.seen, s.daemon = true, nil, nil
	s.mu.Unlock()
	for _, l := range lines {
		l.close()
	}
}

// look returns what is remembered of key, or looks. Who asks for the same thing
// at the same time waits for the first one's answer.
func look[T any](s *Sight, key string, with func() (T, error)) (T, error) {
	if s == nil {
		return with()
	}
	s.mu.Lock()
	if s.over {
		s.mu.Unlock()
		return with()
	}
	if s.seen == nil {
		s.seen = map[string]*glance{}
	}
	g := s.seen[key]
	if g == nil {
		g = new(glance)
		s.seen[key] = g
	}
	s.mu.Unlock()
	g.once.Do(func() { g.what, g.err = with() })
	if g.err != nil {
		s.mu.Lock()
		if s.seen[key] == g {
			delete(s.seen, key)
		}
		s.mu.Unlock()
	}
	what, _ := g.what.(T)
	return what, g.err
}

// listKey begins the keys of directories.
const listKey = "list "

// list is listDir. What it says is remembered until a program runs, which may change
// what is in a directory, and has its own look at it.
func (s *Sight) list(dir string) ([]fs.FileInfo, error) {
	return look(s, listKey+dir, func() ([]fs.FileInfo, error) { return listDir(dir) })
}

// ran forgets what a program that ran may have changed or seen otherwise.
func (s *Sight) ran() {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.seen, func(key string, _ *glance) bool { return strings.HasPrefix(key, listKey) })
}

// queryDaemon is QueryDaemon over a connection that is kept open: each new one
// costs the daemon a process.
func (s *Sight) queryDaemon(ctx context.Context, socket string, paths []string) (Daemon, error) {
	line := s.line(socket)
	if line == nil {
		return QueryDaemon(ctx, socket, paths)
	}
	line.mu.Lock()
	defer line.mu.Unlock()
	if line.conn != nil {
		if unknown, err := line.ask(ctx, paths); err == nil {
			d := line.said
			d.Unknown = unknown
			return d, nil
		}
		line.conn.conn.Close() // its end is no news of the daemon
	}
	var err error
	if line.conn, line.said, err = dialDaemon(ctx, socket); err != nil {
		return Daemon{}, explainDaemon(ctx, socket, err)
	}
	d := line.said
	line.valid = map[string]bool{}
	if d.Unknown, err = line.ask(ctx, paths); err != nil {
		line.conn.conn.Close()
		line.conn = nil
		return Daemon{}, explainDaemon(ctx, socket, err)
	}
	return d, nil
}

// line is the connection to the daemon on socket; nil when none is kept.
func (s *Sight) line(socket string) *daemonLine {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return nil
	}
	if s.daemon == nil {
		s.daemon = map[string]*daemonLine{}
	}
	if s.daemon[socket] == nil {
		s.daemon[socket] = new(daemonLine)
	}
	return s.daemon[socket]
}

func (l *daemonLine) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn != nil {
		l.conn.conn.Close()
		l.conn = nil
	}
}
