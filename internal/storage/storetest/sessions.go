package storetest

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/storage"
)

// atOnce runs all at the same time and returns their errors.
func atOnce(all ...func() error) []error {
	errs := make([]error, len(all))
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i, f := range all {
		wg.Go(func() {
			<-start
			errs[i] = f()
		})
	}
	close(start)
	wg.Wait()
	return errs
}

// changed does to a session of the model what a change has to do to the stored one.
func changed(id storage.SessionID, change func(*storage.Session)) func(*state) {
	return func(all *state) {
		e := all.Sessions[id]
		change(&e)
		all.Sessions[id] = e
	}
}

// stranger is the session as somebody has it who knows nothing right but its id.
func stranger(id string) storage.Session {
	e := session(id, user("bob"))
	e.Epoch, e.Proof, e.ClientID, e.Scope, e.Seed = 77, storage.Proof{ACR: "7"}, "another", "none", []byte{7}
	e.Chain, e.Device, e.Address = storage.Chain{Hash: []byte{7}}, "another", "192.0.2.77"
	e.CreatedAt, e.LastUsedAt, e.ExpiresAt = at.Add(7*time.Minute), at.Add(8*time.Minute), at.Add(9*time.Hour)
	return e
}

func createSession(t *testing.T, s, other Store) {
	w := newWorld(t, s, other)
	ada := w.user("ada")
	w.does("beginning a session", func(all *state) { all.Sessions["new"] = session("new", ada) },
		storage.CreateSession{Session: session("new", ada)})
	w.refuses("an id in use", storage.ErrTaken, storage.CreateSession{Session: session("phone", ada)})
	w.refuses("an id of another user", storage.ErrTaken, storage.CreateSession{Session: session("bob's", ada)})
	w.refuses("an id of an ended session", storage.ErrTaken, storage.CreateSession{Session: session("ended", ada)})
	w.refuses("a new and a taken id", storage.ErrTaken,
		storage.CreateSession{Session: session("newer", ada)}, storage.CreateSession{Session: session("phone", ada)})
	eve := user("eve")
	w.does("with its user", func(all *state) {
		all.create(eve)
		all.Sessions["newer"] = session("newer", eve)
	}, storage.CreateUser{User: eve}, storage.CreateSession{Session: session("newer", eve)})
}

func refreshSession(t *testing.T, s, other Store) {
	w := newWorld(t, s, other)
	refreshed := func(e storage.Session, refreshes int64) storage.Session {
		e.Refreshes, e.Seed, e.LastUsedAt = refreshes, []byte{9, 0}, at.Add(time.Duration(refreshes)*time.Minute)
		e.Device, e.Address = "another", "192.0.2.8"
		return e
	}
	phone := w.session("phone")
	for doing, e := range map[string]storage.Session{
		"the number that is stored":       refreshed(phone, 3),
		"the number before":               refreshed(phone, 2),
		"two numbers on":                  refreshed(phone, 5),
		"no session":                      refreshed(session("new", user("ada")), 1),
		"no session, from the next on":    refreshed(session("new", user("ada")), 4),
		"an ended session":                refreshed(w.session("ended"), 4),
		"an ended session, read in time ": refreshed(session("ended", user("ada")), 4),
	} {
		w.refuses("refreshing "+doing, storage.ErrConflict, storage.RefreshSession{Session: e})
	}

	next := refreshed(phone, 4)
	w.does("a refresh", func(all *state) { all.Sessions["phone"] = next }, storage.RefreshSession{Session: next})
	foreign := stranger("phone")
	foreign.Refreshes, foreign.EndedAt = 5, at
	w.does("a refresh writes nothing else", changed("phone", func(e *storage.Session) {
		e.Refreshes, e.Seed, e.LastUsedAt = 5, foreign.Seed, foreign.LastUsedAt
		e.Device, e.Address = foreign.Device, foreign.Address
	}), storage.RefreshSession{Session: foreign})

	kept := next
	kept.Epoch = 6
	w.does("a move of the epoch", changed("phone", func(e *storage.Session) { e.Epoch = 6 }), storage.KeepSession{Session: kept})
	late := refreshed(next, 6) // read before the move
	w.does("a refresh does not undo it", changed("phone", func(e *storage.Session) {
		e.Refreshes, e.Seed, e.LastUsedAt, e.Device, e.Address = 6, late.Seed, late.LastUsedAt, late.Device, late.Address
	}), storage.CheckEpoch{UserID: "id-ada", Epoch: 5}, storage.RefreshSession{Session: late})
}

