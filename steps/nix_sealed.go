package steps

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"movein/bootstrap"
	"movein/bootstrap/host"
)

// A sealed root is a composefs that has no layer to write to, as Fedora's atomic
// desktops have it from 42 on. ostree-prepare-root, in the initramfs, gives it one that lasts
// until the next boot if /etc/ostree/prepare-root.conf says so, a file that takes the place
// of the image's as a whole (ostree-prepare-root(1)). rpm-ostree puts it into the
// initramfs of the next deployment, and of all that come after.

const (
	vendorRootConf = "/usr/lib/ostree/prepare-root.conf"
	ownRootConf    = "/etc/ostree/prepare-root.conf"
	askedFile      = "/var/lib/movein/ostree.json"

	// The keys of [root]. With the first, / stays read-only for everybody who does not
	// remount it in a mount namespace of his own.
	keyTransientRO = "transient-ro"
	keyTransient   = "transient"

	sinceTransientRO = "2025.4" // of libostree; older ones pass over the key
)

// asked is what was asked of the next boot.
type asked struct {
	Key    string `json:"key"`
	ID     string `json:"id"`               // of the deployment that was staged for it
	Boot   string `json:"boot"`             // in which it was staged
	Pinned string `json:"pinned,omitempty"` // id of the deployment that we have kept for the way back
}

// sealed reports whether / is a composefs without a layer to write to.
func (s nixMount) sealed(v host.View) bool {
	return s.f.Composefs && !strings.Contains(mountedOn(v, "/"), "upperdir=")
}

// outlook is what is to be done about a sealed root.
type outlook struct {
	asked
	conf   string       // what ownRootConf is to be
	list   []deployment // with the one that the next boot takes first
	booted int
	staged bool // the next boot takes one that is right
	lost   bool // what was staged for this boot is not there any more
}

// planSealed plans the layer of a sealed root, what the next boot needs to have it again,
// and the end of the wait for it.
func (s nixMount) planSealed(ctx context.Context, v host.View, mounted bool) (bootstrap.Change, error) {
	was := readAsked(v)
	if s.sealed(v) && !exists(v, "/nix") {
		o, err := s.look(ctx, v, was)
		if err != nil {
			return nil, err
		}
		return o.change(v), nil
	}
	var change bootstrap.Change
	if _, stale := s.stale(v, was); stale {
		change = append(change, write(v, ownRootConf), bootstrap.Action{Verb: "run", Target: "rpm-ostree initramfs-etc", Reason: "the next boot reads it there"})
	}
	if mounted && was.Pinned != "" {
		change = append(change, bootstrap.Action{Verb: "unpin", Target: "deployment " + was.Pinned, Reason: "kept until /nix was there"})
	} else if mounted && was.ID != "" {
		change = append(change, bootstrap.Action{Verb: "forget", Target: askedFile, Reason: "what it asked for is there"})
	}
	return change, nil
}

// stale reports whether ownRootConf is not what keeps the root's layer, and what it is to be.
func (s nixMount) stale(v host.View, was asked) (conf string, stale bool) {
	if was.Key == "" || s.sealed(v) {
		return "", false
	}
	conf, err := s.rootConf(v, was.Key)
	return conf, err == nil && readText(v, ownRootConf) != conf
}

func (o outlook) change(v host.View) (change bootstrap.Change) {
	if o.staged {
		return bootstrap.Change{{Verb: "reboot", Target: "into deployment " + o.list[0].Version, Reason: "whose root has room for /nix"}}
	}
	if readText(v, ownRootConf) != o.conf {
		a := write(v, ownRootConf)
		a.Reason = "the image's own, and [root] " + o.Key + " = true"
		change = append(change, a)
	}
	if d := o.list[o.booted]; !d.Pinned {
		change = append(change, bootstrap.Action{Verb: "pin", Target: "deployment " + d.Version, Reason: "the way back"})
	}
	return append(change, bootstrap.Action{Verb: "run", Target: "rpm-ostree initramfs-etc", Reason: "the next boot reads it there"},
		bootstrap.Action{Verb: "reboot", Target: "into the new deployment", Reason: "with --reboot, or else by you"})
}

