package steps

import (
	"context"
	"strings"
	"syscall"
	"testing"
	"time"

	"movein/bootstrap"
)

func TestChezmoiDoesNotWaitForEver(t *testing.T) {
	for source, pipe := range map[string]string{
		"create_dot_a": ".a",
		"dot_config/exact_b/modify_private_c.tmpl": ".config/b/c",
	} {
		d := newRealDots(t, files{source: "{{/* chezmoi:modify-template */}}"})
		d.put(d.home(pipe), "")
		if err := syscall.Unlink(d.home(pipe)); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Mkfifo(d.home(pipe), 0o600); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		_, err := d.z.look(context.Background(), d.h)
		if bootstrap.ExitCode(err) != bootstrap.ExitRefused || !strings.Contains(err.Error(), d.home(pipe)) || time.Since(began) > 20*time.Second {
			t.Errorf("%s: %v", source, err)
		}
	}
	d := newRealDots(t, files{"a.tmpl": `{{ output "sleep" "100" }}`})
	d.z.patience = time.Second
	_, err := d.z.look(context.Background(), d.h)
	if err == nil || !strings.Contains(err.Error(), "no answer within") || bootstrap.HintOf(err) == "" {
		t.Error(err)
	}
	d = newRealDots(t, files{"create_a": "1"})
	d.put(d.home("a"), "-> /dev/null")
	d.look()
}

func TestChezmoiShowsNoSecretOfPrograms(t *testing.T) {
	d := newRealDots(t, files{
		"a.tmpl":                    `{{ output "echo" "hush" }}`,
		"b.tmpl":                    `{{ if true }}{{ env "TOKEN" }}{{ end }}x`,
		"c.tmpl":                    `{{ includeTemplate "part" . }}`,
		"d.tmpl":                    `{{ template "part" . }}`,
		"e.tmpl":                    `{{ include (joinPath .chezmoi.sourceDir "open.tmpl") }}`,
		"modify_f":                  "#!/bin/sh\necho hush",
		"g.tmpl":                    "{{/* chezmoi:template:left-delimiter=<< right-delimiter=>> */}}\n<< env \"TOKEN\" >>x",
		"i.tmpl":                    `{{ includeTemplate "loop" . }}`,
		".chezmoitemplates/part":    `{{ includeTemplate "deep/er" . }}`,
		".chezmoitemplates/deep/er": `{{ "hush" | printf "%s" | quote }}{{ exec "true" }}`,
		".chezmoitemplates/loop":    `{{ if false }}{{ template "loop" . }}{{ end }}shown`,
		"open.tmpl":                 `{{ env "HOME" }} {{ .chezmoi.os }} {{ include "plain" }}`,
		"plain":                     "output env",
	})
	l := d.look()
	for _, c := range l.Claims {
		shown := c.Path == "open" || c.Path == "plain" || c.Path == "i"
		if c.Secret == shown || (c.Text != nil) != shown {
			t.Errorf("%s: secret %v, text %q", c.Path, c.Secret, c.Text)
		}
	}
	if len(l.Claims) != 10 {
		t.Error(len(l.Claims))
	}
}
