package distro

import "testing"

func TestPackages(t *testing.T) {
	for _, test := range []struct {
		name string
		host files
		want string
	}{
		{"derivative of Debian", files{"etc/os-release": "ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n", "usr/bin/apt-get": ""}, "apt"},
		{"derivative of RHEL", files{"etc/os-release": "ID=rocky\nID_LIKE=\"rhel centos fedora\"\n", "usr/bin/dnf": ""}, "dnf"},
		{"openSUSE", files{"etc/os-release": "ID=opensuse-leap\nID_LIKE=\"suse opensuse\"\n", "usr/bin/zypper": ""}, "zypper"},
		{"SLES", files{"etc/os-release": "ID=sles\n", "usr/bin/apt-get": "", "usr/bin/zypper": ""}, "zypper"},
		{"derivative of Arch", files{"etc/os-release": "ID=cachyos\nID_LIKE=arch\n", "usr/bin/pacman": ""}, "pacman"},
		{"the distribution's own", files{
			"etc/os-release": "ID=arch\n", "usr/bin/apt-get": "", "usr/bin/dnf": "", "usr/bin/pacman": "",
		}, "pacman"},
		{"the first that is alike", files{
			"etc/os-release": "ID=x\nID_LIKE=\"suse fedora\"\n", "usr/bin/dnf": "", "usr/bin/zypper": "",
		}, "zypper"},
		{"unknown distribution", files{"etc/os-release": "ID=wolfi\n", "sbin/apk": ""}, "apk"},
		{"in bin", files{"bin/pacman": ""}, "pacman"},
		{"in usr/sbin", files{"usr/sbin/apk": ""}, "apk"},
		{"not installed", files{"etc/os-release": "ID=debian\n"}, ""},
		{"ostree", files{"run/ostree-booted": "", "usr/bin/rpm-ostree": "", "usr/bin/dnf": ""}, "rpm-ostree"},
		{"ostree without rpm-ostree", files{
			"etc/os-release": "ID=endless\nID_LIKE=\"ubuntu debian\"\n", "run/ostree-booted": "", "usr/bin/apt-get": "",
		}, ""},
		{"container made from an ostree image", files{
			"etc/os-release": fedoraRelease, "usr/bin/rpm-ostree": "", "usr/bin/dnf": "",
		}, "dnf"},
		{"NixOS", files{"etc/NIXOS": "", "usr/bin/apt-get": ""}, "nix"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if f := detect(t, test.host); f.Packages != test.want {
				t.Errorf("got %q, want %q", f.Packages, test.want)
			}
		})
	}
}
