package sqlstore_test

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/latchkey-auth/latchkey/internal/outbox"
	"github.com/latchkey-auth/latchkey/internal/sqlstore"
	"github.com/latchkey-auth/latchkey/internal/storage"
)

// migrated runs the first migrations on a database, as far as the schema, as the program
// of that time has done.
func migrated(t *testing.T, path string, schema int) {
	t.Helper()
	files, err := filepath.Glob("migrations/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	texts := []string{`CREATE TABLE migrations (version BIGINT NOT NULL PRIMARY KEY, applied_at BIGINT NOT NULL)`}
	for i, file := range files[:schema] {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, string(text), fmt.Sprintf(`INSERT INTO migrations VALUES (%d, 0)`, i+1))
	}
	execute(t, path, texts...)
}

// TestSchemaOneIsBroughtForward opens a database of the first schema, with users
// in it: operators have vouched for the address, and sessions that have been ended
// stay so.
func TestSchemaOneIsBroughtForward(t *testing.T) {
	path := filepath.Join(t.TempDir(), "latchkey.db")
	migrated(t, path, 1)
	execute(t, path,
		`INSERT INTO users (id, username, username_key, email, email_key, name, scope, password_hash, disabled,
			created_at, updated_at, sessions_from, version)
			VALUES ('u1', 'Ada', 'ada', 'ada@example.com', 'ada@example.com', 'Ada L.', 'read', '$hash', FALSE, 1, 2, 0, 7)`,
		`INSERT INTO sessions VALUES ('s1', 'u1', x'01', x'', 0, 0, '', '', 1, 1, 1, 9000000000000000, 0, 1)`,
		`INSERT INTO users (id, username, username_key, email, email_key, name, scope, password_hash, disabled,
			created_at, updated_at, sessions_from, version)
			VALUES ('u2', 'Grace', 'grace', '', NULL, '', '', '$hash', FALSE, 1, 2, 5, 1)`,
		`INSERT INTO sessions VALUES ('s2', 'u2', x'02', x'', 0, 0, '', '', 1, 4, 1, 9000000000000000, 0, 1)`,
		`INSERT INTO sessions VALUES ('s3', 'u2', x'03', x'', 0, 0, '', '', 1, 6, 1, 9000000000000000, 0, 1)`,
		`INSERT INTO events VALUES (1, 1, 'login', 'ok', 'u1', 's1', '', '', '')`,
		`INSERT INTO events VALUES (2, 1, 'user.deleted', 'ok', 'u9', '', '', '', '')`,
		`UPDATE counters SET value = 2 WHERE name = 'events'`,
	)
	s := open(t, path, false)
	session, u, err := s.SessionUser(t.Context(), "s1")
	if err != nil || u.Email != "ada@example.com" || !u.EmailVerified || u.PendingEmail != "" || u.Version != 7 || u.SignInVersion != 1 {
		t.Errorf("got %+v, %v", u, err)
	}
	if session.Epoch != u.Epoch {
		t.Errorf("the session is of epoch %v, its user of %v", session.Epoch, u.Epoch)
	}
	if deleted, err := s.UserDeleted(t.Context(), "u9"); err != nil || !deleted {
		t.Errorf("who was deleted before is known as such: %v, %v", deleted, err)
	}
	for id, alive := range map[storage.SessionID]bool{"s2": false, "s3": true} {
		session, u, err := s.SessionUser(t.Context(), id)
		if err != nil || session.Epoch == u.Epoch != alive || session.Epoch > u.Epoch {
			t.Errorf("%s is of epoch %v, its user of %v, %v; want alive %v", id, session.Epoch, u.Epoch, err, alive)
		}
	}
	after := u
	after.Name, after.Disabled = "Ada", true
	if err := s.Commit(t.Context(), storage.UpdateUser{Old: u, New: after}, storage.PutTicket{Ticket: storage.Ticket{ID: "t"}},
		storage.QueueMail{Mail: outbox.Mail{ID: "m"}}, event("x")); err != nil {
		t.Errorf("Commit: %v", err)
	}
	if got := events(t, s); len(got) != 3 {
		t.Errorf("got events %v", got)
	}
}

// Moments of the database of schema 6.
var (
	june  = time.Date(2026, 6, 1, 12, 0, 0, 1000, time.UTC)
	july  = time.Date(2026, 7, 1, 12, 0, 0, 2000, time.UTC)
	later = time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC)
)

