package cli

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"

	"movein/bootstrap/host/keyring"
	"movein/steps"
)

// bus is a session bus of the test's own. offer has this process be its Secret Service, with no keyring in it.
func bus(t *testing.T) (address string, offer func()) {
	t.Helper()
	if _, err := exec.LookPath("dbus-daemon"); err != nil {
		t.Skip("dbus-daemon is not installed (Debian: dbus)")
	}
	dir := t.TempDir()
	config := `<busconfig><type>session</type><listen>unix:path=` + dir + `/bus</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy></busconfig>`
	if err := os.WriteFile(dir+"/conf", []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("dbus-daemon", "--config-file="+dir+"/conf", "--print-address", "--nofork", "--nopidfile")
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	if address, err = bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	address = strings.TrimSpace(address)
	return address, func() {
		conn, err := dbus.Connect(address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		if err := conn.Export(noCollections{}, "/org/freedesktop/secrets", "org.freedesktop.DBus.Properties"); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.RequestName("org.freedesktop.secrets", 0); err != nil {
			t.Fatal(err)
		}
	}
}

type noCollections struct{}

func (noCollections) Get(string, string) (dbus.Variant, *dbus.Error) {
	return dbus.MakeVariant([]dbus.ObjectPath{}), nil
}

// TestDoctorNamesTheKeyring: who has org.freedesktop.secrets, and what to change if KeePassXC should.
func TestDoctorNamesTheKeyring(t *testing.T) {
	s, _, _ := owned(t)
	look := func(verdict steps.Verdict, what, mend string) {
		t.Helper()
		f := s.keyringFinding(t.Context())
		if f.Verdict != verdict || !strings.Contains(f.What, what) || !strings.Contains(f.Mend, mend) || (f.Mend == "") != (mend == "") || verdict == steps.Warning && f.Why == "" {
			t.Errorf("%+v; want %s: %s, %s", f, verdict, what, mend)
		}
	}
	look(steps.Info, "no session bus", "")
	address, offer := bus(t)
	s.io.Environ = append([]string{"DBUS_SESSION_BUS_ADDRESS=" + address}, s.io.Environ...)
	look(steps.Info, "no program has org.freedesktop.secrets", "")
	if s.keyringState(t.Context()) != nil {
		t.Error("status names a keyring that is not there")
	}
	ini := filepath.Join(s.config.ConfigHome, "keepassxc/keepassxc.ini")
	write := func(text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(ini), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(ini, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const wanted = "[General]\nEnabled=false\n\n[FdoSecrets]\nEnabled=true\nConfirmAccessItem=false\n"
	write(wanted)
	look(steps.Warning, "KeePassXC is set up to have it, and does not run", "keepassxc")
	offer()
	look(steps.Warning, "cli.test (process ", s.config.DataHome+"/dbus-1/services/org.freedesktop.secrets.service")
	if st := s.keyringState(t.Context()); st == nil || st.PID != os.Getpid() || st.Program != "cli.test" || st.Locked || !strings.HasSuffix(st.String(), ", open") {
		t.Errorf("status: %+v", st)
	}
	write("[FdoSecrets]\nEnabled=false\n[Browser]\nEnabled=true\n")
	look(steps.Good, "cli.test (process ", "")
}

// TestInsteadOf: what it says to run, a shell understands, and it makes the file that D-Bus reads.
func TestInsteadOf(t *testing.T) {
	s, _, _ := owned(t)
	for program, first := range map[string]string{"gnome-keyring-d": "systemctl --user mask --now ", "kwalletd6": "kwriteconfig6 ", "ksecretd": "kwriteconfig6 ", "oo7-daemon": "mkdir "} {
		mend := s.insteadOf(program)
		if !strings.HasPrefix(mend, first) {
			t.Errorf("%s: %s", program, mend)
		}
		commands, _ := strings.CutSuffix(mend, "; then log out and in again")
		shell := exec.Command("sh", "-ec", "systemctl() { :; }; kwriteconfig6() { :; }; keepassxc() { :; }; "+commands)
		if out, err := shell.CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s", program, err, out)
		}
		text, err := os.ReadFile(s.config.DataHome + "/dbus-1/services/org.freedesktop.secrets.service")
		if err != nil || string(text) != "[D-BUS Service]\nName=org.freedesktop.secrets\nExec=keepassxc\n" {
			t.Errorf("%s: %q, %v", program, text, err)
		}
	}
	if !(keyring.Provider{Program: "keepassxc"}).KeePassXC() {
		t.Error("KeePassXC is not known")
	}
}
