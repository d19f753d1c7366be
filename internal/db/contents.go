package db

import (
	"context"
	"fmt"
)

// SetContents chooses whether the indexes of a repository list the contents of
// packages, and reports whether that is new. Then the contents of its packages of
// the given formats wait to be read, or do so no more. What was read is kept.
func (t *Tx) SetContents(ctx context.Context, repositoryID int64, on bool, formats []string) (changed bool, err error) {
	if t.postgres {
		// Waits for the pushes that are under way, and keeps others from beginning:
		// their rows refer to this one. Each either sees the choice or is seen here.
		if _, err := t.q.ExecContext(ctx, `SELECT id FROM repositories WHERE id = $1 FOR UPDATE`, repositoryID); err != nil {
			return false, fmt.Errorf("lock repository %d: %w", repositoryID, err)
		}
	}
	res, err := t.q.ExecContext(ctx, `UPDATE repositories SET contents = $2 WHERE id = $1 AND contents <> $2`, repositoryID, on)
	if err != nil {
		return false, fmt.Errorf("set contents of repository %d: %w", repositoryID, err)
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return false, err
	}
	if !on {
		_, err = t.q.ExecContext(ctx, `DELETE FROM unread_contents WHERE package_id IN (SELECT id FROM packages WHERE repository_id = $1)`, repositoryID)
		if err != nil {
			err = fmt.Errorf("forget what waits in repository %d: %w", repositoryID, err)
		}
		return true, err
	}
	for _, f := range formats {
		_, err := t.q.ExecContext(ctx, `
			INSERT INTO unread_contents (package_id)
			SELECT p.id FROM packages p JOIN scopes s ON s.id = p.scope_id
			WHERE p.repository_id = $1 AND p.deleted_at IS NULL AND s.format = $2`, repositoryID, f)
		if err != nil {
			return false, fmt.Errorf("record what waits in repository %d: %w", repositoryID, err)
		}
	}
	return true, nil
}

// AwaitContents records that the contents of a new package wait to be read, if
// its repository lists contents. It must come after the package was inserted: see
// SetContents.
func (t *Tx) AwaitContents(ctx context.Context, packageID int64) error {
	_, err := t.q.ExecContext(ctx, `
		INSERT INTO unread_contents (package_id)
		SELECT p.id FROM packages p JOIN repositories r ON r.id = p.repository_id WHERE p.id = $1 AND r.contents`, packageID)
	if err != nil {
		return fmt.Errorf("record that the contents of package %d wait: %w", packageID, err)
	}
	return nil
}

// UnreadContents lists up to limit of the packages behind an id, by id, whose
// contents wait to be read.
func (r Reader) UnreadContents(ctx context.Context, after int64, limit int) ([]int64, error) {
	scan := func(s scanner) (id int64, err error) { err = s.Scan(&id); return id, err }
	return collect(ctx, r.q, "packages", scan, `
		SELECT u.package_id FROM unread_contents u JOIN packages p ON p.id = u.package_id
		WHERE u.package_id > $1 AND p.deleted_at IS NULL ORDER BY u.package_id LIMIT $2`, after, limit)
}

// ContentsRead notes that the contents of a package wait no more. It reports
// false if they did not, because another node was faster or the repository lists
// no contents any more.
func (t *Tx) ContentsRead(ctx context.Context, packageID int64) (bool, error) {
	res, err := t.q.ExecContext(ctx, `DELETE FROM unread_contents WHERE package_id = $1`, packageID)
	if err != nil {
		return false, fmt.Errorf("note that the contents of package %d were read: %w", packageID, err)
	}
	n, err := res.RowsAffected()
	return n == 1, err
}
