package distro

import (
	"errors"
	"io/fs"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"
)

// files is a host in memory, by name and content. A name that ends in a slash is
// a directory.
type files map[string]string

func (f files) tree() fs.FS {
	tree := make(fstest.MapFS)
	for name, content := range f {
		if dir, ok := strings.CutSuffix(name, "/"); ok {
			tree[dir] = &fstest.MapFile{Mode: fs.ModeDir | 0o755}
			continue
		}
		tree[name] = &fstest.MapFile{Data: []byte(content), Mode: 0o644}
	}
	return tree
}

func detect(t *testing.T, f files) Facts {
	t.Helper()
	facts, err := Detect(f.tree())
	if err != nil {
		t.Fatal(err)
	}
	return facts
}

// denied is a tree in which opening some files fails with the given errors.
type denied struct {
	fs.FS
	errs map[string]error
}

func (d denied) Open(name string) (fs.File, error) {
	if err := d.errs[name]; err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return d.FS.Open(name)
}

// Lines of /proc/self/mountinfo.
const (
	ext4Root      = "28 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw,errors=remount-ro\n"
	overlayRoot   = "705 638 0:105 / / rw,relatime master:322 - overlay overlay rw,lowerdir=/l\n"
	dockerMounts  = overlayRoot + "715 705 8:3 /var/lib/docker/containers/3f2a/hosts /etc/hosts rw,relatime - ext4 /dev/sda3 rw\n"
	podmanMounts  = overlayRoot + "716 705 0:24 /containers/overlay-containers/3f2a/userdata/.containerenv /run/.containerenv rw - tmpfs tmpfs rw\n"
	toolbxMounts  = podmanMounts + "720 705 0:25 /systemd/system /run/systemd/system rw,nosuid,nodev - tmpfs tmpfs rw\n"
	wslKernel     = "6.6.87.2-microsoft-standard-WSL2\n"
	fedoraRelease = "ID=fedora\nVERSION_ID=43\n"
)

func TestDetectOfAnEmptyTreeIsAnUnknownLinux(t *testing.T) {
	f := detect(t, files{})
	want := Facts{ID: "linux", Platform: Generic, Init: "none", Arch: f.Arch, System: f.System}
	if !reflect.DeepEqual(f, want) {
		t.Errorf("got %+v", f)
	}
}

func TestOSReleaseOfEtcAloneCounts(t *testing.T) {
	f := detect(t, files{"etc/os-release": "ID=debian\n", "usr/lib/os-release": fedoraRelease})
	if f.ID != "debian" || f.VersionID != "" {
		t.Errorf("got %s %s", f.ID, f.VersionID)
	}
}

func TestOSReleaseOfUsrCountsWithoutEtc(t *testing.T) {
	if f := detect(t, files{"usr/lib/os-release": fedoraRelease}); f.ID != "fedora" {
		t.Errorf("got %s", f.ID)
	}
}

func TestPlatform(t *testing.T) {
	for _, test := range []struct {
		name string
		host files
		want Platform
	}{
		{"NixOS by its file", files{"etc/NIXOS": ""}, NixOS},
		{"NixOS by its ID", files{"etc/os-release": "ID=nixos\n"}, NixOS},
		{"NixOS with a read-only root", files{
			"etc/NIXOS":           "",
			"proc/self/mountinfo": "1 0 0:1 / / ro - erofs /dev/vda ro\n",
		}, NixOS},
		{"ostree without composefs", files{"run/ostree-booted": "", "proc/self/mountinfo": ext4Root}, OSTree},
		{"ostree under WSL", files{
			"run/ostree-booted": "", "run/WSL/": "", "proc/sys/kernel/osrelease": wslKernel,
		}, OSTree},
		{"ostree in a container of systemd", files{
			"run/ostree-booted": "", "run/host/container-manager": "systemd-nspawn\n",
		}, OSTree},
		{"bootc without ostree", files{
			"proc/self/mountinfo": "1 0 0:1 / / rw - overlay composefs:72446d rw,lowerdir+=/,datadir+=/sysroot/composefs/objects\n",
		}, OSTree},
		{"image of Kinoite imported into WSL", files{
			"etc/os-release": fedoraRelease + "VARIANT_ID=kinoite\n", "run/WSL/": "",
			"proc/sys/kernel/osrelease": wslKernel, "proc/self/mountinfo": ext4Root,
		}, WSL},
		{"root read-only on purpose", files{
			"proc/self/mountinfo": "1 0 0:1 / / ro,relatime - btrfs /dev/sda4 rw,space_cache=v2\n",
		}, OSTree},
		{"root read-only after an error", files{
			"proc/self/mountinfo": "28 1 8:1 / / rw,relatime - ext4 /dev/sda1 ro,errors=remount-ro\n",
		}, Generic},
		{"container with a read-only root", files{
			"proc/self/mountinfo": strings.Replace(dockerMounts, "/ / rw", "/ / ro", 1), ".dockerenv": "",
		}, Generic},
		{"Aeon, whose subvolume is read-only", files{
			"etc/os-release":      "ID=\"opensuse-aeon\"\nID_LIKE=\"suse opensuse opensuse-tumbleweed opensuse-microos microos\"\n",
			"proc/self/mountinfo": "1 0 0:1 / / rw,relatime - btrfs /dev/sda4 rw,space_cache=v2\n",
		}, OSTree},
		{"SL Micro", files{"etc/os-release": "ID=\"sl-micro\"\nID_LIKE=\"suse\"\n"}, OSTree},
		{"Tumbleweed", files{"etc/os-release": "ID=\"opensuse-tumbleweed\"\nID_LIKE=\"opensuse suse\"\n"}, Generic},
		{"container of MicroOS", files{
			"etc/os-release": "ID=opensuse-microos\n", "proc/self/mountinfo": podmanMounts, "run/.containerenv": "",
		}, Generic},
	} {
		t.Run(test.name, func(t *testing.T) {
			if f := detect(t, test.host); f.Platform != test.want {
				t.Errorf("got %s, want %s", f.Platform, test.want)
			}
		})
	}
}

