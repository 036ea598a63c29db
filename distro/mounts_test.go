package distro

import "testing"

func TestRoot(t *testing.T) {
	for _, test := range []struct {
		name, mountinfo      string
		composefs, unwriable bool
	}{
		{"writable", ext4Root, false, false},
		{"read-only mount", "1 0 0:1 / / noatime,ro - btrfs /dev/sda4 rw\n", false, true},
		{"read-only file system", "1 0 0:1 / / rw - ext4 /dev/sda1 errors=remount-ro,ro\n", false, true},
		{"option with ro in it", "1 0 0:1 / / rw,nosuid - ext4 /dev/sda1 rw,errors=remount-ro\n", false, false},
		{"composefs", "79 2 0:38 / / ro - overlay composefs ro,lowerdir+=/run/ostree/.private/cfsroot-lower\n", true, true},
		{"composefs without a name", "1 0 0:1 / / ro - overlay overlay ro,lowerdir=/run/ostree/.private/cfsroot-lower::/sysroot/ostree/repo/objects\n", true, true},
		{"composefs with root.transient", "79 2 0:38 / / rw - overlay composefs rw,lowerdir+=/run/ostree/.private/cfsroot-lower,upperdir=/run/ostree/.private/root/upper\n", true, false},
		{"composefs with root.transient-ro", "79 2 0:38 / / ro - overlay composefs rw,lowerdir+=/run/ostree/.private/cfsroot-lower,upperdir=/run/ostree/.private/root/upper\n", true, true},
		{"other mounts", "1 0 0:1 / /usr ro - overlay composefs ro\n" + ext4Root, false, false},
		{"mount over the root", "1 0 0:1 / / rw - rootfs rootfs rw\n2 1 0:2 / / ro - squashfs /dev/loop0 ro\n", false, true},
		{"no source", "1 0 0:1 / / ro - tmpfs  rw\n", false, true},
		{"no optional fields or many", "3 1 0:3 / /a rw - ext4 /dev/sdb rw\n1 0 0:1 / / ro master:1 shared:2 - ext4 /dev/sda ro\n", false, true},
		{"lines of another form", "\nfoo\n1 0 0:1 / / ro ext4 /dev/sda ro\n1 0 / ro - a b c\n", false, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := detect(t, files{"proc/self/mountinfo": test.mountinfo})
			if f.Composefs != test.composefs || f.ReadOnlyRoot != test.unwriable {
				t.Errorf("got composefs %t, read-only %t", f.Composefs, f.ReadOnlyRoot)
			}
		})
	}
}

func TestRootOfMicroOSIsReadOnlyHoweverItIsMounted(t *testing.T) {
	host := files{"etc/os-release": "ID=opensuse-aeon\nID_LIKE=\"suse opensuse microos\"\n", "proc/self/mountinfo": ext4Root}
	if f := detect(t, host); !f.ReadOnlyRoot {
		t.Error("the host: got writable")
	}
	host["run/.containerenv"] = ""
	host["proc/self/mountinfo"] = podmanMounts
	if f := detect(t, host); f.ReadOnlyRoot {
		t.Error("a container: got read-only")
	}
}
