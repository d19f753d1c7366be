package db

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestEntriesPlan looks how SQLite finds a range of entries: by an index that
// has the whole condition, so that the cost follows the range. One list among
// 100,000 must not cost a walk through the others.
func TestEntriesPlan(t *testing.T) {
	d, err := Open(t.Context(), filepath.Join(t.TempDir(), "test.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := d.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	for lists, want := range map[[2]string]string{
		{"one", ""}:    "packages_list (scope_id=? AND list=? AND id>? AND id<?)",
		{"one", "two"}: "packages_scope (scope_id=? AND id>? AND id<?)",
	} {
		query, args := d.entriesQuery(Listed{ScopeID: 1, Lists: lists}, "kind", 1, 9)
		plan := explain(t, d, query, args)
		if !strings.Contains(plan, want) || strings.Contains(plan, "SCAN") || strings.Contains(plan, "TEMP") {
			t.Errorf("%v is read by %s, want %s", lists, plan, want)
		}
	}
}

// explain returns the steps of SQLite's plan for query.
func explain(t *testing.T, d *DB, query string, args []any) string {
	t.Helper()
	rows, err := d.read.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+query, args...)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var steps []string
	for rows.Next() {
		var id, parent, unused int
		var step string
		if err := rows.Scan(&id, &parent, &unused, &step); err != nil {
			t.Fatal(err)
		}
		steps = append(steps, step)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return strings.Join(steps, "; ")
}
