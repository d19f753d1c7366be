package db

import (
	"context"
	"database/sql"
	"fmt"

	"packagecloud/internal/format"
)

// Listed selects the packages of a scope that stand in one of some lists and are
// not withheld.
type Listed struct {
	ScopeID int64
	Lists   [3]string // unused ones are "", and stand last
}

// listable is the condition that an index may list a package.
const listable = `p.deleted_at IS NULL AND p.withheld IS NULL`

// where is the condition and its arguments, numbered from 1. One list has an
// index. Several are read in the order of ids, which the index of the scope has: the
// empty text keeps the planner from going by lists and sorting.
func (l Listed) where() (string, []any) {
	if l.Lists[1] == "" {
		return `p.scope_id = $1 AND ` + listable + ` AND p.list = $2`, []any{l.ScopeID, l.Lists[0]}
	}
	// No package stands in the list "".
	return `p.scope_id = $1 AND ` + listable + ` AND p.list || '' IN ($2, $3, $4)`, []any{l.ScopeID, l.Lists[0], l.Lists[1], l.Lists[2]}
}

// CountListed is the number of packages listed.
func (r Reader) CountListed(ctx context.Context, l Listed) (int64, error) {
	where, args := l.where()
	var n int64
	if err := r.q.QueryRowContext(ctx, `SELECT count(*) FROM packages p WHERE `+where, args...).Scan(&n); err != nil {
		return 0, fmt.Errorf("count packages of scope %d: %w", l.ScopeID, err)
	}
	return n, nil
}

// FirstListed is the lowest id of the packages listed, 0 if there is none.
func (r Reader) FirstListed(ctx context.Context, l Listed) (int64, error) {
	where, args := l.where()
	var id int64
	if err := r.q.QueryRowContext(ctx, `SELECT coalesce(min(p.id), 0) FROM packages p WHERE `+where, args...).Scan(&id); err != nil {
		return 0, fmt.Errorf("look for the first package of scope %d: %w", l.ScopeID, err)
	}
	return id, nil
}

// VersionsListed are the packages listed, as frames show them, by id.
func (r Reader) VersionsListed(ctx context.Context, l Listed) ([]format.Version, error) {
	scan := func(s scanner) (v format.Version, err error) {
		var created int64
		var attributes sql.NullString
		if err := s.Scan(&v.Name, &v.Version, &v.Filename, &created, &attributes); err != nil {
			return v, err
		}
		v.CreatedAt = fromMillis(created)
		return v, fromJSON(attributes, &v.Attributes)
	}
	where, args := l.where()
	return collect(ctx, r.q, "versions", scan, `
		SELECT p.name, p.version, p.filename, p.created_at, p.attributes FROM packages p WHERE `+where+` ORDER BY p.id`, args...)
}

// Entries yields the entries of one kind of the packages listed whose ids are
// at least from and below to, by id. The text is valid until yield returns.
func (r Reader) Entries(ctx context.Context, l Listed, kind string, from, to int64, yield func(id int64, text []byte) error) error {
	query, args := r.entriesQuery(l, kind, from, to)
	return r.yield(ctx, "entries", yield, query, args...)
}

func (r Reader) entriesQuery(l Listed, kind string, from, to int64) (string, []any) {
	where, args := l.where()
	index := ""
	if l.Lists[1] == "" && !r.postgres {
		// SQLite knows no statistics, and would go through the whole scope.
		index = "INDEXED BY packages_list"
	}
	n := len(args)
	query := fmt.Sprintf(`
		SELECT p.id, e.text FROM packages p %s JOIN entries e ON e.package_id = p.id AND e.kind = $%d
		WHERE %s AND p.id >= $%d AND p.id < $%d ORDER BY p.id`, index, n+1, where, n+2, n+3)
	return query, append(args, kind, from, to)
}

// yield yields the rows of a query for ids and texts. A text is valid until each
// returns.
func (r Reader) yield(ctx context.Context, what string, each func(id int64, text []byte) error, query string, args ...any) error {
	rows, err := r.q.QueryContext(ctx, query, args...)
	if err != nil {
		return fmt.Errorf("read %s: %w", what, err)
	}
	defer rows.Close()
	for rows.Next() {
		var id int64
		var text sql.RawBytes
		if err := rows.Scan(&id, &text); err != nil {
			return fmt.Errorf("read %s: %w", what, err)
		}
		if err := each(id, text); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read %s: %w", what, err)
	}
	return nil
}
