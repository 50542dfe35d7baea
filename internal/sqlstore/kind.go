package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/latchkey-auth/latchkey/internal/storage"
)

// kindTable has one row. It is made with the first migration, or by Mark, and is
// none itself: a program that knows no marks goes on working on a marked database.
const kindTable = `CREATE TABLE IF NOT EXISTS store_kind (kind TEXT NOT NULL)`

// An Info is what a database tells of itself.
type Info struct {
	Kind   storage.StoreKind // empty: nothing is in it yet
	Schema int               // number of the last migration
	Users  int
}

// Inspect reads what is in the database at the path. It changes nothing: neither
// is the schema brought up to date, nor a log begun.
func Inspect(ctx context.Context, path string) (Info, error) {
	var info Info
	err := lookAt(ctx, path, func(db *sql.DB) (err error) {
		if info.Kind, err = kindOf(ctx, db, sqliteCatalogue); err != nil || info.Kind == "" {
			return err
		}
		if info.Schema, err = schema(ctx, db, sqliteCatalogue); err != nil {
			return err
		}
		return db.QueryRowContext(ctx, `SELECT COUNT(*) FROM users`).Scan(&info.Users)
	})
	return info, err
}

// HasUser reports whether the database at the path has a user of the id. It changes
// nothing.
func HasUser(ctx context.Context, path string, id storage.UserID) (bool, error) {
	n := 0
	err := lookAt(ctx, path, func(db *sql.DB) error {
		return db.QueryRowContext(ctx, `SELECT COUNT(*) FROM users WHERE id = $1`, string(id)).Scan(&n)
	})
	return n > 0, err
}

// Mark sets the kind of the database at the path.
func Mark(ctx context.Context, path string, kind storage.StoreKind) error {
	return withFile(ctx, path, func(db *sql.DB) error {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer tx.Rollback()
		if err := mark(ctx, tx, kind); err != nil {
			return err
		}
		return tx.Commit()
	})
}

func mark(ctx context.Context, tx *sql.Tx, kind storage.StoreKind) error {
	for _, text := range []string{kindTable, `DELETE FROM store_kind`} {
		if _, err := tx.ExecContext(ctx, text); err != nil {
			return err
		}
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO store_kind (kind) VALUES ($1)`, string(kind))
	return err
}

// withFile runs f on the database as it is. A missing one is ErrNoDatabase.
func withFile(ctx context.Context, path string, f func(*sql.DB) error) error {
	return withMode(ctx, path, "rw", f)
}

// lookAt is withFile for what only reads. Where there is a log, of a process that
// works or was killed, the connection may not write: the last one that may moves the
// log into the database when it is closed. Where there is none, one that may not
// write leaves an empty log behind.
func lookAt(ctx context.Context, path string, f func(*sql.DB) error) error {
	mode := "rw"
	if _, err := os.Stat(path + "-wal"); err == nil {
		mode = "ro"
	}
	return withMode(ctx, path, mode, f)
}

func withMode(ctx context.Context, path, mode string, f func(*sql.DB) error) error {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("opening store %s: %w", path, ErrNoDatabase)
	}
	db := open(plainDSN(path, mode))
	defer db.Close()
	db.SetMaxOpenConns(1)
	if err := patiently(func() error { return f(db) }); err != nil {
		return opening(path, err)
	}
	return nil
}

// An AccessError says that the operating system does not let this process at the
// database or a file beside it.
type AccessError struct {
	Path string // of the database
	Err  error
}

func (e *AccessError) Error() string { return fmt.Sprintf("opening store %s: %v", e.Path, e.Err) }
func (e *AccessError) Unwrap() error { return e.Err }

// opening says what was being done when err came.
func opening(path string, err error) error {
	code, _ := resultCode(err)
	if slices.Contains([]int{sqlitePerm, sqliteReadOnly, sqliteCantOpen}, code&0xff) {
		return &AccessError{path, err}
	}
	return fmt.Errorf("opening store %s: %w", path, err)
}

// plainDSN names a database without beginning a log.
func plainDSN(path, mode string) string {
	q := url.Values{"mode": {mode}, "_txlock": {"immediate"}, "_pragma": {fmt.Sprintf("busy_timeout(%d)", patience.Milliseconds())}}
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	return (&url.URL{Scheme: "file", Path: path, RawQuery: q.Encode()}).String()
}

// Where a database lists which of the tables it has that are there before all others.
const (
	sqliteCatalogue   = `SELECT name FROM sqlite_master WHERE type = 'table' AND name IN ('migrations', 'store_kind')`
	postgresCatalogue = `SELECT tablename FROM pg_tables WHERE schemaname = current_schema() AND tablename IN ('migrations', 'store_kind')`
)

// A querier is a database, or a transaction on it.
type querier interface {
	QueryContext(ctx context.Context, text string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, text string, args ...any) *sql.Row
}

// StoreKind returns the mark.
func (s *Store) StoreKind(ctx context.Context) (storage.StoreKind, error) {
	if s.postgres != nil {
		return s.postgres.kind(ctx)
	}
	kind, err := kindOf(ctx, s.read, sqliteCatalogue)
	return kind, unavailable(err)
}

// MarkStore marks the database anew when its kind is was.
func (s *Store) MarkStore(ctx context.Context, was, kind storage.StoreKind) error {
	if s.postgres != nil {
		return s.postgres.mark(ctx, was, kind)
	}
	return s.transact(ctx, func(ctx context.Context, tx *sql.Tx) error {
		return remark(ctx, tx, sqliteCatalogue, was, kind)
	})
}

func remark(ctx context.Context, tx *sql.Tx, catalogue string, was, kind storage.StoreKind) error {
	found, err := kindOf(ctx, tx, catalogue)
	switch {
	case err != nil:
		return unavailable(err)
	case found != was:
		return storage.ErrConflict
	}
	return unavailable(mark(ctx, tx, kind))
}

// inCatalogue returns the names that the catalogue lists.
func inCatalogue(ctx context.Context, db querier, catalogue string) ([]string, error) {
	rows, err := db.QueryContext(ctx, catalogue)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var names []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, rows.Err()
}

// kindOf returns the database's kind; empty when nothing is in it yet.
func kindOf(ctx context.Context, db querier, catalogue string) (storage.StoreKind, error) {
	tables, err := inCatalogue(ctx, db, catalogue)
	if err != nil {
		return "", err
	}
	switch {
	case !slices.Contains(tables, "migrations"):
		return "", nil
	case !slices.Contains(tables, "store_kind"):
		return storage.UnmarkedStore, nil
	}
	var kind string
	err = db.QueryRowContext(ctx, `SELECT kind FROM store_kind`).Scan(&kind)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return storage.UnmarkedStore, nil
	case err != nil:
		return "", err
	}
	return storage.ParseStoreKind(kind)
}

// patiently repeats f while others hold the database. SQLite does not wait for
// those who give a new file its log, because all might wait for each other; and of
// many at once some wait for longer than a request may.
func patiently(f func() error) error {
	for deadline := time.Now().Add(openTimeout); ; time.Sleep(time.Millisecond) {
		if err := f(); !locked(err) || time.Now().After(deadline) {
			return err
		}
	}
}
