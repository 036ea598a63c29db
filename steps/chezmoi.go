package steps

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"movein/bootstrap"
	"movein/bootstrap/host"
	"movein/distro"
)

// chezmoi drives the real chezmoi for the user's dotfiles: it is asked what it
// wants, and told to make it so, without a question and without a terminal.
//
//	z, ok := newChezmoi(v, f, c, out)   // false: no dotfiles are asked for
//	z.unchanged(v, key)                 // the last look found nothing to do, and nothing was touched since
//	l, err := z.look(ctx, v)            // claims, scripts, what had to be skipped
//	z.remember(v, key, l)               // the caller found nothing to do in l
//	err = z.apply(ctx, h, l, leave)     // after everything in the way was backed up
//
// Its config file is written only when there is none, its state database is read
// and written by itself alone, and it never updates the source: the clone is
// dotfiles-repo's. None of its exit codes is taken for "something differs".
//
// The commands that look are run with --dry-run. chezmoi runs the user's
// read-source-state hooks and modify_ programs for them all the same, evaluates
// templates and may download externals to its cache, as "chezmoi status" does.
type chezmoi struct {
	c      *Config
	bin    string // absolute
	out    string // the built generation, whose programs come first; "": none
	source string

	patience time.Duration // 0: lookPatience
}

// newChezmoi is chezmoi for this user's dotfiles with the built generation out
// ("": none). ok is false when no dotfiles are asked for; z.bin is "" when there is
// no chezmoi, which chezmoi-fetch mends.
func newChezmoi(v host.View, f *distro.Facts, c *Config, out string) (z chezmoi, ok bool) {
	if c.Dotfiles == "" || c.Dotfiles == "none" {
		return chezmoi{}, false
	}
	dir, _ := c.DotfilesDir()
	return chezmoi{c: c, bin: findChezmoi(v, f, c, out), out: out, source: dir}, true
}

// findChezmoi is the chezmoi to use: the generation's, else the host's, else the
// one that chezmoi-fetch has fetched; "" if there is none.
func findChezmoi(v host.View, f *distro.Facts, c *Config, out string) string {
	if own := out + "/home-path/bin/chezmoi"; out != "" && leads(v, own) {
		return own
	}
	if bin, err := v.LookPath("chezmoi"); err == nil {
		return bin
	}
	if r, err := wantedChezmoi(f, c); err == nil && exists(v, r.file(c)) {
		return r.file(c)
	}
	return ""
}

// AgentDir is the variable that tells programs that chezmoi starts where the vault is open.
const AgentDir = "MOVEIN_AGENT_DIR"

// cmd is a command of chezmoi. It finds programs in the built generation first:
// what templates and scripts use may come from the home.
func (z chezmoi) cmd(args ...string) *host.Cmd {
	cmd := &host.Cmd{
		Args: append([]string{z.bin, "--no-tty", "--no-pager", "--color=false", "--progress=false", "--source", z.source, "--destination", z.c.Home}, args...),
		Env: []string{"XDG_CONFIG_HOME=" + z.c.ConfigHome, "XDG_DATA_HOME=" + z.c.DataHome,
			"XDG_STATE_HOME=" + z.c.StateHome, "XDG_CACHE_HOME=" + z.c.CacheHome},
		Dir: z.c.Home,
	}
	if z.c.Shims != "" { // secrets come from the vault that is open, whose password nobody has to give again
		cmd.Path, cmd.Stdin = []string{z.c.Shims}, []byte("unused\n")
		cmd.Env = append(cmd.Env, AgentDir+"="+filepath.Dir(z.c.Shims))
	}
	if z.out != "" {
		cmd.Path = append(cmd.Path, filepath.Join(z.out, "home-path/bin"))
	}
	return cmd
}

// ask runs a command that only looks. When the user has no config yet, it is the
// one that apply would write. It does not wait for ever: chezmoi may open what is in
// the home, and run what is in the dotfiles.
func (z chezmoi) ask(ctx context.Context, v host.View, fresh *freshConfig, args ...string) ([]byte, error) {
	cmd := z.cmd(append(args, "--dry-run")...)
	if fresh != nil {
		cmd.Args = append(cmd.Args, "--config", "/dev/fd/3", "--config-format", fresh.format, "--persistent-state", z.state())
		cmd.File = fresh.data
	}
	return z.query(ctx, v, cmd)
}

func (z chezmoi) query(ctx context.Context, v host.View, cmd *host.Cmd) ([]byte, error) {
	most := cmp.Or(z.patience, lookPatience)
	asking, done := context.WithTimeout(ctx, most)
	defer done()
	res, err := v.Query(asking, cmd)
	if err != nil && asking.Err() != nil && ctx.Err() == nil {
		err = bootstrap.Hint(fmt.Errorf("no answer within %s: %w", most, err), "see what it waits for: chezmoi --source %s diff", z.source)
	}
	if z.c.Shims != "" {
		res.Stdout = passwordPrompt().ReplaceAll(res.Stdout, nil)
	}
	return res.Stdout, err
}

