package download

import (
	"context"
	"net/http"
	"strings"
	"time"

	"packagecloud/internal/content"
	"packagecloud/internal/db"
	"packagecloud/internal/repo"
)

// A URL is live if its bytes change: that of an entry point, a page, a file that
// is asked for by its name alone. Three rules keep clients from old bytes, and from
// a part of the old behind which they put a part of the new, wherever they get the
// bytes from:
//
//   - A date decides only if it is the very Last-Modified of these bytes
//     (package content). Buckets answer 304 to any later date.
//   - A range is answered only if If-Range says of which bytes the client has the
//     rest. Some stores that speak S3 ignore If-Range.
//   - So a request with either is answered here, and not redirected.
//
// For a URL whose bytes never change, the store's own answers do.

// judged reports whether this server answers a request itself although it sends
// clients elsewhere, because the store there would judge it wrongly. tags are those
// by which this server alone knows the content.
func judged(r *http.Request, live bool, tags ...string) bool {
	for _, tag := range tags {
		if content.Names(r, tag) {
			return true
		}
	}
	return live && (r.Header.Get("If-Modified-Since") != "" || r.Header.Get("Range") != "")
}

// untied takes a range off a request for live content that nothing ties to bytes
// that the client has. RFC 9110, 14.2, lets a server ignore any range.
func untied(r *http.Request) *http.Request {
	if r.Header.Get("Range") == "" || r.Header.Get("If-Range") != "" {
		return r
	}
	r = r.Clone(r.Context())
	r.Header.Del("Range")
	return r
}

// dated is the time of a file of a generation. Where clients get it from a store,
// it is the time that the store gives out with it: that of this server is by
// another clock, by which an older file could have had the same time.
func (h *Handler) dated(ctx context.Context, f db.File) (time.Time, error) {
	if h.Redirect == nil || f.Size < h.DirectLimit {
		return f.CreatedAt, nil
	}
	key := f.Object
	if key == "" {
		key, _ = h.caches.objects.GetIfPresent(objectKey{f.ID, f.Path, f.SHA256})
	}
	if key == "" { // nobody was sent there yet
		return time.Time{}, nil
	}
	return load(ctx, h.caches.dates, key, func(ctx context.Context, key string) (time.Time, error) {
		info, err := h.Blobs.Stat(ctx, key)
		return info.ModTime, err
	})
}

// renamed reports whether a name stood for other bytes before those of f, as far
// as is known: its path has a folder for this package then, or the bytes are older
// than the package.
func renamed(p repo.Package, f *db.StoredFile) bool {
	return strings.Contains(f.Path, "/r"+p.Files[0].SHA256[:16]+"/") || p.CreatedAt.After(f.Created)
}

// namedAt is the Last-Modified of what has a name since the package was pushed. It
// is told when it has passed, a second later than anything that had the name
// before: nothing else ever has the same.
func namedAt(p repo.Package, now time.Time) time.Time {
	t := p.CreatedAt.Truncate(time.Second).Add(2 * time.Second)
	if now.Before(t) {
		return time.Time{}
	}
	return t
}
