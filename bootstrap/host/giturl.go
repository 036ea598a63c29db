package host

import (
	neturl "net/url"
	"path"
	"path/filepath"
	"strings"
)

// gitURL is a git URL taken apart.
type gitURL struct {
	scheme string // http, https, ssh, git …; "file" for a local path
	user   string
	host   string // lower case, with the port unless it is the scheme's own
	path   string
}

// parseGitURL reads a URL, the short form user@host:path of ssh, or a local
// path. As in git, something is the short form if it has a colon before the first slash.
func parseGitURL(s string) gitURL {
	scheme, _, isURL := strings.Cut(s, "://")
	if !isURL {
		host, p, ok := strings.Cut(s, ":")
		if !ok || strings.Contains(host, "/") || host == "" {
			return gitURL{scheme: "file", path: filepath.Clean(s)}
		}
		user, h, hasUser := strings.Cut(host, "@")
		if !hasUser {
			user, h = "", host
		}
		return gitURL{scheme: "ssh", user: user, host: strings.ToLower(h), path: p}
	}
	u, err := neturl.Parse(s)
	if err != nil {
		return gitURL{scheme: strings.ToLower(scheme), path: s}
	}
	if u.Scheme == "file" {
		return gitURL{scheme: "file", path: filepath.Clean(u.Path)}
	}
	g := gitURL{scheme: u.Scheme, host: strings.ToLower(u.Host), path: u.Path}
	if u.User != nil {
		g.user = u.User.Username()
	}
	own := map[string]string{"http": ":80", "https": ":443", "ssh": ":22", "git": ":9418"}[u.Scheme]
	if own != "" {
		g.host = strings.TrimSuffix(g.host, own)
	}
	return g
}

// SameRemote tells whether two URLs are spellings of one repository: over http,
// https, ssh or git, with or without a user, the scheme's own port, ".git" or a
// slash at the end; hosts are compared without case, paths with it. Local paths
// are the same as their file URLs and never the same as something remote.
func SameRemote(a, b string) bool {
	x, y := parseGitURL(a), parseGitURL(b)
	if x.scheme == "file" || y.scheme == "file" {
		return x.scheme == y.scheme && x.path == y.path
	}
	return x.host == y.host && remotePath(x.path) == remotePath(y.path)
}

func remotePath(p string) string {
	return strings.TrimSuffix(path.Clean("/"+p), ".git")
}

// BareURL is the URL without what must neither be stored nor sent: passwords,
// and the user too except for ssh, where it is part of the address.
func BareURL(s string) string {
	u, err := neturl.Parse(s)
	if scheme, rest, ok := strings.Cut(s, "://"); err != nil && ok { // a password may be what is wrong with it
		return scheme + "://" + rest[strings.LastIndexByte(rest, '@')+1:]
	}
	if err != nil || u.User == nil || !strings.Contains(s, "://") {
		return s
	}
	if name := u.User.Username(); u.Scheme == "ssh" && name != "" {
		u.User = neturl.User(name)
	} else {
		u.User = nil
	}
	return u.String()
}
