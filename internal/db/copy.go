package db

import (
	"context"
	"database/sql"
	"fmt"

	"packagecloud/internal/repo"
)

// CopyPackage records a package once more, without its entries, in the
// repository and scope of p and with p's files; it sets the ID of p. A file name
// that the scope has already is repo.Taken.
func (t *Tx) CopyPackage(ctx context.Context, from int64, p *repo.Package) error {
	const same = `type, name, version, release, epoch, architecture, namespace, filename, summary, description, licenses, dependencies, attributes, list, uploader_id, created_at`
	err := t.q.QueryRowContext(ctx, `
		INSERT INTO packages (repository_id, scope_id, `+same+`)
		SELECT CAST($2 AS BIGINT), CAST($3 AS BIGINT), `+same+` FROM packages WHERE id = $1
		ON CONFLICT DO NOTHING RETURNING id`, from, p.RepositoryID, p.ScopeID).Scan(&p.ID)
	if err == sql.ErrNoRows {
		return repo.Taken("filename")
	}
	if err != nil {
		return fmt.Errorf("copy package %s: %w", p.Filename(), err)
	}
	return t.insertFiles(ctx, p)
}

// CopyEntries gives a package the entries of another one.
func (t *Tx) CopyEntries(ctx context.Context, from, to int64) error {
	_, err := t.q.ExecContext(ctx, `INSERT INTO entries (package_id, kind, text) SELECT CAST($2 AS BIGINT), kind, text FROM entries WHERE package_id = $1`, from, to)
	if err != nil {
		return fmt.Errorf("copy the entries of package %d: %w", from, err)
	}
	return nil
}
