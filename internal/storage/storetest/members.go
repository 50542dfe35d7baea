package storetest

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/identifier"
	"github.com/latchkey-auth/latchkey/internal/keyring"
	"github.com/latchkey-auth/latchkey/internal/outbox"
	"github.com/latchkey-auth/latchkey/internal/storage"
)

// anyText is what a store has to keep as it is: every text in UTF-8 without NUL.
const anyText = `"quoted" 'DROP TABLE users; --' back\slash %_*?[a-z] $1 :name @p1 {"json": null} <html> &amp; \u0041` +
	" tab\t line\n end\r\n \x01\x1f\x7f\u0085\u2028\u2029 " + // controls and ends of lines
	"é e\u0301 Å \u212b ﬁ ａｄａ ß İ ı ſ Κ " + // what normalization or case would change
	"עברית العربية \u202eright to left\u202c \u200b\u200d\ufeff 漢字 한국어 ไทย हिन्दी 👩‍👩‍👧‍👦 🏴󠁧󠁢󠁳󠁣󠁴󠁿 𝔘𝔫𝔦 " +
	"\ufffd \ufffe \uffff \U0001ffff \U0010ffff  blanks  "

// fill gives every member a value of its own, those to come too: one that a store
// forgets, or takes for another, shows. Names of people stay those of the sample.
func fill(sample any) {
	n := 0
	fillMember(reflect.ValueOf(sample).Elem(), "", &n)
}

func fillMember(v reflect.Value, name string, n *int) {
	*n++
	switch v.Interface().(type) {
	case time.Time: // in microseconds, of another zone
		moment := at.Add(time.Duration(*n)*time.Hour + time.Duration(*n)*time.Microsecond)
		v.Set(reflect.ValueOf(moment.In(time.FixedZone("somewhere", 5*3600+1800))))
		return
	case []byte:
		bytes := []byte(name)
		for b := range 256 {
			bytes = append(bytes, byte(b))
		}
		v.SetBytes(bytes)
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fillMember(v.Field(i), v.Type().Field(i).Name, n)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 3, 3))
		for i := range v.Len() {
			fillMember(v.Index(i), name, n)
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for i := range 3 {
			v.SetMapIndex(reflect.ValueOf(fmt.Sprint(name, i, " ", anyText)), reflect.ValueOf(fmt.Sprint(i, anyText)))
		}
		v.SetMapIndex(reflect.ValueOf("empty"), reflect.ValueOf(""))
	case reflect.String:
		v.SetString(fmt.Sprint(name, " ", *n, " ", anyText))
	case reflect.Int64:
		v.SetInt(1<<53 + int64(*n)) // more than a float64 tells apart
	case reflect.Bool:
		v.SetBool(true)
	default:
		panic(fmt.Sprintf("no value for member %s of type %s", name, v.Type()))
	}
}

// scribble overwrites in place what slices and maps hold.
func scribble(sample any) { scribbleMember(reflect.ValueOf(sample).Elem()) }

func scribbleMember(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			return
		}
		for i := range v.NumField() {
			scribbleMember(v.Field(i))
		}
	case reflect.Slice:
		for i := range v.Len() {
			v.Index(i).SetZero()
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			v.SetMapIndex(key, reflect.ValueOf("scribbled"))
		}
	}
}

// wantUTC checks that all times are in UTC, which diff does not tell.
func wantUTC(t *testing.T, doing string, sample any) {
	t.Helper()
	switch v := reflect.ValueOf(sample); {
	case v.Type() == reflect.TypeFor[time.Time]():
		if zone := v.Interface().(time.Time).Location(); zone != time.UTC {
			t.Errorf("%s: time in zone %s, want UTC", doing, zone)
		}
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			wantUTC(t, doing+"."+v.Type().Field(i).Name, v.Field(i).Interface())
		}
	}
}

// samples are one of each of what a store keeps.
type samples struct {
	User       storage.User
	Credential storage.Credential
	Session    storage.Session
	Ticket     storage.Ticket
	Mark       storage.Mark
	Mail       outbox.Mail
	Event      storage.Event
	Revocation storage.Revocation
	Key        keyring.Record
}

// filled are samples of which every member has a value. Each call makes the same ones
// anew.
func filled() *samples {
	m := &samples{}
	for _, sample := range []any{&m.User, &m.Credential, &m.Session, &m.Ticket, &m.Mark, &m.Mail, &m.Event, &m.Revocation, &m.Key} {
		fill(sample)
	}
	m.User.ID, m.User.Username, m.User.Email = `auth0|5f7c%_'"\~`, "Ａda.Lovelace_ß", "Ada.O'Hara+tag@Example.com"
	m.User.Version, m.User.SignInVersion = 1, 1
	m.Session.UserID, m.Credential.UserID, m.Credential.Version = m.User.ID, m.User.ID, 1
	m.Event.Time, m.Revocation.Time = at.Add(time.Microsecond), at.Add(time.Microsecond)
	return m
}

