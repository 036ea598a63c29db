package keyring

import (
	"bufio"
	"context"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"movein/bootstrap/host/kdbx"
)

const canary = "canary-Zx81 ü"

// startBus starts a bus of the test's own, on which nothing is started by itself.
func startBus(t *testing.T, cred *syscall.Credential) (u User, daemon *os.Process) {
	t.Helper()
	if _, err := exec.LookPath("dbus-daemon"); err != nil {
		t.Skip("dbus-daemon is not installed (Debian: dbus)")
	}
	dir, err := os.MkdirTemp("", "bus")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	config := `<busconfig><type>session</type><listen>unix:path=` + dir + `/bus</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy></busconfig>`
	if err := os.WriteFile(dir+"/conf", []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("dbus-daemon", "--config-file="+dir+"/conf", "--print-address", "--nofork", "--nopidfile")
	if cred != nil {
		os.Chown(dir, int(cred.Uid), int(cred.Gid))
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: cred}
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	u = User{UID: os.Geteuid(), Bus: strings.TrimSpace(address)}
	if cred != nil {
		u.UID = int(cred.Uid)
	}
	return u, cmd.Process
}

// A fake is a Secret Service. It has one collection for each name in Collections, true: locked.
type fake struct {
	Collections map[string]bool
	Items       map[string]map[string]string // "collection/item": its attributes; the secret is canary
	Matches     []string                     // items that every search finds
	Hangs       string                       // the method or property that is never answered

	mu     sync.Mutex
	called []string
	stop   chan struct{}
}

// did remembers a call, and answers it never if it hangs.
func (f *fake) did(what string) {
	f.mu.Lock()
	f.called = append(f.called, what)
	f.mu.Unlock()
	if f.Hangs == what {
		<-f.stop
	}
}

func path(name string) dbus.ObjectPath { return root + "/collection/" + dbus.ObjectPath(name) }

type fakeRoot struct{ *fake }

func (f fakeRoot) OpenSession(_ string, _ dbus.Variant) (dbus.Variant, dbus.ObjectPath, *dbus.Error) {
	f.did("OpenSession")
	return dbus.MakeVariant(""), root + "/session/s1", nil
}

func (f fakeRoot) SearchItems(map[string]string) ([]dbus.ObjectPath, []dbus.ObjectPath, *dbus.Error) {
	f.did("a window: SearchItems of the service")
	return nil, nil, nil
}

func (f fakeRoot) Unlock([]dbus.ObjectPath) ([]dbus.ObjectPath, dbus.ObjectPath, *dbus.Error) {
	f.did("a window: Unlock")
	return nil, "/", nil
}

func (f fakeRoot) Get(_, property string) (dbus.Variant, *dbus.Error) {
	f.did(property)
	all := []dbus.ObjectPath{}
	for _, name := range slices.Sorted(maps.Keys(f.Collections)) {
		all = append(all, path(name))
	}
	return dbus.MakeVariant(all), nil
}

type fakeCollection struct {
	*fake
	name string
}

func (f fakeCollection) Get(_, property string) (dbus.Variant, *dbus.Error) {
	f.did("Collection." + property)
	return dbus.MakeVariant(f.Collections[f.name]), nil
}

func (f fakeCollection) SearchItems(asked map[string]string) (found []dbus.ObjectPath, _ *dbus.Error) {
	f.did("SearchItems")
	if f.Collections[f.name] {
		f.did("a window: search of a locked collection")
	}
	for name, has := range f.Items {
		match := slices.Contains(f.Matches, name)
		if !match {
			match = true
			for k, v := range asked {
				match = match && has[k] == v
			}
		}
		if match && strings.HasPrefix(name, f.name+"/") {
			found = append(found, path(name))
		}
	}
	return found, nil
}

type fakeItem struct {
	*fake
	name string
}

func (f fakeItem) Get(_, property string) (dbus.Variant, *dbus.Error) {
	f.did("Item." + property)
	switch property {
	case "Attributes":
		return dbus.MakeVariant(f.Items[f.name]), nil
	case "Label":
		return dbus.MakeVariant("label of " + f.name), nil
	}
	return dbus.MakeVariant(strings.Contains(f.name, "locked")), nil
}

func (f fakeItem) GetSecret(session dbus.ObjectPath) (struct {
	Session           dbus.ObjectPath
	Parameters, Value []byte
	ContentType       string
}, *dbus.Error) {
	f.did("GetSecret")
	return struct {
		Session           dbus.ObjectPath
		Parameters, Value []byte
		ContentType       string
	}{session, nil, []byte(canary), "text/plain"}, nil
}

// serve offers f on a bus.
func (f *fake) serve(t *testing.T, u User) {
	t.Helper()
	f.stop = make(chan struct{})
	conn, err := dbus.Connect(u.Bus)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		close(f.stop)
		conn.Close()
	})
	export := func(v any, path dbus.ObjectPath, iface string) {
		err := errors.Join(conn.Export(v, path, strings.TrimSuffix(iface, ".")), conn.Export(v, path, "org.freedesktop.DBus.Properties"))
		if err != nil {
			t.Fatal(err)
		}
	}
	export(fakeRoot{f}, root, service)
	for name := range f.Collections {
		export(fakeCollection{f, name}, path(name), collection)
	}
	for name := range f.Items {
		export(fakeItem{f, name}, path(name), item)
	}
	if r, err := conn.RequestName(name, dbus.NameFlagDoNotQueue); err != nil || r != dbus.RequestNameReplyPrimaryOwner {
		t.Fatal(r, err)
	}
}

