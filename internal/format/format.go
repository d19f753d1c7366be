// Package format says what a package format is: how to read its packages, in
// which documents they are listed, what those documents look like and which
// URLs its clients ask for.
//
// A format sees bytes and the vocabulary of package repo. It knows no
// database, no storage and no clock, and gives the same output for the same
// input: every index is a pure function of rows. Compression, hashing and the
// cutting of documents into segments are package index's, the order in which
// files go live is package publish's.
//
// Adding a format is one folder beside this file and one line in all.
package format

import (
	"context"
	"io"
	"time"

	"packagecloud/internal/repo"
)

// Format is one family of package types that is published together, say .deb
// and .dsc.
type Format interface {
	// Name is the word for the format in DistroVersion.Format: "deb", "rpm".
	Name() string

	// Parse reads an upload and checks it against the format's rules and
	// limits. The bytes say what it is, never the name. What is wrong with the bytes comes back as a
	// *repo.InvalidError; every other error is a failure to read them.
	Parse(ctx context.Context, u Upload) (Parsed, error)

	// Path is the canonical path where clients fetch file, relative to the
	// repository's URL, for a package listed in v. Files of one package share
	// a folder. Different bytes never share a path: where a path is taken, the
	// caller asks again with a revision, the name of a folder ("r" and 16
	// hexadecimal digits) that must come right before the file. It is "" at
	// first.
	Path(p *repo.Package, file string, v repo.DistroVersion, revision string) string

	// Documents are the listings that a scope has whose packages stand in the
	// given lists (repo.Package.List), in a fixed order. Some exist however
	// few packages there are.
	Documents(v repo.DistroVersion, lists []string) []Document

	// Frame is what stands before and after the entries of a document that
	// lists the given number of packages.
	Frame(kind string, entries int64) (head, tail []byte)

	// EntryPoints makes the files that clients fetch first (Release,
	// repomd.xml ...) from the digests of all documents of a generation. One
	// that depends on some of the documents alone must be the same, byte for
	// byte, while those do not change: then it is not published again.
	EntryPoints(s Snapshot) ([]EntryPoint, error)

	// Resolve reads a request path relative to the repository's URL, with no
	// slash in front and percent-encoding undone. ok is false if it is no URL
	// of this format.
	Resolve(path string) (r Request, ok bool)
}

// Upload is a pushed file, wholly received and hashed.
type Upload struct {
	Filename string // as the client called it; a hint, hostile like the bytes
	Content  io.ReaderAt
	Size     int64
	repo.Digests
}

// Parsed is a package that has been read.
type Parsed interface {
	// Package has everything the API shows of it. Files holds the package
	// file first, under the name that its metadata gives it, then one File
	// for each further file that must be pushed with it, as listed, with the
	// sizes and digests that are listed. Ids, paths and times are not set.
	Package() *repo.Package

	// Entries are the texts that list the package, one for each kind of
	// document, given where it is listed. They are kept beside the package
	// and never rendered again until a reindex.
	Entries(l Listing) ([]Entry, error)
}

// Listing is what an entry needs to know beyond the package's own bytes.
type Listing struct {
	Distro repo.DistroVersion
	Files  []repo.File // as Package.Files, with Path and all digests
	Time   time.Time   // when the package was pushed
}

// Entry is the text of one package in the documents of one kind.
type Entry struct {
	Kind string // Document.Kind
	Text []byte // with every separator it needs: entries are concatenated as they are
}

// MaxEntry is the largest Entry.Text that can be listed, in bytes. Formats
// refuse packages that need more.
const MaxEntry = 32 << 20

// Document is one listing of a scope, before compression.
type Document struct {
	// Name is the document's path within the scope, without a compression
	// suffix, unique and stable: "main/binary-amd64/Packages".
	Name string
	// Kind selects the entries and the frame: "Packages", "primary".
	Kind string
	// Lists are the listings whose packages it holds, its own and the one
	// shared with others ("amd64" and "all"). An unused second one is "".
	Lists [2]string
	// ContentType is that of the plain form.
	ContentType string
	// Encodings are the forms that clients may fetch, and that entry points
	// may therefore name.
	Encodings []Encoding
}

// Encoding is one form of a document.
type Encoding uint8

// The encodings. Each document is kept as gzip members and zstd frames, both
// of which clients accept in any number one after the other (of xz streams
// they do not). The plain form is made while it is sent.
const (
	Plain Encoding = iota
	Gzip
	Zstd
	encodings
)

// Encodings is the number of encodings, for arrays indexed by Encoding.
const Encodings = int(encodings)

// Suffix is what the encoding appends to a file name: "", ".gz" or ".zst".
func (e Encoding) Suffix() string { return [Encodings]string{"", ".gz", ".zst"}[e] }

// Snapshot is one generation of a scope, all of its documents rendered.
type Snapshot struct {
	Repository repo.Repository
	Distro     repo.DistroVersion
	Origin     string // host of the server's public URL, with a port if it has one
	Generation int64  // grows by one with each publication
	Time       time.Time
	Documents  []Rendered // in the order of Documents
}

// Rendered is a document of a generation.
type Rendered struct {
	Document
	Entries   int64
	ChangedAt time.Time       // when the generation that last changed it was made
	Forms     [Encodings]Form // all are set, whatever Document.Encodings says
}

// Form is a document in one encoding.
type Form struct {
	SHA256 string // lower-case hexadecimal
	Size   int64
}

// EntryPoint is a file that is fetched under a fixed name, and so must always
// be that of the live generation. The caller signs it as the format asks.
type EntryPoint struct {
	Path        string // within the scope: "InRelease", "x86_64/repodata/repomd.xml"
	ContentType string
	// Body is the content, or what is to be signed.
	Body []byte
	Sign Signature
	// Pair is the Path of the file that this one must match, where clients
	// fetch the two one after the other (Release, for Release.gpg). It comes
	// earlier among the entry points.
	Pair string
}

// Signature is what the content of an EntryPoint is made of.
type Signature uint8

// The kinds of signature.
const (
	Unsigned     Signature = iota // the Body itself
	ClearSigned                   // the Body in an OpenPGP clear-text signature
	DetachSigned                  // an ASCII-armoured signature of the Body, without it
	PublicKey                     // the ASCII-armoured key that signs; Body is not used
)

// RequestKind tells how a request is answered.
type RequestKind uint8

// The kinds of request.
const (
	// LiveFile asks for the live generation's file of a given path.
	LiveFile RequestKind = iota + 1
	// DigestFile asks for the index file with a given digest, whichever
	// generation it belongs to.
	DigestFile
	// PackageFile asks for a package by its path.
	PackageFile
)

// Request is a client's request, understood.
type Request struct {
	Kind        RequestKind
	OS, Version string // the scope

	// Paths are the paths within the scope that answer a LiveFile, best
	// first: the binary-armhf listing of a scope that has no armhf packages
	// is its binary-all listing. Of a PackageFile it is the canonical path
	// alone, as Format.Path made it.
	Paths []string
	// SHA256 is the digest of a DigestFile, in lower-case hexadecimal.
	SHA256 string
	// ContentType of a LiveFile or DigestFile.
	ContentType string
}
