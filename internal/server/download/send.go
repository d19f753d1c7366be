package download

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"time"

	"packagecloud/internal/blob"
	"packagecloud/internal/clock"
	"packagecloud/internal/content"
	"packagecloud/internal/db"
	"packagecloud/internal/publish"
	"packagecloud/internal/repo"
)

// sendPackage answers with the file at a path, which never has other bytes.
func (h *Handler) sendPackage(w http.ResponseWriter, r *http.Request, f *db.StoredFile) error {
	w.Header().Set("Cache-Control", "private, max-age=31536000, immutable")
	// The time of the row, not of the file: it must never change, or a client
	// that resumes a transfer begins again.
	return h.sendFile(w, r, f, f.Created, false)
}

// sendNamed answers with the file of the package that has a name now.
func (h *Handler) sendNamed(w http.ResponseWriter, r *http.Request, p repo.Package, f *db.StoredFile) error {
	w.Header().Set("Cache-Control", revalidate(r))
	modified := namedAt(p, clock.Now())
	if !renamed(p, f) {
		return h.sendFile(w, r, f, modified, false)
	}
	if h.Redirect != nil { // clients have times of the store
		modified = time.Time{}
	}
	return h.sendFile(w, r, f, modified, true)
}

// sendFile answers with a package file, or a redirect to it. HEAD is always
// answered here: a redirect to a bucket would be signed for GET alone.
func (h *Handler) sendFile(w http.ResponseWriter, r *http.Request, f *db.StoredFile, modified time.Time, live bool) error {
	header := w.Header()
	header.Set("Etag", etag(f.SHA256))
	// A borrowed object would tell the client the name that somebody else gave it.
	if h.Redirect != nil && r.Method == http.MethodGet && !f.Borrowed && !judged(r, live, header.Get("Etag")) {
		if unchanged(w, r, modified) {
			return nil
		}
		return h.redirect(w, r, f.Object, f.Size)
	}
	header.Set("Content-Type", repo.ContentType(f.Name))
	header.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": f.Name}))
	if content.Done(w, r, modified) {
		return nil
	}
	if live {
		r = untied(r)
	}
	if r.Method == http.MethodHead {
		content.Serve(w, r, modified, &unread{size: f.Size})
		return nil
	}
	object, err := h.Blobs.Open(r.Context(), f.Object)
	if err != nil {
		return err
	}
	defer object.Close()
	content.Serve(w, r, modified, object)
	return nil
}

// unread is content of a known size of which only the size is asked for.
type unread struct{ size, at int64 }

func (u *unread) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += u.at
	case io.SeekEnd:
		offset += u.size
	}
	u.at = offset
	return offset, nil
}

func (u *unread) Read([]byte) (int, error) {
	return 0, errors.New("the content of an answer to HEAD is read")
}

// sendIndex answers with a file of a generation.
func (h *Handler) sendIndex(w http.ResponseWriter, r *http.Request, f db.File, contentType string, live bool) error {
	if h.redirects(r, f, live) {
		return h.redirectIndex(w, r, f)
	}
	return h.sendIndexAs(w, r, f, contentType, blob.Index.CacheControl(), live)
}

// redirects reports whether a client is sent elsewhere for a file of a
// generation.
func (h *Handler) redirects(r *http.Request, f db.File, live bool) bool {
	return h.Redirect != nil && r.Method == http.MethodGet && f.Size >= h.DirectLimit && !judged(r, live, etag(f.SHA256), gzipTag(f))
}

func (h *Handler) redirectIndex(w http.ResponseWriter, r *http.Request, f db.File) error {
	w.Header().Set("Etag", etag(f.SHA256))
	w.Header().Set("Cache-Control", blob.Index.CacheControl())
	if unchanged(w, r, f.CreatedAt) {
		return nil
	}
	key, err := h.wholeObject(r.Context(), f, h.storeWhole)
	if err != nil {
		return err
	}
	return h.redirect(w, r, key, f.Size)
}

