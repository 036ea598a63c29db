package steps

import (
	"context"
	"maps"
	"slices"
	"strings"

	"movein/bootstrap/host"
	"movein/steps/home"
)

// apply makes the home as l has it. Nobody is asked: whatever is in the way is
// replaced, so the caller has backed it up. What is in leave (paths below the
// home: edited files that are kept, files that are another's) and all below it is
// not touched, nor what look had to skip.
//
// Without any of these it is one plain "chezmoi apply". Else chezmoi is given the
// list of its targets: it has no flag to leave one out, and an ignore file could only
// be added to a copy of the source, where .chezmoi.sourceDir, CHEZMOI_SOURCE_DIR and
// the links of mode = "symlink" would be wrong. A list loses the order of scripts,
// so there are three: scripts that run before, everything else, scripts that run
// after. (Hooks of the user's config then run with each.)
func (z chezmoi) apply(ctx context.Context, h host.Host, l *chezmoiLook, leave []string) error {
	if l.fresh != nil {
		if err := z.writeConfig(ctx, h, l.fresh); err != nil {
			return err
		}
	}
	left := l.leftOut(leave)
	if len(left) == 0 {
		return z.run(ctx, h)
	}
	for _, order := range []string{"before", "", "after"} {
		names := []string{"--recursive=false"}
		for _, name := range slices.Sorted(maps.Keys(l.targets)) {
			if l.targets[name].order == order && !left[name] {
				names = append(names, z.c.Home+"/"+name)
			}
		}
		if len(names) > 1 {
			if err := z.runMany(ctx, h, names); err != nil {
				return err
			}
		}
	}
	return nil
}

// argumentsMost is how many bytes of names go into one command: Linux takes 2 MiB
// with the environment.
const argumentsMost = 1 << 20

// runMany applies the targets, the flag before them, with as many commands as it takes.
func (z chezmoi) runMany(ctx context.Context, h host.Host, names []string) error {
	flag, names := names[0], names[1:]
	for len(names) > 0 {
		n, size := 0, 0
		for n < len(names) && (n == 0 || size+len(names[n]) < argumentsMost) {
			size += len(names[n]) + 9 // its end and its pointer
			n++
		}
		if err := z.run(ctx, h, append([]string{flag}, names[:n]...)...); err != nil {
			return err
		}
		names = names[n:]
	}
	return nil
}

func (z chezmoi) run(ctx context.Context, h host.Host, args ...string) error {
	cmd := z.cmd(append([]string{"apply", "--force"}, args...)...)
	cmd.Lines = func(line string) {
		if text, ok := strings.CutPrefix(line, "chezmoi: warning: "); ok {
			h.Warn("chezmoi: %s", text)
		}
	}
	if _, err := h.Run(ctx, cmd); err != nil {
		return z.explain("applying the dotfiles", err)
	}
	return nil
}

// leftOut are the targets that are not to be applied: those in leave and below it,
// those that were skipped, and what would take a directory away that has one in it.
func (l *chezmoiLook) leftOut(leave []string) map[string]bool {
	leave = slices.Clone(leave)
	for _, s := range l.Skipped {
		leave = append(leave, s.Path)
	}
	dirs := map[string]bool{}
	for _, c := range l.Claims {
		dirs[c.Path] = c.Kind == home.Dir
	}
	out := map[string]bool{}
	for name, s := range l.targets {
		within := slices.ContainsFunc(leave, func(p string) bool { return strings.HasPrefix(p, name+"/") })
		if isIn(name, leave) || dirs[name] && slices.Contains(l.through, name) || within && !dirs[name] && !s.script {
			out[name] = true
		}
	}
	return out
}

// isIn reports whether name is one of the paths or below one.
func isIn(name string, paths []string) bool {
	return slices.ContainsFunc(paths, func(p string) bool { return name == p || strings.HasPrefix(name, p+"/") })
}