func TestLookup(t *testing.T) {
	want := map[string]string{"service": "rclone", "key": "config-password"}
	more := map[string]string{"service": "rclone", "key": "config-password", "xdg:schema": "x", "Path": "/API Keys/rclone"}
	other := map[string]string{"service": "restic", "key": "config-password"}
	open := map[string]bool{"login": false}
	for name, c := range map[string]struct {
		f     *fake
		wrong error
		says  string
	}{
		"there":                       {&fake{Collections: open, Items: map[string]map[string]string{"login/1": other, "login/2": more}}, nil, ""},
		"in another collection":       {&fake{Collections: map[string]bool{"a": false, "b": false}, Items: map[string]map[string]string{"b/1": want}}, nil, ""},
		"beside a locked one":         {&fake{Collections: map[string]bool{"a": true, "b": false}, Items: map[string]map[string]string{"b/1": want}}, nil, ""},
		"not there":                   {&fake{Collections: open, Items: map[string]map[string]string{"login/1": other}}, ErrNotFound, "(key, service)"},
		"nothing is open":             {&fake{}, ErrNotFound, ""},
		"locked":                      {&fake{Collections: map[string]bool{"login": true}, Items: map[string]map[string]string{"login/1": want}}, ErrLocked, "keyring"},
		"locked, but for the session": {&fake{Collections: map[string]bool{"login": true, "session": false}}, ErrLocked, ""},
		"perhaps in the locked one":   {&fake{Collections: map[string]bool{"a": true, "b": false}}, ErrLocked, "1 of"},
		"its item is locked":          {&fake{Collections: open, Items: map[string]map[string]string{"login/locked": want}}, ErrLocked, ""},
		"the wrong one":               {&fake{Collections: open, Items: map[string]map[string]string{"login/1": other}, Matches: []string{"login/1"}}, ErrWrongItem, `"label of login/1"`},
		"one with less":               {&fake{Collections: open, Items: map[string]map[string]string{"login/1": {"service": "rclone"}}, Matches: []string{"login/1"}}, ErrWrongItem, ""},
		"the wrong one and the right": {&fake{Collections: open, Items: map[string]map[string]string{"login/1": other, "login/2": want}, Matches: []string{"login/1"}}, nil, ""},
		"two":                         {&fake{Collections: open, Items: map[string]map[string]string{"login/1": want, "login/2": more}}, ErrAmbiguous, `"label of login/1"`},
		"never says which there are":  {&fake{Collections: open, Hangs: "Collections"}, ErrSilent, "within 3s"},
		"never says what is locked":   {&fake{Collections: open, Hangs: "Collection.Locked"}, ErrSilent, ""},
		"never finds":                 {&fake{Collections: open, Hangs: "SearchItems"}, ErrSilent, ""},
		"never opens a session":       {&fake{Collections: open, Items: map[string]map[string]string{"login/1": want}, Hangs: "OpenSession"}, ErrSilent, ""},
		"waits for somebody's yes":    {&fake{Collections: open, Items: map[string]map[string]string{"login/1": want}, Hangs: "GetSecret"}, ErrSilent, "process "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u, _ := startBus(t, nil)
			f := c.f
			f.serve(t, u)
			start := time.Now()
			got, err := Lookup(t.Context(), u, want)
			took := time.Since(start)
			if !errors.Is(err, c.wrong) || (err == nil) != (c.wrong == nil) || err == nil && got.Reveal() != canary {
				t.Errorf("%q, %v", got.Reveal(), err)
			}
			if err != nil && (!strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), canary)) {
				t.Errorf("it says: %v", err)
			}
			if took > patience+2*time.Second || c.f.Hangs == "" && took > patience {
				t.Errorf("it took %s", took)
			}
			f.mu.Lock()
			defer f.mu.Unlock()
			for _, what := range f.called {
				if strings.Contains(what, "window") {
					t.Errorf("it opened %s", what)
				}
			}
		})
	}
}

