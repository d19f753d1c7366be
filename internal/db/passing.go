package db

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"packagecloud/internal/repo"
)

// judged is a database or a transaction whose errors say whether they pass: an
// error that may be gone when the request is repeated is a repo.ErrDatabase, and
// that of a full disk a repo.ErrFull. All queries go through it.
type judged struct{ q plainQuerier }

// plainQuerier is what *sql.DB and *sql.Tx have in common.
type plainQuerier interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// check refuses texts that one of the engines cannot keep. Whoever knows where they
// come from says it better; this has both engines answer the same.
func check(args []any) error {
	for _, a := range args {
		if s, ok := a.(string); ok && !repo.IsText(s) {
			return repo.Invalid("base", "a text holds a NUL, or is no UTF-8")
		}
	}
	return nil
}

// ExecContext runs a statement that gives no rows.
func (j judged) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	if err := check(args); err != nil {
		return nil, err
	}
	result, err := j.q.ExecContext(ctx, query, args...)
	return result, judge(err)
}

// QueryContext runs a statement that gives rows.
func (j judged) QueryContext(ctx context.Context, query string, args ...any) (judgedRows, error) {
	if err := check(args); err != nil {
		return judgedRows{}, err
	}
	rows, err := j.q.QueryContext(ctx, query, args...) //nolint:rowserrcheck // the caller does
	return judgedRows{rows}, judge(err)
}

// QueryRowContext runs a statement that gives one row, or none.
func (j judged) QueryRowContext(ctx context.Context, query string, args ...any) judgedRow {
	if err := check(args); err != nil {
		return judgedRow{err: err}
	}
	return judgedRow{row: j.q.QueryRowContext(ctx, query, args...)}
}

type judgedRows struct{ *sql.Rows }

func (r judgedRows) Scan(dest ...any) error { return judge(r.Rows.Scan(dest...)) }
func (r judgedRows) Err() error             { return judge(r.Rows.Err()) }
func (r judgedRows) Close() error           { return judge(r.Rows.Close()) }

type judgedRow struct {
	row *sql.Row
	err error
}

func (r judgedRow) Scan(dest ...any) error {
	if r.err != nil {
		return r.err
	}
	return judge(r.row.Scan(dest...))
}

// judge notes in an error of a driver whether it passes. sql.ErrNoRows, and
// what else says nothing of the database's health, stays the value that it is.
func judge(err error) error {
	if err == nil || err == sql.ErrNoRows || errors.Is(err, context.Canceled) {
		return err
	}
	switch kind := kindOf(err); kind {
	case nil:
		return err
	default:
		return fmt.Errorf("%w: %w", kind, err)
	}
}

// kindOf is repo.ErrDatabase, repo.ErrFull, or nil for an error that comes
// back whenever the request does.
func kindOf(err error) error {
	if full := (*sqlite.Error)(nil); errors.As(err, &full) {
		return kindOfSQLite(full.Code())
	}
	if pg := (*pgconn.PgError)(nil); errors.As(err, &pg) {
		return kindOfPostgres(pg.Code)
	}
	var network net.Error
	var connect *pgconn.ConnectError
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return repo.ErrFull
	case errors.As(err, &network), errors.As(err, &connect), pgconn.SafeToRetry(err), isCut(err), errors.Is(err, context.DeadlineExceeded):
		return repo.ErrDatabase
	}
	return nil
}

// isCut reports whether a connection ended under a query, or is not there any
// more.
func isCut(err error) bool {
	for _, cut := range []error{
		driver.ErrBadConn, sql.ErrConnDone, pgconn.ErrConnClosed, io.EOF, io.ErrUnexpectedEOF, net.ErrClosed,
	} {
		if errors.Is(err, cut) {
			return true
		}
	}
	return false
}

// kindOfSQLite judges a result code, https://www.sqlite.org/rescode.html. Its
// lowest byte is the primary one.
func kindOfSQLite(code int) error {
	switch code & 0xff {
	case sqlite3.SQLITE_FULL:
		return repo.ErrFull
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_IOERR,
		sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PROTOCOL,
		sqlite3.SQLITE_READONLY: // its file system went read-only, as after an error of the disk
		return repo.ErrDatabase
	}
	return nil
}

// kindOfPostgres judges a SQLSTATE, appendix A of PostgreSQL's manual.
func kindOfPostgres(code string) error {
	if len(code) != 5 {
		return nil
	}
	switch class := code[:2]; {
	case code == "53100":
		return repo.ErrFull
	case class == "08", // connection exceptions
		class == "53",   // too many connections, out of memory
		class == "57",   // shut down, starting up, cancelled by a time-out
		class == "58",   // the system's errors: I/O
		class == "40",   // deadlocks that repeating did not end
		code == "25006", // a standby, or a former primary: fail-over is under way
		code == "55P03": // a lock that was not had in time
		return repo.ErrDatabase
	}
	return nil
}
