// Package keyring asks the desktop's Secret Service, org.freedesktop.secrets, without
// ever making anybody wait: it starts no bus and no service, opens no window, and gives up
// after three seconds.
//
// The protocol: https://specifications.freedesktop.org/secret-service/latest/
package keyring

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"
)

// patience is how long all of a question may take.
const patience = 3 * time.Second

// What can be wrong. Errors wrap one of these, or are those of package dbus.
var (
	ErrNoBus     = errors.New("there is no session bus")
	ErrNoService = errors.New("no program offers the Secret Service (org.freedesktop.secrets)")
	ErrLocked    = errors.New("the keyring is locked")
	ErrNotFound  = errors.New("not in the keyring")
	ErrAmbiguous = errors.New("more than one entry of the keyring")
	// ErrWrongItem says that the service answered with an entry that is another one.
	ErrWrongItem = errors.New("the keyring answered with the wrong entry")
	// ErrSilent says that there was no answer in time: most often a window asks, unseen.
	ErrSilent = errors.New("the keyring does not answer")
)

// The names of the protocol.
const (
	name       = "org.freedesktop.secrets"
	root       = dbus.ObjectPath("/org/freedesktop/secrets")
	service    = "org.freedesktop.Secret.Service."
	collection = "org.freedesktop.Secret.Collection."
	item       = "org.freedesktop.Secret.Item."
	bus        = "org.freedesktop.DBus."
	properties = "org.freedesktop.DBus.Properties.Get"
)

// Provider is the program that offers the Secret Service.
type Provider struct {
	PID     int
	Program string // its name, as in "gnome-keyring-d"; "" if unknown
}

func (p Provider) String() string {
	if p.Program == "" {
		return fmt.Sprintf("process %d", p.PID)
	}
	return fmt.Sprintf("%s (process %d)", p.Program, p.PID)
}

// KeePassXC reports whether it is KeePassXC, whose keyring is a vault itself.
func (p Provider) KeePassXC() bool { return strings.HasPrefix(p.Program, "keepassxc") }

// unwrapped is the name of a program whose process has this one: Nix starts many by a
// script, and what that starts is ".NAME-wrapped". The kernel keeps 15 bytes of it.
func unwrapped(comm string) string {
	name, hidden := strings.CutPrefix(comm, ".")
	if i := strings.LastIndex(name, "-wrap"); hidden && i > 0 {
		return name[:i]
	}
	return comm
}

// User is whose keyring it is.
type User struct {
	UID int
	Bus string // $DBUS_SESSION_BUS_ADDRESS, if this process is that user's; "": the one in /run/user
}

// address is where the user's bus listens: the name of a unix socket, "@…" an abstract one.
// Nothing is started if there is none.
func (u User) address() (string, error) {
	if u.Bus != "" && os.Geteuid() == u.UID {
		for _, one := range strings.Split(u.Bus, ";") {
			kind, args, _ := strings.Cut(one, ":")
			for _, arg := range strings.Split(args, ",") {
				key, value, _ := strings.Cut(arg, "=")
				value, err := dbus.UnescapeBusAddressValue(value)
				switch {
				case kind != "unix" || err != nil:
				case key == "path":
					return value, nil
				case key == "abstract":
					return "@" + value, nil
				}
			}
		}
		return "", fmt.Errorf("%w at the address in DBUS_SESSION_BUS_ADDRESS that could be reached", ErrNoBus)
	}
	socket := filepath.Join("/run/user", strconv.Itoa(u.UID), "bus")
	if _, err := os.Stat(socket); err != nil {
		return "", ErrNoBus
	}
	return socket, nil
}

// A Service is a connection to the Secret Service that has three seconds to live.
type Service struct {
	Provider Provider

	conn   *dbus.Conn
	ctx    context.Context
	cancel func()
	owner  string // the provider's unique name: calls to it start nobody else
}