// schemaSix makes a database of schema 6 with one of everything, as the last program
// before has written it.
func schemaSix(t *testing.T, path string) {
	t.Helper()
	migrated(t, path, 6)
	j, l, end := june.UnixMicro(), july.UnixMicro(), later.UnixMicro()
	texts := []string{
		fmt.Sprintf(`INSERT INTO users (id, username, username_key, email, email_key, name, scope, password_hash, disabled, created_at,
				updated_at, sessions_from, version, email_verified, pending_email)
			VALUES ('u1', 'Ada', 'ada', 'Ada@example.com', 'ada@example.com', 'Ada L.', 'read write', '$argon2id$1', FALSE, %d, %d, %[2]d, 7,
				TRUE, 'new@example.com')`, j, l),
		fmt.Sprintf(`INSERT INTO users (id, username, username_key, email, email_key, name, scope, password_hash, disabled, created_at,
				updated_at, sessions_from, version, email_verified, pending_email)
			VALUES ('u2', 'Grace', 'grace', '', NULL, '', '', '', TRUE, %d, %[1]d, 0, 1, FALSE, '')`, j),
		fmt.Sprintf(`INSERT INTO sessions VALUES ('s1', 'u1', x'0102', x'0304', %d, 5, 'curl', '192.0.2.1', %d, %[1]d, %[1]d, %[3]d, 0, 6)`, l, j, end),
		fmt.Sprintf(`INSERT INTO sessions VALUES ('s2', 'u1', x'05', x'', 0, 0, '', '', %d, %[1]d, %d, %d, %[2]d, 2)`, j, l, end),
		`INSERT INTO deleted_users VALUES ('gone')`,
		`INSERT INTO counts VALUES ('k', 5, 1)`,
		`UPDATE counters SET value = 12 WHERE name = 'events'`,
		`INSERT INTO counters VALUES ('pings', 3)`,
		fmt.Sprintf(`INSERT INTO mails VALUES ('m1', x'07', %d, %d, %d, 2)`, j, l, end),
		fmt.Sprintf(`INSERT INTO signing_keys VALUES (1, 'kid', 'ES256', x'01', x'02', %d, %[1]d, 0, 0)`, j),
	}
	for _, purpose := range []string{"register", "verify", "reset", "invite", "home", "ended", "used"} {
		texts = append(texts, fmt.Sprintf(`INSERT INTO tickets VALUES ('%s', '%[1]s', 'a@example.com', x'01', x'02', 3, 'u1', 'n', 'h', x'03',
			%d, %d, %d, %d)`, purpose, j, l, l, end))
	}
	for n := 1; n <= 12; n++ { // all at one moment
		texts = append(texts, fmt.Sprintf(`INSERT INTO events VALUES (%d, %d, 'login', 'ok', 'u1', 's1', 'r%[1]d', '192.0.2.1', 'curl', %[1]d)`, n, j))
	}
	execute(t, path, texts...)
}

// wantSchemaSix checks that the store has all that schemaSix has put into it.
func wantSchemaSix(t *testing.T, s *sqlstore.Store) {
	t.Helper()
	check := func(what string, want, got any, err error) {
		t.Helper()
		if d := cmp.Diff(want, got, cmpopts.EquateEmpty()); d != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", what, err, d)
		}
	}
	ada := storage.User{
		ID: "u1", Username: "Ada", Email: "Ada@example.com", Name: "Ada L.", Scope: "read write", CreatedAt: june, Version: 7,
		PasswordHash: "$argon2id$1", EmailVerified: true, PendingEmail: "new@example.com",
		Epoch: july.UnixMicro(), EpochAt: july, SignInVersion: 1, UpdatedAt: july,
	}
	grace := storage.User{ID: "u2", Username: "Grace", CreatedAt: june, Version: 1, Disabled: true, SignInVersion: 1, UpdatedAt: june}
	users, _, err := s.Users(t.Context(), "", 10)
	check("users", []storage.User{ada, grace}, users, err)
	byEmail, _, err := s.UserByEmail(t.Context(), "ada@example.com")
	check("by e-mail", ada, byEmail, err)
	live := storage.Session{
		ID: "s1", UserID: "u1", Epoch: ada.Epoch, Proof: storage.Proof{At: june}, ClientID: "latchkey",
		Chain:  storage.Chain{Hash: []byte{1, 2}, Previous: []byte{3, 4}, Rotations: 5},
		Device: "curl", Address: "192.0.2.1", CreatedAt: june, LastUsedAt: july, ExpiresAt: later,
	}
	session, user, err := s.SessionUser(t.Context(), "s1")
	check("session", live, session, err)
	check("its user", ada, user, err)
	ended, _, err := s.SessionUser(t.Context(), "s2")
	check("ended session", storage.Session{
		ID: "s2", UserID: "u1", Epoch: june.UnixMicro(), Proof: storage.Proof{At: june}, ClientID: "latchkey",
		Chain: storage.Chain{Hash: []byte{5}}, CreatedAt: june, LastUsedAt: july, ExpiresAt: later, EndedAt: july,
	}, ended, err)
	listed, err := s.UserSessions(t.Context(), "u1", ada.Epoch, 0, 10)
	check("list of sessions", []storage.Session{live}, listed, err)
	for _, purpose := range []string{"register", "verify", "reset", "invite"} {
		ticket, err := s.Ticket(t.Context(), storage.TicketID(purpose))
		check("ticket", storage.Ticket{
			ID: storage.TicketID(purpose), Purpose: storage.Purpose(purpose), Email: "a@example.com", SecretHash: []byte{1}, CodeMAC: []byte{2},
			Tries: 3, UserID: "u1", Name: "n", PasswordHash: "h", Bound: []byte{3}, CreatedAt: june, LinkUntil: july, CodeUntil: july, ExpiresAt: later,
		}, ticket, err)
	}
	for _, purpose := range []string{"home", "ended", "used"} {
		mark, err := s.Mark(t.Context(), storage.MarkID(purpose))
		check("mark", storage.Mark{ID: storage.MarkID(purpose), ExpiresAt: later}, mark, err)
		if _, err := s.Ticket(t.Context(), storage.TicketID(purpose)); err == nil {
			t.Errorf("ticket %q is still there", purpose)
		}
	}
	mails, err := s.DueMails(t.Context(), later, 10)
	check("mails", []outbox.Mail{{ID: "m1", Sealed: []byte{7}, CreatedAt: june, DueAt: july, GiveUpAt: later, Attempts: 2}}, mails, err)
	var log []storage.Event
	for n := int64(1); n <= 12; n++ {
		log = append(log, storage.Event{ID: fmt.Sprintf("%019d", n), Time: june, Kind: "login", Outcome: "ok", UserID: "u1", SessionID: "s1",
			RequestID: fmt.Sprint("r", n), Address: "192.0.2.1", Device: "curl", Count: n})
	}
	check("events", log, events(t, s), nil)
	deleted, err := s.UserDeleted(t.Context(), "gone")
	check("deleted user", true, deleted, err)
	keys, err := s.Keys(t.Context())
	if err != nil || len(keys) != 1 || keys[0].ID != "kid" {
		t.Errorf("got keys %v, %v", keys, err)
	}
}

