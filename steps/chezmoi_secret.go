package steps

import (
	"context"
	"errors"
	"maps"
	"slices"
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