// Open connects to the Secret Service of a user. The caller closes it.
func Open(ctx context.Context, u User) (*Service, error) {
	socket, err := u.address()
	if err != nil {
		return nil, err
	}
	s := &Service{}
	s.ctx, s.cancel = context.WithTimeout(ctx, patience)
	if err := s.connect(socket, u.UID); err != nil {
		err = s.explain("connecting to the session bus", err)
		s.Close()
		return nil, err
	}
	if err := s.call(s.conn.BusObject(), bus+"GetNameOwner", name).Store(&s.owner); err != nil {
		defer s.Close()
		if e, ok := errors.AsType[dbus.Error](err); ok && e.Name == bus+"Error.NameHasNoOwner" {
			return nil, ErrNoService
		}
		return nil, s.explain("asking who has the keyring", err)
	}
	var pid uint32
	if err := s.call(s.conn.BusObject(), bus+"GetConnectionUnixProcessID", s.owner).Store(&pid); err == nil {
		comm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid)) //nolint:errcheck // "" says it
		s.Provider = Provider{int(pid), unwrapped(strings.TrimSpace(string(comm)))}
	}
	return s, nil
}

func (s *Service) connect(socket string, uid int) error {
	c, err := dial(s.ctx, socket, uid)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNoBus, err)
	}
	if deadline, ok := s.ctx.Deadline(); ok { // a bus that is stopped would never let go; ctx ends first
		if err := c.SetDeadline(deadline.Add(200 * time.Millisecond)); err != nil {
			c.Close()
			return err
		}
	}
	if s.conn, err = dbus.NewConn(c, dbus.WithContext(s.ctx)); err != nil {
		c.Close()
		return err
	}
	if err := s.conn.Auth([]dbus.Auth{dbus.AuthExternal(strconv.Itoa(uid))}); err != nil {
		return err
	}
	return s.conn.Hello()
}

// Close ends the connection.
func (s *Service) Close() {
	s.cancel()
	if s.conn != nil {
		s.conn.Close() //nolint:errcheck // nothing was written
	}
}

func (s *Service) call(o dbus.BusObject, method string, args ...any) *dbus.Call {
	return o.CallWithContext(s.ctx, method, 0, args...)
}

// get reads a property of the provider's object.
func (s *Service) get(path dbus.ObjectPath, property string, value any) error {
	i := strings.LastIndexByte(property, '.')
	var v dbus.Variant
	if err := s.call(s.conn.Object(s.owner, path), properties, property[:i], property[i+1:]).Store(&v); err != nil {
		return err
	}
	return v.Store(value)
}

// explain makes of an error what the caller can tell.
func (s *Service) explain(doing string, err error) error {
	switch n, ok := errors.AsType[net.Error](err); {
	case s.ctx.Err() != nil && !errors.Is(s.ctx.Err(), context.DeadlineExceeded):
		return context.Cause(s.ctx)
	case s.ctx.Err() != nil, ok && n.Timeout(), errors.Is(err, dbus.ErrClosed):
		who := ""
		if s.Provider != (Provider{}) {
			who = ": " + s.Provider.String()
		}
		return fmt.Errorf("%s: %w within %s%s", doing, ErrSilent, patience, who)
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// open lists the collections that are not locked. ErrLocked if there are only locked ones.
func (s *Service) open() (unlocked []dbus.ObjectPath, locked int, err error) {
	var all []dbus.ObjectPath
	if err := s.get(root, service+"Collections", &all); err != nil {
		return nil, 0, s.explain("listing the keyrings", err)
	}
	for _, c := range all {
		var is bool
		if err := s.get(c, collection+"Locked", &is); err != nil {
			if _, ok := errors.AsType[dbus.Error](err); ok {
				continue // it is gone
			}
			return nil, 0, s.explain("looking whether the keyring is locked", err)
		}
		if is {
			locked++
			continue
		}
		unlocked = append(unlocked, c)
	}
	if len(unlocked) == 0 && locked > 0 {
		return nil, locked, fmt.Errorf("%w: %s", ErrLocked, s.Provider)
	}
	return unlocked, locked, nil
}

// State is who offers the Secret Service, and how many of its keyrings are open.
type State struct {
	Provider     Provider
	Open, Closed int
}

// Locked reports whether none is open.
func (s State) Locked() bool { return s.Open == 0 && s.Closed > 0 }

// Look looks who offers the Secret Service. Errors are those of Open.
func Look(ctx context.Context, u User) (State, error) {
	s, err := Open(ctx, u)
	if err != nil {
		return State{}, err
	}
	defer s.Close()
	open, locked, err := s.open()
	if errors.Is(err, ErrLocked) {
		err = nil
	}
	return State{s.Provider, len(open), locked}, err
}
