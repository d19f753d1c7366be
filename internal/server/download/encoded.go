package download

import (
	"net/http"
	"strconv"
	"strings"

	"packagecloud/internal/db"
	"packagecloud/internal/format"
	"packagecloud/internal/publish"
)

// encodeFrom is the size from which on a document is sent compressed, in bytes:
// less is not worth it.
const encodeFrom = 256

// sendEncoded answers with a document, compressed if the client takes that as a
// Content-Encoding: from its stored gzip form, whose members are joined to one,
// because uv and curl read the first one alone. Each form has a tag of its own.
//
// It is never a redirect: the links in a page of Python's index are relative, and
// pip and uv would take them for links to the bucket, which nobody has signed.
func (h *Handler) sendEncoded(w http.ResponseWriter, r *http.Request, plain db.File, contentType string) error {
	header := w.Header()
	header.Add("Vary", "Accept-Encoding")
	accepted := format.AcceptsEncoding(strings.Join(r.Header.Values("Accept-Encoding"), ","), "gzip")
	if !accepted || plain.DocumentID == 0 || plain.Size < encodeFrom {
		return h.sendIndexAs(w, r, plain, contentType, revalidate(r))
	}
	header.Set("Etag", etag(plain.SHA256+"-gzip"))
	header.Set("Cache-Control", revalidate(r))
	header.Set("Content-Type", contentType)
	if notModified(w, r) {
		return nil
	}
	d, err := h.document(r.Context(), plain)
	if err != nil {
		return err
	}
	single := d.Single()
	header.Set("Content-Encoding", "gzip")
	if r.Header.Get("Range") == "" { // ServeContent says it only of what is not encoded
		header.Set("Content-Length", strconv.FormatInt(single.Size(), 10))
	}
	if r.Method == http.MethodHead {
		http.ServeContent(w, r, "", plain.CreatedAt, &unread{size: single.Size()})
		return nil
	}
	http.ServeContent(w, r, "", plain.CreatedAt, single.Reader(r.Context(), publish.Segments{Store: h.Blobs}))
	return nil
}