// smallest are samples of which no member has a value that can be without.
func smallest() *samples {
	return &samples{
		User:       storage.User{ID: "u", Username: "u", Version: 1, SignInVersion: 1},
		Credential: storage.Credential{Key: "c", UserID: "u", Version: 1},
		Session:    storage.Session{ID: "s", UserID: "u"},
		Ticket:     storage.Ticket{ID: "t"},
		Mark:       storage.Mark{ID: "m"},
		Mail:       outbox.Mail{ID: "q"},
		Event:      storage.Event{ID: "e", Time: at, Count: 1},
		Revocation: storage.Revocation{ID: "r", Time: at},
		Key:        keyring.Record{ID: "k", Number: 1, Public: []byte("{}")},
	}
}

func (m *samples) store(t *testing.T, s Store) {
	t.Helper()
	mustCommit(t, s,
		storage.CreateUser{User: m.User}, storage.CreateCredential{Credential: m.Credential}, storage.CreateSession{Session: m.Session}, storage.PutTicket{Ticket: m.Ticket},
		storage.PutMark{Mark: m.Mark}, storage.QueueMail{Mail: m.Mail},
		storage.AppendEvent{Event: m.Event}, storage.AppendRevocation{Revocation: m.Revocation})
	mustAddKey(t, s, m.Key)
}

// read reads all that was stored.
func (m *samples) read(t *testing.T, s Store) *samples {
	t.Helper()
	got := &samples{}
	var err error
	must := func(doing string) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", doing, err)
		}
	}
	got.Session, got.User, err = s.SessionUser(t.Context(), m.Session.ID)
	must("SessionUser")
	got.Credential, err = s.Credential(t.Context(), m.Credential.Key)
	must("Credential")
	got.Ticket, err = s.Ticket(t.Context(), m.Ticket.ID)
	must("Ticket")
	got.Mark, err = s.Mark(t.Context(), m.Mark.ID)
	must("Mark")
	mails, err := s.DueMails(t.Context(), at.Add(1000*time.Hour), 1)
	must("DueMails")
	events, _, err := s.Events(t.Context(), dayBefore, "", 1)
	must("Events")
	revocations, _, err := s.Revocations(t.Context(), dayBefore, "", 1)
	must("Revocations")
	keys, err := s.Keys(t.Context())
	must("Keys")
	if len(mails) != 1 || len(events) != 1 || len(revocations) != 1 || len(keys) != 1 {
		t.Fatalf("got %d mails, %d events, %d revocations and %d keys, want one of each", len(mails), len(events), len(revocations), len(keys))
	}
	got.Mail, got.Event, got.Revocation, got.Key = mails[0], events[0], revocations[0], keys[0]
	return got
}

func (m *samples) check(t *testing.T, doing string, s Store) *samples {
	t.Helper()
	got := m.read(t, s)
	if d := diff(m, got); d != "" {
		t.Errorf("%s (-want +got):\n%s", doing, d)
	}
	return got
}

func membersComeBack(t *testing.T, s, other Store) {
	m := filled()
	m.store(t, s)
	got := m.check(t, "every member", other)
	for name, sample := range map[string]any{
		"user": got.User, "credential": got.Credential, "session": got.Session, "ticket": got.Ticket, "mark": got.Mark,
		"mail": got.Mail, "event": got.Event, "revocation": got.Revocation, "key": got.Key,
	} {
		wantUTC(t, name, sample)
	}
	// By the other ways to read and to write as well.
	u := m.User
	key, err := identifier.UsernameKey(u.Username)
	if err != nil {
		t.Fatal(err)
	}
	byName, _, err := s.UserByUsername(t.Context(), key)
	if d := diff(u, byName); err != nil || d != "" {
		t.Errorf("UserByUsername: %v (-want +got):\n%s", err, d)
	}
	listed, err := s.UserSessions(t.Context(), u.ID, 0, 0, all) // it has ended
	if err != nil || len(listed) != 0 {
		t.Errorf("UserSessions: %v, %v; want none", listed, err)
	}
	loadedUser := storage.LoadedUser{User: m.User, Event: m.Event}
	loadedUser.User.ID, loadedUser.User.Username, loadedUser.User.Email, loadedUser.Event.ID = "loaded", "loaded", "", "loaded"
	if stored, err := s.LoadUsers(t.Context(), []storage.LoadedUser{loadedUser}); err != nil || !stored[0] {
		t.Fatalf("LoadUsers: %v, %v", stored, err)
	}
	again, err := other.User(t.Context(), "loaded")
	if d := diff(loadedUser.User, again); err != nil || d != "" {
		t.Errorf("a loaded user: %v (-want +got):\n%s", err, d)
	}
	events, _, err := other.Events(t.Context(), dayBefore, "", 2)
	if d := diff([]storage.Event{m.Event, loadedUser.Event}, events); err != nil || d != "" {
		t.Errorf("the event of a loaded user: %v (-want +got):\n%s", err, d)
	}
	plain := storage.User{ID: u.ID, Username: "plain", Version: 1, SignInVersion: 1}
	mustCommit(t, s, storage.UpdateUser{Old: u, New: plain})
	filledAgain := u
	plain.Version, plain.SignInVersion = 2, 2
	mustCommit(t, other, storage.UpdateUser{Old: plain, New: filledAgain})
	u.Version, u.SignInVersion = 3, 3
	updated, err := s.User(t.Context(), u.ID)
	if d := diff(u, updated); err != nil || d != "" {
		t.Errorf("an updated user: %v (-want +got):\n%s", err, d)
	}
}

