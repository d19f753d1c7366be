// Package download answers package managers: it takes a request path apart,
// finds the file it means in the live generation, by its digest or by its
// path, and sends the bytes or a redirect to where they are.
//
// With warm caches no step waits for the database, and only the sending of
// bytes touches the disk.
package download

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/maypok86/otter/v2"

	"packagecloud/internal/auth"
	"packagecloud/internal/blob"
	"packagecloud/internal/db"
	"packagecloud/internal/format"
	"packagecloud/internal/index"
	"packagecloud/internal/publish"
	"packagecloud/internal/repo"
)

// Catalog knows the distributions there are.
type Catalog interface {
	// Find finds a distribution version by its index names.
	Find(os, version string) (repo.DistroVersion, bool)
}

// Publisher publishes a scope that nobody has pushed to yet, so that an empty
// repository is a valid one.
type Publisher interface {
	Ensure(ctx context.Context, r repo.Repository, v repo.DistroVersion) error
}

// Redirector gives links by which clients get objects themselves.
type Redirector interface {
	// Link is where the object with a storage key and a size in bytes is
	// served, for long enough to fetch it.
	Link(ctx context.Context, key string, size int64) (string, error)
}

// Keys gives the public keys of repositories.
type Keys interface {
	// PublicKey is the key that signs a repository's metadata, ASCII armoured.
	PublicKey(ctx context.Context, r repo.Repository) ([]byte, error)
}

// Handler serves package managers. Its fields must not change once it is used.
type Handler struct {
	DB        *db.DB
	Auth      *auth.Auth
	Blobs     blob.Store
	Formats   []format.Format
	Catalog   func() Catalog
	Publisher Publisher
	Keys      Keys
	// Redirect sends clients elsewhere for packages and metadata; nil means
	// that this server sends the bytes.
	Redirect Redirector
	// DirectLimit is the size in bytes below which metadata is answered by this
	// server all the same.
	DirectLimit int64
	// URL is the public URL of the server, without a slash at its end.
	URL *url.URL
	Log *slog.Logger

	caches caches
	pairs  pairs
}

// New completes a handler.
func New(h Handler) *Handler {
	h.caches = newCaches()
	h.pairs = newPairs()
	return &h
}

// Flipped makes this node see a new generation at once.
func (h *Handler) Flipped(scopeID int64) { h.caches.live.Invalidate(scopeID) }

// ServeRepository answers GET and HEAD below a repository's URL. path is
// relative to it, with percent-encoding undone.
func (h *Handler) ServeRepository(w http.ResponseWriter, r *http.Request, rp repo.Repository, path string) error {
	step, _, _ := strings.Cut(path, "/")
	if serve, ok := own[step]; ok {
		return serve(h, w, r, rp, path)
	}
	for _, f := range h.Formats {
		if req, ok := f.Resolve(format.Query{Path: path, Accept: strings.Join(r.Header.Values("Accept"), ",")}); ok {
			return h.serve(w, r, rp, path, req)
		}
	}
	return fmt.Errorf("%s in %s: %w", path, rp.FullName(), repo.ErrNotFound)
}

// own are the paths below a repository that are no format's, by their first step.
// No distribution can be called so.
var own = map[string]func(h *Handler, w http.ResponseWriter, r *http.Request, rp repo.Repository, path string) error{
	"":         (*Handler).servePage,
	"packages": (*Handler).servePage,
	"gpgkey":   (*Handler).serveKeys,
}

func (h *Handler) serve(w http.ResponseWriter, r *http.Request, rp repo.Repository, path string, req format.Request) error {
	if req.Negotiated {
		w.Header().Add("Vary", "Accept")
	}
	switch req.Kind {
	case format.PackageFile, format.NamedFile:
		err := h.serveFile(w, r, rp, req)
		if errors.Is(err, repo.ErrNotFound) && req.Else != nil {
			return h.serve(w, r, rp, path, *req.Else)
		}
		return err
	case format.Moved:
		return move(w, r, path, req)
	case format.Constant:
		w.Header().Set("Content-Type", req.ContentType)
		return sendBody(w, r, req.Body)
	}
	scope, err := h.scope(r.Context(), rp, req)
	if err != nil {
		return err
	}
	file, err := h.indexFile(r, scope, req)
	if err != nil {
		return err
	}
	if req.Encoded {
		return h.sendEncoded(w, r, file, req.ContentType)
	}
	return h.sendIndex(w, r, file, req.ContentType, req.Kind == format.LiveFile)
}

