package storetest

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/outbox"
	"github.com/latchkey-auth/latchkey/internal/storage"
)

// The cast of the suite: all whom a case may speak of, so that whoever must not be there
// is asked for, too.
var (
	people         = []string{"ada", "bob", "dan", "eve", "mallory", "countess"}
	sessionIDs     = []storage.SessionID{"phone", "laptop", "ended", "bob's", "new", "newer"}
	credentialKeys = []storage.CredentialKey{"passkey", "bob's passkey", "new", "newer"}
	ticketIDs      = []storage.TicketID{"reset", "invite", "new", "newer"}
	markIDs        = []storage.MarkID{"known", "new", "newer", "first witness", "last witness"}
)

// old is how the ids begin of what a purge or a store's own clock may delete: a state
// leaves it out.
const old = "old "

// A state is all that can be read of what commits change.
type state struct {
	Users       map[storage.UserID]storage.User
	Deleted     map[storage.UserID]bool
	Credentials map[storage.CredentialKey]storage.Credential
	Sessions    map[storage.SessionID]storage.Session // of those who are not deleted
	Tickets     map[storage.TicketID]storage.Ticket
	Marks       map[storage.MarkID]storage.Mark
	Mails       map[string]outbox.Mail
	Events      []storage.Event
	Revocations []storage.Revocation
}

func newState() state {
	return state{
		Users: map[storage.UserID]storage.User{}, Deleted: map[storage.UserID]bool{}, Credentials: map[storage.CredentialKey]storage.Credential{}, Sessions: map[storage.SessionID]storage.Session{},
		Tickets: map[storage.TicketID]storage.Ticket{}, Marks: map[storage.MarkID]storage.Mark{}, Mails: map[string]outbox.Mail{},
	}
}

// listed is what UserSessions has to return.
func (s *state) listed(id storage.UserID, epoch int64, limit int) []storage.Session {
	var page []storage.Session
	for _, e := range s.Sessions {
		if e.UserID == id && e.EndedAt.IsZero() && e.Epoch >= epoch {
			page = append(page, e)
		}
	}
	slices.SortFunc(page, latestFirst)
	return page[:min(limit, len(page))]
}

// credentialsOf is what UserCredentials has to return.
func (s *state) credentialsOf(id storage.UserID) []storage.Credential {
	var page []storage.Credential
	for _, key := range slices.Sorted(maps.Keys(s.Credentials)) {
		if c := s.Credentials[key]; c.UserID == id {
			page = append(page, c)
		}
	}
	return page
}

// drop deletes a user, as DeleteUser has to.
func (s *state) drop(id storage.UserID) {
	delete(s.Users, id)
	s.Deleted[id] = true
	maps.DeleteFunc(s.Sessions, func(_ storage.SessionID, e storage.Session) bool { return e.UserID == id })
}

// create adds a user, as CreateUser has to.
func (s *state) create(u storage.User) {
	u.Version, u.SignInVersion = 1, 1
	s.Users[u.ID] = u
}

// log adds lines, as AppendEvent and AppendRevocation have to.
func (s *state) log(events []storage.Event, revocations ...storage.Revocation) {
	for _, e := range events {
		s.Events = addLine(s.Events, e, eventPlace)
	}
	for _, r := range revocations {
		s.Revocations = addLine(s.Revocations, r, revocationPlace)
	}
}

// A world is a store with what must be in it.
type world struct {
	t        *testing.T
	s, other Store // commits go to s, and are read from other; then they change places
	want     state
}

