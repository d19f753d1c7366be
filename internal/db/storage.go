package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// StorageIdentity is that of the storage that belongs to the database, "" if
// none does yet.
func (r Reader) StorageIdentity(ctx context.Context) (string, error) {
	var identity string
	err := r.q.QueryRowContext(ctx, `SELECT identity FROM storage`).Scan(&identity)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", fmt.Errorf("read which storage belongs to the database: %w", err)
	}
	return identity, nil
}

// SetStorageIdentity makes a storage that of the database, unless another one is:
// first is false then.
func (t *Tx) SetStorageIdentity(ctx context.Context, identity string) (first bool, err error) {
	result, err := t.q.ExecContext(ctx, `INSERT INTO storage (id, identity) VALUES (1, $1) ON CONFLICT DO NOTHING`, identity)
	if err != nil {
		return false, fmt.Errorf("record which storage belongs to the database: %w", err)
	}
	n, err := result.RowsAffected()
	return n == 1, err
}

// AnythingStored reports whether a row names anything that is stored.
func (r Reader) AnythingStored(ctx context.Context) (stored bool, err error) {
	err = r.q.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM blobs) OR EXISTS (SELECT 1 FROM files) OR EXISTS (SELECT 1 FROM segments)`).Scan(&stored)
	if err != nil {
		return false, fmt.Errorf("look for what is stored: %w", err)
	}
	return stored, nil
}