func keepSession(t *testing.T, s, other Store) {
	w := newWorld(t, s, other)
	w.refuses("keeping no session", storage.ErrConflict, storage.KeepSession{Session: session("new", user("ada"))})
	w.refuses("keeping an ended session", storage.ErrConflict, storage.KeepSession{Session: w.session("ended")})
	foreign := stranger("phone")
	foreign.Refreshes, foreign.EndedAt = 99, at
	w.does("keeping sets the epoch alone", changed("phone", func(e *storage.Session) { e.Epoch = 77 }), storage.KeepSession{Session: foreign})
	foreign.Epoch = 78
	w.does("and again", changed("phone", func(e *storage.Session) { e.Epoch = 78 }), storage.KeepSession{Session: foreign})
}

func endSession(t *testing.T, s, other Store) {
	w := newWorld(t, s, other)
	w.refuses("ending no session", storage.ErrConflict, storage.EndSession{Session: session("new", user("ada"))})
	w.refuses("ending an ended session", storage.ErrConflict, storage.EndSession{Session: w.session("ended")})
	foreign := stranger("phone")
	foreign.Refreshes, foreign.EndedAt = 99, at.Add(5*time.Minute)
	w.does("ending sets that alone", changed("phone", func(e *storage.Session) { e.EndedAt = foreign.EndedAt }), storage.EndSession{Session: foreign})
	next := w.session("phone")
	next.EndedAt, next.Refreshes = time.Time{}, 4
	w.refuses("refreshing it, as it was read before", storage.ErrConflict, storage.RefreshSession{Session: next})
	w.refuses("keeping it, as it was read before", storage.ErrConflict, storage.KeepSession{Session: next})
	w.refuses("an id that was used", storage.ErrTaken, storage.CreateSession{Session: next})
}

func userSessions(t *testing.T, s, other Store) {
	ada, bob := user("ada"), user("bob")
	begun := func(id string, epoch int64, after time.Duration) storage.Session {
		e := session(id, ada)
		e.Epoch, e.CreatedAt = epoch, at.Add(after)
		return e
	}
	ended, another := begun("ended", 9, time.Hour), begun("another's", 9, time.Hour)
	ended.EndedAt, another.UserID = at, bob.ID
	stored := []storage.Session{
		begun("old", 3, time.Hour), begun("twin b", 5, time.Minute), begun("last", 5, 2*time.Minute), begun("twin B", 5, time.Minute),
		begun("first", 5, time.Minute-time.Microsecond), begun("epoch 4", 4, 3*time.Hour), ended, another, begun("twin a", 5, time.Minute),
	}
	changes := []storage.Change{storage.CreateUser{User: ada}, storage.CreateUser{User: bob}}
	for _, e := range stored {
		changes = append(changes, storage.CreateSession{Session: e})
	}
	mustCommit(t, s, changes...)
	wants := func(doing string, epoch int64, limit int, want ...string) {
		t.Helper()
		for skip := range min(len(want)+2, limit) {
			page, err := other.UserSessions(t.Context(), ada.ID, epoch, skip, limit-skip)
			if err != nil {
				t.Fatalf("%s: %v", doing, err)
			}
			var got []string
			for _, e := range page {
				got = append(got, string(e.ID))
			}
			if d := diff(want[min(skip, len(want)):], got); d != "" {
				t.Errorf("%s, without the first %d: sessions (-want +got):\n%s", doing, skip, d)
			}
		}
	}
	wants("all", 0, all, "last", "twin B", "twin a", "twin b", "first", "epoch 4", "old")
	wants("exactly as many as there are", 0, 7, "last", "twin B", "twin a", "twin b", "first", "epoch 4", "old")
	wants("of an epoch and those after it", 4, all, "last", "twin B", "twin a", "twin b", "first", "epoch 4")
	wants("of the last epoch", 5, all, "last", "twin B", "twin a", "twin b", "first")
	wants("of an epoch to come", 6, all)
	wants("one", 0, 1, "last")
	wants("two", 0, 2, "last", "twin B")
	wants("three of epoch 5", 5, 3, "last", "twin B", "twin a")

	kept := begun("old", 6, 0)
	mustCommit(t, s, storage.KeepSession{Session: kept})
	wants("with one that was kept", 0, 2, "old", "last")
	wants("of the epoch for which it was kept", 6, all, "old")
	last := begun("last", 5, 0)
	last.EndedAt = at
	mustCommit(t, s, storage.EndSession{Session: last})
	wants("without one that was ended", 5, 2, "old", "twin B")
	twin := begun("twin b", 5, 0)
	twin.Refreshes++
	mustCommit(t, s, storage.RefreshSession{Session: twin})
	wants("with one that was refreshed", 5, all, "old", "twin B", "twin a", "twin b", "first")
	if page, err := other.UserSessions(t.Context(), "nobody", 0, 0, all); err != nil || len(page) != 0 {
		t.Errorf("sessions of nobody: got %v, %v", page, err)
	}
}

