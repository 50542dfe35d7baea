// Package sqlstore keeps users, sessions, events and signing keys in SQL: in SQLite,
// inside the program, or in PostgreSQL. The statements are the same, but for a few that
// stand side by side (statements.go); opening, locks and errors are not. Every commit is
// on disk before it is acknowledged.
//
// PostgreSQL (postgres.go) is a pool of connections, and any number of processes.
//
// SQLite is one file with a write-ahead log. Writers queue for one connection, readers have their own and never wait for
// writers. A database that stays locked is storage.ErrUnavailable within patience; one that is full or unreadable at once. Opening one
// waits for ten seconds.
package sqlstore

import (
	"cmp"
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/latchkey-auth/latchkey/internal/keyring"
	"github.com/latchkey-auth/latchkey/internal/limit"
	"github.com/latchkey-auth/latchkey/internal/storage"
	"github.com/latchkey-auth/latchkey/internal/transfer"
)

var (
	_ storage.Store  = (*Store)(nil)
	_ storage.Loader = (*Store)(nil)
	_ storage.Marked = (*Store)(nil)
	_ limit.Counters = (*Store)(nil)
	_ keyring.Store  = (*Store)(nil)
	_ transfer.Store = (*Store)(nil)
)

// Memory is the path of a database that is nowhere on disk and gone when closed.
const Memory = ":memory:"

const (
	openTimeout = 10 * time.Second // waiting for others who begin the same database
	// patience is what a write waits for the connection and for another process's
	// lock, together. A request that finds the database locked has made a hash before
	// it, and one more may have begun with the failure of the first: twice this has to
	// be well below two seconds.
	patience = 750 * time.Millisecond
	// queueWait is what a write waits for those before it. They get on with it, or find
	// the database locked, which ends the wait of all behind them.
	queueWait = 1900 * time.Millisecond
	// lockSlice is how long SQLite waits for a lock at a time.
	lockSlice = 50 * time.Millisecond
)

//go:embed migrations/*.sql migrations/postgres/*.sql
var migrations embed.FS

// Store is a database. Close it.
type Store struct {
	write *sql.DB // one connection
	read  *sql.DB
	stmts statements
	group group
	// patience and queueWait are the constants, but in tests.
	patience, queueWait time.Duration
	// file is the database when it was opened; nil: in memory.
	path string
	file fs.FileInfo
	// sessions is a memory of look-ups that is never behind.
	sessions sessions
	// postgres is the database; nil: SQLite, which all of the above is for, but stmts.
	postgres *postgres
}

// ErrNoDatabase: there is no database at the path and none may be created.
var ErrNoDatabase = errors.New("no database")

// A NewerSchemaError says that a newer program has written the database.
type NewerSchemaError struct{ Found, Known int }

func (e *NewerSchemaError) Error() string {
	return fmt.Sprintf("database has schema %d, this program knows schemas up to %d: use the newer latchkey that wrote it", e.Found, e.Known)
}

// Open opens the database file and brings its schema up to date. Without create
// a missing file is ErrNoDatabase: an empty database in place of a mistyped
// path would look like the loss of all users. A new one is marked as production.
func Open(ctx context.Context, path string, create bool) (*Store, error) {
	return OpenKind(ctx, path, create, "")
}

// OpenKind is Open for a database of one kind: a new one is marked with it, and
// one of another is an [storage.KindError] before anything is done to it. In memory every
// kind is the same.
func OpenKind(ctx context.Context, path string, create bool, want storage.StoreKind) (*Store, error) {
	s := &Store{patience: patience, queueWait: queueWait}
	if path == Memory {
		s.write = openDB(Memory)
		s.read = s.write
	} else {
		if err := checkKind(ctx, path, want); err != nil {
			return nil, err
		}
		if err := prepareFile(path, create); err != nil {
			return nil, err
		}
		s.path = path
		var err error
		if s.file, err = os.Stat(path); err != nil {
			return nil, fmt.Errorf("opening store %s: %w", path, err)
		}
		s.write, s.read = openDB(path), openDB(path)
		s.read.SetMaxOpenConns(runtime.GOMAXPROCS(0) + 2)
		s.read.SetMaxIdleConns(runtime.GOMAXPROCS(0) + 2)
	}
	s.write.SetMaxOpenConns(1)
	if err := patiently(func() error { return s.begin(ctx, want) }); err != nil {
		return nil, errors.Join(opening(path, err), s.Close())
	}
	if err := s.prepare(ctx); err != nil {
		return nil, errors.Join(opening(path, err), s.Close())
	}
	if _, err := s.write.ExecContext(ctx, fmt.Sprintf("PRAGMA busy_timeout = %d", lockSlice.Milliseconds())); err != nil {
		return nil, errors.Join(opening(path, err), s.Close())
	}
	if s.path != "" {
		if err := s.sessions.index.open(path); err != nil {
			return nil, errors.Join(opening(path, err), s.Close())
		}
	}
	return s, nil
}

// creating is held from opening a new file to closing it: a close takes every lock
// away that this process has on the file, those of SQLite too.
var creating sync.Mutex

