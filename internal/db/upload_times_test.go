package db_test

import (
	"path/filepath"
	"strings"
	"testing"

	"packagecloud/internal/db"
	"packagecloud/internal/db/dbtest"
)

// TestUploadTimes migrates what programs before the seventh migration wrote: the
// times of Python's files get a fraction of six digits, everything else stays,
// and the pages of the repositories are rendered again.
func TestUploadTimes(t *testing.T) {
	t.Run("SQLite", func(t *testing.T) { uploadTimes(t, filepath.Join(t.TempDir(), "test.db")) })
	t.Run("PostgreSQL", func(t *testing.T) { uploadTimes(t, dbtest.PostgresURL(t)) })
}

func uploadTimes(t *testing.T, dsn string) {
	ctx := t.Context()
	d, err := db.Open(ctx, dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := d.MigrateTo(ctx, 6); err != nil {
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
		(1, 1, 166, 'py', 'python', '', 3), (2, 1, 166, 'py', 'never', '', 0), (3, 1, 191, 'npm', 'node', '1', 3)`)
	text := func(time string) string {
		return "\n,{\"filename\":\"p-1.tar.gz\",\"requires-python\":\">=3.8, !=\\\"upload-time\\\":\\\"ü\",\"size\":7,\"upload-time\":\"" + time + "\",\"yanked\":\"Z\\\" é \\\"upload-time\\\":\\\"2026-01-02T03:04:05Z\\\"\"}"
	}
	times := [][2]string{
		{"2026-01-02T03:04:05.678Z", "2026-01-02T03:04:05.678000Z"},
		{"2026-01-02T03:04:05.49Z", "2026-01-02T03:04:05.490000Z"},
		{"2026-01-02T03:04:05.4Z", "2026-01-02T03:04:05.400000Z"},
		{"2026-01-02T03:04:05Z", "2026-01-02T03:04:05.000000Z"},
		{"2026-01-02T03:04:05.123456Z", "2026-01-02T03:04:05.123456Z"},
	}
	insert := func(id, scope int, kind, entry string) {
		exec(`INSERT INTO packages (id, repository_id, scope_id, type, name, version, release, architecture, namespace, filename, summary, description, list, uploader_id, created_at)
			VALUES ($1, 1, $2, $3, 'p', '1', '', '', '', CAST($4 AS TEXT), '', '', 'p', 1, 0)`, id, scope, kind, string(rune('a'+id)))
		exec(`INSERT INTO entries (package_id, kind, text) VALUES ($1, 'json', $2)`, id, []byte(entry))
		exec(`INSERT INTO entries (package_id, kind, text) VALUES ($1, 'html', $2)`, id, []byte("<a>"+entry))
	}
	for i, at := range times {
		insert(i+1, 1, "python", text(at[0]))
	}
	insert(100, 3, "node", text("2026-01-02T03:04:05.4Z"))

	if err := d.Migrate(ctx); err != nil {
		t.Fatal(err)
	}
	check := func(id int64, kind, want string) {
		t.Helper()
		if got, err := d.Entry(ctx, id, kind); err != nil || string(got) != want {
			t.Errorf("package %d has the %s %s, %v, and not %s", id, kind, got, err, want)
		}
	}
	for i, at := range times {
		check(int64(i+1), "json", text(at[1]))
		check(int64(i+1), "html", "<a>"+text(at[0]))
	}
	check(100, "json", text("2026-01-02T03:04:05.4Z"))
	waits, err := d.RebuildingScopes(ctx)
	if err != nil || len(waits) != 1 || waits[0] != 1 {
		t.Errorf("rendered again are the scopes %v, %v", waits, err)
	}
	if n, oldest, err := d.Backlog(ctx); err != nil || n != 1 || strings.HasPrefix(oldest.String(), "1970") {
		t.Errorf("%d changes wait since %v, %v", n, oldest, err)
	}
}
