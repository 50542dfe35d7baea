// Package storetest judges stores. A store is finished when [Run] passes, whole:
// there are no optional parts. [Memory] is the smallest store that passes.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/latchkey-auth/latchkey/internal/auth"
	"github.com/latchkey-auth/latchkey/internal/keyring"
)

// A Store is what every store implements.
type Store interface {
	auth.Store
	keyring.Store
}

// Run runs the suite. open returns an empty store; a second call within one
// test returns the same data through a second handle where the store is shared
// between processes, or the same handle.
func Run(t *testing.T, open func(t *testing.T) (first, second Store)) {
	for _, c := range []struct {
		name string
		test func(t *testing.T, s, other Store)
	}{
		{"a stranger is not found", strangerIsNotFound},
		{"a user is found by id, username key and e-mail key", userIsFound},
		{"every member of a user comes back", userRoundTrips},
		{"names are unique whatever their spelling", namesAreUnique},
		{"users without e-mail do not collide", noEmailNoCollision},
		{"an update needs the stored version", updateIsCompareAndSwap},
		{"an update cannot take somebody else's name", updateKeepsNamesUnique},
		{"one of many racing updates wins", racingUpdates},
		{"one of many racing creations wins", racingCreations},
		{"a batch is all or nothing", batchIsAtomic},
		{"a session is read with its user", sessionIsReadWithUser},
		{"a session is ended whatever a refresh has made of it", sessionUpdateMindsNoRefresh},
		{"a session's rotation needs the stored versions", rotationIsCompareAndSwap},
		{"what is remembered of a session changes nothing that has changed since", recentSessions},
		{"one of many racing ends of a session wins", racingEnds},
		{"a user's living sessions are listed, latest begun first", userSessionsAreListed},
		{"a deleted user takes the sessions along and frees the names", deletion},
		{"a batch can be bound to a user's version", checkUsers},
		{"hits fade, and are counted with their batch", hitsAreCounted},
		{"racing hits are all counted", racingHits},
		{"every member of a ticket comes back", ticketRoundTrips},
		{"a new ticket takes the place of the one before", ticketIsReplaced},
		{"a ticket is taken once, as it was read", ticketIsTaken},
		{"one of many who take a ticket wins", racingTakers},
		{"tries are counted one by one", racingTries},
		{"the names of a deleted user are free in the same batch", namesPassOn},
		{"mail is due, deferred and deleted", mailIsQueued},
		{"one of many who claim a mail wins", racingClaims},
		{"purge deletes tickets, mails and counts", purgeTickets},
		{"users are paged by id", usersArePaged},
		{"events are numbered in the order of commits", eventsAreNumbered},
		{"racing commits leave no gap in the events", racingEvents},
		{"purge deletes what expired and nothing else", purge},
		{"purge deletes many", purgeMany},
		{"keys come back by number", keysRoundTrip},
		{"a new key retires the old one in the same step", keyRetiresOld},
		{"one of many racing rotations wins", racingKeys},
		{"an empty batch and a ping change nothing", nothingChanges},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, other := open(t)
			c.test(t, s, other)
		})
	}
}

var at = time.Date(2026, 3, 14, 9, 26, 53, 589793000, time.UTC)

func user(name string) auth.User {
	return auth.User{
		ID: auth.UserID("id-" + name), Username: name, Email: name + "@example.com", Name: "The " + name,
		Scope: "orders:read orders:write", PasswordHash: "$argon2id$" + name, CreatedAt: at, UpdatedAt: at.Add(time.Second),
	}
}

func session(id string, u auth.User) auth.Session {
	return auth.Session{
		ID: auth.SessionID(id), UserID: u.ID, RefreshHash: []byte{0, 1, 0xFF}, Device: "curl/8 ünï", Address: "192.0.2.7",
		CreatedAt: at, LastUsedAt: at.Add(time.Minute), ExpiresAt: at.Add(time.Hour),
	}
}

func mustCommit(t *testing.T, s Store, b auth.Batch) {
	t.Helper()
	if err := s.Commit(t.Context(), b); err != nil {
		t.Fatalf("Commit: %v", err)
	}
}

func wantError(t *testing.T, doing string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: got error %v, want %v", doing, got, want)
	}
}

func wantUser(t *testing.T, s Store, want auth.User) {
	t.Helper()
	got, err := s.User(t.Context(), want.ID)
	if err != nil {
		t.Fatalf("User(%s): %v", want.ID, err)
	}
	if d := cmp.Diff(want, got, cmpopts.EquateEmpty()); d != "" {
		t.Errorf("User(%s) (-want +got):\n%s", want.ID, d)
	}
}

