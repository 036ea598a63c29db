package steps

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"movein/bootstrap"
	"movein/bootstrap/host"
	"movein/distro"
	"movein/embed"
)

// Restart starts the host anew and has a unit go on there with what waits for that. It
// is in no run's list: a run that was told to (--reboot) does it last. Where only somebody else can
// restart the host, as under WSL, it only has the run go on afterwards.
type Restart struct {
	Facts  *distro.Facts
	Config *Config
}

const (
	resumeFile    = "/var/lib/movein/resume.json"
	resumeProgram = "/var/lib/movein/resume/movein" // a copy: where this one is may be gone then
	resumeUnit    = "movein-resume.service"
	restartTimer  = "movein-restart"
)

// MostResumes is how often a run is gone on with that never comes to its end.
const MostResumes = 5

// Resume is what a run that goes on after a restart needs to know.
type Resume struct {
	Boot   string `json:"boot"`            // in which it was written: it goes on in another
	Tries  int    `json:"tries"`           // how often it was begun
	Login  bool   `json:"login,omitempty"` // it waits for the user to log in
	Config Config `json:"config"`
}

// Info implements bootstrap.Step.
func (Restart) Info() bootstrap.Info {
	return bootstrap.Info{Name: "restart", Title: "Restart", As: bootstrap.Root}
}

// Plan implements bootstrap.Step.
func (s Restart) Plan(_ context.Context, v host.View) (change bootstrap.Change, err error) {
	if !s.Facts.Systemd && s.Facts.WSL == 0 {
		return nil, bootstrap.Skip("there is no systemd to go on with")
	}
	if r, err := ReadResume(v); err != nil || r.Boot != v.BootID() || readText(v, resumeProgram) != readText(v, "/proc/self/exe") {
		change = append(change, bootstrap.Action{Verb: "write", Target: resumeFile, Reason: "to go on from after the restart"})
	}
	if readText(v, unitDir+"/"+resumeUnit) != s.unit() || !exists(v, wantedBy(s.Config, false)) {
		change = append(change, bootstrap.Action{Verb: "enable", Target: resumeUnit, Reason: "goes on at the next boot, and is removed then"})
	}
	if s.restarts() && !exists(v, "/run/systemd/transient/"+restartTimer+".timer") {
		change = append(change, bootstrap.Action{Verb: "restart", Target: "this host", Reason: "as --reboot says"})
	}
	return change, nil
}

// restarts reports whether the host can restart itself.
func (s Restart) restarts() bool { return s.Facts.Systemd && s.Facts.WSL == 0 }

func (s Restart) unit() string {
	return strings.NewReplacer("@uid@", fmt.Sprint(s.Config.UID), "@program@", resumeProgram).Replace(embed.Unit(resumeUnit))
}

// wantedBy is the link by which the unit is started: at boot, or when the user logs in.
func wantedBy(c *Config, login bool) string {
	if login {
		return fmt.Sprintf("%s/user@%d.service.wants/%s", unitDir, c.UID, resumeUnit)
	}
	return unitDir + "/multi-user.target.wants/" + resumeUnit
}

// Apply implements bootstrap.Step. The link comes last: without it nothing goes on.
func (s Restart) Apply(ctx context.Context, h host.Host, _ bootstrap.Change) error {
	r, err := ReadResume(h)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		h.Warn("%v; it is written anew", err)
	}
	r.Boot, r.Login, r.Config = h.BootID(), false, *s.Config
	program, err := h.ReadFile("/proc/self/exe")
	if err != nil {
		return err
	}
	if err := h.MkdirAll(filepath.Dir(resumeProgram), 0o755); err != nil {
		return err
	}
	if err := h.WriteFile(resumeProgram, program, 0o755); err != nil {
		return err
	}
	if err := r.write(h); err != nil {
		return err
	}
	if err := h.WriteFile(unitDir+"/"+resumeUnit, []byte(s.unit()), 0o644); err != nil {
		return err
	}
	if err := link(h, wantedBy(s.Config, false)); err != nil {
		return err
	}
	if !s.restarts() {
		return nil
	}
	// A moment later, so that this run can say what it did.
	_, err = h.Run(ctx, &host.Cmd{Args: []string{"systemd-run", "--quiet", "--unit=" + restartTimer, "--on-active=5s", "--timer-property=AccuracySec=100ms", "systemctl", "reboot"}})
	if err != nil {
		return bootstrap.Hint(fmt.Errorf("restarting this host: %w", err), "restart it yourself, and movein goes on: sudo systemctl reboot")
	}
	return nil
}

func link(h host.Host, name string) error {
	if err := h.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return h.Symlink("../"+resumeUnit, name)
}

// ReadResume reads what is to be gone on with; fs.ErrNotExist if nothing is.
func ReadResume(v host.View) (r Resume, err error) {
	data, err := v.ReadFile(resumeFile)
	if err == nil {
		err = json.Unmarshal(data, &r)
	}
	if err != nil {
		return r, fmt.Errorf("reading what to go on with: %w", err)
	}
	return r, nil
}

// write keeps it where only root can read it: a URL may say who logs in.
func (r Resume) write(h host.Host) error {
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return h.WriteFile(resumeFile, append(data, '\n'), 0o600)
}

// Begin counts one more try. It is called before anything else, so that a run
// which always takes the host down with it is not begun for ever.
func (r Resume) Begin(h host.Host) error {
	r.Tries++
	return r.write(h)
}

// AwaitLogin has the run go on when its user logs in: it needed something that comes with them.
func (r Resume) AwaitLogin(ctx context.Context, h host.Host) error {
	r.Tries, r.Login = r.Tries+1, true
	if err := errors.Join(r.write(h), link(h, wantedBy(&r.Config, true)), h.Remove(wantedBy(&r.Config, false))); err != nil {
		return err
	}
	_, err := h.Run(ctx, &host.Cmd{Args: []string{"systemctl", "daemon-reload"}})
	return err
}

// End takes back everything that Restart made, the links first.
func (r Resume) End(h host.Host) error {
	var errs []error
	for _, name := range []string{wantedBy(&r.Config, false), wantedBy(&r.Config, true), unitDir + "/" + resumeUnit, resumeFile, filepath.Dir(resumeProgram)} {
		errs = append(errs, h.Remove(name))
	}
	if dir := filepath.Dir(wantedBy(&r.Config, true)); exists(h, dir) && !nonEmpty(h, dir) {
		errs = append(errs, h.Remove(dir))
	}
	return errors.Join(errs...)
}