// newWorld fills the store with some of everything: ada with a credential and three
// sessions, bob with one of each, dan who is deleted, a ticket, a mark, a mail, an event and a revocation.
func newWorld(t *testing.T, s, other Store) *world {
	t.Helper()
	w := &world{t: t, s: s, other: other, want: newState()}
	ada, bob, dan := user("ada"), user("bob"), user("dan")
	ended := session("ended", ada)
	ended.EndedAt = at.Add(time.Second)
	mustCommit(t, s,
		storage.CreateUser{User: ada}, storage.CreateUser{User: bob}, storage.CreateUser{User: dan},
		storage.CreateCredential{Credential: credential("passkey", ada)}, storage.CreateCredential{Credential: credential("bob's passkey", bob)},
		storage.CreateSession{Session: session("phone", ada)}, storage.CreateSession{Session: session("laptop", ada)},
		storage.CreateSession{Session: ended}, storage.CreateSession{Session: session("bob's", bob)},
		storage.PutTicket{Ticket: ticket("reset")}, storage.PutMark{Mark: mark("known")}, storage.QueueMail{Mail: mail("queued")},
	)
	mustCommit(t, s, storage.AppendEvent{Event: event("begun")}, storage.AppendRevocation{Revocation: revocation("begun")})
	for _, u := range []storage.User{ada, bob, dan} {
		w.want.create(u)
	}
	for _, c := range []storage.Credential{credential("passkey", ada), credential("bob's passkey", bob)} {
		c.Version = 1
		w.want.Credentials[c.Key] = c
	}
	for _, e := range []storage.Session{session("phone", ada), session("laptop", ada), ended, session("bob's", bob)} {
		w.want.Sessions[e.ID] = e
	}
	w.want.Tickets["reset"], w.want.Marks["known"], w.want.Mails["queued"] = ticket("reset"), mark("known"), mail("queued")
	w.want.Events, w.want.Revocations = []storage.Event{event("begun")}, []storage.Revocation{revocation("begun")}
	mustCommit(t, other, storage.DeleteUser{User: w.user("dan")})
	w.want.drop("id-dan")
	w.check("the beginning")
	return w
}

// user is somebody as stored.
func (w *world) user(name string) storage.User { return w.want.Users[storage.UserID("id-"+name)] }

// session is one as stored.
func (w *world) session(id storage.SessionID) storage.Session { return w.want.Sessions[id] }

// does commits the changes, which then does to the model. Then their answer is lost, and
// they are committed again, which changes nothing more.
func (w *world) does(doing string, then func(*state), changes ...storage.Change) {
	w.t.Helper()
	if err := w.s.Commit(w.t.Context(), changes...); err != nil {
		w.t.Fatalf("%s: %v", doing, err)
	}
	then(&w.want)
	w.check(doing)
	w.s, w.other = w.other, w.s
	err := w.s.Commit(w.t.Context(), changes...)
	if err != nil && !errors.Is(err, storage.ErrTaken) && !errors.Is(err, storage.ErrConflict) {
		w.t.Fatalf("%s, again: got error %v, want none, ErrTaken or ErrConflict", doing, err)
	}
	w.check(doing + ", again")
}

// nothing is what a change does that only checks.
func nothing(*state) {}

// refuses commits the changes among others that would succeed alone: none of them
// happens.
func (w *world) refuses(doing string, want error, changes ...storage.Change) {
	w.t.Helper()
	among := []storage.Change{storage.PutMark{Mark: mark("first witness")}}
	among = append(among, changes...)
	among = append(among, storage.PutMark{Mark: mark("last witness")}, storage.AppendEvent{Event: event("witness")})
	wantError(w.t, doing, w.s.Commit(w.t.Context(), among...), want)
	w.check(doing)
	w.s, w.other = w.other, w.s
}

// check reads everything and holds it against the model.
func (w *world) check(doing string) {
	w.t.Helper()
	if d := diff(w.want, w.read()); d != "" {
		w.t.Fatalf("%s: stored (-want +got):\n%s", doing, d)
	}
	w.checkNames(doing)
	for id := range w.want.Users {
		credentials, err := w.other.UserCredentials(w.t.Context(), id, all)
		if d := diff(w.want.credentialsOf(id), credentials); err != nil || d != "" {
			w.t.Fatalf("%s: credentials of %s: %v (-want +got):\n%s", doing, id, err, d)
		}
		got, err := w.other.UserSessions(w.t.Context(), id, 0, 0, all)
		if err != nil {
			w.t.Fatalf("UserSessions: %v", err)
		}
		got = slices.DeleteFunc(got, func(e storage.Session) bool { return strings.HasPrefix(string(e.ID), old) })
		if d := diff(w.want.listed(id, 0, all), got); d != "" {
			w.t.Fatalf("%s: sessions of %s (-want +got):\n%s", doing, id, d)
		}
	}
}

// checkNames looks everybody up by each name: those of the cast and those of the users.
func (w *world) checkNames(doing string) {
	w.t.Helper()
	usernames, emails := map[string]storage.User{"": {}}, map[string]storage.User{"": {}} // an address that is not there is nobody's
	for _, name := range people {
		usernames[name], emails[name+"@example.com"] = storage.User{}, storage.User{}
	}
	for _, u := range w.want.Users {
		usernames[usernameKey(u)] = u
		if u.Email != "" {
			emails[emailKey(u)] = u
		}
	}
	for key, want := range usernames {
		most := w.listed(want)
		got, sessions, err := w.other.UserByUsername(w.t.Context(), key)
		w.checkFound(doing, key, got, err, want)
		w.checkCounted(doing, want, sessions, most)
	}
	for key, want := range emails {
		most := w.listed(want)
		got, sessions, err := w.other.UserByEmail(w.t.Context(), key)
		w.checkFound(doing, key, got, err, want)
		w.checkCounted(doing, want, sessions, most)
	}
}

