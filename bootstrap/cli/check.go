package cli

import (
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"movein/bootstrap"
	"movein/bootstrap/host"
	"movein/bootstrap/report"
	"movein/steps"
)

// choices are what the settings of few words may be.
var choices = map[string][]string{
	"on-diverged": {"keep", "stop"},
	"on-modified": {"backup", "keep", "stop"},
	"nix-source":  {"official", "distro", "auto"},
	"log-level":   {"error", "warn", "info", "debug", "trace"},
}

// check refuses settings that no layer may have.
func (s *session) check(cmd *cobra.Command) error {
	wrong := func(name, format string, a ...any) error {
		err := fmt.Errorf(format, a...)
		if from := s.from[name]; from != "" {
			return bootstrap.Hint(bootstrap.Misconfigured("%s: %w", from, err), "mend it there; what there is: movein help config")
		}
		return usage(cmd, err)
	}
	for _, e := range [][2]string{{"on-diverged", s.config.OnDiverged}, {"on-modified", s.config.OnModified}, {"nix-source", s.config.NixSource}} {
		if allowed := choices[e[0]]; !slices.Contains(allowed, e[1]) {
			return wrong(e[0], "%s is %q, and may be one of: %s", e[0], e[1], strings.Join(allowed, " "))
		}
	}
	for _, e := range [][2]string{{"nix-url", s.config.NixURL}, {"chezmoi-url", s.config.ChezmoiURL}} {
		if u, err := url.Parse(e[1]); e[1] != "" && (err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "") {
			return wrong(e[0], "%s is %q, which is no http or https URL", e[0], host.BareURL(e[1]))
		}
	}
	if s.opt.jobs < 0 {
		return wrong("jobs", "jobs is %d, which is less than none", s.opt.jobs)
	}
	if s.secrets.idle < 0 {
		return wrong("vault-idle", "vault-idle is %s, which is less than nothing", s.secrets.idle)
	}
	for _, e := range [][2]string{{"nix-sha256", s.config.NixSHA256}, {"chezmoi-sha256", s.config.ChezmoiSHA256}, {"vault-sha256", s.secrets.sha256}} {
		if d := e[1]; d != "" && (len(d) != 64 || strings.Trim(strings.ToLower(d), "0123456789abcdef") != "") {
			return wrong(e[0], "%s is %q, which is no SHA-256 in 64 hexadecimal digits", e[0], d)
		}
	}
	if err := report.CheckLevel(s.opt.logLevel); err != nil {
		return wrong("log-level", "%w", err)
	}
	return nil
}

// checkRepos refuses what is no address of a repository, before anything is done.
func (s *session) checkRepos(v host.View) error {
	for name, repo := range map[string]string{"home repo": s.config.HomeRepo, "dotfiles repo": s.config.Dotfiles} {
		scheme, _, isURL := strings.Cut(repo, "://")
		switch {
		case repo == "" || repo == steps.Starter || name == "dotfiles repo" && repo == "none":
		case isURL && slices.Contains([]string{"http", "https", "ssh", "git", "file"}, scheme):
		case isURL:
			return bootstrap.Hint(bootstrap.Misconfigured("the %s is %q, and %q is no way to reach a repository", name, repo, scheme),
				"give an address that begins with https:// or ssh://")
		case s.flakeRef(v, repo) != "":
			return bootstrap.Hint(bootstrap.Misconfigured("the %s is %q, which only Nix reads as an address", name, repo), "give %s", s.flakeRef(v, repo))
		case !strings.ContainsAny(repo, ":") && !strings.HasPrefix(repo, "/") && !strings.HasPrefix(repo, ".") && !strings.HasPrefix(repo, "~/"):
			return bootstrap.Hint(bootstrap.Misconfigured("the %s is %q, which is no address of a repository", name, repo),
				"give a git URL (https://…), an ssh address (git@HOST:OWNER/REPO.git), a directory (./%s), or: movein apply starter", repo)
		}
	}
	return nil
}

// flakeRef is the address of what Nix calls github:OWNER/REPO; "" for anything else, and where
// that may be a host of the user's ssh configuration.
func (s *session) flakeRef(v host.View, repo string) string {
	kind, path, _ := strings.Cut(repo, ":")
	server := map[string]string{"github": "github.com", "gitlab": "gitlab.com", "sourcehut": "git.sr.ht"}[kind]
	if _, err := v.Lstat(filepath.Join(s.config.Home, ".ssh/config")); server == "" || err == nil {
		return ""
	}
	path, _, _ = strings.Cut(path, "?")
	parts := strings.SplitN(path, "/", 3) // the third is a branch or commit
	return "https://" + server + "/" + strings.Join(parts[:min(len(parts), 2)], "/")
}
