// Package secret gets at secrets: the vault's master password, the vault, and the values in it.
//
// Values are kdbx.Secret from the moment they are read. No error has one in it.
package secret

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"movein/bootstrap/host"
	"movein/bootstrap/host/kdbx"
)

// What can be wrong with a password's source.
var (
	// ErrNoPassword says that no source of the master password is given and nobody is there to ask.
	ErrNoPassword = errors.New("the vault is locked, and nobody is there to ask for its master password")
	// ErrLater says that who was asked wants to give the password another time.
	ErrLater = errors.New("the vault stays locked")
	// ErrSource says that the source that was given brought no password.
	ErrSource = errors.New("no master password")
)

// Ways names the ways to give a master password: what to do about ErrNoPassword.
const Ways = "give it with --password-file FILE (- is standard input), --password-fd N or --password-command COMMAND, " +
	"as the systemd credential " + credential + ", or run the command on a terminal; to go on without what is in it: --without-secrets"

const (
	credential  = "movein.vault-password"
	longest     = 64 << 10 // of a password, in bytes
	tries       = 3        // of who is asked
	askpassWait = 120 * time.Second
	commandWait = 120 * time.Second
)

// Sources are where the master password can come from. Of FD, File, Command and
// CredentialsDir the first that is given is used, and its failure is an error. If none
// is given the Keyring is asked, and then, if Ask says so, a person.
type Sources struct {
	FD             string // number of an open file
	File           string // "-": standard input
	Command        string // split into words as Split does; its first line of output counts
	CredentialsDir string // systemd's; given if it has a movein.vault-password
	Keyring        func(ctx context.Context) (kdbx.Secret, error)
	Other          Giver // of a process that has what this one has not: a file, a terminal; nil: there is none

	Ask     bool       // on the terminal; where there is none, by Askpass
	Askpass string     // a program that prints what somebody types into its window; "": none
	Asking  func()     // called before somebody is asked; may be nil
	Host    *host.Real // runs commands; its Env is theirs
	Owners  []int      // users whose files may hold a password, beside this process's and root
	Vault   string     // for prompts

	tty string // "": /dev/tty
}

// A Giver gives a password: with no prompt one that it was given, with one what somebody
// types. there is false if it was given none, or nobody can be asked.
type Giver func(ctx context.Context, prompt string) (pw kdbx.Secret, there bool, err error)

// Give is the Giver that these sources are to a process that has none of them.
func (s *Sources) Give(ctx context.Context, prompt string) (pw kdbx.Secret, there bool, err error) {
	if prompt == "" {
		return s.given(ctx)
	}
	ask := s.asker()
	if ask == nil {
		return pw, false, nil
	}
	if s.Asking != nil {
		s.Asking()
	}
	pw, err = ask(ctx, prompt)
	return pw, true, err
}

