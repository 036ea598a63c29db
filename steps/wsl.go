package steps

import (
	"context"
	"errors"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"movein/bootstrap"
	"movein/bootstrap/host"
	"movein/distro"
)

// wsl has WSL start systemd, which then starts the Nix daemon and the user's units.
// Who wants WSL's own init says systemd=false; nixDaemon cares for the daemon then.
type wsl struct {
	f *distro.Facts
	c *Config
}

const (
	wslConf    = "/etc/wsl.conf"
	wslRestart = "in Windows: wsl.exe --shutdown, then open this distribution again and run the same command"
)

func (wsl) Info() bootstrap.Info {
	return bootstrap.Info{Name: "wsl", Title: "WSL", Needs: []string{"preflight"}, As: bootstrap.Root}
}

func (s wsl) Plan(ctx context.Context, v host.View) (bootstrap.Change, error) {
	switch {
	case s.f.Platform != distro.WSL:
		return nil, bootstrap.Skip("this is not WSL")
	case s.f.Systemd:
		return nil, nil
	case !exists(v, "/usr/lib/systemd/systemd") && !exists(v, "/lib/systemd/systemd"):
		return nil, bootstrap.Skip("systemd is not installed")
	}
	text, err := readConf(v)
	if err != nil {
		return nil, err
	}
	value, found := iniValue(text, "boot", "systemd")
	switch {
	case found && !strings.EqualFold(value, "true") && value != "1":
		return nil, bootstrap.Skip(wslConf + " says systemd=" + value)
	case !found && s.works(ctx, v):
		return nil, bootstrap.Skip("Nix works without systemd")
	case !found:
		return bootstrap.Change{{Verb: "add", Target: wslConf, Reason: "[boot] systemd=true (who does not want that says systemd=false there)"},
			{Verb: "restart", Target: "WSL"}}, nil
	case startedAfter(v, wslConf):
		v.Warn("%s says systemd=true, and WSL has not started it: update WSL, in Windows: wsl.exe --update", wslConf)
		return nil, bootstrap.Skip("this WSL does not start systemd")
	}
	return bootstrap.Change{{Verb: "restart", Target: "WSL", Reason: "it has not read " + wslConf + " yet"}}, nil
}

// works reports whether the host has a Nix that can be used as it is.
func (s wsl) works(ctx context.Context, v host.View) bool {
	if detectNix(ctx, v, s.f, s.c).Kind == nixSingle {
		return true
	}
	_, err := v.Daemon(ctx, nixSocket)
	return err == nil
}

func (s wsl) Apply(_ context.Context, h host.Host, _ bootstrap.Change) error {
	if err := addToConf(h, "systemd", "true"); err != nil {
		return err
	}
	return bootstrap.Hint(bootstrap.Reboot("WSL starts systemd when it is started again"), wslRestart)
}

// readConf reads wsl.conf; "" if there is none.
func readConf(v host.View) (string, error) {
	text, err := v.ReadFile(wslConf)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	return string(text), nil
}

// addToConf adds a key to [boot] of wsl.conf, unless it has it. Every other byte stays,
// and so do owner and mode; a copy of what was there is kept.
func addToConf(h host.Host, key, value string) error {
	text, err := readConf(h)
	if err != nil {
		return err
	}
	if _, found := iniValue(text, "boot", key); found {
		return nil
	}
	if target, ok := isLink(h, wslConf); ok {
		return bootstrap.Hint(bootstrap.Refuse("%s is a link to %s, so something else writes it", wslConf, target), "add %s=%s to [boot] there and run the same command again", key, value)
	}
	if text != "" {
		if err := backUp(h, wslConf, []byte(text)); err != nil {
			return err
		}
	}
	return rewrite(h, wslConf, iniAdd(text, "boot", key, value))
}

// iniValue is the value of the first key of that name in a section of that name, as WSL
// finds it (src/shared/configfile of WSL): names in any case, comments after "#".
func iniValue(text, section, key string) (value string, found bool) {
	in := false
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if name, ok := iniSection(line); ok {
			in = strings.EqualFold(name, section)
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		if !in || !ok || !strings.EqualFold(strings.TrimSpace(name), key) {
			continue
		}
		if !strings.HasPrefix(strings.TrimSpace(value), `"`) {
			value, _, _ = strings.Cut(value, "#")
		}
		return strings.Trim(strings.TrimSpace(value), `"`), true
	}
	return "", false
}

func iniSection(line string) (name string, ok bool) {
	name, _, closed := strings.Cut(strings.TrimPrefix(line, "["), "]")
	return name, closed && strings.HasPrefix(line, "[")
}

// iniAdd adds a key to a section, which it makes if there is none. Lines end as those of text do.
func iniAdd(text, section, key, value string) string {
	end := "\n"
	if strings.Contains(text, "\r\n") {
		end = "\r\n"
	}
	added := key + "=" + value + end
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString(line)
		if !strings.HasSuffix(line, "\n") {
			b.WriteString(end)
		}
		if name, ok := iniSection(strings.TrimSpace(line)); ok && added != "" && strings.EqualFold(name, section) {
			b.WriteString(added)
			added = ""
		}
	}
	if added != "" {
		if text != "" {
			b.WriteString(end)
		}
		b.WriteString("[" + section + "]" + end + added)
	}
	return b.String()
}

// startedAfter reports whether the first process was started after the file was written:
// a BootID ends with that moment, in hundredths of a second since the kernel's.
func startedAfter(v host.View, name string) bool {
	info, err := v.Lstat(name)
	_, rest, _ := strings.Cut(readText(v, "/proc/stat"), "\nbtime ")
	boot, _, _ := strings.Cut(rest, "\n")
	seconds, berr := strconv.ParseInt(boot, 10, 64)
	_, start, _ := strings.Cut(v.BootID(), ".")
	ticks, terr := strconv.ParseInt(start, 10, 64)
	if errors.Join(err, berr, terr) != nil {
		return false
	}
	return time.Unix(seconds, 0).Add(time.Duration(ticks) * 10 * time.Millisecond).After(info.ModTime())
}

// wslOne refuses WSL 1.
func wslOne() error {
	return bootstrap.Hint(bootstrap.Misconfigured("this is WSL 1, which translates system calls instead of running a Linux kernel: Nix's sandbox and its database do not work there"),
		"in Windows: wsl.exe --list --verbose, then wsl.exe --set-version NAME 2; then run the same command again")
}
