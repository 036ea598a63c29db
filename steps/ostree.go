package steps

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"movein/bootstrap"
	"movein/bootstrap/host"
)

// deployment is one of "rpm-ostree status --json", which lists what the next boot takes first.
type deployment struct {
	ID      string   `json:"id"`
	Version string   `json:"version"`
	Booted  bool     `json:"booted"`
	Pinned  bool     `json:"pinned"`
	Tracked []string `json:"initramfs-etc"`
}

func (d deployment) tracks() bool { return slices.Contains(d.Tracked, ownRootConf) }

var libostreeSays = regexp.MustCompile(`Version: '([0-9.]+)'`)

func ostreeVersion(ctx context.Context, v host.View) (string, error) {
	res, err := v.Query(ctx, &host.Cmd{Args: []string{"ostree", "--version"}})
	if err != nil {
		return "", lookAtOSTree(fmt.Errorf("asking for the version of libostree: %w", err))
	}
	if m := libostreeSays.FindSubmatch(res.Stdout); m != nil {
		return string(m[1]), nil
	}
	return "", lookAtOSTree(errors.New("asking for the version of libostree: ostree --version names none"))
}

func deployments(ctx context.Context, v host.View) (list []deployment, booted int, err error) {
	res, err := v.Query(ctx, &host.Cmd{Args: []string{"rpm-ostree", "status", "--json"}})
	if err != nil {
		return nil, 0, lookAtOSTree(fmt.Errorf("asking for the deployments: %w", err))
	}
	var status struct {
		Deployments []deployment `json:"deployments"`
	}
	if err := json.Unmarshal(res.Stdout, &status); err != nil {
		return nil, 0, lookAtOSTree(fmt.Errorf("reading what rpm-ostree status says: %w", err))
	}
	list = status.Deployments
	if booted = slices.IndexFunc(list, func(d deployment) bool { return d.Booted }); booted < 0 {
		return nil, 0, lookAtOSTree(errors.New("reading what rpm-ostree status says: no deployment is booted"))
	}
	return list, booted, nil
}

// lookAtOSTree says how to go on when ostree does not do what it is asked.
func lookAtOSTree(err error) error {
	return bootstrap.Hint(err, "look with: rpm-ostree status, journalctl --unit rpm-ostreed; when it is idle, run the same command again")
}

// parseKeyFile reads what GLib calls a key file: sections with keys and values.
func parseKeyFile(text string) map[string]map[string]string {
	sections, section := map[string]map[string]string{}, ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if name, ok := strings.CutPrefix(line, "["); ok && strings.HasSuffix(name, "]") {
			section = strings.TrimSuffix(name, "]")
			if sections[section] == nil {
				sections[section] = map[string]string{}
			}
		} else if key, value, ok := strings.Cut(line, "="); ok && !strings.HasPrefix(line, "#") && section != "" {
			sections[section][strings.TrimSpace(key)] = strings.TrimSpace(value)
		}
	}
	return sections
}
