package sqlstore_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/auth"
	"github.com/latchkey-auth/latchkey/internal/sqlstore"
)

// still gives the log the time it had: SQLite writes it, and may sync it for long,
// before the commit shows.
func still(t *testing.T, path string) {
	t.Helper()
	then := time.Now().Add(-time.Hour).Truncate(time.Hour)
	if err := os.Chtimes(path+"-wal", then, then); err != nil {
		t.Fatal(err)
	}
}

// TestSessionsAreNeverBehind changes a session and its user by this and by
// another handle, after the look-up has been remembered: the next one sees it.
func TestSessionsAreNeverBehind(t *testing.T) {
	path := filepath.Join(t.TempDir(), "latchkey.db")
	s, other := open(t, path, true), open(t, path, false)
	u, e := auth.User{ID: "u", Username: "ada"}, auth.Session{ID: "s", UserID: "u", RefreshHash: []byte{1}}
	if err := s.Commit(t.Context(), auth.Batch{CreateUsers: []auth.User{u}, CreateSessions: []auth.Session{e}}); err != nil {
		t.Fatal(err)
	}
	u.Version, e.Version = 1, 1
	for i := range 300 {
		still(t, path)
		for range 2 {
			if _, _, err := s.SessionUser(t.Context(), "s"); err != nil {
				t.Fatal(err)
			}
		}
		if !s.Remembers("s") {
			t.Fatal("nothing is remembered")
		}
		writer := s
		if i%2 == 1 {
			writer = other
		}
		b := auth.Batch{UpdateUsers: []auth.User{u}}
		u.Name = fmt.Sprint("name ", i)
		b.UpdateUsers[0].Name = u.Name
		if i%3 == 0 {
			e.Rotations++
			b.UpdateSessions = []auth.Session{e}
			e.Version++
		}
		if err := writer.Commit(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		u.Version++
		still(t, path)
		session, user, err := s.SessionUser(t.Context(), "s")
		if err != nil || user.Name != u.Name || user.Version != u.Version || session.Rotations != e.Rotations {
			t.Fatalf("round %d: got %q version %d, %d rotations, %v; want %q version %d, %d", i, user.Name, user.Version, session.Rotations, err, u.Name, u.Version, e.Rotations)
		}
	}
	s.SessionUser(t.Context(), "s")
	if err := other.Commit(t.Context(), auth.Batch{DeleteUsers: []auth.User{u}}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.SessionUser(t.Context(), "s"); !errors.Is(err, auth.ErrNotFound) {
		t.Errorf("after the deletion: %v, want ErrNotFound", err)
	}
}

func TestMemoryRemembersNothing(t *testing.T) {
	s := open(t, sqlstore.Memory, true)
	u, e := auth.User{ID: "u", Username: "ada"}, auth.Session{ID: "s", UserID: "u", RefreshHash: []byte{1}}
	if err := s.Commit(t.Context(), auth.Batch{CreateUsers: []auth.User{u}, CreateSessions: []auth.Session{e}}); err != nil {
		t.Fatal(err)
	}
	s.SessionUser(t.Context(), "s")
	if s.Known("s") {
		t.Error("there is no log to tell changes by")
	}
}
