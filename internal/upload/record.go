package upload

import (
	"context"
	"fmt"

	"packagecloud/internal/db"
	"packagecloud/internal/format"
	"packagecloud/internal/repo"
)

// recording is the transaction of a push. It may run several times.
type recording struct {
	*Uploader
	push   Push
	format format.Format
	parsed format.Parsed
	pkg    *repo.Package
	staged []*File
}

func (r *recording) run(ctx context.Context, tx *db.Tx) error {
	scope, err := tx.EnsureScope(ctx, r.push.Repository.ID, r.push.Distro)
	if err != nil {
		return err
	}
	r.pkg.ScopeID = scope
	if _, ok := r.format.(format.Named); ok {
		if err := tx.EnsureName(ctx, scope, r.pkg.List); err != nil {
			return err
		}
	}
	for i := range r.pkg.Files {
		if err := r.claimBlob(ctx, tx, i); err != nil {
			return err
		}
	}
	if err := r.replace(ctx, tx); err != nil {
		return err
	}
	if err := r.claimPaths(ctx, tx); err != nil {
		return err
	}
	if err := tx.InsertPackage(ctx, r.pkg, r.push.User.ID); err != nil {
		return err
	}
	entries, err := r.parsed.Entries(format.Listing{Distro: r.push.Distro, Files: r.pkg.Files, Time: r.pkg.CreatedAt})
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := tx.InsertEntry(ctx, r.pkg.ID, e.Kind, e.Text); err != nil {
			return err
		}
	}
	if err := retag(ctx, tx, r.format, r.pkg, r.push.Tags, r.pkg.Version); err != nil {
		return err
	}
	return tx.AddChange(ctx, scope, db.PackageChange, r.pkg.ID, r.pkg.CreatedAt)
}

// replace deletes the package whose place this one takes.
func (r *recording) replace(ctx context.Context, tx *db.Tx) error {
	old := r.push.Replaces
	if old == nil {
		return nil
	}
	gone, err := tx.DeletePackage(ctx, old.ID, r.pkg.CreatedAt)
	if err != nil {
		return err
	}
	if !gone {
		return fmt.Errorf("package %s: %w", old.Filename(), repo.ErrNotFound)
	}
	return tx.AddChange(ctx, old.ScopeID, db.PackageChange, old.ID, r.pkg.CreatedAt)
}

// claimBlob records the bytes of a file. From then on they cannot be collected;
// whether they were until now is seen by storing them once more, which does
// nothing if they are there.
func (r *recording) claimBlob(ctx context.Context, tx *db.Tx, i int) error {
	f := &r.pkg.Files[i]
	key, err := tx.ClaimBlob(ctx, db.Blob{Digests: f.Digests, Object: repo.PackageKey(f.SHA256, f.Name), Size: f.Size}, r.pkg.CreatedAt)
	if err != nil {
		return err
	}
	return r.commit(ctx, r.staged[i], f, key)
}

// claimPaths finds paths that have never stood for other bytes than the
// package's: the plain ones, or those in a folder named after its digest.
func (r *recording) claimPaths(ctx context.Context, tx *db.Tx) error {
	for _, revision := range []string{"", "r" + r.pkg.Files[0].SHA256[:16]} {
		free := true
		for i := range r.pkg.Files {
			f := &r.pkg.Files[i]
			f.Path = r.format.Path(r.pkg, f.Name, r.push.Distro, revision)
			mine, err := tx.ClaimPath(ctx, r.push.Repository.ID, f.Path, f.SHA256)
			if err != nil {
				return err
			}
			free = free && mine
		}
		if free {
			return nil
		}
	}
	return fmt.Errorf("the paths of %s stand for other files, even with its digest in them", r.pkg.Filename())
}
