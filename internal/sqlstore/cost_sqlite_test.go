package sqlstore_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"modernc.org/sqlite"

	"github.com/latchkey-auth/latchkey/internal/sqlstore"
)

// sqliteCosts measures each operation on a database of its own.
func sqliteCosts(t *testing.T) map[string]cost {
	t.Helper()
	t.Cleanup(sqlstore.SetDriver(countedDriver))
	return costs(t, "sqlite:"+filepath.Join(t.TempDir(), "latchkey.db"), counted)
}

// countedDriver is SQLite's, which tells counted what it is asked for.
const countedDriver = "sqlite, counted"

var counted = new(sqliteTally)

func init() { sql.Register(countedDriver, sqliteCounted{new(sqlite.Driver)}) }

type sqliteTally struct {
	mu   sync.Mutex
	cost cost
}

func (s *sqliteTally) take() cost {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.cost
	s.cost = cost{}
	return c
}

// run counts a statement.
func (s *sqliteTally) run(text string, within bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case strings.Contains(text, readsKeys): // which each process reads every 10 s
	case within:
		s.cost.statements++
	default:
		s.cost.reads++
	}
}

// commit counts a transaction. SQLite tells of those alone that may have written.
func (s *sqliteTally) commit() int32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cost.transactions++
	return 0
}

// readsKeys is in the statement that reads the keys of the service.
const readsKeys = "FROM signing_keys ORDER BY"

type sqliteCounted struct{ driver.Driver }

func (d sqliteCounted) Open(name string) (driver.Conn, error) {
	c, err := d.Driver.Open(name)
	if err != nil {
		return nil, err
	}
	c.(sqlite.HookRegisterer).RegisterCommitHook(counted.commit)
	return &countedConn{sqliteConn: c.(sqliteConn)}, nil
}

// sqliteConn is what a connection of the driver can do.
type sqliteConn interface {
	driver.Conn
	driver.ConnPrepareContext
	driver.ConnBeginTx
	driver.ExecerContext
	driver.QueryerContext
	driver.Pinger
	driver.SessionResetter
	driver.Validator
}

// A countedConn is used by one goroutine at a time, as every connection.
type countedConn struct {
	sqliteConn
	within bool // a transaction
}

func (c *countedConn) ExecContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Result, error) {
	counted.run(text, c.within)
	return c.sqliteConn.ExecContext(ctx, text, args)
}

func (c *countedConn) QueryContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Rows, error) {
	counted.run(text, c.within)
	return c.sqliteConn.QueryContext(ctx, text, args)
}

func (c *countedConn) PrepareContext(ctx context.Context, text string) (driver.Stmt, error) {
	st, err := c.sqliteConn.PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}
	return countedStmt{st.(sqliteStmt), text, c}, nil
}

func (c *countedConn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	tx, err := c.sqliteConn.BeginTx(ctx, opts)
	if err != nil {
		return nil, err
	}
	c.within = true
	return countedTx{tx, c}, nil
}

type sqliteStmt interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

type countedStmt struct {
	sqliteStmt
	text string
	conn *countedConn
}

func (s countedStmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	counted.run(s.text, s.conn.within)
	return s.sqliteStmt.ExecContext(ctx, args)
}

func (s countedStmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	counted.run(s.text, s.conn.within)
	return s.sqliteStmt.QueryContext(ctx, args)
}

type countedTx struct {
	driver.Tx
	conn *countedConn
}

func (t countedTx) Commit() error {
	t.conn.within = false
	return t.Tx.Commit()
}

func (t countedTx) Rollback() error {
	t.conn.within = false
	return t.Tx.Rollback()
}
