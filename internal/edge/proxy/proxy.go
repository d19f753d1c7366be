// Package proxy is an edge of our own, for sites without CloudFront: it checks
// signed URLs as the functions do, keeps package files on its disk, and asks the
// origin for everything else.
package proxy

import (
	"context"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"packagecloud/internal/blob"
	"packagecloud/internal/content"
	"packagecloud/internal/edge"
	"packagecloud/internal/edge/diskcache"
	"packagecloud/internal/pace"
	"packagecloud/internal/repo"
)

// Handler answers GET and HEAD of signed URLs, and GET /healthz. Its exported
// fields must not change once it is used.
type Handler struct {
	Keys  *edge.Keys
	Cache *diskcache.Cache
	Log   *slog.Logger
	// Now tells the time; nil stands for time.Now.
	Now func() time.Time
	// Memory is how many bytes Quicken may use for small files.
	Memory int64
	// Pace is how long clients may stand still.
	Pace pace.Limits

	counters [counterCount]atomic.Int64
	memory   memory
}

// Counters count answers since the start.
type Counters struct {
	Served      int64 // also in part, or 304
	Refused     int64 // method or link
	Expired     int64
	Missing     int64 // well signed, but not at the origin
	Unavailable int64 // the origin did not answer, or not well
	Broken      int64 // begun and not completed, by whose fault ever
}

const (
	served = iota
	refused
	expired
	missing
	unavailable
	broken
	counterCount
)

// Counters are the counters.
func (h *Handler) Counters() Counters {
	get := func(i int) int64 { return h.counters[i].Load() }
	return Counters{get(served), get(refused), get(expired), get(missing), get(unavailable), get(broken)}
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	w := h.Pace.NewWriter(rw)
	r = h.Pace.Request(rw, r)
	// As sent: r.URL was decoded, and may have been cleaned.
	path, query, _ := strings.Cut(r.RequestURI, "?")
	if path == "/healthz" && r.Method == http.MethodGet {
		_, _ = io.WriteString(w, "ok\n")
		return
	}
	path, err := h.Keys.Check(r.Method, path, query, h.now())
	switch {
	case err == nil:
		h.serve(w, r, path[1:])
	case errors.Is(err, edge.ErrMethod):
		w.Header().Set("Allow", "GET, HEAD")
		h.refuse(w, refused, http.StatusMethodNotAllowed, err.Error())
	case errors.Is(err, edge.ErrExpired):
		h.refuse(w, expired, http.StatusForbidden, err.Error())
	default:
		h.refuse(w, refused, http.StatusForbidden, err.Error())
	}
}

func (h *Handler) now() time.Time {
	if h.Now != nil {
		return h.Now()
	}
	return time.Now()
}

func (h *Handler) refuse(w http.ResponseWriter, counter, status int, text string) {
	h.counters[counter].Add(1)
	guard(w.Header())
	w.Header().Set("Cache-Control", "no-store")
	http.Error(w, text, status)
}

// serve answers a request that is well signed. A key has no character that is
// written as an escape, so the canonical path is the key.
func (h *Handler) serve(w *pace.Writer, r *http.Request, key string) {
	kind, sum, ok := parse(key)
	if !ok {
		h.refuse(w, missing, http.StatusNotFound, "there is no such object")
		return
	}
	header := w.Header()
	identify(header, kind, sum)
	// The tag alone may decide; a time is known when the object is open.
	if content.Judge(r, header.Get("Etag"), time.Time{}) == http.StatusNotModified && content.Done(w, r, time.Time{}) {
		h.counters[served].Add(1)
		return
	}
	o, err := h.open(r.Context(), kind, key, sum)
	if err != nil {
		header.Del("Etag")
		h.fail(w, r, key, err)
		return
	}
	defer o.Close()
	describe(header, o)
	content.Serve(w, r, o.ModTime, o)
	if w.Err != nil {
		h.counters[broken].Add(1)
		// The client must not take a part for the whole.
		panic(http.ErrAbortHandler)
	}
	h.counters[served].Add(1)
}

func (h *Handler) open(ctx context.Context, kind blob.Class, key string, sum [32]byte) (*diskcache.Object, error) {
	if kind == blob.Package {
		return h.Cache.Get(ctx, key, sum)
	}
	return h.Cache.Pass(ctx, key)
}

func (h *Handler) fail(w http.ResponseWriter, r *http.Request, key string, err error) {
	switch {
	case errors.Is(err, blob.ErrNotFound):
		h.refuse(w, missing, http.StatusNotFound, "there is no such object")
	case r.Context().Err() != nil:
		// The client is gone. One that has only stopped sending would read 200 if
		// nothing was answered, so its connection is closed.
		h.counters[broken].Add(1)
		panic(http.ErrAbortHandler)
	default:
		h.Log.Log(r.Context(), repo.LogLevel(err), "cannot open an object of the origin", "key", key, "error", err)
		w.Header().Set("Retry-After", "5")
		h.refuse(w, unavailable, http.StatusServiceUnavailable, "the storage behind this server does not answer, try again")
	}
}

// parse takes a key apart that clients may fetch: <kind>/<sha256>/<name>.
func parse(key string) (kind blob.Class, sum [32]byte, ok bool) {
	if blob.CheckKey(key) != nil {
		return 0, sum, false
	}
	folder, rest, _ := strings.Cut(key, "/")
	digest, name, _ := strings.Cut(rest, "/")
	switch folder {
	case "packages":
		kind = blob.Package
	case "indexes":
		kind = blob.Index
	}
	if kind == 0 || len(digest) != 64 || name == "" || strings.Contains(name, "/") {
		return 0, sum, false
	}
	_, err := hex.Decode(sum[:], []byte(digest))
	return kind, sum, err == nil && digest == strings.ToLower(digest)
}

// guard tells browsers that what is sent is no page of anybody here: users have
// pushed it.
func guard(header http.Header) {
	header.Set("Content-Security-Policy", "sandbox; default-src 'none'")
	header.Set("X-Content-Type-Options", "nosniff")
}

// identify sets what the key alone says of an object.
func identify(header http.Header, kind blob.Class, sum [32]byte) {
	guard(header)
	header.Set("Etag", `"`+hex.EncodeToString(sum[:])+`"`)
	header.Set("Cache-Control", kind.CacheControl())
}

func describe(header http.Header, o *diskcache.Object) {
	kind := o.ContentType
	if kind == "" {
		kind = "application/octet-stream"
	}
	header.Set("Content-Type", kind)
	if o.ContentEncoding != "" {
		header.Set("Content-Encoding", o.ContentEncoding)
	}
	if o.Filename != "" {
		header.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": o.Filename}))
	}
	if o.Hit {
		header.Set("X-Cache", "Hit")
	} else {
		header.Set("X-Cache", "Miss")
	}
}