// sessionsAreCounted: of the user's epoch and above, and no more than a hundred.
func sessionsAreCounted(t *testing.T, s, other Store) {
	ada := user("ada")
	var ids []string
	add := func(n int, epoch int64) {
		for range n {
			e := session(fmt.Sprint("s", len(ids)), ada)
			e.Epoch, e.CreatedAt = epoch, at.Add(time.Duration(len(ids))*time.Second)
			ids = append(ids, string(e.ID))
			mustCommit(t, s, storage.CreateSession{Session: e})
		}
	}
	counts := func(doing string, want int) {
		t.Helper()
		byName, named, err := other.UserByUsername(t.Context(), usernameKey(ada))
		byEmail, mailed, err2 := other.UserByEmail(t.Context(), emailKey(ada))
		if err := errors.Join(err, err2); err != nil || byName.ID != ada.ID || byEmail.ID != ada.ID || named != want || mailed != want {
			t.Errorf("%s: %d sessions by username, %d by address (%v), want %d", doing, named, mailed, err, want)
		}
	}
	mustCommit(t, s, storage.CreateUser{User: ada})
	counts("without a session", 0)
	add(3, ada.Epoch-1)
	counts("with sessions of an epoch that has passed", 0)
	add(1, ada.Epoch+1)
	counts("with one of an epoch to come", 1)
	add(storage.MaxCounted-2, ada.Epoch)
	counts("with one less than are counted", storage.MaxCounted-1)
	add(1, ada.Epoch)
	counts("with as many as are counted", storage.MaxCounted)
	add(1, ada.Epoch)
	counts("with more", storage.MaxCounted)
	for _, id := range ids[len(ids)-2:] {
		mustCommit(t, s, storage.EndSession{Session: storage.Session{ID: storage.SessionID(id), UserID: ada.ID, EndedAt: at}})
	}
	counts("when two have ended", storage.MaxCounted-1)
	ada.Version, ada.SignInVersion = 1, 1
	moved := ada
	moved.Epoch++
	mustCommit(t, s, storage.UpdateUser{Old: ada, New: moved})
	counts("when the epoch has moved", 1)
}

// independentItems: profile, sign-in and sessions of one user are changed by one writer
// each, over and over. Nobody changes an item of another, so nobody may lose.
func independentItems(t *testing.T, s, other Store) {
	const rounds = 15
	ada := user("ada")
	phone, laptop := session("phone", ada), session("laptop", ada)
	mustCommit(t, s, storage.CreateUser{User: ada}, storage.CreateSession{Session: phone}, storage.CreateSession{Session: laptop})
	ada.Version, ada.SignInVersion = 1, 1
	check := storage.CheckEpoch{UserID: ada.ID, Epoch: ada.Epoch}
	over := func(s Store, doing string, change func(i int) []storage.Change) func() error {
		return func() error {
			for i := range rounds {
				if err := s.Commit(t.Context(), change(i)...); err != nil {
					return fmt.Errorf("%s %d: %w", doing, i, err)
				}
			}
			return nil
		}
	}
	profile, signIn, refreshed, kept := ada, ada, phone, laptop
	for _, err := range atOnce(
		over(s, "profile", func(i int) []storage.Change {
			old := profile
			profile.Name = fmt.Sprint("name ", i)
			c := storage.UpdateUser{Old: old, New: profile}
			profile.Version++
			return []storage.Change{c}
		}),
		over(other, "sign-in", func(i int) []storage.Change {
			old := signIn
			signIn.PasswordHash = fmt.Sprint("hash ", i)
			c := storage.UpdateUser{Old: old, New: signIn}
			signIn.SignInVersion++
			return []storage.Change{c}
		}),
		over(s, "login", func(i int) []storage.Change {
			return []storage.Change{check, storage.CreateSession{Session: session(fmt.Sprint("login ", i), ada)}}
		}),
		over(other, "another login", func(i int) []storage.Change {
			return []storage.Change{storage.CreateSession{Session: session(fmt.Sprint("another ", i), ada)}, check}
		}),
		over(other, "refresh", func(int) []storage.Change {
			refreshed.Refreshes++
			return []storage.Change{check, storage.RefreshSession{Session: refreshed}}
		}),
		over(s, "keeping", func(i int) []storage.Change {
			kept.Epoch = int64(100 + i)
			return []storage.Change{storage.KeepSession{Session: kept}}
		}),
	) {
		if err != nil {
			t.Error(err)
		}
	}
	want := profile
	want.PasswordHash, want.SignInVersion = signIn.PasswordHash, signIn.SignInVersion
	for _, e := range []storage.Session{refreshed, kept} {
		got, u, err := other.SessionUser(t.Context(), e.ID)
		if d := diff([]any{e, want}, []any{got, u}); err != nil || d != "" {
			t.Errorf("session %s: %v (-want +got):\n%s", e.ID, err, d)
		}
	}
	if page, err := s.UserSessions(t.Context(), ada.ID, 0, 0, all); err != nil || len(page) != 2*rounds+2 {
		t.Errorf("got %d sessions, %v; want %d", len(page), err, 2*rounds+2)
	}
}

