package sqlstore_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/latchkey-auth/latchkey/internal/limit"
	"github.com/latchkey-auth/latchkey/internal/pgtest"
	"github.com/latchkey-auth/latchkey/internal/sqlstore"
	"github.com/latchkey-auth/latchkey/internal/storage"
)

// toldWithin is how long a request may take that ends in an outage.
const toldWithin = 2 * time.Second

// wantOutage checks that f fails as an outage, in time.
func wantOutage(t *testing.T, doing string, f func() error) {
	t.Helper()
	begun := time.Now()
	if err := f(); !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("%s: got %v, want ErrUnavailable", doing, err)
	}
	if took := time.Since(begun); took > toldWithin {
		t.Errorf("%s: told after %v, want %v at most", doing, took, toldWithin)
	}
}

// uses are one of each way to use a store; "u" and "s" are there.
func uses(t *testing.T, s *sqlstore.Store) map[string]func() error {
	take := []limit.Take{{Key: "k", At: time.Now(), Fade: time.Minute}}
	return map[string]func() error{
		"Commit":      func() error { return s.Commit(t.Context(), event(fmt.Sprint(time.Now().UnixNano()))) },
		"SessionUser": func() error { _, _, err := s.SessionUser(t.Context(), "s"); return err },
		"Users":       func() error { _, _, err := s.Users(t.Context(), "", 10); return err },
		"Take":        func() error { _, err := s.Take(t.Context(), take); return err },
		"Settle":      func() error { return s.Settle(t.Context(), nil, nil, take) },
		"Ping":        func() error { return s.Ping(t.Context()) },
		"Purge":       func() error { return s.Purge(t.Context(), storage.Moments{}) },
		"StoreKind":   func() error { _, err := s.StoreKind(t.Context()); return err },
	}
}

// works uses the store in every way, also over connections that have broken meanwhile.
func works(t *testing.T, s *sqlstore.Store) {
	t.Helper()
	for doing, use := range uses(t, s) {
		if err := use(); err != nil {
			t.Errorf("%s: %v", doing, err)
		}
	}
}

// TestPostgresLostCommit: a commit that is not answered is neither a success nor a refusal,
// and its repetition is recognised.
func TestPostgresLostCommit(t *testing.T) {
	w := newWire(t, pgtest.Database(t))
	s := openPostgres(t, w.url)
	for f, carriedOut := range map[fault]bool{cutBefore: false, loseAnswer: true} {
		name := fmt.Sprint("user", f)
		w.atNextCommit(f)
		wantOutage(t, name, func() error { return s.Commit(t.Context(), create(name), event(name)) })
		if _, err := s.User(t.Context(), storage.UserID(name)); (err == nil) != carriedOut {
			t.Errorf("fault %d: after the outage got %v, carried out %v", f, err, carriedOut)
		}
		want := error(nil)
		if carriedOut {
			want = storage.ErrTaken
		}
		if err := s.Commit(t.Context(), create(name), event(name)); !errors.Is(err, want) {
			t.Errorf("fault %d: repeated: got %v, want %v", f, err, want)
		}
	}
	if got := events(t, s); len(got) != 2 {
		t.Errorf("got %d events, want one for each user", len(got))
	}
}

// TestPostgresGoesOn: connections that break between requests are nobody's fault, and a
// server that is silent is told in time.
func TestPostgresGoesOn(t *testing.T) {
	w := newWire(t, pgtest.Database(t))
	s := openPostgres(t, w.url)
	signedIn(t, s)
	for range 3 {
		w.cut()
		works(t, s)
	}
	w.hush(true)
	var all sync.WaitGroup
	for doing, use := range uses(t, s) {
		if doing != "Purge" { // for which nobody waits
			all.Go(func() { wantOutage(t, doing, use) })
		}
	}
	all.Wait()
	w.hush(false)
	works(t, s)
}

// connect is another program.
func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

func run(t *testing.T, conn *pgx.Conn, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if _, err := conn.Exec(t.Context(), text); err != nil {
			t.Fatalf("%.60s: %v", text, err)
		}
	}
}

