package db

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"testing"
	"time"
)

// openPrepared opens an empty SQLite database with one connection, and a table
// of the numbers below 10.
func openPrepared(t testing.TB) *sql.DB {
	t.Helper()
	c, err := prepareSQLite("file:" + filepath.Join(t.TempDir(), "test.db"))
	if err != nil {
		t.Fatal(err)
	}
	d := sql.OpenDB(c)
	d.SetMaxOpenConns(1)
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	if _, err := d.Exec(`CREATE TABLE numbers (n BIGINT PRIMARY KEY); CREATE TABLE others (n BIGINT)`); err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		if _, err := d.Exec(`INSERT INTO numbers (n) VALUES ($1)`, i); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

const above = `SELECT n FROM numbers WHERE n >= $1 ORDER BY n`

// numbers asks for the numbers from one on.
func numbers(t testing.TB, q interface {
	Query(query string, args ...any) (*sql.Rows, error)
}, from int) (all []int) {
	t.Helper()
	rows, err := q.Query(above, from)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var n int
		if err := rows.Scan(&n); err != nil {
			t.Fatal(err)
		}
		all = append(all, n)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

// TestStatementInUse asks the same thing again while the answer is read, deeper
// and deeper.
func TestStatementInUse(t *testing.T) {
	tx, err := openPrepared(t).Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	var ask func(from int) (seen int)
	ask = func(from int) (seen int) {
		rows, err := tx.Query(above, from)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		for want := from; rows.Next(); want++ {
			var n int
			if err := rows.Scan(&n); err != nil || n != want {
				t.Fatalf("%d, %v, and not %d", n, err, want)
			}
			seen += 1 + ask(n+1)
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
		return seen
	}
	if n := ask(0); n != 1<<10-1 {
		t.Errorf("%d rows were read", n)
	}
}

// glance reads the first row of an answer.
func glance(ctx context.Context, d *sql.DB, query string) error {
	rows, err := d.QueryContext(ctx, query, 0)
	if err != nil {
		return err
	}
	defer rows.Close()
	rows.Next()
	return rows.Err()
}

// TestStatements goes through what a statement that is kept must outlive.
func TestStatements(t *testing.T) {
	for name, outlive := range map[string]func(*testing.T, *sql.DB){
		"nothing": func(*testing.T, *sql.DB) {},
		"rows that are not read to the end": func(t *testing.T, d *sql.DB) {
			if err := glance(t.Context(), d, above); err != nil {
				t.Error(err)
			}
		},
		"a context that ends in the middle": func(t *testing.T, d *sql.DB) {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Millisecond, cancel)
			for ctx.Err() == nil {
				_ = glance(ctx, d, above) // with an error or without, as it comes
			}
		},
		"a change of the schema": func(t *testing.T, d *sql.DB) {
			if _, err := d.Exec(`ALTER TABLE numbers ADD COLUMN more TEXT`); err != nil {
				t.Fatal(err)
			}
			if _, err := d.Exec(`CREATE INDEX numbers_more ON numbers (n, more)`); err != nil {
				t.Fatal(err)
			}
		},
		"more texts than are kept": func(t *testing.T, d *sql.DB) {
			for i := range 3 * mostStatements {
				var n int
				if err := d.QueryRow(fmt.Sprintf(`SELECT %d`, i)).Scan(&n); err != nil || n != i {
					t.Fatal(n, err)
				}
			}
		},
		"a transaction that is rolled back": func(t *testing.T, d *sql.DB) {
			tx, err := d.Begin()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := tx.Exec(`INSERT INTO numbers (n) VALUES ($1)`, 100); err != nil {
				t.Error(err)
			}
			if got := numbers(t, tx, 9); len(got) != 2 {
				t.Errorf("inside: %v", got)
			}
			if err := tx.Rollback(); err != nil {
				t.Error(err)
			}
		},
		"a failure": func(t *testing.T, d *sql.DB) {
			for range 2 {
				if _, err := d.Exec(`INSERT INTO numbers (n) VALUES ($1)`, 5); err == nil {
					t.Error("5 is there twice")
				}
			}
			if _, err := d.Exec(`INSERT INTO numbers (n) VALUES ($1)`, 100); err != nil {
				t.Error(err)
			}
			if _, err := d.Exec(`DELETE FROM numbers WHERE n = $1`, 100); err != nil {
				t.Error(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := openPrepared(t)
			before := numbers(t, d, 3)
			outlive(t, d)
			if got := numbers(t, d, 3); fmt.Sprint(got) != fmt.Sprint(before) || len(got) != 7 {
				t.Errorf("%v, and before %v", got, before)
			}
		})
	}
}

// TestStatementsKept: a connection keeps what it prepared, and not without end.
func TestStatementsKept(t *testing.T) {
	d := openPrepared(t)
	kept := func() (n int) {
		c, err := d.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_ = c.Raw(func(raw any) error { n = len(raw.(*preparingConn).statements); return nil })
		return n
	}
	before := kept()
	for range 3 {
		numbers(t, d, 0)
	}
	if n := kept(); n != before+1 {
		t.Errorf("%d statements are kept, and %d before", n, before)
	}
	for i := range 3 * mostStatements {
		if _, err := d.Exec(fmt.Sprintf(`DELETE FROM others WHERE n = %d`, i)); err != nil {
			t.Fatal(err)
		}
		if n := kept(); n > mostStatements {
			t.Fatalf("%d statements are kept", n)
		}
	}
}