func strangerIsNotFound(t *testing.T, s, _ Store) {
	ctx := t.Context()
	_, err := s.User(ctx, "nobody")
	wantError(t, "User", err, auth.ErrNotFound)
	_, err = s.UserByUsername(ctx, "nobody")
	wantError(t, "UserByUsername", err, auth.ErrNotFound)
	_, err = s.UserByEmail(ctx, "nobody@example.com")
	wantError(t, "UserByEmail", err, auth.ErrNotFound)
	_, err = s.UserByEmail(ctx, "")
	wantError(t, "UserByEmail of no address", err, auth.ErrNotFound)
	_, _, err = s.SessionUser(ctx, "none")
	wantError(t, "SessionUser", err, auth.ErrNotFound)
}

func userIsFound(t *testing.T, s, other Store) {
	u := user("Ada")
	mustCommit(t, s, auth.Batch{CreateUsers: []auth.User{u}})
	for name, find := range map[string]func() (auth.User, error){
		"User":           func() (auth.User, error) { return other.User(t.Context(), u.ID) },
		"UserByUsername": func() (auth.User, error) { return other.UserByUsername(t.Context(), "ada") },
		"UserByEmail":    func() (auth.User, error) { return other.UserByEmail(t.Context(), "ada@example.com") },
	} {
		if got, err := find(); err != nil || got.ID != u.ID {
			t.Errorf("%s: got %v, %v; want user %s", name, got.ID, err, u.ID)
		}
	}
}

func userRoundTrips(t *testing.T, s, other Store) {
	u := user("Ada")
	u.EmailVerified, u.PendingEmail = true, "new@example.com"
	u.Name, u.Disabled, u.SessionsFrom = "Ada \"the first\" Lövelace 'DROP TABLE'", true, at.Add(3*time.Microsecond)
	mustCommit(t, s, auth.Batch{CreateUsers: []auth.User{u}})
	u.Version = 1
	wantUser(t, other, u)
	u.Disabled, u.Email, u.SessionsFrom, u.EmailVerified, u.PendingEmail = false, "", time.Time{}, false, ""
	mustCommit(t, s, auth.Batch{UpdateUsers: []auth.User{u}})
	u.Version = 2
	wantUser(t, other, u)
}

func namesAreUnique(t *testing.T, s, _ Store) {
	mustCommit(t, s, auth.Batch{CreateUsers: []auth.User{user("ada")}})
	for doing, change := range map[string]func(*auth.User){
		"same id":                      func(u *auth.User) { u.ID = "id-ada" },
		"same username":                func(u *auth.User) { u.Username = "ada" },
		"same username in other case":  func(u *auth.User) { u.Username = "ADA" },
		"same username in full width":  func(u *auth.User) { u.Username = "ａｄａ" },
		"same e-mail":                  func(u *auth.User) { u.Email = "ada@example.com" },
		"same e-mail in other letters": func(u *auth.User) { u.Email = "ADA@EXAMPLE.com" },
	} {
		u := user("bob")
		change(&u)
		wantError(t, doing, s.Commit(t.Context(), auth.Batch{CreateUsers: []auth.User{u}}), auth.ErrTaken)
	}
}

func noEmailNoCollision(t *testing.T, s, _ Store) {
	a, b := user("ada"), user("bob")
	a.Email, b.Email = "", ""
	mustCommit(t, s, auth.Batch{CreateUsers: []auth.User{a, b}})
}

func updateIsCompareAndSwap(t *testing.T, s, other Store) {
	u := user("ada")
	mustCommit(t, s, auth.Batch{CreateUsers: []auth.User{u}})
	u.Version = 1
	u.Name = "first"
	mustCommit(t, other, auth.Batch{UpdateUsers: []auth.User{u}})
	stale := u
	stale.Name = "second"
	wantError(t, "update based on version 1", s.Commit(t.Context(), auth.Batch{UpdateUsers: []auth.User{stale}}), auth.ErrConflict)
	u.Version = 2
	wantUser(t, s, u)
	gone := user("nobody")
	gone.Version = 1
	wantError(t, "update of a stranger", s.Commit(t.Context(), auth.Batch{UpdateUsers: []auth.User{gone}}), auth.ErrConflict)
}

