package minidyn_test

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/internal/storage"
	"github.com/latchkey-auth/latchkey/internal/storage/storetest"
)

// portMethods are the names of all methods of the ports.
func portMethods() (names []string) {
	port := reflect.TypeFor[storetest.Store]()
	for i := range port.NumMethod() {
		names = append(names, port.Method(i).Name)
	}
	return names
}

// TestCalls counts what the table in docs/dynamodb.md says.
func TestCalls(t *testing.T) {
	want := map[string]string{
		"User":                    "Query",
		"UserByUsername":          "GetItem Query",
		"UserByEmail":             "GetItem Query",
		"UserDeleted":             "GetItem",
		"Users":                   "BatchGetItem Query Query Query Query",
		"SessionUser":             "GetItem Query",
		"UserSessions":            "BatchGetItem Query",
		"Credential":              "GetItem",
		"UserCredentials":         "BatchGetItem Query",
		"Commit UpdateCredential": "BatchGetItem TransactWriteItems",
		"Commit DeleteCredential": "BatchGetItem TransactWriteItems",
		"Ticket":                  "GetItem",
		"Mark":                    "GetItem",
		"DueMails":                "BatchGetItem" + strings.Repeat(" Query", 8),
		"Events":                  "Query Query Query Query",
		"Revocations":             "Query Query Query",
		"Counts":                  "BatchGetItem",
		"Keys":                    "Query",
		"Ping":                    "GetItem PutItem",
		"LoadUsers":               "GetItem PutItem TransactWriteItems", // the first line of a day that has begun
		"Take from one":           "UpdateItem UpdateItem",              // by a guess that is wrong
		"Take from two":           "UpdateItem UpdateItem UpdateItem",   // the same
		"Settle":                  "GetItem UpdateItem UpdateItem UpdateItem",
		"AddKey":                  "Query TransactWriteItems",
		"StoreKind":               "GetItem Query",                    // of a table without a mark
		"MarkStore":               "GetItem Query TransactWriteItems", // the same
		"Export":                  "BatchGetItem Scan",
		"Import":                  "BatchWriteItem",
		"Erase":                   "BatchWriteItem Scan",
		"Hold":                    "GetItem",
		"PutHold":                 "PutItem",
		"Commit KeepSession":      "BatchGetItem TransactWriteItems",
		"Commit EndSession":       "BatchGetItem TransactWriteItems",
		"Commit DeferMail":        "BatchGetItem TransactWriteItems",
		"Commit DeleteMail":       "BatchGetItem TransactWriteItems",
		"Commit AppendEvent":      "PutItem TransactWriteItems", // of a day that has not begun
		"Commit AppendRevocation": "PutItem TransactWriteItems",
	}
	for _, m := range methods() {
		l, s := hot(t, 0)
		l.have(nil)
		if err := m.call(t.Context(), s); err != nil {
			t.Fatalf("%s: %v", m.name, err)
		}
		got := l.arrivals()
		slices.Sort(got)
		calls, ok := want[m.name]
		if !ok {
			calls = "TransactWriteItems"
		}
		if d := cmp.Diff(calls, strings.Join(got, " ")); d != "" {
			t.Errorf("%s (-want +got):\n%s", m.name, d)
		}
	}
}

// TestDecoy: a name that nobody has costs the same reads as one that a user has.
func TestDecoy(t *testing.T) {
	l, s := hot(t, 0)
	count := func(find func() error, want error) []string {
		t.Helper()
		l.have(nil)
		if err := find(); !errors.Is(err, want) {
			t.Errorf("got error %v, want %v", err, want)
		}
		return l.arrivals()
	}
	for name, find := range map[string]func(name string) error{
		"username": func(name string) error { return only2(s.UserByUsername(t.Context(), name)) },
		"email":    func(name string) error { return only2(s.UserByEmail(t.Context(), name+"@example.com")) },
	} {
		known := count(func() error { return find("ada") }, nil)
		unknown := count(func() error { return find("nobody") }, storage.ErrNotFound)
		if !slices.Equal(known, unknown) {
			t.Errorf("%s: a known one is read by %v, an unknown one by %v", name, known, unknown)
		}
	}
}

