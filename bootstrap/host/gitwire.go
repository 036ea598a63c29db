package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/sideband"
	"github.com/go-git/go-git/v5/plumbing/storer"
	"github.com/go-git/go-git/v5/plumbing/transport"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"
)

// ErrNoRemote says that there is no repository at a URL, or none that is shown to us.
var ErrNoRemote = errors.New("no such repository")

// ErrLacks says that a repository has not the file that it is needed for.
var ErrLacks = errors.New("there is no")

// ErrNoBranch says that a repository has no branch of that name, or none at all.
var ErrNoBranch = errors.New("no such branch")

// ErrLogin says that a repository's server wants to know who asks.
var ErrLogin = errors.New("the server asks for a login")

const (
	// gitStall is how long a server may be silent. git's own sends a sign of life every 5 s (uploadpack.keepAlive).
	gitStall = 60 * time.Second
	// infiniteDepth is what git sends for --unshallow (INFINITE_DEPTH in git's shallow.h).
	infiniteDepth = 0x7fffffff
)

// wire is a conversation with the upload-pack of a remote.
type wire struct {
	url     string
	session uploadPack
	refs    *packp.AdvRefs
	done    func()
}

// uploadPack is the part of a transport.UploadPackSession that is used.
type uploadPack interface {
	AdvertisedReferencesContext(ctx context.Context) (*packp.AdvRefs, error)
	UploadPack(ctx context.Context, req *packp.UploadPackRequest) (*packp.UploadPackResponse, error)
	Close() error
}

// dialGit connects to a remote and asks which branches it has. Local
// repositories are served by this process, so that no git program is needed. A server
// that asks for a login is told what r.Logins knows; ask: somebody may be asked for it.
func dialGit(ctx context.Context, r Remote, ask bool) (*wire, error) {
	u := parseGitURL(r.URL)
	w := &wire{url: BareURL(r.URL), done: func() {}}
	if r.Bundle != "" {
		return w.begin(ctx, func() (uploadPack, error) { return openBundleRemote(r.Bundle) })
	}
	switch u.scheme {
	case "file":
		return w.begin(ctx, func() (uploadPack, error) { return openLocal(u.path) })
	case "git":
		return w.begin(ctx, func() (uploadPack, error) { return dialGitPort(ctx, u) })
	case "ssh":
		return w.begin(ctx, func() (uploadPack, error) {
			address, config, done, err := r.Logins.ssh(ctx, u, ask)
			if err != nil {
				return nil, err
			}
			defer done()
			return dialSSH(ctx, address, u.path, config)
		})
	case "http", "https":
		return dialHTTP(ctx, r, u, ask)
	}
	return nil, fmt.Errorf("reading the URL %s: unsupported scheme %q", w.url, u.scheme)
}

// dialHTTP asks without a login first: whose repository is open to all need not say who they are.
func dialHTTP(ctx context.Context, r Remote, u gitURL, ask bool) (*wire, error) {
	w, err := overHTTP(ctx, r.URL, nil)
	if !errors.Is(err, ErrLogin) {
		return w, err
	}
	login, lerr := r.Logins.login(ctx, u, ask)
	if lerr != nil {
		return nil, fmt.Errorf("%w: %w", err, lerr)
	}
	if login == nil {
		return nil, err
	}
	w, err = overHTTP(ctx, r.URL, login)
	if errors.Is(err, ErrLogin) {
		return nil, fmt.Errorf("%w, and refuses the token that it was given", err)
	}
	return w, err
}

func overHTTP(ctx context.Context, url string, login transport.AuthMethod) (*wire, error) {
	w := &wire{url: BareURL(url)}
	ep, err := transport.NewEndpoint(w.url)
	if err != nil {
		return nil, fmt.Errorf("reading the URL %s: %w", w.url, err)
	}
	over := newTransport()
	w.done = over.CloseIdleConnections
	client := githttp.NewClient(&http.Client{Transport: &watchdog{next: over, stall: gitStall}})
	return w.begin(ctx, func() (uploadPack, error) { return client.NewUploadPackSession(ep, login) })
}

// begin opens a session and reads the branches.
func (w *wire) begin(ctx context.Context, open func() (uploadPack, error)) (*wire, error) {
	session, err := open()
	if err == nil { // with an error, session may be a nil that does not compare as one
		w.session = session
		w.refs, err = session.AdvertisedReferencesContext(ctx)
	}
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		w.close()
		return nil, remoteError(w.url, err)
	}
	return w, nil
}

func (w *wire) close() {
	if w.session != nil {
		w.session.Close()
	}
	w.done()
}

// branch finds a branch among those the remote has; "" is what its HEAD names.
func (w *wire) branch(name string) (string, plumbing.Hash, error) {
	const heads = "refs/heads/"
	if name == "" {
		name = w.headBranch()
	}
	if h, ok := w.refs.References[heads+name]; ok && name != "" {
		return name, h, nil
	}
	var names []string
	for ref := range w.refs.References {
		if b, ok := strings.CutPrefix(ref, heads); ok {
			names = append(names, b)
		}
	}
	slices.Sort(names)
	more := ""
	if len(names) > 10 {
		more, names = fmt.Sprintf(" and %d more", len(names)-10), names[:10]
	}
	what := fmt.Sprintf("no branch %q", name)
	if name == "" {
		what = "no default branch"
	}
	return "", plumbing.ZeroHash, &branchError{fmt.Sprintf("%s has %s; its branches: %s%s", w.url, what, strings.Join(names, ", "), more)}
}

