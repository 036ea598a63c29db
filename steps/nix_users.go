package steps

import (
	"context"
	"fmt"
	"strings"

	"movein/bootstrap/host"
)

// The official installer's choice; other ids that exist are as good.
const (
	buildUsers = 32
	firstUID   = 30001
	buildGID   = 30000
)

// users makes sure that the group nixbld has members, and that all of them are
// users: that is all Nix asks for. Ids that exist are kept, whatever they are.
func (s nixInstall) users(ctx context.Context, h host.Host) error {
	members, _ := groupMembers(readText(h, "/etc/group"), "nixbld")
	if len(members) > 0 && len(absentUsers(h, members)) == 0 {
		return nil
	}
	if err := s.makeUsers(ctx, h); err != nil {
		return err
	}
	// Members of another's naming that were deleted without their group's knowing.
	members, _ = groupMembers(readText(h, "/etc/group"), "nixbld")
	for _, name := range absentUsers(h, members) {
		if err := anyOf(ctx, h, []string{"gpasswd", "--delete", name, "nixbld"}, []string{"delgroup", name, "nixbld"}); err != nil {
			return fmt.Errorf("taking %s, who is no user, from group nixbld: %w", name, err)
		}
	}
	return nil
}

// makeUsers makes the group, the build users and their memberships, as far as they are missing.
func (nixInstall) makeUsers(ctx context.Context, h host.Host) error {
	if _, err := h.LookPath("systemd-sysusers"); err == nil {
		_, err := h.Run(ctx, &host.Cmd{Args: []string{"systemd-sysusers", "-"}, Stdin: []byte(sysusers(h))})
		if members, _ := groupMembers(readText(h, "/etc/group"), "nixbld"); err == nil && len(members) > 0 {
			return nil
		}
	}
	if _, found := groupMembers(readText(h, "/etc/group"), "nixbld"); !found {
		if err := anyOf(ctx, h, []string{"groupadd", "--system", "--gid", fmt.Sprint(buildGID), "nixbld"},
			[]string{"groupadd", "--system", "nixbld"}, []string{"addgroup", "-S", "nixbld"}); err != nil {
			return fmt.Errorf("creating group nixbld: %w", err)
		}
	}
	passwd := "\n" + readText(h, "/etc/passwd")
	for i := 1; i <= buildUsers; i++ {
		h.Progress(int64(i), buildUsers, "users")
		name := fmt.Sprintf("nixbld%d", i)
		if strings.Contains(passwd, "\n"+name+":") {
			if err := anyOf(ctx, h, []string{"usermod", "--append", "--groups", "nixbld", name}, []string{"addgroup", name, "nixbld"}); err != nil {
				return fmt.Errorf("adding %s to group nixbld: %w", name, err)
			}
			continue
		}
		common := []string{"--system", "--no-user-group", "--gid", "nixbld", "--groups", "nixbld", "--home-dir", "/var/empty", "--no-create-home",
			"--shell", nologin(h), "--comment", fmt.Sprintf("Nix build user %d", i)}
		withID := append(append([]string{"useradd"}, common...), "--uid", fmt.Sprint(firstUID+i-1), name)
		anyID := append(append([]string{"useradd"}, common...), name)
		busybox := []string{"adduser", "-S", "-D", "-H", "-h", "/var/empty", "-s", nologin(h), "-G", "nixbld", name}
		if err := anyOf(ctx, h, withID, anyID, busybox); err != nil {
			return fmt.Errorf("creating user %s: %w", name, err)
		}
	}
	return nil
}

// sysusers is a sysusers.d(5) text that makes the group, the users and the memberships at once.
func sysusers(v host.View) string {
	var b strings.Builder
	gid := ":nixbld"
	if !strings.Contains(readText(v, "/etc/group"), fmt.Sprintf(":%d:", buildGID)) {
		fmt.Fprintf(&b, "g nixbld %d\n", buildGID)
	} else {
		b.WriteString("g nixbld -\n")
	}
	passwd := readText(v, "/etc/passwd")
	for i := 1; i <= buildUsers; i++ {
		uid := fmt.Sprint(firstUID+i-1) + gid
		if strings.Contains(passwd, fmt.Sprintf(":%d:", firstUID+i-1)) {
			uid = "-" + gid
		}
		fmt.Fprintf(&b, "u nixbld%d %s \"Nix build user %d\" /var/empty %s\nm nixbld%d nixbld\n", i, uid, i, nologin(v), i)
	}
	return b.String()
}

func nologin(v host.View) string {
	for _, shell := range []string{"/usr/sbin/nologin", "/sbin/nologin", "/usr/bin/nologin"} {
		if exists(v, shell) {
			return shell
		}
	}
	return "/bin/false"
}

// anyOf runs the first of the commands that there is a program for and that ends well.
func anyOf(ctx context.Context, h host.Host, cmds ...[]string) error {
	var err error
	for _, args := range cmds {
		if _, lerr := h.LookPath(args[0]); lerr != nil {
			if err == nil {
				err = lerr
			}
			continue
		}
		if _, err = h.Run(ctx, &host.Cmd{Args: args}); err == nil || ctx.Err() != nil {
			return err
		}
	}
	return err
}
