package format

import (
	"context"
	"errors"
	"io"
	"net/textproto"
	"net/url"
	"time"

	"packagecloud/internal/repo"
)

// Receiver is implemented by formats whose own clients upload, or ask for more
// than files: twine, npm, curl.
type Receiver interface {
	Format
	// Receives says what a request needs, if it is one for Receive. A GET or
	// HEAD is one if its answer cannot be a file. The path is that of
	// Query.Path.
	Receives(method, path string) Access
	// Receive reads such a request and says what it asks for. What is wrong
	// with it comes back as a *repo.InvalidError.
	Receive(ctx context.Context, c Call) (Action, error)
}

// Access is what a client must be allowed to.
type Access uint8

// The kinds of access.
const (
	NoAccess    Access = iota // no such request
	ReadAccess                // whoever may read the repository
	WriteAccess               // whoever may push to it, by an API token
	OpenAccess                // everybody: who logs in has no token yet
)

// The methods of a Call; net/http is nothing that formats see.
const (
	Put    = "PUT"
	Post   = "POST"
	Delete = "DELETE"
)

// Call is a request of a client that uploads.
type Call struct {
	Method string // Put, Post ...
	Path   string // as Query.Path
	Query  url.Values
	Header textproto.MIMEHeader
	Body   io.Reader
	// Keep receives a file: it streams r to storage and hashes it on the way.
	// What no Action pushes is discarded.
	Keep func(ctx context.Context, name string, r io.Reader) (Upload, error)
	// Scratch makes a place on disk for what must be read before it can be said how
	// much memory it takes. It is gone when the call has been answered.
	Scratch func(ctx context.Context) (Scratch, error)
	// Within runs read with n bytes of the memory that all parses share, as soon as
	// there are as many, and cancels it with the call, or when it takes too long.
	// What read leaves behind must be small: it is not counted any more.
	Within func(ctx context.Context, n int64, read func(context.Context) error) error
	// User is the name of the account whose API token came along; "" for a read
	// token, or none.
	User string
	Time time.Time // now
	Lookup
}

// Scratch holds what was written to it.
type Scratch interface {
	io.Writer
	io.ReaderAt
}

// Lookup tells what there is in the repository of a Call, published or not.
type Lookup interface {
	// Look finds the packages of a list and its tags. One that is not there has
	// none.
	Look(ctx context.Context, os, version, list string) (List, error)
	// Entry is what lists a package in the documents of a kind, complete as in
	// those. repo.ErrNotFound says that there is no such package.
	Entry(ctx context.Context, os, version string, t Target, kind string) ([]byte, error)
	// Search finds packages, and how many there are in all.
	Search(ctx context.Context, s Search) ([]repo.Package, int64, error)
}

// List is what is in a list.
type List struct {
	Versions []Version // oldest first
	Tags     map[string]string
}

// Search asks for packages of a scope: of each list the one whose version a tag
// stands for.
type Search struct {
	OS, Version string // the scope
	Tag         string
	Words       []string // each of which the name or the summary has, whatever its case
	From, Size  int
}

// ErrStale says that a client would change what has changed since it read it.
var ErrStale = errors.New("it has changed meanwhile: read it again")

// Action is what a call asks for. Its parts are done in the order of the
// fields; the first that fails ends it.
type Action struct {
	OS, Version string // the scope

	Remove []Target
	Push   []Pushing
	Amend  []Amendment
	Tag    []Tagging
	Login  *Login
	// Await says that the client reads what it wrote right away, and so is
	// answered when it is published.
	Await bool
	// Answer is what the client is told when all is done. Status 0 is 200, or
	// 201 if something was pushed.
	Answer Answer
}

// Target is a package of the scope. Condition must hold of it.
type Target struct {
	Namespace, Filename string
	Condition           Condition
}

// Condition is what a client demands of the file that has the name now, in the
// words of RFC 9110, 13.1: entity tags, "*", or "" for no demand.
type Condition struct {
	IfMatch, IfNoneMatch string
}

// Pushing is a file to be recorded as a package.
type Pushing struct {
	File   Upload // as Keep gave it
	Fields map[string]string
	Tags   []string // those that the version is to have
	// At is where the package will be, as Parse will find. It is needed for a
	// Condition alone. A package that is there already is replaced if IfMatch
	// names it.
	At Target
}

// Amendment changes attributes of packages: one with the value nil is taken
// away.
type Amendment struct {
	Target     Target
	Attributes map[string]*string
}

// Tagging changes a tag of a list; the value nil takes it away.
type Tagging struct {
	List, Tag string
	Value     *string
}

// Login asks for the API token of an account.
type Login struct {
	Name, Password string
	// Answer tells the token, instead of the Action's Answer.
	Answer func(token string) Answer
}

// Answer is what a client is told.
type Answer struct {
	Status      int
	ContentType string
	Body        []byte
}

// Refuser is implemented by formats whose clients want to be told in their own
// way what went wrong.
type Refuser interface {
	Refusal(status int, message string) Answer
}

// ETag is the entity tag of a package file.
func ETag(f repo.File) string { return `"` + f.SHA256 + `"` }
