package upload

import (
	"context"
	"fmt"
	"time"

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
	} else if err := roomFor(ctx, tx, r.pkg); err != nil {
		return err
	}
	for i := range r.pkg.Files {
		if err := r.claimBlob(ctx, tx, i); err != nil {
			return err
		}
	}
	if err := r.replace(ctx, tx); err != nil {
		return err
	}
	if err := claimPaths(ctx, tx, r.format, r.pkg); err != nil {
		return err
	}
	if err := tx.InsertPackage(ctx, r.pkg, r.push.User.ID); err != nil {
		return err
	}
	if err := awaitContents(ctx, tx, r.format, r.pkg); err != nil {
		return err
	}
	entries, err := r.parsed.Entries(format.Listing{Distro: r.push.Distro, Files: r.pkg.Files, Time: r.pkg.CreatedAt})
	if err != nil {
		return err
	}
	if err := format.Check(r.format, r.pkg, entries); err != nil {
		return err
	}
	for _, e := range entries {
		if err := tx.InsertEntry(ctx, r.pkg.ID, e.Kind, e.Text); err != nil {
			return err
		}
	}
	if err := retag(ctx, tx, r.format, r.pkg, format.TagChange{Pushed: r.pkg.Version, Asked: r.push.Tags}); err != nil {
		return err
	}
	return tx.AddChange(ctx, scope, db.PackageChange, r.pkg.ID, r.pkg.CreatedAt)
}

// maxLists bounds the lists of a scope, say its architectures: each has documents
// that entry points name and that packages for all of them are rendered into.
const maxLists = 100

// roomFor refuses a package whose list would be one too many.
func roomFor(ctx context.Context, tx *db.Tx, p *repo.Package) error {
	isNew, others, err := tx.NewLists(ctx, p.ScopeID, p.List)
	if err != nil {
		return err
	}
	if isNew && others >= maxLists {
		return repo.Invalid("architecture", fmt.Sprintf("%q would be one more than the %d architectures that a distribution of a repository may have", p.Architecture, maxLists))
	}
	return nil
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
	key, err := claimBlob(ctx, tx, f, r.pkg.CreatedAt)
	if err != nil {
		return err
	}
	return commit(ctx, r.staged[i], f, key, "")
}

// claimBlob claims the bytes of a file, and returns their storage key.
func claimBlob(ctx context.Context, tx *db.Tx, f *repo.File, now time.Time) (key string, err error) {
	return tx.ClaimBlob(ctx, db.Blob{Digests: f.Digests, Name: f.Name, Object: repo.PackageKey(f.SHA256, f.Name), Size: f.Size}, now)
}

// claimPaths finds paths for the files of a package that have never stood for
// other bytes: the plain ones, or those in a folder named after its digest.
func claimPaths(ctx context.Context, tx *db.Tx, f format.Format, p *repo.Package) error {
	for _, revision := range []string{"", "r" + p.Files[0].SHA256[:16]} {
		for i := range p.Files {
			p.Files[i].Path = f.Path(p, p.Files[i].Name, p.Distro, revision)
		}
		if free, err := claimTheirs(ctx, tx, p); free || err != nil {
			return err
		}
	}
	return fmt.Errorf("the paths of %s stand for other files, even with its digest in them", p.Filename())
}

// claimTheirs claims the paths that the files of a package have. It returns false
// if one of them stands for other bytes, now or at any time before.
func claimTheirs(ctx context.Context, tx *db.Tx, p *repo.Package) (bool, error) {
	free := true
	for _, f := range p.Files {
		mine, err := tx.ClaimPath(ctx, p.RepositoryID, f.Path, f.SHA256)
		if err != nil {
			return false, err
		}
		free = free && mine
	}
	return free, nil
}