// TestPostgresLockIsWaitedFor holds a row: who needs it is told in time, nobody else waits.
func TestPostgresLockIsWaitedFor(t *testing.T) {
	url := pgtest.Database(t)
	s := openPostgres(t, url)
	_, session := signedIn(t, s)
	other := connect(t, url)
	run(t, other, `BEGIN`, `SELECT 1 FROM sessions WHERE id = 's' FOR UPDATE`)
	session.EndedAt = time.Now()
	end := func() error { return s.Commit(t.Context(), storage.EndSession{Session: session}, event("end")) }
	wantOutage(t, "EndSession", end)
	works(t, s)
	run(t, other, `ROLLBACK`)
	if err := end(); err != nil {
		t.Errorf("EndSession after the lock: %v", err)
	}
}

// TestPostgresFailures: what the server reports in the middle of a commit. A disk that is
// full is an outage; what was overtaken is begun again.
func TestPostgresFailures(t *testing.T) {
	url := pgtest.Database(t)
	s := openPostgres(t, url)
	signedIn(t, s)
	fail := func(condition, code string) {
		pgtest.Exec(t, url, `CREATE SEQUENCE IF NOT EXISTS tries`, // which no rollback takes back
			`CREATE OR REPLACE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
				IF `+condition+` THEN RAISE EXCEPTION 'made up' USING ERRCODE = '`+code+`'; END IF;
				RETURN NEW; END $$`,
			`CREATE OR REPLACE TRIGGER fail BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION fail()`)
	}
	for _, code := range []string{"53100", "53200", "58030", "57014", "XX000"} {
		fail("TRUE", code)
		wantOutage(t, code, func() error { return s.Commit(t.Context(), create("ada"), event(code)) })
		pgtest.Exec(t, url, `DROP TRIGGER fail ON events`)
		works(t, s)
	}
	for _, code := range []string{"40001", "40P01", "55P03"} {
		fail("nextval('tries') % 3 <> 0", code)
		if err := s.Commit(t.Context(), storage.PutMark{Mark: storage.Mark{ID: "m"}}, event("after "+code)); err != nil {
			t.Errorf("%s twice: %v, want it to be begun again", code, err)
		}
		fail("TRUE", code)
		wantOutage(t, code+" for ever", func() error { return s.Commit(t.Context(), create("ada"), event(code)) })
		pgtest.Exec(t, url, `DROP TRIGGER fail ON events`)
	}
	if _, err := s.User(t.Context(), "ada"); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("a user of a commit that has failed: %v", err)
	}
}

// waits returns when a statement on the database waits for a lock.
func waits(t *testing.T, conn *pgx.Conn) {
	t.Helper()
	for n := 0; n == 0; {
		const waiting = `SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`
		if err := conn.QueryRow(t.Context(), waiting).Scan(&n); err != nil {
			t.Fatal(err)
		}
	}
}

