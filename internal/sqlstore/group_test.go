package sqlstore_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"

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

// TestGoneCallersCommitNothing: whoever leaves before the turn comes is told so,
// and nothing is stored behind their back; whoever leaves too late has stored.
func TestGoneCallersCommitNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "latchkey.db")
	s := open(t, path, true)
	unlock := lock(t, path)
	defer unlock()
	const n = 20
	outcomes := make([]error, n)
	var done sync.WaitGroup
	for i := range n {
		done.Go(func() {
			ctx, leave := context.WithCancel(t.Context())
			leave()
			id := fmt.Sprint("user-", i)
			outcomes[i] = s.Commit(ctx, auth.Batch{CreateUsers: []auth.User{{ID: auth.UserID(id), Username: id}}})
		})
	}
	unlock()
	done.Wait()
	for i, err := range outcomes {
		_, found := s.User(t.Context(), auth.UserID(fmt.Sprint("user-", i)))
		if stored := found == nil; stored != (err == nil) || err != nil && !errors.Is(err, auth.ErrUnavailable) {
			t.Errorf("Commit said %v, and the user: %v", err, found)
		}
	}
}