// listed is how many sessions of the user are listed now, with those that may be deleted
// at any time.
func (w *world) listed(u storage.User) int {
	w.t.Helper()
	sessions, err := w.other.UserSessions(w.t.Context(), u.ID, u.Epoch, 0, storage.MaxCounted)
	if err != nil {
		w.t.Fatalf("UserSessions: %v", err)
	}
	return len(sessions)
}

// checkCounted judges how many sessions a look-up has counted, of most when it began.
func (w *world) checkCounted(doing string, u storage.User, sessions, most int) {
	w.t.Helper()
	if least := len(w.want.listed(u.ID, u.Epoch, storage.MaxCounted)); sessions < least || sessions > most {
		w.t.Fatalf("%s: %d sessions of %s are counted, want %d to %d", doing, sessions, u.ID, least, most)
	}
}

// checkFound judges the answer to a look-up; nobody is a user without id.
func (w *world) checkFound(doing, key string, got storage.User, err error, want storage.User) {
	w.t.Helper()
	if want.ID == "" {
		wantError(w.t, doing+": looking up "+key, err, storage.ErrNotFound)
		return
	}
	if d := diff(want, got); err != nil || d != "" {
		w.t.Fatalf("%s: looking up %s: %v (-want +got):\n%s", doing, key, err, d)
	}
}

// read reads everything at the other handle.
func (w *world) read() state {
	w.t.Helper()
	ctx, s, got := w.t.Context(), w.other, newState()
	users, _ := walk(w.t, s, s, 3, func(s Store, after storage.Cursor, limit int) ([]storage.User, storage.Cursor, error) {
		return s.Users(ctx, after, limit)
	}, nil)
	for _, listed := range users {
		u, err := s.User(ctx, listed.ID)
		if d := diff(listed, u); err != nil || d != "" {
			w.t.Fatalf("User(%s): %v (-listed +found):\n%s", listed.ID, err, d)
		}
		got.Users[u.ID] = u
	}
	if len(users) != len(got.Users) {
		w.t.Fatalf("%d users are listed %d times", len(got.Users), len(users))
	}
	for _, name := range people {
		id := storage.UserID("id-" + name)
		deleted, err := s.UserDeleted(ctx, id)
		if err != nil {
			w.t.Fatalf("UserDeleted(%s): %v", id, err)
		}
		if deleted {
			got.Deleted[id] = true
		}
		if _, there := got.Users[id]; !there {
			_, err := s.User(ctx, id)
			wantError(w.t, "User of "+name+", whom no list has", err, storage.ErrNotFound)
		}
	}
	find(w.t, sessionIDs, got.Sessions, func(id storage.SessionID) (storage.Session, error) {
		session, u, err := s.SessionUser(ctx, id)
		if d := diff(got.Users[session.UserID], u); err == nil && d != "" {
			w.t.Fatalf("user of session %s (-want +got):\n%s", id, d)
		}
		return session, err
	})
	find(w.t, credentialKeys, got.Credentials, func(k storage.CredentialKey) (storage.Credential, error) { return s.Credential(ctx, k) })
	find(w.t, ticketIDs, got.Tickets, func(id storage.TicketID) (storage.Ticket, error) { return s.Ticket(ctx, id) })
	find(w.t, markIDs, got.Marks, func(id storage.MarkID) (storage.Mark, error) { return s.Mark(ctx, id) })
	got.Mails = w.readMails(s)
	got.Events, _ = walk(w.t, s, s, 7, eventsSince(w.t, dayBefore), nil)
	got.Revocations, _ = walk(w.t, s, s, 7, revocationsSince(w.t, dayBefore), nil)
	got.Events = slices.DeleteFunc(got.Events, func(e storage.Event) bool { return strings.HasPrefix(e.ID, old) })
	got.Revocations = slices.DeleteFunc(got.Revocations, func(r storage.Revocation) bool { return strings.HasPrefix(r.ID, old) })
	return got
}

