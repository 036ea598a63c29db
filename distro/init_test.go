package distro

import "testing"

func TestInit(t *testing.T) {
	const booted = "run/systemd/system/"
	for _, test := range []struct {
		name string
		host files
		want string
	}{
		{"systemd", files{booted: "", "proc/1/comm": "systemd\n"}, "systemd"},
		{"systemd as init", files{booted: "", "proc/1/comm": "init\n"}, "systemd"},
		{"systemd with a hidden PID 1", files{booted: ""}, "systemd"},
		{"systemd installed only", files{"usr/lib/systemd/systemd": "", "proc/1/comm": "init\n"}, "none"},
		{"directory of systemd under another PID 1", files{booted: "", "proc/1/comm": "catatonit\n"}, "none"},
		{"Toolbx with systemd of its host", files{
			booted: "", "proc/1/comm": "systemd\n", "run/.containerenv": "", "proc/self/mountinfo": toolbxMounts,
		}, "none"},
		{"OpenRC", files{"run/openrc/softlevel": "default", "proc/1/comm": "init\n"}, "openrc"},
		{"OpenRC under WSL", files{"run/openrc/": "", "run/WSL/": "", "proc/1/comm": "init(Alpine)\n"}, "openrc"},
		{"WSL", files{"run/WSL/": "", "proc/1/comm": "init(Debian)\n"}, "wsl"},
		{"runit", files{"proc/1/comm": "runit\n"}, "runit"},
		{"s6", files{"proc/1/comm": "s6-svscan\n"}, "s6"},
		{"program of a container", files{"proc/1/comm": "bash\n"}, "none"},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := detect(t, test.host)
			if f.Init != test.want || f.Systemd != (test.want == "systemd") {
				t.Errorf("got %s, systemd %t, want %s", f.Init, f.Systemd, test.want)
			}
		})
	}
}