// indexFile finds the file of a scope that a request means.
func (h *Handler) indexFile(r *http.Request, scope *generation, req format.Request) (db.File, error) {
	if req.Kind == format.DigestFile {
		if f, ok := scope.byDigest[req.SHA256]; ok {
			return f, nil
		}
		return h.DB.FileByDigest(r.Context(), scope.scopeID, req.SHA256)
	}
	for _, p := range req.Paths {
		f, err := h.liveFile(r.Context(), scope, p)
		switch {
		case errors.Is(err, repo.ErrNotFound):
		case err != nil:
			return db.File{}, err
		case f.Pair != "":
			return h.paired(r, scope, req, f)
		case scope.paired[p] && r.Method == http.MethodGet:
			return h.first(r, scope, req, f)
		default:
			return f, nil
		}
	}
	return db.File{}, fmt.Errorf("%s in %s/%s: %w", req.Paths[0], req.OS, req.Version, repo.ErrNotFound)
}

// first is a file whose pair will be fetched next. Where the client got one of a
// newer generation meanwhile, this node did not know that yet.
func (h *Handler) first(r *http.Request, scope *generation, req format.Request, f db.File) (db.File, error) {
	if h.pairs.give(r, keyOfPair(r, scope.scopeID, req, f.Path), scope.number) {
		return f, nil
	}
	h.caches.live.Invalidate(scope.scopeID)
	newer, err := load(r.Context(), h.caches.live, scope.scopeID, h.generation)
	if err != nil || newer.number <= scope.number {
		return f, err
	}
	return h.indexFile(r, newer, req)
}

// paired finds a file that must match the one that the client fetched just
// before, which may belong to the generation before this one.
func (h *Handler) paired(r *http.Request, scope *generation, req format.Request, f db.File) (db.File, error) {
	number := h.pairs.fetch(r, keyOfPair(r, scope.scopeID, req, f.Pair))
	if number == 0 || number >= scope.number || number >= f.Generation {
		return f, nil
	}
	// Another path may have answered the request then.
	for _, p := range req.Paths {
		old, err := h.DB.FileAt(r.Context(), scope.scopeID, p, number)
		if !errors.Is(err, repo.ErrNotFound) {
			return old, err
		}
	}
	return f, nil
}

// serveKeys answers gpgkey, the key that signs, and gpgkey/<name>, of keys that are
// retired too.
func (h *Handler) serveKeys(w http.ResponseWriter, r *http.Request, rp repo.Repository, path string) error {
	_, name, _ := strings.Cut(path, "/")
	if name == "" {
		key, err := h.Keys.PublicKey(r.Context(), rp)
		if err != nil {
			return err
		}
		return sendKey(w, r, key)
	}
	k, err := h.DB.Key(r.Context(), rp.ID, name)
	if err != nil {
		return err
	}
	return sendKey(w, r, k.Public)
}

// caches hold what requests need. Each has a bound on its size, and only index
// remembers what does not exist: a client cannot fill the others with names that
// it makes up. Only live and files have a bound on their age: what the others
// hold can never change, whoever publishes. Who may have what is not asked here,
// but of auth.
type caches struct {
	// scopes are ids. Repositories and scopes are never removed, so that an id
	// never stands for another one.
	scopes *otter.Cache[scopeKey, int64]
	// live are generations by scope id, believed for publish.Freshness after they
	// were read. Flipped drops that which this node replaced. An older generation
	// is whole, and its files stay for the grace time.
	live *otter.Cache[int64, *generation]
	// objects are the keys of index files stored late. Their age has no bound: the
	// key of a file with an id, a path and a digest is the same while its row is
	// there, and only files of generations that were just read are looked up.
	objects *otter.Cache[objectKey, string]
	// dates are the times of objects by key, whose bytes do not change. Their time
	// does when packagecloud-ctl gives them other attributes: then a date that is
	// kept here only has clients fetch the same bytes once more.
	dates *otter.Cache[string, time.Time]
	// bodies are small objects by key, which stands for their bytes, so that their
	// age needs no bound.
	bodies *otter.Cache[string, []byte]
	// files are package files by path, believed for fileLife: the bytes of a path
	// never change, but the package may be deleted. Its file stays for the grace
	// time, so that one that was deleted a moment ago may still be sent. Where
	// package_grace_period is shorter than fileLife, such a download fails for as
	// long as it would not find the package otherwise.
	files *otter.Cache[fileKey, *db.StoredFile]
	// documents are rendered documents of a generation, which never change.
	// Documents are never removed, so that an id never stands for another one.
	documents *otter.Cache[documentKey, *index.Document]
	// index are files that are looked up one by one, nil for none of the path. A
	// generation never changes. It is bounded by bytes, as anybody chooses paths.
	index *otter.Cache[indexKey, *db.File]
}

