package download

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/maypok86/otter/v2"

	"packagecloud/internal/db"
	"packagecloud/internal/format"
	"packagecloud/internal/publish"
)

const (
	// encodedSizes bounds the compressed documents that are kept in memory, all
	// together, in bytes.
	encodedSizes = 64 << 20
	// encodeFrom and encodeTo are the sizes between which a document is
	// compressed, in bytes: less is not worth it, more is sent as it is.
	encodeFrom = 256
	encodeTo   = 32 << 20
)

// encoded is a document as the content of one gzip member.
type encoded struct {
	body   []byte
	sha256 string
}

func newEncoded() *otter.Cache[documentKey, *encoded] {
	return otter.Must(&otter.Options[documentKey, *encoded]{
		MaximumWeight: encodedSizes,
		Weigher:       func(_ documentKey, e *encoded) uint32 { return uint32(len(e.body)) + 200 }, // at most encodeTo
		Logger:        &otter.NoopLogger{},
	})
}

// sendEncoded answers with a document, compressed if the client takes that as a
// Content-Encoding. The stored gzip form will not do: it has many members, and
// uv reads the first one alone. What was compressed is kept for the next client.
// Each form has a tag of its own.
func (h *Handler) sendEncoded(w http.ResponseWriter, r *http.Request, plain db.File, contentType string) error {
	header := w.Header()
	header.Add("Vary", "Accept-Encoding")
	accepted := format.AcceptsEncoding(strings.Join(r.Header.Values("Accept-Encoding"), ","), "gzip")
	if !accepted || plain.DocumentID == 0 || plain.Size < encodeFrom || plain.Size > encodeTo {
		return h.sendIndexAs(w, r, plain, contentType, revalidate(r))
	}
	e, err := load(r.Context(), h.caches.encoded, documentKey{plain.DocumentID, plain.Generation, plain.Encoding},
		func(ctx context.Context, _ documentKey) (*encoded, error) { return h.encode(ctx, plain) })
	if err != nil {
		return err
	}
	header.Set("Etag", etag(e.sha256))
	header.Set("Cache-Control", revalidate(r))
	header.Set("Content-Type", contentType)
	header.Set("Content-Encoding", "gzip")
	if notModified(w, r) {
		return nil
	}
	if r.Header.Get("Range") == "" { // ServeContent says it only of what is not encoded
		header.Set("Content-Length", strconv.Itoa(len(e.body)))
	}
	http.ServeContent(w, r, "", plain.CreatedAt, bytes.NewReader(e.body))
	return nil
}

func (h *Handler) encode(ctx context.Context, plain db.File) (*encoded, error) {
	d, err := h.document(ctx, plain)
	if err != nil {
		return nil, err
	}
	var body bytes.Buffer
	z, err := gzip.NewWriterLevel(&body, 4)
	if err != nil {
		return nil, err
	}
	if _, err := io.Copy(z, d.Reader(ctx, publish.Segments{Store: h.Blobs})); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	sum := sha256.Sum256(body.Bytes())
	return &encoded{body.Bytes(), hex.EncodeToString(sum[:])}, nil
}