func updateKeepsNamesUnique(t *testing.T, s, _ Store) {
	a, b := user("ada"), user("bob")
	mustCommit(t, s, auth.Batch{CreateUsers: []auth.User{a, b}})
	b.Version = 1
	thief := b
	thief.Username = "Ada"
	wantError(t, "taking a username", s.Commit(t.Context(), auth.Batch{UpdateUsers: []auth.User{thief}}), auth.ErrTaken)
	thief = b
	thief.Email = "ADA@example.com"
	wantError(t, "taking an e-mail address", s.Commit(t.Context(), auth.Batch{UpdateUsers: []auth.User{thief}}), auth.ErrTaken)
	wantUser(t, s, b)
}

const racers = 50

// race runs f in racers goroutines, half of them on each handle, and counts
// those that got no error. Every other error must be the losers'.
func race(t *testing.T, s, other Store, loses error, f func(ctx context.Context, s Store, i int) error) int {
	t.Helper()
	var won atomic.Int64
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range racers {
		wg.Go(func() {
			<-start
			store := s
			if i%2 == 1 {
				store = other
			}
			switch err := f(t.Context(), store, i); {
			case err == nil:
				won.Add(1)
			case loses == nil || !errors.Is(err, loses):
				t.Errorf("racer %d: got error %v, want none or %v", i, err, loses)
			}
		})
	}
	close(start)
	wg.Wait()
	return int(won.Load())
}

func racingUpdates(t *testing.T, s, other Store) {
	u := user("ada")
	mustCommit(t, s, auth.Batch{CreateUsers: []auth.User{u}})
	u.Version = 1
	won := race(t, s, other, auth.ErrConflict, func(ctx context.Context, s Store, i int) error {
		mine := u
		mine.Name = fmt.Sprint("racer ", i)
		return s.Commit(ctx, auth.Batch{UpdateUsers: []auth.User{mine}, Events: []auth.Event{{Time: at, Kind: "race"}}})
	})
	events, err := s.Events(t.Context(), 0, 2*racers)
	if won != 1 || err != nil || len(events) != 1 {
		t.Errorf("got %d winners and %d events (%v), want 1 and 1", won, len(events), err)
	}
}

func racingCreations(t *testing.T, s, other Store) {
	won := race(t, s, other, auth.ErrTaken, func(ctx context.Context, s Store, i int) error {
		u := user("ada")
		u.ID, u.Email = auth.UserID(fmt.Sprint("id-", i)), ""
		return s.Commit(ctx, auth.Batch{CreateUsers: []auth.User{u}})
	})
	if won != 1 {
		t.Errorf("got %d users of one name, want 1", won)
	}
}

func batchIsAtomic(t *testing.T, s, other Store) {
	a := user("ada")
	mustCommit(t, s, auth.Batch{CreateUsers: []auth.User{a}})
	a.Version = 1
	changed, stale := a, a
	changed.Name, stale.Version = "changed", 7
	mallory, namesake := user("mallory"), user("ada")
	namesake.ID = "id-other"
	fine := auth.Batch{
		CreateUsers: []auth.User{mallory}, UpdateUsers: []auth.User{changed},
		CreateSessions: []auth.Session{session("s1", a)}, Events: []auth.Event{{Time: at, Kind: "x"}},
		PutTickets: []auth.Ticket{ticket("t1")}, QueueMails: []auth.Mail{mail("m1")},
	}
	for doing, spoil := range map[string]func(*auth.Batch){
		"a taken name":     func(b *auth.Batch) { b.CreateUsers = append(b.CreateUsers, namesake) },
		"a stale version":  func(b *auth.Batch) { b.UpdateUsers = []auth.User{changed, stale} },
		"a taken session":  func(b *auth.Batch) { b.CreateSessions = append(b.CreateSessions, b.CreateSessions[0]) },
		"a taken ticket":   func(b *auth.Batch) { b.TakeTickets = []auth.Ticket{ticket("gone")} },
		"a deferred mail":  func(b *auth.Batch) { b.DeferMails = []auth.Mail{mail("gone")} },
		"a taken new user": func(b *auth.Batch) { b.CreateUsers = append(b.CreateUsers, mallory) },
	} {
		b := fine
		b.CreateUsers, b.CreateSessions = slices.Clone(b.CreateUsers), slices.Clone(b.CreateSessions)
		spoil(&b)
		if err := s.Commit(t.Context(), b); err == nil {
			t.Errorf("batch with %s: got no error", doing)
		}
		wantUser(t, other, a)
		_, err := other.User(t.Context(), mallory.ID)
		wantError(t, "user of a batch with "+doing, err, auth.ErrNotFound)
		_, _, err = other.SessionUser(t.Context(), "s1")
		wantError(t, "session of a batch with "+doing, err, auth.ErrNotFound)
		_, err = other.Ticket(t.Context(), "t1")
		wantError(t, "ticket of a batch with "+doing, err, auth.ErrNotFound)
		if due, err := other.DueMails(t.Context(), at, 1); err != nil || len(due) != 0 {
			t.Errorf("batch with %s: got mails %v, %v; want none", doing, due, err)
		}
		if events, err := other.Events(t.Context(), 0, 10); err != nil || len(events) != 0 {
			t.Errorf("batch with %s: got %d events, %v; want none", doing, len(events), err)
		}
	}
	mustCommit(t, s, fine)
}

