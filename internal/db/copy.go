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
