package steps

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"movein/bootstrap"
	"movein/bootstrap/host"
)

// chezmoiFormats are the formats that a config of chezmoi may have, as its name ends.
var chezmoiFormats = []string{"toml", "yaml", "yml", "json", "jsonc"}

// freshConfig is the config that the source's template makes when the user has none.
type freshConfig struct {
	format   string
	data     []byte
	template []byte
}

// freshConfig renders the source's config template, unless the user has a config
// (which is never overwritten) or there is no template: nil then. "chezmoi init" is
// not used for it, not even with --dry-run: in a source that is no git repository
// it makes one.
func (z chezmoi) freshConfig(ctx context.Context, v host.View) (*freshConfig, error) {
	for _, format := range chezmoiFormats {
		if exists(v, z.configFile(format)) {
			return nil, nil
		}
	}
	root := z.root(v)
	for _, format := range chezmoiFormats {
		name := filepath.Join(root, ".chezmoi."+format+".tmpl")
		template, err := v.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return nil, fmt.Errorf("reading the dotfiles' config template: %w", err)
		}
		if open := unanswered(string(template), z.c.Prompts); len(open) > 0 {
			return nil, bootstrap.Hint(bootstrap.Misconfigured("%s asks what nobody has answered: %q", name, open),
				"answer it in movein.toml:\n    [chezmoi.prompts]\n    %q = \"…\"", open[0])
		}
		cmd := z.cmd(append([]string{"execute-template", "--init", "--dry-run"}, promptFlags(z.c.Prompts)...)...)
		cmd.Stdin = template
		data, err := z.query(ctx, v, cmd)
		if err != nil {
			return nil, z.explain("rendering "+name, err)
		}
		return &freshConfig{format, data, template}, nil
	}
	return nil, nil
}

func (z chezmoi) configFile(format string) string {
	return filepath.Join(z.c.ConfigHome, "chezmoi", "chezmoi."+format)
}

// write makes it the user's config, and lets chezmoi remember which template it is
// of, as "chezmoi init" does: chezmoi warns at each run otherwise.
func (z chezmoi) writeConfig(ctx context.Context, h host.Host, f *freshConfig) error {
	name := z.configFile(f.format)
	if err := h.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	if err := h.WriteFile(name, f.data, 0o600); err != nil {
		return fmt.Errorf("writing chezmoi's config: %w", err)
	}
	sum := sha256.Sum256(f.template)
	value, err := json.Marshal(map[string]string{"configTemplateContentsSHA256": hex.EncodeToString(sum[:])})
	if err != nil {
		return err
	}
	_, err = h.Run(ctx, z.cmd("state", "set", "--bucket=configState", "--key=configState", "--value="+string(value)))
	if err != nil {
		return z.explain("remembering chezmoi's config", err)
	}
	return nil
}

// root is the directory of the source state: the source, or the directory in it
// that its .chezmoiroot names.
func (z chezmoi) root(v host.View) string {
	return filepath.Join(z.source, strings.TrimSpace(readText(v, filepath.Join(z.source, ".chezmoiroot"))))
}

// promptFlags are the answers as flags of "chezmoi execute-template --init". It takes
// them as lists of comma-separated values, and strings for choices too.
func promptFlags(prompts map[string]any) (flags []string) {
	for _, prompt := range slices.Sorted(maps.Keys(prompts)) {
		names, text := []string{"--promptString", "--promptChoice"}, ""
		switch value := prompts[prompt].(type) {
		case bool:
			names, text = []string{"--promptBool"}, strconv.FormatBool(value)
		case int64:
			names, text = []string{"--promptInt"}, strconv.FormatInt(value, 10)
		case float64: // an integer that went through JSON
			names, text = []string{"--promptInt"}, strconv.FormatFloat(value, 'f', -1, 64)
		default:
			text = fmt.Sprint(value)
		}
		var quoted bytes.Buffer
		w := csv.NewWriter(&quoted)
		w.Write([]string{prompt + "=" + text}) //nolint:errcheck // to memory
		w.Flush()
		for _, name := range names {
			flags = append(flags, name, strings.TrimSuffix(quoted.String(), "\n"))
		}
	}
	return flags
}

// unanswered lists the questions of a config template that have neither an answer
// nor a default. chezmoi would ask them, and find nobody there. A question whose
// text is no literal cannot be told; it gets chezmoi's default.
func unanswered(template string, prompts map[string]any) (open []string) {
	for _, action := range actions(template) {
		for i, t := range action {
			kind, ok := strings.CutPrefix(t.text, "prompt")
			if t.kind != word || !ok {
				continue
			}
			args := action[i+1:]
			before := 0 // arguments before the text of the question
			kind, once := strings.CutSuffix(kind, "Once")
			if once {
				before = 2
			}
			after := 0 // between it and the default
			if kind == "Choice" || kind == "Multichoice" {
				after = 1
			}
			list := arguments(args)
			if len(list) <= before || len(list) > before+1+after || list[before].kind != literal {
				continue
			}
			if _, ok := prompts[list[before].text]; !ok && !slices.Contains(open, list[before].text) {
				open = append(open, list[before].text)
			}
		}
	}
	return open
}
