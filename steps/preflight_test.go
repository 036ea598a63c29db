package steps

import (
	"errors"
	"testing"

	"movein/bootstrap"
	"movein/bootstrap/host/hosttest"
	"movein/distro"
)

// freshHost is a host on which movein never was.
func freshHost(t *testing.T) *hosttest.Host {
	h := hosttest.New(t, files{"/home/ann/": ""})
	h.Owners["/home/ann"] = 1000
	return h
}

func TestAGoodHostPasses(t *testing.T) {
	nothingToDo(t, freshHost(t), preflight{testFacts(), testConfig()})
	h := buildHost(t, nil)
	h.Space = 0 // Nix is there: no space is needed for it
	nothingToDo(t, h, preflight{testFacts(), testConfig()})
}

func TestWhatWouldStopALaterStepStopsTheRunAtOnce(t *testing.T) {
	for _, test := range []struct {
		name  string
		spoil func(h *hosttest.Host, f *distro.Facts)
		code  int
		want  []string
	}{
		{"WSL 1", func(_ *hosttest.Host, f *distro.Facts) { f.WSL = 1 }, bootstrap.ExitConfig, []string{"WSL 1", "--set-version"}},
		{"an architecture without Nix", func(_ *hosttest.Host, f *distro.Facts) { f.System, f.Arch = "riscv64-linux", "riscv64" }, bootstrap.ExitConfig, []string{"riscv64"}},
		{"no home", func(h *hosttest.Host, _ *distro.Facts) { _ = h.Remove("/home/ann") }, bootstrap.ExitConfig, []string{"/home/ann", "ann", "does not exist"}},
		{"another's home", func(h *hosttest.Host, _ *distro.Facts) { h.Owners["/home/ann"] = 0 }, bootstrap.ExitPermission, []string{"/home/ann", "user id 0", "1000"}},
		{"root's state directory", func(h *hosttest.Host, _ *distro.Facts) {
			h.Put("/home/ann/.local/state/", "")
			h.Owners["/home/ann/.local/state"] = 0
		}, bootstrap.ExitPermission, []string{"/home/ann/.local/state", "sudo chown -R ann: /home/ann/.local/state"}},
		{"root's data directory", func(h *hosttest.Host, _ *distro.Facts) {
			h.Put("/home/ann/.local/share/", "")
			h.Owners["/home/ann/.local/share"] = 0
		}, bootstrap.ExitPermission, []string{"sudo chown -R ann: /home/ann/.local/share"}},
		{"home-manager as a module of NixOS", func(h *hosttest.Host, f *distro.Facts) {
			f.Platform = distro.NixOS
			h.Put(unitDir+"/home-manager-ann.service", "-> /nix/store/x")
		}, bootstrap.ExitRefused, []string{"NixOS module", "home-manager-ann.service", "nixos-rebuild switch"}},
		{"a daemon for others", func(h *hosttest.Host, _ *distro.Facts) {
			h.Put(nixConf, "allowed-users = bob @wheel\n")
			h.Put("/etc/group", "wheel:x:10:bob\n")
		}, bootstrap.ExitPermission, []string{"ann may not use", `"bob @wheel"`, "restart nix-daemon.service"}},
		{"a daemon of NixOS for others", func(h *hosttest.Host, f *distro.Facts) {
			f.Platform = distro.NixOS
			h.Put(nixConf, "allowed-users = root\n")
		}, bootstrap.ExitPermission, []string{"nix.settings.allowed-users", "nixos-rebuild switch"}},
		{"a full disk", func(h *hosttest.Host, _ *distro.Facts) { h.Space = 100 << 20 }, bootstrap.ExitFailed, []string{"/nix", "100 MiB", "1024 MiB", "df -h /"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			h, f := freshHost(t), testFacts()
			test.spoil(h, f)
			_, err := plan(t, h, preflight{f, testConfig()})
			refuses(t, err, test.code, test.want...)
			if _, ok := errors.AsType[bootstrap.Skip](err); ok {
				t.Error("a Skip stops nothing")
			}
		})
	}
}

func TestWhomTheDaemonServesPasses(t *testing.T) {
	for _, conf := range []string{"", "allowed-users = *\n", "allowed-users = bob ann # x\n", "allowed-users = @staff\n", "allowed-users = @ann\n",
		"allowed-users = bob\ntrusted-users = ann\n", "allowed-users = bob\nextra-allowed-users = ann\n", "allowed-users = @directory\n"} {
		h := freshHost(t)
		h.Put(nixConf, conf)
		h.Put("/etc/group", "staff:x:50:bob,ann\nann:x:1000:\n")
		nothingToDo(t, h, preflight{testFacts(), testConfig()})
	}
}
