package db

import (
	"context"
	"database/sql/driver"
	"errors"

	"modernc.org/sqlite"
)

// mostStatements is how many statements a connection keeps. The program has
// fewer texts of SQL, but for those that are put together.
const mostStatements = 256

// preparing makes connections to SQLite that keep their statements: to parse one
// takes longer than to run it. pgx does the same for PostgreSQL. A statement may be
// as old as its connection: SQLite prepares it again when the schema has changed.
type preparing struct{ driver.Connector }

func prepareSQLite(dsn string) (driver.Connector, error) {
	c, err := sqlite.NewConnector(dsn)
	return preparing{c}, err
}

var errDriver = errors.New("the driver of SQLite has changed: what it makes lacks methods")

// Connect implements driver.Connector.
func (p preparing) Connect(ctx context.Context) (driver.Conn, error) {
	c, err := p.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	full, ok := c.(sqliteConn)
	if !ok {
		return nil, errors.Join(errDriver, c.Close())
	}
	return &preparingConn{sqliteConn: full, statements: make(map[string]*statement)}, nil
}

// sqliteConn is what database/sql uses of a connection.
type sqliteConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.Pinger
	driver.QueryerContext
	driver.SessionResetter
	driver.Validator
}

// preparingConn needs no lock: database/sql lets nobody else use a connection,
// or rows of it, at the same time.
type preparingConn struct {
	sqliteConn
	statements map[string]*statement // by their text
}

// sqliteStatement is what the driver prepares.
type sqliteStatement interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

// statement is one that is kept. While its rows are read, whoever wants the same
// has another one made.
type statement struct {
	sqliteStatement
	busy bool
}

// ExecContext implements driver.ExecerContext.
func (c *preparingConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	s, err := c.statement(ctx, query)
	switch {
	case err != nil:
		return nil, err
	case s == nil:
		return c.sqliteConn.ExecContext(ctx, query, args)
	}
	return s.ExecContext(ctx, args)
}

// QueryContext implements driver.QueryerContext.
func (c *preparingConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	s, err := c.statement(ctx, query)
	switch {
	case err != nil:
		return nil, err
	case s == nil:
		return c.sqliteConn.QueryContext(ctx, query, args)
	}
	rows, err := s.QueryContext(ctx, args)
	if err != nil {
		return nil, err
	}
	s.busy = true
	return &statementRows{rows, s}, nil
}

// statement finds or prepares a statement. It is nil if the one there is busy.
func (c *preparingConn) statement(ctx context.Context, query string) (*statement, error) {
	if s := c.statements[query]; s != nil {
		if s.busy {
			return nil, nil
		}
		return s, nil
	}
	if len(c.statements) >= mostStatements {
		c.forget()
	}
	prepared, err := c.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	full, ok := prepared.(sqliteStatement)
	if !ok {
		return nil, errors.Join(errDriver, prepared.Close())
	}
	s := &statement{sqliteStatement: full}
	c.statements[query] = s
	return s, nil
}

// forget closes all statements whose rows nobody reads.
func (c *preparingConn) forget() {
	for query, s := range c.statements {
		if !s.busy {
			_ = s.Close() // says again why the statement failed when it ran
			delete(c.statements, query)
		}
	}
}

// Close implements driver.Conn.
func (c *preparingConn) Close() error {
	c.forget()
	return c.sqliteConn.Close()
}

// statementRows frees its statement.
type statementRows struct {
	driver.Rows
	of *statement
}

// Close implements driver.Rows.
func (r *statementRows) Close() error {
	r.of.busy = false
	return r.Rows.Close()
}
