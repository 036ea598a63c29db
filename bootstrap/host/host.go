// Package host is the only way to the outside world: files, commands, the
// network, git, the Nix daemon, the terminal and the clock. Nothing else in the
// program imports os/exec, net/http or a library that reaches outside.
//
// A View reads; a Host is a View that also changes. A step's Plan is given a
// View, so a dry run cannot change anything however Plan is written.
package host

import (
	"context"
	"io/fs"
	"time"

	"movein/bootstrap/host/bundle"
)

// View reads the host.
type View interface {
	Files
	Commands
	Clock
	Network
	Repos
	Store
	Memory
	Onlooker
	Teller
	Looker
	Secrets
}

// Host also changes the host. Only Apply is given one.
type Host interface {
	View
	Writer
	Runner
	Fetcher
	Cloner
	Bundler
	Unpacker
	Keeper
	Hander
}

// Files reads files. Names are absolute. Errors are those of package os.
type Files interface {
	ReadFile(name string) ([]byte, error)
	// ReadHead reads at most the first n bytes.
	ReadHead(name string, n int) ([]byte, error)
	Lstat(name string) (fs.FileInfo, error)
	Readlink(name string) (string, error)
	ReadDir(name string) ([]fs.DirEntry, error)
	// Writable says why this process may not make and remove things in the directory name.
	Writable(name string) error
	// List is ReadDir with the metadata of each, not followed, as it was when it was
	// first asked for since a program ran or something was changed.
	List(name string) ([]fs.FileInfo, error)
	// Lstats calls each with the metadata of each of the names, which are below dir; nil if it
	// cannot be looked at. They are only good until each returns.
	Lstats(dir string, names []string, each func(i int, info fs.FileInfo))
	// Free is how many bytes an unprivileged user can still write to the file
	// system that name, or its nearest existing parent, is on.
	Free(name string) (int64, error)
}

// Commands runs commands that only read.
type Commands interface {
	// LookPath finds a program in the PATH that children get.
	LookPath(name string) (string, error)
	// Query runs a command that changes nothing. A non-zero exit is a *CommandError.
	Query(ctx context.Context, cmd *Cmd) (Result, error)
}

// Clock tells the time and which boot this is.
type Clock interface {
	Now() time.Time
	BootID() string // which start of this system is this; "" if unknown
}

// Network asks the network without leaving anything behind.
type Network interface {
	// Tip asks which commit a remote's branch points at. An empty branch is the remote's HEAD.
	Tip(ctx context.Context, r Remote) (Tip, error)
	// ServerTime returns the Date of the answer to a HEAD request.
	ServerTime(ctx context.Context, url string) (time.Time, error)
}

// Repos reads git repositories.
type Repos interface {
	// Repo reads the repository whose work tree is dir. fs.ErrNotExist if dir
	// does not exist; ErrNotRepo if it is something else.
	Repo(ctx context.Context, dir string) (Repo, error)
}

// Secrets knows the user's secrets, without asking anybody.
type Secrets interface {
	// Secret is a value; "" if it cannot be had without asking, or is nowhere.
	Secret(ctx context.Context, r SecretRef) (string, error)
	// Holds reports whether a taker has what it was given; mark is what HandOn returned
	// then. With p.Value, also whether that is still the value, if it shows that.
	Holds(ctx context.Context, p Taker, mark string) (bool, error)
}

// Hander hands secrets on.
type Hander interface {
	// AskSecret is Secret, and somebody may be asked to open the vault.
	AskSecret(ctx context.Context, r SecretRef) (string, error)
	// HandOn gives p.Value to a taker, and returns how to know it again.
	HandOn(ctx context.Context, p Taker) (mark string, err error)
}

// SecretRef says which secret is meant.
type SecretRef struct {
	Service, Key string // how the Secret Service knows it, and a vault whose entry has these attributes
	Entry, Field string // or its path or title in the vault; Field "" is Password
}

// What takes a secret, beside files.
const (
	SessionVariable = "env"     // of what the user's systemd starts from now on: Name
	SSHAgent        = "ssh"     // the user's agent takes a private key
	Keyring         = "keyring" // the Secret Service: Service and Key
)

