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

// SigningKeys are the keys that sign a repository's metadata: the active one
// first, then those before it that still sign beside it, the newest first.
func (r Reader) SigningKeys(ctx context.Context, repositoryID int64) ([]repo.Key, error) {
	return collect(ctx, r.q, "signing keys", scanKey, keyColumns+` WHERE repository_id = $1 AND signs ORDER BY active DESC, id DESC`, repositoryID)
}

// AllSigningKeys are the keys that sign for any repository, in their order.
func (r Reader) AllSigningKeys(ctx context.Context) ([]repo.Key, error) {
	return collect(ctx, r.q, "signing keys", scanKey, keyColumns+` WHERE signs ORDER BY repository_id, id`)
}

// KeylessRepository finds the oldest repository that has no signing key yet.
// waiting asks for one with changes that wait to be published.
func (r Reader) KeylessRepository(ctx context.Context, waiting bool) (repo.Repository, error) {
	query := `SELECT ` + repositoryColumns + ` FROM ` + repositoryTables + ` WHERE NOT EXISTS (SELECT 1 FROM keys k WHERE k.repository_id = r.id AND k.active)`
	if waiting {
		query += ` AND EXISTS (SELECT 1 FROM scopes s WHERE s.repository_id = r.id AND EXISTS (SELECT 1 FROM changes c WHERE c.scope_id = s.id))`
	}
	v, err := scanRepository(r.q.QueryRowContext(ctx, query+` ORDER BY r.id LIMIT 1`))
	return v, found(err, "repository without a key")
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
		INSERT INTO keys (repository_id, type, name, fingerprint, public, sealed, active, signs, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $7, $8) ON CONFLICT DO NOTHING RETURNING id`,
		k.RepositoryID, k.Type, k.Name, k.Fingerprint, k.Public, k.Sealed, active, millis(k.CreatedAt)).Scan(&k.ID)
	if err == sql.ErrNoRows {
		return repo.Taken("name")
	}
	if err != nil {
		return fmt.Errorf("record key %s: %w", k.Name, err)
	}
	return nil
}

// ActivateKey records a key, or finds it by its name, sets its ID and makes it
// the active one. The keys that signed before it go on beside it, unless alone
// is set.
func (t *Tx) ActivateKey(ctx context.Context, k *repo.Key, alone bool) error {
	if _, err := t.q.ExecContext(ctx, `UPDATE keys SET active = FALSE, signs = signs AND NOT $2 WHERE repository_id = $1 AND signs`, k.RepositoryID, alone); err != nil {
		return fmt.Errorf("retire the signing key of repository %d: %w", k.RepositoryID, err)
	}
	err := t.q.QueryRowContext(ctx, `
		INSERT INTO keys (repository_id, type, name, fingerprint, public, sealed, active, signs, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, TRUE, TRUE, $7)
		ON CONFLICT (repository_id, name) DO UPDATE SET public = excluded.public, sealed = excluded.sealed, active = TRUE, signs = TRUE
		RETURNING id`,
		k.RepositoryID, k.Type, k.Name, k.Fingerprint, k.Public, k.Sealed, millis(k.CreatedAt)).Scan(&k.ID)
	if err != nil {
		return fmt.Errorf("record key %s: %w", k.Name, err)
	}
	return nil
}

// RetireKeys ends the keys of a repository that sign beside the active one.
func (t *Tx) RetireKeys(ctx context.Context, repositoryID int64) error {
	if _, err := t.q.ExecContext(ctx, `UPDATE keys SET signs = FALSE WHERE repository_id = $1 AND signs AND NOT active`, repositoryID); err != nil {
		return fmt.Errorf("retire keys of repository %d: %w", repositoryID, err)
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
