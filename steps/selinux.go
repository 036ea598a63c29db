package steps

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"movein/bootstrap"
	"movein/bootstrap/host"
	"movein/distro"
	"movein/embed"
)

// selinux tells SELinux what the files of Nix are, by a policy module of our own, and
// gives them their labels, also again: systemd starts a daemon only from a file that
// is labelled as a program, and what a build or a download adds later has the label of the
// directory that it is in.
type selinux struct {
	f *distro.Facts
	c *Config
}

// policyFile is our module; its name is the module's, as semodule has it.
const policyFile = "/var/lib/movein/selinux/movein-nix.cil"

func (selinux) Info() bootstrap.Info {
	return bootstrap.Info{Name: "selinux", Title: "SELinux", Needs: []string{"nix-install"}, As: bootstrap.Root, Exclusive: "nix-store"}
}

func (s selinux) Plan(ctx context.Context, v host.View) (change bootstrap.Change, err error) {
	switch nix := detectNix(ctx, v, s.f, s.c); {
	case !usesSELinux(s.f):
		return nil, bootstrap.Skip("this host does not use SELinux")
	case nix.Kind == nixNixOS || nix.Kind == nixDistro:
		return nil, bootstrap.Skip("the distribution cares for the labels of its Nix")
	}
	if !s.loaded(v) {
		change = append(change, bootstrap.Action{Verb: "load", Target: "SELinux module movein-nix", Reason: "the file contexts of /nix"})
	}
	if !exists(v, nixStore) {
		return append(change, bootstrap.Action{Verb: "label", Target: "/nix"}), nil
	}
	wrong, err := s.mislabelled(ctx, v)
	if len(wrong) > 0 || err == nil && len(change) > 0 {
		a := bootstrap.Action{Verb: "label", Target: "/nix"}
		if len(wrong) > 0 {
			a.Reason = few(wrong)
		}
		change = append(change, a)
	}
	return change, err
}

// usesSELinux reports whether files have labels here that matter and that are ours to set.
func usesSELinux(f *distro.Facts) bool {
	return f.Container == "" && (f.SELinux == "enforcing" || f.SELinux == "permissive")
}

// policy is our module: for /nix and for the place that it is mounted from.
func (s selinux) policy(v host.View) string {
	if needsMount(s.f) {
		return embed.Policy("/nix", storeHome(v))
	}
	return embed.Policy("/nix")
}

// loaded reports whether our module, or another installer's for the same files, is in
// the policy that the host uses. Modules are root's to see; their contexts are not.
func (s selinux) loaded(v host.View) bool {
	kind := "targeted"
	for line := range strings.Lines(readText(v, "/etc/selinux/config")) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), "SELINUXTYPE="); ok {
			kind = value
		}
	}
	known := strings.Contains(readText(v, "/etc/selinux/"+kind+"/contexts/files/file_contexts"), "\n/nix/store/")
	return known && (!exists(v, policyFile) || readText(v, policyFile) == s.policy(v))
}

// mislabelled asks for the files without which nothing of Nix works and whose label is wrong.
func (s selinux) mislabelled(ctx context.Context, v host.View) ([]string, error) {
	bin, path, _ := findNix(v)
	args := []string{"restorecon", "-n", "-v"}
	for _, name := range []string{"/nix", nixStore, defaultProfile, path, path + "/bin", path + "/bin/nix", path + "/bin/nix-daemon", path + "/lib",
		filepath.Dir(nixSocket), bin, unitDir + "/" + socketUnit, unitDir + "/" + daemonUnit, unitDir + "/" + mountUnit, unitDir + "/" + directoryUnit} {
		if filepath.IsAbs(name) && exists(v, name) {
			args = append(args, name)
		}
	}
	res, err := v.Query(ctx, &host.Cmd{Args: args})
	if err != nil {
		return nil, s.explain("looking at the labels", err)
	}
	var wrong []string
	for line := range strings.Lines(string(res.Stdout)) { // "Would relabel /nix/store from A to B"
		if f := strings.Fields(line); len(f) > 2 && f[0] == "Would" {
			wrong = append(wrong, f[2])
		}
	}
	return wrong, nil
}

func (s selinux) Apply(ctx context.Context, h host.Host, _ bootstrap.Change) error {
	if !s.loaded(h) {
		if err := writeOwned(h, policyFile, s.policy(h), 0o644); err != nil {
			return err
		}
		// The reference policy has semodule read what is in /var/lib, but not map it, as it does.
		for _, args := range [][]string{{"chcon", "-t", "usr_t", policyFile}, {"semodule", "--install", policyFile}} {
			if _, err := h.Run(ctx, &host.Cmd{Args: args}); err != nil {
				// What could not be loaded is not taken for loaded.
				return errors.Join(s.explain("loading the SELinux module "+policyFile, err), h.Remove(policyFile))
			}
		}
	}
	args := []string{"restorecon", "-R", "-F", "/nix"}
	for _, name := range []string{socketUnit, daemonUnit, mountUnit, directoryUnit} {
		if exists(h, unitDir+"/"+name) {
			args = append(args, unitDir+"/"+name)
		}
	}
	if needsMount(s.f) {
		args = append(args, storeHome(h))
	}
	if _, err := h.Run(ctx, &host.Cmd{Args: args}); err != nil {
		return s.explain("labelling /nix", err)
	}
	return nil
}

func (selinux) explain(doing string, err error) error {
	return bootstrap.Hint(fmt.Errorf("%s: %w", doing, err), "its tools are in the package policycoreutils; look for denials with: sudo ausearch -m AVC -ts recent")
}