// TestHolds: whether it is there is seen without its value, for which somebody might be asked.
func TestHolds(t *testing.T) {
	want := map[string]string{"service": "api", "key": "token"}
	for _, c := range []struct {
		item, hangs, value string
		holds              bool
		wrong              error
	}{
		{"login/1", "", "", true, nil},
		{"login/1", "", canary, true, nil},
		{"login/1", "", "another", false, nil},
		{"login/1", "GetSecret", "", true, nil},
		{"login/locked", "", "", true, nil},
		{"login/locked", "", canary, false, ErrLocked},
	} {
		u, _ := startBus(t, nil)
		(&fake{Collections: map[string]bool{"login": false}, Items: map[string]map[string]string{c.item: want}, Hangs: c.hangs}).serve(t, u)
		if holds, err := Holds(t.Context(), u, want, c.value); holds != c.holds || !errors.Is(err, c.wrong) {
			t.Errorf("%+v: %t, %v", c, holds, err)
		}
		if holds, err := Holds(t.Context(), u, map[string]string{"service": "api", "key": "x"}, ""); holds || err != nil {
			t.Errorf("what is not there: %t, %v", holds, err)
		}
	}
}

func TestNoService(t *testing.T) {
	u, daemon := startBus(t, nil)
	if _, err := Open(t.Context(), u); !errors.Is(err, ErrNoService) {
		t.Errorf("a bus without a service: %v", err)
	}
	daemon.Signal(syscall.SIGSTOP)
	start := time.Now()
	if _, err := Open(t.Context(), u); !errors.Is(err, ErrSilent) || time.Since(start) > patience+2*time.Second {
		t.Errorf("a bus that is stopped: %v after %s", err, time.Since(start))
	}
	stop := errors.New("interrupted")
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(50*time.Millisecond, func() { cancel(stop) })
	start = time.Now()
	if _, err := Open(ctx, u); !errors.Is(err, stop) || time.Since(start) > time.Second {
		t.Errorf("interrupted: %v after %s", err, time.Since(start))
	}
	daemon.Signal(syscall.SIGCONT)
}

