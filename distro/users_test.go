package distro

import (
	"reflect"
	"testing"
)

const passwd = `# a comment
root:x:0:0:root:/root:/bin/bash
nobody:*:65534:65534:Unprivileged:/nonexistent:/usr/sbin/nologin

alice:x:1000:1001:Alice,,,:/home/alice:
too:few:1:2
bad:x:one:2::/:/bin/sh
bad:x:1:two::/:/bin/sh
bad:x:-1:2::/:/bin/sh
:x:1:2::/:/bin/sh
+::::::
+@staff:x:1:2::/:/bin/sh
toor:x:0:0:second root:/:/bin/csh
alice:x:2000:2000:second alice:/:/bin/sh
`

func TestParsePasswdTakesUsersOnly(t *testing.T) {
	want := []User{
		{"root", 0, 0, "/root", "/bin/bash"},
		{"nobody", 65534, 65534, "/nonexistent", "/usr/sbin/nologin"},
		{"alice", 1000, 1001, "/home/alice", "/bin/sh"},
		{"toor", 0, 0, "/", "/bin/csh"},
		{"alice", 2000, 2000, "/", "/bin/sh"},
	}
	if got := parsePasswd(passwd); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}

func TestUserIsTheFirstOfThatName(t *testing.T) {
	f := Facts{Users: parsePasswd(passwd)}
	if u, ok := f.User("alice"); !ok || u.UID != 1000 {
		t.Errorf("got %+v, %t", u, ok)
	}
	if u, ok := f.User("bob"); ok || u != (User{}) {
		t.Errorf("bob: got %+v, %t", u, ok)
	}
}

func TestUserByIDIsTheFirstWithThatID(t *testing.T) {
	f := Facts{Users: parsePasswd(passwd)}
	if u, ok := f.UserByID(0); !ok || u.Name != "root" {
		t.Errorf("got %+v, %t", u, ok)
	}
	if u, ok := f.UserByID(4711); ok || u != (User{}) {
		t.Errorf("4711: got %+v, %t", u, ok)
	}
}
