package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// tipTimeout is how long asking a remote for its branches may take.
const tipTimeout = 5 * time.Second

// RemoteTip asks which commit a remote's branch points at, in 5 s at most.
//
// Errors: *UnreachableError; ErrNoRemote, ErrNoCommits and ErrLogin, wrapped; an ErrNoBranch
// that lists up to ten branches if the branch does not exist.
func RemoteTip(ctx context.Context, r Remote) (Tip, error) {
	ctx, cancel := context.WithTimeout(ctx, tipTimeout)
	defer cancel()
	w, err := dialGit(ctx, r, false)
	if err != nil {
		return Tip{}, err
	}
	defer w.close()
	branch, commit, err := w.branch(r.Branch)
	if err != nil {
		return Tip{}, err
	}
	return Tip{Branch: branch, Commit: commit.String()}, nil
}

// CloneRepo makes dir a clone of the remote's branch: its last commit only where
// the server can do that, the whole history otherwise. dir must not exist or be
// an empty directory, or nothing happens at all; a symlink to one is followed.
// The clone is made in a directory .NAME.movein-* beside dir and renamed when it
// is complete and durable; what a killed run left there is removed first.
// Nothing is sent to the server but what to fetch, and no user name or password
// of the URL is stored, except the user of ssh.
//
// Submodules are fetched if the program git is there. note tells what was left
// undone and is worth a warning, "" usually. progress gets the server's lines
// and may be nil. Errors are those of RemoteTip and of package os, and ErrLacks, wrapped.
func CloneRepo(ctx context.Context, r Remote, dir string, progress func(line string)) (note string, err error) {
	dir, perm, err := emptyTarget(dir)
	if err != nil {
		return "", fmt.Errorf("cloning %s: %w", BareURL(r.URL), err)
	}
	staging, err := newStaging(dir, perm)
	if err != nil {
		return "", fmt.Errorf("cloning %s: %w", BareURL(r.URL), err)
	}
	defer os.RemoveAll(staging) // gone already if all went well
	if err := cloneAnyhow(ctx, r, staging, progress); err != nil {
		return "", fmt.Errorf("cloning %s: %w", BareURL(r.URL), err)
	}
	if r.Needs != "" && !exists(filepath.Join(staging, r.Needs)) {
		return "", fmt.Errorf("cloning %s: %w %s", BareURL(r.URL), ErrLacks, r.Needs)
	}
	err = syncFileSystem(staging)
	if err == nil {
		err = unix.Rename(staging, dir) // os.Rename would refuse an empty directory
	}
	if err == nil {
		err = syncFile(filepath.Dir(dir))
	}
	if err != nil {
		return "", fmt.Errorf("cloning %s: %w", BareURL(r.URL), err)
	}
	return fetchSubmodules(ctx, dir), nil
}

// emptyTarget checks that there is nothing in dir and returns where it really is and its mode.
func emptyTarget(dir string) (string, fs.FileMode, error) {
	if fi, err := os.Lstat(dir); err == nil && fi.Mode()&fs.ModeSymlink != 0 {
		if dir, err = filepath.EvalSymlinks(dir); err != nil {
			return "", 0, err
		}
	}
	fi, err := os.Lstat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return filepath.Clean(dir), 0, nil
	}
	if err != nil {
		return "", 0, err
	}
	if !fi.IsDir() {
		return "", 0, fmt.Errorf("%s is not a directory", dir)
	}
	entries, err := os.ReadDir(dir)
	if err == nil && len(entries) > 0 {
		err = fmt.Errorf("%s is not empty", dir)
	}
	return filepath.Clean(dir), fi.Mode().Perm(), err
}

// newStaging makes a directory beside dir, with the mode perm if that is not 0, and removes older ones.
func newStaging(dir string, perm fs.FileMode) (string, error) {
	parent, base := filepath.Split(dir)
	if err := os.MkdirAll(parent, 0o777); err != nil {
		return "", err
	}
	entries, err := os.ReadDir(parent)
	if err != nil {
		return "", err
	}
	prefix := "." + base + ".movein-"
	for _, e := range entries {
		if e.IsDir() && strings.HasPrefix(e.Name(), prefix) {
			if err := os.RemoveAll(filepath.Join(parent, e.Name())); err != nil {
				return "", err
			}
		}
	}
	staging := filepath.Join(parent, prefix+strconv.FormatUint(rand.Uint64(), 36))
	if err := os.Mkdir(staging, 0o777); err != nil {
		return "", err
	}
	if perm != 0 {
		return staging, os.Chmod(staging, perm)
	}
	return staging, nil
}

// cloneAnyhow clones with depth 1, else whole, else with the program git: it
// reads repositories that go-git does not (SHA-256, dumb HTTP, a shallow local one).
func cloneAnyhow(ctx context.Context, r Remote, staging string, progress func(string)) error {
	first := cloneInto(ctx, r, staging, 1, progress)
	if r.Bundle != "" || !worthAnother(ctx, first) {
		return first
	}
	if err := removeBelow(staging); err != nil {
		return err
	}
	err := cloneInto(ctx, r, staging, 0, progress)
	if !worthAnother(ctx, err) {
		return err
	}
	if err := removeBelow(staging); err != nil {
		return err
	}
	if _, looking := exec.LookPath("git"); looking != nil {
		return first
	}
	return cloneByGit(ctx, r, staging)
}

// worthAnother tells whether another way of cloning may do better.
func worthAnother(ctx context.Context, err error) bool {
	var down *UnreachableError
	var branch *branchError
	var disk *fs.PathError
	return err != nil && ctx.Err() == nil && !errors.As(err, &down) && !errors.As(err, &branch) &&
		!errors.As(err, &disk) && !errors.Is(err, ErrNoRemote) && !errors.Is(err, ErrNoCommits) && !errors.Is(err, ErrLogin) && !errors.Is(err, ErrHostKey)
}

func removeBelow(dir string) error {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return err
}