func usersArePaged(t *testing.T, s, _ Store) {
	var b auth.Batch
	for i := range 7 {
		b.CreateUsers = append(b.CreateUsers, user(fmt.Sprintf("user%d", 6-i)))
	}
	mustCommit(t, s, b)
	var got []auth.UserID
	var after auth.UserID
	for range 10 {
		page, err := s.Users(t.Context(), after, 3)
		if err != nil {
			t.Fatalf("Users: %v", err)
		}
		if len(page) == 0 {
			break
		}
		for _, u := range page {
			got = append(got, u.ID)
		}
		after = got[len(got)-1]
	}
	if len(got) != 7 || !slices.IsSorted(got) {
		t.Errorf("got ids %v, want 7 in order", got)
	}
}

func eventsAreNumbered(t *testing.T, s, other Store) {
	first := auth.Event{Time: at, Kind: "a", Outcome: "ok", UserID: "u", SessionID: "s", RequestID: "r", Address: "192.0.2.1", Device: "d", Count: 7}
	mustCommit(t, s, auth.Batch{Events: []auth.Event{first, {Time: at, Kind: "b"}}})
	mustCommit(t, other, auth.Batch{Events: []auth.Event{{Time: at.Add(-time.Hour), Kind: "c"}}})
	events, err := s.Events(t.Context(), 0, 10)
	if err != nil || len(events) != 3 {
		t.Fatalf("Events: got %d, %v; want 3", len(events), err)
	}
	first.Number = 1
	if d := cmp.Diff(first, events[0]); d != "" {
		t.Errorf("first event (-want +got):\n%s", d)
	}
	if events[1].Kind != "b" || events[1].Count != 1 || events[2].Kind != "c" || events[2].Number != 3 {
		t.Errorf("got events %v", events)
	}
	if rest, err := s.Events(t.Context(), 1, 1); err != nil || len(rest) != 1 || rest[0].Kind != "b" {
		t.Errorf("Events after 1, limit 1: got %v, %v", rest, err)
	}
}

func racingEvents(t *testing.T, s, other Store) {
	race(t, s, other, nil, func(ctx context.Context, s Store, i int) error {
		return s.Commit(ctx, auth.Batch{Events: []auth.Event{{Time: at, Kind: "x"}, {Time: at, Kind: "y"}}})
	})
	events, err := s.Events(t.Context(), 0, 3*racers)
	if err != nil || len(events) != 2*racers {
		t.Fatalf("got %d events, %v; want %d", len(events), err, 2*racers)
	}
	for i, e := range events {
		if e.Number != int64(i+1) || e.Kind != []auth.EventKind{"x", "y"}[i%2] {
			t.Fatalf("event %d: got number %d, kind %s", i, e.Number, e.Kind)
		}
	}
}

func purge(t *testing.T, s, _ Store) {
	u := user("ada")
	old, young := session("old", u), session("young", u)
	old.ExpiresAt, young.ExpiresAt = at, at.Add(2*time.Hour)
	mustCommit(t, s, auth.Batch{
		CreateUsers: []auth.User{u}, CreateSessions: []auth.Session{old, young},
		Events: []auth.Event{{Time: at, Kind: "old"}, {Time: at.Add(2 * time.Hour), Kind: "young"}},
	})
	if err := s.Purge(t.Context(), auth.Moments{Expired: at.Add(time.Hour), Events: at.Add(time.Hour), Hits: at.Add(time.Hour)}); err != nil {
		t.Fatalf("Purge: %v", err)
	}
	_, _, err := s.SessionUser(t.Context(), "old")
	wantError(t, "expired session", err, auth.ErrNotFound)
	if _, _, err := s.SessionUser(t.Context(), "young"); err != nil {
		t.Errorf("live session: %v", err)
	}
	if events, err := s.Events(t.Context(), 0, 10); err != nil || len(events) != 1 || events[0].Number != 2 {
		t.Errorf("events after purge: got %v, %v; want number 2 alone", events, err)
	}
}

