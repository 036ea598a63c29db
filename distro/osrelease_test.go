package distro

import (
	"reflect"
	"strings"
	"testing"
)

func TestParseOSRelease(t *testing.T) {
	type values = map[string]string
	for _, test := range []struct {
		name, text string
		want       values
	}{
		{"empty", "", values{}},
		{"unquoted", "ID=debian\n", values{"ID": "debian"}},
		{"without a newline at the end", "ID=debian", values{"ID": "debian"}},
		{"unquoted with punctuation", "HOME_URL=https://x.org/?a=b&c;d\n", values{"HOME_URL": "https://x.org/?a=b&c;d"}},
		{"unquoted with an escape", `NAME=Foo\ Bar\'s`, values{"NAME": "Foo Bar's"}},
		{"unquoted with a backslash at the end", `NAME=Foo\`, values{"NAME": `Foo\`}},
		{"nothing is an empty value", "ID=debian\nID=\n", values{"ID": ""}},
		{"double quotes", `NAME="Fedora Linux"`, values{"NAME": "Fedora Linux"}},
		{"double quotes with all escapes", "A=\"\\\"\\$\\\\\\`\"", values{"A": "\"$\\`"}},
		{"double quotes with a backslash that escapes nothing", `A="C:\new"`, values{"A": `C:\new`}},
		{"double quotes with an escaped backslash before the last", `A="a\\"`, values{"A": `a\`}},
		{"double quotes with a single quote", `A="it's"`, values{"A": "it's"}},
		{"empty double quotes", `A=""`, values{"A": ""}},
		{"single quotes", `OSTREE_VERSION='43.20251101.0'`, values{"OSTREE_VERSION": "43.20251101.0"}},
		{"single quotes take backslashes as they are", `A='a\"b\\'`, values{"A": `a\"b\\`}},
		{"variables are not expanded", "A=\"$ID ${ID}\"\nB=$ID\n", values{"A": "$ID ${ID}", "B": "$ID"}},
		{"comments and blank lines", "# ID=a\n\n \t\n#\nID=b\n", values{"ID": "b"}},
		{"a comment behind a value", "A=a # b\nB=\"c\" # d\nC='e'\t# f\n", values{"A": "a", "B": "c", "C": "e"}},
		{"a hash inside a value", "A=a#b\nB=\"c # d\"\n", values{"A": "a#b", "B": "c # d"}},
		{"CR LF", "ID=a\r\nNAME=\"b c\"\r\n\r\nA='d'\r\n", values{"ID": "a", "NAME": "b c", "A": "d"}},
		{"white space around an assignment", "  ID=a \t\n", values{"ID": "a"}},
		{"the last assignment wins", "ID=a\nID=\"b\"\n", values{"ID": "b"}},
		{"garbage does not undo an assignment", "ID=a\nID=\"b\n", values{"ID": "a"}},
		{"no assignment", "ID\nfoo bar\n=a\n", values{}},
		{"names that are none", "1A=a\nA-B=b\nA =c\nexport D=d\nÄ=e\n", values{}},
		{"names of all kinds", "_a9Z=a\n", values{"_a9Z": "a"}},
		{"spaces in an unquoted value", "A=Foo Bar\n", values{}},
		{"quotes that are not closed", "A=\"a\nB='b\nC=\"c\\\"\n", values{}},
		{"concatenated quotes", "A=\"a\"'b'\nB=a\"b\"\nC='a'b\nD=\"a\"#b\n", values{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := parseOSRelease(test.text); !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// FuzzParseOSRelease holds the parser to this: whatever is in front, a value that
// is quoted by the rules comes back as it was, and only names are keys.
func FuzzParseOSRelease(f *testing.F) {
	for _, text := range []string{
		"", "ID=debian\n", "NAME=\"Fedora Linux\"\r\n", "A='b", "A=\"b\\", "# c\n\n=\n", "A=\\", "VALUE=\"a\\\"\n",
	} {
		for _, value := range []string{"", "a b", `\`, "\"$\\`'", "#", "it's", "ä\r", " x ", "\x00\xff"} {
			f.Add(text, value)
		}
	}
	f.Fuzz(func(t *testing.T, text, value string) {
		for name, v := range parseOSRelease(text) {
			if !isVariableName(name) || strings.Contains(v, "\n") {
				t.Errorf("parsing %q: got %q=%q", text, name, v)
			}
		}
		if strings.Contains(value, "\n") {
			return // the format has no such value
		}
		for _, quoted := range quotings(value) {
			line := "VALUE=" + quoted
			got, ok := parseOSRelease(text + "\n" + line + "\n")["VALUE"]
			if !ok || got != value {
				t.Errorf("parsing %q: got %q, %t, want %q", line, got, ok, value)
			}
		}
	})
}

// quotings returns value in each of the ways to write it down, by the rules of
// os-release(5) and sh(1).
func quotings(value string) []string {
	all := []string{`"` + strings.NewReplacer(`"`, `\"`, `$`, `\$`, `\`, `\\`, "`", "\\`").Replace(value) + `"`}
	if !strings.Contains(value, `'`) {
		all = append(all, `'`+value+`'`)
	}
	if isPlain(value) {
		all = append(all, value)
	}
	return all
}

func isPlain(value string) bool {
	for _, r := range value {
		if (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && (r < '0' || r > '9') {
			return false
		}
	}
	return true
}
