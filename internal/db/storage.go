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

// SetStorageIdentity makes a storage that of the database, unless another one is.
func (t *Tx) SetStorageIdentity(ctx context.Context, identity string) error {
	if _, err := t.q.ExecContext(ctx, `INSERT INTO storage (id, identity) VALUES (1, $1) ON CONFLICT DO NOTHING`, identity); err != nil {
		return fmt.Errorf("record which storage belongs to the database: %w", err)
	}
	return nil
}
