package steps

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"net"
	"strings"
	"syscall"
	"time"

	"movein/bootstrap"
	"movein/bootstrap/host"
	"movein/distro"
	"movein/embed"
)

// Verdict is how a check of the doctor ended.
type Verdict string

// The verdicts.
const (
	Good    Verdict = "ok"
	Info    Verdict = "info"
	Warning Verdict = "warning" // worth mending, stops nothing
	Bad     Verdict = "failure" // a run would stop here
)

// Finding is what one check of the doctor found.
type Finding struct {
	Name    string  `json:"name"` // of the check
	Verdict Verdict `json:"verdict"`
	What    string  `json:"what"`
	Why     string  `json:"why,omitempty"`  // why it matters
	Mend    string  `json:"mend,omitempty"` // the command that mends it
}

// doctor is one examination.
type doctor struct {
	v host.View
	f *distro.Facts
	c *Config
}

// Examine runs every check, in an order in which each makes sense after the last.
func Examine(ctx context.Context, v host.View, f *distro.Facts, c *Config) iter.Seq[Finding] {
	d := doctor{v, f, c}
	checks := []func(context.Context) Finding{
		d.host, d.root, d.wsl, d.windows, d.disk, d.memory, d.clock, d.proxy, d.sudo, d.secure, d.login,
		d.nix, d.daemon, d.settings, d.flakes, d.shell, d.caches, d.denials,
		d.repo, d.unseen, d.inputs, d.configuration, d.generation, d.leftovers, d.profile,
		d.session, d.bus, d.linger, d.gpu, d.browsers, d.locale,
	}
	return func(yield func(Finding) bool) {
		for _, check := range checks {
			if f := check(ctx); f.Name != "" && !yield(f) {
				return
			}
		}
	}
}

func (d doctor) host(context.Context) Finding {
	init := d.f.Init
	if d.f.Systemd {
		init = "systemd runs"
	}
	parts := []string{d.f.PrettyName, string(d.f.Platform), d.f.System, init}
	if d.f.Container != "" {
		parts = append(parts, "container: "+d.f.Container)
	}
	if d.f.SELinux != "" {
		parts = append(parts, "SELinux "+d.f.SELinux)
	}
	return Finding{Name: "host", Verdict: Info, What: strings.Join(parts, ", ") + "; " + d.c.User + "@" + d.c.Host + ", home " + d.c.Home}
}

func (d doctor) root(context.Context) Finding {
	if !d.f.OSTree && !d.f.ReadOnlyRoot || exists(d.v, "/nix") {
		return Finding{}
	}
	return Finding{"root", Bad, "the root file system is read-only and has no /nix", "Nix needs its store at /nix", "movein apply --only nix-mount"}
}

func (d doctor) disk(ctx context.Context) Finding {
	worst := Finding{Name: "disk", Verdict: Good}
	var said []string
	nix := detectNix(ctx, d.v, d.f, d.c)
	if nix.Version != "" && older(nix.Version, "2.30") { // it compiles there
		if free, err := d.v.Free("/tmp"); err == nil && free < 1<<30 {
			return Finding{"disk", Warning, "/tmp has " + size(free) + " free", "this Nix compiles there, and calls a full disk by other names", `sudo systemctl edit nix-daemon.service, with the lines "[Service]" and "Environment=TMPDIR=/var/tmp"`}
		}
	}
	store := "/nix"
	if needsMount(d.f) && mountedOn(d.v, store) == "" {
		store = storeHome(d.v)
	}
	for _, dir := range []string{store, d.c.Home} {
		free, err := d.v.Free(dir)
		if err != nil {
			return Finding{"disk", Warning, err.Error(), "", ""}
		}
		said = append(said, fmt.Sprintf("%s has %.1f GiB free", dir, float64(free)/(1<<30)))
		const little = 2 << 30
		if free < little {
			worst = Finding{Name: "disk", Verdict: Warning, Why: "a generation with a desktop's programs takes several GiB", Mend: "nix-collect-garbage --delete-older-than 30d"}
			if nix.Kind == nixNone {
				worst.Mend = "free some space; what is full: df -h"
			}
		}
	}
	worst.What = strings.Join(said, ", ")
	return worst
}

func (d doctor) memory(context.Context) Finding {
	gib := float64(d.f.RAM) / (1 << 30)
	if d.f.RAM != 0 && gib < 2 {
		return Finding{"memory", Warning, fmt.Sprintf("%.1f GiB of memory", gib), "evaluating a large configuration takes about 1 GiB", "add swap, or build on another host"}
	}
	return Finding{"memory", Good, fmt.Sprintf("%.1f GiB", gib), "", ""}
}

