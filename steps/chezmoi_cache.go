package steps

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"movein/bootstrap/host"
)

// A look at the dotfiles that found nothing to do is remembered with the metadata
// of everything that it depended on, as git's index is: as long as that is the
// same, there is nothing to do still, and chezmoi need not be asked. That is
//
//   - the program, its config files and its state database;
//   - every file of the source, tracked by git or not: chezmoi reads the work tree;
//   - every target and every directory that is exact, whole (size, mode, owner,
//     mtime, ctime, inode); of other directories only mode and owner, since they
//     change with what is not chezmoi's;
//   - the boot (kernel, hostname and the like in templates) and /etc/hostname, /etc/hosts, /etc/os-release.
//
// Of a link there, also what it leads to.
//
// A write within a tick of the clock of an earlier one may leave the same times
// behind. So nothing is remembered while anything was changed less than chezmoiTick
// before chezmoi was asked (git's racy-time rule), nor if something changed meanwhile.
//
// What this cannot prove is never remembered, and chezmoi is asked each time: see
// impure. Secrets are no such thing: while nothing else changes they count as
// unchanged, since a locked vault must not be opened to find nothing to do; who
// wants them to be read again does not ask unchanged (--refresh).
const chezmoiCacheSchema = "1"

// chezmoiTick is more than the kernel's clock for files ever lags behind (10 ms at 100 Hz).
const chezmoiTick = 25 * time.Millisecond

// chezmoiSight is what a look saw of the files around it.
type chezmoiSight struct {
	secrets map[string]bool // targets whose content needs a secret

	z      chezmoi
	began  time.Time
	inputs string   // stamp, before chezmoi was asked
	watch  []string // what of the home is looked at: see stampHome
	there  string   // its stamp, before chezmoi was asked for the content
	newest time.Time
	files  []string // of the source
	why    string   // why this cannot be remembered; "": it can
}

// begin looks at what chezmoi's answer depends on besides the home.
func (z chezmoi) begin(v host.View) chezmoiSight {
	s := chezmoiSight{z: z, began: v.Now()}
	s.inputs, s.newest, s.files, s.why = z.stampInputs(v)
	if s.why == "" {
		s.why = z.impure(v, s.files)
	}
	return s
}

// targets looks at what is in the home at what chezmoi manages.
func (s *chezmoiSight) targets(v host.View, z chezmoi, targets map[string]sourced) {
	for _, name := range slices.Sorted(maps.Keys(targets)) {
		switch t := targets[name]; {
		case t.script:
		case t.exact:
			s.watch = append(s.watch, "f"+name)
		default:
			s.watch = append(s.watch, "d"+name) // what is no directory is looked at whole
		}
	}
	literals, ok := literalRemoves(readText(v, filepath.Join(z.root(v), ".chezmoiremove")))
	if !ok && s.why == "" {
		s.why = ".chezmoiremove has patterns"
	}
	s.watch = append(s.watch, literals...)
	s.began = v.Now()
	var newest time.Time
	s.there, newest = stampHome(v, z.c.Home, s.watch)
	s.newest = later(s.newest, newest)
}

// end looks again: only what stayed as it was while chezmoi looked was seen by it.
func (s *chezmoiSight) end(v host.View) {
	if s.why != "" {
		return
	}
	inputs, _, _, _ := s.z.stampInputs(v)
	there, _ := stampHome(v, s.z.c.Home, s.watch)
	switch {
	case inputs != s.inputs || there != s.there:
		s.why = "something changed while chezmoi looked"
	case s.newest.After(s.began.Add(-chezmoiTick)),
		s.newest.Nanosecond() == 0 && s.newest.After(s.began.Add(-2*time.Second)): // a file system with whole seconds
		s.why = "something changed just before chezmoi looked"
	}
}

// remember keeps that look l found nothing to do. key stands for whatever else the
// caller's judgement depended on. It returns why it cannot be; "" if it is kept.
func (z chezmoi) remember(v host.View, key string, l *chezmoiLook) (why string) {
	s := l.sight
	if l.fresh != nil {
		return "there is no config yet"
	}
	if s.why == "" {
		v.Remember("chezmoi", []byte(chezmoiCacheSchema+" "+stampKey(key)+" "+s.inputs+" "+s.there+"\n"+strings.Join(s.watch, "\x00")))
	}
	return s.why
}

// unchanged reports whether all is as it was when remember was told, with the same
// key, that there is nothing to do. It asks no program.
func (z chezmoi) unchanged(v host.View, key string) bool {
	same, err := once(v, "unchanged "+z.bin+" "+key, func() (bool, error) { return z.lookForChanges(v, key), nil })
	return same && err == nil
}

