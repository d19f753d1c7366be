// Package db keeps what the product knows in SQLite or PostgreSQL: it is the
// only truth, and everything that is served can be made again from it.
//
// Both engines run the same SQL; only the migrations differ. Reading methods
// are on Reader, which DB and Tx share; writing ones are on Tx alone, inside
// DB.Update. A method is one statement or a few, and decides nothing that
// belongs to its callers.
package db

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	_ "github.com/jackc/pgx/v5/stdlib" // driver "pgx"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"packagecloud/internal/repo"
)

//go:embed migrations/*/*.sql
var migrations embed.FS

// DB is an open database. It is safe for concurrent use.
type DB struct {
	Reader
	read, write *sql.DB // one and the same on PostgreSQL
	dialect     goose.Dialect
	migrations  fs.FS
}

// Reader has the queries that read.
type Reader struct {
	q        judged
	postgres bool
}

// Tx is a transaction.
type Tx struct{ Reader }

// Open opens the database at dsn: a postgres:// URL, or the path of a SQLite
// file, which is created if need be. It does not migrate.
func Open(ctx context.Context, dsn string) (*DB, error) {
	d, err := open(dsn)
	if err != nil {
		return nil, err
	}
	if err := d.connect(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open the database: %w", err), d.Close())
	}
	return d, nil
}