// TestPostgresHoldsTheEpoch: what a commit has checked does not change before it ends.
func TestPostgresHoldsTheEpoch(t *testing.T) {
	for name, changes := range map[string]func(storage.Session) []storage.Change{
		"a check": func(storage.Session) []storage.Change { return []storage.Change{storage.CheckEpoch{UserID: "u"}} },
		"a refresh": func(session storage.Session) []storage.Change {
			session.Refreshes++
			return []storage.Change{storage.RefreshSession{Session: session}, storage.CheckEpoch{UserID: "u"}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			url := pgtest.Database(t)
			s := openPostgres(t, url)
			_, session := signedIn(t, s)
			other, looks := connect(t, url), connect(t, url)
			run(t, other, `BEGIN`, `INSERT INTO marks (id, expires_at) VALUES ('m', 0)`)
			done := make(chan error, 1)
			commit := append(changes(session), storage.PutMark{Mark: storage.Mark{ID: "m"}}) // which waits for the other
			go func() { done <- s.Commit(t.Context(), commit...) }()
			waits(t, looks)
			_, err := looks.Exec(t.Context(), `SELECT 1 FROM sign_ins FOR NO KEY UPDATE NOWAIT`)
			var held *pgconn.PgError
			if !errors.As(err, &held) || held.Code != "55P03" {
				t.Errorf("the sign-in is not held: %v", err)
			}
			run(t, other, `ROLLBACK`)
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
}

// TestPostgresDeletedWhileWaiting: a commit that has waited for the deletion of a user does
// not create another one with that id.
func TestPostgresDeletedWhileWaiting(t *testing.T) {
	for name, createUser := range map[string]func(*sqlstore.Store) error{
		"CreateUser": func(s *sqlstore.Store) error { return s.Commit(t.Context(), create("u")) },
		"LoadUsers": func(s *sqlstore.Store) error {
			stored, err := s.LoadUsers(t.Context(), []storage.LoadedUser{{User: create("u").User}})
			if err == nil && !stored[0] {
				err = storage.ErrTaken
			}
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			url := pgtest.Database(t)
			s := openPostgres(t, url)
			signedIn(t, s)
			other, looks := connect(t, url), connect(t, url)
			run(t, other, `BEGIN`, `DELETE FROM users`, `INSERT INTO deleted_users (id) VALUES ('u')`)
			done := make(chan error, 1)
			go func() { done <- createUser(s) }()
			waits(t, looks)
			run(t, other, `COMMIT`)
			if err := <-done; !errors.Is(err, storage.ErrTaken) {
				t.Errorf("got %v, want ErrTaken", err)
			}
			if _, err := s.User(t.Context(), "u"); !errors.Is(err, storage.ErrNotFound) {
				t.Errorf("the deleted user: got %v, want ErrNotFound", err)
			}
		})
	}
}

// TestPostgresOppositeOrder: commits that lock the same rows in opposite orders all
// succeed, at two stores.
func TestPostgresOppositeOrder(t *testing.T) {
	url := pgtest.Database(t)
	s, other := openPostgres(t, url), openPostgres(t, url)
	signedIn(t, s)
	second := storage.Session{ID: "second", UserID: "u"}
	if err := s.Commit(t.Context(), storage.CreateSession{Session: second}); err != nil {
		t.Fatal(err)
	}
	a, b := storage.KeepSession{Session: storage.Session{ID: "s"}}, storage.KeepSession{Session: second}
	var all sync.WaitGroup
	for i := range 16 {
		store, changes := s, []storage.Change{a, b}
		if i%2 == 1 {
			store, changes = other, []storage.Change{b, a}
		}
		all.Go(func() {
			for range 4 {
				if err := store.Commit(t.Context(), changes...); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
}

// TestPostgresCrash: what was acknowledged before the server was killed is there, and the
// stores go on by themselves.
func TestPostgresCrash(t *testing.T) {
	server := pgtest.Start(t)
	url := server.URL(t, "postgres")
	stores := []*sqlstore.Store{openPostgres(t, url), openPostgres(t, url)}
	var mu sync.Mutex
	acknowledged := make(map[string]bool)
	enough := make(chan struct{})
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for n := 0; ; n++ {
				id := fmt.Sprint(i, "-", n)
				err := stores[i%2].Commit(t.Context(), event(id), storage.PutMark{Mark: storage.Mark{ID: storage.MarkID(id)}})
				if err != nil {
					if !errors.Is(err, storage.ErrUnavailable) {
						t.Errorf("when the server was killed: %v", err)
					}
					return
				}
				mu.Lock()
				acknowledged[id] = true
				if len(acknowledged) == 100 {
					close(enough)
				}
				mu.Unlock()
			}
		})
	}
	<-enough
	server.Crash(t)
	all.Wait()
	if err := server.Run(); err != nil {
		t.Fatal(err)
	}
	there := make(map[string]bool)
	for _, e := range events(t, stores[0]) {
		there[e.ID] = true
	}
	for id := range acknowledged {
		if !there[id] {
			t.Errorf("event %s was acknowledged and is lost", id)
		}
		if _, err := stores[1].Mark(t.Context(), storage.MarkID(id)); err != nil {
			t.Errorf("mark %s: %v", id, err)
		}
	}
	if err := stores[1].Commit(t.Context(), event("afterwards")); err != nil {
		t.Errorf("after the restart: %v", err)
	}
}
