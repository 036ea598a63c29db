package distro

import "testing"

func TestWSL(t *testing.T) {
	const (
		interop = "proc/sys/fs/binfmt_misc/WSLInterop"
		kernel  = "proc/sys/kernel/osrelease"
		mounts  = "proc/self/mountinfo"
	)
	for _, test := range []struct {
		name string
		host files
		want int
	}{
		{"WSL 1", files{kernel: "4.4.0-22621-Microsoft\n"}, 1},
		{"WSL 1 with sockets", files{kernel: "4.4.0-22621-Microsoft\n", "run/WSL/": ""}, 1},
		{"WSL 2 by sockets", files{kernel: wslKernel, "run/WSL/": ""}, 2},
		{"WSL 2 by WSLg", files{kernel: wslKernel, "mnt/wslg/": ""}, 2},
		{"WSL 2 by its handler", files{kernel: wslKernel, interop: ""}, 2},
		{"WSL 2 by its late handler", files{kernel: wslKernel, interop + "-late": ""}, 2},
		{"WSL 2 with a kernel of one's own", files{kernel: "6.18.1-custom\n", "run/WSL/": ""}, 2},
		{"WSL 2 from an exported Docker image", files{
			kernel: wslKernel, "run/WSL/": "", ".dockerenv": "", mounts: ext4Root,
		}, 2},
		{"Docker in WSL 2", files{kernel: wslKernel, ".dockerenv": "", mounts: dockerMounts}, 0},
		{"Docker in WSL 2 with its display", files{
			kernel: wslKernel, ".dockerenv": "", mounts: dockerMounts, "mnt/wslg/": "", interop: "",
		}, 0},
		{"Podman in WSL 2", files{kernel: wslKernel, "run/.containerenv": "", mounts: podmanMounts}, 0},
		{"unknown container in WSL 2", files{kernel: wslKernel, mounts: overlayRoot}, 0},
		{"virtual machine of Microsoft's", files{kernel: "5.15.0-1064-azure\n", mounts: ext4Root}, 0},
		{"directory for WSLg elsewhere", files{kernel: "6.12.48+deb13-amd64\n", "mnt/wslg/": ""}, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			if f := detect(t, test.host); f.WSL != test.want {
				t.Errorf("got %d, want %d", f.WSL, test.want)
			}
		})
	}
}