// connect makes the first connection. Whatever the busy timeout, SQLite does not
// always wait for another process that opens or closes the file in this moment:
// for some of its steps it needs the file for itself.
func (d *DB) connect(ctx context.Context) error {
	for deadline := time.Now().Add(busyTimeout); ; {
		err := judge(d.write.PingContext(ctx))
		if d.Shared() || !errors.Is(err, repo.ErrUnavailable) || time.Now().After(deadline) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// busyTimeout is how long SQLite waits for other processes.
const busyTimeout = 10 * time.Second

func open(dsn string) (*DB, error) {
	if strings.HasPrefix(dsn, "postgres://") || strings.HasPrefix(dsn, "postgresql://") {
		return openPostgres(dsn)
	}
	return openSQLite(dsn)
}

func openPostgres(dsn string) (*DB, error) {
	pool, err := sql.Open("pgx", dsn)
	if err != nil {
		return nil, fmt.Errorf("open PostgreSQL: %w", err)
	}
	pool.SetMaxOpenConns(32)
	pool.SetMaxIdleConns(16)
	pool.SetConnMaxIdleTime(5 * time.Minute)
	return newDB(pool, pool, goose.DialectPostgres, "migrations/postgres")
}

// openSQLite uses one connection for writing and several for reading. Readers
// see a snapshot and never wait (WAL); writers wait for each other, in this
// process by turns and across processes for the busy timeout. FULL makes a
// commit durable before it returns.
func openSQLite(path string) (*DB, error) {
	connect := func(extra string) (*sql.DB, error) {
		pragmas := fmt.Sprintf("_pragma=busy_timeout(%d)", busyTimeout.Milliseconds()) + "&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)&_pragma=cache_size(-16384)"
		c, err := prepareSQLite("file:" + (&url.URL{Path: path}).EscapedPath() + "?" + pragmas + extra)
		if err != nil {
			return nil, err
		}
		return sql.OpenDB(c), nil
	}
	write, err := connect("&_txlock=immediate")
	if err != nil {
		return nil, fmt.Errorf("open SQLite: %w", err)
	}
	write.SetMaxOpenConns(1)
	read, err := connect("&_pragma=query_only(1)")
	if err != nil {
		return nil, fmt.Errorf("open SQLite: %w", err)
	}
	read.SetMaxOpenConns(16)
	read.SetMaxIdleConns(16)
	return newDB(read, write, goose.DialectSQLite3, "migrations/sqlite")
}

func newDB(read, write *sql.DB, dialect goose.Dialect, dir string) (*DB, error) {
	sub, err := fs.Sub(migrations, dir)
	if err != nil {
		return nil, err
	}
	return &DB{Reader: Reader{judged{read}, dialect == goose.DialectPostgres}, read: read, write: write, dialect: dialect, migrations: sub}, nil
}

// Close closes the database.
func (d *DB) Close() error {
	if d.read == d.write {
		return d.write.Close()
	}
	return errors.Join(d.read.Close(), d.write.Close())
}

// Shared reports whether other machines may use the database too.
func (d *DB) Shared() bool { return d.dialect == goose.DialectPostgres }

// Engine names the engine for people: "SQLite" or "PostgreSQL".
func (d *DB) Engine() string {
	if d.Shared() {
		return "PostgreSQL"
	}
	return "SQLite"
}

// Migrate brings the schema up to this program's version. Several processes
// may call it at once. A schema newer than the program is an error.
func (d *DB) Migrate(ctx context.Context) error { return d.migrate(ctx, goose.MaxVersion) }

// MigrateTo stops at a version, for tests of the migrations after it.
func (d *DB) MigrateTo(ctx context.Context, version int64) error { return d.migrate(ctx, version) }

func (d *DB) migrate(ctx context.Context, version int64) error {
	p, err := d.provider()
	if err != nil {
		return err
	}
	have, know, err := p.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("read the version of the database: %w", err)
	}
	if have > know {
		return fmt.Errorf("the database has schema version %d, and this program knows %d: run the newer program that migrated it", have, know)
	}
	if _, err := p.UpTo(ctx, version); err != nil {
		// Another process may have done it in the meantime.
		if pending, perr := p.HasPending(ctx); perr == nil && !pending {
			return nil
		}
		return fmt.Errorf("migrate the database: %w", err)
	}
	return nil
}

// Pending reports whether Migrate has something to do.
func (d *DB) Pending(ctx context.Context) (bool, error) {
	p, err := d.provider()
	if err != nil {
		return false, err
	}
	pending, err := p.HasPending(ctx)
	if err != nil {
		return false, fmt.Errorf("look for pending migrations: %w", err)
	}
	return pending, nil
}

func (d *DB) provider() (*goose.Provider, error) {
	options := []goose.ProviderOption{goose.WithSlog(slog.New(slog.DiscardHandler))}
	if d.Shared() {
		locker, err := lock.NewPostgresSessionLocker()
		if err != nil {
			return nil, fmt.Errorf("make the migration lock: %w", err)
		}
		options = append(options, goose.WithSessionLocker(locker))
	}
	p, err := goose.NewProvider(d.dialect, d.write, d.migrations, options...)
	if err != nil {
		return nil, fmt.Errorf("read migrations: %w", err)
	}
	return p, nil
}

// Update runs fn in a transaction and commits it durably. fn may run several
// times: PostgreSQL ends one of two transactions that wait for each other, and
// of two that make rows of the same object, an upload and a sweep.
func (d *DB) Update(ctx context.Context, fn func(*Tx) error) error {
	for attempt := 0; ; attempt++ {
		err := d.transact(ctx, d.write, nil, fn)
		var pg *pgconn.PgError
		if attempt < 5 && errors.As(err, &pg) && (pg.Code == "40P01" || pg.Code == "40001" || pg.Code == "23505" && pg.ConstraintName == "blobs_object") {
			continue
		}
		return err
	}
}

// View runs fn on one consistent snapshot.
func (d *DB) View(ctx context.Context, fn func(*Tx) error) error {
	options := &sql.TxOptions{ReadOnly: true}
	if d.Shared() {
		options.Isolation = sql.LevelRepeatableRead
	}
	return d.transact(ctx, d.read, options, fn)
}

func (d *DB) transact(ctx context.Context, pool *sql.DB, options *sql.TxOptions, fn func(*Tx) error) error {
	tx, err := pool.BeginTx(ctx, options)
	if err != nil {
		return fmt.Errorf("begin transaction: %w", judge(err))
	}
	defer tx.Rollback() //nolint:errcheck // after Commit it does nothing, and before it the first error counts
	if err := fn(&Tx{Reader{judged{tx}, d.postgres}}); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", judge(err))
	}
	return nil
}

// found turns the absence of a row into repo.ErrNotFound.
func found(err error, what string) error {
	if errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("%s: %w", what, repo.ErrNotFound)
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", what, err)
	}
	return nil
}

// scanner is a *sql.Row or *sql.Rows.
type scanner interface{ Scan(dest ...any) error }

// collect reads all rows of a query.
func collect[T any](ctx context.Context, q judged, what string, scan func(scanner) (T, error), query string, args ...any) ([]T, error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", what, err)
	}
	defer rows.Close()
	var all []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", what, err)
		}
		all = append(all, v)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read %s: %w", what, err)
	}
	return all, nil
}

// millis and fromMillis are how times are stored.
func millis(t time.Time) int64 { return t.UnixMilli() }

func fromMillis(ms int64) time.Time { return time.UnixMilli(ms).UTC() }
