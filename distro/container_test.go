package distro

import "testing"

func TestContainer(t *testing.T) {
	for _, test := range []struct {
		name string
		host files
		want string
	}{
		{"none", files{"proc/self/mountinfo": ext4Root}, ""},
		{"Docker", files{".dockerenv": "", "proc/self/mountinfo": dockerMounts}, "docker"},
		{"Docker with an unknown mount table", files{".dockerenv": ""}, "docker"},
		{"machine with the disk of a Docker image", files{".dockerenv": "", "proc/self/mountinfo": ext4Root}, ""},
		{"Podman", files{"run/.containerenv": "", "proc/self/mountinfo": podmanMounts}, "podman"},
		{"Podman with Docker's file", files{
			"run/.containerenv": "", ".dockerenv": "", "proc/self/mountinfo": podmanMounts,
		}, "podman"},
		{"Podman that calls itself oci", files{
			"proc/1/environ": "container=oci\x00", "run/.containerenv": "", "proc/self/mountinfo": podmanMounts,
		}, "podman"},
		{"systemd-nspawn by its file", files{"run/host/container-manager": "systemd-nspawn\n"}, "systemd-nspawn"},
		{"LXC by what systemd was told", files{"run/systemd/container": "lxc\n"}, "lxc"},
		{"LXC by the environment", files{"proc/1/environ": "TERM=linux\x00container=lxc\x00HOME=/\x00"}, "lxc"},
		{"variable with container in its name", files{"proc/1/environ": "notcontainer=x\x00container_x=y\x00"}, ""},
		{"WSL is none", files{"run/systemd/container": "wsl\n", "proc/self/mountinfo": ext4Root}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			if f := detect(t, test.host); f.Container != test.want {
				t.Errorf("got %q, want %q", f.Container, test.want)
			}
		})
	}
}
