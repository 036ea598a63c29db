package distro

import "testing"

func TestFQDN(t *testing.T) {
	for _, test := range []struct{ name, hostname, hosts, want string }{
		{"canonical name", "web", "127.0.1.1\tweb.example.org\tweb\n", "web.example.org"},
		{"another canonical name, as hostname -f has it", "web", "10.0.0.2 mail.example.org web\n", "mail.example.org"},
		{"short name first", "web", "127.0.1.1 web web.example.org\n", "web.example.org"},
		{"short name and somebody else's", "web", "127.0.1.1 web mail.example.org\n", ""},
		{"short name only", "web", "127.0.1.1 web\n", ""},
		{"other hosts", "web", "10.0.0.2 mail.example.org mail\n", ""},
		{"address like the name", "10.0.0.2", "10.0.0.2 mail.example.org mail\n", "10.0.0.2"},
		{"any case", "WEB", "127.0.1.1 web.example.org Web\n", "web.example.org"},
		{"comments", "web", "# 1.2.3.4 a.example.org web\n1.2.3.4 b.example.org # web\n127.0.1.1 web.example.org web # c\n", "web.example.org"},
		{"a later line", "web", "127.0.1.1 web\n10.0.0.2 web.example.org web\n", "web.example.org"},
		{"hostname with a dot", "web.example.org", "127.0.0.1 localhost\n", "web.example.org"},
		{"hostname on the line of localhost", "web", "127.0.0.1 localhost.localdomain localhost web\n", ""},
		{"hostname localhost", "localhost", "127.0.0.1 localhost localhost.localdomain\n", ""},
		{"dot at the end", "DESKTOP-1", "127.0.1.1 DESKTOP-1. DESKTOP-1\n", ""},
		{"domain and dot at the end", "web", "127.0.1.1 web.example.org. web\n", "web.example.org"},
		{"no hostname", "", "127.0.1.1 web.example.org web\n", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := fqdn(test.hostname, test.hosts); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestHostnameComesFromEtcUntilTheKernelHasOne(t *testing.T) {
	for _, kernel := range []string{"(none)\n", ""} {
		f := detect(t, files{"proc/sys/kernel/hostname": kernel, "etc/hostname": "web.example.org\n"})
		if f.Hostname != "web.example.org" || f.Short != "web" {
			t.Errorf("%q: got %s, %s", kernel, f.Hostname, f.Short)
		}
	}
	f := detect(t, files{"proc/sys/kernel/hostname": "web\n", "etc/hostname": "old\n"})
	if f.Hostname != "web" {
		t.Errorf("got %s", f.Hostname)
	}
}
