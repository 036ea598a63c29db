package secret

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"movein/bootstrap/host/kdbx"
)

// ErrNoAgent says that no vault is open that could be asked.
var ErrNoAgent = errors.New("no vault is open")

// Question is what an agent is asked, one JSON object a connection.
type Question struct {
	Ref        *Ref   `json:"ref,omitempty"`        // one value
	Entry      string `json:"entry,omitempty"`      // a whole entry, by path or title
	Attachment string `json:"attachment,omitempty"` // of that entry, this attachment alone
}

// Answer is what an agent answers.
type Answer struct {
	Vault  string      `json:"vault"`            // the file that is open
	Fields [][2]string `json:"fields,omitempty"` // of the entry, in the vault's order
	UUID   string      `json:"uuid,omitempty"`
	Value  []byte      `json:"value,omitempty"`
	Error  string      `json:"error,omitempty"`
	Kind   string      `json:"kind,omitempty"` // of the error: "not found" or "ambiguous"
}

// RuntimeDir is the directory of movein's own in a user's runtime directory, which is in
// memory and the user's alone; "" if there is none.
func RuntimeDir(runtime string, uid int) string {
	if runtime == "" || !filepath.IsAbs(runtime) {
		runtime = filepath.Join("/run/user", strconv.Itoa(uid))
	}
	if info, err := os.Stat(runtime); err != nil || !info.IsDir() {
		return ""
	}
	return filepath.Join(runtime, "movein")
}

// public are the fields of an entry that are no secrets; taken for some they would be
// missing all over what is told.
var public = []string{"Title", "UserName", "URL", "service", "key"}

// An Agent answers questions about one unlocked vault to processes of the same user.
type Agent struct {
	vault  *kdbx.Vault
	name   string
	handed func(kdbx.Secret)
	l      *net.UnixListener
	links  []string
}

// Serve begins to answer, at a socket in dir. handed is told of each value before it is
// given away. The caller closes the agent. Another agent that is there stays, and then the
// error is fs.ErrExist.
func Serve(dir, vault string, v *kdbx.Vault, handed func(kdbx.Secret)) (*Agent, error) {
	if err := private(dir); err != nil {
		return nil, err
	}
	socket := filepath.Join(dir, "agent")
	if c, err := net.Dial("unix", socket); err == nil {
		c.Close()
		return nil, fmt.Errorf("serving the vault: %w", &fs.PathError{Op: "listen", Path: socket, Err: fs.ErrExist})
	}
	os.Remove(socket) // left by who was killed
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("serving the vault: %w", err)
	}
	if err := os.Chmod(socket, 0o600); err != nil { // the directory let nobody in before either
		l.Close()
		return nil, fmt.Errorf("serving the vault: %w", err)
	}
	a := &Agent{vault: v, name: vault, handed: handed, l: l}
	go a.serve()
	return a, nil
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
		go a.talk(c)
	}
}

// talk answers one question, of a process of this user.
func (a *Agent) talk(c *net.UnixConn) {
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second)) //nolint:errcheck // who waits longer is not served
	if uid, err := peer(c); err != nil || uid != os.Geteuid() {
		return
	}
	var q Question
	if err := json.NewDecoder(c).Decode(&q); err != nil {
		return
	}
	answer := a.answer(q)
	json.NewEncoder(c).Encode(answer) //nolint:errcheck // nobody is left to tell
	clear(answer.Value)
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
	answer := Answer{Vault: a.name}
	err := a.fill(q, &answer)
	if err != nil {
		answer = Answer{Vault: a.name, Error: err.Error()}
		switch {
		case errors.Is(err, kdbx.ErrNotFound):
			answer.Kind = "not found"
		case errors.Is(err, kdbx.ErrAmbiguous):
			answer.Kind = "ambiguous"
		}
	}
	return answer
}

func (a *Agent) fill(q Question, to *Answer) error {
	if q.Ref != nil {
		value, err := Lookup(a.vault, *q.Ref)
		if err == nil {
			a.give(value)
			to.Value = []byte(value.Reveal())
		}
		return err
	}
	e, err := a.vault.Lookup(strings.TrimPrefix(q.Entry, "/"))
	if err != nil {
		return err
	}
	to.UUID = e.UUID()
	if q.Attachment != "" {
		value, err := e.Attachment(q.Attachment)
		if err == nil {
			a.give(value)
			to.Value = []byte(value.Reveal())
		}
		return err
	}
	for _, name := range e.Fields() {
		value, err := e.Field(name)
		if err != nil {
			return err
		}
		if !slices.Contains(public, name) {
			a.give(value)
		}
		to.Fields = append(to.Fields, [2]string{name, value.Reveal()})
	}
	return nil
}

func (a *Agent) give(value kdbx.Secret) {
	if a.handed != nil {
		a.handed(value)
	}
}

// Ask asks the agent in dir. Errors: ErrNoAgent; kdbx.ErrNotFound and kdbx.ErrAmbiguous.
func Ask(ctx context.Context, dir string, q Question) (Answer, error) {
	if dir == "" {
		return Answer{}, ErrNoAgent
	}
	c, err := new(net.Dialer).DialContext(ctx, "unix", filepath.Join(dir, "agent"))
	if err != nil {
		return Answer{}, ErrNoAgent
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second)) //nolint:errcheck // it is local
	if unixConn, ok := c.(*net.UnixConn); ok {
		if uid, err := peer(unixConn); err != nil || uid != os.Geteuid() {
			return Answer{}, fmt.Errorf("%w: another user's process answers in %s", ErrNoAgent, dir)
		}
	}
	var a Answer
	if err := errors.Join(json.NewEncoder(c).Encode(q), json.NewDecoder(c).Decode(&a)); err != nil {
		return Answer{}, fmt.Errorf("asking for a secret: %w", err)
	}
	switch {
	case a.Kind == "not found":
		return a, fmt.Errorf("%w: %s", kdbx.ErrNotFound, strings.TrimPrefix(a.Error, kdbx.ErrNotFound.Error()+": "))
	case a.Kind == "ambiguous":
		return a, fmt.Errorf("%w: %s", kdbx.ErrAmbiguous, a.Error)
	case a.Error != "":
		return a, errors.New(a.Error)
	}
	return a, nil
}