// TestSchemaSixIsBroughtForward: the data of the version before open, all of them, and
// what is done with them next works.
func TestSchemaSixIsBroughtForward(t *testing.T) {
	path := filepath.Join(t.TempDir(), "latchkey.db")
	schemaSix(t, path)
	s := open(t, path, false)
	wantSchemaSix(t, s)
	session, user, err := s.SessionUser(t.Context(), "s1")
	if err != nil {
		t.Fatal(err)
	}
	session.Refreshes, session.Seed = 1, []byte{9}
	renamed := user
	renamed.Username = "Lovelace"
	if err := s.Commit(t.Context(), storage.CheckEpoch{UserID: "u1", Epoch: user.Epoch}, storage.RefreshSession{Session: session}); err != nil {
		t.Errorf("refreshing: %v", err)
	}
	if err := s.Commit(t.Context(), storage.UpdateUser{Old: user, New: renamed},
		storage.TakeTicket{Ticket: storage.Ticket{ID: "reset", SecretHash: []byte{1}, Tries: 3}}); err != nil {
		t.Errorf("renaming: %v", err)
	}
	gone := renamed
	gone.SignInVersion++
	if err := s.Commit(t.Context(), storage.DeleteUser{User: gone}); err != nil {
		t.Errorf("deleting: %v", err)
	}
	if err := s.Ping(t.Context()); err != nil {
		t.Errorf("Ping: %v", err)
	}
	var left int
	const tables = `SELECT COUNT(*) FROM sqlite_master WHERE name LIKE '%_new%' OR name = 'counters'`
	if err := s.Write().QueryRowContext(t.Context(), tables).Scan(&left); err != nil || left != 0 {
		t.Errorf("%d tables of the way are left, %v", left, err)
	}
	for _, pragma := range []string{"integrity_check", "foreign_key_check"} {
		var said sql.NullString
		err := s.Write().QueryRowContext(t.Context(), `PRAGMA `+pragma).Scan(&said)
		if pragma == "integrity_check" && said.String != "ok" || pragma == "foreign_key_check" && err != sql.ErrNoRows {
			t.Errorf("%s says %q, %v", pragma, said.String, err)
		}
	}
}

// TestKilledMigrationGoesOn opens what a process leaves behind that was killed in the
// middle of a step, all of which was done but the commit, or between two.
func TestKilledMigrationGoesOn(t *testing.T) {
	files, err := filepath.Glob("migrations/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	for n := 7; n <= len(files); n++ {
		t.Run(fmt.Sprintf("in step %d", n), func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "latchkey.db")
			schemaSix(t, path)
			for i := 7; i < n; i++ {
				execute(t, path, read(t, files[i-1]), fmt.Sprintf(`INSERT INTO migrations VALUES (%d, 0)`, i))
			}
			raw, err := sql.Open("sqlite", path+"?_pragma=journal_mode(WAL)&_pragma=cache_size(1)") // writes at once
			if err != nil {
				t.Fatal(err)
			}
			defer raw.Close()
			tx, err := raw.Begin()
			if err != nil {
				t.Fatal(err)
			}
			defer tx.Rollback()
			if _, err := tx.Exec(read(t, files[n-1])); err != nil {
				t.Fatal(err)
			}
			killed := filepath.Join(t.TempDir(), "latchkey.db")
			for _, suffix := range []string{"", "-wal"} { // as they are while it works
				if err := os.WriteFile(killed+suffix, []byte(read(t, path+suffix)), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if info, err := sqlstore.Inspect(t.Context(), killed); err != nil || info.Schema != n-1 {
				t.Fatalf("it has schema %d, %v; want %d", info.Schema, err, n-1)
			}
			wantSchemaSix(t, open(t, killed, false))
		})
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