// objectKey is a file of a generation. Its id alone does not do: files of old
// generations are removed, and SQLite gives the highest id again when its row is
// gone.
type objectKey struct {
	id           int64
	path, sha256 string
}

type indexKey struct {
	scopeID, generation int64
	path                string
}

type scopeKey struct {
	repositoryID int64
	os, version  string
}

type fileKey struct {
	repositoryID int64
	path         string
}

type documentKey struct {
	documentID, generation int64
	encoding               format.Encoding
}

// generation is the live generation of a scope. Where it has documents for each
// of any number of lists, its files are not in memory but looked up one by one.
type generation struct {
	scopeID  int64
	number   int64
	apart    bool
	byPath   map[string]db.File
	byDigest map[string]db.File
	paired   map[string]bool // files that others must match, by path
}

// fileLife is how long a package file that was found is believed to be there.
// By default it is far below the time that files of deleted packages stay.
const fileLife = 10 * time.Second

// bodyLimit is the size of an entry point up to which it is kept in memory, and
// bodiesSize that of all that are, in bytes.
const (
	bodyLimit  = 256 << 10
	bodiesSize = 64 << 20
)

// indexSize is the size of caches.index, and indexEntry what an entry takes beside
// its texts, in bytes.
const (
	indexSize  = 64 << 20
	indexEntry = 400
)

func newCaches() caches {
	return caches{
		scopes: otter.Must(&otter.Options[scopeKey, int64]{MaximumSize: 100_000, Logger: &otter.NoopLogger{}}),
		live: otter.Must(&otter.Options[int64, *generation]{
			MaximumSize:       10_000,
			ExpiryCalculator:  otter.ExpiryWriting[int64, *generation](publish.Freshness),
			RefreshCalculator: otter.RefreshWriting[int64, *generation](publish.Freshness / 2),
			Logger:            &otter.NoopLogger{},
		}),
		files: otter.Must(&otter.Options[fileKey, *db.StoredFile]{
			MaximumSize:      100_000,
			ExpiryCalculator: otter.ExpiryWriting[fileKey, *db.StoredFile](fileLife),
			Logger:           &otter.NoopLogger{},
		}),
		objects: otter.Must(&otter.Options[objectKey, string]{MaximumSize: 10_000, Logger: &otter.NoopLogger{}}),
		dates:   otter.Must(&otter.Options[string, time.Time]{MaximumSize: 10_000, Logger: &otter.NoopLogger{}}),
		bodies: otter.Must(&otter.Options[string, []byte]{
			MaximumWeight: bodiesSize,
			Weigher:       func(_ string, body []byte) uint32 { return uint32(len(body)) }, // at most bodyLimit
			Logger:        &otter.NoopLogger{},
		}),
		index: otter.Must(&otter.Options[indexKey, *db.File]{
			MaximumWeight: indexSize,
			Weigher: func(k indexKey, f *db.File) uint32 {
				weight := indexEntry + len(k.path)
				if f != nil {
					weight += len(f.Path) + len(f.Object) + len(f.ContentType) + len(f.SHA256)
				}
				return uint32(weight) // of paths that have a bound each
			},
			Logger: &otter.NoopLogger{},
		}),
		documents: otter.Must(&otter.Options[documentKey, *index.Document]{MaximumSize: 1000, Logger: &otter.NoopLogger{}}),
	}
}