// Taker is where a secret goes.
type Taker struct {
	Kind, Name   string
	Service, Key string
	Value        string
}

// Store reads the Nix store.
type Store interface {
	// Daemon says hello to the Nix daemon on the unix socket and asks it which of
	// the store paths it does not know. Errors are those of package net.
	Daemon(ctx context.Context, socket string, paths ...string) (Daemon, error)
	// NarHash returns "sha256:" + base-32 of the path's NAR serialisation, and its size in bytes.
	NarHash(ctx context.Context, path string) (hash string, size int64, err error)
	// Stamp is a digest over the metadata (name, mode, size, mtime, ctime, inode,
	// link target) of everything below path. Equal stamps mean that nothing there
	// was written between.
	Stamp(ctx context.Context, path string) (string, error)
}

// Memory keeps small derived facts between runs, to save work only: whatever is
// in it may be lost at any time, and losing it loses nothing but speed.
type Memory interface {
	Recall(key string) []byte
	Remember(key string, data []byte)
}

// Onlooker keeps what was found out by looking, for as long as nothing is changed.
type Onlooker interface {
	// Once returns what look says of key; who asks again gets the same. Errors are not kept.
	Once(key string, look func() (any, error)) (any, error)
}

// Teller tells people what happens on the way. The same text is told once a step.
type Teller interface {
	// Progress tells how far a long operation is. Total 0: unknown.
	Progress(done, total int64, unit string)
	// Warn tells something that is worth knowing and is not an error.
	Warn(format string, a ...any)
}

// Writer changes files. Nothing is written through a symlink at the last
// component; every method is atomic or leaves only a temporary name behind.
type Writer interface {
	// WriteFile replaces name whole or not at all: temporary file, fsync, rename, fsync of the directory.
	WriteFile(name string, data []byte, perm fs.FileMode) error
	// MkdirAll makes a directory and its missing parents.
	MkdirAll(name string, perm fs.FileMode) error
	// Symlink makes name a symlink to target, in place of an older symlink only.
	Symlink(target, name string) error
	// Rename renames; it never replaces a non-empty directory.
	Rename(from, to string) error
	// Move renames all of the pairs (from, to), as Rename does, and syncs once.
	Move(pairs ...[2]string) error
	// Sync makes everything written to the file system that name is on safe from a power loss.
	Sync(name string) error
	// Own sets owner, group and mode of a file or directory.
	Own(name string, uid, gid int, perm fs.FileMode) error
	// Remove removes one file, link or whole tree of movein's own making.
	Remove(name string) error
}

// Runner runs commands that change the host.
type Runner interface {
	Run(ctx context.Context, cmd *Cmd) (Result, error)
	// Spawn starts a daemon in a session of its own that outlives movein; its output goes to log.
	Spawn(cmd *Cmd, log string) error
	// Await asks ok again and again until it says yes, for 10 seconds at most.
	Await(ctx context.Context, what string, ok func() bool) error
}

// Fetcher downloads.
type Fetcher interface {
	// Fetch downloads url to file (whose directory exists), resuming an earlier
	// try, and returns only if the SHA-256 is the one given. Errors:
	// *UnreachableError after bounded retries, *DigestError.
	Fetch(ctx context.Context, url, sha256, file string) error
}

// Cloner changes git repositories.
type Cloner interface {
	// Clone makes dir a clone of the remote, with CloneMark in it: into a staging directory beside it, then renamed. dir must not exist or be empty.
	Clone(ctx context.Context, r Remote, dir string) error
	// FastForward moves the current branch of a clean work tree to commit, fetching
	// it first. Nothing is changed when that is not a fast-forward (ErrDiverged) or
	// would overwrite a file that git does not track (*CollisionError).
	FastForward(ctx context.Context, dir string, r Remote, commit string) error
	// Attach puts a detached HEAD on branch, when both are the same commit or the
	// commit is an ancestor of the branch and the work tree is clean.
	Attach(ctx context.Context, dir, branch string) error
}

