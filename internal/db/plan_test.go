package db

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// TestPlans looks how SQLite finds rows: by an index that has the whole
// condition, so that the cost follows what is found. One list among 100,000 must
// not cost a walk through the others, nor one file name.
func TestPlans(t *testing.T) {
	d, err := Open(t.Context(), filepath.Join(t.TempDir(), "test.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := d.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	type question struct {
		name  string
		query string
		args  []any
		want  string
	}
	questions := []question{
		{"a file name", byFilename, []any{1, "ubuntu", "jammy", "", "a.deb"}, "packages_filename (scope_id=? AND namespace=? AND filename=?)"},
	}
	for lists, want := range map[[3]string]string{
		{"one"}:                 "packages_list (scope_id=? AND list=? AND id>? AND id<?)",
		{"one", "two"}:          "packages_scope (scope_id=? AND id>? AND id<?)",
		{"one", "two", "three"}: "packages_scope (scope_id=? AND id>? AND id<?)",
	} {
		query, args := d.entriesQuery(Listed{ScopeID: 1, Lists: lists}, "kind", 1, 9)
		questions = append(questions, question{"entries of " + lists[0] + lists[1] + lists[2], query, args, want})
	}
	for _, s := range []struct {
		Selection
		want string
	}{
		{Selection{RepositoryID: 1}, "packages_repository (repository_id=?)"},
		{Selection{RepositoryID: 1, Name: "a"}, "packages_name (repository_id=? AND name=?)"},
		{Selection{RepositoryID: 1, OS: "ubuntu", Version: "jammy"}, "packages_scope (scope_id=?)"},
		{Selection{RepositoryID: 1, OS: "ubuntu", Version: "jammy", Name: "a", Architecture: "amd64"}, "packages_name (repository_id=? AND name=?)"},
	} {
		query, args := s.page(Page{Number: 2, Size: 10})
		questions = append(questions, question{fmt.Sprintf("%+v", s.Selection), query, args, s.want})
	}
	for _, q := range questions {
		plan := explain(t, d, q.query, q.args)
		if !strings.Contains(plan, q.want) || strings.Contains(plan, "SCAN") || strings.Contains(plan, "TEMP") {
			t.Errorf("%s is read by %s, want %s", q.name, plan, q.want)
		}
	}
}

// TestWaitingPlans looks how SQLite finds what is to be published: no walk through
// the changes that wait, nor through all scopes.
func TestWaitingPlans(t *testing.T) {
	d, err := Open(t.Context(), filepath.Join(t.TempDir(), "test.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := d.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, q := range waitingQueries(Timing{}) {
		plan := explain(t, d, q[0].(string), q[1:])
		for _, walk := range []string{"SCAN changes", "SCAN c", "SCAN scopes"} {
			if strings.Contains(plan+";", walk+";") || strings.Contains(plan, walk+" ") {
				t.Errorf("%s is found by %s", name, plan)
			}
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