// purgeMany deletes more than a store would in one go.
func purgeMany(t *testing.T, s, _ Store) {
	const many = 5000
	b := auth.Batch{Events: make([]auth.Event, many)}
	for i := range b.Events {
		b.Events[i] = auth.Event{Time: at, Kind: "old"}
	}
	for i := range 2100 {
		b.PutTickets = append(b.PutTickets, auth.Ticket{ID: auth.TicketID(fmt.Sprint(i)), ExpiresAt: at})
	}
	b.Events = append(b.Events, auth.Event{Time: at.Add(2 * time.Hour), Kind: "young"})
	mustCommit(t, s, b)
	if err := s.Purge(t.Context(), auth.Moments{Expired: at.Add(time.Hour), Events: at.Add(time.Hour)}); err != nil {
		t.Fatalf("Purge: %v", err)
	}
	if events, err := s.Events(t.Context(), 0, 10); err != nil || len(events) != 1 || events[0].Number != many+1 {
		t.Errorf("%d events after purge, %v; want the young one alone", len(events), err)
	}
	for i := range 2100 {
		_, err := s.Ticket(t.Context(), auth.TicketID(fmt.Sprint(i)))
		wantError(t, "expired ticket", err, auth.ErrNotFound)
	}
}

func record(number int64) keyring.Record {
	return keyring.Record{
		ID: fmt.Sprint("kid-", number), Number: number, Algorithm: "ES256", Public: []byte(`{"kty":"EC"}`),
		Sealed: []byte{0, 0xFE}, CreatedAt: at, ActiveAt: at.Add(time.Minute),
	}
}

func keysRoundTrip(t *testing.T, s, other Store) {
	want := []keyring.Record{record(1), record(2)}
	for _, r := range want {
		if err := s.AddKey(t.Context(), r, nil); err != nil {
			t.Fatalf("AddKey: %v", err)
		}
	}
	got, err := other.Keys(t.Context())
	if err != nil {
		t.Fatalf("Keys: %v", err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("keys (-want +got):\n%s", d)
	}
}

func keyRetiresOld(t *testing.T, s, _ Store) {
	old := record(1)
	if err := s.AddKey(t.Context(), old, nil); err != nil {
		t.Fatalf("AddKey: %v", err)
	}
	old.RetiresAt, old.ExpiresAt = at.Add(time.Hour), at.Add(2*time.Hour)
	same := record(1)
	same.ID = "other"
	wantError(t, "taken number", s.AddKey(t.Context(), same, []keyring.Record{old}), keyring.ErrExists)
	if keys, err := s.Keys(t.Context()); err != nil || len(keys) != 1 || !keys[0].RetiresAt.IsZero() {
		t.Fatalf("a refused key retired the old one: %v, %v", keys, err)
	}
	if err := s.AddKey(t.Context(), record(2), []keyring.Record{old}); err != nil {
		t.Fatalf("AddKey: %v", err)
	}
	keys, err := s.Keys(t.Context())
	if err != nil || len(keys) != 2 {
		t.Fatalf("Keys: got %d, %v; want 2", len(keys), err)
	}
	if d := cmp.Diff(old, keys[0]); d != "" {
		t.Errorf("retired key (-want +got):\n%s", d)
	}
	if err := s.Purge(t.Context(), auth.Moments{Expired: at.Add(3 * time.Hour)}); err != nil {
		t.Fatalf("Purge: %v", err)
	}
	if keys, err := s.Keys(t.Context()); err != nil || len(keys) != 1 || keys[0].Number != 2 {
		t.Errorf("keys after purge: got %v, %v; want number 2 alone", keys, err)
	}
}

func racingKeys(t *testing.T, s, other Store) {
	won := race(t, s, other, keyring.ErrExists, func(ctx context.Context, s Store, i int) error {
		r := record(1)
		r.ID = fmt.Sprint("kid-", i)
		return s.AddKey(ctx, r, nil)
	})
	if won != 1 {
		t.Errorf("got %d keys of one number, want 1", won)
	}
}

func nothingChanges(t *testing.T, s, _ Store) {
	mustCommit(t, s, auth.Batch{})
	if err := s.Ping(t.Context()); err != nil {
		t.Errorf("Ping: %v", err)
	}
	if events, err := s.Events(t.Context(), 0, 10); err != nil || len(events) != 0 {
		t.Errorf("got events %v, %v; want none", events, err)
	}
}