func zeroMembersComeBack(t *testing.T, s, other Store) {
	m := smallest()
	m.store(t, s)
	m.check(t, "no member", other)
}

// storedIsOwn: whoever has given or read something may do with it what they like. Only
// what SessionUser returns may be shared among those who ask, because that is read for
// every request: nobody changes it.
func storedIsOwn(t *testing.T, s, other Store) {
	given := filled()
	given.store(t, s)
	for _, sample := range []any{&given.User, &given.Credential, &given.Session, &given.Ticket, &given.Mail, &given.Key} {
		scribble(sample)
	}
	got := filled().check(t, "after a change of what was given", s)
	u, err := s.User(t.Context(), got.User.ID)
	if err != nil {
		t.Fatal(err)
	}
	for _, sample := range []any{&u, &got.Ticket, &got.Mail, &got.Key} {
		scribble(sample)
	}
	filled().check(t, "after a change of what was read", s)
	filled().check(t, "after a change of what was read, at the other handle", other)
}

// idsAreExact: ids that a careless comparison takes for the same are not.
func idsAreExact(t *testing.T, s, other Store) {
	ids := []string{"id", "ID", "Id", "id1", "id%", "id_", "i", "id.", "%", "_", "0", "00", "1e0", "1"}
	for i, id := range ids {
		u := storage.User{ID: storage.UserID(id), Username: fmt.Sprint("user", i)}
		e := session(id, u)
		put := ticket(id)
		put.Email = id
		put.SecretHash = []byte(id)
		mustCommit(t, s, storage.CreateUser{User: u}, storage.CreateSession{Session: e}, storage.PutTicket{Ticket: put},
			storage.PutMark{Mark: storage.Mark{ID: storage.MarkID(id), ExpiresAt: at.Add(time.Hour + time.Duration(i)*time.Minute)}},
			storage.QueueMail{Mail: mail(id)}, storage.AppendEvent{Event: event(id)}, storage.AppendRevocation{Revocation: revocation(id)})
	}
	for i, id := range ids {
		e, u, err := other.SessionUser(t.Context(), storage.SessionID(id))
		if err != nil || string(e.ID) != id || string(u.ID) != id || u.Username != fmt.Sprint("user", i) {
			t.Errorf("session %s: got %s of %s, %v", id, e.ID, u.ID, err)
		}
		put, err := other.Ticket(t.Context(), storage.TicketID(id))
		if err != nil || put.Email != id {
			t.Errorf("ticket %s: got that of %s, %v", id, put.Email, err)
		}
		m, err := other.Mark(t.Context(), storage.MarkID(id))
		if err != nil || !m.ExpiresAt.Equal(at.Add(time.Hour+time.Duration(i)*time.Minute)) {
			t.Errorf("mark %s: got %+v, %v", id, m, err)
		}
	}
	due, err := other.DueMails(t.Context(), at, all)
	if err != nil || len(due) != len(ids) {
		t.Errorf("got %d mails, %v; want %d", len(due), err, len(ids))
	}
	events, _, err := other.Events(t.Context(), dayBefore, "", all)
	if err != nil || len(events) != len(ids) {
		t.Errorf("got %d events, %v; want %d", len(events), err, len(ids))
	}
	revocations, _, err := other.Revocations(t.Context(), dayBefore, "", all)
	if err != nil || len(revocations) != len(ids) {
		t.Errorf("got %d revocations, %v; want %d", len(revocations), err, len(ids))
	}
}
