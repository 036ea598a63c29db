package steps

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"movein/bootstrap/host"
)

// How long chezmoi may take for one answer, and for one secret when some are not to
// be had: a keyring that waits for somebody who is not there would never answer.
const (
	lookPatience   = 2 * time.Minute
	secretPatience = 15 * time.Second
	secretsAtAll   = time.Minute
)

// secretWords are template functions that are no password manager's, and may give a
// secret all the same.
var secretWords = strings.Fields(`output outputList exec decrypt decryptAES env expandenv derivePassword htpasswd bcrypt
	genPrivateKey genCA genCAWithKey genSelfSignedCert genSelfSignedCertWithKey genSignedCert genSignedCertWithKey
	randAlpha randAlphaNum randNumeric randAscii randBytes`)

// mayTell reports whether the content of a target may have a secret in it that chezmoi
// does not know as one: its template calls one of secretWords or reads what is not in
// the source, or a program makes it.
func (z chezmoi) mayTell(v host.View, s sourced) bool {
	if !s.template && !s.modify {
		return false
	}
	text := readText(v, s.path)
	if !s.template && !strings.Contains(text, "chezmoi:modify-template") {
		return true
	}
	return z.tells(v, text, map[string]bool{})
}

// tells is mayTell of a template's text and of the templates that it has in it.
func (z chezmoi) tells(v host.View, text string, seen map[string]bool) bool {
	if strings.Contains(text, "chezmoi:template:") || calls(text, secretWords) != "" { // its own delimiters
		return true
	}
	for _, action := range actions(text) {
		for i, t := range action {
			if t.kind != word || t.text != "template" && t.text != "includeTemplate" || i+1 == len(action) || action[i+1].kind != literal {
				continue
			}
			name := action[i+1].text
			if seen[name] {
				continue
			}
			seen[name] = true
			for _, file := range []string{filepath.Join(z.root(v), ".chezmoitemplates", name), filepath.Join(z.root(v), name)} {
				if z.tells(v, readText(v, file), seen) {
					return true
				}
			}
		}
	}
	return false
}

// private knows the values that the config has for templates and programs: it is its
// user's own, and any of them may be a secret.
func (z chezmoi) private(ctx context.Context, v host.View, fresh *freshConfig) (*host.Redactor, error) {
	what := "asking chezmoi for its config"
	out, err := z.ask(ctx, v, fresh, "dump-config", "--format=json")
	if err != nil {
		return nil, z.explain(what, err)
	}
	var config struct{ Data, Env, ScriptEnv any }
	in := json.NewDecoder(bytes.NewReader(out))
	in.UseNumber()
	if err := in.Decode(&config); err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	r := &host.Redactor{}
	var add func(value any)
	add = func(value any) {
		switch value := value.(type) {
		case map[string]any:
			for _, inner := range value {
				add(inner)
			}
		case []any:
			for _, inner := range value {
				add(inner)
			}
		case string:
			r.Add(value)
		case json.Number:
			r.Add(value.String())
		}
	}
	add([]any{config.Data, config.Env, config.ScriptEnv})
	return r, nil
}

// wanted is the target state. Which targets need a secret is not guessed from
// their text: it is those that chezmoi leaves out with --skip-secrets. If the whole
// cannot be had, that tells whether secrets are why; then each of them is tried,
// and those that fail are in l.Skipped.
func (z chezmoi) wanted(ctx context.Context, v host.View, l *chezmoiLook) (map[string]wantedFile, error) {
	files, failed := z.archive(ctx, v, l)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	may := slices.Sorted(maps.Keys(l.targets))
	may = slices.DeleteFunc(may, func(name string) bool {
		s := l.targets[name]
		return !s.template && !s.secret && !s.modify
	})
	if len(may) == 0 {
		if failed != nil {
			return nil, z.explain("asking chezmoi for the dotfiles", failed)
		}
		return files, nil
	}
	open, err := z.archive(ctx, v, l, "--skip-secrets", "--exclude=encrypted")
	if err != nil { // not for a secret, then
		return nil, z.explain("asking chezmoi for the dotfiles", err)
	}
	l.sight.secrets = map[string]bool{}
	for _, name := range may {
		if _, ok := open[name]; ok {
			continue
		}
		if failed == nil {
			_, l.sight.secrets[name] = files[name]
			continue
		}
		l.sight.secrets[name] = true
	}
	if failed == nil {
		return files, nil
	}
	return open, z.try(ctx, v, l, open)
}

// try asks for each target that may need a secret, and adds what is to be had to files.
func (z chezmoi) try(ctx context.Context, v host.View, l *chezmoiLook, files map[string]wantedFile) error {
	all, done := context.WithTimeout(ctx, secretsAtAll)
	defer done()
	for _, name := range slices.Sorted(maps.Keys(l.sight.secrets)) {
		if !l.sight.secrets[name] {
			continue
		}
		one, done := context.WithTimeout(all, secretPatience)
		got, err := z.archive(one, v, l, "--recursive=false", z.c.Home+"/"+name)
		done()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err == nil {
			maps.Copy(files, got)
			_, l.sight.secrets[name] = got[name] // else it is empty, and removed
			continue
		}
		l.Skipped = append(l.Skipped, chezmoiSkip{Path: name, Source: l.targets[name].path, Why: whyNot(err)})
	}
	return nil
}

// whyNot is what chezmoi says of a secret that is not to be had.
func whyNot(err error) string {
	if errors.Is(err, context.DeadlineExceeded) {
		return "nobody answered in time"
	}
	if cmd, ok := errors.AsType[*host.CommandError](err); ok {
		if said := chezmoiSays(cmd.Stderr); said != "" {
			return said
		}
	}
	return err.Error()
}