func (z chezmoi) lookForChanges(v host.View, key string) (none bool) {
	head, list, ok := bytes.Cut(v.Recall("chezmoi"), []byte("\n"))
	f := strings.Fields(string(head))
	if !ok || z.bin == "" || len(f) != 4 || f[0] != chezmoiCacheSchema || f[1] != stampKey(key) {
		return false
	}
	there, _ := stampHome(v, z.c.Home, strings.Split(string(list), "\x00"))
	if there != f[3] {
		return false
	}
	inputs, _, _, why := z.stampInputs(v)
	return why == "" && inputs == f[2]
}

func stampKey(key string) string { return digest([]byte(key))[:16] }

// stampInputs is a digest of the metadata of what chezmoi's answer depends on
// besides the home, when the newest of it was changed, and the files of the source.
func (z chezmoi) stampInputs(v host.View) (sum string, newest time.Time, files []string, why string) {
	st := stamping{v: v, sum: sha256.New()}
	bin := z.bin
	for range 40 {
		next, ok := follow(v, bin)
		if !ok {
			break
		}
		bin = next
	}
	fmt.Fprintf(st.sum, "%q %q %q %q %d\n", z.c.Home, z.source, bin, v.BootID(), z.c.UID)
	names := []string{bin, z.state(), "/etc/hostname", "/etc/hosts", "/etc/os-release"}
	for _, format := range chezmoiFormats {
		names = append(names, z.configFile(format))
	}
	for _, name := range names {
		st.file(name)
		if end := endOf(v, name); end != name { // the name of it is in the digest, too
			st.file(end)
		}
	}
	if z.namesState(v) {
		why = "the config names its own state database"
	}
	st.walk(z.source)
	if st.why != "" {
		why = st.why
	}
	return hex.EncodeToString(st.sum.Sum(nil)), st.newest, st.files, why
}

// namesState reports whether the user's config names a state database.
func (z chezmoi) namesState(v host.View) bool {
	return slices.ContainsFunc(chezmoiFormats, func(format string) bool { return namesState(readText(v, z.configFile(format))) })
}

func namesState(config string) bool {
	return strings.Contains(strings.ToLower(config), "persistentstate")
}

// stampHome is a digest of the metadata of what is at the watched paths below dir,
// and when the newest of it was changed. "f" before a path: all of it; "d": of a
// directory only mode and owner.
func stampHome(v host.View, dir string, watch []string) (string, time.Time) {
	st := stamping{v: v, sum: sha256.New()}
	names := make([]string, len(watch))
	for i, w := range watch {
		names[i] = w[min(1, len(w)):]
	}
	v.Lstats(dir, names, func(i int, info fs.FileInfo) {
		if w := watch[i]; w != "" {
			st.add(dir, names[i], info, w[0] == 'f')
		}
	})
	return hex.EncodeToString(st.sum.Sum(nil)), st.newest
}

// stamping makes a digest of metadata.
type stamping struct {
	v      host.View
	sum    hash.Hash
	buf    []byte
	newest time.Time // ctime
	files  []string
	why    string
}

func (s *stamping) file(name string) { s.entry(name, true) }

// entry adds what is at name; whole: with times, size and inode also of a directory.
func (s *stamping) entry(name string, whole bool) {
	info, err := s.v.Lstat(name)
	if err != nil {
		info = nil
	}
	s.add(filepath.Dir(name), filepath.Base(name), info, whole)
}

// add adds what is known of name in dir; nil: nothing is there.
func (s *stamping) add(dir, name string, info fs.FileInfo, whole bool) {
	s.buf = append(append(append(append(s.buf[:0], dir...), '/'), name...), 0)
	if info == nil {
		s.sum.Write(append(s.buf, '-'))
		return
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		s.why = "there is no metadata"
		return
	}
	fields := [...]int64{int64(st.Mode), int64(st.Uid), int64(st.Gid), st.Size, int64(st.Ino), st.Mtim.Sec, st.Mtim.Nsec, st.Ctim.Sec, st.Ctim.Nsec}
	n := 3
	if whole || !info.IsDir() {
		n = len(fields)
		s.newest = later(s.newest, time.Unix(st.Ctim.Unix()))
	}
	s.buf = append(s.buf, byte(n))
	for _, f := range fields[:n] {
		s.buf = binary.LittleEndian.AppendUint64(s.buf, uint64(f))
	}
	s.sum.Write(s.buf)
}

// walk adds all files below dir, but for git's own.
func (s *stamping) walk(dir string) {
	entries, err := s.v.List(dir)
	if err != nil {
		s.why = "the source cannot be read"
		return
	}
	for _, e := range entries {
		name := dir + "/" + e.Name()
		switch {
		case e.Name() == ".git":
		case e.IsDir():
			s.add(dir, e.Name(), e, false)
			s.walk(name)
		case !e.Mode().IsRegular():
			s.why = name + " is no file"
		default:
			s.add(dir, e.Name(), e, true)
			s.files = append(s.files, name)
		}
	}
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