// branchError says that a remote has no such branch, and which it has.
type branchError struct{ text string }

func (e *branchError) Error() string        { return e.text }
func (e *branchError) Is(target error) bool { return target == ErrNoBranch }

// headBranch is the branch the remote's HEAD names, or stands on if the server does not tell names.
func (w *wire) headBranch() string {
	for _, v := range w.refs.Capabilities.Get(capability.SymRef) {
		if b, ok := strings.CutPrefix(v, "HEAD:refs/heads/"); ok {
			return b
		}
	}
	if w.refs.Head == nil || w.refs.Capabilities.Supports(capability.SymRef) {
		return ""
	}
	var same []string
	for ref, h := range w.refs.References {
		if b, ok := strings.CutPrefix(ref, "refs/heads/"); ok && h == *w.refs.Head {
			same = append(same, b)
		}
	}
	slices.Sort(same)
	for _, b := range append([]string{"main", "master"}, same...) {
		if slices.Contains(same, b) {
			return b
		}
	}
	return ""
}

func (w *wire) shallow() bool { return w.refs.Capabilities.Supports(capability.Shallow) }

// packRequest is what to ask a remote for.
type packRequest struct {
	want     plumbing.Hash   // one of the advertised ones
	haves    []plumbing.Hash // commits that need not be sent, nor what is reachable from them
	shallows []plumbing.Hash // commits of which we have no parents
	depth    int             // 0: as deep as it takes to reach haves
	progress func(line string)
}

// fetch stores the objects asked for and returns which commits' parents are now missing and which no longer are.
func (w *wire) fetch(ctx context.Context, r packRequest, to storer.Storer) (*packp.ShallowUpdate, error) {
	req := packp.NewUploadPackRequestFromCapabilities(w.refs.Capabilities)
	req.Wants, req.Haves, req.Shallows = []plumbing.Hash{r.want}, r.haves, r.shallows
	if r.depth > 0 || len(r.shallows) > 0 {
		req.Depth = packp.DepthCommits(r.depth)
		if err := req.Capabilities.Set(capability.Shallow); err != nil {
			return nil, err
		}
	}
	if r.progress == nil && w.refs.Capabilities.Supports(capability.NoProgress) {
		if err := req.Capabilities.Set(capability.NoProgress); err != nil {
			return nil, err
		}
	}
	resp, err := w.session.UploadPack(ctx, req)
	if err != nil {
		return nil, remoteError(w.url, err)
	}
	defer resp.Close()
	var pack io.Reader = resp
	if t, ok := sidebandOf(req.Capabilities); ok {
		d := sideband.NewDemuxer(t, resp)
		if r.progress != nil {
			d.Progress = &lineWriter{line: r.progress}
		}
		pack = d
	}
	err = packfile.UpdateObjectStorage(to, pack)
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil && !errors.Is(err, packfile.ErrEmptyPackfile) {
		return nil, remoteError(w.url, err)
	}
	return &resp.ShallowUpdate, nil
}

func sidebandOf(c *capability.List) (sideband.Type, bool) {
	switch {
	case c.Supports(capability.Sideband64k):
		return sideband.Sideband64k, true
	case c.Supports(capability.Sideband):
		return sideband.Sideband, true
	}
	return 0, false
}

// remoteError sorts what go-git says of a remote. The server's own words, often a page of HTML, are left out.
func remoteError(url string, err error) error {
	var unexpected *plumbing.UnexpectedError
	if errors.As(err, &unexpected) { // it has no Unwrap
		err = unexpected.Err
	}
	var status *githttp.Err
	var network net.Error
	var disk *fs.PathError
	switch {
	case errors.Is(err, ErrHostKey):
		return fmt.Errorf("reading %s: %w", url, err)
	case errors.As(err, &disk): // its errno would pass for a net.Error
		return fmt.Errorf("reading %s: %w", url, err)
	case errors.Is(err, transport.ErrRepositoryNotFound):
		return fmt.Errorf("reading %s: %w", url, ErrNoRemote)
	case errors.Is(err, transport.ErrEmptyRemoteRepository):
		return fmt.Errorf("reading %s: %w", url, ErrNoCommits)
	case errors.Is(err, transport.ErrAuthenticationRequired), errors.Is(err, transport.ErrAuthorizationFailed),
		strings.Contains(err.Error(), "unable to authenticate"):
		return fmt.Errorf("reading %s: %w", url, ErrLogin)
	case strings.Contains(err.Error(), "object-format=sha256"): // what go-git could not read, quoted
		return fmt.Errorf("reading %s: %w", url, errSHA256)
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("reading %s: %w", url, err)
	case errors.As(err, &status):
		if judgeStatus(status.StatusCode()) == passing {
			return unreachable(url, err)
		}
	case errors.As(err, &network), errors.Is(err, context.DeadlineExceeded), errors.Is(err, errStalled),
		errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return unreachable(url, err)
	}
	return fmt.Errorf("reading %s: %w", url, err)
}

// lineWriter cuts what is written to it into lines. A carriage return ends a line too.
type lineWriter struct {
	line func(string)
	rest []byte
}

func (l *lineWriter) Write(p []byte) (int, error) {
	l.rest = append(l.rest, p...)
	for {
		i := bytes.IndexAny(l.rest, "\r\n")
		if i < 0 {
			return len(p), nil
		}
		if i > 0 {
			l.line(string(l.rest[:i]))
		}
		l.rest = l.rest[i+1:]
	}
}
