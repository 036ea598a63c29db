package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/ssh"
)

// IsSSH reports whether a name is an address on an ssh server: ssh://… or, as scp and git
// have it, [USER@]HOST:PATH.
func IsSSH(name string) bool { return parseGitURL(name).scheme == "ssh" }

// ReadSSH returns what is in a file on an ssh server, most bytes at the most. A path that
// begins with no slash, or with /~/, is below the home there. Errors: ErrHostKey, ErrLogin
// and *UnreachableError, as those of a repository.
func (l *Logins) ReadSSH(ctx context.Context, address string, most int64) ([]byte, error) {
	data, err := l.readSSH(ctx, parseGitURL(address), most)
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return nil, remoteError(BareURL(address), err)
	}
	return data, nil
}

func (l *Logins) readSSH(ctx context.Context, u gitURL, most int64) ([]byte, error) {
	address, config, done, err := l.ssh(ctx, u, true)
	if err != nil {
		return nil, err
	}
	defer done()
	c, client, err := newSSH(ctx, address, config)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	session, err := client.NewSession()
	if err != nil {
		return nil, err
	}
	var out, said bytes.Buffer
	session.Stdout, session.Stderr = &atMost{&out, most}, &atMost{&said, 4 << 10}
	c.serves()
	err = session.Run("cat -- " + shellQuote(strings.TrimPrefix(u.path, "/~/")))
	if _, ok := errors.AsType[*ssh.ExitError](err); ok {
		err = fmt.Errorf("the server says: %s", strings.TrimSpace(said.String()))
	}
	return out.Bytes(), err
}

// atMost is a buffer that takes no more than so many bytes.
type atMost struct {
	to   *bytes.Buffer
	most int64
}

func (a *atMost) Write(p []byte) (int, error) {
	if int64(a.to.Len()+len(p)) > a.most {
		return 0, fmt.Errorf("it is larger than %d bytes", a.most)
	}
	return a.to.Write(p)
}
