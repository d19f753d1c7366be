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

	"packagecloud/internal/db"
	"packagecloud/internal/publish"
	"packagecloud/internal/repo"
)

// wholeTime bounds how long a document may take to be put together in the
// store.
const wholeTime = 5 * time.Minute

// wholeObject is the key of a file of a generation as one object. Publishing
// stores most of them; the others, the plain form of a large listing that hardly
// anybody wants or what was published before there was a bucket, are stored when
// somebody asks. All who ask wait for the one who does it.
func (h *Handler) wholeObject(ctx context.Context, f db.File) (string, error) {
	if f.Object != "" {
		return f.Object, nil
	}
	return h.caches.objects.Get(ctx, f.ID, otter.LoaderFunc[int64, string](func(ctx context.Context, _ int64) (string, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), wholeTime)
		defer cancel()
		return h.storeWhole(ctx, f)
	}))
}

func (h *Handler) storeWhole(ctx context.Context, f db.File) (string, error) {
	d, err := h.document(ctx, f)
	if err != nil {
		return "", err
	}
	staged, err := h.Blobs.Stage(ctx)
	if err != nil {
		return "", err
	}
	defer staged.Close()
	sum := sha256.New()
	if _, err := io.Copy(io.MultiWriter(staged, sum), d.Reader(ctx, publish.Segments{Store: h.Blobs})); err != nil {
		return "", fmt.Errorf("put %s together: %w", f.Path, err)
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != f.SHA256 {
		return "", fmt.Errorf("%s has the SHA-256 %s, and %s is recorded: run packagecloud-ctl verify", f.Path, got, f.SHA256)
	}
	key := repo.IndexKey(f.SHA256, fmt.Sprintf("%d-%s", f.ID, path.Base(f.Path)))
	if err := staged.Commit(ctx, key, publish.Attributes(f)); err != nil {
		return "", fmt.Errorf("store %s: %w", f.Path, err)
	}
	// Another node may have recorded it; the name is the same.
	return key, h.DB.Update(ctx, func(tx *db.Tx) error { return tx.SetFileObject(ctx, f.ID, key) })
}