// Bundler keeps what git repositories hold.
type Bundler interface {
	// Bundle writes every commit of the clone dir, stashes included, to one file in the
	// directory into, and returns its name: NAME-DIGEST.bundle, the same for the same
	// commits. A file of that name among reuse that is whole is linked instead. ErrNotRepo,
	// ErrNoCommits, ErrNeedsGit, *DamagedRepoError; nothing is left behind then.
	Bundle(ctx context.Context, dir, into string, reuse []string) (file string, err error)
	// BundleBranch makes file a git bundle of the branch that the clone dir is on, and of
	// nothing else. Errors: those of Bundle, ErrHasVault, ErrNoBranch.
	BundleBranch(ctx context.Context, dir, file string) error
}

// Unpacker unpacks archives.
type Unpacker interface {
	// Unpack unpacks a .tar.xz whose entries are all below one top directory into
	// the directory dir, which it makes and which must not exist; the top
	// directory's name is cut off. The archive's SHA-256 must be the given one, or dir is
	// removed again and the error is a *DigestError. Entry names that leave dir, and
	// entries that are no file, directory or symlink, are an error; symlinks are
	// never followed; write bits are stripped from files. Nothing is synced.
	Unpack(ctx context.Context, archive, sha256, dir string) error
	// Extract writes the one regular file of that name in a .tar.gz to file, whole
	// or not at all, with mode 0755, and nothing else of the archive. The archive's
	// SHA-256 must be the given one, or nothing is written and the error is a *DigestError.
	Extract(ctx context.Context, archive, sha256, name, file string) error
	// Unbundle writes the entry of that name in a bundle to the file to, whole or not at
	// all. If the name ends with a slash, all entries below it go to the directory to,
	// which must not exist, and nothing is synced. What is not as the manifest says is
	// a *DigestError, and nothing of it is left.
	Unbundle(ctx context.Context, b bundle.File, name, to string) error
}

// Cmd is one command to run.
type Cmd struct {
	Args  []string
	Env   []string // added to the clean environment that every child gets
	Nix   []string // lines added to its NIX_CONFIG
	Path  []string // directories that the child looks for programs in before those of its PATH
	Dir   string
	Stdin []byte
	File  []byte            // what it reads as /dev/fd/3, which is open if this is not nil
	TTY   bool              // it asks on the terminal: leave it in the foreground process group
	Lines func(line string) // called with each line the command writes to standard error; optional
}

// Result is what a command left.
type Result struct {
	Stdout []byte
	Stderr []byte // the last 16 KiB
	Code   int
}

// Remote is a branch of a git repository somewhere.
type Remote struct {
	URL    string `json:"url"`
	Branch string `json:"branch,omitempty"` // "": what the remote's HEAD names
	Bundle string `json:"-"`                // a git bundle that is asked in the remote's place; "": none
	Needs  string `json:"-"`                // a file at the top without which there is nothing to clone; "": none

	Logins *Logins `json:"-"` // set by Real
}

// Tip is what a remote's branch points at.
type Tip struct {
	Branch string
	Commit string // hex
}

// MostDirty is how many names Repo.Dirty holds at the most.
const MostDirty = 20

// Repo is the state of a git work tree.
type Repo struct {
	URL       string   // of the remote "origin"; "" if none
	Branch    string   // "": detached HEAD
	Branches  []string // local branches that HEAD's commit is equal to or an ancestor of; only filled when detached
	Commit    string   // HEAD, hex; "" if there is no commit yet
	Dirty     []string // tracked files that differ from HEAD, at most 20
	Untracked []string // files git neither tracks nor ignores, at most 100
	Ahead     bool     // HEAD has commits that the last fetched state of its upstream does not have
	// Interrupted is the commit that a FastForward was on its way to when it was
	// cut short; "" if none was. FastForward to it needs no network.
	Interrupted string
	Submodules  bool // .gitmodules exists
}

// Daemon is what a Nix daemon said of itself.
type Daemon struct {
	Protocol string   // "1.38"
	Version  string   // the daemon's Nix version; "" before protocol 1.33
	Trusted  bool     // we are a trusted user to it
	Unknown  []string // those of the asked paths that are not valid
}