func TestNixSystem(t *testing.T) {
	for goarch, want := range map[string]string{
		"amd64": "x86_64-linux", "arm64": "aarch64-linux", "386": "i686-linux", "wasm": "",
	} {
		if got := nixSystem(goarch); got != want {
			t.Errorf("%s: got %q, want %q", goarch, got, want)
		}
	}
}

func TestFilesForRootOnlyAreNoError(t *testing.T) {
	tree := denied{files{"etc/os-release": fedoraRelease}.tree(), map[string]error{
		"proc/1/environ": fs.ErrPermission, "proc/self/mountinfo": fs.ErrPermission,
	}}
	if f, err := Detect(tree); err != nil || f.ID != "fedora" {
		t.Errorf("got %s, %v", f.ID, err)
	}
}

func TestErrorsAreJoinedAndFactsFilledAnyway(t *testing.T) {
	broken := errors.New("input/output error")
	tree := denied{files{"etc/os-release": fedoraRelease, "proc/1/comm": "runit\n"}.tree(), map[string]error{
		"proc/meminfo": broken, "etc/passwd": broken,
	}}
	f, err := Detect(tree)
	if !errors.Is(err, broken) {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{"reading proc/meminfo: ", "reading etc/passwd: "} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
	if f.ID != "fedora" || f.Init != "runit" {
		t.Errorf("got %+v", f)
	}
}

func TestUnreadableOSReleaseIsAnError(t *testing.T) {
	tree := denied{files{"usr/lib/os-release": fedoraRelease}.tree(), map[string]error{"etc/os-release": fs.ErrPermission}}
	f, err := Detect(tree)
	if !errors.Is(err, fs.ErrPermission) || !strings.HasPrefix(err.Error(), "reading etc/os-release: ") {
		t.Errorf("got %v", err)
	}
	if f.ID != "linux" {
		t.Errorf("got %s from the other file", f.ID)
	}
}

// watched is a tree that counts how often which name was looked up.
type watched struct {
	fs.FS
	opened map[string]int
	listed map[string]int
}

func watch(f files) watched {
	return watched{f.tree(), make(map[string]int), make(map[string]int)}
}

func (w watched) Open(name string) (fs.File, error) {
	w.opened[name]++
	return w.FS.Open(name)
}

func (w watched) ReadDir(name string) ([]fs.DirEntry, error) {
	w.listed[name]++
	return fs.ReadDir(w.FS, name)
}

func TestDetectLooksUpFewFilesAndListsNone(t *testing.T) {
	const most = 60 // about 5 µs each
	for name, host := range map[string]files{
		"unknown": {},
		"WSL":     {"proc/sys/kernel/osrelease": wslKernel, "etc/os-release": "ID=x\nID_LIKE=\"ubuntu debian\"\n"},
	} {
		tree := watch(host)
		if _, err := Detect(tree); err != nil {
			t.Fatal(err)
		}
		if len(tree.opened) > most || len(tree.listed) > 0 {
			t.Errorf("%s: looked up %d files, listed %v", name, len(tree.opened), tree.listed)
		}
	}
}

func TestBinfmtMiscIsLeftAloneOutsideWSL(t *testing.T) {
	tree := watch(files{"proc/sys/kernel/osrelease": "6.12.48+deb13-amd64\n"})
	if _, err := Detect(tree); err != nil {
		t.Fatal(err)
	}
	for name := range tree.opened {
		if strings.Contains(name, "binfmt_misc") {
			t.Errorf("looked up %s", name)
		}
	}
}
