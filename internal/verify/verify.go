// Package verify proves that what is served is what the database says: that
// every recorded file is stored with the right bytes, that every live index is
// what its rows render to, and that every signature fits.
//
// It only reads, and may run beside a working server.
package verify

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"

	"packagecloud/internal/blob"
	"packagecloud/internal/clock"
	"packagecloud/internal/db"
	"packagecloud/internal/format"
	"packagecloud/internal/repo"
)

// Problem is something that is not as it must be.
type Problem struct {
	Object string `json:"object"` // what it is about: a package file, an index
	What   string `json:"what"`   // what is wrong, and what to do if there is something
}

// Verifier looks for problems. Its fields must not change once it is used.
type Verifier struct {
	DB      *db.DB
	Blobs   blob.Store
	Formats []format.Format
	// Origin is what entry points were made with, see publish.Worker.
	Origin string
	URL    string
	// Clock is the clock by which generations were dated; nil means
	// db.Reader.Clock.
	Clock func(ctx context.Context, r db.Reader) (time.Time, error)
	// Quick leaves out reading the bytes of packages: their size is compared
	// alone.
	Quick bool
	// Progress is told how many of how many steps are done; nil is fine.
	Progress func(done, total int)
}

// Summary counts what was looked at.
type Summary struct {
	Files      int   `json:"files"` // package files
	Bytes      int64 `json:"bytes"` // of them
	Scopes     int   `json:"distributions"`
	Documents  int   `json:"documents"`
	Signatures int   `json:"signatures"`
	Problems   int   `json:"problems"`
}

// Run looks at everything and reports each problem. The error says that it
// could not go on.
func (v *Verifier) Run(ctx context.Context, report func(Problem)) (s Summary, err error) {
	run := &run{Verifier: v, summary: &s}
	run.report = func(object, what string, args ...any) {
		s.Problems++
		report(Problem{Object: object, What: fmt.Sprintf(what, args...)})
	}
	total, err := v.DB.CountBlobs(ctx)
	if err != nil {
		return s, err
	}
	scopes, err := v.DB.Scopes(ctx)
	if err != nil {
		return s, err
	}
	run.total = int(total) + len(scopes)
	if err := run.blobs(ctx); err != nil {
		return s, err
	}
	for _, scope := range scopes {
		s.Scopes++
		if err := v.DB.View(ctx, func(tx *db.Tx) error { return run.scope(ctx, tx, scope.ID) }); err != nil {
			return s, fmt.Errorf("verify %s of repository %d: %w", scope.Distro, scope.RepositoryID, err)
		}
		run.step()
	}
	if err := run.withheld(ctx); err != nil {
		return s, err
	}
	return s, run.lost(ctx)
}

// run is one pass of a Verifier.
type run struct {
	*Verifier
	summary     *Summary
	report      func(object, what string, args ...any)
	done, total int
}

func (r *run) clock(ctx context.Context, reader db.Reader) (time.Time, error) {
	if r.Clock != nil {
		return r.Clock(ctx, reader)
	}
	return reader.Clock(ctx, clock.Now())
}

func (r *run) step() {
	r.done++
	if r.Progress != nil {
		r.Progress(r.done, max(r.done, r.total))
	}
}

// blobs compares every stored package file with its row.
func (r *run) blobs(ctx context.Context) error {
	const page = 500
	for after := (db.Blob{}); ; {
		blobs, err := r.DB.Blobs(ctx, after, page)
		if err != nil {
			return err
		}
		for _, b := range blobs {
			if err := r.blob(ctx, b); err != nil {
				return err
			}
			after = b
			r.step()
		}
		if len(blobs) < page {
			return nil
		}
	}
}

// restore is what to do about a package file that is lost or damaged.
const restore = "restore it from a backup, or delete the packages and push them again"

func (r *run) blob(ctx context.Context, b db.Blob) error {
	if b.MD5 == "" {
		return nil // an orphan that is to be removed
	}
	r.summary.Files++
	object, err := r.Blobs.Open(ctx, b.Object)
	if errors.Is(err, blob.ErrNotFound) {
		// It may have been collected since the row was read.
		if _, err := r.DB.Blob(ctx, b.SHA256, b.Name); errors.Is(err, repo.ErrNotFound) {
			return nil
		}
		r.report(b.Object, "is recorded, but its bytes are lost: %s", restore)
		return nil
	}
	if err != nil {
		return r.unreadable(ctx, b.Object, err)
	}
	defer object.Close()
	if size := object.Info().Size; size != b.Size {
		r.report(b.Object, "has %d bytes and not %d: %s", size, b.Size, restore)
		return nil
	}
	r.summary.Bytes += b.Size
	if r.Quick {
		return nil
	}
	sum, err := digest(ctx, object)
	if err != nil {
		return r.unreadable(ctx, b.Object, err)
	}
	if sum != b.SHA256 {
		r.report(b.Object, "has the SHA-256 %s, so its bytes have changed: %s", sum, restore)
	}
	return nil
}

// unreadable reports an object that cannot be read, and goes on with the others,
// unless it is the storage that cannot be.
func (r *run) unreadable(ctx context.Context, object string, err error) error {
	if _, away := r.Blobs.Stat(ctx, blob.IdentityKey); away != nil && !errors.Is(away, blob.ErrNotFound) {
		return err
	}
	r.report(object, "cannot be read: %v", err)
	return ctx.Err()
}

// digest is the SHA-256 of what r reads.
func digest(ctx context.Context, r io.Reader) (string, error) {
	h := sha256.New()
	if _, err := io.Copy(h, format.Until(ctx, r)); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// lost looks for packages that no publication will ever take in or out.
func (r *run) lost(ctx context.Context) error {
	ids, err := r.DB.LostPackages(ctx)
	if err != nil {
		return err
	}
	for _, id := range ids {
		p, err := r.DB.PackageByID(ctx, id)
		if err != nil {
			return err
		}
		r.report(p.Files[0].Path, "waits to be published, and nothing is recorded that would do it: run packagecloud-ctl reindex-everything")
	}
	return nil
}

// readAll reads an object of a size that its row bounds.
func (r *run) readAll(ctx context.Context, f db.File) ([]byte, error) {
	object, err := r.Blobs.Open(ctx, f.Object)
	if err != nil {
		return nil, err
	}
	defer object.Close()
	var b bytes.Buffer
	_, err = io.Copy(&b, io.LimitReader(object, f.Size+1))
	return b.Bytes(), err
}
