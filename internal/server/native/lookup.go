package native

import (
	"context"
	"errors"
	"time"

	"packagecloud/internal/db"
	"packagecloud/internal/format"
	"packagecloud/internal/repo"
)

// Look implements format.Lookup.
func (d *doing) Look(ctx context.Context, os, version, list string) (l format.List, err error) {
	err = d.DB.View(ctx, func(tx *db.Tx) error {
		s, err := tx.Scope(ctx, d.repository.ID, os, version)
		if err != nil {
			return err
		}
		if l.Versions, err = tx.VersionsListed(ctx, db.Listed{ScopeID: s.ID, Lists: [3]string{list}}); err != nil {
			return err
		}
		l.Tags, err = tx.Tags(ctx, s.ID, list)
		return err
	})
	if errors.Is(err, repo.ErrNotFound) { // nothing was ever pushed
		err = nil
	}
	return l, err
}

// Entry implements format.Lookup.
func (d *doing) Entry(ctx context.Context, os, version string, t format.Target, kind string) (text []byte, err error) {
	err = d.DB.View(ctx, func(tx *db.Tx) error {
		p, err := tx.PackageByFilename(ctx, d.repository.ID, os, version, t.Namespace, t.Filename)
		if err != nil {
			return err
		}
		text, err = tx.Entry(ctx, p.ID, kind)
		return err
	})
	if err != nil {
		return nil, err
	}
	return format.Located(d.format, d.URL.String(), d.repository)(text), nil
}

// Search implements format.Lookup.
func (d *doing) Search(ctx context.Context, s format.Search) ([]repo.Package, int64, error) {
	state, err := d.DB.Scope(ctx, d.repository.ID, s.OS, s.Version)
	if errors.Is(err, repo.ErrNotFound) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	return d.DB.SearchTagged(ctx, state.ID, s)
}

// awaitTime bounds how long a client waits for what it changed to be published.
const awaitTime = 20 * time.Second

// await waits until the client can read what it wrote. If that takes long, or
// nobody can tell just now, it is answered before: what it wrote is kept.
func (d *doing) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, awaitTime)
	defer cancel()
	s, err := d.DB.Scope(ctx, d.repository.ID, d.distro.OS, d.distro.Version)
	if err == nil {
		err = d.Publisher.AwaitScope(ctx, s.ID)
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, repo.ErrUnavailable) {
		return nil
	}
	return err
}
