package download

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/maypok86/otter/v2"

	"packagecloud/internal/db"
	"packagecloud/internal/format"
	"packagecloud/internal/index"
	"packagecloud/internal/repo"
)

// loadTime bounds a look-up in the database. It does not end with the request
// that began it: others may wait for its result.
const loadTime = 10 * time.Second

// load gets a value from a cache, or from the database.
func load[K comparable, V any](ctx context.Context, c *otter.Cache[K, V], key K, from func(context.Context, K) (V, error)) (V, error) {
	return c.Get(ctx, key, otter.LoaderFunc[K, V](func(ctx context.Context, key K) (V, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), loadTime)
		defer cancel()
		return from(ctx, key)
	}))
}

// scope finds the live generation of the scope of a request. One that was
// never published is published now, with nothing in it.
func (h *Handler) scope(ctx context.Context, rp repo.Repository, req format.Request) (*generation, error) {
	id, err := load(ctx, h.caches.scopes, scopeKey{rp.ID, req.OS, req.Version}, h.scopeID)
	if errors.Is(err, repo.ErrNotFound) {
		return h.ensure(ctx, rp, req)
	}
	if err != nil {
		return nil, err
	}
	g, err := load(ctx, h.caches.live, id, h.generation)
	if err != nil {
		return nil, err
	}
	if g.number == 0 {
		return h.ensure(ctx, rp, req)
	}
	return g, nil
}

func (h *Handler) scopeID(ctx context.Context, k scopeKey) (int64, error) {
	s, err := h.DB.Scope(ctx, k.repositoryID, k.os, k.version)
	return s.ID, err
}

// generation reads the live generation of a scope, from one snapshot.
func (h *Handler) generation(ctx context.Context, scopeID int64) (*generation, error) {
	g := &generation{scopeID: scopeID, byPath: make(map[string]db.File), byDigest: make(map[string]db.File), paired: make(map[string]bool)}
	err := h.DB.View(ctx, func(tx *db.Tx) error {
		s, err := tx.ScopeByID(ctx, scopeID)
		if err != nil {
			return err
		}
		g.number = s.Generation
		if g.apart = h.named(s.Distro.Format); g.apart {
			return nil
		}
		files, err := tx.LiveFiles(ctx, scopeID)
		for _, f := range files {
			g.byPath[f.Path] = f
			g.byDigest[f.SHA256] = f
			g.paired[f.Pair] = true
		}
		return err
	})
	return g, err
}

// named reports whether a format has documents for each list.
func (h *Handler) named(name string) bool {
	i := slices.IndexFunc(h.Formats, func(f format.Format) bool { return f.Name() == name })
	if i < 0 {
		return false
	}
	_, ok := h.Formats[i].(format.Named)
	return ok
}

// liveFile finds a file of a generation by its path. What is looked up one by
// one is kept under the number of the generation, and so is never out of date.
func (h *Handler) liveFile(ctx context.Context, scope *generation, path string) (db.File, error) {
	missing := fmt.Errorf("file %s: %w", path, repo.ErrNotFound)
	if !scope.apart {
		if f, ok := scope.byPath[path]; ok {
			return f, nil
		}
		return db.File{}, missing
	}
	f, err := load(ctx, h.caches.index, indexKey{scope.scopeID, scope.number, path}, func(ctx context.Context, k indexKey) (*db.File, error) {
		f, err := h.DB.FileAt(ctx, k.scopeID, k.path, k.generation)
		if errors.Is(err, repo.ErrNotFound) {
			return nil, nil
		}
		return &f, err
	})
	switch {
	case err != nil:
		return db.File{}, err
	case f == nil:
		return db.File{}, missing
	}
	return *f, nil
}

// ensure publishes an empty scope of a distribution that exists.
func (h *Handler) ensure(ctx context.Context, rp repo.Repository, req format.Request) (*generation, error) {
	v, ok := h.Catalog().Find(req.OS, req.Version)
	if !ok {
		return nil, fmt.Errorf("distribution %s/%s: %w", req.OS, req.Version, repo.ErrNotFound)
	}
	if err := h.Publisher.Ensure(ctx, rp, v); err != nil {
		return nil, err
	}
	id, err := h.scopeID(ctx, scopeKey{rp.ID, req.OS, req.Version})
	if err != nil {
		return nil, err
	}
	h.caches.live.Invalidate(id)
	return load(ctx, h.caches.live, id, h.generation)
}

// storedFile finds a package file by its path.
func (h *Handler) storedFile(ctx context.Context, rp repo.Repository, path string) (*db.StoredFile, error) {
	return load(ctx, h.caches.files, fileKey{rp.ID, path}, func(ctx context.Context, k fileKey) (*db.StoredFile, error) {
		f, err := h.DB.StoredFile(ctx, k.repositoryID, k.path)
		return &f, err
	})
}

// document finds the segments of a form of a document.
func (h *Handler) document(ctx context.Context, f db.File) (*index.Document, error) {
	key := documentKey{f.DocumentID, f.Generation, f.Encoding}
	return load(ctx, h.caches.documents, key, func(ctx context.Context, k documentKey) (*index.Document, error) {
		segments, err := h.DB.Segments(ctx, k.documentID, k.generation)
		if err != nil {
			return nil, err
		}
		d := index.NewDocument(k.encoding, segments)
		if d.Size() != f.Size {
			return nil, fmt.Errorf("document %d of generation %d has %d bytes, not %d: run packagecloud-ctl verify", k.documentID, k.generation, d.Size(), f.Size)
		}
		return d, nil
	})
}
