package cli

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"movein/bootstrap/host/keyring"
	"movein/steps"
)

// keyringState is who offers the Secret Service, as status tells it.
type keyringState struct {
	Program string `json:"program"`
	PID     int    `json:"pid"`
	Locked  bool   `json:"locked"`
}

// glance is how long status waits for the keyring.
const glance = 200 * time.Millisecond

func (s *session) keyringState(ctx context.Context) *keyringState {
	ctx, done := context.WithTimeout(ctx, glance)
	defer done()
	st, err := keyring.Look(ctx, s.keyringUser())
	if err != nil {
		return nil
	}
	return &keyringState{st.Provider.Program, st.Provider.PID, st.Locked()}
}

func (k *keyringState) String() string {
	if k == nil {
		return ""
	}
	state := "open"
	if k.Locked {
		state = "locked"
	}
	return fmt.Sprintf("%s (process %d), %s", k.Program, k.PID, state)
}

// keyringFinding is what the doctor says of the keyring: who has its name on the bus, and
// whether it is who should.
func (s *session) keyringFinding(ctx context.Context) steps.Finding {
	st, err := keyring.Look(ctx, s.keyringUser())
	f := steps.Finding{Name: "keyring", Verdict: steps.Info}
	wanted := s.wantsKeePassXC()
	switch {
	case errors.Is(err, keyring.ErrNoBus):
		f.What = "no session bus, and so no keyring; secrets are in the vault"
	case errors.Is(err, keyring.ErrNoService) && wanted:
		f.Verdict, f.What = steps.Warning, "no program has org.freedesktop.secrets; KeePassXC is set up to have it, and does not run"
		f.Why, f.Mend = "programs find no secrets", "keepassxc"
	case errors.Is(err, keyring.ErrNoService):
		f.What = "no program has org.freedesktop.secrets; secrets are in the vault"
	case err != nil:
		f.Verdict, f.What = steps.Warning, err.Error()
		f.Why, f.Mend = "programs that ask it for secrets hang", "busctl --user status org.freedesktop.secrets"
	case wanted && !st.Provider.KeePassXC():
		f.Verdict = steps.Warning
		f.What = fmt.Sprintf("%s has org.freedesktop.secrets, and KeePassXC is set up to have it", st.Provider)
		f.Why = "one program only can have the name, and your secrets are not with this one"
		f.Mend = s.insteadOf(st.Provider.Program)
	case st.Locked():
		f.What = fmt.Sprintf("%s has org.freedesktop.secrets, and is locked", st.Provider)
	default:
		f.Verdict, f.What = steps.Good, fmt.Sprintf("%s has org.freedesktop.secrets, and is open", st.Provider)
	}
	return f
}

// wantsKeePassXC reports whether the user's KeePassXC is set up to be the Secret Service.
func (s *session) wantsKeePassXC() bool {
	for _, name := range []string{
		filepath.Join(s.config.ConfigHome, "keepassxc/keepassxc.ini"),
		filepath.Join(s.config.Home, ".var/app/org.keepassxc.KeePassXC/config/keepassxc/keepassxc.ini"),
	} {
		text, err := s.view.ReadFile(name)
		if err != nil {
			continue
		}
		section := ""
		for line := range strings.Lines(string(text)) {
			if line = strings.TrimSpace(line); strings.HasPrefix(line, "[") {
				section = line
			} else if section == "[FdoSecrets]" && strings.EqualFold(strings.ReplaceAll(line, " ", ""), "Enabled=true") {
				return true
			}
		}
	}
	return false
}

// insteadOf is how to have KeePassXC in the place of another program. A service file of the user's own
// goes before the system's; see KeePassXC's docs/topics/SecretService.adoc.
func (s *session) insteadOf(program string) string {
	service := filepath.Join(s.config.DataHome, "dbus-1/services/org.freedesktop.secrets.service")
	first := ""
	switch {
	case strings.HasPrefix(program, "gnome-keyring"):
		first = "systemctl --user mask --now gnome-keyring-daemon.service gnome-keyring-daemon.socket; "
	case strings.HasPrefix(program, "kwallet"), strings.HasPrefix(program, "ksecret"):
		first = "kwriteconfig6 --file kwalletrc --group org.freedesktop.secrets --key apiEnabled false; "
	}
	return first + fmt.Sprintf(`mkdir -p %s; printf '[D-BUS Service]\nName=org.freedesktop.secrets\nExec=%%s\n' "$(command -v keepassxc)" >%s; then log out and in again`, filepath.Dir(service), service)
}
