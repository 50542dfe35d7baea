package sqlstore_test

import (
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/limit"
	"github.com/latchkey-auth/latchkey/internal/sqlstore"
	"github.com/latchkey-auth/latchkey/internal/storage"
)

func open(t *testing.T, path string, create bool) *sqlstore.Store {
	t.Helper()
	s, err := sqlstore.Open(t.Context(), path, create)
	if err != nil {
		t.Fatalf("Open(%s): %v", path, err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// create is a user whose id is also the name, and event one without other members.
func create(name string) storage.CreateUser {
	return storage.CreateUser{User: storage.User{ID: storage.UserID(name), Username: name}}
}

func event(id string) storage.AppendEvent {
	return storage.AppendEvent{Event: storage.Event{ID: id, Kind: "x"}}
}

// events are all of a store.
func events(t *testing.T, s *sqlstore.Store) []storage.Event {
	t.Helper()
	all, _, err := s.Events(t.Context(), time.Time{}, "", 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// signedIn stores a user "u" and a session "s", and returns them as they are read.
func signedIn(t *testing.T, s *sqlstore.Store) (storage.User, storage.Session) {
	t.Helper()
	if err := s.Commit(t.Context(), create("u"), storage.CreateSession{Session: storage.Session{ID: "s", UserID: "u"}}); err != nil {
		t.Fatal(err)
	}
	e, u, err := s.SessionUser(t.Context(), "s")
	if err != nil {
		t.Fatal(err)
	}
	return u, e
}

func TestMissingDatabaseIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "latchkey.db")
	if _, err := sqlstore.Open(t.Context(), path, false); !errors.Is(err, sqlstore.ErrNoDatabase) {
		t.Errorf("got %v, want ErrNoDatabase", err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("the refused Open created the file")
	}
}

// TestManyOpenAtOnce: all who create a database at the same moment get it.
func TestManyOpenAtOnce(t *testing.T) {
	for range 5 {
		path := filepath.Join(t.TempDir(), "latchkey.db")
		var all sync.WaitGroup
		for range 16 {
			all.Go(func() {
				s, err := sqlstore.Open(t.Context(), path, true)
				if err != nil {
					t.Error(err)
					return
				}
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
	}
}

func TestNewerSchemaIsRefusedByName(t *testing.T) {
	path := filepath.Join(t.TempDir(), "latchkey.db")
	open(t, path, true).Close()
	raw, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	if _, err := raw.Exec(`INSERT INTO migrations (version, applied_at) VALUES (9999, 0)`); err != nil {
		t.Fatal(err)
	}
	var newer *sqlstore.NewerSchemaError
	_, err = sqlstore.Open(t.Context(), path, false)
	if !errors.As(err, &newer) || newer.Found != 9999 || !strings.Contains(err.Error(), "9999") {
		t.Errorf("got %v, want a NewerSchemaError that names schema 9999", err)
	}
}

func TestFilesAreTheOwnersAlone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	s := open(t, filepath.Join(dir, "latchkey.db"), true)
	if err := s.Commit(t.Context(), event("x")); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) < 2 {
		t.Fatalf("got %d files, %v; want the database and its log", len(entries), err)
	}
	for _, e := range entries {
		if info, _ := e.Info(); info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v, want nothing for others", e.Name(), info.Mode())
		}
	}
}

// TestLockedDatabaseIsUnavailable holds the write lock in another connection.
func TestLockedDatabaseIsUnavailable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "latchkey.db")
	s := open(t, path, true)
	unlock := lock(t, path)
	defer unlock()
	if err := s.Commit(t.Context(), event("x")); !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("Commit under a lock: got %v, want ErrUnavailable", err)
	}
	take := []limit.Take{{Key: "k", At: time.Now(), Fade: time.Minute}}
	if taken, err := s.Take(t.Context(), take); taken || !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("Take under a lock: got %v, %v; want ErrUnavailable", taken, err)
	}
	if err := s.Settle(t.Context(), take, nil, nil); !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("Settle under a lock: got %v, want ErrUnavailable", err)
	}
	if err := s.Ping(t.Context()); !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("Ping under a lock: got %v, want ErrUnavailable", err)
	}
	if _, _, err := s.Users(t.Context(), "", 1); err != nil {
		t.Errorf("reading under a lock: %v", err)
	}
	unlock()
	if err := s.Commit(t.Context(), event("x")); err != nil {
		t.Errorf("Commit after the lock: %v", err)
	}
}

// TestReplacedDatabaseIsUnavailable: what is written to a file that is gone is lost,
// and what others write elsewhere does not end what is remembered when its index is
// gone too. (One that was moved is still the one that SQLite reads here.)
func TestReplacedDatabaseIsUnavailable(t *testing.T) {
	for name, replace := range map[string]func(path string) error{
		"removed": os.Remove,
		"replaced": func(path string) error {
			return errors.Join(os.Rename(path, path+".old"), os.WriteFile(path, nil, 0o600))
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "latchkey.db")
			s := open(t, path, true)
			signedIn(t, s)
			if !s.Remembers("s") {
				t.Fatal("nothing is remembered")
			}
			index, err := os.ReadFile(path + "-shm")
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(replace(path), os.Remove(path+"-shm"), os.WriteFile(path+"-shm", index, 0o600)); err != nil {
				t.Fatal(err)
			}
			if s.Remembers("s") {
				t.Error("another index says that nothing has changed")
			}
			if err := s.Commit(t.Context(), event("x")); !errors.Is(err, storage.ErrUnavailable) {
				t.Errorf("Commit: %v, want ErrUnavailable", err)
			}
			if err := s.Ping(t.Context()); !errors.Is(err, storage.ErrUnavailable) {
				t.Errorf("Ping: %v, want ErrUnavailable", err)
			}
		})
	}
}

// TestPingWrites: a ping that only reads would succeed on a full disk.
func TestPingWrites(t *testing.T) {
	path := filepath.Join(t.TempDir(), "latchkey.db")
	s := open(t, path, true)
	raw, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	conn, err := raw.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	version := func() (n int64) {
		// It changes when another connection has written.
		if err := conn.QueryRowContext(t.Context(), `PRAGMA data_version`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	for range 3 {
		before := version()
		if err := s.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
		if version() == before {
			t.Error("Ping has written nothing")
		}
	}
}

func TestCommittedDataSurvivesReopening(t *testing.T) {
	path := filepath.Join(t.TempDir(), "latchkey.db")
	s := open(t, path, true)
	if err := s.Commit(t.Context(), create("ada")); err != nil {
		t.Fatal(err)
	}
	s.Close()
	if got, err := open(t, path, false).User(t.Context(), "ada"); err != nil || got.Username != "ada" {
		t.Errorf("got %v, %v; want ada", got, err)
	}
}
