package embed

import (
	_ "embed"
	"strconv"
	"strings"
)

//go:embed selinux/movein-nix.cil
var policy string

// Policy is the SELinux module with the file contexts of Nix, in CIL. The stores are the
// directories where one is to be found: /nix, and what is mounted there.
func Policy(stores ...string) string {
	var b strings.Builder
	for n, store := range stores {
		b.WriteString(strings.NewReplacer("@n@", strconv.Itoa(n), "@nix@", strings.ReplaceAll(store, ".", `\.`)).Replace(policy))
	}
	return b.String()
}
