package db

import (
	"context"
	"fmt"
	"time"
)

// graceTime is the time by the grace clock, for statements that note since when
// something is not needed any more.
const graceTime = `(SELECT at FROM grace_clock)`

// GraceTime is the time by the clock that grace times are counted by. It can be
// anywhere behind the time of day, and only its differences mean something.
func (r Reader) GraceTime(ctx context.Context) (time.Time, error) {
	var at int64
	if err := r.q.QueryRowContext(ctx, `SELECT at FROM grace_clock`).Scan(&at); err != nil {
		return time.Time{}, fmt.Errorf("read the grace clock: %w", err)
	}
	return fromMillis(at), nil
}

// MoveGraceClock moves the grace clock on by the time that has passed since it was
// moved last, by whichever process: it is now by the clock of the database, and
// the caller has run for so long since it moved the grace clock last itself. Where
// the clock was set ahead, or nobody ran, only the latter counts; where it was set
// back, nothing.
func (t *Tx) MoveGraceClock(ctx context.Context, now time.Time, ran time.Duration) error {
	_, err := t.q.ExecContext(ctx, `
		UPDATE grace_clock SET at = at + CASE WHEN $1 < seen_at THEN 0 WHEN $1 - seen_at > $2 THEN $2 ELSE $1 - seen_at END, seen_at = $1`,
		millis(now), ran.Milliseconds())
	if err != nil {
		return fmt.Errorf("move the grace clock on: %w", err)
	}
	return nil
}

// NoteOrphan notes that a sweep, which began at a time by the grace clock, found
// an object without a row. It returns when a sweep found it so for the first time.
func (t *Tx) NoteOrphan(ctx context.Context, object string, sweep time.Time) (found time.Time, err error) {
	var at int64
	err = t.q.QueryRowContext(ctx, `
		INSERT INTO orphans (object, found_at, swept_at) VALUES ($1, $2, $2)
		ON CONFLICT (object) DO UPDATE SET swept_at = excluded.swept_at RETURNING found_at`, object, millis(sweep)).Scan(&at)
	if err != nil {
		return found, fmt.Errorf("note the orphan %s: %w", object, err)
	}
	return fromMillis(at), nil
}

// ForgetOrphans forgets the orphans that a sweep, which is over, did not find:
// they are gone, or have a row now.
func (t *Tx) ForgetOrphans(ctx context.Context, sweep time.Time) error {
	if _, err := t.q.ExecContext(ctx, `DELETE FROM orphans WHERE swept_at < $1`, millis(sweep)); err != nil {
		return fmt.Errorf("forget orphans: %w", err)
	}
	return nil
}

// RetiredFiles lists up to limit files of generations that were replaced
// before a time.
func (r Reader) RetiredFiles(ctx context.Context, before time.Time, limit int) ([]File, error) {
	return collect(ctx, r.q, "retired files", scanIndexFile, indexFileColumns+` WHERE retired_at < $1 ORDER BY retired_at, id LIMIT $2`, millis(before), limit)
}

// ForgetFiles removes the rows of files.
func (t *Tx) ForgetFiles(ctx context.Context, ids []int64) error {
	return t.each(ctx, "forget files", `DELETE FROM files WHERE retired IS NOT NULL AND id`, ids)
}

// RetiredSegment is a segment that no live generation has.
type RetiredSegment struct {
	DocumentID, First, Generation int64
	Object                        string // "" if it was inline
}

// RetiredSegments lists up to limit segments that were replaced before a time.
func (r Reader) RetiredSegments(ctx context.Context, before time.Time, limit int) ([]RetiredSegment, error) {
	scan := func(s scanner) (g RetiredSegment, err error) {
		err = s.Scan(&g.DocumentID, &g.First, &g.Generation, &g.Object)
		return g, err
	}
	return collect(ctx, r.q, "retired segments", scan,
		`SELECT document_id, first, generation, object FROM segments WHERE retired_at < $1 ORDER BY retired_at LIMIT $2`, millis(before), limit)
}

