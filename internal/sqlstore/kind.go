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

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/latchkey-auth/latchkey/internal/auth"
)

// A Kind is what a database is for. It is marked with it when it is made, so that
// what is harmless on a laptop is never done to other people's accounts.
type Kind string

const (
	// Production: a service works on it that others can reach.
	Production Kind = "production"
	// Local: it is for this machine alone, with a user whose password everybody
	// knows.
	Local Kind = "local"
	// Unmarked: a program made it that knew no marks. It counts as production.
	Unmarked Kind = "unmarked"
)

// serves reports whether a program that wants the kind may open the database.
// Empty is a database that has nothing in it yet, or a program that takes any.
func (k Kind) serves(want Kind) bool {
	return k == "" || want == "" || k == want || k == Unmarked && want == Production
}

// A KindError says that the database is not of the kind that was asked for.
type KindError struct{ Found, Want Kind }

func (e *KindError) Error() string {
	return fmt.Sprintf("database is %s, not %s", e.Found, e.Want)
}

// kindTable has one row. It is made with the first migration, or by Mark, and is
// none itself: a program that knows no marks goes on working on a marked database.
const kindTable = `CREATE TABLE IF NOT EXISTS store_kind (kind TEXT NOT NULL)`

// An Info is what a database tells of itself.
type Info struct {
	Kind   Kind // empty: nothing is in it yet
	Schema int  // number of the last migration
	Users  int
}

// Inspect reads what is in the database at the path. It changes nothing: neither
// is the schema brought up to date, nor a log begun.
func Inspect(ctx context.Context, path string) (Info, error) {
	var info Info
	err := lookAt(ctx, path, func(db *sql.DB) (err error) {
		if info.Kind, err = kindOf(ctx, db); err != nil || info.Kind == "" {
			return err
		}
		if info.Schema, err = schema(ctx, db); err != nil {
			return err
		}
		return db.QueryRowContext(ctx, `SELECT COUNT(*) FROM users`).Scan(&info.Users)
	})
	return info, err
}

// HasUser reports whether the database at the path has a user of the id. It changes
// nothing.
func HasUser(ctx context.Context, path string, id auth.UserID) (bool, error) {
	n := 0
	err := lookAt(ctx, path, func(db *sql.DB) error {
		return db.QueryRowContext(ctx, `SELECT COUNT(*) FROM users WHERE id = $1`, string(id)).Scan(&n)
	})
	return n > 0, err
}

// Mark sets the kind of the database at the path.
func Mark(ctx context.Context, path string, kind Kind) error {
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

func mark(ctx context.Context, tx *sql.Tx, kind Kind) error {
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
	var e *sqlite.Error
	if errors.As(err, &e) && slices.Contains([]int{sqlite3.SQLITE_PERM, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN}, e.Code()&0xff) {
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

// kindOf returns the database's kind; empty when nothing is in it yet.
func kindOf(ctx context.Context, db *sql.DB) (Kind, error) {
	rows, err := db.QueryContext(ctx, `SELECT name FROM sqlite_master WHERE type = 'table' AND name IN ('migrations', 'store_kind')`)
	if err != nil {
		return "", err
	}
	defer rows.Close()
	var tables []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return "", err
		}
		tables = append(tables, name)
	}
	if err := rows.Err(); err != nil {
		return "", err
	}
	switch {
	case !slices.Contains(tables, "migrations"):
		return "", nil
	case !slices.Contains(tables, "store_kind"):
		return Unmarked, nil
	}
	var kind Kind
	err = db.QueryRowContext(ctx, `SELECT kind FROM store_kind`).Scan(&kind)
	if errors.Is(err, sql.ErrNoRows) {
		return Unmarked, nil
	}
	if err == nil && kind != Production && kind != Local {
		err = fmt.Errorf("the database is marked %q: use the newer latchkey that did so", kind)
	}
	return kind, err
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