// look finds out how a sealed root can get its layer, or why not.
func (s nixMount) look(ctx context.Context, v host.View, was asked) (o outlook, err error) {
	if _, err := v.LookPath("rpm-ostree"); err != nil || !s.f.OSTree {
		return o, s.cannot("its root is a read-only composefs, and there is no rpm-ostree to change its initramfs")
	}
	if exists(v, ownRootConf) && !isOwned(v, ownRootConf) {
		return o, bootstrap.Hint(bootstrap.Refuse("%s is not movein's, and its root has no layer to write to", ownRootConf),
			"add \"transient-ro = true\" to its section [root], put it into the initramfs (sudo rpm-ostree initramfs-etc --force-sync --track=%s) and reboot; or else %s", ownRootConf, s.recipe())
	}
	libostree, err := ostreeVersion(ctx, v)
	if err != nil {
		return o, err
	}
	if o.list, o.booted, err = deployments(ctx, v); err != nil {
		return o, err
	}
	o.asked = was
	waited := was.ID != "" && was.Boot != v.BootID()
	took := waited && o.list[o.booted].ID == was.ID
	switch {
	case took && was.Key == keyTransient:
		return o, s.notTaken(v, o, libostree)
	case took, older(libostree, sinceTransientRO):
		o.Key = keyTransient
	case was.Key == "":
		o.Key = keyTransientRO
	}
	if o.conf, err = s.rootConf(v, o.Key); err != nil {
		return o, err
	}
	o.staged = o.Key == was.Key && !o.list[0].Booted && o.list[0].ID == was.ID && readText(v, ownRootConf) == o.conf
	o.lost = waited && !took && !o.staged
	return o, nil
}

// notTaken says what is seen of a setting that was in the initramfs and had no effect.
func (s nixMount) notTaken(v host.View, o outlook, libostree string) error {
	d, in := o.list[o.booted], "is not"
	if d.tracks() {
		in = "is"
	}
	options := strings.Fields(mountedOn(v, "/"))
	return bootstrap.Hint(bootstrap.Exit(bootstrap.ExitConfig, fmt.Errorf(
		"the boot took no notice of %s: deployment %s runs, the file %s in its initramfs with [root] %s = true, libostree is %s, and / is mounted %s",
		ownRootConf, d.Version, in, o.Key, libostree, options[len(options)-1])),
		"take the setting back: sudo rpm-ostree initramfs-etc --untrack=%s && sudo rm %s; then %s", ownRootConf, ownRootConf, s.recipe())
}

// rootConf is what ownRootConf is to be: the image's, which it replaces as a whole, and our key.
func (s nixMount) rootConf(v host.View, key string) (string, error) {
	data, err := v.ReadFile(vendorRootConf)
	if err != nil {
		return "", s.cannot("its root is a read-only composefs, and what the image says about it cannot be read: %v", err)
	}
	vendor := parseKeyFile(string(data))
	if !slices.Contains([]string{"yes", "true", "1", "signed", "verity"}, vendor["composefs"]["enabled"]) {
		return "", s.cannot("%s does not turn composefs on, and a copy of it would turn it off", vendorRootConf)
	}
	if vendor["root"] != nil {
		return "", s.cannot("%s has a section [root] of its own", vendorRootConf)
	}
	return ownMark + ": takes the place of " + vendorRootConf + ", of which\n# it is a copy, and gives / a layer in which /nix can be made.\n" +
		strings.TrimRight(string(data), "\n") + "\n\n[root]\n" + key + " = true\n", nil
}

func readAsked(v host.View) (a asked) {
	if data, err := v.ReadFile(askedFile); err == nil {
		json.Unmarshal(data, &a) //nolint:errcheck // then nothing was asked for
	}
	return a
}

