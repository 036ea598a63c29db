package steps

import (
	"context"
	"fmt"
	"strings"

	"movein/bootstrap"
	"movein/bootstrap/host"
	"movein/distro"
	"movein/embed"
)

// nixMount gives Nix its /nix where the root file system has no room for one: on
// ostree and bootc hosts, whose root is the image's. The store is below /var, which
// updates and rollbacks leave alone, and is mounted on /nix at each boot. A root that
// is sealed (a composefs without a layer to write to) gets such a layer first, at
// the next boot: see sealed.
type nixMount struct {
	f *distro.Facts
	c *Config
}

const (
	mountUnit     = "nix.mount" // a mount unit has the name of its mount point
	directoryUnit = "movein-nix-directory.service"
	mountTarget   = "local-fs.target"
)

// makeNix makes the mount point, in a mount namespace of its own. A deployment of
// ostree without composefs has the attribute "immutable" instead of a read-only mount.
const makeNix = `mount -o remount,bind,rw / && mkdir -m 0755 /nix 2>/dev/null || { chattr -i / && { mkdir -m 0755 /nix; r=$?; chattr +i /; exit $r; }; }`

// storeHomes are where the store is for real: at our place, or where another installer put it.
var storeHomes = []string{"/var/lib/nix", "/var/nix", "/var/home/nix"}

// storeHome is where the store of a host is that needs a mount.
func storeHome(v host.View) string {
	for _, dir := range storeHomes {
		if exists(v, dir+"/store") {
			return dir
		}
	}
	return storeHomes[0]
}

// needsMount reports whether the root file system of such a host has no room for /nix.
func needsMount(f *distro.Facts) bool {
	return f.Platform != distro.NixOS && (f.OSTree || f.Composefs || f.ReadOnlyRoot)
}

func (nixMount) Info() bootstrap.Info {
	return bootstrap.Info{Name: "nix-mount", Title: "Place of /nix", Needs: []string{"preflight"}, As: bootstrap.Root, Exclusive: "rpm-ostree"}
}

func (s nixMount) Plan(ctx context.Context, v host.View) (bootstrap.Change, error) {
	mounted := mountedOn(v, "/nix") != ""
	switch target, link := isLink(v, "/nix"); {
	case !needsMount(s.f):
		return nil, bootstrap.Skip("the root file system has room for /nix")
	case mounted && !isOwned(v, unitDir+"/"+mountUnit):
		return nil, bootstrap.Skip("/nix is mounted, and not by movein")
	case !mounted && nonEmpty(v, nixStore):
		return nil, bootstrap.Skip("the store is in the root file system")
	case link:
		return nil, bootstrap.Hint(bootstrap.Refuse("/nix is a link to %s, which Nix does not accept", target), "remove it and run the same command again")
	case !s.f.Systemd:
		return nil, s.cannot("there is no systemd to mount it")
	}
	var change bootstrap.Change
	for _, u := range s.units(v) {
		if readText(v, u.name) != u.text {
			change = append(change, write(v, u.name))
		}
	}
	if !enabled(v, mountUnit, mountTarget) {
		change = append(change, bootstrap.Action{Verb: "enable", Target: mountUnit, Reason: storeHome(v) + " is mounted on /nix at each boot"})
	}
	more, err := s.planSealed(ctx, v, mounted)
	if !mounted && len(more) == 0 && err == nil {
		more = bootstrap.Change{{Verb: "mount", Target: "/nix", Reason: "from " + storeHome(v)}}
	}
	return append(change, more...), err
}

// unitFile is a unit and where it is.
type unitFile struct{ name, text string }

func (nixMount) units(v host.View) []unitFile {
	return []unitFile{
		{unitDir + "/" + directoryUnit, strings.ReplaceAll(embed.Unit(directoryUnit), "@make-nix@", strings.ReplaceAll(makeNix, "$", "$$"))},
		{unitDir + "/" + mountUnit, strings.ReplaceAll(embed.Unit(mountUnit), "@store@", storeHome(v))},
	}
}

func (s nixMount) Apply(ctx context.Context, h host.Host, _ bootstrap.Change) error {
	sealed := s.sealed(h)
	if !sealed && !exists(h, "/nix") {
		// First of all, since there is nothing to write if it cannot be made.
		if _, err := h.Run(ctx, &host.Cmd{Args: []string{"unshare", "--mount", "--propagation", "private", "sh", "-c", makeNix}}); err != nil {
			return s.cannot("%v", err)
		}
	}
	if err := s.setUp(ctx, h); err != nil {
		return err
	}
	if sealed && !exists(h, "/nix") {
		return s.unseal(ctx, h)
	}
	if mountedOn(h, "/nix") == "" {
		_, err := h.Run(ctx, &host.Cmd{Args: []string{"systemctl", "start", mountUnit}})
		if err == nil && mountedOn(h, "/nix") == "" {
			err = fmt.Errorf("%s was started, and nothing is mounted on /nix", mountUnit)
		}
		if err != nil {
			return bootstrap.Hint(fmt.Errorf("mounting /nix: %w", err), "look with: systemctl status %s %s", mountUnit, directoryUnit)
		}
	}
	return s.settle(ctx, h)
}

// setUp writes and enables the units, and makes the directory that they mount.
func (s nixMount) setUp(ctx context.Context, h host.Host) error {
	if err := h.MkdirAll(storeHome(h), 0o755); err != nil {
		return err
	}
	for _, u := range s.units(h) {
		if readText(h, u.name) == u.text {
			continue
		}
		if err := writeOwned(h, u.name, u.text, 0o644); err != nil {
			return err
		}
	}
	for _, args := range [][]string{{"systemctl", "daemon-reload"}, {"systemctl", "enable", "--quiet", mountUnit}} {
		if _, err := h.Run(ctx, &host.Cmd{Args: args}); err != nil {
			return bootstrap.Hint(fmt.Errorf("enabling %s: %w", mountUnit, err), "look with: systemctl status %s", mountUnit)
		}
	}
	return nil
}

// cannot says why this host gets no /nix, and how its owner can give it one.
func (s nixMount) cannot(format string, a ...any) error {
	err := bootstrap.Exit(bootstrap.ExitConfig, fmt.Errorf("/nix cannot be made on this host: "+format, a...))
	if !s.f.OSTree && !s.f.Composefs {
		return bootstrap.Hint(err, "make it in a new snapshot (sudo transactional-update run mkdir /nix), reboot, and run the same command again")
	}
	return bootstrap.Hint(err, "%s", s.recipe())
}

// recipe is how an image gets an empty /nix, which is all that is needed.
func (s nixMount) recipe() string {
	image := "IMAGE" // as "bootc status" or "rpm-ostree status" names it
	if s.f.ID == "fedora" && s.f.VariantID != "" && s.f.VersionID != "" {
		image = "quay.io/fedora-ostree-desktops/" + s.f.VariantID + ":" + s.f.VersionID
	}
	return "an image with an empty /nix has room for it: one layer over the one that runs, then run the same command again:\n" +
		"    printf 'FROM " + image + "\\nRUN mkdir /nix\\n' | sudo podman build -t localhost/with-nix -\n" +
		"    sudo bootc switch --transport containers-storage localhost/with-nix && sudo systemctl reboot"
}

// mountedOn is the last line of the mount table about a mount point; "" if nothing is mounted there.
func mountedOn(v host.View, point string) (last string) {
	for line := range strings.Lines(readText(v, "/proc/self/mountinfo")) {
		if f := strings.Fields(line); len(f) > 5 && f[4] == point {
			last = line
		}
	}
	return last
}
