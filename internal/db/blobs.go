package db

import (
	"context"
	"fmt"
	"time"

	"packagecloud/internal/repo"
)

// Blob is a stored package file. The same bytes under another name are another
// one.
type Blob struct {
	repo.Digests
	Name   string
	Object string // storage key
	Size   int64
	// Borrowed says that the object was stored for another name, by a program
	// that kept one for each digest. upload.Uploader.Own gives the file its own.
	Borrowed bool
}

// ClaimBlob records stored bytes, or finds the row that records them already,
// and keeps them from being collected: when it returns, the row is locked
// until the transaction ends and is not doomed. It returns the storage key to
// use, which is that of the first upload under this name.
//
// A caller who found the object in storage before must look again now: it may
// have been collected in between.
func (t *Tx) ClaimBlob(ctx context.Context, b Blob, now time.Time) (object string, err error) {
	// An object that was taken for an orphan is one no more.
	_, err = t.q.ExecContext(ctx, `DELETE FROM blobs WHERE object = $1 AND name <> $2 AND md5 = ''`, b.Object, b.Name)
	if err != nil {
		return "", fmt.Errorf("record blob %s: %w", b.SHA256, err)
	}
	err = t.q.QueryRowContext(ctx, `
		INSERT INTO blobs (sha256, name, object, borrowed, size, md5, sha1, sha512, created_at)
		VALUES ($1, $2, $3, EXISTS (SELECT 1 FROM blobs o WHERE o.object = $3 AND o.name <> $2), $4, $5, $6, $7, $8)
		ON CONFLICT (sha256, name) DO UPDATE SET doomed_at = NULL, size = excluded.size, md5 = excluded.md5, sha1 = excluded.sha1, sha512 = excluded.sha512
		RETURNING object`,
		b.SHA256, b.Name, b.Object, b.Size, b.MD5, b.SHA1, b.SHA512, millis(now)).Scan(&object)
	if err != nil {
		return "", fmt.Errorf("record blob %s: %w", b.SHA256, err)
	}
	return object, nil
}

// Blob finds the row of a digest and a name.
func (r Reader) Blob(ctx context.Context, sha256, name string) (Blob, error) {
	b, err := scanBlob(r.q.QueryRowContext(ctx, blobColumns+` WHERE sha256 = $1 AND name = $2`, sha256, name))
	return b, found(err, "blob "+sha256)
}

// Twin finds a row with the same bytes under any other name.
func (r Reader) Twin(ctx context.Context, sha256, name string) (Blob, error) {
	b, err := scanBlob(r.q.QueryRowContext(ctx, blobColumns+` WHERE sha256 = $1 AND name <> $2 AND md5 <> '' LIMIT 1`, sha256, name))
	return b, found(err, "blob "+sha256)
}

const blobColumns = `SELECT sha256, name, object, borrowed, size, md5, sha1, sha512 FROM blobs`

func scanBlob(s scanner) (b Blob, err error) {
	err = s.Scan(&b.SHA256, &b.Name, &b.Object, &b.Borrowed, &b.Size, &b.MD5, &b.SHA1, &b.SHA512)
	return b, err
}

// Blobs lists stored blobs by digest and name, up to limit of them after one.
func (r Reader) Blobs(ctx context.Context, after Blob, limit int) ([]Blob, error) {
	return collect(ctx, r.q, "blobs", scanBlob, blobColumns+` WHERE (sha256, name) > ($1, $2) ORDER BY sha256, name LIMIT $3`, after.SHA256, after.Name, limit)
}

// BorrowedBlobs lists those without an object of their own, as Blobs does.
func (r Reader) BorrowedBlobs(ctx context.Context, after Blob, limit int) ([]Blob, error) {
	return collect(ctx, r.q, "blobs", scanBlob, blobColumns+` WHERE borrowed AND (sha256, name) > ($1, $2) ORDER BY sha256, name LIMIT $3`, after.SHA256, after.Name, limit)
}

// OwnBlob makes an object that of a blob which borrows one. It returns false if
// another name has that object, or the blob has got one meanwhile. The object
// that it borrowed is not collected before another grace time has passed:
// clients may be on the way to it.
func (t *Tx) OwnBlob(ctx context.Context, b Blob, object string) (bool, error) {
	res, err := t.q.ExecContext(ctx, `
		UPDATE blobs SET object = $3, borrowed = FALSE WHERE sha256 = $1 AND name = $2 AND borrowed
			AND NOT EXISTS (SELECT 1 FROM blobs o WHERE o.object = $3 AND NOT o.borrowed)`, b.SHA256, b.Name, object)
	if err != nil {
		return false, fmt.Errorf("give %s an object of its own: %w", b.Name, err)
	}
	n, err := res.RowsAffected()
	if err != nil || n == 0 {
		return false, err
	}
	if _, err := t.q.ExecContext(ctx, `UPDATE blobs SET doomed_at = `+graceTime+` WHERE object = $1 AND doomed_at IS NOT NULL`, b.Object); err != nil {
		return false, fmt.Errorf("keep %s for a while: %w", b.Object, err)
	}
	return true, nil
}

// AdoptOrphan gives a stored object without a row a doomed one, so that it is
// removed like any other, or claimed by an upload of its name first. If that
// name has another object, the row gets a name that no file can have.
func (t *Tx) AdoptOrphan(ctx context.Context, sha256, name, object string, now time.Time) error {
	_, err := t.q.ExecContext(ctx, `
		INSERT INTO blobs (sha256, name, object, borrowed, size, md5, sha1, sha512, created_at, doomed_at)
		VALUES ($1, CASE WHEN EXISTS (SELECT 1 FROM blobs WHERE sha256 = $1 AND name = $2) THEN '/' || $2 ELSE $2 END, $3, FALSE, 0, '', '', '', $4, `+graceTime+`)
		ON CONFLICT DO NOTHING`, sha256, name, object, millis(now))
	if err != nil {
		return fmt.Errorf("adopt the orphan %s: %w", object, err)
	}
	return nil
}

// CountBlobs is the number of stored blobs.
func (r Reader) CountBlobs(ctx context.Context) (int64, error) {
	var n int64
	if err := r.q.QueryRowContext(ctx, `SELECT count(*) FROM blobs`).Scan(&n); err != nil {
		return 0, fmt.Errorf("count blobs: %w", err)
	}
	return n, nil
}

// StoredName is the name of the package file that an object is, "" if none is
// recorded.
func (r Reader) StoredName(ctx context.Context, key string) (string, error) {
	var name string
	err := r.q.QueryRowContext(ctx, `SELECT coalesce((SELECT name FROM blobs WHERE object = $1 AND NOT borrowed AND md5 <> ''), '')`, key).Scan(&name)
	if err != nil {
		return "", fmt.Errorf("look which package %s is of: %w", key, err)
	}
	return name, nil
}