// epochAgainstSessions: sessions begin by what was read of the user, over both handles,
// while the epoch moves. Those that began by the old epoch are all there when the move
// has been acknowledged; none comes later.
func epochAgainstSessions(t *testing.T, s, other Store) {
	ada := user("ada")
	mustCommit(t, s, storage.CreateUser{User: ada})
	ada.Version, ada.SignInVersion = 1, 1
	moved := ada
	moved.Epoch++

	var begun atomic.Int64
	var moving, done atomic.Bool
	enough, gone := make(chan struct{}), make(chan struct{})
	login := func(s Store, id string) bool {
		late := done.Load()
		err := s.Commit(t.Context(), storage.CheckEpoch{UserID: ada.ID, Epoch: ada.Epoch}, storage.CreateSession{Session: session(id, ada)})
		switch {
		case err == nil && late:
			t.Errorf("session %s began by an epoch that had passed", id)
			return false
		case err == nil:
			if begun.Add(1) == 20 {
				close(enough)
			}
			return true
		case !errors.Is(err, storage.ErrConflict):
			t.Errorf("session %s: %v", id, err)
		case !moving.Load():
			t.Errorf("session %s lost to nobody: %v", id, err)
		}
		return false
	}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			store := []Store{s, other}[i%2]
			for n := 0; login(store, fmt.Sprint(i, " ", n)); n++ {
			}
		})
	}
	go func() {
		wg.Wait()
		close(gone)
	}()
	select {
	case <-enough:
	case <-gone:
		t.Fatal("no session could begin")
	}
	moving.Store(true)
	mustCommit(t, s, storage.UpdateUser{Old: ada, New: moved})
	done.Store(true)
	before := userSessionIDs(t, other, ada.ID)
	<-gone
	if d := diff(before, userSessionIDs(t, s, ada.ID)); d != "" {
		t.Errorf("sessions when the epoch had moved, and at last (-moved +last):\n%s", d)
	}
	if int64(len(before)) != begun.Load() {
		t.Errorf("%d sessions are listed, %d began", len(before), begun.Load())
	}
}

func userSessionIDs(t *testing.T, s Store, id storage.UserID) []storage.SessionID {
	t.Helper()
	page, err := s.UserSessions(t.Context(), id, 0, 0, all)
	if err != nil {
		t.Fatalf("UserSessions: %v", err)
	}
	var ids []storage.SessionID
	for _, e := range page {
		ids = append(ids, e.ID)
	}
	return ids
}

// endAgainstRefresh: whoever refreshes a session over and over keeps it neither from
// being kept through a move of the epoch nor from being ended.
func endAgainstRefresh(t *testing.T, s, other Store) {
	ada := user("ada")
	phone := session("phone", ada)
	mustCommit(t, s, storage.CreateUser{User: ada}, storage.CreateSession{Session: phone})
	refreshed := phone
	var ending atomic.Bool
	under := make(chan struct{})
	var once sync.Once
	errs := atOnce(
		func() error {
			defer once.Do(func() { close(under) })
			for n := 1; ; n++ {
				next := refreshed
				next.Refreshes++
				err := s.Commit(t.Context(), storage.RefreshSession{Session: next})
				if errors.Is(err, storage.ErrConflict) && ending.Load() {
					return nil
				}
				if err != nil || n > 10_000 {
					return fmt.Errorf("refresh %d: %v", n, err)
				}
				refreshed = next
				if n == 3 {
					once.Do(func() { close(under) })
				}
			}
		},
		func() error {
			<-under
			kept := phone
			for i := range 10 {
				kept.Epoch = int64(100 + i)
				if err := other.Commit(t.Context(), storage.KeepSession{Session: kept}); err != nil {
					return fmt.Errorf("keeping the session: %w", err)
				}
			}
			ending.Store(true)
			kept.EndedAt = at
			return other.Commit(t.Context(), storage.EndSession{Session: kept})
		},
	)
	for _, err := range errs {
		if err != nil {
			t.Error(err)
		}
	}
	want := refreshed
	want.Epoch, want.EndedAt = 109, at
	got, _, err := s.SessionUser(t.Context(), "phone")
	if d := diff(want, got); err != nil || d != "" {
		t.Errorf("%v (-want +got):\n%s", err, d)
	}
}