// passwordPrompt is what chezmoi writes to standard output, before all else, when a template
// asks for an entry of a vault, whoever gives it the password.
var passwordPrompt = pattern(`\AEnter password to unlock [^\n\x00]*?\.[kK][dD][bB][xX]: `)

// state is the state database, unless the user's config names another.
func (z chezmoi) state() string {
	return filepath.Join(z.c.ConfigHome, "chezmoi", "chezmoistate.boltdb")
}

// ownFiles are the files below the home that are chezmoi's own and that it changes when
// it applies: the state database, and its config if there is none yet. They are backed up
// with what it makes. A database that remembers what was taken back would have
// every file look edited, so one that cannot be backed up is refused.
func (z chezmoi) ownFiles(ctx context.Context, v host.View, fresh *freshConfig) (paths []string, err error) {
	state := z.state()
	if fresh != nil && namesState(string(fresh.data)) || fresh == nil && z.namesState(v) {
		if state, err = z.namedState(ctx, v, fresh); err != nil {
			return nil, err
		}
	}
	names := []string{state}
	if fresh != nil {
		names = append(names, z.configFile(fresh.format))
	}
	top := endOf(v, z.c.Home)
	for _, name := range names {
		rel, err := filepath.Rel(top, endOf(v, name))
		if err != nil || !filepath.IsLocal(rel) {
			return nil, bootstrap.Hint(bootstrap.Refuse("%s is not in your home, so chezmoi's part of a change could not be taken back", name),
				"have it there: mind XDG_CONFIG_HOME, persistentState in chezmoi's config, and links on the way")
		}
		paths = append(paths, rel)
	}
	return paths, nil
}

// namedState is the state database that the config names.
func (z chezmoi) namedState(ctx context.Context, v host.View, fresh *freshConfig) (string, error) {
	const what = "asking chezmoi where its state is"
	cmd := z.cmd("dump-config", "--format=json", "--dry-run")
	if fresh != nil {
		cmd.Args = append(cmd.Args, "--config", "/dev/fd/3", "--config-format", fresh.format)
		cmd.File = fresh.data
	}
	out, err := z.query(ctx, v, cmd)
	if err != nil {
		return "", z.explain(what, err)
	}
	var config struct{ PersistentState string }
	if err := json.Unmarshal(out, &config); err != nil {
		return "", fmt.Errorf("%s: %w", what, err)
	}
	return cmp.Or(config.PersistentState, z.state()), nil
}

// endOf is where name is when all links on the way are followed.
func endOf(v host.View, name string) string {
	for range 40 {
		next, more := follow(v, name)
		if !more {
			break
		}
		name = next
	}
	return name
}

// explain turns what chezmoi complains of into one clear error: what was being
// done, what chezmoi says, and what to do.
func (z chezmoi) explain(what string, err error) error {
	cmd, ok := errors.AsType[*host.CommandError](err)
	if !ok || errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%s: %w", what, err)
	}
	said := chezmoiSays(cmd.Stderr)
	if said == "" || errors.Is(err, context.Canceled) {
		return fmt.Errorf("%s: %w", what, err)
	}
	err = &complaint{what + ": chezmoi: " + said, err}
	switch {
	case strings.Contains(said, "unknown flag"), strings.Contains(said, "unknown command"):
		return bootstrap.Hint(err, "%s is too old; have %s or later in home.packages or on PATH", z.bin, "2.70")
	case strings.Contains(said, "persistent state"), strings.Contains(said, "timeout"):
		return bootstrap.Hint(err, "another chezmoi is running; run the same command again when it is done")
	case strings.Contains(said, "dial tcp"), strings.Contains(said, "no such host"):
		return bootstrap.Exit(bootstrap.ExitUnreachable, bootstrap.Hint(err, "an external of the dotfiles cannot be reached: check the network and run the same command again"))
	case strings.HasSuffix(said, ": "+syscall.ENOTDIR.Error()) && !strings.Contains(said, " template: "): // it, and no template, looks at a path whose directory is something else
		return bootstrap.Exit(bootstrap.ExitRefused, bootstrap.Hint(err, "what should be a directory on the way there is none: move it away and run the same command again"))
	case strings.Contains(said, "template"), strings.Contains(said, "config"):
		return bootstrap.Exit(bootstrap.ExitConfig, bootstrap.Hint(err, "mend it in %s and run the same command again; look with: chezmoi --source %s diff", z.source, z.source))
	}
	return bootstrap.Hint(err, "look with: chezmoi --source %s diff; then run the same command again", z.source)
}

// complaint is an error with a text of its own.
type complaint struct {
	text string
	err  error
}

func (c *complaint) Error() string { return c.text }
func (c *complaint) Unwrap() error { return c.err }

// chezmoiSays is what chezmoi itself says went wrong, without its warnings and
// without what scripts and other programs wrote.
func chezmoiSays(stderr string) string {
	var said []string
	for line := range strings.Lines(stderr) {
		text, ok := strings.CutPrefix(strings.TrimSpace(line), "chezmoi: ")
		if ok && !strings.HasPrefix(text, "warning: ") {
			said = append(said, text)
		}
	}
	return strings.Join(said, "; ")
}
