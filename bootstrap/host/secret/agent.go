package secret

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"movein/bootstrap/host"
	"movein/bootstrap/host/kdbx"
)

// ErrNoAgent says that no vault is open that could be asked.
var ErrNoAgent = errors.New("no vault is open")

// Question is what an agent is asked, one JSON object a connection. One that asks for
// nothing asks whether there is an agent.
type Question struct {
	Ref        *Ref   `json:"ref,omitempty"`        // one value
	Entry      string `json:"entry,omitempty"`      // a whole entry, by path or title
	Attachment string `json:"attachment,omitempty"` // of that entry, this attachment alone
	Vault      string `json:"vault,omitempty"`      // which vault is meant; "": whichever is open
	Hold       bool   `json:"hold,omitempty"`       // do not go while the connection is open
	Go         bool   `json:"go,omitempty"`         // close the vault
}

// Answer is what an agent answers.
type Answer struct {
	Vault  string      `json:"vault"`            // the file that is open
	Fields [][2]string `json:"fields,omitempty"` // of the entry, in the vault's order
	UUID   string      `json:"uuid,omitempty"`
	Value  []byte      `json:"value,omitempty"`
	Error  string      `json:"error,omitempty"`
	Kind   int         `json:"kind,omitempty"` // of the error: its place in kinds, from 1
}

// ErrNotYet says that a vault will be here later.
var ErrNotYet = host.ErrNotYet

// kinds are the errors that are known again on the other side.
var kinds = []error{kdbx.ErrNotFound, kdbx.ErrAmbiguous, ErrNoAgent, ErrNotYet, kdbx.ErrWrongKey}

// answered is an error that an agent answered with.
type answered struct {
	text string
	kind error
}

func (e *answered) Error() string { return e.text }
func (e *answered) Unwrap() error { return e.kind }

// RuntimeDir is the directory of movein's own in a user's runtime directory, which is in
// memory and the user's alone; "" if there is none.
func RuntimeDir(runtime string) string {
	if info, err := os.Stat(runtime); err != nil || !info.IsDir() || !filepath.IsAbs(runtime) {
		return ""
	}
	return filepath.Join(runtime, "movein")
}

// public are the fields of an entry that are no secrets; taken for some they would be
// missing all over what is told.
var public = []string{"Title", "UserName", "URL", "service", "key"}

// A Source answers questions about one vault.
type Source func(ctx context.Context, q Question) (Answer, error)

// OfVault answers from a vault that was read from file.
func OfVault(file string, v *kdbx.Vault) Source {
	return func(_ context.Context, q Question) (Answer, error) {
		a := Answer{Vault: file}
		if q.Vault != "" && q.Vault != file {
			return a, fmt.Errorf("%w but %s", ErrNoAgent, file)
		}
		return a, fill(v, q, &a)
	}
}

// OfAgent answers as the first agent in one of dirs does.
func OfAgent(dirs ...string) Source {
	return func(ctx context.Context, q Question) (Answer, error) { return Ask(ctx, dirs, q) }
}

// An Agent answers questions about one unlocked vault to processes of the same user.
type Agent struct {
	from   Source
	handed func(kdbx.Secret)
	l      *net.UnixListener
	unlock func()
	links  []string
	idle   idle
}

// Serve begins to answer, at a socket in dir. handed is told of each value before it is
// given away; it may be nil. The caller closes the agent. Another agent that is there
// stays, and then the error is fs.ErrExist.
func Serve(dir string, from Source, handed func(kdbx.Secret)) (*Agent, error) {
	a := &Agent{from: from, handed: handed}
	return a, a.listen(dir)
}

func (a *Agent) listen(dir string) error {
	if err := private(dir); err != nil {
		return err
	}
	unlock, err := host.Lock(filepath.Join(dir, "lock"), 0)
	if _, locked := errors.AsType[*host.LockedError](err); locked {
		return fmt.Errorf("serving the vault: %w", &fs.PathError{Op: "listen", Path: dir, Err: fs.ErrExist})
	} else if err != nil {
		return fmt.Errorf("serving the vault: %w", err)
	}
	socket := filepath.Join(dir, "agent")
	os.Remove(socket) // left by who was killed
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err == nil {
		err = os.Chmod(socket, 0o600) // the directory let nobody in before either
	}
	if err != nil {
		if l != nil {
			l.Close()
		}
		unlock()
		return fmt.Errorf("serving the vault: %w", err)
	}
	a.l, a.unlock = l, unlock
	go a.serve()
	return nil
}

// private makes dir, and refuses one that is not this user's alone.
func private(dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("serving the vault: %w", err)
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return fmt.Errorf("serving the vault: %w", err)
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !info.IsDir() || int(st.Uid) != os.Geteuid() || info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("serving the vault: %s is not a directory for this user alone", dir)
	}
	return nil
}

// Close ends the agent and removes what it made.
func (a *Agent) Close() {
	a.l.Close() // removes the socket
	for _, link := range a.links {
		os.Remove(link)
	}
	a.unlock()
}

// Link makes programs of these names in the directory "bin" beside the socket, which all are
// self, and returns that directory. What a link there was to is of no account.
func (a *Agent) Link(self string, names ...string) (dir string, err error) {
	dir = filepath.Join(filepath.Dir(a.l.Addr().String()), "bin")
	if err := private(dir); err != nil {
		return "", err
	}
	for _, name := range names {
		link := filepath.Join(dir, name)
		os.Remove(link)
		if err := os.Symlink(self, link); err != nil {
			return "", fmt.Errorf("serving the vault: %w", err)
		}
		a.links = append(a.links, link)
	}
	return dir, nil
}

