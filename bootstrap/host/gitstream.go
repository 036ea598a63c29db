package host

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/transport"
	"golang.org/x/crypto/ssh"
)

// streamRemote is an upload-pack at the other end of a stream (gitprotocol-pack(5)).
type streamRemote struct {
	in     io.WriteCloser
	out    *bufio.Reader
	hangUp func() error
	said   func() string // what it said beside the stream, when that has ended
	asked  bool          // for a pack
}

// dialStream connects over TCP. A server that is silent for long once it serves is given up.
func dialStream(ctx context.Context, address string) (*stallConn, error) {
	c, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return &stallConn{Conn: c}, nil
}

// dialGitPort opens a session with a git daemon, which asks nobody who they are.
func dialGitPort(ctx context.Context, u gitURL) (uploadPack, error) {
	c, err := dialStream(ctx, withPort(u.host, "9418"))
	if err != nil {
		return nil, err
	}
	ask := packp.GitProtoRequest{RequestCommand: transport.UploadPackServiceName, Pathname: u.path, Host: u.host}
	if err := ask.Encode(c); err != nil {
		c.Close()
		return nil, err
	}
	c.serves()
	return &streamRemote{in: writeOnly{c}, out: bufio.NewReader(c), hangUp: c.Close, said: func() string { return "" }}, nil
}

// writeOnly is a connection of which one direction cannot be closed alone.
type writeOnly struct{ io.Writer }

func (writeOnly) Close() error { return nil }

// newSSH logs in at an ssh server.
func newSSH(ctx context.Context, address string, config *ssh.ClientConfig) (*stallConn, *ssh.Client, error) {
	c, err := dialStream(ctx, address)
	if err != nil {
		return nil, nil, err
	}
	defer context.AfterFunc(ctx, func() { c.Close() })()
	conn, channels, requests, err := ssh.NewClientConn(c, address, config)
	if err != nil {
		c.Close()
		return nil, nil, err
	}
	return c, ssh.NewClient(conn, channels, requests), nil
}

// dialSSH opens a session with an ssh server.
func dialSSH(ctx context.Context, address, path string, config *ssh.ClientConfig) (uploadPack, error) {
	c, client, err := newSSH(ctx, address, config)
	if err != nil {
		return nil, err
	}
	defer context.AfterFunc(ctx, func() { c.Close() })()
	s, diag := &streamRemote{hangUp: client.Close}, &tail{}
	session, err := client.NewSession()
	if err == nil {
		session.Stderr = diag
		s.said = func() string {
			s.in.Close()
			session.Wait() //nolint:errcheck // what it said is the reason
			return string(diag.buf)
		}
		s.in, err = session.StdinPipe()
	}
	if err == nil {
		var out io.Reader
		out, err = session.StdoutPipe()
		s.out = bufio.NewReader(out)
	}
	if err == nil {
		err = session.Start(transport.UploadPackServiceName + " " + shellQuote(path))
	}
	if err != nil {
		client.Close()
		return nil, err
	}
	c.serves()
	return s, nil
}

// shellQuote quotes as git does: what a csh would take for its history, too.
func shellQuote(s string) string {
	return "'" + strings.NewReplacer("'", `'\''`, "!", `'\!'`).Replace(s) + "'"
}

func withPort(address, port string) string {
	if _, _, err := net.SplitHostPort(address); err == nil {
		return address
	}
	return net.JoinHostPort(strings.Trim(address, "[]"), port)
}

// AdvertisedReferencesContext reads what the server begins with.
func (s *streamRemote) AdvertisedReferencesContext(ctx context.Context) (*packp.AdvRefs, error) {
	defer context.AfterFunc(ctx, func() { s.hangUp() })() //nolint:errcheck // it is hung up
	refs := packp.NewAdvRefs()
	err := refs.Decode(s.out)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	var said *pktline.ErrorLine
	var unexpected *packp.ErrUnexpectedData
	switch {
	case err == nil && refs.IsEmpty(), errors.Is(err, packp.ErrEmptyAdvRefs):
		return nil, transport.ErrEmptyRemoteRepository
	case err == nil:
		transport.FilterUnsupportedCapabilities(refs.Capabilities)
		return refs, nil
	case errors.As(err, &said):
		return nil, refusal(said.Text, err)
	case errors.As(err, &unexpected):
		return nil, refusal(string(unexpected.Data), err)
	case errors.Is(err, packp.ErrEmptyInput):
		return nil, refusal(s.said(), io.ErrUnexpectedEOF)
	}
	return nil, err
}

// refusal is ErrRepositoryNotFound if a server's text is one of those by which servers say so, else err.
func refusal(text string, err error) error {
	text = strings.ToLower(text)
	for _, sign := range []string{"not found", "not exist", "does not appear to be a git repo", "no such repo", "access denied", "could not be found"} {
		if strings.Contains(text, sign) {
			return transport.ErrRepositoryNotFound
		}
	}
	return err
}

// UploadPack asks for a pack.
func (s *streamRemote) UploadPack(ctx context.Context, req *packp.UploadPackRequest) (*packp.UploadPackResponse, error) {
	if req.IsEmpty() {
		return nil, transport.ErrEmptyUploadPackRequest
	}
	s.asked = true
	stop := context.AfterFunc(ctx, func() { s.hangUp() }) //nolint:errcheck // it is hung up
	err := req.Validate()
	if err == nil {
		err = req.UploadRequest.Encode(s.in)
	}
	if err == nil {
		err = req.UploadHaves.Encode(s.in, true)
	}
	if err == nil {
		err = pktline.NewEncoder(s.in).EncodeString("done\n")
	}
	if err == nil {
		err = s.in.Close()
	}
	res := packp.NewUploadPackResponse(req)
	if err == nil {
		err = res.Decode(&packStream{s.out, stop})
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		stop()
		return nil, err
	}
	return res, nil
}

// packStream is the rest of a stream. Who closes it does not wait for the context any more.
type packStream struct {
	io.Reader
	stop func() bool
}

func (p *packStream) Close() error {
	p.stop()
	return nil
}

// Close ends the session; a server that was asked for nothing is told so.
func (s *streamRemote) Close() error {
	if !s.asked {
		s.in.Write(pktline.FlushPkt) //nolint:errcheck // it is gone already
	}
	return s.hangUp()
}

// stallConn is a connection whose server must not be silent for gitStall once it serves.
type stallConn struct {
	net.Conn
	mu      sync.Mutex
	serving bool
}

func (c *stallConn) serves() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.serving = true
	c.SetReadDeadline(time.Now().Add(gitStall)) //nolint:errcheck // then it is waited for
}

func (c *stallConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.serving {
		c.SetReadDeadline(time.Now().Add(gitStall)) //nolint:errcheck // as above
	}
	return n, err
}
