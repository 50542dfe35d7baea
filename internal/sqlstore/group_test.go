package sqlstore_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/auth"
)

// lock takes the write lock in another connection and returns what gives it
// back.
func lock(t *testing.T, path string) func() {
	t.Helper()
	raw, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := raw.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.ExecContext(t.Context(), `BEGIN IMMEDIATE`); err != nil {
		t.Fatal(err)
	}
	return sync.OnceFunc(func() {
		if _, err := conn.ExecContext(context.Background(), `ROLLBACK`); err != nil {
			t.Error(err)
		}
		conn.Close()
		raw.Close()
	})
}

// TestCommitsOfAGroupKeepTheirOwnOutcomes lets 40 commits gather behind a lock.
// Every second one fails after its first change; none of it may stay, and all
// of the others.
func TestCommitsOfAGroupKeepTheirOwnOutcomes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "latchkey.db")
	s := open(t, path, true)
	if err := s.Commit(t.Context(), auth.Batch{CreateUsers: []auth.User{{ID: "taken", Username: "taken"}}}); err != nil {
		t.Fatal(err)
	}
	unlock := lock(t, path)
	defer unlock()
	const n = 40
	outcomes := make([]error, n)
	var started, done sync.WaitGroup
	for i := range n {
		started.Add(1)
		done.Go(func() {
			b := auth.Batch{
				CreateUsers: []auth.User{{ID: auth.UserID(fmt.Sprint("user-", i)), Username: fmt.Sprint("user-", i)}},
				Events:      []auth.Event{{Kind: "x", UserID: auth.UserID(fmt.Sprint("user-", i))}},
			}
			if i%2 == 1 {
				b.CreateUsers = append(b.CreateUsers, auth.User{ID: "other", Username: "TAKEN"})
			}
			started.Done()
			outcomes[i] = s.Commit(t.Context(), b)
		})
	}
	started.Wait()
	unlock()
	done.Wait()
	for i, err := range outcomes {
		_, found := s.User(t.Context(), auth.UserID(fmt.Sprint("user-", i)))
		switch {
		case i%2 == 0 && (err != nil || found != nil):
			t.Errorf("commit %d: %v, its user: %v; want both there", i, err, found)
		case i%2 == 1 && (!errors.Is(err, auth.ErrTaken) || !errors.Is(found, auth.ErrNotFound)):
			t.Errorf("commit %d: %v, its user: %v; want ErrTaken and nothing stored", i, err, found)
		}
	}
	events, err := s.Events(t.Context(), 0, 100)
	if err != nil || len(events) != n/2 {
		t.Fatalf("%d events, %v; want %d", len(events), err, n/2)
	}
	for i, e := range events {
		if e.Number != int64(i+1) {
			t.Errorf("event %d has number %d", i+1, e.Number)
		}
	}
}

// TestCommitsOfGoneCallersAreKept: whoever hangs up must not take back that a guess
// was wrong.
func TestCommitsOfGoneCallersAreKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "latchkey.db")
	s := open(t, path, true)
	unlock := lock(t, path)
	defer unlock()
	const n = 20
	var done sync.WaitGroup
	for range n {
		done.Go(func() {
			ctx, leave := context.WithCancel(t.Context())
			leave()
			if err := s.Commit(ctx, auth.Batch{Events: []auth.Event{{Kind: "x"}}}); err != nil {
				t.Error(err)
			}
		})
	}
	unlock()
	done.Wait()
	if events, err := s.Events(t.Context(), 0, 100); err != nil || len(events) != n {
		t.Errorf("%d events, %v; want %d", len(events), err, n)
	}
}

// TestAllWhoWaitAreAnsweredTogether: of those who wait for a locked database none
// waits for the others' attempts, and then for one more. They are more than one
// transaction takes, and all get the error of the first.
func TestAllWhoWaitAreAnsweredTogether(t *testing.T) {
	path := filepath.Join(t.TempDir(), "latchkey.db")
	s := open(t, path, true)
	unlock := lock(t, path)
	defer unlock()
	const n = 300
	s.SetWaits(time.Millisecond, time.Hour) // nobody gives up alone
	begin := s.Gather(n)
	outcomes := make([]error, n)
	var done sync.WaitGroup
	for i := range n {
		done.Go(func() { outcomes[i] = s.Commit(t.Context(), auth.Batch{Events: []auth.Event{{Kind: "x"}}}) })
	}
	begin()
	done.Wait()
	for i, err := range outcomes {
		if !errors.Is(err, auth.ErrUnavailable) || err != outcomes[0] {
			t.Fatalf("commit %d: %v, want the ErrUnavailable of all", i, err)
		}
	}
	unlock()
	s.SetWaits(time.Hour, time.Hour)
	if err := s.Commit(t.Context(), auth.Batch{Events: []auth.Event{{Kind: "x"}}}); err != nil {
		t.Errorf("after the lock: %v", err)
	}
	if events, err := s.Events(t.Context(), 0, n); err != nil || len(events) != 1 {
		t.Errorf("%d events, %v; want the last one alone", len(events), err)
	}
}
