package publish

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"packagecloud/internal/blob"
	"packagecloud/internal/db"
	"packagecloud/internal/format"
)

// findOrigin is the host that the entry points of this generation name. Clients
// compare it with what they know: apt-get update fails on every machine that is
// set up where it changes. So a scope keeps the one that it began with, and a
// new scope takes that of its repository, whatever the public URL is by now.
func (g *generation) findOrigin(ctx context.Context) (string, error) {
	if g.scope.Origin != "" {
		return g.scope.Origin, nil
	}
	if origin, err := g.liveOrigin(ctx); err != nil || origin != "" {
		return origin, err
	}
	origin, err := g.DB.OriginOf(ctx, g.repository.ID)
	if err != nil || origin != "" {
		return origin, err
	}
	return g.Origin, nil
}

// liveOrigin reads the origin of the live generation from what clients get, for
// one that was made before origins were recorded; "" if there is none.
func (g *generation) liveOrigin(ctx context.Context) (string, error) {
	namer, ok := g.format.(format.Originator)
	if !ok || g.scope.Generation == 0 {
		return "", nil
	}
	files, err := g.DB.LivePoints(ctx, g.scope.ID)
	if err != nil {
		return "", err
	}
	for _, f := range files {
		if f.Path != namer.OriginPath() {
			continue
		}
		body, err := read(ctx, g.Blobs, f)
		if errors.Is(err, blob.ErrNotFound) {
			return "", nil // this generation brings it back
		}
		if err != nil {
			return "", fmt.Errorf("read %s of the live generation: %w", f.Path, err)
		}
		return namer.OriginOf(g.repository, body), nil
	}
	return "", nil
}

// read reads an entry point.
func read(ctx context.Context, blobs blob.Store, f db.File) ([]byte, error) {
	object, err := blobs.Open(ctx, f.Object)
	if err != nil {
		return nil, err
	}
	defer object.Close()
	var b bytes.Buffer
	_, err = io.Copy(&b, io.LimitReader(object, f.Size+1))
	return b.Bytes(), err
}

// Relocate has every document rendered again whose links are of another public
// URL than this program's: those of npm and Python. The servers that run do it in
// the background, some names in each generation.
func (w *Worker) Relocate(ctx context.Context) error {
	for _, f := range w.Formats {
		if _, ok := f.(format.Locator); !ok {
			continue
		}
		err := w.DB.Update(ctx, func(tx *db.Tx) error {
			moved, err := tx.MovedScopes(ctx, f.Name(), w.URL)
			if err != nil {
				return err
			}
			for _, id := range moved {
				if err := tx.AddChange(ctx, id, db.Rebuild, 0, w.Now()); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	w.Wake()
	return nil
}
