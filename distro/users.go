package distro

import (
	"strconv"
	"strings"
)

// User returns the first user of that name in /etc/passwd. Users from elsewhere,
// such as a directory service or the /usr/lib/passwd of ostree hosts, are not found.
func (f Facts) User(name string) (User, bool) {
	for _, u := range f.Users {
		if u.Name == name {
			return u, true
		}
	}
	return User{}, false
}

// UserByID returns the first user with that id in /etc/passwd; see User.
func (f Facts) UserByID(uid int) (User, bool) {
	for _, u := range f.Users {
		if u.UID == uid {
			return u, true
		}
	}
	return User{}, false
}

// users reads /etc/passwd.
func users(t *tree) []User {
	return parsePasswd(t.read("etc/passwd"))
}

// parsePasswd reads the format of passwd(5):
//
//	name:password:uid:gid:gecos:home:shell
//
// Lines of another form, such as comments and NIS entries, are ignored.
func parsePasswd(text string) []User {
	var users []User
	for line := range strings.Lines(text) {
		fields := strings.Split(strings.TrimSpace(line), ":")
		if len(fields) != 7 || strings.ContainsAny(fields[0][:min(1, len(fields[0]))], "+-#") {
			continue
		}
		uid, uidErr := strconv.ParseUint(fields[2], 10, 32)
		gid, gidErr := strconv.ParseUint(fields[3], 10, 32)
		if fields[0] == "" || uidErr != nil || gidErr != nil {
			continue
		}
		users = append(users, User{
			Name:  fields[0],
			UID:   int(uid),
			GID:   int(gid),
			Home:  fields[5],
			Shell: shell(fields[6]),
		})
	}
	return users
}

// shell is the shell that an entry of passwd(5) stands for.
func shell(field string) string {
	if field == "" {
		return "/bin/sh"
	}
	return field
}