// clock compares the host's clock with that of the server Nix comes from: TLS
// and signatures fail on a clock that is far off.
func (d doctor) clock(ctx context.Context) Finding {
	if d.c.Offline {
		return Finding{}
	}
	url := releaseURL(d.c.NixURL, cmp.Or(d.c.NixVersion, embed.DefaultNix), d.f.System)
	before := d.v.Now()
	server, err := d.v.ServerTime(ctx, url)
	if err != nil {
		return Finding{"network", Warning, fmt.Sprintf("%v", err), "Nix is downloaded from there", "check the network and the proxy settings, or name a mirror with --nix-url"}
	}
	const most = 5 * time.Minute
	if off := before.Sub(server).Round(time.Second); off.Abs() > most {
		return Finding{"clock", Bad, fmt.Sprintf("the clock is off by %s", off), "certificates and signatures are not believed on a clock that is wrong", bootstrap.ClockHint}
	}
	return Finding{"clock", Good, "agrees with the server's", "", ""}
}

func (d doctor) sudo(ctx context.Context) Finding {
	if d.c.UID == 0 {
		return Finding{"root", Info, "the home is root's", "", ""}
	}
	for _, tool := range []string{"sudo", "doas"} {
		if _, err := d.v.LookPath(tool); err != nil {
			continue
		}
		if _, err := d.v.Query(ctx, &host.Cmd{Args: []string{tool, "-n", "true"}}); err != nil {
			return Finding{"sudo", Info, tool + " is there and asks for a password", "", ""}
		}
		return Finding{"sudo", Good, tool + " needs no password", "", ""}
	}
	return Finding{"sudo", Warning, "there is neither sudo nor doas", "installing and repairing Nix needs root", "run as root: movein apply --user " + d.c.User}
}

func (d doctor) nix(ctx context.Context) Finding {
	found, err := diagnoseNix(ctx, d.v, d.f, d.c)
	if err != nil {
		return Finding{"nix", Bad, err.Error(), "", bootstrap.HintOf(err)}
	}
	if detectNix(ctx, d.v, d.f, d.c).Kind == nixRootless {
		return Finding{"nix", Info, "a chroot store in ~/.local/share/nix/root: what it has is at /nix for its own commands only", "other programs, units and the desktop do not find it; without a daemon nothing is shared", "have an administrator run: sudo movein apply --user " + d.c.User}
	}
	if found.Kind == nixNone {
		return Finding{"nix", Info, "not installed", "", "movein apply"}
	}
	what := fmt.Sprintf("%s, %s (%s)", found.Version, found.Kind, found.Bin)
	if len(found.Change) > 0 {
		a := found.Change[0]
		return Finding{"nix", Bad, what + ": " + a.Target + " " + a.Reason, "the store is not as it was installed", "movein apply --only nix-install"}
	}
	return Finding{"nix", Good, what, "", ""}
}

// daemon asks the daemon as the user: that root can reach it says nothing.
func (d doctor) daemon(ctx context.Context) Finding {
	if kind := detectNix(ctx, d.v, d.f, d.c).Kind; kind == nixNone || kind == nixSingle || d.c.UID == 0 && !d.f.Systemd {
		return Finding{}
	}
	answer, err := d.v.Daemon(ctx, nixSocket)
	mend := "movein apply --only nix-daemon"
	switch {
	case err == nil && answer.Version != "":
		return Finding{"daemon", Good, "answers, Nix " + answer.Version, "", ""}
	case err == nil:
		return Finding{"daemon", Good, "answers", "", ""}
	case errors.Is(err, syscall.ECONNREFUSED):
		return Finding{"daemon", Bad, "the socket is there and nobody listens", "the daemon was killed and left its socket", mend}
	case errors.Is(err, fs.ErrNotExist):
		return Finding{"daemon", Bad, "there is no socket " + nixSocket, "the socket unit does not run", mend}
	case errors.Is(err, fs.ErrPermission):
		return Finding{"daemon", Bad, "the socket may not be used by " + d.c.User, "some distributions allow a group only", "sudo usermod -aG nix-users " + d.c.User + ", then log in again"}
	}
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return Finding{"daemon", Bad, "takes the connection and does not answer", "it hangs, or its database is locked", "sudo systemctl restart nix-daemon.service"}
	}
	return Finding{"daemon", Bad, err.Error(), "", mend}
}

