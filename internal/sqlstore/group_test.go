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

	"github.com/latchkey-auth/latchkey/internal/limit"
	"github.com/latchkey-auth/latchkey/internal/storage"
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
	if err := s.Commit(t.Context(), create("taken")); err != nil {
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
			changes := []storage.Change{create(fmt.Sprint("user-", i)), event(fmt.Sprint(i))}
			if i%2 == 1 {
				changes = append(changes, storage.CreateUser{User: storage.User{ID: "other", Username: "TAKEN"}})
			}
			started.Done()
			outcomes[i] = s.Commit(t.Context(), changes...)
		})
	}
	started.Wait()
	unlock()
	done.Wait()
	for i, err := range outcomes {
		_, found := s.User(t.Context(), storage.UserID(fmt.Sprint("user-", i)))
		switch {
		case i%2 == 0 && (err != nil || found != nil):
			t.Errorf("commit %d: %v, its user: %v; want both there", i, err, found)
		case i%2 == 1 && (!errors.Is(err, storage.ErrTaken) || !errors.Is(found, storage.ErrNotFound)):
			t.Errorf("commit %d: %v, its user: %v; want ErrTaken and nothing stored", i, err, found)
		}
	}
	stored := make(map[string]bool)
	events := events(t, s)
	for _, e := range events {
		stored[e.ID] = true
	}
	for i := range n {
		if stored[fmt.Sprint(i)] != (i%2 == 0) {
			t.Errorf("commit %d: its event is there %v", i, stored[fmt.Sprint(i)])
		}
	}
	if len(events) != n/2 {
		t.Errorf("%d events, want %d", len(events), n/2)
	}
}

// TestGuardsSpoilNoGroup lets takes gather with commits. Half of the takes are refused,
// by their second bucket; the group is carried out once all the same.
func TestGuardsSpoilNoGroup(t *testing.T) {
	path := filepath.Join(t.TempDir(), "latchkey.db")
	s := open(t, path, true)
	now := time.Now()
	full := limit.Take{Key: "full", At: now, Fade: time.Hour}
	if taken, err := s.Take(t.Context(), []limit.Take{full}); err != nil || !taken {
		t.Fatal(taken, err)
	}
	changed := func() (rows int) { // of commits that succeeded and of those that failed
		if err := s.Write().QueryRowContext(t.Context(), `SELECT total_changes()`).Scan(&rows); err != nil {
			t.Fatal(err)
		}
		return rows
	}
	const n = 40
	before, rowsBefore := s.Commits(), changed()
	begin := s.Gather(n)
	var done sync.WaitGroup
	for i := range n {
		done.Go(func() {
			if i%4 >= 2 {
				if err := s.Commit(t.Context(), event(fmt.Sprint(i))); err != nil {
					t.Error(err)
				}
				return
			}
			second := limit.Take{Key: fmt.Sprint("room ", i), At: now, Fade: time.Hour}
			if i%4 == 1 {
				second = full
				second.Guard, second.Most = limit.GuardRoom, now
			}
			taken, err := s.Take(t.Context(), []limit.Take{{Key: fmt.Sprint("first ", i), At: now, Fade: time.Minute}, second})
			if err != nil || taken != (i%4 == 0) {
				t.Errorf("take %d: %v, %v", i, taken, err)
			}
		})
	}
	begin()
	done.Wait()
	if got := s.Commits() - before; got != 1 {
		t.Errorf("it took %d transactions, want 1", got)
	}
	if got, want := changed()-rowsBefore, n/2+n/4*2+n/4; got != want {
		t.Errorf("it changed %d rows, want %d: the events, two for each take, and the first for each refused one", got, want)
	}
	if got := len(events(t, s)); got != n/2 {
		t.Errorf("%d events, want %d", got, n/2)
	}
	for i := range n {
		counts, _, err := s.Counts(t.Context(), []string{fmt.Sprint("first ", i)}, "")
		if err != nil || (counts[0].Reserved == 1) != (i%4 == 0) {
			t.Errorf("take %d has left %+v, %v", i, counts, err)
		}
	}
}

// TestRefusedCommitsSpoilNoTake: a group that is carried out again takes once.
func TestRefusedCommitsSpoilNoTake(t *testing.T) {
	path := filepath.Join(t.TempDir(), "latchkey.db")
	s := open(t, path, true)
	now := time.Now()
	const n = 20
	begin := s.Gather(n)
	var done sync.WaitGroup
	for i := range n {
		done.Go(func() {
			if i%2 == 0 {
				taken, err := s.Take(t.Context(), []limit.Take{{Key: "k", At: now, Fade: time.Hour, Guard: limit.GuardRoom, Most: now.Add(100 * time.Hour)}})
				if !taken || err != nil {
					t.Errorf("take: %v, %v", taken, err)
				}
				return
			}
			if err := s.Commit(t.Context(), event(fmt.Sprint(i)), storage.CheckEpoch{UserID: "nobody"}); !errors.Is(err, storage.ErrConflict) {
				t.Errorf("commit: %v", err)
			}
		})
	}
	begin()
	done.Wait()
	counts, _, err := s.Counts(t.Context(), []string{"k"}, "")
	if err != nil || counts[0].Reserved != n/2 || counts[0].Empty.Sub(now).Round(time.Hour) != n/2*time.Hour {
		t.Errorf("got %+v, %v", counts, err)
	}
	if got := len(events(t, s)); got != 0 {
		t.Errorf("%d events of refused commits", got)
	}
}

// TestCommitsOfGoneCallersAreKept: a client must not take back a wrong guess by hanging up.
func TestCommitsOfGoneCallersAreKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "latchkey.db")
	s := open(t, path, true)
	unlock := lock(t, path)
	defer unlock()
	const n = 20
	var done sync.WaitGroup
	for i := range n {
		done.Go(func() {
			ctx, leave := context.WithCancel(t.Context())
			leave()
			if err := s.Commit(ctx, event(fmt.Sprint(i))); err != nil {
				t.Error(err)
			}
		})
	}
	unlock()
	done.Wait()
	if got := len(events(t, s)); got != n {
		t.Errorf("%d events, want %d", got, n)
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
		done.Go(func() { outcomes[i] = s.Commit(t.Context(), event(fmt.Sprint(i))) })
	}
	begin()
	done.Wait()
	for i, err := range outcomes {
		if !errors.Is(err, storage.ErrUnavailable) || err != outcomes[0] {
			t.Fatalf("commit %d: %v, want the ErrUnavailable of all", i, err)
		}
	}
	unlock()
	s.SetWaits(time.Hour, time.Hour)
	if err := s.Commit(t.Context(), event("last")); err != nil {
		t.Errorf("after the lock: %v", err)
	}
	if got := events(t, s); len(got) != 1 || got[0].ID != "last" {
		t.Errorf("got %v; want the last one alone", got)
	}
}