// TestNoBus: nothing is started where there is no bus.
func TestNoBus(t *testing.T) {
	uid := os.Geteuid()
	for name, u := range map[string]User{
		"a socket that is gone":   {uid, "unix:path=" + filepath.Join(t.TempDir(), "bus")},
		"nothing but autolaunch":  {uid, "autolaunch:"},
		"over the network":        {uid, "tcp:host=localhost,port=1"},
		"no address":              {uid, "nonsense"},
		"a user who is not there": {4242424, ""},
	} {
		if _, err := Open(t.Context(), u); !errors.Is(err, ErrNoBus) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAddress(t *testing.T) {
	uid := os.Geteuid()
	for bus, want := range map[string]string{
		"unix:path=/run/user/1000/bus":                    "/run/user/1000/bus",
		"unix:path=/run/user/1000/bus,guid=0123":          "/run/user/1000/bus",
		"unix:guid=0123,abstract=/tmp/dbus-x":             "@/tmp/dbus-x",
		"tcp:host=x;unix:path=/tmp/with%20space":          "/tmp/with space",
		"unixexec:path=/bin/sh;unix:path=/run/user/1/bus": "/run/user/1/bus",
	} {
		if got, err := (User{uid, bus}).address(); got != want || err != nil {
			t.Errorf("%s: %q, %v", bus, got, err)
		}
	}
	// The address in the environment is the caller's, not another user's.
	if got, err := (User{4242424, "unix:path=/tmp/x"}).address(); err == nil {
		t.Errorf("the caller's bus is taken for another user's: %q", got)
	}
}

// TestRoot: a bus lets in its user only; root comes as that user.
func TestRoot(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can")
	}
	const nobody = 65534
	u, _ := startBus(t, &syscall.Credential{Uid: nobody, Gid: nobody})
	socket := strings.TrimPrefix(strings.Split(u.Bus, ",")[0], "unix:path=")
	connect := func(uid int) error {
		s := &Service{}
		s.ctx, s.cancel = context.WithTimeout(t.Context(), patience)
		defer s.Close()
		return s.connect(socket, uid)
	}
	if err := connect(0); err == nil {
		t.Error("the bus lets in root, so this shows nothing")
	}
	if err := connect(nobody); err != nil {
		t.Error(err)
	}
	for range 20 { // whichever thread it is on, root is root still
		if euid := syscall.Geteuid(); euid != 0 {
			t.Fatalf("this is user %d now", euid)
		}
	}
}

func TestRememberRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		collections map[string]bool
		wrong       error
	}{
		"locked":       {map[string]bool{"login": true}, ErrLocked},
		"login locked": {map[string]bool{"login": true, "a": false}, ErrLocked},
		"session only": {map[string]bool{"login": true, "session": false}, ErrLocked},
	} {
		u, _ := startBus(t, nil)
		f := &fake{Collections: c.collections}
		f.serve(t, u)
		if err := Remember(t.Context(), u, "/v.kdbx", kdbx.NewSecret(canary)); !errors.Is(err, c.wrong) {
			t.Errorf("%s: %v", name, err)
		}
		for _, what := range f.called {
			if strings.Contains(what, "window") {
				t.Errorf("%s: it opened %s", name, what)
			}
		}
	}
	u, _ := startBus(t, nil)
	if err := Remember(t.Context(), u, "/v.kdbx", kdbx.NewSecret(canary)); !errors.Is(err, ErrNoService) {
		t.Errorf("no service: %v", err)
	}
	if err := Remember(t.Context(), User{UID: 4242424}, "/v.kdbx", kdbx.NewSecret(canary)); err == nil {
		t.Error("another user's keyring")
	}
	for program, is := range map[string]bool{"keepassxc": true, "gnome-keyring-d": false, "": false} {
		if got := (Provider{1, program}).KeePassXC(); got != is {
			t.Errorf("%q is KeePassXC: %v", program, got)
		}
	}
}

// TestLook: who it is and whether it is open is seen without a window.
func TestLook(t *testing.T) {
	for name, c := range map[string]struct {
		collections map[string]bool
		locked      bool
	}{
		"none":   {nil, false},
		"open":   {map[string]bool{"login": false, "other": true}, false},
		"locked": {map[string]bool{"login": true, "other": true}, true},
	} {
		u, _ := startBus(t, nil)
		f := &fake{Collections: c.collections}
		f.serve(t, u)
		st, err := Look(t.Context(), u)
		if err != nil || st.Locked() != c.locked || st.Open+st.Closed != len(c.collections) || st.Provider.PID != os.Getpid() || st.Provider.Program != "keyring.test" {
			t.Errorf("%s: %+v, %v", name, st, err)
		}
		for _, call := range f.called {
			if strings.Contains(call, "window") {
				t.Errorf("%s: %s", name, call)
			}
		}
	}
}

// TestUnwrapped: programs of Nix are known by their own names.
func TestUnwrapped(t *testing.T) {
	for comm, want := range map[string]string{".keepassxc-wrap": "keepassxc", ".kwalletd6-wrapp": "kwalletd6", "gnome-keyring-d": "gnome-keyring-d", "x-wrap": "x-wrap", ".hidden": ".hidden"} {
		if got := unwrapped(comm); got != want {
			t.Errorf("%s: %s", comm, got)
		}
	}
}