func (a asked) write(h host.Host) error {
	data, err := json.Marshal(a)
	if err != nil {
		return err
	}
	return h.WriteFile(askedFile, append(data, '\n'), 0o644)
}

// unseal asks the next boot for a layer in which /nix can be made. Each part is done only as
// far as it is not done yet.
func (s nixMount) unseal(ctx context.Context, h host.Host) error {
	o, err := s.look(ctx, h, readAsked(h))
	if err != nil {
		return err
	}
	const how = "sudo systemctl reboot, then run the same command again; movein does both with: movein apply --reboot"
	if o.staged {
		return bootstrap.Hint(bootstrap.Reboot("deployment "+o.list[0].Version+" has room for /nix, and another one runs"), "choose the first entry of the boot menu: %s", how)
	}
	if d := o.list[o.booted]; !d.Pinned {
		o.Pinned = d.ID
		if err := o.write(h); err != nil { // before it is done: a pin is not ours unless we know
			return err
		}
		if _, err := h.Run(ctx, &host.Cmd{Args: []string{"ostree", "admin", "pin", fmt.Sprint(o.booted)}}); err != nil {
			return lookAtOSTree(fmt.Errorf("keeping the deployment that runs: %w", err))
		}
	}
	if err := s.track(ctx, h, o.conf, o.list[0].tracks()); err != nil {
		return err
	}
	list, _, err := deployments(ctx, h)
	if err != nil {
		return err
	}
	o.ID, o.Boot = list[0].ID, h.BootID()
	if err := o.write(h); err != nil {
		return err
	}
	if _, err := h.LookPath("bootc"); err == nil {
		h.Warn("from now on update this host with: rpm-ostree upgrade; \"bootc upgrade\" refuses a host whose initramfs has a file of its own")
	}
	why := "the root gets room for /nix at the next boot"
	if o.lost {
		why += "; what was staged for this one is gone (journalctl --boot=-1 --unit=ostree-finalize-staged.service)"
	} else if o.Key == keyTransient {
		why += ", by [root] " + o.Key
	}
	return bootstrap.Hint(bootstrap.Reboot(why), "%s", how)
}

// track writes ownRootConf and has it in the initramfs of the next deployment.
func (s nixMount) track(ctx context.Context, h host.Host, conf string, tracked bool) error {
	if readText(h, ownRootConf) != conf {
		if err := writeOwned(h, ownRootConf, conf, 0o644); err != nil {
			return err
		}
	}
	args := []string{"rpm-ostree", "initramfs-etc", "--track=" + ownRootConf}
	if tracked { // by that alone rpm-ostree does not look whether the file is another now
		args = []string{"rpm-ostree", "initramfs-etc", "--force-sync"}
	}
	if _, err := h.Run(ctx, &host.Cmd{Args: args}); err != nil {
		return bootstrap.Hint(fmt.Errorf("putting %s into the initramfs: %w", ownRootConf, err), "look with: rpm-ostree status; when it is idle, run the same command again")
	}
	return nil
}

// settle does what is left when /nix is mounted: the next boot's setting, and the pin.
func (s nixMount) settle(ctx context.Context, h host.Host) error {
	was := readAsked(h)
	conf, stale := s.stale(h, was)
	if !stale && was.ID == "" {
		return nil
	}
	list, _, err := deployments(ctx, h)
	if err != nil {
		return err
	}
	if stale {
		if err := s.track(ctx, h, conf, list[0].tracks()); err != nil {
			return err
		}
		if list, _, err = deployments(ctx, h); err != nil {
			return err
		}
	}
	if i := slices.IndexFunc(list, func(d deployment) bool { return d.ID == was.Pinned && d.Pinned }); i >= 0 {
		if _, err := h.Run(ctx, &host.Cmd{Args: []string{"ostree", "admin", "pin", "--unpin", fmt.Sprint(i)}}); err != nil {
			return lookAtOSTree(fmt.Errorf("giving up the deployment that was kept: %w", err))
		}
	}
	return asked{Key: was.Key}.write(h)
}
