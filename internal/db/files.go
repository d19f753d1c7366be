package db

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"packagecloud/internal/format"
)

// File is a file of a scope that clients fetch: one form of a document, or an
// entry point.
type File struct {
	ID         int64
	ScopeID    int64
	Path       string // within the scope
	Generation int64  // the first one that has it
	SHA256     string
	Size       int64
	CreatedAt  time.Time

	DocumentID int64 // of a form of a document; 0 for an entry point
	Encoding   format.Encoding

	// Object is the storage key of the whole file. A form of a document has one
	// only if clients fetch it from the store itself; else it is "".
	Object      string
	ContentType string
	Pair        string // path of the entry point that it must match
}

const indexFileColumns = `SELECT id, scope_id, path, generation, sha256, size, created_at, document_id, encoding, object, content_type, pair FROM files`

func scanIndexFile(s scanner) (f File, err error) {
	var created int64
	var document sql.NullInt64
	err = s.Scan(&f.ID, &f.ScopeID, &f.Path, &f.Generation, &f.SHA256, &f.Size, &created, &document, &f.Encoding, &f.Object, &f.ContentType, &f.Pair)
	f.CreatedAt, f.DocumentID = fromMillis(created), document.Int64
	return f, err
}

// LiveFiles are the files of the live generation of a scope.
func (r Reader) LiveFiles(ctx context.Context, scopeID int64) ([]File, error) {
	return collect(ctx, r.q, "files", scanIndexFile, indexFileColumns+` WHERE scope_id = $1 AND retired IS NULL ORDER BY path`, scopeID)
}

// LiveFile finds the file with a path in the live generation of a scope.
func (r Reader) LiveFile(ctx context.Context, scopeID int64, path string) (File, error) {
	f, err := scanIndexFile(r.q.QueryRowContext(ctx, indexFileColumns+` WHERE scope_id = $1 AND path = $2 AND retired IS NULL`, scopeID, path))
	return f, found(err, "file "+path)
}

// LivePoints are the entry points of the live generation of a scope.
func (r Reader) LivePoints(ctx context.Context, scopeID int64) ([]File, error) {
	return collect(ctx, r.q, "entry points", scanIndexFile, indexFileColumns+`
		WHERE scope_id = $1 AND retired IS NULL AND document_id IS NULL ORDER BY path`, scopeID)
}

// FileAt finds the file with a path as of a generation.
func (r Reader) FileAt(ctx context.Context, scopeID int64, path string, generation int64) (File, error) {
	f, err := scanIndexFile(r.q.QueryRowContext(ctx, indexFileColumns+`
		WHERE scope_id = $1 AND path = $2 AND generation <= $3 AND (retired IS NULL OR retired > $3) LIMIT 1`, scopeID, path, generation))
	return f, found(err, "file "+path)
}

// FileByDigest finds a file of a scope by its SHA-256, of whichever generation
// that is not collected yet.
func (r Reader) FileByDigest(ctx context.Context, scopeID int64, sha256 string) (File, error) {
	f, err := scanIndexFile(r.q.QueryRowContext(ctx, indexFileColumns+` WHERE scope_id = $1 AND sha256 = $2 ORDER BY generation DESC LIMIT 1`, scopeID, sha256))
	return f, found(err, "file with SHA-256 "+sha256)
}

// FileByObject finds a file by its storage key.
func (r Reader) FileByObject(ctx context.Context, key string) (File, error) {
	f, err := scanIndexFile(r.q.QueryRowContext(ctx, indexFileColumns+` WHERE object = $1 AND object <> '' ORDER BY id LIMIT 1`, key))
	return f, found(err, "file of "+key)
}

// ReplaceFile puts a file into a new generation, instead of the one with its
// path that is live.
func (t *Tx) ReplaceFile(ctx context.Context, f File) error {
	if err := t.RetireFile(ctx, f.ScopeID, f.Path, f.Generation); err != nil {
		return err
	}
	document := sql.NullInt64{Int64: f.DocumentID, Valid: f.DocumentID != 0}
	_, err := t.q.ExecContext(ctx, `
		INSERT INTO files (scope_id, path, generation, sha256, size, created_at, document_id, encoding, object, content_type, pair)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
		f.ScopeID, f.Path, f.Generation, f.SHA256, f.Size, millis(f.CreatedAt), document, f.Encoding, f.Object, f.ContentType, f.Pair)
	if err != nil {
		return fmt.Errorf("add file %s: %w", f.Path, err)
	}
	return nil
}

// SetFileObject records that a form of a document is stored as a
// whole. A file that has an object, or is gone, is left as it is.
func (t *Tx) SetFileObject(ctx context.Context, id int64, object string) error {
	_, err := t.q.ExecContext(ctx, `UPDATE files SET object = $2 WHERE id = $1 AND object = ''`, id, object)
	if err != nil {
		return fmt.Errorf("record the object of file %d: %w", id, err)
	}
	return nil
}

// RetireFile takes the live file with a path out of a new generation.
func (t *Tx) RetireFile(ctx context.Context, scopeID int64, path string, generation int64) error {
	_, err := t.q.ExecContext(ctx, `UPDATE files SET retired = $3, retired_at = `+graceTime+` WHERE scope_id = $1 AND path = $2 AND retired IS NULL`,
		scopeID, path, generation)
	if err != nil {
		return fmt.Errorf("retire file %s: %w", path, err)
	}
	return nil
}
