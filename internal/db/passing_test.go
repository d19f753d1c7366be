package db

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"packagecloud/internal/repo"
)

// TestJudge has the errors of drivers that say nothing else to callers than
// whether repeating may help.
func TestJudge(t *testing.T) {
	pg := func(code string) error { return fmt.Errorf("query: %w", &pgconn.PgError{Code: code}) }
	for _, c := range []struct {
		what string
		err  error
		want error // nil: neither passes nor a full disk
	}{
		{"nobody listens", &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, repo.ErrUnavailable},
		{"the connection was reset", &net.OpError{Op: "read", Err: syscall.ECONNRESET}, repo.ErrUnavailable},
		{"the server went away", io.ErrUnexpectedEOF, repo.ErrUnavailable},
		{"a connection of the pool is dead", driver.ErrBadConn, repo.ErrUnavailable},
		{"the pool is closed", sql.ErrConnDone, repo.ErrUnavailable},
		{"time is over", context.DeadlineExceeded, repo.ErrUnavailable},
		{"admin_shutdown", pg("57P01"), repo.ErrUnavailable},
		{"crash_shutdown", pg("57P02"), repo.ErrUnavailable},
		{"cannot_connect_now", pg("57P03"), repo.ErrUnavailable},
		{"query_canceled", pg("57014"), repo.ErrUnavailable},
		{"too_many_connections", pg("53300"), repo.ErrUnavailable},
		{"out_of_memory", pg("53200"), repo.ErrUnavailable},
		{"connection_failure", pg("08006"), repo.ErrUnavailable},
		{"deadlock_detected", pg("40P01"), repo.ErrUnavailable},
		{"read_only_sql_transaction", pg("25006"), repo.ErrUnavailable},
		{"lock_not_available", pg("55P03"), repo.ErrUnavailable},
		{"io_error", pg("58030"), repo.ErrUnavailable},
		{"disk_full", pg("53100"), repo.ErrFull},
		{"a full disk", &net.OpError{Op: "write", Err: syscall.ENOSPC}, repo.ErrFull},
		{"syntax_error", pg("42601"), nil},
		{"not_null_violation", pg("23502"), nil},
		{"character_not_in_repertoire", pg("22021"), nil},
		{"a bug", errors.New("sql: expected 2 arguments, got 1"), nil},
		{"the client left", context.Canceled, nil},
	} {
		got := judge(c.err)
		if !errors.Is(got, c.err) {
			t.Errorf("%s: judge hides the error: %v", c.what, got)
		}
		for _, kind := range []error{repo.ErrUnavailable, repo.ErrFull} {
			if is := errors.Is(got, kind); is != (kind == c.want) {
				t.Errorf("%s: that it is %q is %v", c.what, kind, is)
			}
		}
	}
	for _, same := range []error{nil, sql.ErrNoRows, context.Canceled} {
		if got := judge(same); got != same {
			t.Errorf("judge(%v) is %v: callers compare it", same, got)
		}
	}
}

// TestSQLiteErrors fails in the ways in which SQLite does.
func TestSQLiteErrors(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	d, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := d.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	fill := func() error {
		return d.Update(t.Context(), func(tx *Tx) error {
			_, err := tx.q.ExecContext(t.Context(), `CREATE TABLE filler AS SELECT randomblob(1000000) AS bytes`)
			return err
		})
	}
	for _, pragma := range []string{"busy_timeout = 1", "max_page_count = 1"} { // 1 means as large as it is
		if _, err := d.write.ExecContext(t.Context(), "PRAGMA "+pragma); err != nil {
			t.Fatal(err)
		}
	}
	if err := fill(); !errors.Is(err, repo.ErrFull) {
		t.Errorf("writing to a full disk: %v, want %v", err, repo.ErrFull)
	}

	other, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	err = other.Update(t.Context(), func(*Tx) error { return fill() })
	if !errors.Is(err, repo.ErrUnavailable) {
		t.Errorf("writing while another process does: %v, want %v", err, repo.ErrUnavailable)
	}
}
