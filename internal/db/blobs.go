package db

import (
	"context"
	"fmt"
	"time"

	"packagecloud/internal/repo"
)

// Blob is a stored package file.
type Blob struct {
	repo.Digests
	Object string // storage key
	Size   int64
}

// ClaimBlob records stored bytes, or finds the row that records them already,
// and keeps them from being collected: when it returns, the row is locked
// until the transaction ends and is not doomed. It returns the storage key to
// use, which is that of the first upload.
//
// A caller who found the object in storage before must look again now: it may
// have been collected in between.
func (t *Tx) ClaimBlob(ctx context.Context, b Blob, now time.Time) (object string, err error) {
	err = t.q.QueryRowContext(ctx, `
		INSERT INTO blobs (sha256, object, size, md5, sha1, sha512, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (sha256) DO UPDATE SET doomed_at = NULL, size = excluded.size, md5 = excluded.md5, sha1 = excluded.sha1, sha512 = excluded.sha512
		RETURNING object`,
		b.SHA256, b.Object, b.Size, b.MD5, b.SHA1, b.SHA512, millis(now)).Scan(&object)
	if err != nil {
		return "", fmt.Errorf("record blob %s: %w", b.SHA256, err)
	}
	return object, nil
}

// Blob finds the row of a digest.
func (r Reader) Blob(ctx context.Context, sha256 string) (Blob, error) {
	b, err := scanBlob(r.q.QueryRowContext(ctx, blobColumns+` WHERE sha256 = $1`, sha256))
	return b, found(err, "blob "+sha256)
}

const blobColumns = `SELECT sha256, object, size, md5, sha1, sha512 FROM blobs`

func scanBlob(s scanner) (b Blob, err error) {
	err = s.Scan(&b.SHA256, &b.Object, &b.Size, &b.MD5, &b.SHA1, &b.SHA512)
	return b, err
}

// Blobs lists stored blobs by digest, up to limit of them after a digest.
func (r Reader) Blobs(ctx context.Context, after string, limit int) ([]Blob, error) {
	return collect(ctx, r.q, "blobs", scanBlob, blobColumns+` WHERE sha256 > $1 ORDER BY sha256 LIMIT $2`, after, limit)
}

// AdoptOrphan gives a stored object without a row a doomed one, so that it is
// removed like any other, or claimed by an upload first. It returns false if
// the digest has a row, which then names another object.
func (t *Tx) AdoptOrphan(ctx context.Context, sha256, object string, now time.Time) (bool, error) {
	var have string
	err := t.q.QueryRowContext(ctx, `
		INSERT INTO blobs (sha256, object, size, md5, sha1, sha512, created_at, doomed_at) VALUES ($1, $2, 0, '', '', '', $3, $3)
		ON CONFLICT (sha256) DO UPDATE SET object = blobs.object RETURNING object`, sha256, object, millis(now)).Scan(&have)
	if err != nil {
		return false, fmt.Errorf("adopt the orphan %s: %w", object, err)
	}
	return have == object, nil
}

// CountBlobs is the number of stored blobs.
func (r Reader) CountBlobs(ctx context.Context) (int64, error) {
	var n int64
	if err := r.q.QueryRowContext(ctx, `SELECT count(*) FROM blobs`).Scan(&n); err != nil {
		return 0, fmt.Errorf("count blobs: %w", err)
	}
	return n, nil
}

// StoredName is the name of the package file that an object is, "" if no
// package refers to it. If several do, the first one counts.
func (r Reader) StoredName(ctx context.Context, key string) (string, error) {
	var name string
	err := r.q.QueryRowContext(ctx, `SELECT coalesce((SELECT f.name FROM blobs b JOIN package_files f ON f.sha256 = b.sha256
		WHERE b.object = $1 ORDER BY f.package_id, f.position LIMIT 1), '')`, key).Scan(&name)
	if err != nil {
		return "", fmt.Errorf("look which package %s is of: %w", key, err)
	}
	return name, nil
}
