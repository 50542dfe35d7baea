package sqlstore_test

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/auth"
	"github.com/latchkey-auth/latchkey/internal/sqlstore"
)

// TestSessionsAreNeverBehind changes a session and its user by this and by
// another handle, after the look-up has been remembered: the next one sees it.
func TestSessionsAreNeverBehind(t *testing.T) {
	path := filepath.Join(t.TempDir(), "latchkey.db")
	s, other := open(t, path, true), open(t, path, false)
	u, e := signedIn(t, s)
	for i := range 300 {
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
		after := u
		after.Name = fmt.Sprint("name ", i)
		changes := []auth.Change{auth.UpdateUser{Old: u, New: after}}
		if i%3 == 0 {
			e.Refreshes++
			changes = append(changes, auth.RefreshSession{Session: e})
		}
		if err := writer.Commit(t.Context(), changes...); err != nil {
			t.Fatal(err)
		}
		u = after
		u.Version++
		session, user, err := s.SessionUser(t.Context(), "s")
		if err != nil || user.Name != u.Name || user.Version != u.Version || session.Refreshes != e.Refreshes {
			t.Fatalf("round %d: got %q version %d, %d refreshes, %v; want %q version %d, %d", i, user.Name, user.Version, session.Refreshes, err, u.Name, u.Version, e.Refreshes)
		}
	}
	s.SessionUser(t.Context(), "s")
	if err := other.Commit(t.Context(), auth.DeleteUser{User: u}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.SessionUser(t.Context(), "s"); !errors.Is(err, auth.ErrNotFound) {
		t.Errorf("after the deletion: %v, want ErrNotFound", err)
	}
}

// TestSessionsUnderWrites reads while another handle writes: what was acknowledged
// before a read began is in it, also when the commit came between the look at the
// index and the reading.
func TestSessionsUnderWrites(t *testing.T) {
	path := filepath.Join(t.TempDir(), "latchkey.db")
	s, other := open(t, path, true), open(t, path, false)
	u, _ := signedIn(t, s)
	var acknowledged atomic.Int64 // versions
	acknowledged.Store(1)
	var readers sync.WaitGroup
	done := make(chan struct{})
	for range 2 {
		readers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				want := acknowledged.Load()
				if _, user, err := s.SessionUser(t.Context(), "s"); err != nil || user.Version < want {
					t.Errorf("version %d, %v; want %d at least", user.Version, err, want)
					return
				}
			}
		})
	}
	for i := range 1500 {
		u.Version = acknowledged.Load()
		after := u
		after.Name = fmt.Sprint(i)
		if err := other.Commit(t.Context(), auth.UpdateUser{Old: u, New: after}); err != nil {
			t.Error(err)
			break
		}
		u = after
		acknowledged.Add(1)
	}
	close(done)
	readers.Wait()
}

// TestLinkedDatabase: the log is beside the file, whatever lies beside the link.
func TestLinkedDatabase(t *testing.T) {
	dir := t.TempDir()
	link := filepath.Join(dir, "link.db")
	path := filepath.Join(dir, "target", "latchkey.db")
	open(t, path, true).Close()
	if err := os.Symlink(path, link); err != nil {
		t.Skip(err)
	}
	if err := os.WriteFile(link+"-shm", make([]byte, 1<<15), 0o600); err != nil {
		t.Fatal(err)
	}
	s, other := open(t, link, false), open(t, path, false)
	u, _ := signedIn(t, s)
	if !s.Remembers("s") {
		t.Error("nothing is remembered")
	}
	disabled := u
	disabled.Disabled = true
	if err := other.Commit(t.Context(), auth.UpdateUser{Old: u, New: disabled}); err != nil {
		t.Fatal(err)
	}
	if _, user, err := s.SessionUser(t.Context(), "s"); err != nil || !user.Disabled {
		t.Errorf("a change by the file's own name: disabled %v, %v", user.Disabled, err)
	}
}

// TestSessionsAreReadWithoutTheIdleConnection: another one's data version would say
// nothing of what is remembered.
func TestSessionsAreReadWithoutTheIdleConnection(t *testing.T) {
	path := filepath.Join(t.TempDir(), "latchkey.db")
	s, other := open(t, path, true), open(t, path, false)
	u, _ := signedIn(t, s)
	if !s.Remembers("s") {
		t.Fatal("nothing is remembered")
	}
	if err := s.BreakIdle(); !errors.Is(err, driver.ErrBadConn) {
		t.Fatal(err)
	}
	disabled := u
	disabled.Disabled = true
	for range 3 {
		if _, _, err := s.SessionUser(t.Context(), "s"); err != nil || s.Remembers("s") {
			t.Fatalf("remembered %v, %v", s.Remembers("s"), err)
		}
	}
	if err := other.Commit(t.Context(), auth.UpdateUser{Old: u, New: disabled}); err != nil {
		t.Fatal(err)
	}
	if _, user, err := s.SessionUser(t.Context(), "s"); err != nil || !user.Disabled {
		t.Errorf("disabled %v, %v", user.Disabled, err)
	}
}

// BenchmarkSessionUser looks up one of 100 sessions: with what is remembered while nobody
// commits, and without.
func BenchmarkSessionUser(b *testing.B) {
	for _, remember := range []bool{true, false} {
		b.Run(map[bool]string{true: "remembered", false: "read"}[remember], func(b *testing.B) {
			s, err := sqlstore.Open(b.Context(), filepath.Join(b.TempDir(), "latchkey.db"), true)
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			if !remember {
				s.Forget()
			}
			ids := make([]auth.SessionID, 100)
			for i := range ids {
				ids[i] = auth.SessionID(fmt.Sprint("session-", i))
				user := create(fmt.Sprint("user-", i))
				if err := s.Commit(b.Context(), user, auth.CreateSession{Session: auth.Session{ID: ids[i], UserID: user.User.ID}}); err != nil {
					b.Fatal(err)
				}
			}
			for i := 0; b.Loop(); i++ {
				if _, _, err := s.SessionUser(b.Context(), ids[i%len(ids)]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func TestMemoryRemembersNothing(t *testing.T) {
	s := open(t, sqlstore.Memory, true)
	signedIn(t, s)
	if s.Known("s") {
		t.Error("there is no other connection to tell changes by")
	}
}
