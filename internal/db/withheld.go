package db

import (
	"context"
	"database/sql"
	"fmt"

	"packagecloud/internal/repo"
)

// ScopePackages are up to limit of the packages of a scope behind an id, by id,
// withheld ones too. They come with the package file alone.
func (r Reader) ScopePackages(ctx context.Context, scopeID, after int64, limit int) ([]repo.Package, error) {
	return collect(ctx, r.q, "packages", scanPackage, `SELECT `+packageColumns+packageTables+`
		WHERE p.scope_id = $1 AND p.deleted_at IS NULL AND p.id > $2 ORDER BY p.id LIMIT $3`, scopeID, after, limit)
}

// Withheld lists up to limit of the packages that no index lists because
// clients would not bear them, by scope.
func (r Reader) Withheld(ctx context.Context, limit int) ([]repo.Package, error) {
	return collect(ctx, r.q, "withheld packages", scanPackage, `SELECT `+packageColumns+packageTables+`
		WHERE p.withheld IS NOT NULL AND p.deleted_at IS NULL ORDER BY p.scope_id, p.id LIMIT $1`, limit)
}

// CountWithheld is how many packages no index lists because clients would not
// bear them.
func (r Reader) CountWithheld(ctx context.Context) (int64, error) {
	var n int64
	err := r.q.QueryRowContext(ctx, `SELECT count(*) FROM packages WHERE withheld IS NOT NULL AND deleted_at IS NULL`).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("count withheld packages: %w", err)
	}
	return n, nil
}

// Withhold keeps a package out of the indexes for a reason, or lets it in again
// where the reason is "". The caller records the change of the scope.
func (t *Tx) Withhold(ctx context.Context, packageID int64, reason string) error {
	_, err := t.q.ExecContext(ctx, `UPDATE packages SET withheld = $2 WHERE id = $1`, packageID, sql.NullString{String: reason, Valid: reason != ""})
	if err != nil {
		return fmt.Errorf("withhold package %d: %w", packageID, err)
	}
	return nil
}

// PassGate notes the version of the gate by which all packages of a leased scope
// have been checked.
func (t *Tx) PassGate(ctx context.Context, scopeID int64, lease string, version int) error {
	return t.leased(ctx, `UPDATE scopes SET gate = $3 WHERE id = $1 AND lease = $2`, scopeID, lease, version)
}

// ScopesBehind lists the published scopes of a format whose packages were last
// checked by an older gate.
func (r Reader) ScopesBehind(ctx context.Context, format string, gate int) ([]ScopeState, error) {
	return collect(ctx, r.q, "scopes", scanScope, `SELECT `+scopeColumns+` FROM scopes s WHERE s.format = $1 AND s.gate < $2 AND s.generation > 0 ORDER BY s.id`, format, gate)
}