// TestEndedSessionsCostNothing: who has ended many sessions has the few others listed by
// as many calls as before.
func TestEndedSessionsCostNothing(t *testing.T) {
	l, s := hot(t, 0)
	for i := range 3 * mostOfPage {
		session := phone()
		session.ID = storage.SessionID(fmt.Sprint("ended ", i))
		session.CreatedAt = now.Add(time.Duration(i+1) * time.Second)
		ended := session
		ended.EndedAt = now
		for _, c := range []storage.Change{storage.CreateSession{Session: session}, storage.EndSession{Session: ended}} {
			if err := s.Commit(t.Context(), c); err != nil {
				t.Fatal(err)
			}
		}
	}
	l.have(nil)
	sessions, err := s.UserSessions(t.Context(), "id-ada", 0, 0, 100)
	if calls := l.arrivals(); err != nil || len(sessions) != 1 || len(calls) != 2 {
		t.Errorf("got %d sessions, %v, by %v; want one by a Query and a BatchGetItem", len(sessions), err, calls)
	}
}

// TestSurplusCostsWhatItIs: who looks for sessions beyond a hundred does not read the
// hundred, but their places.
func TestSurplusCostsWhatItIs(t *testing.T) {
	l, s := hot(t, 0)
	l.set(func() { l.page = 1000 })
	for i := range storage.MaxCounted {
		session := phone()
		session.ID = storage.SessionID(fmt.Sprint("later ", i))
		session.CreatedAt = now.Add(time.Duration(i+1) * time.Second)
		if err := s.Commit(t.Context(), storage.CreateSession{Session: session}); err != nil {
			t.Fatal(err)
		}
	}
	b := new(bill)
	l.set(func() { l.bill = b })
	sessions, err := s.UserSessions(t.Context(), "id-ada", 0, storage.MaxCounted, storage.MaxCounted)
	if err != nil || len(sessions) != 1 || sessions[0].ID != "phone" {
		t.Fatalf("got %d sessions, %v; want the oldest", len(sessions), err)
	}
	cost := operation(b.take())
	if read, _ := cost.units(); cost.reads() != 2 || read > 8 {
		t.Errorf("%d reads of %d units, want 2 of 8 at most", cost.reads(), read)
	}
}

// TestLookUpReadsAHundredSessions: a look-up by name counts a hundred sessions by the same
// query that reads the user, and reads no more of those there are.
func TestLookUpReadsAHundredSessions(t *testing.T) {
	l, s := hot(t, 0)
	const most = storage.MaxCounted + 50
	l.set(func() { l.page = most })
	var want operation
	for n := 1; n <= most; n++ { // with the phone there is one more
		session := phone()
		session.ID, session.CreatedAt = storage.SessionID(fmt.Sprint("later ", n)), now.Add(time.Duration(n)*time.Second)
		if err := s.Commit(t.Context(), storage.CreateSession{Session: session}); err != nil {
			t.Fatal(err)
		}
		if n != storage.MaxCounted-1 && n != most {
			continue
		}
		b := new(bill)
		l.set(func() { l.bill = b })
		_, sessions, err := s.UserByUsername(t.Context(), "ada")
		l.set(func() { l.bill = nil })
		if err != nil || sessions != storage.MaxCounted {
			t.Errorf("of %d sessions %d are counted, %v; want %d", n+1, sessions, err, storage.MaxCounted)
		}
		cost := operation(b.take())
		if want == nil {
			want = cost
		}
		read, _ := cost.units()
		if most, _ := want.units(); cost.reads() != 2 || read > most {
			t.Errorf("with %d sessions: %d reads of %d units, want 2 of %d at most", n+1, cost.reads(), read, most)
		}
	}
}
