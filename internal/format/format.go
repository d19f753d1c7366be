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

	// Frame is what stands before and after the entries of a document. Where
	// the head says nothing of the number of entries, it does not see it: it
	// costs less to keep.
	Frame(f Framing) (head, tail []byte)

	// EntryPoints makes the files that clients fetch first (Release,
	// repomd.xml ...) from the digests of all documents of a generation. One
	// that depends on some of the documents alone must be the same, byte for
	// byte, while those do not change: then it is not published again.
	EntryPoints(s Snapshot) ([]EntryPoint, error)

	// Resolve reads what a client asks for. ok is false if it is no URL of
	// this format.
	Resolve(q Query) (r Request, ok bool)
}

// Upload is a pushed file, wholly received and hashed.
type Upload struct {
	Filename string // as the client called it; a hint, hostile like the bytes
	Content  io.ReaderAt
	Size     int64
	// Fields are what the client says beside the file, by the names of the
	// API without package[]: "coordinates". Hostile too.
	Fields map[string]string
	// Reserve waits until the server has n bytes of memory for this parse, of a
	// budget that all parses share. A parse that may need more than
	// UnaskedMemory calls it once, with all that it may need, before it makes
	// anything large; what it may need follows from lengths that stand in front
	// of what they measure. An error ends the parse. nil means that there is no
	// budget: call NeedMemory.
	Reserve func(n int64) error
	repo.Digests
}

// UnaskedMemory is what a parse may use without a Reserve, in bytes.
const UnaskedMemory = 8 << 20

// NeedMemory reserves memory for a parse. See Upload.Reserve.
func (u Upload) NeedMemory(n int64) error {
	if u.Reserve == nil || n <= UnaskedMemory {
		return nil
	}
	return u.Reserve(n)
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

// Renamer is implemented by a Parsed that can have another file name, for when
// another package of the scope has the first one.
type Renamer interface {
	// Rename gives the name to take beside the package that has the first. It is
	// ok if that is no reason to refuse this one.
	Rename(taken *repo.Package) (filename string, ok bool)
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
	// Lists are the listings whose packages it holds, its own and those shared
	// with others ("x86_64", "noarch" and "i386"). Unused ones are "" and stand
	// last.
	Lists [3]string
	// ContentType is that of the plain form.
	ContentType string
	// Encodings are the forms that clients may fetch, and that entry points
	// may therefore name.
	Encodings []Encoding
	// Needs is what Frame wants to know of it.
	Needs Needs
	// Names says that its entries are names and not packages: see Named.
	Names bool
}

// Needs says what a document's Framing has beyond the number of entries. Each
// costs a query.
type Needs struct {
	// First keeps the oldest entry out of the listing and gives it to Frame.
	// So can entries be separated: each begins with a comma, and Frame takes
	// it off the first one.
	First bool
	// Versions and Tags are needed by the tail alone.
	Versions, Tags bool
}

// Framing is what the head and the tail of a document are made from.
type Framing struct {
	Kind    string
	List    string // the first of Document.Lists
	Entries int64  // how many the document has, First included
	// First, if Needs says so, is the oldest entry; nil if there is none.
	First []byte
	// Versions are the packages that the document lists, oldest first.
	Versions []Version
	// Tags are those of the list.
	Tags map[string]string
}

// Version is what the frame of a listing may tell of one of its packages.
type Version struct {
	Name, Version string
	Filename      string
	CreatedAt     time.Time
	Attributes    map[string]string // repo.Package.Attributes
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
	// earlier among the entry points. Named formats cannot have it.
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
