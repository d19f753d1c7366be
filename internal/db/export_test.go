package db

import "context"

// Exec runs a statement, for rows that older programs wrote.
func (d *DB) Exec(ctx context.Context, query string, args ...any) error {
	_, err := d.write.ExecContext(ctx, query, args...)
	return err
}
