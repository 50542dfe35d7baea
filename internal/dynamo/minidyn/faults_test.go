package minidyn_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/internal/dynamo"
	"github.com/latchkey-auth/latchkey/internal/keyring"
	"github.com/latchkey-auth/latchkey/internal/limit"
	"github.com/latchkey-auth/latchkey/internal/outbox"
	"github.com/latchkey-auth/latchkey/internal/storage"
	"github.com/latchkey-auth/latchkey/internal/transfer"
)

var now = time.Now().UTC().Truncate(time.Microsecond)

func ada() storage.User {
	return storage.User{ID: "id-ada", Username: "ada", Email: "ada@example.com", PasswordHash: "$argon2id$", Epoch: 1, Version: 1, SignInVersion: 1, CreatedAt: now}
}

func phone() storage.Session {
	return storage.Session{ID: "phone", UserID: "id-ada", Epoch: 1, Seed: []byte{1}, CreatedAt: now, LastUsedAt: now, ExpiresAt: now.Add(time.Hour)}
}

func passkey() storage.Credential {
	return storage.Credential{Key: "passkey", UserID: "id-ada", Data: []byte{1}, CreatedAt: now, Version: 1}
}

func ticket() storage.Ticket {
	return storage.Ticket{ID: "reset", SecretHash: []byte{1}, ExpiresAt: now.Add(time.Hour)}
}

func mail() outbox.Mail {
	return outbox.Mail{ID: "queued", Sealed: []byte{1}, CreatedAt: now, DueAt: now, GiveUpAt: now.Add(time.Hour)}
}

func take(key string) limit.Take {
	return limit.Take{Key: key, At: now, Fade: time.Minute, Guard: limit.GuardRoom, Most: now.Add(time.Minute)}
}

