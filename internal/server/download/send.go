package download

import (
	"mime"
	"net/http"
	"strings"
	"time"

	"packagecloud/internal/blob"
	"packagecloud/internal/db"
	"packagecloud/internal/publish"
)

// sendPackage answers with a package file, or a redirect to it. HEAD is always
// answered here: a redirect to a bucket would be signed for GET alone.
func (h *Handler) sendPackage(w http.ResponseWriter, r *http.Request, f *db.StoredFile) error {
	header := w.Header()
	if h.Redirect != nil && r.Method == http.MethodGet {
		redirect(w, h.Redirect.URL(f.Object, f.Size))
		return nil
	}
	header.Set("Etag", etag(f.SHA256))
	header.Set("Cache-Control", "private, max-age=31536000, immutable")
	header.Set("Content-Type", packageType(f.Name))
	header.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": f.Name}))
	if notModified(w, r) {
		return nil
	}
	object, err := h.Blobs.Open(r.Context(), f.Object)
	if err != nil {
		return err
	}
	defer object.Close()
	// The time of the row, not of the file: it must never change, or a client
	// that resumes a transfer begins again.
	http.ServeContent(w, r, "", f.Created.Truncate(time.Second), object)
	return nil
}

// sendIndex answers with a file of a generation.
func (h *Handler) sendIndex(w http.ResponseWriter, r *http.Request, f db.File, contentType string) error {
	header := w.Header()
	header.Set("Etag", etag(f.SHA256))
	header.Set("Cache-Control", blob.Index.CacheControl())
	if f.ContentType != "" {
		contentType = f.ContentType
	}
	header.Set("Content-Type", contentType)
	if notModified(w, r) {
		return nil
	}
	if f.DocumentID == 0 {
		object, err := h.Blobs.Open(r.Context(), f.Object)
		if err != nil {
			return err
		}
		defer object.Close()
		http.ServeContent(w, r, "", f.CreatedAt, object)
		return nil
	}
	d, err := h.document(r.Context(), f)
	if err != nil {
		return err
	}
	http.ServeContent(w, r, "", f.CreatedAt, d.Reader(r.Context(), publish.Segments{Store: h.Blobs}))
	return nil
}

func sendKey(w http.ResponseWriter, r *http.Request, key []byte) error {
	w.Header().Set("Content-Type", "application/pgp-keys")
	w.Header().Set("Cache-Control", "no-cache")
	http.ServeContent(w, r, "", time.Time{}, strings.NewReader(string(key)))
	return nil
}

// redirect is 302 and never 308, which rubygems and apk do not follow.
func redirect(w http.ResponseWriter, url string) {
	header := w.Header()
	header.Set("Location", url)
	header.Set("Cache-Control", "no-cache")
	header.Set("Content-Type", "text/html;charset=utf-8")
	header.Set("Content-Length", "0")
	w.WriteHeader(http.StatusFound)
}

func etag(sha256 string) string { return `"` + sha256 + `"` }

// notModified answers the usual conditional request, If-None-Match with the
// one tag that we gave, before anything is opened. ServeContent does the rest.
func notModified(w http.ResponseWriter, r *http.Request) bool {
	tag := r.Header.Get("If-None-Match")
	if tag == "" || tag != w.Header().Get("Etag") {
		return false
	}
	w.Header().Del("Content-Type")
	w.Header().Del("Content-Disposition")
	w.WriteHeader(http.StatusNotModified)
	return true
}

func packageType(name string) string {
	switch {
	case strings.HasSuffix(name, ".deb"):
		return "application/vnd.debian.binary-package"
	case strings.HasSuffix(name, ".rpm"):
		return "application/x-rpm"
	case strings.HasSuffix(name, ".dsc"):
		return "text/plain; charset=utf-8"
	}
	return "application/octet-stream"
}
