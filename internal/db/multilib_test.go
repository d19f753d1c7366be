package db_test

import (
	"path/filepath"
	"slices"
	"testing"

	"packagecloud/internal/db"
	"packagecloud/internal/db/dbtest"
)

// TestMultilib migrates scopes of programs whose repositories of x86_64 did not
// list the packages of i386: those that have some are rendered again.
func TestMultilib(t *testing.T) {
	t.Run("SQLite", func(t *testing.T) { multilib(t, filepath.Join(t.TempDir(), "test.db")) })
	t.Run("PostgreSQL", func(t *testing.T) { multilib(t, dbtest.PostgresURL(t)) })
}

func multilib(t *testing.T, dsn string) {
	ctx := t.Context()
	d, err := db.Open(ctx, dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := d.MigrateTo(ctx, 7); err != nil {
		t.Fatal(err)
	}
	exec := func(query string, args ...any) {
		t.Helper()
		if err := d.Exec(ctx, query, args...); err != nil {
			t.Fatal(err)
		}
	}
	exec(`INSERT INTO users (id, name, email, token_hash, token_sealed, created_at) VALUES (1, 'a', 'a@b', 'x', '', 0)`)
	exec(`INSERT INTO repositories (id, owner_id, name, private, created_at, updated_at) VALUES (1, 1, 'r', FALSE, 0, 0)`)
	exec(`INSERT INTO scopes (id, repository_id, distro_id, format, os, version, generation) VALUES
		(1, 1, 240, 'rpm', 'el', '9', 3), (2, 1, 239, 'rpm', 'el', '8', 3), (3, 1, 20, 'deb', 'ubuntu', 'jammy', 3)`)
	for i, p := range []struct {
		scope int
		list  string
	}{{1, "i386"}, {1, "x86_64"}, {2, "x86_64"}, {2, "noarch"}, {3, "i386"}} {
		exec(`INSERT INTO packages (id, repository_id, scope_id, type, name, version, release, architecture, namespace, filename, summary, description, list, uploader_id, created_at)
			VALUES ($1, 1, $2, 'rpm', 'p', '1', '', '', '', CAST($3 AS TEXT), '', '', CAST($4 AS TEXT), 1, 0)`, i+1, p.scope, string(rune('a'+i)), p.list)
	}
	if err := d.Migrate(ctx); err != nil {
		t.Fatal(err)
	}
	waits, err := d.RebuildingScopes(ctx)
	if err != nil || !slices.Equal(waits, []int64{1}) {
		t.Errorf("rendered again are the scopes %v, %v", waits, err)
	}
}