// sendIndexAs sends the bytes themselves.
func (h *Handler) sendIndexAs(w http.ResponseWriter, r *http.Request, f db.File, contentType, cacheControl string, live bool) error {
	header := w.Header()
	header.Set("Etag", etag(f.SHA256))
	header.Set("Cache-Control", cacheControl)
	header.Set("Content-Type", cmp.Or(contentType, f.ContentType))
	modified, err := h.dated(r.Context(), f)
	if err != nil {
		return err
	}
	if content.Done(w, r, modified) {
		return nil
	}
	if live {
		r = untied(r)
	}
	if r.Method == http.MethodHead {
		content.Serve(w, r, modified, &unread{size: f.Size})
		return nil
	}
	if f.DocumentID == 0 {
		return h.sendEntryPoint(w, r, f, modified)
	}
	d, err := h.document(r.Context(), f)
	if err != nil {
		return err
	}
	segments, err := d.Ahead(r.Context(), publish.Segments{Store: h.Blobs}, f.Encoding)
	if err != nil {
		return err
	}
	content.Serve(w, r, modified, d.Reader(r.Context(), segments))
	return nil
}

// sendEntryPoint sends a file that is stored as it is, from memory where it is
// small: all clients ask for it all the time.
func (h *Handler) sendEntryPoint(w http.ResponseWriter, r *http.Request, f db.File, modified time.Time) error {
	if f.Size > bodyLimit {
		object, err := h.Blobs.Open(r.Context(), f.Object)
		if err != nil {
			return err
		}
		defer object.Close()
		content.Serve(w, r, modified, object)
		return nil
	}
	body, err := load(r.Context(), h.caches.bodies, f.Object, func(ctx context.Context, key string) ([]byte, error) {
		object, err := h.Blobs.Open(ctx, key)
		if err != nil {
			return nil, err
		}
		defer object.Close()
		return io.ReadAll(io.LimitReader(object, bodyLimit+1))
	})
	if err != nil {
		return err
	}
	content.Serve(w, r, modified, bytes.NewReader(body))
	return nil
}

func sendKey(w http.ResponseWriter, r *http.Request, key []byte) error {
	w.Header().Set("Content-Type", "application/pgp-keys")
	return sendBody(w, r, key)
}

// sendBody answers with a few bytes that are made for the request.
func sendBody(w http.ResponseWriter, r *http.Request, body []byte) error {
	sum := sha256.Sum256(body)
	w.Header().Set("Etag", etag(hex.EncodeToString(sum[:])))
	w.Header().Set("Cache-Control", revalidate(r))
	content.Serve(w, untied(r), time.Time{}, bytes.NewReader(body))
	return nil
}

// redirect sends a client to an object. It is 302 and never 308, which rubygems
// and apk do not follow. The link is the client's alone, and ends.
func (h *Handler) redirect(w http.ResponseWriter, r *http.Request, key string, size int64) error {
	link, err := h.Redirect.Link(r.Context(), key, size)
	if err != nil {
		return fmt.Errorf("make a link to %s: %w", key, err)
	}
	header := w.Header()
	header.Set("Location", link)
	header.Set("Cache-Control", "private, no-store")
	header.Set("Content-Type", "text/html;charset=utf-8")
	header.Set("Content-Length", "0")
	w.WriteHeader(http.StatusFound)
	return nil
}

// gzipTag is the tag of a document with gzip as its Content-Encoding.
func gzipTag(f db.File) string { return etag(f.SHA256 + "-gzip") }

func etag(sha256 string) string { return `"` + sha256 + `"` }

// unchanged answers 304 in place of a redirect. Any other condition is judged by
// the store that the client is sent to, which has tags and times of its own.
func unchanged(w http.ResponseWriter, r *http.Request, modified time.Time) bool {
	return content.Judge(r, w.Header().Get("Etag"), modified) == http.StatusNotModified && content.Done(w, r, modified)
}
