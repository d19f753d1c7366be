package download

import (
	"net/http"
	"strings"

	"packagecloud/internal/content"
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
// With a bucket it is a redirect for such clients: the one object that the
// document has there is this form. The others are answered here.
func (h *Handler) sendEncoded(w http.ResponseWriter, r *http.Request, plain db.File, contentType string) error {
	header := w.Header()
	header.Add("Vary", "Accept-Encoding")
	accepted := format.AcceptsEncoding(strings.Join(r.Header.Values("Accept-Encoding"), ","), "gzip")
	redirected := h.redirects(r, plain, true)
	if !accepted || plain.DocumentID == 0 || plain.Size < encodeFrom && !redirected {
		return h.sendIndexAs(w, r, plain, contentType, revalidate(r), true)
	}
	header.Set("Etag", gzipTag(plain))
	header.Set("Cache-Control", revalidate(r))
	if redirected {
		if unchanged(w, r, plain.CreatedAt) {
			return nil
		}
		key, err := h.wholeObject(r.Context(), plain, h.storeSingle)
		if err != nil {
			return err
		}
		return h.redirect(w, r, key, plain.Size)
	}
	modified, err := h.dated(r.Context(), plain)
	if err != nil {
		return err
	}
	if content.Done(w, r, modified) {
		return nil
	}
	header.Set("Content-Type", contentType)
	d, err := h.document(r.Context(), plain)
	if err != nil {
		return err
	}
	single := d.Single()
	header.Set("Content-Encoding", "gzip")
	r = untied(r)
	if r.Method == http.MethodHead {
		content.Serve(w, r, modified, &unread{size: single.Size()})
		return nil
	}
	segments, err := d.Ahead(r.Context(), publish.Segments{Store: h.Blobs}, format.Gzip)
	if err != nil {
		return err
	}
	content.Serve(w, r, modified, single.Reader(r.Context(), segments))
	return nil
}
