package home

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"path/filepath"
	"syscall"

	"movein/bootstrap/host"
)

// leads reports whether target is where the wanted link leads.
func (c Claim) leads(target string) bool {
	if target == c.Target || target == c.Alias {
		return true
	}
	clean := filepath.Clean(target)
	return clean == c.Target || clean == c.Alias
}

// link compares what is there with a link that is wanted.
func (p *preview) link(c Claim, info fs.FileInfo) error {
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		target, err := p.v.Readlink(p.name(c.Path))
		if err != nil {
			return err
		}
		if c.leads(target) {
			return nil
		}
		if p.own(c, info, digest([]byte(target))) || c.Owner == HomeManager && managedLink().MatchString(target) {
			p.add(Update, "", c)
			return nil
		}
	case info.Mode().IsRegular() && c.Owner == HomeManager:
		if same, err := p.same(p.name(c.Path), info, c.Target); same || err != nil {
			return err // home-manager leaves it
		}
	}
	return p.stranger(c, info)
}

// file compares what is there with a file that is wanted.
func (p *preview) file(c Claim, info fs.FileInfo) error {
	if !info.Mode().IsRegular() {
		return p.stranger(c, info)
	}
	other := c.Size > 0 && info.Size() != c.Size
	if other && (c.Last == nil || c.Last.SHA256 == c.SHA256) {
		return p.stranger(c, info) // neither what is wanted nor what was left; it may be large
	}
	sum, err := p.sum(p.name(c.Path))
	switch {
	case err != nil:
		return err
	case sum == "":
		return p.stranger(c, info) // what cannot be read is not known to be right
	case sum == c.SHA256 && info.Mode().Perm() == c.Mode.Perm():
	case p.own(c, info, sum) && linked(info):
		p.add(Replace, hardLinked, c) // another name has it too, and is not to be changed
	case p.own(c, info, sum):
		p.add(Update, "", c)
	default:
		return p.stranger(c, info)
	}
	return nil
}

// sum is the digest of a file's content; "" if it cannot be read.
func (p *preview) sum(name string) (string, error) {
	k, err := p.v.Look(p.ctx, host.Place{Base: filepath.Dir(name), Name: filepath.Base(name)}, true)
	if p.ctx.Err() != nil {
		return "", context.Cause(p.ctx)
	}
	if err != nil {
		return "", nil //nolint:nilerr // it is kept, or that says why not
	}
	return k.SHA256, nil
}

// same reports whether a file has the content of what is at target.
func (p *preview) same(name string, info fs.FileInfo, target string) (bool, error) {
	target = p.end(target)
	if want, err := p.v.Lstat(target); err != nil || !want.Mode().IsRegular() || want.Size() != info.Size() {
		return false, nil //nolint:nilerr // it is replaced
	}
	have, err := p.sum(name)
	if err != nil || have == "" {
		return false, err
	}
	want, err := p.sum(target)
	return have == want, err
}

// own reports whether what is there is as its owner left it.
func (p *preview) own(c Claim, info fs.FileInfo, sum string) bool {
	if c.Last == nil || c.Last.SHA256 != sum {
		return false
	}
	if c.Last.Kind == Link {
		return info.Mode()&fs.ModeSymlink != 0
	}
	return info.Mode().IsRegular() && info.Mode().Perm() == c.Last.Mode.Perm()
}

// stranger: what is there is not its owner's, or was edited since.
func (p *preview) stranger(c Claim, info fs.FileInfo) error {
	was, err := p.was(c.Path, info)
	if err != nil {
		return err
	}
	if c.Last != nil {
		was = "edited " + was
		if p.w.OnModified == "keep" {
			p.add(Keep, was, c)
			return nil
		}
	}
	if c.Owner == Chezmoi && was == "home-manager's link" {
		p.add(Update, was, c)
		return nil
	}
	p.add(Replace, was, c)
	return nil
}

// absent looks for what an owner wants to be gone. In a directory that is a link it
// is not deleted: it gets no link when that is unfolded.
func (p *preview) absent(c Claim) error {
	info, err := p.v.Lstat(p.name(c.Path))
	if vacant(err) {
		return nil
	} else if err != nil {
		return err
	}
	if p.goes(c.Path) {
		return nil
	}
	if state, err := p.dir(Claim{Path: parentOf(c.Path), Kind: Dir, Owner: c.Owner}); state == missing || err != nil {
		return err
	}
	was, err := p.was(c.Path, info)
	switch {
	case err != nil:
		return err
	case c.Anew:
		p.add(Replace, was, c)
	default:
		p.add(Delete, was, c)
	}
	return nil
}

func linked(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && info.Mode().IsRegular() && st.Nlink > 1
}

// was names what is at path.
func (p *preview) was(path string, info fs.FileInfo) (string, error) {
	st, known := info.Sys().(*syscall.Stat_t)
	mode := info.Mode()
	switch {
	case mode&fs.ModeSymlink != 0:
		target, err := p.v.Readlink(p.name(path))
		switch {
		case err != nil:
			return "", err
		case managedLink().MatchString(target):
			return "home-manager's link", nil
		case !p.leads(path):
			return "dangling link", nil
		}
		return "foreign link", nil
	case mode.IsDir():
		return "directory", nil
	case !mode.IsRegular():
		return "special file", nil
	case known && int(st.Uid) != p.w.UID:
		return "other owner's file", nil
	case linked(info):
		return hardLinked, nil
	case mode&(fs.ModeSetuid|fs.ModeSetgid) != 0:
		return "setuid file", nil
	case mode&0o200 == 0:
		return "read-only file", nil
	}
	return "file", nil
}

// leads reports whether the link at path leads to something. Nothing is opened:
// that could wait for ever.
func (p *preview) leads(path string) bool {
	info, err := p.v.Lstat(p.end(p.name(path)))
	return err == nil && info.Mode()&fs.ModeSymlink == 0
}

// end is where the link at name ends, or name itself; a link if it goes round in circles.
func (p *preview) end(name string) string {
	const hops = 40 // as many as the kernel follows
	for range hops {
		target, err := p.v.Readlink(name)
		if err != nil {
			break
		}
		name = resolve(name, target)
	}
	return name
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