// Unlock gives passwords to open until it takes one. A wrong one that a person typed is
// asked for again, three times in all; one from any other source is not. open wraps
// kdbx.ErrWrongKey when the password was wrong.
func (s Sources) Unlock(ctx context.Context, open func(kdbx.Secret) error) error {
	if s.Asking != nil {
		s.Asking = sync.OnceFunc(s.Asking)
	}
	pw, given, err := s.given(ctx)
	if !given && err == nil && s.Other != nil {
		pw, given, err = s.Other(ctx, "")
	}
	if err != nil {
		return err
	}
	if given {
		return open(pw)
	}
	kept := error(nil) // why the keyring's is of no use
	if s.Keyring != nil {
		pw, err := s.Keyring(ctx)
		if err == nil {
			if err = open(pw); !errors.Is(err, kdbx.ErrWrongKey) {
				return err
			}
			err = fmt.Errorf("the master password in the keyring is not right any more: %w", err)
		}
		kept = err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	give := s.Give
	if s.Other != nil {
		give = s.Other
	}
	err = s.ask(ctx, give, open)
	if kept != nil && errors.Is(err, ErrNoPassword) {
		return fmt.Errorf("%w; %w", ErrNoPassword, kept)
	}
	return err
}

// ask asks until open takes what is said.
func (s *Sources) ask(ctx context.Context, give Giver, open func(kdbx.Secret) error) error {
	prompt := "Master password of " + filepath.Base(s.Vault) + " (empty: later): "
	for n := 1; ; n++ {
		pw, there, err := give(ctx, prompt)
		if err != nil {
			return err
		}
		if !there {
			return ErrNoPassword
		}
		if err = open(pw); n == tries || !errors.Is(err, kdbx.ErrWrongKey) {
			return err
		}
		prompt = fmt.Sprintf("That is not it. Master password (%d of %d): ", n+1, tries)
	}
}

// given is the password from the first source that is given.
func (s *Sources) given(ctx context.Context) (pw kdbx.Secret, given bool, err error) {
	var from string
	switch file := filepath.Join(s.CredentialsDir, credential); {
	case s.FD != "":
		from = "file descriptor " + s.FD
		pw, err = s.fromFD(ctx)
	case s.File != "":
		from = "file " + s.File
		pw, err = waited(ctx, func() (kdbx.Secret, error) { return s.fromFile(s.File, true) })
	case s.Command != "":
		from = "command"
		pw, err = s.fromCommand(ctx)
	case s.CredentialsDir != "" && there(file):
		from = "credential " + file
		pw, err = waited(ctx, func() (kdbx.Secret, error) { return s.fromFile(file, false) })
	default:
		return pw, false, nil
	}
	if err != nil {
		return kdbx.Secret{}, true, fmt.Errorf("%w from %s: %w", ErrSource, from, err)
	}
	return pw, true, nil
}

func there(name string) bool {
	_, err := os.Lstat(name)
	return err == nil
}

func (s *Sources) fromFD(ctx context.Context) (kdbx.Secret, error) {
	n, err := strconv.Atoi(s.FD)
	if err != nil || n < 0 || n == 1 || n == 2 {
		return kdbx.Secret{}, errors.New("it is no number of a file that is open for reading")
	}
	var st unix.Stat_t
	if err := unix.Fstat(n, &st); err != nil {
		return kdbx.Secret{}, err
	}
	if err := readable(st.Mode); err != nil {
		return kdbx.Secret{}, err
	}
	// A file of this program's own has that mark; one that it was started with has not.
	if flags, err := unix.FcntlInt(uintptr(n), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC != 0 {
		return kdbx.Secret{}, unix.EBADF
	}
	unix.CloseOnExec(n)
	return waited(ctx, func() (kdbx.Secret, error) {
		f := os.NewFile(uintptr(n), "password")
		defer f.Close()
		return firstLine(f)
	})
}

// fromFile reads the password from a file, through links: /dev/stdin and what a shell's
// <(…) makes are links. mine: a regular file must be for its owner alone.
func (s *Sources) fromFile(name string, mine bool) (kdbx.Secret, error) {
	f := os.Stdin
	if name != "-" {
		var err error
		if f, err = os.Open(name); err != nil {
			return kdbx.Secret{}, errors.Unwrap(err)
		}
		defer f.Close()
	}
	info, err := f.Stat()
	if err != nil {
		return kdbx.Secret{}, err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return kdbx.Secret{}, errors.New("its owner is unknown")
	}
	if err := readable(st.Mode); err != nil {
		return kdbx.Secret{}, err
	}
	if mine && name != "-" && info.Mode().IsRegular() {
		if owner := int(st.Uid); owner != 0 && owner != os.Geteuid() && !slices.Contains(s.Owners, owner) {
			return kdbx.Secret{}, fmt.Errorf("it belongs to user %d", owner)
		}
		if perm := info.Mode().Perm(); perm&0o077 != 0 {
			return kdbx.Secret{}, fmt.Errorf("others may read it (mode %04o); make it your own: chmod 600 %s", perm, name)
		}
	}
	return firstLine(f)
}

// readable refuses what no password comes from.
func readable(mode uint32) error {
	switch mode & unix.S_IFMT {
	case unix.S_IFREG, unix.S_IFIFO, unix.S_IFSOCK, unix.S_IFCHR:
		return nil
	}
	return errors.New("it is neither a file nor a pipe")
}

// firstLine is the first line of what comes from f, without its end; typed unseen, if f is a terminal.
func firstLine(f *os.File) (kdbx.Secret, error) {
	var line []byte
	var err error
	if fd := int(f.Fd()); term.IsTerminal(fd) {
		line, err = term.ReadPassword(fd)
	} else {
		line, err = readLine(f)
	}
	defer clear(line)
	if err != nil {
		return kdbx.Secret{}, err
	}
	return password(line)
}

// readLine reads until the end of a line, and not what comes later.
func readLine(r io.Reader) ([]byte, error) {
	buf := make([]byte, 0, longest+1)
	for len(buf) <= longest {
		n, err := r.Read(buf[len(buf):min(cap(buf), len(buf)+4096)])
		buf = buf[:len(buf)+n]
		if bytes.IndexByte(buf[len(buf)-n:], '\n') >= 0 || errors.Is(err, io.EOF) {
			return buf, nil
		}
		if err != nil {
			clear(buf)
			return nil, err
		}
	}
	if bytes.IndexByte(buf, '\n') < 0 {
		clear(buf)
		return nil, fmt.Errorf("its first line is longer than %d bytes", longest)
	}
	return buf, nil
}

// password is what a line says.
func password(line []byte) (kdbx.Secret, error) {
	line, _, _ = bytes.Cut(line, []byte("\n"))
	line = bytes.TrimSuffix(line, []byte("\r"))
	if len(line) == 0 {
		return kdbx.Secret{}, errors.New("its first line is empty")
	}
	return kdbx.NewSecret(string(line)), nil
}

func (s *Sources) fromCommand(ctx context.Context) (kdbx.Secret, error) {
	args, err := Split(s.Command)
	if err != nil {
		return kdbx.Secret{}, err
	}
	return s.output(ctx, commandWait, args)
}

// output is the first line that a command writes.
func (s *Sources) output(ctx context.Context, wait time.Duration, args []string) (kdbx.Secret, error) {
	within, done := context.WithTimeoutCause(ctx, wait, fmt.Errorf("nothing came within %s", wait))
	defer done()
	res, err := s.Host.Run(within, &host.Cmd{Args: args, TTY: s.Ask}) // it may ask on the terminal
	defer clear(res.Stdout)
	if err != nil {
		return kdbx.Secret{}, err
	}
	if i := bytes.IndexByte(res.Stdout, '\n'); i > longest || i < 0 && len(res.Stdout) > longest {
		return kdbx.Secret{}, fmt.Errorf("its first line is longer than %d bytes", longest)
	}
	return password(res.Stdout)
}

// An asker asks a person once. An empty answer is ErrLater.
type asker func(ctx context.Context, prompt string) (kdbx.Secret, error)

// asker is the way to ask somebody; nil: there is nobody.
func (s *Sources) asker() asker {
	if !s.Ask {
		return nil
	}
	name := s.tty
	if name == "" {
		name = "/dev/tty"
	}
	if tty, err := os.OpenFile(name, os.O_RDWR, 0); err == nil {
		group, err := unix.IoctlGetInt(int(tty.Fd()), unix.TIOCGPGRP)
		tty.Close()
		if err == nil && group != unix.Getpgrp() {
			return nil // a program that was started in the background would be stopped
		}
		return func(ctx context.Context, prompt string) (kdbx.Secret, error) { return askTTY(ctx, name, prompt) }
	}
	if s.Askpass == "" {
		return nil
	}
	return func(ctx context.Context, prompt string) (kdbx.Secret, error) {
		pw, err := s.output(ctx, askpassWait, []string{s.Askpass, prompt})
		switch cmd, ended := errors.AsType[*host.CommandError](err); {
		case ctx.Err() != nil:
			return pw, context.Cause(ctx)
		case ended && cmd.Code == 1, err != nil && !ended: // closed; or empty
			return kdbx.Secret{}, ErrLater
		case err != nil:
			return kdbx.Secret{}, fmt.Errorf("%w from %s: %w", ErrSource, s.Askpass, err)
		}
		return pw, nil
	}
}

// askTTY asks on a terminal, which is as it was before when askTTY returns.
func askTTY(ctx context.Context, name, prompt string) (kdbx.Secret, error) {
	tty, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return kdbx.Secret{}, fmt.Errorf("asking for the master password: %w", err)
	}
	fd := int(tty.Fd())
	state, err := term.GetState(fd)
	if err != nil {
		tty.Close()
		return kdbx.Secret{}, fmt.Errorf("asking for the master password: %w", err)
	}
	if _, err := io.WriteString(tty, prompt); err != nil {
		tty.Close()
		return kdbx.Secret{}, fmt.Errorf("asking for the master password: %w", err)
	}
	defer func() {
		term.Restore(fd, state)   //nolint:errcheck // the terminal is gone
		io.WriteString(tty, "\n") //nolint:errcheck // as above
		if ctx.Err() == nil {
			tty.Close() // else it is read from still
		}
	}()
	return waited(ctx, func() (kdbx.Secret, error) {
		line, err := term.ReadPassword(fd)
		defer clear(line)
		if errors.Is(err, io.EOF) || err == nil && len(line) == 0 {
			return kdbx.Secret{}, ErrLater
		}
		if err != nil {
			return kdbx.Secret{}, fmt.Errorf("asking for the master password: %w", err)
		}
		return password(line)
	})
}

// errNoTTY says that there is no terminal.
var errNoTTY = errors.New("there is no terminal")

// answerTTY asks something that is no secret; name "": on /dev/tty. The answer is without
// the white space around it.
func answerTTY(ctx context.Context, name, question string) (string, error) {
	if name == "" {
		name = "/dev/tty"
	}
	tty, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return "", errNoTTY
	}
	if _, err := io.WriteString(tty, question); err != nil {
		return "", errNoTTY
	}
	return waited(ctx, func() (string, error) {
		defer tty.Close()
		line, err := bufio.NewReader(tty).ReadString('\n')
		if errors.Is(err, io.EOF) {
			err = nil
		}
		return strings.TrimSpace(line), err
	})
}