// prepareFile creates the file for its owner alone; SQLite gives the log files
// beside it the same mode.
func prepareFile(path string, create bool) error {
	creating.Lock()
	defer creating.Unlock()
	_, err := os.Stat(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if !create {
		return fmt.Errorf("opening store %s: %w", path, ErrNoDatabase)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("creating data folder: %w", err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) { // by another process
		return nil
	}
	if err != nil {
		return fmt.Errorf("creating database: %w", err)
	}
	return f.Close()
}

func openDB(path string) *sql.DB {
	q := url.Values{
		"_txlock": {"immediate"}, // a transaction that reads first must not fail when it writes
		"_pragma": {
			fmt.Sprintf("busy_timeout(%d)", patience.Milliseconds()),
			"synchronous(FULL)",
			"foreign_keys(ON)",
		},
	}
	if path == Memory {
		return open("file::memory:?" + q.Encode())
	}
	q.Set("mode", "rw")
	q.Add("_pragma", "journal_mode(WAL)")
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	return open((&url.URL{Scheme: "file", Path: path, RawQuery: q.Encode()}).String())
}

// driverName is another one in tests.
var driverName = "sqlite"

// open cannot fail: the driver is registered and connects later.
func open(dsn string) *sql.DB {
	db, err := sql.Open(driverName, dsn)
	if err != nil {
		panic(err)
	}
	return db
}

// checkKind looks at a database that is there, and leaves it as it is.
func checkKind(ctx context.Context, path string, want storage.StoreKind) error {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return lookAt(ctx, path, func(db *sql.DB) error {
		found, err := kindOf(ctx, db, sqliteCatalogue)
		if err == nil && !found.Serves(want) {
			err = &storage.KindError{Found: found, Want: want}
		}
		return err
	})
}

// begin makes a database of a new file, and brings an older one up to date. It
// looks at the kind again: another process may have made the database meanwhile.
func (s *Store) begin(ctx context.Context, want storage.StoreKind) error {
	if err := s.migrate(ctx, cmp.Or(want, storage.ProductionStore)); err != nil {
		return err
	}
	found, err := kindOf(ctx, s.write, sqliteCatalogue)
	if err == nil && s.path != "" && !found.Serves(want) {
		err = &storage.KindError{Found: found, Want: want}
	}
	return err
}

// locked reports whether another connection has the lock.
func locked(err error) bool {
	code, _ := resultCode(err)
	return code&0xff == sqliteBusy
}

// Close closes the database.
func (s *Store) Close() error {
	if s.postgres != nil {
		s.postgres.pool.Close()
		return nil
	}
	s.closeStatements()
	if s.read == s.write {
		return s.write.Close()
	}
	return errors.Join(s.read.Close(), s.write.Close())
}

// transact runs f in a transaction on the write connection. Once begun it is
// not tied to ctx: a client that hangs up must not decide halfway. errNotBegun.
func (s *Store) transact(ctx context.Context, f func(ctx context.Context, tx *sql.Tx) error) error {
	_, err := s.transactShown(ctx, f)
	return err
}

// transactShown also returns what the transaction has shown to others.
func (s *Store) transactShown(ctx context.Context, f func(ctx context.Context, tx *sql.Tx) error) (shown, error) {
	if err := s.inPlace(); err != nil {
		return shown{}, unavailable(err)
	}
	until := time.Now().Add(s.patience)
	waiting, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	conn, err := s.write.Conn(waiting)
	if err != nil {
		return shown{}, unavailable(fmt.Errorf("%w: %w", errNotBegun, err))
	}
	defer conn.Close()
	ctx = context.WithoutCancel(ctx)
	tx, err := conn.BeginTx(ctx, nil)
	for locked(err) && time.Now().Before(until) {
		tx, err = conn.BeginTx(ctx, nil)
	}
	if err != nil {
		return shown{}, unavailable(fmt.Errorf("%w: %w", errNotBegun, err))
	}
	defer tx.Rollback()
	before, known := s.sessions.index.state() // nobody else can write
	if err := f(ctx, tx); err != nil {
		return shown{}, err
	}
	if err := tx.Commit(); err != nil {
		return shown{}, unavailable(err)
	}
	after, knownAfter := s.sessions.index.state()
	return shown{before, after, known && knownAfter}, nil
}

// errNotBegun: no transaction was begun in time, and nothing has happened.
var errNotBegun = errors.New("no transaction")

// inPlace reports whether the database is still the file that was opened. What is
// written to one that was removed or replaced is lost.
func (s *Store) inPlace() error {
	if s.file == nil {
		return nil
	}
	now, err := os.Stat(s.path)
	if err == nil && !os.SameFile(now, s.file) {
		err = errors.New("the database file was replaced; restart the program")
	}
	return err
}

// unavailable marks every error that is not one of the port's own.
func unavailable(err error) error {
	for _, own := range []error{storage.ErrNotFound, storage.ErrTaken, storage.ErrConflict, storage.ErrUnavailable, storage.ErrChanges, keyring.ErrExists, errGuard} {
		if err == nil || errors.Is(err, own) {
			return err
		}
	}
	if errors.Is(err, sql.ErrNoRows) {
		return storage.ErrNotFound
	}
	if own := ownError(err); own != nil {
		return own
	}
	switch code, _ := resultCode(err); code {
	case sqliteUnique, sqlitePrimaryKey:
		return storage.ErrTaken
	case sqliteForeignKey:
		return storage.ErrConflict // the user is gone
	}
	return fmt.Errorf("%w: %w", storage.ErrUnavailable, err)
}

// Ping writes, because a full disk or a lock can still be read through. What it
// writes is new each time: SQLite spares itself what changes nothing.
func (s *Store) Ping(ctx context.Context) error {
	row := 1
	if s.postgres != nil {
		row += rand.IntN(pingRows)
	}
	return s.apply(ctx, func(a *application) error { return a.run(a.stmts.ping, row) })
}
