// Package dbtest opens empty databases for tests, on each engine.
package dbtest

import (
	"context"
	"crypto/rand"
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"packagecloud/internal/db"
)

// PostgresVariable names the environment variable with the URL of a PostgreSQL
// server that tests may make schemas on. scripts/with-postgres sets it.
const PostgresVariable = "PACKAGECLOUD_TEST_POSTGRES"

// Each runs a test on SQLite and on PostgreSQL. Where there is no server, the
// latter is skipped, but in CI it fails.
func Each(t *testing.T, test func(t *testing.T, d *db.DB)) {
	t.Run("SQLite", func(t *testing.T) { test(t, SQLite(t)) })
	t.Run("PostgreSQL", func(t *testing.T) { test(t, Postgres(t)) })
}

// SQLite opens a new database in a temporary file.
func SQLite(t testing.TB) *db.DB {
	t.Helper()
	return open(t, filepath.Join(t.TempDir(), "test.db"))
}

// Postgres opens a new schema.
func Postgres(t testing.TB) *db.DB {
	t.Helper()
	return open(t, PostgresURL(t))
}

// PostgresURL makes a new schema and returns the URL of a database that uses
// it.
func PostgresURL(t testing.TB) string {
	t.Helper()
	url := os.Getenv(PostgresVariable)
	if url == "" {
		if os.Getenv("CI") == "true" {
			t.Fatalf("%s is not set: run the tests by scripts/with-postgres", PostgresVariable)
		}
		t.Skipf("needs PostgreSQL: run the tests by scripts/with-postgres")
	}
	admin, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	schema := "test_" + strings.ToLower(rand.Text())
	if _, err := admin.Exec("CREATE SCHEMA " + schema); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := admin.Exec("DROP SCHEMA " + schema + " CASCADE"); err != nil {
			t.Error(err)
		}
		if err := admin.Close(); err != nil {
			t.Error(err)
		}
	})
	separator := "?"
	if strings.Contains(url, "?") {
		separator = "&"
	}
	return url + separator + "search_path=" + schema
}

func open(t testing.TB, dsn string) *db.DB {
	t.Helper()
	d, err := db.Open(context.Background(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := d.Migrate(context.Background()); err != nil {
		t.Fatal(err)
	}
	return d
}