// waited is what read returns, or the cause of ctx if that ends first.
func waited[T any](ctx context.Context, read func() (T, error)) (T, error) {
	type answer struct {
		value T
		err   error
	}
	got := make(chan answer, 1)
	go func() {
		value, err := read()
		got <- answer{value, err}
	}()
	select {
	case a := <-got:
		return a.value, a.err
	case <-ctx.Done():
		var none T
		return none, context.Cause(ctx)
	}
}

// Split splits a command into words at white space. Quotes and the backslash are as in
// a shell; nothing else is: who wants a shell says sh -c '…'.
func Split(command string) (words []string, err error) {
	var word strings.Builder
	in, quote, escaped := false, rune(0), false
	for _, r := range command {
		switch {
		case escaped:
			if quote == '"' && r != '"' && r != '\\' {
				word.WriteRune('\\')
			}
			word.WriteRune(r)
			escaped = false
		case r == '\\' && quote != '\'':
			escaped, in = true, true
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(r)
		case r == '\'' || r == '"':
			quote, in = r, true
		case strings.ContainsRune(" \t\r\n", r):
			if in {
				words = append(words, word.String())
				word.Reset()
				in = false
			}
		default:
			word.WriteRune(r)
			in = true
		}
	}
	if quote != 0 || escaped {
		return nil, errors.New("the command has a quote that does not end")
	}
	if in {
		words = append(words, word.String())
	}
	if len(words) == 0 || words[0] == "" {
		return nil, errors.New("the command is empty")
	}
	return words, nil
}