// ForgetSegments removes the rows of segments.
func (t *Tx) ForgetSegments(ctx context.Context, segments []RetiredSegment) error {
	for _, g := range segments {
		_, err := t.q.ExecContext(ctx, `DELETE FROM segments WHERE document_id = $1 AND first = $2 AND generation = $3 AND retired IS NOT NULL`,
			g.DocumentID, g.First, g.Generation)
		if err != nil {
			return fmt.Errorf("forget segment %d of document %d: %w", g.First, g.DocumentID, err)
		}
	}
	return nil
}

// ForgetPackages removes up to limit packages that left the indexes before a
// time, and dooms the blobs that no package refers to any more. It returns the
// number of packages.
func (t *Tx) ForgetPackages(ctx context.Context, before time.Time, limit int) (int, error) {
	scan := func(s scanner) (id int64, err error) { err = s.Scan(&id); return id, err }
	ids, err := collect(ctx, t.q, "retired packages", scan, `SELECT id FROM packages WHERE retired_at < $1 ORDER BY retired_at, id LIMIT $2`, millis(before), limit)
	if err != nil || len(ids) == 0 {
		return 0, err
	}
	// Dooming locks the rows of the blobs: an upload that wants one of them
	// waits, and then takes the doom away again.
	for _, id := range ids {
		_, err := t.q.ExecContext(ctx, `UPDATE blobs SET doomed_at = `+graceTime+` WHERE doomed_at IS NULL
			AND (sha256, name) IN (SELECT f.sha256, f.name FROM package_files f WHERE f.package_id = $1)
			AND NOT EXISTS (SELECT 1 FROM package_files o WHERE o.sha256 = blobs.sha256 AND o.name = blobs.name AND o.package_id <> $1)`, id)
		if err != nil {
			return 0, fmt.Errorf("doom the files of package %d: %w", id, err)
		}
		if _, err := t.q.ExecContext(ctx, `DELETE FROM packages WHERE id = $1`, id); err != nil {
			return 0, fmt.Errorf("forget package %d: %w", id, err)
		}
	}
	return len(ids), nil
}

// DoomedBlobs locks and lists up to limit blobs that nothing has referred to
// since before a time, neither packages nor names that borrow the object. Whoever
// wants one of them waits for the transaction.
func (t *Tx) DoomedBlobs(ctx context.Context, before time.Time, limit int) ([]Blob, error) {
	query := blobColumns + ` WHERE doomed_at < $1
		AND NOT EXISTS (SELECT 1 FROM package_files f WHERE f.sha256 = blobs.sha256 AND f.name = blobs.name)
		AND NOT EXISTS (SELECT 1 FROM blobs o WHERE o.object = blobs.object AND o.name <> blobs.name AND (o.doomed_at IS NULL OR o.doomed_at >= $1))
		ORDER BY doomed_at LIMIT $2`
	if t.postgres {
		query += ` FOR UPDATE SKIP LOCKED` // on SQLite there is one writer
	}
	return collect(ctx, t.q, "doomed blobs", scanBlob, query, millis(before), limit)
}

// ForgetBlob removes the row of a blob that DoomedBlobs has locked.
func (t *Tx) ForgetBlob(ctx context.Context, b Blob) error {
	if _, err := t.q.ExecContext(ctx, `DELETE FROM blobs WHERE sha256 = $1 AND name = $2`, b.SHA256, b.Name); err != nil {
		return fmt.Errorf("forget blob %s: %w", b.SHA256, err)
	}
	return nil
}

// ObjectInUse reports whether a row names a stored object.
func (r Reader) ObjectInUse(ctx context.Context, key string) (bool, error) {
	var used bool
	err := r.q.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM blobs WHERE object = $1)
		OR EXISTS (SELECT 1 FROM segments WHERE object = $1 AND object <> '') OR EXISTS (SELECT 1 FROM files WHERE object = $1 AND object <> '')`, key).Scan(&used)
	if err != nil {
		return false, fmt.Errorf("look who uses %s: %w", key, err)
	}
	return used, nil
}
