package distro

import (
	"errors"
	"io/fs"
	"runtime"
)

// Detect finds out what host root is the file tree of: os.DirFS("/") for the
// host the program runs on. It opens a fixed set of files, walks no directory,
// and looks at no environment variable, so that it answers the same under sudo.
//
// A file that is missing, or that only root may read, is no error: it leaves
// its facts at their zero value. The error joins what else went wrong; the
// facts are filled as far as they could be read then.
func Detect(root fs.FS) (Facts, error) {
	t := &tree{root: root}
	f := Facts{
		Arch:   runtime.GOARCH,
		System: nixSystem(runtime.GOARCH),
		RAM:    memory(t),
		Users:  users(t),
	}
	f.setRelease(t)
	f.setNames(t)

	mounts := parseMountInfo(t.read("proc/self/mountinfo"))
	f.Container = container(t, mounts)
	f.WSL = wsl(t, f.Container)
	f.setRoot(t, mounts)
	f.setInit(t, mounts)
	f.SELinux = selinux(t)

	f.Platform = platform(t, f, mounts)
	f.Packages = packageManager(t, f)
	return f, errors.Join(t.errs...)
}

// platform decides what the host is to movein. NixOS comes first because it is
// managed from its own configuration wherever it runs, and a root that is
// assembled from images comes before WSL because it decides where /nix can be.
// A root that the kernel made read-only after an error is not such a root.
func platform(t *tree, f Facts, mounts []mount) Platform {
	switch {
	case isNixOS(t, f):
		return NixOS
	case f.OSTree, f.Composefs:
		return OSTree
	case f.WSL > 0:
		return WSL
	case f.Container == "" && (rootMount(mounts).readOnly || isMicroOS(f)):
		return OSTree
	}
	return Generic
}

// isNixOS reports whether the host is NixOS, on its own or under WSL. Its
// activation makes /etc/NIXOS and refuses to run without that file.
func isNixOS(t *tree, f Facts) bool {
	return f.ID == "nixos" || t.has("etc/NIXOS")
}

// nixSystem is Nix's name for the systems of a Go architecture, "" for an
// architecture that Nix has no name for.
func nixSystem(goarch string) string {
	cpu := map[string]string{
		"386":     "i686",
		"amd64":   "x86_64",
		"arm":     "armv7l",
		"arm64":   "aarch64",
		"loong64": "loongarch64",
		"ppc64le": "powerpc64le",
		"riscv64": "riscv64",
		"s390x":   "s390x",
	}[goarch]
	if cpu == "" {
		return ""
	}
	return cpu + "-linux"
}
