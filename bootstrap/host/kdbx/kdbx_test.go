package kdbx

import (
	"context"
	"encoding/xml"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The vaults in testdata are made by testdata/make.sh: cli… by keepassxc-cli, py… by
// pykeepass. All but the ones named otherwise have this password.
const password = "correct horse ü"

// credentials are those of a vault in testdata.
func credentials(t testing.TB, vault string) Credentials {
	c := Credentials{Password: []byte(password)}
	if strings.Contains(vault, "only-key") {
		return Credentials{KeyFile: read(t, "any.key")}
	}
	if _, key, ok := strings.Cut(vault, "cli31-"); ok {
		kind, ext, _ := strings.Cut(strings.TrimSuffix(key, ".kdbx"), "-")
		c.KeyFile = read(t, kind+"."+ext)
	}
	return c
}

func read(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// vaults are the names of those in testdata.
func vaults(t testing.TB) (names []string) {
	all, err := filepath.Glob("testdata/*.kdbx")
	if err != nil || len(all) < 20 {
		t.Fatalf("%d vaults, %v", len(all), err)
	}
	for _, name := range all {
		names = append(names, filepath.Base(name))
	}
	return names
}

func open(t testing.TB, name string) *Vault {
	t.Helper()
	v, err := Open(context.Background(), read(t, name), credentials(t, name), Limits{})
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return v
}

// An xmlGroup is a group of KeePass's XML, read in another way than the package does.
type xmlGroup struct {
	UUID   string
	Name   string
	Groups []xmlGroup `xml:"Group"`
	Entry  []struct {
		UUID   string
		String []struct{ Key, Value string }
	}
}

// flat adds the entries below g to all: their paths and UUIDs, and the fields.
func (g xmlGroup) flat(path string, all map[string]map[string]string) {
	for _, e := range g.Entry {
		fields := map[string]string{}
		for _, s := range e.String {
			fields[s.Key] = s.Value
		}
		all[path+"/"+fields["Title"]+" "+e.UUID] = fields
	}
	for _, sub := range g.Groups {
		if sub.Name != "Recycle Bin" {
			sub.flat(path+"/"+sub.Name, all)
		}
	}
}

// parseXML returns the entries of an XML document outside of the recycle bin.
func parseXML(t testing.TB, b []byte) map[string]map[string]string {
	t.Helper()
	var file struct {
		Group xmlGroup `xml:"Root>Group"`
	}
	if err := xml.Unmarshal(b, &file); err != nil {
		t.Fatal(err)
	}
	all := map[string]map[string]string{}
	file.Group.flat("", all)
	return all
}

// compare reports what differs between a vault and its entries as flat has them.
func compare(t *testing.T, v *Vault, want map[string]map[string]string) {
	t.Helper()
	if len(v.Entries()) != len(want) {
		t.Errorf("%d entries, want %d", len(v.Entries()), len(want))
	}
	for _, e := range v.Entries() {
		fields, ok := want[e.Path()+" "+e.uuid]
		if !ok {
			t.Errorf("%s should not be there", e.Path())
		}
		if len(e.Fields()) != len(fields) {
			t.Errorf("%s has fields %q", e.Path(), e.Fields())
		}
		for name, value := range fields {
			if got, ok := e.raw(name); !ok || got != value {
				t.Errorf("%s, %s: %q, want %q", e.Path(), name, got, value)
			}
		}
	}
}

// TestOpen reads every vault in testdata.
func TestOpen(t *testing.T) {
	want := parseXML(t, read(t, "vault.xml"))
	if len(want) != 14 {
		t.Fatalf("vault.xml has %d entries", len(want))
	}
	for _, name := range vaults(t) {
		t.Run(name, func(t *testing.T) {
			v := open(t, name)
			want := want
			if strings.HasPrefix(name, "cli4-") { // edited
				want = parseXML(t, read(t, "vault.xml"))
				for path, fields := range want {
					if strings.HasPrefix(path, "/API Keys/Anthropic ") {
						fields["UserName"] = "me2"
					}
				}
			}
			compare(t, v, want)
			version := "3.1"
			if strings.Contains(name, "4") {
				version = "4.0"
			}
			if name == "cli4.kdbx" {
				version = "4.1"
			}
			if v.Version() != version {
				t.Errorf("version %s, want %s", v.Version(), version)
			}
		})
	}
}

// TestAttachments has those of vaults by both programs and of both versions.
func TestAttachments(t *testing.T) {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	want := map[string]string{"id_test": "-----BEGIN KEY-----\n\x00\xff\n", "empty": "", "twice ü": strings.Repeat(string(all), 4)}
	for _, name := range vaults(t) {
		if strings.HasPrefix(name, "cli31-") {
			continue
		}
		e, err := open(t, name).Lookup("API Keys/Anthropic")
		if err != nil {
			t.Fatal(err)
		}
		names := e.Attachments()
		slices.Sort(names)
		if !slices.Equal(names, []string{"empty", "id_test", "twice ü"}) {
			t.Errorf("%s: %q", name, names)
		}
		for file, content := range want {
			if got, err := e.Attachment(file); err != nil || got.Reveal() != content {
				t.Errorf("%s: %s: %q, %v", name, file, got.Reveal(), err)
			}
		}
	}
}
