package steps

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"regexp"
	"strings"

	"movein/bootstrap"
	"movein/distro"
	"movein/embed"
)

// Person is whose home repo it is.
type Person struct {
	Username    string // the login
	Name, Email string // who commits
}

// NewHost is a host that is written into a home repo and its dotfiles.
type NewHost struct {
	Name     string          // as in USER@NAME
	Platform distro.Platform // what its file is like
	System   string          // Nix's name: "x86_64-linux"
	Username string          // the login there; "": the flake's
	Home     string          // "": /home/USERNAME
}

// hostTemplates are the embedded hosts that the file of a new one is like.
var hostTemplates = map[distro.Platform]string{
	distro.NixOS: "hosts/shoshin.nix", distro.OSTree: "hosts/kinoite.nix", distro.WSL: "hosts/wsl-workspace.nix", distro.Generic: "hosts/linux.nix",
}

// newHostName is what can be a host's name: of it, its file's and a configuration's is made.
var newHostName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

// PersonOf is whose home a flake is, as "movein init" wrote it; what is not found is "".
func PersonOf(flake []byte) (p Person) {
	for key, value := range map[string]*string{"username": &p.Username, "name": &p.Name, "email": &p.Email} {
		if match := regexp.MustCompile(`(?m)^ {8}` + key + ` = "((?:[^"\\]|\\.)*)";$`).FindSubmatch(flake); match != nil {
			*value = strings.NewReplacer(`\\`, `\`, `\"`, `"`, `\$`, `$`).Replace(string(match[1]))
		}
	}
	return p
}

// Check refuses what cannot be written.
func (h NewHost) Check() error {
	if !newHostName.MatchString(h.Name) {
		return fmt.Errorf("%q is no name for a host: it may have letters, digits, dots and hyphens", h.Name)
	}
	return nil
}

// file is where what is different on the host is said.
func (h NewHost) file() string { return "hosts/" + h.Name + ".nix" }

// entry is the host in the flake's attribute set of hosts, as nixfmt writes it, indented.
func (h NewHost) entry(indent string) string {
	name := h.Name
	if !regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]*$`).MatchString(name) {
		name = quote(name)
	}
	system := "system = " + quote(h.System) + ";\n"
	if h.Username == "" && h.Home == "" {
		return indent + name + "." + system
	}
	text := indent + name + " = {\n" + indent + "  " + system
	switch {
	case h.Username == "":
		text += indent + "  user.home = " + quote(h.Home) + ";\n"
	case h.Home == "":
		text += indent + "  user.username = " + quote(h.Username) + ";\n"
	default:
		text += fmt.Sprintf("%s  user = {\n%s    username = %s;\n%s    home = %s;\n%s  };\n", indent, indent, quote(h.Username), indent, quote(h.Home), indent)
	}
	return text + indent + "};\n"
}

// data is the host in the dotfiles' hosts.toml.
func (h NewHost) data() string {
	platform := string(h.Platform)
	if h.Platform == distro.Generic {
		platform = "linux"
	}
	short, _, _ := strings.Cut(h.Name, ".") // chezmoi's name of it
	return fmt.Sprintf("\n[hosts.%s]\nplatform = %q\ndesktop = %v\n", tomlString(short), platform, h.Platform != distro.WSL)
}

// NewHomeRepo are the files of a home repo for one person with one host. dotfiles is
// what goes with it; it may be "".
func NewHomeRepo(p Person, h NewHost, dotfiles string) (map[string][]byte, error) {
	files, err := filesOf(embed.Home())
	if err != nil {
		return nil, err
	}
	own := files[hostTemplates[h.Platform]]
	for _, name := range hostTemplates {
		delete(files, name)
	}
	files[h.file()] = own
	flake := string(files["flake.nix"])
	for key, value := range map[string]string{"username": p.Username, "name": p.Name, "email": p.Email} {
		flake = regexp.MustCompile(`(?m)^( {8}`+key+` = )".*";$`).ReplaceAllStringFunc(flake, func(line string) string {
			return line[:strings.Index(line, `"`)] + quote(value) + ";"
		})
	}
	begin, end, err := hostsIn(flake)
	if err != nil {
		return nil, err
	}
	files["flake.nix"] = []byte(flake[:begin] + h.entry("        ") + flake[end:])
	if dotfiles != "" {
		files["movein.toml"] = regexp.MustCompile(`(?m)^# dotfiles = .*$`).ReplaceAllLiteral(files["movein.toml"], []byte("dotfiles = "+tomlString(dotfiles)))
	}
	return files, nil
}

// NewDotfiles are the files of a chezmoi source for one person with one host.
func NewDotfiles(p Person, h NewHost) (map[string][]byte, error) {
	files, err := filesOf(embed.Dotfiles())
	if err != nil {
		return nil, err
	}
	const user, hosts = ".chezmoidata/user.toml", ".chezmoidata/hosts.toml"
	head, _, _ := bytes.Cut(files[user], []byte("[user]"))
	files[user] = fmt.Appendf(head, "[user]\nname = %s\nemail = %s\n", tomlString(p.Name), tomlString(p.Email))
	head, _, _ = bytes.Cut(files[hosts], []byte("\n[hosts."))
	files[hosts] = append(bytes.Clone(head), h.data()...)
	return files, nil
}

// AddToHome returns what of a home repo, of which read reads files, is to be written so
// that it has the host; nothing, if it has. In a repo of another shape nothing is
// placed: the error says what is to be written there by hand.
func AddToHome(h NewHost, read func(name string) ([]byte, error)) (map[string][]byte, error) {
	data, err := read("flake.nix")
	if err != nil {
		return nil, err
	}
	flake := string(data)
	begin, end, err := hostsIn(flake)
	if home, herr := read("home.nix"); err == nil && (herr != nil || !bytes.Contains(home, []byte("./hosts"))) {
		err = fmt.Errorf("home.nix imports no file of hosts/")
	}
	if err != nil {
		return nil, bootstrap.Hint(bootstrap.Misconfigured("%s cannot be placed: %w; nothing was changed", h.Name, err),
			"add to flake.nix by hand a homeConfigurations.%s of system %s, with what is different there", quote("USER@"+h.Name), h.System)
	}
	files := map[string][]byte{}
	if h.Username == PersonOf(data).Username {
		h.Username = ""
	}
	if !hasAttribute(flake[begin:end], h.Name) {
		indent := flake[end:end+strings.IndexByte(flake[end:], '}')] + "  "
		files["flake.nix"] = []byte(flake[:end] + h.entry(indent) + flake[end:])
	}
	if _, err := read(h.file()); err != nil {
		if files[h.file()], err = fs.ReadFile(embed.Home(), hostTemplates[h.Platform]); err != nil {
			return nil, err
		}
	}
	return files, nil
}

// AddToDotfiles is the same for a chezmoi source; its error says that it has no list of hosts.
func AddToDotfiles(h NewHost, read func(name string) ([]byte, error)) (map[string][]byte, error) {
	const hosts = ".chezmoidata/hosts.toml"
	data, err := read(hosts)
	if err != nil {
		return nil, err
	}
	head, _, _ := strings.Cut(strings.TrimSpace(h.data()), "\n")
	bare := strings.ReplaceAll(head, `"`, "")
	for _, line := range strings.Split(string(data), "\n") {
		if line = strings.TrimSpace(line); line == head || line == bare {
			return nil, nil
		}
	}
	return map[string][]byte{hosts: append(bytes.TrimRight(data, "\n"), "\n"+h.data()...)}, nil
}

// filesOf reads all files of a tree.
func filesOf(tree fs.FS) (map[string][]byte, error) {
	files := map[string][]byte{}
	err := fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files[name], err = fs.ReadFile(tree, name)
		return err
	})
	return files, err
}

// tomlString is a basic string of TOML, which has the escapes of JSON.
func tomlString(s string) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.Encode(s) //nolint:errcheck // to memory
	return strings.TrimSpace(b.String())
}
