package distro

import "testing"

func TestSELinux(t *testing.T) {
	const config = "SELINUX=enforcing\n"
	for _, test := range []struct {
		want string
		host files
	}{
		{"enforcing", files{"sys/fs/selinux/enforce": "1", "etc/selinux/config": config}},
		{"permissive", files{"sys/fs/selinux/enforce": "0", "etc/selinux/config": config}},
		{"disabled", files{"etc/selinux/config": config}},
		{"", files{}},
	} {
		t.Run(test.want, func(t *testing.T) {
			if f := detect(t, test.host); f.SELinux != test.want {
				t.Errorf("got %q, want %q", f.SELinux, test.want)
			}
		})
	}
}
