package distro

import "strings"

// setNames fills in the host's names.
func (f *Facts) setNames(t *tree) {
	f.Hostname = hostname(t)
	f.Short, _, _ = strings.Cut(f.Hostname, ".")
	f.FQDN = fqdn(f.Hostname, t.read("etc/hosts"))
}

// hostname is the name that the kernel has, or will be given: until somebody
// sets it, it is "(none)".
func hostname(t *tree) string {
	name := t.read("proc/sys/kernel/hostname")
	if name == "" || name == "(none)" {
		return t.read("etc/hostname")
	}
	return name
}

// fqdn is the fully qualified name of the host, "" if it has none. It is what
// hostname(1) -f finds in a hosts(5) file: the canonical name, which comes first,
// on a line that has the hostname. Where that has no dot, as in files that list
// the short name first, an alias which begins with the hostname serves. Without
// such a line it is the hostname itself if that has a dot. localhost.localdomain
// does not count, because it tells no host from another, and neither does a dot at
// the end alone, as WSL writes where Windows is in no domain.
func fqdn(hostname, hosts string) string {
	for line := range strings.Lines(hosts) {
		line, _, _ = strings.Cut(line, "#")
		fields := strings.Fields(line)
		if len(fields) < 2 || !containsFold(fields[1:], hostname) {
			continue
		}
		if name := qualified(fields[1:], hostname); name != "" {
			return name
		}
	}
	if strings.Contains(hostname, ".") {
		return hostname
	}
	return ""
}

// qualified picks the fully qualified name out of the names of a hosts(5) line
// that has hostname among them.
func qualified(names []string, hostname string) string {
	for i, name := range names {
		name = strings.TrimSuffix(name, ".")
		label, _, dotted := strings.Cut(name, ".")
		if !dotted || strings.EqualFold(label, "localhost") {
			continue
		}
		if i == 0 || strings.EqualFold(label, hostname) {
			return name
		}
	}
	return ""
}

// containsFold reports whether names has name, whatever the case: host names
// know none.
func containsFold(names []string, name string) bool {
	for _, n := range names {
		if strings.EqualFold(n, name) {
			return true
		}
	}
	return false
}
