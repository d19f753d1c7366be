// Package blob is the contract for the place where bytes live: files on this
// machine, or a bucket. Whoever implements it must pass blobtest.
//
// Keys are slash-separated and made of [A-Za-z0-9._-/]; no step is empty,
// "." or "..". What is stored under a key never changes:
//
//	packages/<sha256>/<name>                      a package file
//	indexes/<sha256>/<name>                       an entry point or a whole index
//	packages/identity                             which database the store belongs to
//	segments/<document>/<generation>-<first>-…    a run of index entries, gzip member and zstd frame
package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"regexp"
	"strings"
	"time"
)

// Kinds are the first steps of keys. What else lives in a bucket is not ours.
var Kinds = []string{"packages", "indexes", "segments"}

// IdentityKey is the key of an object that tells one store from another. It is
// among the packages, so that a copy of those is the same store.
const IdentityKey = "packages/identity"

// ErrNotFound is returned, wrapped, for a key that holds nothing.
var ErrNotFound = errors.New("no such object")

// Store keeps immutable bytes by key. All methods are safe for concurrent
// use, also by several processes.
type Store interface {
	// Stage opens a place for bytes that belong to no key yet.
	Stage(ctx context.Context) (Staged, error)

	// Put stores body under key, durably before it returns. A key that
	// exists already is left as it is: a key stands for its bytes. But an
	// object whose key names its digest is replaced if it is damaged: if its
	// size is another one, or, where reading it is cheap, its digest.
	Put(ctx context.Context, key string, body []byte, a Attributes) error

	// Copy stores the bytes of an object under another key, without sending
	// them; a key that exists already is left as it is.
	Copy(ctx context.Context, from, to string, a Attributes) error

	// Open opens the object for reading from any offset, until ctx ends.
	Open(ctx context.Context, key string) (Object, error)

	// Stat tells size and time of an object.
	Stat(ctx context.Context, key string) (Info, error)

	// Delete removes the object. Removing what is not there is no error.
	// Readers that have it open go on reading; in a bucket, as far as one
	// request goes.
	Delete(ctx context.Context, key string) error

	// List yields all objects whose keys begin with prefix, in no order.
	List(ctx context.Context, prefix string) iter.Seq2[Info, error]
}

// Staged is a file being received. It can be read back at any time, and it
// vanishes unless it is committed, even if the process is killed.
type Staged interface {
	io.Writer
	io.ReaderAt
	// Commit stores all that was written under key, durably before it
	// returns; for a key that exists already see Put.
	Commit(ctx context.Context, key string, a Attributes) error
	// Close releases the staged bytes; after Commit it only frees resources.
	Close() error
}

// Object is an open object.
type Object interface {
	io.ReadSeeker
	io.ReaderAt
	io.Closer
	Info() Info
}

// Info describes an object.
type Info struct {
	Key     string
	Size    int64
	ModTime time.Time // when it was stored
}

// Attributes are sent along by a store that answers clients itself, as a
// bucket does. A store whose bytes only ever leave through this server may
// ignore them: the server knows them from its rows.
type Attributes struct {
	ContentType string
	// ContentEncoding, "gzip" say, tells clients to undo it; "" for none.
	ContentEncoding string
	// Filename is the true name for Content-Disposition, "" for none.
	Filename string
	Class    Class
	// Twin is the key of an object with the same bytes, "" if none is known. A
	// store that is far away copies it and need not be sent the bytes.
	Twin string
}

// Class tells how long caches may keep an object.
type Class uint8

// The two classes. CacheControl has their headers.
const (
	// Package files never change: caches keep them for a year.
	Package Class = iota + 1
	// Index files are never cached by CloudFront.
	Index
)

// CacheControl is the Cache-Control header of objects of the class.
func (c Class) CacheControl() string {
	if c == Package {
		return "public, max-age=31536000, immutable"
	}
	return "no-cache, no-store, max-age=0, s-maxage=0, stale-if-error=0"
}

var digestKey = regexp.MustCompile(`^(?:packages|indexes)/([0-9a-f]{64})/`)

// DigestOf is the SHA-256 that a key names, or "".
func DigestOf(key string) string {
	if m := digestKey.FindStringSubmatch(key); m != nil {
		return m[1]
	}
	return ""
}

var keyStep = regexp.MustCompile(`^[A-Za-z0-9._-]{1,255}$`)

// CheckKey reports why key cannot be a key, or nil.
func CheckKey(key string) error {
	for step := range strings.SplitSeq(key, "/") {
		if !keyStep.MatchString(step) || step == "." || step == ".." {
			return fmt.Errorf("storage key %q: each step must be 1 to 255 of [A-Za-z0-9._-] and not dots alone", key)
		}
	}
	return nil
}
