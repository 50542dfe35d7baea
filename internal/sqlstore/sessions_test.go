package sqlstore_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/latchkey-auth/latchkey/internal/sqlstore"
	"github.com/latchkey-auth/latchkey/internal/storage"
	"github.com/latchkey-auth/latchkey/internal/trial"
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
	u, e := signedIn(t, s)
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
		after := u
		after.Name = fmt.Sprint("name ", i)
		changes := []storage.Change{storage.UpdateUser{Old: u, New: after}}
		if i%3 == 0 {
			e.Refreshes++
			changes = append(changes, storage.RefreshSession{Session: e})
		}
		if err := writer.Commit(t.Context(), changes...); err != nil {
			t.Fatal(err)
		}
		u = after
		u.Version++
		still(t, path)
		session, user, err := s.SessionUser(t.Context(), "s")
		if err != nil || user.Name != u.Name || user.Version != u.Version || session.Refreshes != e.Refreshes {
			t.Fatalf("round %d: got %q version %d, %d refreshes, %v; want %q version %d, %d", i, user.Name, user.Version, session.Refreshes, err, u.Name, u.Version, e.Refreshes)
		}
	}
	s.SessionUser(t.Context(), "s")
	if err := other.Commit(t.Context(), storage.DeleteUser{User: u}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.SessionUser(t.Context(), "s"); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("after the deletion: %v, want ErrNotFound", err)
	}
}

// TestSessionsUnderWrites reads while another handle writes: what was acknowledged
// before a read began is in it, also when the commit came between the look at the
// index and the reading. It writes 300 times, in full 10,000.
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
	for i := range trial.Of(300, 10_000) {
		u.Version = acknowledged.Load()
		after := u
		after.Name = fmt.Sprint(i)
		if err := other.Commit(t.Context(), storage.UpdateUser{Old: u, New: after}); err != nil {
			t.Error(err)
			break
		}
		u = after
		acknowledged.Add(1)
	}
	close(done)
	readers.Wait()
}

func TestHeaderState(t *testing.T) {
	good := [48]byte{8: 1, 12: 1, 32: 7}
	changed, empty, unwritten := good, good, good
	changed[8], empty[12], unwritten[32] = 2, 0, 0
	for name, c := range map[string]struct {
		first, second [48]byte
		want          bool
	}{
		"a header":         {good, good, true},
		"a commit showing": {changed, good, false},
		"none yet":         {empty, empty, false},
		"an empty log":     {unwritten, unwritten, false},
	} {
		if got := sqlstore.HeaderState(c.first, c.second); got != c.want {
			t.Errorf("%s: to be relied on %v, want %v", name, got, c.want)
		}
	}
}

// TestLinkedDatabase: the index is beside the file, not beside the link.
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
	if err := other.Commit(t.Context(), storage.UpdateUser{Old: u, New: disabled}); err != nil {
		t.Fatal(err)
	}
	if _, user, err := s.SessionUser(t.Context(), "s"); err != nil || !user.Disabled {
		t.Errorf("a change by the file's own name: disabled %v, %v", user.Disabled, err)
	}
}

func TestMemoryRemembersNothing(t *testing.T) {
	s := open(t, sqlstore.Memory, true)
	signedIn(t, s)
	if s.Known("s") {
		t.Error("there is no index to tell changes by")
	}
}

// TestSessionsAreNeverBehindAmongWriters: several goroutines of two handles refresh, keep
// and end sessions and change users. After a change is acknowledged, reads return it, or what
// came after it, at both handles; and in the end both have what a fresh one reads.
func TestSessionsAreNeverBehindAmongWriters(t *testing.T) {
	path := filepath.Join(t.TempDir(), "latchkey.db")
	handles := []*sqlstore.Store{open(t, path, true), open(t, path, false)}
	const each = 4
	var ids []storage.SessionID
	for i := range each {
		u := storage.User{ID: storage.UserID(fmt.Sprint("u", i)), Username: fmt.Sprint("user", i), CreatedAt: june}
		id := storage.SessionID(fmt.Sprint("s", i))
		e := storage.Session{ID: id, UserID: u.ID, CreatedAt: june, LastUsedAt: june, ExpiresAt: june.Add(time.Hour)}
		if err := handles[0].Commit(t.Context(), storage.CreateUser{User: u}, storage.CreateSession{Session: e}); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	var all sync.WaitGroup
	for i := range 4 * each {
		id, s := ids[i%each], handles[i%len(handles)]
		all.Go(func() {
			for n := range 60 {
				e, u, err := s.SessionUser(t.Context(), id)
				if err != nil {
					t.Error(err)
					return
				}
				var change storage.Change
				switch after := u; n % 3 {
				case 0:
					e.Refreshes++
					change = storage.RefreshSession{Session: e}
				case 1:
					after.Epoch++
					change = storage.UpdateUser{Old: u, New: after}
					u = after
				default:
					e.Epoch = u.Epoch
					change = storage.KeepSession{Session: e}
				}
				err = s.Commit(t.Context(), change)
				if errors.Is(err, storage.ErrConflict) {
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				for h, reader := range handles {
					got, owner, err := reader.SessionUser(t.Context(), id)
					if err != nil || got.Refreshes < e.Refreshes || owner.Epoch < u.Epoch {
						t.Errorf("handle %d reads refresh %d, epoch %d after %d and %d were stored, %v", h, got.Refreshes, owner.Epoch, e.Refreshes, u.Epoch, err)
						return
					}
				}
			}
		})
	}
	all.Wait()
	fresh := open(t, path, false)
	for _, id := range ids {
		want, owner, err := fresh.SessionUser(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		for h, s := range handles {
			got, u, err := s.SessionUser(t.Context(), id)
			if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()) + cmp.Diff(owner, u, cmpopts.EquateEmpty()); err != nil || diff != "" {
				t.Errorf("handle %d, %s: %v (-want +got):\n%s", h, id, err, diff)
			}
		}
	}
}

// TestOwnCommitsKeepWhatTheyDoNotTouch, so that a refresh is not read again because of
// another one.
func TestOwnCommitsKeepWhatTheyDoNotTouch(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "latchkey.db"), true)
	u, e := signedIn(t, s)
	if _, _, err := s.SessionUser(t.Context(), e.ID); err != nil {
		t.Fatal(err)
	}
	e.Refreshes++
	e.LastUsedAt, e.Device = e.LastUsedAt.Add(time.Minute+time.Nanosecond), "another"
	if err := s.Commit(t.Context(), storage.RefreshSession{Session: e}, storage.CheckEpoch{UserID: u.ID, Epoch: u.Epoch}); err != nil {
		t.Fatal(err)
	}
	if !s.Remembers(e.ID) {
		t.Skip("nothing is remembered on this system")
	}
	got, _, err := s.SessionUser(t.Context(), e.ID)
	if err != nil || got.Refreshes != e.Refreshes || got.Device != "another" || !got.LastUsedAt.Equal(e.LastUsedAt.Truncate(time.Microsecond)) {
		t.Errorf("got %+v, %v", got, err)
	}
	if err := s.Commit(t.Context(), storage.EndSession{Session: e}); err != nil {
		t.Fatal(err)
	}
	if s.Remembers(e.ID) {
		t.Error("an ended session is remembered")
	}
}
