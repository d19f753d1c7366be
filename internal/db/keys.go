package db

import (
	"context"
	"database/sql"
	"fmt"

	"packagecloud/internal/repo"
)

const keyColumns = `SELECT id, repository_id, type, name, fingerprint, public, sealed, created_at FROM keys`

func scanKey(s scanner) (k repo.Key, err error) {
	var created int64
	err = s.Scan(&k.ID, &k.RepositoryID, &k.Type, &k.Name, &k.Fingerprint, &k.Public, &k.Sealed, &created)
	k.CreatedAt = fromMillis(created)
	return k, err
}

// SigningKey is the key that signs a repository's metadata.
func (r Reader) SigningKey(ctx context.Context, repositoryID int64) (repo.Key, error) {
	k, err := scanKey(r.q.QueryRowContext(ctx, keyColumns+` WHERE repository_id = $1 AND active`, repositoryID))
	return k, found(err, "signing key")
}

// Keys lists the keys of a repository, oldest first.
func (r Reader) Keys(ctx context.Context, repositoryID int64) ([]repo.Key, error) {
	return collect(ctx, r.q, "keys", scanKey, keyColumns+` WHERE repository_id = $1 ORDER BY id`, repositoryID)
}

// Key finds a key of a repository by its file name.
func (r Reader) Key(ctx context.Context, repositoryID int64, name string) (repo.Key, error) {
	k, err := scanKey(r.q.QueryRowContext(ctx, keyColumns+` WHERE repository_id = $1 AND name = $2`, repositoryID, name))
	return k, found(err, "key "+name)
}

// InsertKey records a key and sets its ID. With active it becomes the key that
// signs; the repository must have none. A name that is in use, or a second
// active key, is repo.Taken.
func (t *Tx) InsertKey(ctx context.Context, k *repo.Key, active bool) error {
	err := t.q.QueryRowContext(ctx, `
		INSERT INTO keys (repository_id, type, name, fingerprint, public, sealed, active, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING RETURNING id`,
		k.RepositoryID, k.Type, k.Name, k.Fingerprint, k.Public, k.Sealed, active, millis(k.CreatedAt)).Scan(&k.ID)
	if err == sql.ErrNoRows {
		return repo.Taken("name")
	}
	if err != nil {
		return fmt.Errorf("record key %s: %w", k.Name, err)
	}
	return nil
}

// RetireSigningKey makes the active key of a repository, if it has one, one
// that only verifies what it signed before.
func (t *Tx) RetireSigningKey(ctx context.Context, repositoryID int64) error {
	if _, err := t.q.ExecContext(ctx, `UPDATE keys SET active = FALSE WHERE repository_id = $1 AND active`, repositoryID); err != nil {
		return fmt.Errorf("retire the signing key of repository %d: %w", repositoryID, err)
	}
	return nil
}

// DeleteKey removes a key.
func (t *Tx) DeleteKey(ctx context.Context, id int64) error {
	if _, err := t.q.ExecContext(ctx, `DELETE FROM keys WHERE id = $1`, id); err != nil {
		return fmt.Errorf("delete key %d: %w", id, err)
	}
	return nil
}