func (a *Agent) serve() {
	for {
		c, err := a.l.AcceptUnix()
		if err != nil {
			return
		}
		go a.hear(c)
	}
}

// hear answers one question, of a process of this user.
func (a *Agent) hear(c *net.UnixConn) {
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second)) //nolint:errcheck // who waits longer is not served
	if uid, err := peer(c); err != nil || uid != os.Geteuid() {
		return
	}
	defer a.idle.busy()()
	var q Question
	if err := json.NewDecoder(c).Decode(&q); err != nil {
		return
	}
	answer := a.answer(q)
	json.NewEncoder(c).Encode(answer) //nolint:errcheck // nobody is left to tell
	clear(answer.Value)
	if q.Hold && answer.Error == "" {
		c.SetDeadline(time.Time{}) //nolint:errcheck // then it is held for less long
		io.Copy(io.Discard, c)     //nolint:errcheck // until it is closed
	}
}

// peer is the user whose process is at the other end.
func peer(c *net.UnixConn) (uid int, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	var cred *unix.Ucred
	cerr := raw.Control(func(fd uintptr) { cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
	if err = errors.Join(cerr, err); err != nil {
		return 0, err
	}
	return int(cred.Uid), nil
}

func (a *Agent) answer(q Question) Answer {
	if q.Go && !a.idle.end() {
		return Answer{Error: "a run has the vault open, and closes it when it ends"}
	}
	answer, err := a.from(context.Background(), q)
	if err != nil {
		answer = Answer{Vault: answer.Vault, Error: err.Error()}
		answer.Kind = 1 + slices.IndexFunc(kinds, func(kind error) bool { return errors.Is(err, kind) })
	}
	if a.handed == nil {
		return answer
	}
	if len(answer.Value) > 0 {
		a.handed(kdbx.NewSecret(string(answer.Value)))
	}
	for _, f := range answer.Fields {
		if !slices.Contains(public, f[0]) {
			a.handed(kdbx.NewSecret(f[1]))
		}
	}
	return answer
}

// fill answers from an unlocked vault.
func fill(v *kdbx.Vault, q Question, to *Answer) error {
	if q.Ref != nil {
		value, err := Lookup(v, *q.Ref)
		to.Value = []byte(value.Reveal())
		return err
	}
	if q.Entry == "" {
		return nil
	}
	e, err := v.Lookup(strings.TrimPrefix(q.Entry, "/"))
	if err != nil {
		return err
	}
	to.UUID = e.UUID()
	if q.Attachment != "" {
		value, err := e.Attachment(q.Attachment)
		to.Value = []byte(value.Reveal())
		return err
	}
	for _, name := range e.Fields() {
		value, err := e.Field(name)
		if err != nil {
			return err
		}
		to.Fields = append(to.Fields, [2]string{name, value.Reveal()})
	}
	return nil
}

// Ask asks the first agent that is in one of dirs. Errors: ErrNoAgent; kdbx.ErrNotFound and kdbx.ErrAmbiguous.
func Ask(ctx context.Context, dirs []string, q Question) (a Answer, err error) {
	err = ErrNoAgent
	for i := 0; i < len(dirs) && errors.Is(err, ErrNoAgent); i++ {
		a, err = ask(ctx, dirs[i], q)
	}
	return a, err
}

func ask(ctx context.Context, dir string, q Question) (a Answer, err error) {
	c, err := dial(ctx, dir)
	if err != nil {
		return a, err
	}
	defer c.Close()
	return talk(c, q)
}

// Hold keeps the agent in dir from going until release is called.
func Hold(ctx context.Context, dir string) (a Answer, release func(), err error) {
	c, err := dial(ctx, dir)
	if err != nil {
		return a, nil, err
	}
	if a, err = talk(c, Question{Hold: true}); err != nil {
		c.Close()
		return a, nil, err
	}
	return a, func() { c.Close() }, nil
}

// dial connects to the agent in dir, which must be of this user.
func dial(ctx context.Context, dir string) (*net.UnixConn, error) {
	c, err := new(net.Dialer).DialContext(ctx, "unix", filepath.Join(dir, "agent"))
	if err != nil {
		return nil, ErrNoAgent
	}
	conn, ok := c.(*net.UnixConn)
	if uid, err := peer(conn); !ok || err != nil || uid != os.Geteuid() {
		c.Close()
		return nil, fmt.Errorf("%w: another user's process answers in %s", ErrNoAgent, dir)
	}
	return conn, nil
}

func talk(c *net.UnixConn, q Question) (a Answer, err error) {
	c.SetDeadline(time.Now().Add(10 * time.Second)) //nolint:errcheck // it is local
	if err := errors.Join(json.NewEncoder(c).Encode(q), json.NewDecoder(c).Decode(&a)); err != nil {
		return a, fmt.Errorf("asking for a secret: %w", err)
	}
	if a.Error == "" {
		return a, nil
	}
	e := &answered{text: a.Error}
	if a.Kind > 0 && a.Kind <= len(kinds) {
		e.kind = kinds[a.Kind-1]
	}
	return a, e
}
