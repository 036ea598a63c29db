// Package home is the home as one transaction: who wants what at which path of
// it, what is there now, what has to be kept before it is replaced, and how all of
// that is taken back. It runs neither Nix nor chezmoi: of both it knows what they
// claim, and of home-manager how a link of its looks.
package home

import "io/fs"

// Owner is who brings a file of the home.
type Owner string

// The owners of files.
const (
	HomeManager Owner = "home-manager"
	Chezmoi     Owner = "chezmoi"
)

// Kind is what a claim wants at its path.
type Kind string

// The kinds of claims.
const (
	File   Kind = "file"
	Link   Kind = "link"
	Dir    Kind = "directory" // there may be anything else in it
	Absent Kind = "absent"    // nothing may be there
)

// Claim is what an owner wants at a path of the home.
type Claim struct {
	Path   string // below the home, clean; any bytes but NUL
	Owner  Owner
	Kind   Kind
	Target string      // of a Link
	Alias  string      // another target that is right too
	Mode   fs.FileMode // of a File or Dir: permission bits
	SHA256 string      // of a File's content, hex; "": not known (it holds a secret that is not to be had)
	Size   int64       // of that content; 0: not known, or empty
	Source string      // the file that the owner brings it from, for people
	Text   []byte      // of a File, for showing what changes; nil: not known, or not to be shown
	Secret bool        // the content holds, or may hold, a secret
	Exact  bool        // of a Dir: its owner takes away what it does not claim in it
	Anew   bool        // of an Absent: once it is gone its owner makes it

	// Settled: the user said that it is its owner's, also in another's exact directory.
	Settled bool

	// Unfolds: the link takes the place of a part of a directory that was one link.
	// Nobody brings it; it is made with the directory.
	Unfolds bool

	// Last is what the owner itself left at the path, if it remembers: what is
	// like that is the owner's, anything else is a stranger's or was edited since.
	Last *Left
}

// Left is how an owner left a path.
type Left struct {
	Kind   Kind
	Mode   fs.FileMode
	SHA256 string // of a File's content, or of a Link's target
}

// Verb is what would be done at a path.
type Verb string

// The verbs of a preview. What is as it is wanted has no entry.
const (
	Create  Verb = "create"  // nothing is there
	Update  Verb = "update"  // what is there is the owner's own
	Replace Verb = "replace" // what is there is a stranger's; it is backed up
	Delete  Verb = "delete"  // it is the owner's, who wants it no longer
	Keep    Verb = "keep"    // it was edited, and stays as --on-modified says
)

// Item is one line of a preview.
type Item struct {
	Path  string // below the home: the claim's, or where that is through links of the user's
	Verb  Verb
	Was   string // what is there: "file", "foreign link", "dangling link", "directory", …; "deleted": what its owner left is gone; "" when nothing is
	Claim Claim  // who wants what; of a Delete, what it was
}