// find looks up each id and keeps what is found.
func find[K ~string, V any](t *testing.T, ids []K, found map[K]V, one func(K) (V, error)) {
	t.Helper()
	for _, id := range ids {
		v, err := one(id)
		if err == nil {
			found[id] = v
			continue
		}
		wantError(t, "looking up "+string(id), err, storage.ErrNotFound)
	}
}

func (w *world) readMails(s Store) map[string]outbox.Mail {
	w.t.Helper()
	due, err := s.DueMails(w.t.Context(), at.Add(24*time.Hour), all)
	if err != nil {
		w.t.Fatalf("DueMails: %v", err)
	}
	mails := map[string]outbox.Mail{}
	for _, m := range due {
		if _, twice := mails[m.ID]; twice {
			w.t.Fatalf("mail %s is due twice", m.ID)
		}
		if !strings.HasPrefix(m.ID, old) {
			mails[m.ID] = m
		}
	}
	return mails
}

func eventsSince(t *testing.T, since time.Time) func(s Store, after storage.Cursor, limit int) ([]storage.Event, storage.Cursor, error) {
	return func(s Store, after storage.Cursor, limit int) ([]storage.Event, storage.Cursor, error) {
		return s.Events(t.Context(), since, after, limit)
	}
}

func revocationsSince(t *testing.T, since time.Time) func(s Store, after storage.Cursor, limit int) ([]storage.Revocation, storage.Cursor, error) {
	return func(s Store, after storage.Cursor, limit int) ([]storage.Revocation, storage.Cursor, error) {
		return s.Revocations(t.Context(), since, after, limit)
	}
}

func user(name string) storage.User {
	return storage.User{
		ID: storage.UserID("id-" + name), Username: name, Email: name + "@example.com", Name: "The " + name,
		Scope: "orders:read orders:write", Roles: []string{"clerk"}, Attributes: map[string]string{"city": "Ulm"}, CreatedAt: at,
		PasswordHash: "$argon2id$" + name, EmailVerified: true, Epoch: 5, EpochAt: at.Add(-time.Hour), Rights: 2,
		UpdatedAt: at.Add(time.Second),
	}
}

func session(id string, u storage.User) storage.Session {
	return storage.Session{
		ID: storage.SessionID(id), UserID: u.ID, Epoch: u.Epoch, Proof: storage.Proof{AMR: []string{"pwd"}, ACR: "1", At: at},
		ClientID: "app", Scope: "orders:read", Seed: []byte{0, 1, 0xFF}, Refreshes: 3,
		Chain:  storage.Chain{Hash: []byte{2}, Previous: []byte{3}, Rotations: 4},
		Device: "curl/8 ünï", Address: "192.0.2.7", CreatedAt: at, LastUsedAt: at.Add(time.Minute), ExpiresAt: at.Add(12 * time.Hour),
	}
}

func credential(key string, u storage.User) storage.Credential {
	return storage.Credential{Key: storage.CredentialKey(key), UserID: u.ID, Data: []byte{0, 9, 0xFF}, CreatedAt: at}
}

func ticket(id string) storage.Ticket {
	return storage.Ticket{
		ID: storage.TicketID(id), Purpose: storage.PurposeReset, Email: "ada@example.com", SecretHash: []byte{0, 1, 0xFF}, CodeMAC: []byte{7, 0},
		UserID: "id-ada", Name: "Lövelace", PasswordHash: "$argon2id$", Bound: []byte{0xFE, 0},
		CreatedAt: at, LinkUntil: at.Add(time.Hour), CodeUntil: at.Add(time.Minute), ExpiresAt: at.Add(12 * time.Hour),
	}
}

func mark(id string) storage.Mark {
	return storage.Mark{ID: storage.MarkID(id), ExpiresAt: at.Add(12 * time.Hour)}
}

func mail(id string) outbox.Mail {
	return outbox.Mail{ID: id, Sealed: []byte{0, 0xFF, 1}, CreatedAt: at, DueAt: at, GiveUpAt: at.Add(12 * time.Hour)}
}

func event(id string) storage.Event {
	return storage.Event{
		ID: id, Time: at, Kind: storage.EventLogin, Outcome: storage.OutcomeOK, UserID: "id-ada", SessionID: "phone",
		RequestID: "r", Address: "192.0.2.7", Device: "curl/8", Count: 1,
	}
}

func revocation(id string) storage.Revocation {
	return storage.Revocation{ID: id, Time: at, UserID: "id-ada", Epoch: 4, Rights: 1, Survivor: "phone", ExpiresAt: at.Add(12 * time.Hour)}
}