func seed(t *testing.T, s *dynamo.Store) {
	t.Helper()
	err := s.Commit(t.Context(), storage.CreateUser{User: ada()}, storage.CreateSession{Session: phone()}, storage.PutTicket{Ticket: ticket()},
		storage.CreateCredential{Credential: passkey()}, storage.PutMark{Mark: storage.Mark{ID: "known", ExpiresAt: now.Add(time.Hour)}}, storage.QueueMail{Mail: mail()},
		storage.AppendEvent{Event: storage.Event{ID: "e", Time: now}}, storage.AppendRevocation{Revocation: storage.Revocation{ID: "r", Time: now}})
	if err == nil {
		_, err = s.Take(t.Context(), []limit.Take{take("taken")})
	}
	if err == nil {
		err = s.AddKey(t.Context(), keyring.Record{ID: "k1", Number: 1, Public: []byte{1}}, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A method is one of the store, called so that it succeeds once.
type method struct {
	name   string
	call   func(ctx context.Context, s *dynamo.Store) error
	writes bool
}

func only[T any](_ T, err error) error          { return err }
func only2[T, U any](_ T, _ U, err error) error { return err }

func taken(ok bool, err error) error {
	if err == nil && !ok {
		return errors.New("not taken")
	}
	return err
}

func commits(name string, changes ...storage.Change) method {
	return method{"Commit " + name, func(ctx context.Context, s *dynamo.Store) error { return s.Commit(ctx, changes...) }, true}
}

func methods() []method {
	read := func(name string, call func(ctx context.Context, s *dynamo.Store) error) method {
		return method{name, call, false}
	}
	renamed, rehashed, eve := ada(), ada(), ada()
	renamed.Username = "countess"
	rehashed.PasswordHash = "$argon2id$new"
	eve.ID, eve.Username, eve.Email = "id-eve", "eve", "eve@example.com"
	refreshed, kept, ended, begun := phone(), phone(), phone(), phone()
	refreshed.Refreshes, kept.Epoch, ended.EndedAt, begun.ID = 1, 2, now, "laptop"
	deferred := mail()
	deferred.DueAt = now.Add(time.Minute)
	next := ticket()
	next.SecretHash = []byte{2}
	added, passed := passkey(), passkey()
	added.Key, passed.UserID = "added", "id-eve"
	another := mail()
	another.ID = "another"
	return []method{
		read("User", func(ctx context.Context, s *dynamo.Store) error { return only(s.User(ctx, "id-ada")) }),
		read("UserByUsername", func(ctx context.Context, s *dynamo.Store) error { return only2(s.UserByUsername(ctx, "ada")) }),
		read("UserByEmail", func(ctx context.Context, s *dynamo.Store) error { return only2(s.UserByEmail(ctx, "ada@example.com")) }),
		read("UserDeleted", func(ctx context.Context, s *dynamo.Store) error { return only(s.UserDeleted(ctx, "id-ada")) }),
		read("Users", func(ctx context.Context, s *dynamo.Store) error { return only2(s.Users(ctx, "", 10)) }),
		read("SessionUser", func(ctx context.Context, s *dynamo.Store) error { return only2(s.SessionUser(ctx, "phone")) }),
		read("UserSessions", func(ctx context.Context, s *dynamo.Store) error { return only(s.UserSessions(ctx, "id-ada", 0, 0, 10)) }),
		read("Credential", func(ctx context.Context, s *dynamo.Store) error { return only(s.Credential(ctx, "passkey")) }),
		read("UserCredentials", func(ctx context.Context, s *dynamo.Store) error { return only(s.UserCredentials(ctx, "id-ada", 10)) }),
		read("Ticket", func(ctx context.Context, s *dynamo.Store) error { return only(s.Ticket(ctx, "reset")) }),
		read("Mark", func(ctx context.Context, s *dynamo.Store) error { return only(s.Mark(ctx, "known")) }),
		read("DueMails", func(ctx context.Context, s *dynamo.Store) error { return only(s.DueMails(ctx, now, 10)) }),
		read("Events", func(ctx context.Context, s *dynamo.Store) error { return only2(s.Events(ctx, now, "", 10)) }),
		read("Revocations", func(ctx context.Context, s *dynamo.Store) error { return only2(s.Revocations(ctx, now, "", 10)) }),
		read("Counts", func(ctx context.Context, s *dynamo.Store) error {
			return only2(s.Counts(ctx, []string{"taken", "other"}, "known"))
		}),
		read("Keys", func(ctx context.Context, s *dynamo.Store) error { return only(s.Keys(ctx)) }),
		{"Ping", func(ctx context.Context, s *dynamo.Store) error { return s.Ping(ctx) }, true},
		commits("CheckEpoch", storage.CheckEpoch{UserID: "id-ada", Epoch: 1}),
		commits("CreateUser", storage.CreateUser{User: eve}),
		commits("UpdateUser, a name", storage.UpdateUser{Old: ada(), New: renamed}),
		commits("UpdateUser, a password", storage.UpdateUser{Old: ada(), New: rehashed}),
		commits("DeleteUser", storage.DeleteUser{User: ada()}),
		commits("ReplaceUser", storage.ReplaceUser{Old: ada(), New: eve}),
		commits("CreateSession", storage.CreateSession{Session: begun}),
		commits("RefreshSession", storage.RefreshSession{Session: refreshed}),
		commits("KeepSession", storage.KeepSession{Session: kept}),
		commits("EndSession", storage.EndSession{Session: ended}),
		commits("CreateCredential", storage.CreateCredential{Credential: added}),
		commits("UpdateCredential", storage.UpdateCredential{Credential: passed}),
		commits("DeleteCredential", storage.DeleteCredential{Credential: passkey()}),
		commits("PutTicket", storage.PutTicket{Ticket: next}),
		commits("ReplaceTicket", storage.ReplaceTicket{Old: []byte{1}, Ticket: next}),
		commits("TakeTicket", storage.TakeTicket{Ticket: ticket()}),
		commits("CountTry", storage.CountTry{Ticket: ticket()}),
		commits("PutMark", storage.PutMark{Mark: storage.Mark{ID: "new"}}),
		commits("QueueMail", storage.QueueMail{Mail: another}),
		commits("DeferMail", storage.DeferMail{Mail: deferred}),
		commits("DeleteMail", storage.DeleteMail{Mail: mail()}),
		commits("AppendEvent", storage.AppendEvent{Event: storage.Event{ID: "new", Time: now.Add(48 * time.Hour)}}),
		commits("AppendRevocation", storage.AppendRevocation{Revocation: storage.Revocation{ID: "new", Time: now.Add(48 * time.Hour)}}),
		{"LoadUsers", func(ctx context.Context, s *dynamo.Store) error {
			stored, err := s.LoadUsers(ctx, []storage.LoadedUser{{User: eve, Event: storage.Event{ID: "l", Time: now}}})
			if err == nil && !stored[0] {
				err = errors.New("not stored")
			}
			return err
		}, true},
		{"Take from one", func(ctx context.Context, s *dynamo.Store) error {
			return taken(s.Take(ctx, []limit.Take{take("taken")}))
		}, true},
		{"Take from two", func(ctx context.Context, s *dynamo.Store) error {
			return taken(s.Take(ctx, []limit.Take{take("taken"), take("new")}))
		}, true},
		{"Settle", func(ctx context.Context, s *dynamo.Store) error {
			return s.Settle(ctx, []limit.Take{take("taken")}, []limit.Take{take("none")}, []limit.Take{take("new")})
		}, true},
		read("Export", func(ctx context.Context, s *dynamo.Store) error { return only2(s.Export(ctx, "", 100)) }),
		read("Hold", func(ctx context.Context, s *dynamo.Store) error { return only(s.Hold(ctx)) }),
		{"Import", func(ctx context.Context, s *dynamo.Store) error {
			return s.Import(ctx, []transfer.Record{transfer.User{User: eve, ProfileAt: now, SignInAt: now}, begun})
		}, true},
		{"Erase", func(ctx context.Context, s *dynamo.Store) error { return s.Erase(ctx) }, true},
		{"PutHold", func(ctx context.Context, s *dynamo.Store) error {
			return s.PutHold(ctx, "", transfer.Hold{ID: "copy", Role: transfer.Source})
		}, true},
		{"AddKey", func(ctx context.Context, s *dynamo.Store) error {
			return s.AddKey(ctx, keyring.Record{ID: "k2", Number: 2, Public: []byte{2}}, []keyring.Record{{ID: "k1", Number: 1, RetiresAt: now, ExpiresAt: now.Add(time.Hour)}})
		}, true},
		read("StoreKind", func(ctx context.Context, s *dynamo.Store) error { return only(s.StoreKind(ctx)) }),
		{"MarkStore", func(ctx context.Context, s *dynamo.Store) error {
			return s.MarkStore(ctx, storage.UnmarkedStore, storage.LocalStore)
		}, true},
	}
}

// everything is all that can be read of what the methods change, to tell whether they have
// done it twice.
func everything(t *testing.T, s *dynamo.Store) string {
	t.Helper()
	ctx := t.Context()
	var b strings.Builder
	say := func(what string, v any, err error) { fmt.Fprintf(&b, "%s: %+v %v\n", what, v, err) }
	users, _, err := s.Users(ctx, "", 10)
	for _, u := range users {
		say("user", []any{u, u.PasswordHash, u.Version, u.SignInVersion}, err)
	}
	for _, id := range []storage.SessionID{"phone", "laptop"} {
		session, _, err := s.SessionUser(ctx, id)
		say("session", session, err)
	}
	sessions, err := s.UserSessions(ctx, "id-ada", 0, 0, 10)
	say("sessions", sessions, err)
	for _, id := range []storage.UserID{"id-ada", "id-eve"} {
		credentials, err := s.UserCredentials(ctx, id, 10)
		say("credentials", credentials, err)
	}
	e, err := s.Ticket(ctx, "reset")
	say("ticket", e, err)
	mails, err := s.DueMails(ctx, now.Add(time.Hour), 10)
	say("mails", mails, err)
	events, _, err := s.Events(ctx, now, "", 10)
	say("events", events, err)
	revocations, _, err := s.Revocations(ctx, now, "", 10)
	say("revocations", revocations, err)
	counts, _, err := s.Counts(ctx, []string{"taken", "new", "none"}, "")
	say("counts", counts, err)
	keys, err := s.Keys(ctx)
	say("keys", keys, err)
	kind, err := s.StoreKind(ctx)
	say("kind", kind, err)
	h, err := s.Hold(ctx)
	say("hold", h, err)
	return b.String()
}

// hot opens a store whose processes know nothing yet, on an emulator of its own.
func hot(t *testing.T, patience time.Duration) (*layer, *dynamo.Store) {
	t.Helper()
	l, url := emulator(t)
	seed(t, openAt(t, url, "latchkey"))
	return l, open(t, dynamo.Config{Client: connect(t, url), Table: "latchkey", Patience: patience, EventShards: 3, RevocationShards: 2})
}

// once has the first call of each operation fail.
func once(f fault) func(string, int) fault {
	return func(_ string, n int) fault {
		if n == 0 {
			return f
		}
		return none
	}
}

// TestOneFault: of each method the first call of each operation meets a fault. The method
// succeeds all the same, and has done what it does once.
func TestOneFault(t *testing.T) {
	faults := map[string]fault{
		"lost answer": lost, "refused connection": refused, "throttled": throttled, "throughput exceeded": exceeded,
		"broken": broken, "conflict": conflict, "in progress": inProgress, "half a batch": partial,
	}
	for _, m := range methods() {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			_, s := hot(t, 0)
			if err := m.call(t.Context(), s); err != nil {
				t.Fatalf("without a fault: %v", err)
			}
			want := everything(t, s)
			for name, f := range faults {
				l, s := hot(t, 0)
				l.have(once(f))
				err := m.call(t.Context(), s)
				l.have(nil)
				if err != nil {
					t.Errorf("%s: %v", name, err)
				}
				if d := cmp.Diff(want, everything(t, s)); d != "" {
					t.Errorf("%s: stored (-want +got):\n%s", name, d)
				}
			}
		})
	}
}

// TestLostUnderWay: the answer of a commit is lost, and DynamoDB is still at it for longer
// than the SDK tries. The commit goes on under its token.
func TestLostUnderWay(t *testing.T) {
	t.Setenv("AWS_MAX_ATTEMPTS", "2")
	for _, m := range methods() {
		if !strings.HasPrefix(m.name, "Commit ") && m.name != "Take from two" {
			continue
		}
		l, s := hot(t, 0)
		first := 0
		if m.name == "Take from two" {
			first = 1 // after a guess that is wrong
		}
		l.have(func(operation string, n int) fault {
			switch n -= first; {
			case operation != "TransactWriteItems" || n < 0:
				return none
			case n == 0:
				return lost
			case n < 4:
				return inProgress
			}
			return none
		})
		if err := m.call(t.Context(), s); err != nil {
			t.Errorf("%s: %v", m.name, err)
		}
	}
}

// TestTakeIsUndone: what was taken from one bucket is undone when the other one cannot be
// taken from, whether it is full or not to be had, and when the answer of the undoing is
// lost.
func TestTakeIsUndone(t *testing.T) {
	const undo = 2 // after an UpdateItem for each bucket
	full := take("taken")
	full.Most = now.Add(-time.Minute)
	for name, c := range map[string]struct {
		second limit.Take
		nth    int // UpdateItem that meets the fault
		fault  fault
		want   error
	}{
		"the other one is full":                 {full, 0, none, nil},
		"and the answer of the undoing is lost": {full, undo, lost, nil},
		"and the undoing is throttled":          {full, undo, throttled, nil},
		"no right to the other one":             {take("other"), 1, denied, storage.ErrUnavailable},
	} {
		l, s := hot(t, 0)
		before := everything(t, s)
		l.have(func(operation string, n int) fault {
			if operation == "UpdateItem" && n == c.nth {
				return c.fault
			}
			return none
		})
		taken, err := s.Take(t.Context(), []limit.Take{take("new"), c.second})
		l.have(nil)
		if taken || !errors.Is(err, c.want) {
			t.Errorf("%s: taken %v, %v; want %v", name, taken, err, c.want)
		}
		counts, _, err := s.Counts(t.Context(), []string{"new", "other"}, "")
		if err != nil || counts[0] != (limit.Count{}) || counts[1] != (limit.Count{}) {
			t.Errorf("%s: %+v, %v are left, want nothing", name, counts, err)
		}
		if d := cmp.Diff(before, everything(t, s)); d != "" {
			t.Errorf("%s: stored (-want +got):\n%s", name, d)
		}
	}
}

// TestTakeIsUndoneBesideASettlement: another attempt is settled between a take and its
// undoing. The moment of the last take is restored all the same, as it was stored and not
// as it was read.
func TestTakeIsUndoneBesideASettlement(t *testing.T) {
	l, s := hot(t, 0)
	other := openAt(t, l.url, "latchkey")
	earlier := limit.Take{Key: "both", At: now.Add(-30 * time.Second), Fade: time.Minute}
	if err := taken(other.Take(t.Context(), []limit.Take{earlier})); err != nil {
		t.Fatal(err)
	}
	refused, full := take("both"), take("taken")
	refused.Was = limit.Count{Empty: earlier.Made(), Last: earlier.At.Add(-time.Second), Reserved: 1}
	full.Most = now.Add(-time.Minute)
	l.have(nil)
	var writes atomic.Int64
	l.set(func() {
		l.before = func(operation string) {
			if operation != "UpdateItem" || writes.Add(1) != 3 { // the undoing
				return
			}
			if err := other.Settle(t.Context(), nil, []limit.Take{earlier}, nil); err != nil {
				t.Error(err)
			}
		}
	})
	if taken, err := s.Take(t.Context(), []limit.Take{refused, full}); taken || err != nil {
		t.Errorf("taken %v, %v; want a refusal", taken, err)
	}
	want := []limit.Count{{Empty: earlier.Made(), Last: earlier.At}}
	got, _, err := s.Counts(t.Context(), []string{"both"}, "")
	if d := cmp.Diff(want, got); err != nil || d != "" {
		t.Errorf("left: %v (-want +got):\n%s", err, d)
	}
}

// TestManyFaults: when it does not end, a method says that the store is unavailable, in
// the time that it has. It never takes a fault for a refusal.
func TestManyFaults(t *testing.T) {
	t.Setenv("AWS_MAX_ATTEMPTS", "2")
	for name, f := range map[string]fault{
		"lost answers": lost, "refused connections": refused, "throttled": throttled, "throughput exceeded": exceeded, "broken": broken,
		"conflicts": conflict, "in progress": inProgress, "no right": denied, "no answers": silent,
	} {
		t.Run(name, func(t *testing.T) {
			l, s := hot(t, 200*time.Millisecond)
			l.have(func(string, int) fault { return f })
			for _, m := range methods() {
				if f == conflict && !m.writes {
					continue
				}
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				err := m.call(ctx, s)
				if ctx.Err() != nil {
					t.Errorf("%s: does not end", m.name)
				}
				cancel()
				if !errors.Is(err, storage.ErrUnavailable) {
					t.Errorf("%s: got error %v, want ErrUnavailable", m.name, err)
				}
				for _, refusal := range []error{storage.ErrNotFound, storage.ErrTaken, storage.ErrConflict, storage.ErrChanges, keyring.ErrExists} {
					if errors.Is(err, refusal) {
						t.Errorf("%s: error %v is %v", m.name, err, refusal)
					}
				}
				if f == denied && err != nil && !strings.Contains(err.Error(), "dynamodb:") {
					t.Errorf("%s: error %v does not say which right is missing", m.name, err)
				}
			}
		})
	}
}

// TestEveryMethodMeetsFaults: methods has all of the ports.
func TestEveryMethodMeetsFaults(t *testing.T) {
	var names []string
	for _, m := range methods() {
		names = append(names, strings.Fields(m.name)[0])
	}
	for _, name := range portMethods() {
		if !slices.Contains(names, name) && !slices.Contains([]string{"Purge", "Size", "Bounds"}, name) { // which call nothing
			t.Errorf("%s meets no fault", name)
		}
	}
}