// settings finds lines in nix.conf that break every command of Nix.
func (d doctor) settings(context.Context) Finding {
	text := readText(d.v, nixConf)
	n := 0
	for line := range strings.Lines(text) {
		n++
		line, _, _ = strings.Cut(line, "#")
		fields := strings.Fields(line)
		if len(fields) == 0 || fields[0] == "include" || fields[0] == "!include" || strings.Contains(line, "=") {
			continue
		}
		return Finding{"nix.conf", Bad, fmt.Sprintf("%s:%d: %q is no setting", nixConf, n, strings.TrimSpace(line)), "a line without \"=\" breaks every command of Nix", fmt.Sprintf("sudo sed -i %dd %s", n, nixConf)}
	}
	if text == "" {
		return Finding{}
	}
	return Finding{"nix.conf", Good, "can be read", "", ""}
}

func (d doctor) repo(ctx context.Context) Finding {
	if d.c.HomeRepo == "" {
		return Finding{"home repo", Info, "none is given, and none was used here before", "", "movein apply HOME_REPO"}
	}
	dir, clone := d.c.HomeDir()
	state, err := d.v.Repo(ctx, dir)
	switch {
	case errors.Is(err, host.ErrNotRepo), errors.Is(err, fs.ErrNotExist):
		return d.noRepo(dir, clone)
	case err != nil:
		return Finding{"home repo", Bad, err.Error(), "", "move it away (mv " + dir + " " + dir + ".old) and run: movein apply"}
	case clone && state.URL != "" && !host.SameRemote(state.URL, d.c.HomeRepo):
		return Finding{"home repo", Bad, fmt.Sprintf("%s is a clone of %s, not of %s", dir, state.URL, d.c.HomeRepo), "movein does not overwrite it", "mv " + dir + " " + dir + ".old"}
	case state.Branch == "":
		return Finding{"home repo", Warning, "HEAD is detached at " + short(state.Commit), "updates go to branches", "git -C " + dir + " switch main"}
	case len(state.Dirty) > 0:
		return Finding{"home repo", Warning, "uncommitted changes: " + few(state.Dirty), "they are built, and not updated over", "git -C " + dir + " commit --all"}
	case state.Ahead:
		return Finding{"home repo", Warning, "commits that are not pushed", "another host does not get them", "git -C " + dir + " push"}
	}
	return Finding{"home repo", Good, fmt.Sprintf("%s, %s at %s", dir, state.Branch, short(state.Commit)), "", ""}
}

// noRepo looks at a home repo that is no git repository.
func (d doctor) noRepo(dir string, clone bool) Finding {
	switch {
	case (clone || d.c.HomeRepo == Starter) && !nonEmpty(d.v, dir):
		return Finding{"home repo", Info, "not cloned yet", "", "movein apply"}
	case clone:
		return Finding{"home repo", Bad, dir + " holds files that are no clone of " + d.c.HomeRepo, "movein does not overwrite them", "mv " + dir + " " + dir + ".old"}
	case !exists(d.v, dir):
		return Finding{"home repo", Bad, "there is no directory " + dir, "", "movein apply HOME_REPO"}
	case !exists(d.v, dir+"/flake.nix"):
		return Finding{"home repo", Bad, dir + " has no flake.nix", "so it is no home repo", "movein apply HOME_REPO"}
	}
	return Finding{"home repo", Good, dir + ", no git repository", "", ""}
}

func (d doctor) unseen(ctx context.Context) Finding {
	if d.c.HomeRepo == "" {
		return Finding{}
	}
	dir, _ := d.c.HomeDir()
	unseen := unseenNix(ctx, d.v, dir)
	if len(unseen) == 0 {
		return Finding{}
	}
	return Finding{"flake", Warning, "Nix does not see: " + few(unseen), "a flake sees only files that git tracks", "git -C " + dir + " add " + strings.Join(unseen, " ")}
}

func (d doctor) generation(ctx context.Context) Finding {
	b := readBuilt(d.v, d.c)
	if b.Out == "" {
		return Finding{"home", Info, "no generation yet", "", "movein apply"}
	}
	change, err := homeActivate{d.f, d.c}.Plan(ctx, d.v)
	switch {
	case err != nil:
		return Finding{"home", Bad, err.Error(), "", bootstrap.HintOf(err)}
	case len(change) > 0:
		what := change[0].Verb + " " + change[0].Target
		if why := change[0].Reason; why != "" {
			what += " (" + why + ")"
		}
		return Finding{"home", Warning, what + more(len(change)-1), "the home is not as the generation has it", "movein apply"}
	}
	return Finding{"home", Good, b.Attribute + ", generation " + b.Out, "", ""}
}

func more(n int) string {
	if n <= 0 {
		return ""
	}
	return fmt.Sprintf(" and %d more", n)
}
