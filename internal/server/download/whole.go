package download

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"path"
	"time"

	"github.com/maypok86/otter/v2"

	"packagecloud/internal/blob"
	"packagecloud/internal/db"
	"packagecloud/internal/publish"
	"packagecloud/internal/repo"
)

// wholeTime bounds how long a document may take to be put together in the
// store.
const wholeTime = 5 * time.Minute

// wholeObject is the key of a file of a generation as one object. Publishing
// stores most of them; the others, the documents of one name, the plain form of a
// large listing that hardly anybody wants or what was published before there was
// a bucket, are stored when somebody asks. All who ask wait for the one who does.
func (h *Handler) wholeObject(ctx context.Context, f db.File, store func(context.Context, db.File) (string, error)) (string, error) {
	if f.Object != "" {
		return f.Object, nil
	}
	return h.caches.objects.Get(ctx, objectKey{f.ID, f.Path, f.SHA256}, otter.LoaderFunc[objectKey, string](func(ctx context.Context, _ objectKey) (string, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), wholeTime)
		defer cancel()
		key, err := store(ctx, f)
		if err != nil {
			return "", fmt.Errorf("store %s: %w", f.Path, err)
		}
		// Another node may have recorded it; the name is the same.
		return key, h.DB.Update(ctx, func(tx *db.Tx) error { return tx.SetFileObject(ctx, f.ID, key) })
	}))
}

// storeWhole stores a file as it is.
func (h *Handler) storeWhole(ctx context.Context, f db.File) (string, error) {
	d, err := h.document(ctx, f)
	if err != nil {
		return "", err
	}
	return h.storeObject(ctx, f, d.Reader(ctx, publish.Segments{Store: h.Blobs}), publish.Attributes(f), f.SHA256)
}

// storeSingle stores the gzip form of a document in place of the document, with
// that as its Content-Encoding.
func (h *Handler) storeSingle(ctx context.Context, f db.File) (string, error) {
	d, err := h.document(ctx, f)
	if err != nil {
		return "", err
	}
	a := publish.Attributes(f)
	a.ContentEncoding = "gzip"
	return h.storeObject(ctx, f, d.Single().Reader(ctx, publish.Segments{Store: h.Blobs}), a, "")
}

// storeObject stores bytes under a key of their SHA-256, which must be that
// wanted, if one is.
func (h *Handler) storeObject(ctx context.Context, f db.File, body io.Reader, a blob.Attributes, want string) (string, error) {
	staged, err := h.Blobs.Stage(ctx)
	if err != nil {
		return "", err
	}
	defer staged.Close()
	hash := sha256.New()
	if _, err := io.Copy(io.MultiWriter(staged, hash), body); err != nil {
		return "", fmt.Errorf("put it together: %w", err)
	}
	sum := hex.EncodeToString(hash.Sum(nil))
	if want != "" && sum != want {
		return "", fmt.Errorf("it has the SHA-256 %s, and %s is recorded: run packagecloud-ctl verify", sum, want)
	}
	key := repo.IndexKey(sum, fmt.Sprintf("%d-%s", f.ID, path.Base(f.Path)))
	return key, staged.Commit(ctx, key, a)
}
